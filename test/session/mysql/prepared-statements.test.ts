import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { ByteWriter } from "../../../src/base/bytes.ts";
import { CLIENT_QUERY_ATTRIBUTES } from "../../../src/mysql/constants.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { encodePacket } from "../../../src/mysql/packet.ts";
import { MysqlPreparedText } from "../../../src/policy/mysql/prepared-text.ts";
import { contextFor } from "../../../src/policy/tools/tool-context.ts";
import { PreparedStatement, PreparedStatements } from "../../../src/session/mysql/statements/prepared-statements.ts";
import { policyFrom } from "../../policy/policy-fixture.ts";
import { GREETING, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import { answerOf, ask, openPolicySession } from "../../support/policy-session.ts";
import { closeStages } from "../../support/session-stage.ts";
import { statementCommand } from "../../support/wire-replies.ts";

afterEach(closeStages);

const EXECUTE = 0x17;
const LONG_DATA = 0x18;
const CLOSE = 0x19;
const RESET = 0x1a;
const LAST = 0xffffffff;
const LONGLONG = 8;
const SHORT = 2;
const VAR_STRING = 0xfd;

async function prepare(client: PacketPeer, sql: string): Promise<void> {
  client.write(Buffer.from(`\x16${sql}`), 0);
  const { payload } = await client.expect();
  assert.equal(payload[0], 0, `not prepared: ${Buffer.from(payload).toString("latin1")}`);
  for (let left = sql.split("?").length - 1; left > 0; left--) await client.expect();
}

/** COM_STMT_EXECUTE; without types when `types` is left out. */
function execution(id: number, values: readonly Uint8Array[], types?: readonly number[], nulls = 0): Uint8Array {
  const writer = new ByteWriter().uint8(EXECUTE).uint32(id).uint8(0).uint32(1).uint8(nulls);
  writer.uint8(types === undefined ? 0 : 1);
  for (const type of types ?? []) writer.uint16(type);
  for (const value of values) writer.bytes(value);
  return writer.finish();
}

const longlong = (value: number): Uint8Array => new ByteWriter().uint64(BigInt(value)).finish();
const short = (value: number): Uint8Array => new ByteWriter().uint16(value).finish();
const text = (value: string): Uint8Array => new ByteWriter().lenencBytes(Buffer.from(value)).finish();

function longData(id: number, parameter: number, data: string): Uint8Array {
  return Buffer.concat([statementCommand(LONG_DATA, id, [parameter, 0]), Buffer.from(data)]);
}

const TENANT = "tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]";
const SELECT = "SELECT id FROM invoice WHERE tenant_id = ?";

describe("COM_STMT_EXECUTE", () => {
  it("is judged by the values bound to it", async () => {
    const { client, seen } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    assert.equal(await ask(client, execution(1, [longlong(7)], [LONGLONG])), 0);
    assert.equal(await ask(client, execution(1, [longlong(8)], [LONGLONG])), 1148);
    assert.equal(await ask(client, execution(1, [text("7")], [VAR_STRING])), 0);
    assert.equal(await ask(client, execution(1, [], [VAR_STRING], 1)), 1148);
    assert.equal(seen.length, 3);
  });

  it("without types is read by those of the execution before", async () => {
    const { client } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    assert.equal(await ask(client, execution(1, [longlong(7)])), 1835);
    assert.equal(await ask(client, execution(1, [short(7)], [SHORT])), 0);
    assert.equal(await ask(client, execution(1, [short(7)])), 0);
    assert.equal(await ask(client, execution(1, [short(8)])), 1148);
  });

  it("does not take over the types of an execution that was blocked: the server never saw them", async () => {
    const { client } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    assert.equal(await ask(client, execution(1, [text("7")], [VAR_STRING])), 0);
    assert.equal(await ask(client, execution(1, [longlong(8)], [LONGLONG])), 1148);
    assert.equal(await ask(client, execution(1, [text("7")])), 0);
    assert.equal(await ask(client, execution(1, [text("8")])), 1148);
  });

  it("has to send its types again when the server failed over other ones", async () => {
    const { client } = await openPolicySession("");
    await prepare(client, "SELECT a FROM t WHERE b LIKE ?");
    assert.equal(await ask(client, execution(1, [short(7)], [SHORT])), 0);
    assert.equal(await ask(client, execution(1, [text("unknown_table")], [VAR_STRING])), 1146);
    assert.equal(await ask(client, execution(1, [short(7)])), 1835);
    assert.equal(await ask(client, execution(1, [text("unknown_table")], [VAR_STRING])), 1146);
    assert.equal(await ask(client, execution(1, [short(7)])), 1835);
    assert.equal(await ask(client, execution(1, [short(7)], [SHORT])), 0);
    assert.equal(await ask(client, execution(1, [short(7)])), 0);
  });

  it("that does not hold together is refused and never sent", async () => {
    const { client, seen } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    for (const bad of [
      execution(1, [], [LONGLONG]),
      execution(1, [Uint8Array.of(0xfe, 0, 0, 0, 0, 0, 0, 0, 0x80)], [VAR_STRING]),
      execution(1, [Uint8Array.of(0xfc, 1, 0, 0x37)], [VAR_STRING]),
      execution(1, [longlong(7)], [9]),
    ]) {
      assert.equal(await ask(client, bad), 1835);
    }
    assert.equal(seen.length, 1);
    assert.equal(await ask(client, execution(1, [longlong(7)], [LONGLONG])), 0);
  });

  it("follows the policy of the moment", async () => {
    const { client, judge } = await openPolicySession("");
    await prepare(client, "DELETE FROM t WHERE id = ?");
    assert.equal(await ask(client, execution(1, [longlong(7)], [LONGLONG])), 0);
    judge.replacePolicy(policyFrom("read_only: true"));
    assert.equal(await ask(client, execution(1, [longlong(7)])), 1148);
  });

  it("is judged by the statement's own values, whatever attributes come with it", async () => {
    const { client, seen } = await openPolicySession(TENANT, {}, CLIENT_QUERY_ATTRIBUTES);
    await prepare(client, SELECT);
    const withAttribute = (tenant: number, attribute: number): Uint8Array =>
      new ByteWriter()
        .bytes(Uint8Array.of(EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0))
        .bytes(Uint8Array.of(2, 0, 1, LONGLONG, 0, 0, LONGLONG, 0))
        .lenencBytes(Buffer.from("tenant_id"))
        .bytes(longlong(tenant))
        .bytes(longlong(attribute))
        .finish();
    assert.equal(await ask(client, withAttribute(7, 8)), 0);
    assert.equal(await ask(client, withAttribute(8, 7)), 1148);
    assert.equal(seen.length, 2);
  });

  it("of the statement prepared last is judged as that statement", async () => {
    const { client } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    assert.equal(await ask(client, execution(LAST, [longlong(7)], [LONGLONG])), 0);
    assert.equal(await ask(client, execution(LAST, [longlong(8)])), 1148);
  });

  it("leaves no value in the record", async () => {
    const { client, proxy } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    await ask(client, execution(1, [text("hunter2-8")], [VAR_STRING]));
    await ask(client, execution(1, [text("7")], [VAR_STRING]));
    assert.ok(!JSON.stringify(proxy.events).includes("hunter2"));
    assert.equal(proxy.events.filter(({ type }) => type === "statement-blocked").length, 1);
  });
});

describe("COM_STMT_SEND_LONG_DATA", () => {
  it("is judged with the execution it is for, and used up by it", async () => {
    const { client } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    for (const piece of ["1", "7"]) client.write(longData(1, 0, piece), 0);
    assert.equal(await ask(client, execution(1, [], [VAR_STRING])), 1148);
    assert.equal(await ask(client, statementCommand(RESET, 1)), 0);
    client.write(longData(1, 0, "7"), 0);
    assert.equal(await ask(client, execution(1, [], [VAR_STRING])), 0);
    assert.equal(await ask(client, execution(1, [text("8")], [VAR_STRING])), 1148);
  });

  it("stays with the server when the execution was blocked, so the next one finds it", async () => {
    const { client } = await openPolicySession(TENANT);
    await prepare(client, SELECT);
    client.write(longData(1, 0, "8"), 0);
    assert.equal(await ask(client, execution(1, [], [VAR_STRING])), 1148);
    assert.equal(await ask(client, execution(1, [], [VAR_STRING])), 1148);
  });

  it("is not kept beyond what any rule looks at", async () => {
    const { client, seen } = await openPolicySession(TENANT);
    await prepare(client, "INSERT INTO invoice (tenant_id, a) VALUES (?, ?)");
    for (let piece = 0; piece < 40; piece++) client.write(longData(1, 1, "x".repeat(100_000)), 0);
    assert.equal(await ask(client, execution(1, [longlong(7)], [LONGLONG, VAR_STRING])), 0);
    assert.equal(seen.length, 42);
  });

  it("for a statement that is not prepared goes nowhere", async () => {
    const { client, seen } = await openPolicySession("");
    client.write(longData(9, 0, "x"), 0);
    assert.equal(await ask(client, queryPayload("SELECT 1")), 0);
    assert.deepEqual(seen, ["3:SELECT 1"]);
  });
});

describe("PreparedStatement.describeRest()", () => {
  it("tells apart executions of the same bytes, so that an approval of one does not let the other pass", () => {
    const text = new MysqlPreparedText(Buffer.from("REPLACE INTO t VALUES (?)"), contextFor({}), 1);
    const statements = new PreparedStatements();
    const rests = [];
    for (const [types, pieces] of [
      [[LONGLONG], []],
      [[0x8000 | LONGLONG], []],
      [[LONGLONG], ["a"]],
      [[LONGLONG], ["b"]],
      [[LONGLONG], ["x".repeat(100_000), "a"]],
      [[LONGLONG], ["x".repeat(100_000), "b"]],
    ] as const) {
      const statement = new PreparedStatement(1, text, 1);
      statements.add(statement);
      const first = statement.bind(execution(1, [longlong(7)], types).subarray(10), 0, GREETING.capabilities);
      statement.afterExecution(first, true);
      for (const piece of pieces) statements.addLongData(statement, 0, Buffer.from(piece));
      const values = pieces.length === 0 ? [longlong(7)] : [];
      const binding = statement.bind(execution(1, values).subarray(10), 0, GREETING.capabilities);
      rests.push(statement.describeRest(binding));
    }
    assert.equal(new Set(rests).size, rests.length);
  });
});

describe("a COM_STMT_PREPARE that is blocked", () => {
  it("answers with an error, and so do the executions pipelined behind it", async () => {
    const { client, seen } = await openPolicySession("");
    await prepare(client, "SELECT 1");
    const commands = [
      Buffer.from("\x16DROP DATABASE shop"),
      statementCommand(EXECUTE, LAST, [0, 1, 0, 0, 0]),
      statementCommand(EXECUTE, 2, [0, 1, 0, 0, 0]),
      queryPayload("SELECT 2"),
    ];
    client.socket.write(Buffer.concat(commands.map((payload) => encodePacket(payload, 0))));
    assert.deepEqual(
      [await answerOf(client), await answerOf(client), await answerOf(client), await answerOf(client)],
      [1148, 1243, 1243, 0],
    );
    assert.deepEqual(seen, ["22:SELECT 1", "3:SELECT 2"]);
  });

  it("for being one too many names the setting, and a closed statement makes room", async () => {
    const { client } = await openPolicySession("", { preparedStatementsMax: 2 });
    for (const sql of ["SELECT 1", "SELECT 2"]) await prepare(client, sql);
    client.write(Buffer.from("\x16SELECT 3"), 0);
    const { errorNumber, message } = decodeErrPacket((await client.expect()).payload);
    assert.equal(errorNumber, 1461);
    assert.match(Buffer.from(message).toString(), /GATEKEEPER_PREPARED_STATEMENTS_MAX/);
    client.write(statementCommand(CLOSE, 1), 0);
    await prepare(client, "SELECT 3");
  });
});

describe("a command without response", () => {
  for (const [name, payload] of [
    ["COM_STMT_CLOSE", Uint8Array.of(CLOSE, 1)],
    ["COM_STMT_SEND_LONG_DATA", Uint8Array.of(LONG_DATA, 1, 0, 0, 0, 0)],
  ] as const) {
    it(`that is malformed ends the connection without a word: ${name}`, async () => {
      const { client, seen, proxy } = await openPolicySession("");
      client.write(payload, 0);
      assert.equal(await client.read(), undefined);
      client.socket.end();
      assert.deepEqual(seen, []);
      const end = await proxy.untilEvent(({ type }) => type === "disconnect");
      assert.ok(end.type === "disconnect" && end.reason === "client-protocol");
    });
  }
});
