/** What the admin API answers, as far as the dashboard reads it. docs/openapi.json says more. */

export interface Principal {
  readonly name: string;
  readonly role: "admin" | "approver" | "requester";
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface AuditDisk {
  readonly freeBytes: number;
  readonly logBytes: number;
  readonly files: number;
  readonly bytesPerDay?: number;
  readonly daysUntilFull?: number;
  readonly keepBytes?: number;
}

export interface PolicyState {
  readonly version: string;
  readonly file?: string;
  readonly isFileRefused: boolean;
}

export interface Overview {
  readonly time: string;
  readonly version: string;
  readonly commit: string;
  readonly startedAt: string;
  readonly isReady: boolean;
  readonly isDraining: boolean;
  readonly checks: readonly Check[];
  readonly sessions: number;
  readonly sessionsMax: number;
  readonly approvalsPending: number;
  readonly policy: PolicyState;
  readonly isReloadRefused: boolean;
  readonly tokens: { readonly minted: number; readonly failed: number };
  readonly certificates: { readonly client?: number; readonly backendCa?: number };
  readonly audit: {
    readonly isKept: boolean;
    readonly isOk: boolean;
    readonly disk?: AuditDisk;
    readonly forwarding: readonly { readonly to: string; readonly lagSeconds: number }[];
  };
  readonly digests: {
    readonly known: number;
    readonly newLastDay: number;
    readonly newLastWeek: number;
    readonly dropped: number;
  };
  readonly since: string;
}

export interface Series {
  readonly stepMs: number;
  readonly newest: string;
  readonly values: Readonly<Record<string, readonly number[]>>;
}

export interface Approval {
  readonly id: string;
  readonly state: "pending" | "approved" | "used" | "denied" | "expired" | "cancelled";
  readonly mode: "hold" | "immediate";
  readonly listener: string;
  readonly user: string;
  readonly clientAddress: string;
  readonly session: string;
  readonly schema?: string;
  readonly command: string;
  readonly text: string;
  readonly textBytes: number;
  readonly statementHash: string;
  readonly isUnderstood: boolean;
  readonly kinds: readonly string[];
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  readonly score?: number;
  readonly level?: string;
  readonly estimatedRows?: number;
  readonly reasons: readonly string[];
  readonly policyVersion?: string;
  readonly isInTransaction: boolean;
  readonly requestedAt: string;
  readonly waitingMs: number;
  readonly expiresAt: string;
  readonly approver?: string;
  readonly reason?: string;
}

export interface SessionRow {
  readonly id: string;
  readonly listener: string;
  readonly clientAddress: string;
  readonly clientTls?: string;
  readonly user?: string;
  readonly backend: string;
  readonly backendConnectionId?: number;
  readonly schema?: string;
  readonly program?: string;
  readonly state: "login" | "idle" | "busy" | "held";
  readonly isInTransaction: boolean;
  readonly commands: number;
  readonly bytesToClient: number;
  readonly bytesToBackend: number;
  readonly ageSeconds: number;
  readonly silentSeconds: number;
  readonly statement?: {
    readonly command: string;
    readonly kind?: string;
    readonly text?: string;
    readonly decisionId: string;
    readonly since: string;
    readonly seconds: number;
  };
}

export interface SessionPage {
  readonly total: number;
  readonly states: Readonly<Record<string, number>>;
  readonly sessions: readonly SessionRow[];
}

export interface Digest {
  readonly digest: string;
  readonly text?: string;
  readonly isCut: boolean;
  readonly kind: string;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly count: number;
  readonly allowed: number;
  readonly warned: number;
  readonly blocked: number;
  readonly held: number;
  readonly errors: number;
  readonly rows: number;
  readonly affectedRows: number;
  readonly bytes: number;
  readonly totalUs: number;
  readonly maxUs: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly scoreMax: number;
  readonly lastDecisionId?: string;
  readonly tables: readonly string[];
  readonly rules: readonly string[];
  readonly users: readonly { readonly user: string; readonly count: number }[];
  readonly recentCounts: readonly number[];
  readonly recentUs: readonly number[];
}

export interface DigestPage {
  readonly total: number;
  readonly since: string;
  readonly dropped: number;
  readonly digests: readonly Digest[];
}

interface Verdicts {
  readonly allowed: number;
  readonly warned: number;
  readonly blocked: number;
  readonly held: number;
  readonly warnedHistory: readonly number[];
  readonly blockedHistory: readonly number[];
  readonly heldHistory: readonly number[];
}

export interface UserUsage extends Verdicts {
  readonly user: string;
  readonly rows: number;
  readonly affectedRows: number;
  readonly bytes: number;
  readonly totalUs: number;
}

export interface RuleUsage extends Verdicts {
  readonly rule: string;
}

export interface Usage {
  readonly since: string;
  readonly users: readonly UserUsage[];
  readonly rules: readonly RuleUsage[];
  readonly tables: readonly { readonly user: string; readonly table: string; readonly count: number }[];
}

/** A record of the audit log: docs/audit-event.schema.json. */
export type AuditRecord = Readonly<Record<string, unknown>> & {
  readonly type: string;
  readonly time: string;
  readonly seq?: number;
};

export interface AuditPage {
  readonly records: readonly AuditRecord[];
  readonly cursor?: string;
  readonly scannedBytes: number;
  readonly scannedTo?: string;
}

export interface Decision {
  readonly records: readonly AuditRecord[];
  readonly outcome?: AuditRecord;
  readonly approval?: AuditRecord;
  readonly policyChange?: AuditRecord;
  readonly rules: readonly {
    readonly id: string;
    readonly category: string;
    readonly title: string;
    readonly instead: string;
  }[];
  readonly isComplete: boolean;
}

export interface PolicyText {
  readonly version: string;
  readonly mode: string;
  readonly text?: string;
  readonly profiles: readonly {
    readonly name: string;
    readonly line: number;
    readonly mode?: string;
    readonly users: readonly string[];
    readonly schemas: readonly string[];
  }[];
  readonly findings: readonly { readonly line: number; readonly text: string }[];
}

export interface Generation {
  readonly number: number;
  readonly time: string;
  readonly version: string;
  readonly fromVersion?: string;
  readonly outcome: "ok" | "error";
  readonly by: string;
}

export interface GenerationText extends Generation {
  readonly text?: string;
  readonly comparedWith?: number;
  readonly diff: readonly { readonly kind: "same" | "removed" | "added"; readonly text: string }[];
}

export interface Explanation {
  readonly score: number;
  readonly level: string;
  readonly decision: string;
  readonly message: string;
  readonly understood: boolean;
  readonly digest: string;
  readonly digestHash: string;
  readonly profiles: readonly string[];
  readonly rules: readonly {
    readonly id: string;
    readonly points: number;
    readonly reason: string;
    readonly instead: string;
  }[];
  readonly statements: readonly {
    readonly kind: string;
    readonly tablesRead: readonly string[];
    readonly tablesWritten: readonly string[];
  }[];
}

export interface Setting {
  readonly key: string;
  readonly value?: string;
  readonly source: string;
  readonly where?: string;
}

export interface Reload {
  readonly time: string;
  readonly by: string;
  readonly outcomes: readonly {
    readonly what: string;
    readonly outcome: "unchanged" | "replaced" | "refused";
    readonly problems?: string;
    readonly needsRestart?: string;
  }[];
}

export interface DoctorFinding {
  readonly id: string;
  readonly title: string;
  readonly listener?: string;
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly detail: string;
  readonly remedy?: { readonly text: string; readonly commands: readonly string[]; readonly docs: string };
}

export interface Access {
  readonly keys: readonly Principal[];
  readonly browserSessions: number;
}
