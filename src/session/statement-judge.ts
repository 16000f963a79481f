/** Where a session asks whether a statement may run. */
import type { DataLimits } from "../policy/limits.ts";
import type { Subject } from "../policy/policy.ts";
import type { SessionState } from "./session-state.ts";

/** The product's decision words. */
export type DecisionAction = "allow" | "warn" | "block" | "require-approval";

export interface StatementRequest {
  readonly command: string;
  /** The text alone: query attributes are already taken off. */
  readonly sql: Uint8Array;
  readonly state: SessionState;
  readonly session: SessionSubject;
}

/** Who asks, as far as it does not change within a login. */
export interface SessionSubject {
  readonly listener: string;
  readonly clientAddress: string;
  readonly isTls: boolean;
  readonly backendRole: string | undefined;
  readonly backendPooler: string | undefined;
  readonly isAurora: boolean;
  /** The same in the policy's terms. */
  readonly fixed: Pick<Subject, "clientAddress" | "isTls" | "listener" | "backendRole" | "backendPooler" | "isAurora">;
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
  readonly policyVersion: string | undefined;
  readonly text: string;
  readonly textForm: "digest" | "redacted" | "raw" | "none";
  readonly statementKind: string | undefined;
  /** File names that LOAD DATA LOCAL statements of the text give; undefined when the text was not analysed. */
  readonly localFiles: readonly string[] | undefined;
  /** What a profile sets instead of the listener's limits on data. */
  readonly limits?: Partial<DataLimits> | undefined;
  /**
   * What the statement does to how later texts are read, where the server does not report it: nothing, something that
   * can be asked for, or something unknown.
   */
  readonly afterwards: "nothing" | "ask" | "unknown";
}

export interface StatementJudge {
  /** Whether a judgement depends on how the server reads SQL: sessions then ask it. */
  readonly readsSql: boolean;
  judge(request: StatementRequest): Judgement;
}
