/** What sessions share: those of one listener, and all of a process. */
import type { AuditEvent, AuditEventOf } from "../audit/audit-event.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { LoopShare } from "../base/loop-share.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Slots } from "../base/slots.ts";
import type { PasswordSource } from "../token/password.ts";
import type { TokenManager } from "../token/token-manager.ts";
import type { PasswordChecks } from "./accounts/password-checks.ts";
import type { DataGuardCounts } from "./limits/data-guard.ts";
import type { SilentClients } from "./limits/silent-clients.ts";
import type { UserSlots } from "./limits/user-slots.ts";
import type { UserWindows } from "./limits/user-windows.ts";
import type { ListenerOptions } from "./listener-options.ts";
import type { BackendProfile } from "./mysql/login/backend-profile.ts";
import type { RowEstimates } from "./mysql/statements/row-estimates.ts";
import type { DecisionLog } from "./statement/decision-log.ts";
import type { StatementApprovals } from "./statement/statement-approvals.ts";
import type { StatementJudge } from "./statement/statement-judge.ts";
import type { WriterWatch } from "./writer-watch.ts";

/** Where sessions record what happens; see AuditLog for what "recorded" means. */
export interface AuditTrail {
  /** Random id of this process's life: makes session ids unique over restarts. */
  readonly run: string;
  /** False where nothing is kept: then no record need be made. */
  readonly isKept: boolean;
  append(event: AuditEvent): void | Promise<void>;
  /** For what need not be there before anything else happens. Never throws. */
  appendSoon(event: AuditEventOf<"statement-outcome">): void;
  hashText(text: Uint8Array): string;
  /** Encrypts a text for the holder of the reading key; absent where none is configured. */
  readonly sealText?: ((text: Uint8Array) => string) | undefined;
  /** The same hash without keeping others waiting for it. */
  hashLongText(text: Uint8Array): Promise<string>;
}

/** Shared by all listeners: a user's windows and slots count every connection. */
export interface ProcessServices {
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
  readonly judge: StatementJudge;
  readonly approvals: StatementApprovals;
  readonly decisionLog: DecisionLog;
  readonly userWindows: UserWindows;
  readonly userSlots: UserSlots;
  readonly passwordChecks: PasswordChecks;
  readonly memory: MemoryBudget;
  /** Of logins that hold a backend before the client has said anything. */
  readonly loginSlots: Slots;
  /** Of connections to a backend that are nobody's session: they come in crowds where the clients of many leave at once. */
  readonly sideSlots: Slots;
  readonly silentClients: SilentClients;
  /** Of commands whose client did not wait for the answer to the one before. */
  readonly pipelined: LoopShare;
  /** Of sessions that begin. */
  readonly newcomers: LoopShare;
  /** A connection id for clients that are greeted before the backend is dialled. */
  nextOwnConnectionId(): number;
}

/** Shared by the sessions of one listener. */
export interface SessionServices extends ProcessServices {
  readonly options: ListenerOptions;
  readonly tokens: TokenManager | undefined;
  /** Where the password comes from that querycop holds for the backend. */
  readonly passwords?: PasswordSource | undefined;
  readonly logger: Logger;
  readonly backendProfile: BackendProfile;
  /** Where only a server that takes writes will do. */
  readonly writers?: WriterWatch | undefined;
  readonly dataGuardCounts: DataGuardCounts;
  readonly rowEstimates: RowEstimates;
  /** What the data guard's window goes by: the machine's clock, unless a test moves its own. */
  readonly clock?: Clock;
  /** The backend's id for the id a client was greeted with, when the two differ. */
  backendConnectionId(greetedId: number): number | undefined;
  /** Ends the wait of the session whose client was greeted with this id, if it waits for an approval. */
  cancelHold(greetedId: number): void;
}
