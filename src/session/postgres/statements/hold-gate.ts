/**
 * A statement that needs an approval: held until somebody answers, or refused at once with a request id. Nothing of it
 * reaches the backend meanwhile, and nothing behind it is read; what the backend says goes on to the client.
 */
import { createHash } from "node:crypto";
import type { AuditSession } from "../../../audit/audit-event.ts";
import { recordBestEffort } from "../../../audit/best-effort.ts";
import { ERROR_CODES } from "../../../base/errors.ts";
import type { CancelReason } from "../../../policy/approvals.ts";
import { encodeNoticeResponse } from "../../../postgres/backend-message.ts";
import { LENGTH_BYTES, MESSAGE_HEADER_BYTES, typeByte } from "../../../postgres/message.ts";
import { lengthAt } from "../../../postgres/message-reader.ts";
import type { SessionServices } from "../../session-services.ts";
import { approvalLost, type HeldStatement, type HoldingSession, seekApproval } from "../../statement/approval-hold.ts";
import type { GrantedClearance } from "../../statement/statement-approvals.ts";
import type { Judgement, SessionSubject } from "../../statement/statement-judge.ts";
import type { Gate, HeldPassage } from "../judging/judging.ts";
import type { RelayContext } from "../relay/relay-context.ts";

/** query_canceled, as a server says it of a statement that was cancelled, and admin_shutdown. */
const NUMBERS = {
  killed: { errorNumber: ERROR_CODES.QC_KILLED.errorNumber, sqlState: "57014" },
  shutdown: { errorNumber: ERROR_CODES.QC_SHUTDOWN.errorNumber, sqlState: "57P01" },
} as const;

/** Settings that what was approved depends on. */
const READING = ["client_encoding", "standard_conforming_strings", "search_path", "session_authorization"] as const;

export interface HoldGateOptions {
  readonly relay: RelayContext;
  readonly services: Pick<SessionServices, "approvals" | "audit" | "decisionLog" | "logger">;
  readonly session: () => AuditSession;
  /** A message of ours to the client. */
  readonly say: (wire: Uint8Array) => void;
}

export class HoldGate implements Gate, HoldingSession {
  readonly #options: HoldGateOptions;
  cancelHold: ((reason: CancelReason) => void) | undefined;

  constructor(options: HoldGateOptions) {
    this.#options = options;
  }

  get services(): HoldGateOptions["services"] {
    return this.#options.services;
  }

  get subject(): SessionSubject {
    return this.#options.relay.subject;
  }

  get user(): string {
    return this.#options.relay.facts.user;
  }

  get ordinal(): number {
    return this.#options.relay.facts.ordinal;
  }

  auditSession(): AuditSession {
    return this.#options.session();
  }

  get isHolding(): boolean {
    return this.cancelHold !== undefined;
  }

  /** False where nothing is held. */
  cancel(reason: CancelReason): boolean {
    if (this.cancelHold === undefined) return false;
    this.cancelHold(reason);
    return true;
  }

  /** The judgement under which the statement may run now, or the one it is refused with. Throws what ends the session. */
  async seek(passage: HeldPassage, judgement: Judgement): Promise<Judgement> {
    const holdsLocks = await this.#options.relay.isInTransaction();
    const run = { command: passage.decoded.name, sql: passage.sql };
    const recordHold = (approvalId: string, expiresInMs: number): void | Promise<void> => {
      this.#tell("statement held", judgement);
      if (judgement.approval?.settings.mode === "hold") this.#sayWaiting(approvalId, expiresInMs);
      return passage.recordHold(approvalId, expiresInMs);
    };
    const held = this.#heldOf(passage, holdsLocks);
    const clearance = await seekApproval(this, { run, held, judgement, recordHold });
    if (clearance.kind === "over") {
      const { approvalId, failure } = clearance;
      await passage.recordBlocked({ ...judgement, approvalId, errorNumber: failure.errorNumber });
      throw failure;
    }
    if (clearance.kind === "granted") return await this.#granted(passage, clearance);
    const { kind: _kind, ...told } = clearance;
    return { ...judgement, ...told, action: "block" };
  }

  #heldOf(passage: HeldPassage, holdsLocks: boolean): HeldStatement {
    const { relay } = this.#options;
    const { facts, backend, signal } = relay;
    return {
      numbers: NUMBERS,
      bytes: passage.wireBytes,
      holdsLocks,
      // What it is bound to is known: everything in front of it has been answered.
      settle: () => Promise.resolve(),
      bind: () => ({
        statementHash: hashOf(passage),
        schema: facts.database,
        reading: JSON.stringify([passage.decoded.name, ...READING.map((name) => facts.parameter(name) ?? null)]),
      }),
      lost: () => {
        if (signal.aborted) return "session-ended";
        return backend.isDead || backend.isEnded ? "backend-closed" : undefined;
      },
      clientLeaves: (isOver) => this.#clientLeaves(isOver),
    };
  }

  #sayWaiting(approvalId: string, expiresInMs: number): void {
    const waitS = Math.round(expiresInMs / 1000);
    const message = `querycop: waiting for an approval, for ${waitS} s at most [request ${approvalId}]`;
    this.#options.say(encodeNoticeResponse({ severity: "NOTICE", code: "00000", message }));
  }

  /** A FIN, a goodbye, and too much behind: a leg that is not read shows no end of the client, and nobody would wait for the result. */
  async #clientLeaves(isOver: () => boolean): Promise<CancelReason | undefined> {
    const { leg, messages } = this.#options.relay.client;
    while (!isOver()) {
      if (leg.isEnded || leg.isDead) return "client-closed";
      if (messages.bufferedBytes === 0 && isTerminate(leg.peek(MESSAGE_HEADER_BYTES))) return "client-quit";
      if (leg.isPaused) return "client-backlog";
      await leg.nextEvent();
    }
    return undefined;
  }

  /** SAFETY: the policy of this moment has the last word, whatever was approved under an earlier one. */
  async #granted(passage: HeldPassage, clearance: GrantedClearance): Promise<Judgement> {
    const { approvalId, approver } = clearance;
    const { approvals } = this.#options.services;
    const again = { ...(await passage.judgeAgain()), approvalId, approver };
    if (again.action === "block") {
      approvals.cancel(approvalId, "not-sent");
      return again;
    }
    if (approvals.use(approvalId)) return again;
    return { ...again, ...approvalLost(clearance), action: "block" };
  }

  tellBlocked(judgement: Judgement): void {
    this.#tell("statement blocked", judgement);
  }

  tellWarned(judgement: Judgement): void {
    this.#tell("statement warned", judgement);
  }

  #tell(what: "statement blocked" | "statement held" | "statement warned", judgement: Judgement): void {
    const { services, session } = this.#options;
    const logFields = (): Record<string, unknown> => {
      const { id, user, clientAddress } = session();
      return { session: id, user, client: clientAddress };
    };
    services.decisionLog.tell(what, { services, logFields }, judgement);
  }

  recordRefused(command: string): void {
    const { audit } = this.#options.services;
    const { ordinal } = this.#options.relay.facts;
    recordBestEffort(() =>
      audit.append({ type: "command", session: this.#options.session(), ordinal, command, action: "refused" }),
    );
  }
}

const TERMINATE = typeByte("X");

function isTerminate(head: Uint8Array): boolean {
  return head.length === MESSAGE_HEADER_BYTES && head[0] === TERMINATE && lengthAt(head, 1) === LENGTH_BYTES;
}

/** The text and what is bound to it. */
function hashOf({ sql, values }: HeldPassage): string {
  const hash = createHash("sha256").update(sql);
  for (const value of values) {
    hash.update(value === null ? "\0" : `\u0001${value.length}\0`).update(value ?? "");
  }
  return hash.digest("hex");
}
