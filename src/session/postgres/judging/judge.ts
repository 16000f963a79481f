/** Where a session of PostgreSQL asks whether a statement may run. */
import type { BoundValue } from "../../../sql/facts.ts";
import type { Judgement, SessionSubject } from "../../statement/statement-judge.ts";
import type { SessionFacts } from "../session-facts.ts";

export interface PostgresStatement {
  /** The message that brings it; StartupMessage for a setting that the session is to begin with. */
  readonly command: "StartupMessage" | "Query" | "Parse" | "Bind" | "Execute" | "FunctionCall";
  readonly sql: Uint8Array;
  /** Of a Bind: text as its bytes, undefined for what is in binary. */
  readonly values?: readonly BoundValue[] | undefined;
  readonly facts: SessionFacts;
  readonly subject: SessionSubject;
  /** The texts that a name of a prepared statement may stand for; none where nobody has seen it given. */
  readonly preparedTexts: (name: string) => readonly Uint8Array[];
  /** Aborted when nobody waits for the verdict any more. */
  readonly signal: AbortSignal;
}

/** A statement that a text prepares by PREPARE. */
export interface NamedText {
  readonly name: string;
  /** The whole of it, from its PREPARE on. */
  readonly sql: Uint8Array;
}

export interface PostgresJudge {
  /** A promise for what takes long to read; nothing else of the session is sent meanwhile. */
  judge(statement: PostgresStatement): Judgement | Promise<Judgement>;
  /** What the text prepares by names; undefined where it may do so unseen. A judge without it sees none. */
  namesGivenBy?(sql: Uint8Array, facts: SessionFacts): readonly NamedText[] | undefined;
}
