/** Approvals over HTTP, in front of the real desk. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { silentLogger } from "../../src/base/log.ts";
import { signWebhook } from "../../src/base/webhook-signature.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { ApprovalDesk } from "../../src/server/approval-desk.ts";
import { WebhookInbox } from "../../src/server/webhook-inbox.ts";
import type { ApprovalEnd } from "../../src/session/statement/statement-approvals.ts";
import {
  ADMIN_KEY,
  type AdminFixture,
  type Answer,
  APPROVER_KEY,
  bearer,
  JSON_BODY,
  logIn,
  REQUESTER_KEY,
  startAdmin,
} from "./admin-fixture.ts";

interface Setup {
  readonly admin: AdminFixture;
  readonly desk: ApprovalDesk;
  readonly events: AuditEvent[];
  /** Holds one more statement. */
  hold(user?: string): { readonly id: string; readonly ended: Promise<ApprovalEnd> };
}

async function withDesk(
  work: (setup: Setup) => Promise<void>,
  failsToRecord = false,
  approvalInbox?: WebhookInbox,
): Promise<void> {
  const events: AuditEvent[] = [];
  const append = (event: AuditEvent): void => {
    if (failsToRecord) throw new Error("disk full");
    events.push(event);
  };
  const audit = {
    run: "test",
    isKept: true,
    append,
    appendSoon: append,
    hashText: () => "",
    hashLongText: async () => "",
  };
  const desk = new ApprovalDesk({ audit, logger: silentLogger, openMax: 10 });
  const admin = await startAdmin({}, undefined, { approvals: desk, approvalInbox });
  let ordinal = 0;
  const hold = (user = "app"): ReturnType<Setup["hold"]> => {
    ordinal++;
    const opened = desk.request({
      mode: "hold",
      binding: { statementHash: "ab", session: "s", listener: "l", user, schema: "", reading: "" },
      timeoutMs: 600_000,
      validForMs: 600_000,
      openPerUserMax: 10,
      session: { id: "s", clientAddress: "192.0.2.1", user },
      ordinal,
      command: "COM_QUERY",
      textBytes: 7,
      isInTransaction: false,
      judgement: { approval: undefined, score: 60, level: "high", policyVersion: "7" },
    });
    assert.ok(typeof opened !== "string");
    return opened;
  };
  try {
    await work({ admin, desk, events, hold });
  } finally {
    desk.close();
    await admin.close();
  }
}

function answer(
  admin: AdminFixture,
  id: string,
  verb: "approve" | "deny",
  body: object,
  key = APPROVER_KEY,
): Promise<Answer> {
  const headers = { ...JSON_BODY, ...bearer(key) };
  return admin.call("POST", `/approvals/${id}/${verb}`, headers, JSON.stringify(body));
}

const codeOf = (reply: Answer): unknown => (reply.json()["error"] as Record<string, unknown>)["code"];

test("an approver's key answers under its own name", async () => {
  await withDesk(async ({ admin, hold, events }) => {
    const { id, ended } = hold();
    const reply = await answer(admin, id, "approve", { reason: "ticket 7" });
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual([reply.json()["state"], reply.json()["approver"]], ["approved", "ann"]);
    assert.deepEqual(await ended, { kind: "approved", approver: "ann" });
    const recorded = events.find(({ type }) => type === "approval");
    assert.ok(recorded?.type === "approval");
    assert.deepEqual([recorded.verdict, recorded.approver, recorded.reason], ["approved", "ann", "ticket 7"]);
    const call = admin.recorded.find(({ type }) => type === "admin-call");
    assert.ok(call?.type === "admin-call");
    assert.deepEqual([call.principal, call.route, call.target], ["ann", "/approvals/{id}/approve", id]);
  });
});

test("a key with a name cannot answer as somebody else", async () => {
  await withDesk(async ({ admin, hold, desk }) => {
    const { id } = hold();
    const reply = await answer(admin, id, "approve", { as: "bob" });
    assert.deepEqual([reply.status, codeOf(reply)], [400, "not-your-name"]);
    assert.equal(desk.find(id)?.state, "pending");
    assert.equal((await answer(admin, id, "approve", { as: "ann" })).status, 200);
  });
});

test("ADMIN_API_KEY has to say who answers", async () => {
  await withDesk(async ({ admin, hold }) => {
    const { id } = hold();
    const reply = await answer(admin, id, "deny", { reason: "no" }, ADMIN_KEY);
    assert.deepEqual([reply.status, codeOf(reply)], [400, "approver-needed"]);
    assert.equal((await answer(admin, id, "deny", { reason: "no", as: "carol" }, ADMIN_KEY)).status, 200);
  });
});

test("a browser's session may answer, from our own page only", async () => {
  await withDesk(async ({ admin, hold }) => {
    const { id } = hold();
    const session = await logIn(admin, APPROVER_KEY);
    const post = (headers: Record<string, string>): Promise<Answer> =>
      admin.call("POST", `/approvals/${id}/approve`, { ...JSON_BODY, ...headers }, "{}");
    assert.equal((await post({ ...session, Origin: "https://evil.example" })).status, 403);
    assert.equal((await post(session)).status, 200);
  });
});

test("whoever asked cannot approve, and may withdraw", async () => {
  await withDesk(async ({ admin, hold }) => {
    const { id } = hold("ann");
    const reply = await answer(admin, id, "approve", {});
    assert.deepEqual([reply.status, codeOf(reply)], [403, "own-request"]);
    assert.equal((await answer(admin, id, "deny", { reason: "mistake" })).status, 200);
  });
});

test("the second answer is told of the first", async () => {
  await withDesk(async ({ admin, hold }) => {
    const { id } = hold();
    await answer(admin, id, "deny", { reason: "no" });
    const reply = await answer(admin, id, "approve", {});
    assert.deepEqual([reply.status, codeOf(reply)], [409, "not-pending"]);
    assert.match(reply.text, /denied by ann/);
  });
});

test("what is malformed is refused and changes nothing", async () => {
  await withDesk(async ({ admin, hold, desk }) => {
    const { id } = hold();
    const refused: [verb: "approve" | "deny", body: object][] = [
      ["deny", {}],
      ["deny", { reason: "  " }],
      ["deny", { reason: "x".repeat(201) }],
      ["approve", { reason: "fine\u202e" }],
      ["approve", { reason: 7 }],
      ["approve", { more: true }],
    ];
    for (const [verb, body] of refused) assert.equal((await answer(admin, id, verb, body)).status, 400);
    assert.equal((await answer(admin, id, "approve", { as: "\u0430nn" }, ADMIN_KEY)).status, 400);
    assert.equal(desk.find(id)?.state, "pending");
    assert.equal((await answer(admin, "apr-none", "approve", {})).status, 404);
  });
});

test("an approval that cannot be recorded has no effect", async () => {
  await withDesk(async ({ admin, hold }) => {
    const { id, ended } = hold();
    const reply = await answer(admin, id, "approve", {});
    assert.deepEqual([reply.status, codeOf(reply)], [503, "not-recorded"]);
    assert.deepEqual(await ended, { kind: "cancelled", reason: "not-recorded" });
  }, true);
});

test("open requests are listed, and with ?all the ended ones", async () => {
  await withDesk(async ({ admin, hold }) => {
    const [first, second] = [hold(), hold()];
    await answer(admin, first.id, "deny", { reason: "no" });
    const list = async (query = ""): Promise<unknown[]> => {
      const { approvals } = (await admin.call("GET", `/approvals${query}`, bearer(APPROVER_KEY))).json();
      return (approvals as { id: string }[]).map(({ id }) => id);
    };
    assert.deepEqual(await list(), [second.id]);
    assert.deepEqual(await list("?all"), [second.id, first.id]);
    const shown = (await admin.call("GET", `/approvals/${first.id}`, bearer(APPROVER_KEY))).json();
    assert.deepEqual([shown["state"], shown["reason"]], ["denied", "no"]);
  });
});

test("a load is asked for by a key that may do nothing else, answered by another, and used once by the one that asked", async () => {
  await withDesk(async ({ admin, desk, events }) => {
    const send = async (key: string, method: string, path: string, body?: object): Promise<Answer> =>
      await admin.call(
        method,
        path,
        { ...bearer(key), ...(body === undefined ? {} : JSON_BODY) },
        body === undefined ? undefined : JSON.stringify(body),
      );
    const load = { description: "LOAD x FROM s3://b/k (etag 1)", connection: "ingest", user: "app", table: "a.b" };
    const asked = await send(REQUESTER_KEY, "POST", "/approvals", load);
    assert.equal(asked.status, 200, asked.text);
    const { id, state, text, statementHash, tablesWritten } = asked.json();
    assert.deepEqual([state, text, tablesWritten], ["pending", load.description, ["a.b"]]);
    assert.equal(statementHash, createHash("sha256").update(load.description).digest("hex"));
    assert.equal(events.find(({ type }) => type === "hold")?.type, "hold");
    const again = await send(REQUESTER_KEY, "POST", "/approvals", load);
    assert.equal(again.json()["id"], id, "the same load is not asked for twice");
    const changed = { ...load, description: load.description.replace("etag 1", "etag 2") };
    const other = await send(REQUESTER_KEY, "POST", "/approvals", changed);
    assert.notEqual(other.json()["id"], id, "another version is another load");
    const path = `/approvals/${id}`;
    assert.equal((await send(REQUESTER_KEY, "POST", `${path}/use`)).status, 409, "not before it is approved");
    assert.equal((await send(REQUESTER_KEY, "POST", `${path}/approve`, {})).status, 403);
    const byApprover = await send(APPROVER_KEY, "POST", "/approvals", load);
    assert.notEqual(byApprover.json()["id"], id, "nobody finds what another key has asked for");
    const own = await send(APPROVER_KEY, "POST", `/approvals/${byApprover.json()["id"]}/approve`, {});
    assert.equal(own.status, 403, "whoever asks does not approve");
    assert.equal((await send(REQUESTER_KEY, "GET", `/approvals/${byApprover.json()["id"]}`)).status, 404);
    assert.equal((await send(APPROVER_KEY, "POST", `${path}/approve`, {})).status, 200);
    assert.equal((await send(REQUESTER_KEY, "GET", path)).json()["approver"], "ann");
    assert.equal((await send(ADMIN_KEY, "POST", `${path}/use`)).status, 404);
    assert.equal((await send(REQUESTER_KEY, "POST", `${path}/use`)).json()["state"], "used");
    assert.equal((await send(REQUESTER_KEY, "POST", `${path}/use`)).status, 409);
    for (let count = 0; count < 10; count++) {
      await desk.askForLoad({ ...LOAD_ASK, ...load, description: `another ${count}` });
    }
    const open = desk.list().filter((view) => view.askedBy === "jobs" && view.state === "pending");
    assert.equal(open.length, LOAD_ASK.settings.openPerUserMax, "whatever users and connections it names");
  });
  await withDesk(async ({ desk }) => {
    await assert.rejects(desk.askForLoad(LOAD_ASK));
    assert.deepEqual(
      desk.list().map(({ state }) => state),
      ["cancelled"],
    );
  }, true);
});

const LOAD_ASK = {
  description: "LOAD",
  connection: "ingest",
  user: "app",
  table: "a.b",
  askedBy: "jobs",
  clientAddress: "192.0.2.1",
  settings: DEFAULT_POLICY.base.approval,
  policyVersion: "7",
};

const SECRET = Buffer.alloc(32, 3);
let deliveries = 0;

interface Delivered {
  readonly id?: string;
  readonly at?: number;
  readonly secret?: Buffer;
  readonly signed?: string;
}

/** An answer as a chat's bridge sends it. */
function sendSigned(admin: AdminFixture, answered: object, how: Delivered = {}): Promise<Answer> {
  const { id = `delivery-${++deliveries}`, at = Date.now() / 1000, secret = SECRET } = how;
  const body = JSON.stringify(answered);
  const timestamp = String(Math.floor(at));
  const signature = signWebhook(secret, { id, timestamp, body: how.signed ?? body });
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  return admin.call("POST", "/approvals/answers", { ...JSON_BODY, ...headers }, body);
}

async function withBridge(work: (setup: Setup) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-bridge-"));
  const secretFile = join(folder, "secret");
  writeFileSync(secretFile, `whsec_${SECRET.toString("base64")}\n`, { mode: 0o600 });
  try {
    await withDesk(work, false, new WebhookInbox({ secretFile, approvers: ["ann@corp", "app", "bob"] }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const approving = (id: string, more: object = {}): object => ({
  id,
  verdict: "approve",
  approver: "ann@corp",
  statementHash: "ab",
  ...more,
});

test("a system that signs what it says answers for those whom the configuration names", async () => {
  await withBridge(async ({ admin, hold, events }) => {
    const { id, ended } = hold();
    const reply = await sendSigned(admin, approving(id, { reason: "seen in #db" }));
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(await ended, { kind: "approved", approver: "ann@corp" });
    const recorded = events.find(({ type }) => type === "approval");
    assert.ok(recorded?.type === "approval");
    assert.deepEqual([recorded.verdict, recorded.approver, recorded.reason], ["approved", "ann@corp", "seen in #db"]);
    const call = admin.recorded.find(({ type }) => type === "admin-call");
    assert.ok(call?.type === "admin-call");
    assert.deepEqual([call.route, call.status, call.target], ["/approvals/answers", 200, id]);
    const second = hold();
    const denied = await sendSigned(admin, approving(second.id, { verdict: "deny", reason: "no" }));
    assert.equal(denied.status, 200, denied.text);
    assert.deepEqual(await second.ended, { kind: "denied", approver: "ann@corp", reason: "no" });
  });
});

test("what is forged, late, replayed, foreign, or about something else answers nothing", async () => {
  await withBridge(async ({ admin, hold, desk }) => {
    const { id } = hold();
    const nowS = Date.now() / 1000;
    const cases: readonly (readonly [string, object, Delivered, number, string])[] = [
      ["another secret", approving(id), { secret: Buffer.alloc(32, 4) }, 401, "forged"],
      ["another body", approving(id), { signed: JSON.stringify(approving("apr-other")) }, 401, "forged"],
      ["of an hour ago", approving(id), { at: nowS - 3600 }, 401, "late"],
      ["of an hour ahead", approving(id), { at: nowS + 3600 }, 401, "late"],
      ["another statement", approving(id, { statementHash: "cd" }), {}, 409, "another-statement"],
      ["somebody unknown", approving(id, { approver: "eve" }), {}, 403, "unknown-approver"],
      ["whoever asked", approving(id, { approver: "app" }), {}, 403, "own-request"],
      ["no request", approving("apr-none"), {}, 404, "not-found"],
      ["no hash", { id, verdict: "approve", approver: "ann@corp" }, {}, 400, "bad-request"],
      ["a denial without a reason", approving(id, { verdict: "deny" }), {}, 400, "bad-reason"],
    ];
    for (const [what, answered, how, status, code] of cases) {
      const reply = await sendSigned(admin, answered, how);
      assert.deepEqual([reply.status, codeOf(reply)], [status, code], what);
      assert.equal(desk.find(id)?.state, "pending", what);
    }
    assert.equal((await sendSigned(admin, approving("apr-none"), { id: "twice" })).status, 404);
    const replayed = await sendSigned(admin, approving(id), { id: "twice" });
    assert.deepEqual([replayed.status, codeOf(replayed)], [409, "replayed"]);
    const unsigned = await admin.call("POST", "/approvals/answers", JSON_BODY, JSON.stringify(approving(id)));
    assert.deepEqual([unsigned.status, codeOf(unsigned)], [401, "forged"]);
    // Nor does a key stand in the place of a signature.
    const keyed = { ...JSON_BODY, ...bearer(ADMIN_KEY) };
    assert.equal((await admin.call("POST", "/approvals/answers", keyed, JSON.stringify(approving(id)))).status, 401);
    assert.equal(desk.find(id)?.state, "pending");
  });
});

test("without webhook_approvers no signed answer is taken", async () => {
  await withDesk(async ({ admin, hold }) => {
    assert.equal((await sendSigned(admin, approving(hold().id))).status, 404);
  });
});
