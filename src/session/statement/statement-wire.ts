/** What the stages of a statement's life ask of the wire that it came by: the port that a protocol's wing implements. */
import type { QuerycopError } from "../../base/errors.ts";
import type { Permit } from "../backend-gate.ts";
import type { ResponseMeter } from "../limits/data-guard.ts";
import type { Clearance } from "./statement-approvals.ts";
import type { Judgement } from "./statement-judge.ts";
import type { StatementEnd } from "./statement-outcome.ts";
import type { RecordedStatement } from "./statement-session.ts";

/** Rows that a server expects a statement to go through. */
export type Estimate = number | "unknown";

export interface RunningStatement extends RecordedStatement {
  /** To prepare runs nothing yet: what is prepared is held, warned of and estimated when it runs. */
  readonly isPreparing: boolean;
}

/** One for a session. */
export interface StatementWire<Run extends RunningStatement, Meter extends ResponseMeter> {
  /** A promise for what takes long to read; nothing else of the session is sent meanwhile. */
  judge(run: Run, estimatedRows: Estimate | undefined): Judgement | Promise<Judgement>;
  /** Never throws. */
  estimate(run: Run, judgement: Judgement): Promise<Estimate>;
  /** Why a statement must not be sent any more that was looked at for a while; undefined when it may. */
  lostPeer(): QuerycopError | undefined;
  /** Whether the server may be asked about a text that is about to be refused. */
  isInDoubt(run: Run, judgement: Judgement): boolean;
  /** True when the client has been told what the server says of such a text; false when it is still to be refused. */
  tellInstead(run: Run, judgement: Judgement): Promise<boolean>;
  /** How a statement is refused that the policy lets pass and this listener does not. */
  objection(judgement: Judgement): Pick<Judgement, "action" | "errorNumber" | "sqlState" | "clientMessage"> | undefined;
  /** `recordHold` throws or rejects when it cannot be recorded that the statement waits. */
  seekApproval(
    run: Run,
    judgement: Judgement,
    recordHold: (approvalId: string, expiresInMs: number) => void | Promise<void>,
  ): Promise<Clearance>;
  /** Tells the client, in the place of an answer. */
  refuse(run: Run, told: Pick<QuerycopError, "errorNumber" | "sqlState"> & { readonly message: string }): void;
  refuseUnrecorded(run: Run, error: QuerycopError): void;
  /** Counts the answer that is to come. */
  meterFor(run: Run): Meter;
  /** Sends the statement, relays the whole answer and follows what the statement has done to the session. */
  forward(run: Run, judgement: Judgement, permit: Permit, meter: Meter): Promise<StatementEnd>;
}
