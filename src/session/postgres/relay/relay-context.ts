/** What both directions of one session share. */

import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import type { OwnError } from "../../../postgres/backend-message.ts";
import type { FrontendMessage } from "../../../postgres/frontend-message.ts";
import { ResponseQueue } from "../../../postgres/response-queue.ts";
import { DataGuard } from "../../limits/data-guard.ts";
import type { SessionMemory } from "../../session-memory.ts";
import type { SessionServices } from "../../session-services.ts";
import type { SessionSubject } from "../../statement/statement-judge.ts";
import type { BackendConnection } from "../backend-connection.ts";
import type { ClientLeg } from "../client-leg.ts";
import type { DsqlWatch } from "../dsql/dsql-watch.ts";
import type { PostgresJudge } from "../judging/judge.ts";
import type { SessionFacts } from "../session-facts.ts";
import { type NameChange, Names } from "../statements/names.ts";
import { PreparedByText } from "../statements/prepared-by-text.ts";
import type { StatementLog, StatementRecord } from "../statements/statement-log.ts";

/** A text that was prepared on the wire. */
export interface PreparedText {
  /** A copy: the chunk that it came in is not kept for it. */
  readonly sql: Uint8Array;
  /** It may be a COPY that the client's data follow. */
  readonly mayCopyIn: boolean;
  /** OIDs of its parameters' types; 0, or none at all, where that is not known. */
  parameterTypes: readonly number[];
}

/** More are not remembered: their values in binary are not read then. */
const PARAMETER_TYPES_MAX = 1024;
const PARAMETER_TYPE_BYTES = 8;
const NO_TYPES: readonly number[] = [];

/** As many as the text has room for, so that they take no memory that it does not. */
export function keptTypes(types: readonly number[], sql: Uint8Array): readonly number[] {
  return types.length <= PARAMETER_TYPES_MAX && PARAMETER_TYPE_BYTES * types.length <= 4 * sql.length
    ? types
    : NO_TYPES;
}

const bytesHeldFor = ({ sql }: PreparedText): number =>
  sql.length + Math.min(4 * sql.length, PARAMETER_TYPE_BYTES * PARAMETER_TYPES_MAX);

/** What a Bind has made. */
export interface Portal {
  readonly record: StatementRecord;
  /** As of its statement. */
  readonly mayCopyIn: boolean;
}

/** What is remembered of a forwarded message until it is answered. */
export interface Forward {
  readonly unit: number;
  /** The statement that its answer counts for. */
  readonly record?: StatementRecord;
  statement?: NameChange<PreparedText>;
  portal?: NameChange<Portal>;
  /** The statement whose parameters are asked for, where it can be one only. */
  readonly described?: PreparedText | undefined;
  /** What the client is told in place of the server's error. */
  readonly refusal?: OwnError;
  /** To be told in front of its first answer. */
  notice?: Uint8Array;
}

/** What one of these takes at most, whatever it holds by reference. */
const REMEMBERED_BYTES = 300;

export interface RelayOptions {
  readonly services: Pick<
    SessionServices,
    "options" | "metrics" | "logger" | "userWindows" | "dataGuardCounts" | "pipelined" | "clock"
  >;
  readonly judge: PostgresJudge;
  readonly subject: SessionSubject;
  readonly client: ClientLeg;
  readonly backend: BackendConnection;
  readonly facts: SessionFacts;
  readonly log: StatementLog;
  readonly memory: SessionMemory;
  readonly signal: AbortSignal;
  /** Where the backend is Aurora DSQL. */
  readonly dsql: DsqlWatch | undefined;
  /** Stops what runs at the backend. */
  readonly cancelRunning: () => void;
}

/** They begin a unit that only a Sync ends. What a COPY sends belongs to a Query as well. */
const PREPARING: ReadonlySet<FrontendMessage["name"]> = new Set(["Parse", "Bind", "Describe", "Close"]);

export class RelayContext {
  readonly services: RelayOptions["services"];
  readonly judge: PostgresJudge;
  readonly subject: SessionSubject;
  readonly client: ClientLeg;
  readonly backend: BackendConnection;
  readonly facts: SessionFacts;
  readonly log: StatementLog;
  readonly memory: SessionMemory;
  readonly signal: AbortSignal;
  readonly dsql: DsqlWatch | undefined;
  readonly cancelRunning: () => void;
  readonly dataGuard: DataGuard;
  readonly queue: ResponseQueue<Forward> = new ResponseQueue();
  readonly statements: Names<PreparedText> = new Names(bytesHeldFor);
  readonly portals: Names<Portal> = new Names();
  readonly preparedByText: PreparedByText;
  /** All that the name may stand for now. */
  readonly preparedTexts = (name: string): readonly Uint8Array[] => [
    ...this.statements.candidates(name, this.unit).map(({ sql }) => sql),
    ...this.preparedByText.of(name),
  ];
  /** Of what is forwarded now: each Sync ends one. */
  unit = 1;
  /** What of it was forwarded: what has run in it is an implicit transaction, up to the Sync. */
  unitHolds: "nothing" | "preparation" | "effects" = "nothing";
  /** The last that the server is through with. */
  unitEnded = 0;
  lastActivityMs: number = SYSTEM_CLOCK.monotonicMs();
  /** A statement waits for its verdict or an approval. */
  isWaiting = false;
  #wake: (() => void) | undefined;
  #isOver = false;

  constructor(options: RelayOptions) {
    const { services, judge, subject, client, backend, facts, log, signal } = options;
    this.services = services;
    this.judge = judge;
    this.subject = subject;
    this.client = client;
    this.backend = backend;
    this.facts = facts;
    this.log = log;
    this.memory = options.memory;
    this.signal = signal;
    this.dsql = options.dsql;
    this.cancelRunning = options.cancelRunning;
    this.preparedByText = new PreparedByText(services.options.preparedStatementsMax);
    this.dataGuard = new DataGuard({
      limits: services.options.dataGuard,
      // What does not fit is left out whole, so nothing has to be held back.
      holdBackBytes: 0,
      users: services.userWindows,
      user: () => facts.user,
      clock: services.clock ?? SYSTEM_CLOCK,
      notify: ({ action, limit, used }) => {
        services.dataGuardCounts.warnings++;
        services.logger.warn("data guard", { user: facts.user, client: subject.clientAddress, action, limit, used });
        log.limitReached(facts.ordinal, action, limit);
      },
    });
  }

  /** What is remembered for the client: texts that it has prepared, and whatever is not answered yet. */
  get heldBytes(): number {
    const { statements, portals, queue, log } = this;
    return statements.bytes + REMEMBERED_BYTES * (statements.size + portals.size + queue.length + log.openCount);
  }

  /** Nothing is under way in either direction. */
  get isIdle(): boolean {
    return this.queue.isIdle && !this.isWaiting;
  }

  /** To be called for every message in the order in which they go to the backend. */
  forwarded(message: FrontendMessage, tag: Forward, isPoisoned = false): void {
    this.queue.push(message, tag, isPoisoned);
    if (message.name === "Sync") {
      this.unit++;
      this.unitHolds = "nothing";
    } else if (message.name === "Execute" || (message.name === "Query" && this.unitHolds !== "nothing")) {
      this.unitHolds = "effects";
    } else if (PREPARING.has(message.name) && this.unitHolds === "nothing") {
      this.unitHolds = "preparation";
    }
  }

  /** Waits for the answers to what comes in front of this unit. Resolves to whether a statement would hold locks by waiting. */
  async isInTransaction(): Promise<boolean> {
    await this.until(() => this.unitEnded >= this.unit - 1 && (this.unitHolds !== "nothing" || this.queue.isIdle));
    return this.facts.isInTransaction || this.unitHolds === "effects";
  }

  /** Resolves once `holds` does, which is looked at whenever the backend has said something, or the session is over. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds() && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The backend has said something. */
  progressed(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.progressed();
  }
}
