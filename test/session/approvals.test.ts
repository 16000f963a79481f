/** Statements that wait for an approval: what reaches the backend, when, and what the client is told. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { AuditEventType } from "../../src/audit/audit-event.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { eventually } from "../support/eventually.ts";
import {
  acceptLogin,
  errPayload,
  type FakeLogin,
  GREETING,
  logIn as logInOnce,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
} from "../support/fake-peers.ts";
import { realPolicy } from "../support/real-policy.ts";
import { type HarnessOptions, NO_DATA_LIMITS, type ProxyHarness } from "../support/session-harness.ts";
import { closeStages, openStage } from "../support/session-stage.ts";
import {
  AUTOCOMMIT,
  executePayload,
  fileRequest,
  IN_TRANSACTION,
  okWith,
  prepareOk,
  resultSet,
  statementCommand,
  textRow,
} from "../support/wire-replies.ts";

const clients: PacketPeer[] = [];
after(async () => {
  for (const { socket } of clients) socket.destroy();
  await closeStages();
});

async function logIn(port: number, login?: FakeLogin): Promise<PacketPeer> {
  const client = await logInOnce(port, login);
  clients.push(client);
  return client;
}

const HELD = "REPLACE INTO log (n) VALUES (1)";
const HELD_POLICY = "deny: { statements: [{ match: replace, action: require-approval }] }";

interface Setup {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  /** What the backend was asked, in order: texts of queries, numbers of other commands. */
  readonly asked: string[];
  readonly backendPeers: readonly PacketPeer[];
  replacePolicy(yaml: string): void;
}

function answerTo(text: string, parameters: number): Uint8Array[] {
  if (text.endsWith(" ")) return [errPayload({ errorNumber: 1095, sqlState: "HY000", message: "You are not owner" })];
  if (text === "BEGIN") return [okWith(AUTOCOMMIT | IN_TRANSACTION)];
  if (text.startsWith("LOAD DATA")) return [fileRequest("/etc/passwd")];
  if (text === "SELECT rows") return resultSet(["a", "b", "c"].map((value) => textRow(value)));
  return text.startsWith("0x16") ? prepareOk(5, parameters) : [OK_PAYLOAD];
}

async function setUp(approval = "", options: Partial<HarnessOptions> = {}): Promise<Setup> {
  const asked: string[] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const { payload } = packet;
      const text = payload[0] === 3 ? Buffer.from(payload.subarray(1)).toString() : `0x${payload[0]?.toString(16)}`;
      asked.push(text);
      const parameters = text === "0x16" && payload.includes(0x3f) ? 1 : 0;
      for (const [index, reply] of answerTo(text, parameters).entries()) peer.write(reply, index + 1);
    }
  };
  const approvalOf = (settings: string): string => `${HELD_POLICY}\napproval: { ${settings} }`;
  const policy = realPolicy(approvalOf(approval), false);
  const { proxy, backends } = await openStage(script, { ...options, services: { judge: policy.judge } });
  const client = await logIn(proxy.port);
  return { proxy, client, asked, backendPeers: backends.peers, replacePolicy: policy.replace };
}

/** Sends the statement and waits until it is held. */
async function hold({ proxy, client }: Setup, sql = HELD): Promise<string> {
  client.write(queryPayload(sql), 0);
  return await heldId(proxy);
}

async function heldId(proxy: ProxyHarness): Promise<string> {
  const held = await eventually("a statement is held", () =>
    proxy.approvals.list().find(({ state }) => state === "pending"),
  );
  return held.id;
}

async function expectErr(client: PacketPeer): Promise<{ readonly errorNumber: number; readonly text: string }> {
  const { payload } = await client.expect();
  assert.equal(payload[0], 0xff);
  return {
    errorNumber: (payload[1] ?? 0) | ((payload[2] ?? 0) << 8),
    text: Buffer.from(payload.subarray(3)).toString(),
  };
}

async function expectOk(client: PacketPeer, sql?: string): Promise<void> {
  if (sql !== undefined) client.write(queryPayload(sql), 0);
  const packet = await client.expect();
  assert.deepEqual([packet.payload[0], packet.sequenceId], [0, 1]);
}

const ALICE = { approver: "alice", reason: undefined };
const DENIAL = { approver: "bob", reason: "not on a Friday" };

async function approve({ proxy }: Setup, id: string): Promise<void> {
  assert.equal((await proxy.approvals.approve(id, ALICE)).kind, "taken");
}

const STATEMENT_EVENTS: ReadonlySet<AuditEventType> = new Set<AuditEventType>([
  "hold",
  "approval",
  "statement-intent",
  "statement-blocked",
  "statement-outcome",
]);

function recorded({ proxy }: Setup): string[] {
  const events = proxy.events.filter(({ type }) => STATEMENT_EVENTS.has(type));
  return events.map((event) => (event.type === "approval" ? event.verdict : event.type));
}

/** What must be so however a hold ended without an approval. */
function assertNothingSent(setup: Setup): void {
  assert.deepEqual(setup.asked, []);
  assert.ok(!recorded(setup).includes("statement-intent"));
}

async function untilCancelled(setup: Setup, reason: string): Promise<void> {
  const event = await setup.proxy.untilEvent((one) => one.type === "approval");
  assert.ok(event.type === "approval");
  assert.deepEqual([event.verdict, event.reason], ["cancelled", reason]);
  await setup.proxy.untilEvent(({ type }) => type === "statement-blocked");
  assertNothingSent(setup);
  const late = await setup.proxy.approvals.approve(event.approvalId, ALICE);
  assert.ok(late.kind === "refused" && late.why === "not-pending");
}

describe("a held statement", () => {
  it("runs once it is approved, on record before it is sent", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    assert.deepEqual(setup.asked, []);
    await approve(setup, id);
    await expectOk(setup.client);
    await setup.proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.deepEqual(setup.asked, [HELD]);
    assert.deepEqual(recorded(setup), ["hold", "approved", "statement-intent", "statement-outcome"]);
    const intent = setup.proxy.events.find(({ type }) => type === "statement-intent");
    assert.ok(intent?.type === "statement-intent");
    assert.deepEqual([intent.approvalId, intent.approver, intent.decision], [id, "alice", "require-approval"]);
    assert.equal(setup.proxy.approvals.find(id)?.state, "used");
  });

  it("is answered with the approver's reason when denied, and the session goes on", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    assert.equal(setup.proxy.approvals.deny(id, DENIAL).kind, "taken");
    const err = await expectErr(setup.client);
    assert.equal(err.errorNumber, 1148);
    assert.equal(err.text, `#42000querycop: denied by bob: not on a Friday [request ${id}]`);
    assertNothingSent(setup);
    assert.deepEqual(recorded(setup), ["hold", "denied", "statement-blocked"]);
    await expectOk(setup.client, "SELECT 1");
  });

  it("is refused when nobody answers in time", async () => {
    const setup = await setUp("timeout: 50ms");
    setup.client.write(queryPayload(HELD), 0);
    assert.match((await expectErr(setup.client)).text, /^#42000querycop: nobody approved the statement within 0.05 s/);
    assertNothingSent(setup);
    assert.deepEqual(recorded(setup), ["hold", "expired", "statement-blocked"]);
    await expectOk(setup.client, "SELECT 1");
  });

  it("keeps everything behind it waiting, in order", async () => {
    const setup = await setUp();
    for (const sql of ["SELECT 1", HELD, "SELECT 2", "SELECT 3"]) setup.client.write(queryPayload(sql), 0);
    const id = await heldId(setup.proxy);
    assert.deepEqual(setup.asked, ["SELECT 1"]);
    await approve(setup, id);
    for (let answers = 0; answers < 4; answers++) await expectOk(setup.client);
    assert.deepEqual(setup.asked, ["SELECT 1", HELD, "SELECT 2", "SELECT 3"]);
  });

  it("lets what is behind it be decided at its turn when denied", async () => {
    const setup = await setUp();
    for (const sql of [HELD, "SELECT 2"]) setup.client.write(queryPayload(sql), 0);
    setup.proxy.approvals.deny(await heldId(setup.proxy), DENIAL);
    assert.match((await expectErr(setup.client)).text, /denied/);
    await expectOk(setup.client);
    assert.deepEqual(setup.asked, ["SELECT 2"]);
  });

  it("is not idle: it may wait longer than the client may stay silent", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    const [session] = setup.proxy.registry;
    assert.deepEqual([session?.isIdle, session?.isAtRest], [false, false]);
    const approvedMs = performance.now();
    await approve(setup, id);
    await expectOk(setup.client);
    await eventually("the session is idle", () => session?.isIdle);
    assert.ok((session?.lastActivityMs ?? 0) >= approvedMs, "its silence counts from the end of the statement");
  });

  it("holds a text of several statements as a whole", async () => {
    const setup = await setUp();
    setup.replacePolicy(`${HELD_POLICY}\nmulti_statements: true`);
    const id = await hold(setup, `SELECT 1; ${HELD}; SELECT 2`);
    assertNothingSent(setup);
    await approve(setup, id);
    await expectOk(setup.client);
    assert.deepEqual(setup.asked, [`SELECT 1; ${HELD}; SELECT 2`]);
  });

  it("is held when it is executed, not when it is prepared", async () => {
    const setup = await setUp();
    setup.client.write(Buffer.concat([Buffer.from([0x16]), Buffer.from(HELD)]), 0);
    await expectOk(setup.client);
    setup.client.write(executePayload(5), 0);
    const id = await heldId(setup.proxy);
    assert.deepEqual(setup.asked, ["0x16"]);
    await approve(setup, id);
    await expectOk(setup.client);
    assert.deepEqual(setup.asked, ["0x16", "0x17"]);
    setup.client.write(statementCommand(0x19, 5), 0);
    await eventually("the statement is closed", () => setup.asked.includes("0x19"));
  });

  it("is refused when it is too large to be kept, or too long to be shown", async () => {
    const setup = await setUp();
    setup.client.write(queryPayload(`${HELD} -- ${"x".repeat(1024 * 1024)}`), 0);
    assert.match((await expectErr(setup.client)).text, /too large to be held/);
    const names = Array.from({ length: 9000 }, (_, index) => `column${index}`);
    setup.client.write(queryPayload(`REPLACE INTO log (${names.join()}) VALUES (1)`), 0);
    assert.match((await expectErr(setup.client)).text, /too long to be shown to an approver/);
    assertNothingSent(setup);
  });

  it("has its file guarded once it is approved", async () => {
    const setup = await setUp();
    setup.replacePolicy(
      "thresholds: { block: off }\ndeny: { statements: [{ match: load-data, action: require-approval }] }",
    );
    const id = await hold(setup, "LOAD DATA LOCAL INFILE 'asked.csv' INTO TABLE log");
    await approve(setup, id);
    assert.equal(await setup.client.read(), undefined);
  });

  it("has its response limited once it is approved", async () => {
    const setup = await setUp("", { listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2 } } });
    setup.replacePolicy("deny: { statements: [{ match: select, action: require-approval }] }");
    await approve(setup, await hold(setup, "SELECT rows"));
    for (let packets = 0; packets < 4; packets++) await setup.client.expect();
    assert.match((await expectErr(setup.client)).text, /data guard/);
  });

  it("shows approvers the facts, no literal, and nothing hidden", async () => {
    const setup = await setUp();
    const id = await hold(setup, "REPLACE INTO `a\u0007b` (n) VALUES ('s3cret') -- \u202e");
    const view = setup.proxy.approvals.find(id);
    assert.equal(view?.text, "REPLACE INTO `a\\u0007b` ( `n` ) VALUES (?)");
    assert.deepEqual(view.tablesWritten, ["a\\u0007b"]);
    assert.deepEqual([view.user, view.kinds, view.isInTransaction], ["app", ["replace"], false]);
    assert.match(view.reasons[0] ?? "", /^pol\.deny\.statement/);
    assert.match(view.statementHash, /^[0-9a-f]{64}$/);
    assert.ok(!JSON.stringify(view).includes("s3cret"));
  });
});

describe("a hold is cancelled", () => {
  it("when the client resets", async () => {
    const setup = await setUp();
    await hold(setup);
    setup.client.socket.resetAndDestroy();
    await untilCancelled(setup, "client-closed");
    await setup.backendPeers[0]?.closed();
  });

  it("when the client closes its half, which is then told", async () => {
    const setup = await setUp();
    await hold(setup);
    setup.client.socket.end();
    assert.match((await expectErr(setup.client)).text, /left while its statement waited/);
    await setup.client.closed();
    await untilCancelled(setup, "client-closed");
  });

  it("when the client had closed its half already", async () => {
    const setup = await setUp();
    setup.client.write(queryPayload(HELD), 0);
    setup.client.socket.end();
    await setup.client.closed();
    await untilCancelled(setup, "client-closed");
  });

  it("when COM_QUIT comes behind it, and what is behind does not run either", async () => {
    const setup = await setUp();
    setup.client.write(queryPayload(HELD), 0);
    setup.client.write(Uint8Array.of(1), 0);
    await setup.client.closed();
    await untilCancelled(setup, "client-quit");
  });

  it("when more is sent behind it than may wait unread, and the session goes on", async () => {
    const setup = await setUp();
    await hold(setup);
    const long = `SELECT '${"x".repeat(60_000)}'`;
    for (let sent = 0; sent < 10; sent++) setup.client.write(queryPayload(long), 0);
    assert.match((await expectErr(setup.client)).text, /too much was sent behind a statement/);
    for (let answers = 0; answers < 10; answers++) await expectOk(setup.client);
    assert.deepEqual(setup.asked, new Array(10).fill(long));
    assert.deepEqual(recorded(setup).slice(0, 3), ["hold", "cancelled", "statement-blocked"]);
  });

  it("when the backend closes", async () => {
    const setup = await setUp();
    await hold(setup);
    setup.backendPeers[0]?.socket.end();
    assert.equal(await setup.client.read(), undefined);
    await untilCancelled(setup, "backend-closed");
  });

  it("when the backend resets", async () => {
    const setup = await setUp();
    await hold(setup);
    setup.backendPeers[0]?.socket.resetAndDestroy();
    assert.equal(await setup.client.read(), undefined);
    await untilCancelled(setup, "backend-closed");
  });

  it("when the backend says goodbye, which is not taken for the answer", async () => {
    const setup = await setUp();
    await hold(setup);
    const farewell = errPayload({
      errorNumber: 4031,
      sqlState: "HY000",
      message: "disconnected because of inactivity",
    });
    setup.backendPeers[0]?.socket.write(encodePacket(farewell, 0));
    assert.equal(await setup.client.read(), undefined);
    await untilCancelled(setup, "backend-closed");
  });

  it("when querycop drains: the client is told and may finish", async () => {
    const setup = await setUp();
    await hold(setup);
    setup.proxy.approvals.close();
    assert.equal((await expectErr(setup.client)).errorNumber, 1053);
    await untilCancelled(setup, "shutdown");
    setup.client.write(queryPayload(HELD), 0);
    assert.equal((await expectErr(setup.client)).errorNumber, 1053);
    await expectOk(setup.client, "SELECT 1");
  });

  it("when its session is ended", async () => {
    const setup = await setUp();
    await hold(setup);
    for (const session of setup.proxy.registry) session.close("shutdown");
    await untilCancelled(setup, "session-ended");
  });

  it("when another connection kills it, as Ctrl-C does, and the session goes on", async () => {
    const setup = await setUp();
    await hold(setup);
    const other = await logIn(setup.proxy.port);
    await expectOk(other, "KILL QUERY 4711");
    assert.equal(setup.proxy.approvals.openCount, 1);
    await expectOk(other, `KILL QUERY ${GREETING.connectionId}`);
    const err = await expectErr(setup.client);
    assert.deepEqual([err.errorNumber, err.text.slice(0, 6)], [1317, "#70100"]);
    assert.ok(!setup.asked.includes(HELD));
    await expectOk(setup.client, "SELECT 1");
  });

  it("not by a KILL that the server refuses", async () => {
    const setup = await setUp();
    await hold(setup);
    const other = await logIn(setup.proxy.port);
    other.write(queryPayload(`KILL ${GREETING.connectionId} `), 0);
    await expectErr(other);
    assert.equal(setup.proxy.approvals.openCount, 1);
  });

  it("when the approval comes and the client is gone before it is recorded", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    // The log that waits for its disk: the approval is written down, and not yet durable.
    const { proxy } = setup;
    const answered = proxy.approvals.approve(id, ALICE);
    proxy.approvals.cancel(id, "client-closed");
    await answered;
    await proxy.untilEvent(({ type }) => type === "statement-blocked");
    assertNothingSent(setup);
    assert.deepEqual(recorded(setup), ["hold", "approved", "cancelled", "statement-blocked"]);
  });
});

describe("answers", () => {
  it("of two approvers at once have one effect", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    const { approvals } = setup.proxy;
    const answers = await Promise.all([
      approvals.approve(id, ALICE),
      approvals.approve(id, { approver: "carol", reason: undefined }),
    ]);
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      ["taken", "refused"],
    );
    assert.equal(approvals.deny(id, DENIAL).kind, "refused");
    await expectOk(setup.client);
    assert.deepEqual(setup.asked, [HELD]);
  });

  it("of the requester are refused", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    const answer = await setup.proxy.approvals.approve(id, { approver: "App@corp", reason: undefined });
    assert.ok(answer.kind === "refused" && answer.why === "own-request");
    assert.deepEqual(setup.asked, []);
    await approve(setup, id);
    await expectOk(setup.client);
  });

  it("need a plain name, a denial needs a reason, and a reason hides nothing", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    const { approvals } = setup.proxy;
    const refusals = [
      await approvals.approve(id, { approver: "", reason: undefined }),
      await approvals.approve(id, { approver: "\u0430lice", reason: undefined }),
      await approvals.approve(id, { approver: "alice", reason: "fine\u202e" }),
      approvals.deny(id, { approver: "bob", reason: " " }),
      approvals.deny(id, { approver: "bob", reason: "x".repeat(201) }),
    ];
    assert.deepEqual(
      refusals.map((answer) => answer.kind === "refused" && answer.why),
      ["bad-approver", "bad-approver", "bad-reason", "bad-reason", "bad-reason"],
    );
    assert.equal(approvals.find(id)?.state, "pending");
    approvals.deny(id, DENIAL);
  });
});

describe("the policy at release", () => {
  it("wins when it blocks what was approved", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    setup.replacePolicy("deny: { statements: [replace] }");
    await approve(setup, id);
    const err = await expectErr(setup.client);
    assert.match(err.text, /^#42000querycop: blocked by rule pol\.deny\.statement/);
    assertNothingSent(setup);
    await setup.proxy.untilEvent((event) => event.type === "approval" && event.verdict === "cancelled");
    assert.deepEqual(recorded(setup), ["hold", "approved", "statement-blocked", "cancelled"]);
    assert.equal(setup.proxy.approvals.find(id)?.state, "cancelled");
  });

  it("may allow what needed an approval", async () => {
    const setup = await setUp();
    const id = await hold(setup);
    setup.replacePolicy("");
    await approve(setup, id);
    await expectOk(setup.client);
    assert.deepEqual(setup.asked, [HELD]);
  });

  it("holds nothing in observe mode", async () => {
    const setup = await setUp();
    setup.replacePolicy(`mode: observe\n${HELD_POLICY}`);
    await expectOk(setup.client, HELD);
    assert.deepEqual(setup.proxy.approvals.list(), []);
  });
});

describe("inside a transaction", () => {
  it("a statement is refused rather than held with its locks", async () => {
    const setup = await setUp();
    await expectOk(setup.client, "BEGIN");
    setup.client.write(queryPayload(HELD), 0);
    assert.match((await expectErr(setup.client)).text, /inside a transaction.*approval\.in_transaction/);
    assert.deepEqual([setup.asked, setup.proxy.approvals.list()], [["BEGIN"], []]);
    assert.deepEqual(recorded(setup).slice(-1), ["statement-blocked"]);
  });

  it("a statement waits a shorter time where the policy lets it wait", async () => {
    const setup = await setUp("in_transaction: hold, transaction_timeout: 50ms");
    await expectOk(setup.client, "BEGIN");
    setup.client.write(queryPayload(HELD), 0);
    assert.match((await expectErr(setup.client)).text, /nobody approved the statement within 0\.05 s/);
    const hold = setup.proxy.events.find(({ type }) => type === "hold");
    assert.ok(hold?.type === "hold" && hold.expiresInMs === 50);
  });
});

describe("too many requests", () => {
  it("of one user are refused", async () => {
    const setup = await setUp("open_per_user: 1");
    await hold(setup);
    const second = await logIn(setup.proxy.port);
    second.write(queryPayload(HELD), 0);
    assert.match((await expectErr(second)).text, /too many open requests \(approval\.open_per_user/);
    const other = await logIn(setup.proxy.port, { user: "other" });
    other.write(queryPayload(HELD), 0);
    await eventually("the other user's statement is held", () => setup.proxy.approvals.openCount === 2);
  });

  it("of all users are refused", async () => {
    const setup = await setUp("", { approvalsOpenMax: 1 });
    await hold(setup);
    const other = await logIn(setup.proxy.port, { user: "other" });
    other.write(queryPayload(HELD), 0);
    assert.match((await expectErr(other)).text, /GATEKEEPER_APPROVALS_OPEN_MAX/);
  });
});

describe("immediate mode", () => {
  async function ask(setup: Setup, client: PacketPeer, sql = HELD): Promise<string> {
    client.write(queryPayload(sql), 0);
    const { errorNumber, text } = await expectErr(client);
    assert.equal(errorNumber, 1148);
    const id = /Once approved, send the same statement again \[request (.*)\]$/.exec(text)?.[1];
    assert.ok(id !== undefined && setup.proxy.approvals.find(id) !== undefined, text);
    return id;
  }

  it("answers with a request id, and lets the same statement pass once", async () => {
    const setup = await setUp("mode: immediate");
    const id = await ask(setup, setup.client);
    assert.equal(await ask(setup, setup.client), id);
    assertNothingSent(setup);
    await approve(setup, id);
    const other = await logIn(setup.proxy.port);
    await expectOk(other, HELD);
    assert.deepEqual(setup.asked, [HELD]);
    assert.notEqual(await ask(setup, setup.client), id);
    assert.deepEqual(recorded(setup).slice(0, 5), [
      "hold",
      "statement-blocked",
      "statement-blocked",
      "approved",
      "statement-intent",
    ]);
  });

  it("does not let another statement, user or schema pass", async () => {
    const setup = await setUp("mode: immediate");
    const id = await ask(setup, setup.client);
    await approve(setup, id);
    assert.notEqual(await ask(setup, setup.client, `${HELD} `), id);
    assert.notEqual(await ask(setup, await logIn(setup.proxy.port, { user: "other" })), id);
    assert.notEqual(await ask(setup, await logIn(setup.proxy.port, { schema: "elsewhere" })), id);
    assertNothingSent(setup);
  });

  it("does not let other bound values pass", async () => {
    const setup = await setUp("mode: immediate");
    setup.client.write(Buffer.concat([Buffer.from([0x16]), Buffer.from("REPLACE INTO log (n) VALUES (?)")]), 0);
    for (let packets = 0; packets < 2; packets++) await setup.client.expect();
    const execute = async (value: number): Promise<string | undefined> => {
      // No flags, one iteration, nothing NULL, a new type: TINYINT.
      setup.client.write(statementCommand(0x17, 5, [0, 1, 0, 0, 0, 0, 1, 1, 0, value]), 0);
      const { payload } = await setup.client.expect();
      return payload[0] === 0 ? undefined : /\[request (.*)\]$/.exec(Buffer.from(payload).toString())?.[1];
    };
    const id = await execute(1);
    assert.ok(id !== undefined);
    await approve(setup, id);
    const other = await execute(2);
    assert.ok(other !== undefined && other !== id);
    assert.equal(await execute(1), undefined);
    assert.deepEqual(setup.asked, ["0x16", "0x17"]);
  });

  it("does not let another text pass that was prepared under the same name meanwhile", async () => {
    const setup = await setUp("mode: immediate");
    const prepare = async (literal: string): Promise<void> => {
      const sql = `PREPARE s FROM '${literal}'`;
      await approve(setup, await ask(setup, setup.client, sql));
      await expectOk(setup.client, sql);
    };
    await prepare(HELD);
    const id = await ask(setup, setup.client, "EXECUTE s");
    await approve(setup, id);
    await prepare("REPLACE INTO wages (n) VALUES (1000)");
    assert.notEqual(await ask(setup, setup.client, "EXECUTE s"), id);
    await prepare(HELD);
    await expectOk(setup.client, "EXECUTE s");
  });

  it("tells the approver's reason to who sends it again", async () => {
    const setup = await setUp("mode: immediate");
    const id = await ask(setup, setup.client);
    setup.proxy.approvals.deny(id, DENIAL);
    setup.client.write(queryPayload(HELD), 0);
    assert.match((await expectErr(setup.client)).text, /denied by bob: not on a Friday/);
    assert.notEqual(await ask(setup, setup.client), id);
  });

  it("keeps the request when the client goes away", async () => {
    const setup = await setUp("mode: immediate");
    const id = await ask(setup, setup.client);
    setup.client.socket.resetAndDestroy();
    await setup.proxy.untilEvent(({ type }) => type === "disconnect");
    await approve(setup, id);
    await expectOk(await logIn(setup.proxy.port), HELD);
  });

  it("lets the policy of the moment refuse what was approved", async () => {
    const setup = await setUp("mode: immediate");
    await approve(setup, await ask(setup, setup.client));
    setup.replacePolicy("deny: { statements: [replace] }");
    setup.client.write(queryPayload(HELD), 0);
    assert.match((await expectErr(setup.client)).text, /blocked by rule/);
    assertNothingSent(setup);
  });
});

describe("an audit log that cannot record", () => {
  for (const failing of ["hold", "approval", "statement-intent"] as const) {
    it(`the ${failing} keeps the statement from running`, async () => {
      const setup = await setUp();
      const { proxy } = setup;
      proxy.failing.add(failing);
      setup.client.write(queryPayload(HELD), 0);
      if (failing !== "hold") {
        const answer = await proxy.approvals.approve(await heldId(proxy), ALICE);
        assert.equal(answer.kind, failing === "approval" ? "refused" : "taken");
      }
      assert.match((await expectErr(setup.client)).text, /record/);
      assert.deepEqual(setup.asked, []);
      proxy.failing.clear();
      await expectOk(setup.client, "SELECT 1");
    });
  }
});
