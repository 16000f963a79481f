/** From the client to the backend: what is judged, what passes, and what takes the place of what is refused. */
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { QuerycopError } from "../../../base/errors.ts";
import type { OwnError } from "../../../postgres/backend-message.ts";
import { ClientMessageError, sqlStateOf } from "../../../postgres/error-states.ts";
import { decodeFrontendMessage, FRONTEND_MESSAGES, type FrontendMessage } from "../../../postgres/frontend-message.ts";
import { encodeMessage, type Message, typeByte } from "../../../postgres/message.ts";
import { encodePoisoned, isRefusable, type Refusable } from "../../../postgres/poison.ts";
import { FORWARDED_MAX } from "../../../postgres/response-queue.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import { type BackendPermit, permitOf } from "../backend-permit.ts";
import { ownErrorOf } from "../client-leg.ts";
import { JobRow } from "../dsql/job-id.ts";
import type { PostgresStatement } from "../judging/judge.ts";
import { type Gate, type HeldPassage, statementsOf, worstOf } from "../judging/judging.ts";
import { mayChangeNames, mayCopyIn } from "../judging/text-signs.ts";
import { requireWallStands } from "../statements/read-only-wall.ts";
import type { LoggedStatement, StatementRecord } from "../statements/statement-log.ts";
import { ClientIntake } from "./client-intake.ts";
import { refusalOf, warningOf } from "./judgement-texts.ts";
import { type Forward, keptTypes, type PreparedText, type RelayContext } from "./relay-context.ts";

const TERMINATE = typeByte("X");

type MaybePromise = Promise<void> | undefined;
type Decoded<Name extends FrontendMessage["name"]> = Extract<FrontendMessage, { name: Name }>;

/**
 * Answers that may be awaited at a time. A server keeps what it has for others until 8 KiB are full or it is asked for them:
 * that is fewer, with five bytes each at least.
 */
const AWAITED_MAX = FORWARDED_MAX / 16;
/** Messages in one go, of a client that has sent as many; most statements are five. */
const PIPELINED_MAX = 16;
/** Commands of MySQL's that take as long. */
const PIPELINED_COMMANDS = 2;
/** Data of a COPY are passed on as they are. */
const COPIED_WEIGHT = 1 / 16;

/** A decided message: what is forwarded with it. */
interface Passage {
  readonly message: Message;
  readonly decoded: Refusable;
  /** What is judged and recorded; undefined where it was, with the portal that an Execute names. */
  readonly sql: Uint8Array;
  /** The record's hash of a long text. */
  readonly textHash?: string;
  /** The name that it gives has several meanings: the judgement is the worst of them, `sql` the first. */
  readonly isAmbiguous: boolean;
  readonly mayCopyIn: boolean;
}

export class FrontendRelay {
  readonly #context: RelayContext;
  readonly #gate: Gate;
  readonly #intake: ClientIntake;
  /** Messages since others had a turn. */
  #pipelined = 0;
  /** A COPY may have begun, and what comes next means another thing then. */
  #awaitsCopy = false;
  /** What the server answers with an error, and skips everything behind it up to the unit's Sync. */
  #refused: { readonly unit: number; readonly refusal: OwnError } | undefined;

  constructor(context: RelayContext, gate: Gate) {
    this.#context = context;
    this.#gate = gate;
    this.#intake = new ClientIntake(context.client, context.memory, () => context.heldBytes);
  }

  /** Runs until the client has said goodbye or closed. Throws what ends the session before. */
  async run(): Promise<void> {
    const intake = this.#intake;
    for (;;) {
      const message = intake.next();
      if (message === undefined) {
        const more = this.#takeMore();
        if (more === false) break;
        if (more !== true) await more;
        continue;
      }
      if (message.type === TERMINATE) break;
      const pending = this.#take(message);
      if (pending !== undefined || intake.isInUse) await this.#untilTaken(pending);
      else if (this.#pipelined >= PIPELINED_MAX) await this.#turn();
    }
    this.#context.backend.sendNow({ kind: "own", message: "Terminate" }, encodeMessage("X"));
  }

  /** Takes in what has come, or waits for it. False where the client has closed. */
  #takeMore(): Promise<void> | boolean {
    const { backend, client, services } = this.#context;
    this.#pipelined = 0;
    if (!backend.flush()) return backend.drainedWithin(services.options.backend.writeTimeoutMs);
    if (this.#intake.take()) {
      this.#context.lastActivityMs = SYSTEM_CLOCK.monotonicMs();
      return true;
    }
    return !client.leg.isFinished && !client.leg.isDead && this.#intake.wait();
  }

  /** What was large is not held any longer than until the backend has it. */
  async #untilTaken(pending: MaybePromise): Promise<void> {
    const { backend, services } = this.#context;
    this.#pipelined = 0;
    backend.flush();
    await pending;
    if (!this.#intake.isInUse) return;
    backend.flush();
    await backend.drainedWithin(services.options.backend.writeTimeoutMs);
    this.#intake.letGo();
  }

  /** A client that has sent many messages leaves others their turns. */
  async #turn(): Promise<void> {
    const { backend, services } = this.#context;
    this.#pipelined = 0;
    backend.flush();
    await new Promise<void>((resolve) => {
      if (services.pipelined.take(PIPELINED_COMMANDS, resolve)) resolve();
    });
    this.#requireAlive();
  }

  /** Undefined where the message was dealt with at once; what it adds is not sent before the next flush. */
  #take(message: Message): MaybePromise {
    const { queue } = this.#context;
    if (this.#awaitsCopy || queue.length > AWAITED_MAX) return this.#wait().then(() => this.#take(message));
    const row = FRONTEND_MESSAGES[message.type];
    this.#pipelined += COPIED_WEIGHT;
    if (row?.name === "CopyData") {
      this.#context.backend.send({ kind: "forwarded", name: row.name }, message);
      return undefined;
    }
    this.#pipelined += 1;
    const decoded = decodeFrontendMessage(message.type, message.body, this.#context.facts.encoding);
    if (this.#refused?.unit === this.#context.unit && isRefusable(decoded)) return this.#skipped(decoded);
    switch (decoded.name) {
      case "Query":
      case "Parse":
      case "Bind":
      case "FunctionCall":
        this.#context.facts.ordinal++;
        return this.#judged(message, decoded);
      case "Execute":
        return this.#execute(message, decoded);
      case "Close":
        this.#close(message, decoded);
        return undefined;
      case "Describe":
        this.#describe(message, decoded);
        return undefined;
      case "AuthenticationResponse":
        throw new ClientMessageError(
          "QC_CLIENT_PROTOCOL",
          "08P01",
          "A password message where no password is asked for",
        );
      default:
        this.#forward({ kind: "forwarded", name: decoded.name }, message, decoded, { unit: this.#context.unit });
        return undefined;
    }
  }

  /** Until it is known whether a COPY has begun, or until fewer answers are awaited. */
  async #wait(): Promise<void> {
    const { queue, backend } = this.#context;
    backend.flush();
    if (this.#awaitsCopy) {
      await this.#context.until(() => queue.isCopyIn || queue.isIdle || queue.isDiscarding);
      this.#awaitsCopy = false;
    }
    await this.#context.until(() => queue.length <= AWAITED_MAX);
    this.#requireAlive();
  }

  #requireAlive(): void {
    const { backend, client } = this.#context;
    if (client.leg.isDead) throw new QuerycopError("QC_CLIENT_CLOSED", "The client went away");
    if (backend.isDead)
      throw backend.failure ?? new QuerycopError("QC_BACKEND_CLOSED", "The backend closed the connection");
  }

  #forward(permit: BackendPermit, message: Message, decoded: FrontendMessage, tag: Forward): void {
    this.#context.backend.send(permit, message);
    this.#context.forwarded(decoded, tag);
  }

  #close(message: Message, decoded: Extract<FrontendMessage, { of: string }>): void {
    const { unit, statements, portals } = this.#context;
    const change =
      decoded.target === "statement"
        ? { statement: statements.change(decoded.of, undefined, unit) }
        : { portal: portals.change(decoded.of, undefined, unit) };
    this.#forward({ kind: "forwarded", name: decoded.name }, message, decoded, { unit, ...change });
  }

  #describe(message: Message, decoded: Extract<FrontendMessage, { of: string }>): void {
    const { unit, statements } = this.#context;
    const found = decoded.target === "statement" ? statements.candidates(decoded.of, unit) : [];
    const described = found.length === 1 ? found[0] : undefined;
    this.#forward({ kind: "forwarded", name: decoded.name }, message, decoded, { unit, described });
  }

  /** More of a portal that was judged with its Bind. Any other may be a cursor of SQL's own. */
  #execute(message: Message, decoded: Decoded<"Execute">): MaybePromise {
    const { portals, unit, facts } = this.#context;
    const found = portals.candidates(decoded.portal, unit);
    const last = found.at(-1);
    if (last === undefined) {
      facts.ordinal++;
      return this.#judged(message, decoded);
    }
    const permit: BackendPermit = { kind: "portal", ordinal: last.record.ordinal };
    this.#forward(permit, message, decoded, { unit, record: last.record });
    if (found.some((portal) => portal.mayCopyIn)) this.#expectCopy(true);
    return undefined;
  }

  /**
   * A server does not send what it has for an Execute before a Sync or Flush, and those wait behind a COPY that may have
   * begun: so it is asked for.
   */
  #expectCopy(isExtended: boolean): void {
    if (isExtended) {
      this.#context.backend.send({ kind: "own", message: "Flush" }, encodeMessage("H"));
      this.#context.queue.demand();
    }
    this.#awaitsCopy = true;
  }

  #judged(message: Message, decoded: Refusable): MaybePromise {
    const context = this.#context;
    if (decoded.name === "FunctionCall") {
      return this.#refuseUnjudged(decoded, {
        severity: "ERROR",
        code: "42501",
        message: "querycop: FunctionCall is not allowed: it runs any function without a statement",
        hint: "Call the function with SELECT, so that a policy can see it.",
      });
    }
    const statements = statementsOf(context, decoded);
    if (statements === "too-many") return this.#settle().then(() => this.#judged(message, decoded));
    if (statements === "no-statement") {
      return this.#refuseUnjudged(decoded, {
        severity: "ERROR",
        code: "26000",
        message: "querycop: unnamed prepared statement does not exist",
      });
    }
    const noRoom = this.#noRoomFor(decoded);
    if (noRoom !== undefined) return this.#refuseUnjudged(decoded, noRoom);
    if (decoded.name === "Parse" && statements.length > 0 && this.#isFull()) {
      return this.#refuseUnjudged(decoded, {
        severity: "ERROR",
        code: "54000",
        message: `querycop: more than ${context.services.options.preparedStatementsMax} statements are prepared (GATEKEEPER_PREPARED_STATEMENTS_MAX)`,
        hint: "Close statements that are not used any more.",
      });
    }
    const [first] = statements as readonly [PostgresStatement, ...PostgresStatement[]];
    const judgement = this.#judgementOn(statements);
    const passage = {
      message,
      decoded,
      sql: first.sql,
      isAmbiguous: statements.length > 1,
      mayCopyIn: this.#mayCopyIn(decoded),
    };
    if (!(judgement instanceof Promise)) return this.#decided(passage, judgement);
    return this.#onceJudged(passage, judgement);
  }

  /** Waits for the verdict on a long text, which is hashed in slices then: no other session waits for that. */
  async #onceJudged(passage: Passage, judging: Promise<Judgement>): Promise<void> {
    const context = this.#context;
    const { log } = context;
    context.isWaiting = true;
    const verdict = await judging;
    const textHash = log.isKept ? await log.hashLongText(passage.sql) : undefined;
    context.isWaiting = false;
    this.#requireAlive();
    await this.#decided(textHash === undefined ? passage : { ...passage, textHash }, verdict);
  }

  #mayCopyIn(decoded: Refusable): boolean {
    if (decoded.name === "Query" || decoded.name === "Parse") return mayCopyIn(decoded.sql);
    const { statements, unit } = this.#context;
    return decoded.name === "Bind" && statements.candidates(decoded.statement, unit).some((text) => text.mayCopyIn);
  }

  /** What is prepared under a name is kept as long as the client likes. */
  #noRoomFor(decoded: Refusable): OwnError | undefined {
    if (decoded.name !== "Parse" || decoded.statement === "") return undefined;
    const refusal = this.#context.memory.refusalToKeep(decoded.sql.length, "another prepared statement");
    return refusal === undefined ? undefined : ownErrorOf(refusal, "ERROR");
  }

  #isFull(): boolean {
    return this.#context.statements.size >= this.#context.services.options.preparedStatementsMax;
  }

  /** Until all units before this one are answered, so that names have one meaning. */
  async #settle(): Promise<void> {
    const context = this.#context;
    context.backend.flush();
    await context.until(() => context.unitEnded >= context.unit - 1);
    this.#requireAlive();
  }

  #decided(passage: Passage, judgement: Judgement): MaybePromise {
    const { metrics } = this.#context.services;
    metrics.decisions.of(judgement.action, judgement.ruleId ?? "none").value++;
    if (judgement.action === "block") return this.#refuse(passage, judgement);
    if (judgement.action === "require-approval" && passage.decoded.name !== "Parse") {
      return this.#approved(passage, judgement);
    }
    return this.#send(passage, judgement);
  }

  async #approved(passage: Passage, judgement: Judgement): Promise<void> {
    this.#context.isWaiting = true;
    this.#context.backend.flush();
    const clearance = await this.#gate.seek(this.#held(passage, judgement), judgement).finally(() => {
      this.#context.isWaiting = false;
    });
    this.#requireAlive();
    await (clearance.action === "block" ? this.#refuse(passage, clearance) : this.#send(passage, clearance));
  }

  #logged({ decoded, sql, isAmbiguous, textHash }: Passage): LoggedStatement {
    const statement = { command: decoded.name, sql, isAmbiguous, ordinal: this.#context.facts.ordinal };
    return textHash === undefined ? statement : { ...statement, textHash };
  }

  #held(passage: Passage, judgement: Judgement): HeldPassage {
    const { log } = this.#context;
    const { decoded, sql, message } = passage;
    return {
      decoded,
      sql,
      wireBytes: message.length,
      values: decoded.name === "Bind" ? decoded.values : [],
      recordHold: (approvalId, expiresInMs) =>
        log.hold(this.#logged(passage), { ...judgement, approvalId }, expiresInMs),
      recordBlocked: (ended) => log.blocked(this.#logged(passage), { ...ended, action: "block" }),
      judgeAgain: () => this.#verdictOn(decoded),
    };
  }

  /** Whatever its names stand for by now. */
  #verdictOn(decoded: Refusable): Judgement | Promise<Judgement> {
    const statements = decoded.name === "FunctionCall" ? "no-statement" : statementsOf(this.#context, decoded);
    if (typeof statements === "string") throw new Error(`A held ${decoded.name} has lost its statement`);
    return this.#judgementOn(statements);
  }

  #judgementOn(statements: readonly PostgresStatement[]): Judgement | Promise<Judgement> {
    const { judge } = this.#context;
    const [only] = statements;
    if (statements.length === 1 && only !== undefined) return judge.judge(only);
    return worstOf(statements.map((statement) => judge.judge(statement)));
  }

  #send(passage: Passage, judgement: Judgement): MaybePromise {
    const { log, facts, unit, dataGuard } = this.#context;
    requireWallStands(facts, judgement);
    dataGuard.apply(judgement.limits);
    const overLimit = dataGuard.refusal();
    if (overLimit !== undefined && passage.decoded.name !== "Parse") {
      this.#context.services.dataGuardCounts.statementsRefused++;
      const { clientMessage } = overLimit;
      return this.#refuse(passage, { ...judgement, action: "block", clientMessage, sqlState: sqlStateOf(overLimit) });
    }
    let record: StatementRecord | Promise<StatementRecord>;
    try {
      record = log.intent(this.#logged(passage), judgement, unit);
    } catch (thrown) {
      return this.#refuseUnrecorded(passage.decoded, thrown);
    }
    if (!(record instanceof Promise)) {
      this.#pass(passage, judgement, record);
      return undefined;
    }
    return record.then(
      (recorded) => {
        this.#requireAlive();
        this.#pass(passage, judgement, recorded);
      },
      (thrown: unknown) => this.#refuseUnrecorded(passage.decoded, thrown),
    );
  }

  #pass(passage: Passage, judgement: Judgement, record: StatementRecord): void {
    const { facts, unit, statements, portals, dsql } = this.#context;
    if (dsql !== undefined) {
      dsql.sent(judgement.tablesWritten ?? [], judgement.keysWritten ?? []);
      if (mayStartJob(judgement)) record.job = new JobRow();
    }
    const { message, decoded, sql, mayCopyIn } = passage;
    const tag: Forward = { unit, record };
    if (decoded.name === "Parse") {
      tag.statement = statements.change(decoded.statement, textOf(decoded, mayCopyIn), unit);
    } else if (decoded.name === "Bind") {
      tag.portal = portals.change(decoded.portal, { record, mayCopyIn }, unit);
    }
    if (judgement.action === "warn") {
      tag.notice = warningOf(judgement);
      if (decoded.name !== "Parse") this.#gate.tellWarned(judgement);
    }
    this.#forward(permitOf(judgement), message, decoded, tag);
    if (judgement.afterwards !== "none") facts.isUnsettled = true;
    if (decoded.name !== "Parse" && (judgement.tablesWritten?.length ?? 0) > 0) facts.noteWrite();
    // The text of a Bind has come by before.
    if (decoded.name !== "Bind" && mayChangeNames(sql)) this.#noteNames(sql);
    if (passage.mayCopyIn && decoded.name === "Query") this.#expectCopy(false);
  }

  #noteNames(sql: Uint8Array): void {
    const { judge, facts, preparedByText } = this.#context;
    const given = judge.namesGivenBy?.(sql, facts);
    if (given === undefined || !preparedByText.add(given)) facts.areNamesDoubtful = true;
  }

  #refuse(passage: Passage, judgement: Judgement): MaybePromise {
    const { log } = this.#context;
    this.#gate.tellBlocked(judgement);
    this.#poison(passage.decoded, refusalOf(judgement), judgement.decisionId);
    if (!log.isKept) return undefined;
    void log.blocked(this.#logged(passage), judgement);
    return undefined;
  }

  #refuseUnjudged(decoded: Refusable, refusal: OwnError): undefined {
    this.#gate.recordRefused(decoded.name);
    this.#poison(decoded, refusal);
    return undefined;
  }

  #refuseUnrecorded(decoded: Refusable, thrown: unknown): undefined {
    if (!(thrown instanceof QuerycopError)) throw thrown;
    this.#poison(decoded, {
      severity: "ERROR",
      code: "58000",
      message: "querycop: the audit log cannot record this statement, so it was not sent; see querycop doctor",
    });
    return undefined;
  }

  /**
   * Behind a refused message, what the client has sent ahead is no statement of its own: the server reads none of it.
   * SAFETY: what goes there in its place fails as well.
   */
  #skipped(decoded: Refusable): undefined {
    if (this.#refused !== undefined) this.#poison(decoded, this.#refused.refusal);
    return undefined;
  }

  #poison(decoded: Refusable, refusal: OwnError, reference?: string): void {
    // An error of the others ends with themselves.
    if (decoded.name !== "Query" && decoded.name !== "FunctionCall") {
      const { unit } = this.#context;
      if (this.#refused?.unit !== unit) this.#refused = { unit, refusal };
    }
    this.#context.backend.send({ kind: "poison" }, encodePoisoned(decoded, reference));
    this.#context.forwarded(decoded, { unit: this.#context.unit, refusal }, true);
  }
}

function textOf({ sql, parameterTypes }: Decoded<"Parse">, mayCopyIn: boolean): PreparedText {
  const copy = sql.slice();
  return { sql: copy, mayCopyIn, parameterTypes: keptTypes(parameterTypes, copy) };
}

/** Aurora DSQL answers such statements with the id of a job. */
function mayStartJob({ statementKind }: Judgement): boolean {
  return statementKind === "create-index" || statementKind === "alter-table";
}
