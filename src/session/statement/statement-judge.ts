/** Where a session asks whether a statement may run. */
import type { ImpactPlan } from "../../policy/impact.ts";
import type { DataLimits } from "../../policy/limits.ts";
import type { ApprovalSettings, Subject } from "../../policy/policy.ts";
import type { SessionEffect } from "../../policy/session-effect.ts";
import type { PreparedText } from "../../policy/sql-engine.ts";
import type { BoundValue, MysqlContext, SqlContext } from "../../sql/facts.ts";
import type { DynamicEffect } from "../mysql/judging/dynamic-sql.ts";
import type { SessionState } from "../mysql/session-state.ts";

/** The product's decision words. */
export type DecisionAction = "allow" | "warn" | "block" | "require-approval";

export interface StatementRequest {
  readonly command: string;
  /** The text alone: query attributes are already taken off. */
  readonly sql: Uint8Array;
  readonly state: SessionState;
  readonly session: SessionSubject;
  /** When a prepared statement runs: the statement, and what is bound to it. */
  readonly execution?: Execution<MysqlContext>;
  /** Of the text, when the impact guard has asked. */
  readonly estimatedRows?: number | "unknown" | undefined;
  /** Aborted when nobody waits for the verdict any more. */
  readonly signal?: AbortSignal;
}

export interface Execution<Context extends SqlContext> {
  readonly text: PreparedText<Context>;
  readonly values: readonly BoundValue[];
  /** Of all executions that one command asks for, where it asks for several: each can be gone through anew. */
  readonly rows?: { readonly count: number; values(): Iterable<readonly BoundValue[]> };
}

/** Who asks, as far as it does not change within a login. */
export type SessionSubject = Pick<
  Subject,
  "clientAddress" | "isTls" | "listener" | "backendRole" | "backendPooler" | "isAurora" | "loads"
>;

/** How an approval is got, and what the approver is shown of the statement. Holds no literal of it. */
export interface ApprovalBrief {
  readonly settings: ApprovalSettings;
  readonly digest: string;
  readonly isUnderstood: boolean;
  readonly kinds: readonly string[];
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  /** Each rule in words. */
  readonly reasons: readonly string[];
  /** What stands behind the names in the text that run SQL: the text alone does not tell what is approved. */
  readonly behind: string | undefined;
}

/** What was decided about one statement text, and what the audit record says of it. */
export interface Judgement {
  readonly action: DecisionAction;
  readonly decisionId: string;
  /** For the client when the statement is refused: product, rule, score, reason, what to do instead. */
  readonly clientMessage: string | undefined;
  /** How a refusal is told. */
  readonly errorNumber: number;
  readonly sqlState: string;
  readonly score: number | undefined;
  readonly level: string | undefined;
  readonly rules: readonly string[];
  /** The rule that decided, when the action is not allow. */
  readonly ruleId: string | undefined;
  /** Why the text is not understood, where it was analysed for this very judgement and is not. */
  readonly notUnderstood: string | undefined;
  /** True when the analysis vouches for what it says of the text, also where that is remembered. */
  readonly isUnderstood?: boolean;
  /** True where a text that is refused may be one that the server cannot parse either. */
  readonly mayBeTypingError?: boolean;
  readonly policyVersion: string | undefined;
  readonly text: string;
  readonly textForm: "digest" | "redacted" | "raw" | "none";
  /** As a policy lists the statement, where `text` does not give it. */
  readonly digestHashes?: readonly string[] | undefined;
  readonly statementKind: string | undefined;
  /** Of SQL that it prepares or runs by name or out of a string: what that does, and to which tables. */
  readonly innerKinds?: readonly string[] | undefined;
  readonly tables?: readonly string[] | undefined;
  /** All that the text writes, where the session asks for it. */
  readonly tablesWritten?: readonly string[] | undefined;
  /** Which rows of them, by columns and classes of values. */
  readonly keysWritten?: readonly string[] | undefined;
  /** File names that LOAD DATA LOCAL statements of the text give: the server may ask for no other. */
  readonly localFiles: readonly string[];
  /** What a profile sets instead of the listener's limits on data. */
  readonly limits?: Partial<DataLimits> | undefined;
  /** Present when the action is require-approval. */
  readonly approval: ApprovalBrief | undefined;
  /** The approval under which the statement runs, or the one it did not get. */
  readonly approvalId?: string;
  readonly approver?: string;
  /** What the impact guard has to do. */
  readonly impact?: ImpactPlan | undefined;
  readonly estimatedRows?: number | undefined;
  /** Whether the profile in force is read-only. */
  readonly isReadOnly?: boolean;
  /** The default schema from then on, where the text does nothing but name it. */
  readonly usesSchema?: string | undefined;
  /** What the statement does to how later texts are read. */
  readonly afterwards: SessionEffect;
  /** What it does to the SQL that the session runs by name. */
  readonly dynamicEffect?: DynamicEffect | undefined;
}

export interface StatementJudge {
  /** Whether a judgement depends on how the server reads SQL: sessions then ask it. */
  readonly readsSql: boolean;
  /** Whether it depends on whether the case of tables' names counts: sessions then ask the server, once a login. */
  readonly asksTableCase?: boolean;
  /** A promise for what takes long to read; nothing else of the session may go on meanwhile. */
  judge(request: StatementRequest): Judgement | Promise<Judgement>;
}
