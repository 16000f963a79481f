import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  ApprovalBook,
  type ApprovalEntry,
  type ApprovalMode,
  type ApprovalRequest,
  isApproverName,
} from "../../src/policy/approvals.ts";

const TIMEOUT_MS = 100;
const VALID_FOR_MS = 40;

interface Asking {
  readonly mode?: ApprovalMode;
  readonly user?: string;
  readonly hash?: string;
  readonly schema?: string;
  readonly session?: string;
  readonly listener?: string;
  readonly reading?: string;
  readonly requesters?: readonly string[];
  readonly openPerUserMax?: number;
}

function requestOf(asking: Asking = {}): ApprovalRequest<string> {
  const user = asking.user ?? "app";
  return {
    mode: asking.mode ?? "hold",
    binding: {
      statementHash: asking.hash ?? "h1",
      session: asking.session ?? "s1",
      listener: asking.listener ?? "l1",
      user,
      schema: asking.schema ?? "shop",
      reading: asking.reading ?? "ansi",
    },
    requesters: asking.requesters ?? [user],
    timeoutMs: TIMEOUT_MS,
    validForMs: VALID_FOR_MS,
    openPerUserMax: asking.openPerUserMax ?? 5,
    detail: "detail",
  };
}

interface Book {
  readonly book: ApprovalBook<string>;
  readonly expired: string[];
}

function newBook(openMax = 10, endedMax = 100): Book {
  const expired: string[] = [];
  const onExpired = ({ id }: ApprovalEntry<string>): void => void expired.push(id);
  return { book: new ApprovalBook({ openMax, endedMax, idPrefix: "apr", onExpired }), expired };
}

function open(book: ApprovalBook<string>, asking: Asking = {}, nowMs = 0): string {
  const result = book.request(requestOf(asking), nowMs);
  assert.ok(result.kind === "open", JSON.stringify(result));
  return result.entry.id;
}

const ALICE = { approver: "alice", reason: undefined };
const BOB = { approver: "bob", reason: "not on a Friday" };

describe("ApprovalBook", () => {
  it("takes one answer and keeps who gave it", () => {
    const { book } = newBook();
    const id = open(book);
    assert.equal(book.approve(id, { approver: "alice", reason: "ticket 7" }, 10).kind, "taken");
    const second = book.deny(id, BOB, 11);
    assert.ok(second.kind === "refused" && second.why === "not-pending");
    const entry = book.find(id, 12);
    assert.deepEqual(
      [entry?.state, entry?.approver, entry?.reason, entry?.decidedMs],
      ["approved", "alice", "ticket 7", 10],
    );
  });

  it("lets an approval be used once", () => {
    const { book } = newBook();
    const id = open(book);
    assert.equal(book.use(id, 1), false);
    book.approve(id, ALICE, 1);
    assert.equal(book.use(id, 2), true);
    assert.equal(book.use(id, 3), false);
    assert.equal(book.find(id, 3)?.state, "used");
  });

  it("expires a request at its deadline and not before", () => {
    const { book, expired } = newBook();
    const id = open(book);
    assert.equal(book.nextExpiryMs, TIMEOUT_MS);
    book.expire(TIMEOUT_MS - 1);
    assert.equal(book.find(id, TIMEOUT_MS - 1)?.state, "pending");
    const late = book.approve(id, ALICE, TIMEOUT_MS);
    assert.ok(late.kind === "refused" && late.entry?.state === "expired");
    assert.deepEqual(expired, [id]);
    assert.equal(book.nextExpiryMs, undefined);
  });

  it("lets an approval that nobody uses expire", () => {
    const { book } = newBook();
    const id = open(book);
    book.approve(id, ALICE, 50);
    assert.equal(book.use(id, 50 + VALID_FOR_MS), false);
    assert.equal(book.find(id, 50 + VALID_FOR_MS)?.state, "expired");
  });

  it("does not know the id of another process", () => {
    const { book } = newBook();
    open(book);
    const answer = book.approve("xyz-1", ALICE, 1);
    assert.ok(answer.kind === "refused" && answer.why === "not-found");
  });

  it("cancels what is approved and not used", () => {
    const { book } = newBook();
    const id = open(book);
    book.approve(id, ALICE, 1);
    assert.equal(book.cancel(id, "client-closed", 2), true);
    assert.equal(book.use(id, 3), false);
    assert.equal(book.cancel(id, "client-closed", 4), false);
    assert.deepEqual([book.find(id, 4)?.state, book.find(id, 4)?.reason], ["cancelled", "client-closed"]);
  });

  it("takes nothing more once closed", () => {
    const { book } = newBook();
    const id = open(book);
    book.close();
    assert.deepEqual(book.request(requestOf(), 1), { kind: "refused", why: "closed" });
    assert.equal(book.find(id, 1)?.state, "pending");
  });

  it("bounds the open requests of all users together", () => {
    const { book } = newBook(2);
    const first = open(book, { user: "a" });
    open(book, { user: "b" });
    assert.deepEqual(book.request(requestOf({ user: "c" }), 0), { kind: "refused", why: "too-many" });
    book.deny(first, ALICE, 1);
    open(book, { user: "c" });
  });

  it("bounds the open requests of one user on one listener", () => {
    const { book } = newBook();
    open(book, { openPerUserMax: 1 });
    const refused = book.request(requestOf({ openPerUserMax: 1, hash: "h2" }), 0);
    assert.deepEqual(refused, { kind: "refused", why: "too-many-of-user" });
    open(book, { openPerUserMax: 1, listener: "l2" });
    open(book, { openPerUserMax: 1, user: "other" });
  });

  it("forgets the oldest ended requests beyond its bound", () => {
    const { book } = newBook(10, 2);
    const ids = [1, 2, 3].map((nowMs) => {
      const id = open(book, {}, nowMs);
      book.deny(id, ALICE, nowMs);
      return id;
    });
    assert.deepEqual(
      book.entries(4).map(({ id }) => id),
      [ids[2], ids[1]],
    );
  });
});

describe("four eyes", () => {
  const SAME = ["app", "APP", "App@example.com", "app@", " app "];
  for (const approver of SAME) {
    it(`refuses "${approver}" where "app" asked, and leaves the request open`, () => {
      const { book } = newBook();
      const id = open(book);
      const answer = book.approve(id, { approver, reason: undefined }, 1);
      assert.ok(answer.kind === "refused" && answer.why === "own-request");
      assert.equal(book.find(id, 1)?.state, "pending");
      assert.equal(book.approve(id, ALICE, 2).kind, "taken");
    });
  }

  it("looks at every name of the requester", () => {
    const { book } = newBook();
    const id = open(book, { requesters: ["rds_iam", "alice@example.com"] });
    const answer = book.approve(id, ALICE, 1);
    assert.ok(answer.kind === "refused" && answer.why === "own-request");
  });

  it("lets requesters withdraw by denying", () => {
    const { book } = newBook();
    const id = open(book);
    assert.equal(book.deny(id, { approver: "app", reason: "mistake" }, 1).kind, "taken");
  });
});

describe("isApproverName()", () => {
  for (const name of ["alice", "Alice Smith", "alice@example.com", "CN=alice,O=x", "a".repeat(64)]) {
    it(`takes ${name}`, () => assert.equal(isApproverName(name), true));
  }
  for (const name of ["", " alice", "\u0430lice", "a\nb", "a\u202eb", "a".repeat(65), "bob "]) {
    it(`refuses ${JSON.stringify(name)}`, () => assert.equal(isApproverName(name), false));
  }
});

describe("immediate mode", () => {
  it("finds the approval from another session, once", () => {
    const { book } = newBook();
    const id = open(book, { mode: "immediate" });
    assert.equal(book.recall(requestOf({ session: "s2" }).binding, 1)?.id, id);
    book.approve(id, ALICE, 2);
    assert.equal(book.recall(requestOf({ session: "s2" }).binding, 3)?.state, "approved");
    assert.equal(book.use(id, 4), true);
    assert.equal(book.recall(requestOf().binding, 5), undefined);
  });

  const OTHERS: readonly Asking[] = [
    { hash: "h2" },
    { user: "other" },
    { schema: "elsewhere" },
    { listener: "l2" },
    { reading: "gbk" },
  ];
  for (const other of OTHERS) {
    it(`does not fit another ${Object.keys(other)[0]}`, () => {
      const { book } = newBook();
      book.approve(open(book, { mode: "immediate" }), ALICE, 1);
      assert.equal(book.recall(requestOf(other).binding, 2), undefined);
    });
  }

  it("tells of a denial once", () => {
    const { book } = newBook();
    const id = open(book, { mode: "immediate" });
    book.deny(id, BOB, 1);
    assert.equal(book.recall(requestOf().binding, 2)?.reason, "not on a Friday");
    assert.equal(book.recall(requestOf().binding, 3), undefined);
    assert.notEqual(open(book, { mode: "immediate" }, 4), id);
  });

  it("forgets a denial after a while", () => {
    const { book } = newBook();
    book.deny(open(book, { mode: "immediate" }), BOB, 1);
    assert.equal(book.recall(requestOf().binding, 1 + VALID_FOR_MS), undefined);
  });

  it("is not found by a held statement's twin", () => {
    const { book } = newBook();
    book.approve(open(book), ALICE, 1);
    assert.equal(book.recall(requestOf().binding, 2), undefined);
  });
});

/** What the book must do, in the simplest words: a list of requests with a state each. */
interface ModelEntry {
  readonly id: string;
  readonly user: string;
  state: string;
  expiresMs: number;
  uses: number;
  approvals: number;
}

const OPEN_MAX = 4;
const PER_USER_MAX = 3;
const isOpen = ({ state }: ModelEntry): boolean => state === "pending" || state === "approved";

type Step =
  | { readonly do: "request"; readonly user: string }
  | { readonly do: "approve" | "deny"; readonly at: number; readonly approver: string }
  | { readonly do: "use" | "cancel"; readonly at: number }
  | { readonly do: "wait"; readonly ms: number };

const at = fc.nat({ max: 12 });
const person = fc.constantFrom("u1", "u2", "alice");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("request" as const), user: person }),
  fc.record({ do: fc.constantFrom("approve" as const, "deny" as const), at, approver: person }),
  fc.record({ do: fc.constantFrom("use" as const, "cancel" as const), at }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.nat({ max: 60 }) }),
);

class Model {
  readonly entries: ModelEntry[] = [];
  nowMs = 0;
  readonly #book = newBook(OPEN_MAX, 1000).book;

  run(next: Step): void {
    for (const entry of this.entries) if (isOpen(entry) && this.nowMs >= entry.expiresMs) entry.state = "expired";
    if (next.do === "wait") this.nowMs += next.ms;
    else if (next.do === "request") this.#request(next.user);
    else this.#act(next);
    for (const entry of this.entries) if (isOpen(entry) && this.nowMs >= entry.expiresMs) entry.state = "expired";
    this.#compare();
  }

  #request(user: string): void {
    const result = this.#book.request(requestOf({ user, openPerUserMax: PER_USER_MAX }), this.nowMs);
    const opened = this.entries.filter(isOpen);
    const isFull = opened.length >= OPEN_MAX || opened.filter((entry) => entry.user === user).length >= PER_USER_MAX;
    assert.equal(result.kind, isFull ? "refused" : "open");
    if (result.kind !== "open") return;
    const { id } = result.entry;
    const expiresMs = this.nowMs + TIMEOUT_MS;
    this.entries.push({ id, user, state: "pending", expiresMs, uses: 0, approvals: 0 });
  }

  #act(next: Exclude<Step, { readonly do: "wait" } | { readonly do: "request" }>): void {
    const entry = this.entries[next.at];
    const id = entry?.id ?? "apr-none";
    if (next.do === "use") {
      const isUsed = this.#book.use(id, this.nowMs);
      assert.equal(isUsed, entry?.state === "approved");
      if (entry === undefined || !isUsed) return;
      entry.state = "used";
      entry.uses++;
    } else if (next.do === "cancel") {
      assert.equal(this.#book.cancel(id, "client-closed", this.nowMs), entry !== undefined && isOpen(entry));
      if (entry !== undefined && isOpen(entry)) entry.state = "cancelled";
    } else if (next.do === "approve" || next.do === "deny") {
      const answer = { approver: next.approver, reason: undefined };
      const result = this.#book[next.do](id, answer, this.nowMs);
      const isOwn = next.do === "approve" && entry?.user === next.approver;
      assert.equal(result.kind === "taken", entry?.state === "pending" && !isOwn);
      if (entry === undefined || result.kind !== "taken") return;
      entry.state = next.do === "approve" ? "approved" : "denied";
      if (next.do === "approve") entry.approvals++;
      entry.expiresMs = this.nowMs + VALID_FOR_MS;
    }
  }

  #compare(): void {
    for (const entry of this.entries) {
      assert.equal(this.#book.find(entry.id, this.nowMs)?.state, entry.state);
      assert.ok(entry.uses <= entry.approvals && entry.approvals <= 1);
    }
    assert.equal(this.#book.openCount, this.entries.filter(isOpen).length);
  }
}

describe("any sequence of requests, answers, uses and time", () => {
  it("leaves every request in the state the model says", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = new Model();
        for (const next of steps) model.run(next);
      }),
      { numRuns: process.env["QUERYCOP_TEST_SCALE"] === "full" ? 50_000 : 500 },
    );
  });
});
