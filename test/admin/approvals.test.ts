/** Approvals over HTTP, in front of the real desk. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { silentLogger } from "../../src/base/log.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { ApprovalDesk } from "../../src/server/approval-desk.ts";
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

async function withDesk(work: (setup: Setup) => Promise<void>, failsToRecord = false): Promise<void> {
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
  const admin = await startAdmin({}, undefined, { approvals: desk });
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
