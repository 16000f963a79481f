/**
 * Requests for approval: who asked for what, who answered, and that an approval is used at most once. Knows no session,
 * no timer and no clock; moments are handed in.
 *
 *                ┌─ deny ────► denied
 *   pending ─────┼─ time ────► expired ◄── time ──┐
 *                ├─ cancel ──► cancelled ◄ cancel ┤
 *                └─ approve ─► approved ──────────┴─ use ─► used
 */

/** `hold`: the statement waits. `immediate`: it is refused at once, and passes once when sent again after an approval. */
export type ApprovalMode = "hold" | "immediate";

export type ApprovalState = "pending" | "approved" | "used" | "denied" | "expired" | "cancelled";

/** Why nobody needs an answer any more. */
export type CancelReason =
  | "client-closed"
  | "client-quit"
  | "client-backlog"
  | "backend-closed"
  | "session-ended"
  | "killed"
  | "shutdown"
  | "not-sent"
  | "not-recorded";

/** What an approval is good for. It fits nothing else. */
export interface ApprovalBinding {
  /** SHA-256 of the exact bytes, hexadecimal; with them the bound values of a prepared statement. */
  readonly statementHash: string;
  /** The session that asked. A held statement passes in that session only. */
  readonly session: string;
  readonly listener: string;
  readonly user: string;
  readonly schema: string;
  /** What else decides how the server reads these bytes: sql_mode, character set, several statements or one. */
  readonly reading: string;
}

export interface ApprovalRequest<Detail> {
  readonly mode: ApprovalMode;
  readonly binding: ApprovalBinding;
  /** Names the requester goes by: none of them may approve. */
  readonly requesters: readonly string[];
  readonly timeoutMs: number;
  /** How long an approval may be used. */
  readonly validForMs: number;
  /** How many requests one user may have open. */
  readonly openPerUserMax: number;
  /** For whoever looks at the request. */
  readonly detail: Detail;
}

export interface ApprovalEntry<Detail> {
  readonly id: string;
  readonly request: ApprovalRequest<Detail>;
  readonly state: ApprovalState;
  readonly openedMs: number;
  /** When it expires while it is pending or approved. */
  readonly expiresMs: number;
  /** When it left the state "pending". */
  readonly decidedMs: number | undefined;
  readonly approver: string | undefined;
  /** The approver's words, or a CancelReason. */
  readonly reason: string | undefined;
}

export interface ApprovalAnswer {
  readonly approver: string;
  readonly reason: string | undefined;
}

/** Why an answer has no effect. */
export type AnswerRefusal = "not-found" | "not-pending" | "own-request";

export type AnswerResult<Detail> =
  | { readonly kind: "taken"; readonly entry: ApprovalEntry<Detail> }
  | { readonly kind: "refused"; readonly why: AnswerRefusal; readonly entry: ApprovalEntry<Detail> | undefined };

export type RequestRefusal = "too-many" | "too-many-of-user" | "closed";

export type RequestResult<Detail> =
  | { readonly kind: "open"; readonly entry: ApprovalEntry<Detail> }
  | { readonly kind: "refused"; readonly why: RequestRefusal };

export interface ApprovalBookOptions<Detail> {
  /** Requests that are pending, or approved and not used. */
  readonly openMax: number;
  /** Ended requests that can still be looked up. */
  readonly endedMax: number;
  readonly idPrefix: string;
  /** Told of every entry whose time has run out. */
  readonly onExpired: (entry: ApprovalEntry<Detail>) => void;
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

export class ApprovalBook<Detail> {
  readonly #options: ApprovalBookOptions<Detail>;
  /** Pending and approved. */
  readonly #open = new Map<string, Mutable<ApprovalEntry<Detail>>>();
  /** The rest, oldest first. */
  readonly #ended = new Map<string, Mutable<ApprovalEntry<Detail>>>();
  /** Of mode `immediate`: what the same statement finds when it comes again. */
  readonly #byBinding = new Map<string, Mutable<ApprovalEntry<Detail>>>();
  #count = 0;
  #isClosed = false;

  constructor(options: ApprovalBookOptions<Detail>) {
    this.#options = options;
  }

  /** Open requests first, oldest first; then the ended ones, newest first. */
  entries(nowMs: number): readonly ApprovalEntry<Detail>[] {
    this.expire(nowMs);
    return [...this.#open.values(), ...[...this.#ended.values()].reverse()];
  }

  find(id: string, nowMs: number): ApprovalEntry<Detail> | undefined {
    this.expire(nowMs);
    return this.#open.get(id) ?? this.#ended.get(id);
  }

  get openCount(): number {
    return this.#open.size;
  }

  request(request: ApprovalRequest<Detail>, nowMs: number): RequestResult<Detail> {
    this.expire(nowMs);
    if (this.#isClosed) return { kind: "refused", why: "closed" };
    if (this.#open.size >= this.#options.openMax) return { kind: "refused", why: "too-many" };
    const { listener, user } = request.binding;
    let ofUser = 0;
    for (const { request: other } of this.#open.values()) {
      if (other.binding.user === user && other.binding.listener === listener) ofUser++;
    }
    if (ofUser >= request.openPerUserMax) return { kind: "refused", why: "too-many-of-user" };
    this.#count++;
    const entry: ApprovalEntry<Detail> = {
      id: `${this.#options.idPrefix}-${this.#count.toString(36)}`,
      request,
      state: "pending",
      openedMs: nowMs,
      expiresMs: nowMs + request.timeoutMs,
      decidedMs: undefined,
      approver: undefined,
      reason: undefined,
    };
    this.#open.set(entry.id, entry);
    if (request.mode === "immediate") this.#byBinding.set(keyOf(request.binding), entry);
    return { kind: "open", entry };
  }

  /**
   * What became of an earlier request of mode `immediate` for the very same statement: pending, approved, or denied.
   * A denial is found once: who sends the statement again after having been told asks anew.
   */
  recall(binding: ApprovalBinding, nowMs: number): ApprovalEntry<Detail> | undefined {
    this.expire(nowMs);
    const key = keyOf(binding);
    const entry = this.#byBinding.get(key);
    if (entry?.state !== "denied") return entry;
    this.#byBinding.delete(key);
    return nowMs < (entry.decidedMs ?? 0) + entry.request.validForMs ? entry : undefined;
  }

  /** SAFETY: whoever asked cannot approve, under any of the names known of them. */
  approve(id: string, answer: ApprovalAnswer, nowMs: number): AnswerResult<Detail> {
    const entry = this.#pending(id, nowMs);
    if (entry === undefined) return this.#notPending(id);
    const { requesters } = entry.request;
    if (requesters.some((name) => isSamePerson(name, answer.approver))) {
      return { kind: "refused", why: "own-request", entry };
    }
    this.#answered(entry, answer, nowMs);
    entry.state = "approved";
    entry.expiresMs = nowMs + entry.request.validForMs;
    return { kind: "taken", entry };
  }

  deny(id: string, answer: ApprovalAnswer, nowMs: number): AnswerResult<Detail> {
    const entry = this.#pending(id, nowMs);
    if (entry === undefined) return this.#notPending(id);
    this.#answered(entry, answer, nowMs);
    this.#end(entry, "denied");
    return { kind: "taken", entry };
  }

  /** Uses the approval up. False when there is none: not approved, expired, cancelled, or used before. */
  use(id: string, nowMs: number): boolean {
    this.expire(nowMs);
    const entry = this.#open.get(id);
    if (entry?.state !== "approved") return false;
    this.#end(entry, "used");
    return true;
  }

  /** False when there is nothing to cancel. */
  cancel(id: string, reason: CancelReason, nowMs: number): boolean {
    this.expire(nowMs);
    const entry = this.#open.get(id);
    if (entry === undefined) return false;
    entry.reason = reason;
    entry.decidedMs ??= nowMs;
    this.#end(entry, "cancelled");
    return true;
  }

  expire(nowMs: number): void {
    for (const entry of this.#open.values()) {
      if (nowMs < entry.expiresMs) continue;
      entry.decidedMs ??= nowMs;
      this.#end(entry, "expired");
      this.#options.onExpired(entry);
    }
  }

  /** The next moment at which expire() has something to do. */
  get nextExpiryMs(): number | undefined {
    let next: number | undefined;
    for (const { expiresMs } of this.#open.values()) if (next === undefined || expiresMs < next) next = expiresMs;
    return next;
  }

  /** Takes no more requests. Those that are open stay: cancel them. */
  close(): void {
    this.#isClosed = true;
  }

  #pending(id: string, nowMs: number): Mutable<ApprovalEntry<Detail>> | undefined {
    this.expire(nowMs);
    const entry = this.#open.get(id);
    return entry?.state === "pending" ? entry : undefined;
  }

  #notPending(id: string): AnswerResult<Detail> {
    const entry = this.#open.get(id) ?? this.#ended.get(id);
    return { kind: "refused", why: entry === undefined ? "not-found" : "not-pending", entry };
  }

  #answered(entry: Mutable<ApprovalEntry<Detail>>, answer: ApprovalAnswer, nowMs: number): void {
    entry.approver = answer.approver;
    entry.reason = answer.reason;
    entry.decidedMs = nowMs;
  }

  #end(entry: Mutable<ApprovalEntry<Detail>>, state: ApprovalState): void {
    entry.state = state;
    this.#open.delete(entry.id);
    this.#ended.set(entry.id, entry);
    if (state !== "denied") this.#forget(entry);
    if (this.#ended.size <= this.#options.endedMax) return;
    const [oldest] = this.#ended.values();
    if (oldest === undefined) return;
    this.#ended.delete(oldest.id);
    this.#forget(oldest);
  }

  #forget(entry: ApprovalEntry<Detail>): void {
    const key = keyOf(entry.request.binding);
    if (this.#byBinding.get(key) === entry) this.#byBinding.delete(key);
  }
}

/** Not the session: a pool may send the statement again on another connection. */
function keyOf({ statementHash, listener, user, schema, reading }: ApprovalBinding): string {
  return JSON.stringify([statementHash, listener, user, schema, reading]);
}

/** Names of approvers: plain ASCII, so that no two of them look alike. */
const APPROVER_SHAPE = /^[!-~](?:[ -~]{0,62}[!-~])?$/;

export function isApproverName(name: string): boolean {
  return APPROVER_SHAPE.test(name);
}

/**
 * Whether two names may mean one person: case does not count, nor what follows an "@", so that the user "alice" is also
 * "Alice@example.com".
 */
function isSamePerson(left: string, right: string): boolean {
  const [first, second] = [left, right].map((name) => name.normalize("NFKC").trim().toLowerCase());
  return first === second || first?.split("@")[0] === second?.split("@")[0];
}
