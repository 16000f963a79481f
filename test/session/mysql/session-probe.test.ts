import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import type { ConnectionLoads } from "../../../src/base/load-rule.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { PolicyJudge } from "../../../src/session/mysql/judging/policy-judge.ts";
import { policyFrom } from "../../policy/policy-fixture.ts";
import { errPayload, logIn, type PacketPeer, queryPayload, scriptedBackend } from "../../support/fake-peers.ts";
import { OWN_QUESTION } from "../../support/own-question.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { AUTOCOMMIT, columnCount, columnDefinition, okWith, rowsEnd, textRow } from "../../support/wire-replies.ts";

afterEach(closeStages);

const ALL =
  "session_track_system_variables,sql_mode,character_set_client,character_set_connection,collation_connection";

/** A server as MySQL is: it reports changes of what it tracks, and nothing when tracking is replaced. CALL does both. */
class TrackingServer {
  readonly seen: string[] = [];
  #tracked = "";
  #sqlMode = "";
  refusesProbe = false;
  namesInCapitals = false;

  answer(text: string): Uint8Array {
    if (text.startsWith("SET session_track_system_variables=IF(")) return this.#probe();
    if (text.startsWith(OWN_QUESTION)) return errPayload({ errorNumber: 1193, sqlState: "HY000", message: "no" });
    this.seen.push(text);
    const tracked = /session_track_system_variables='(.*?)'/.exec(text)?.[1];
    const isCall = text.startsWith("CALL");
    if (isCall) this.#sqlMode = "ANSI_QUOTES";
    if (tracked !== undefined || isCall) {
      this.#tracked = tracked ?? "";
      return okWith(AUTOCOMMIT);
    }
    const mode = /sql_mode='(.*?)'/.exec(text)?.[1];
    if (mode === undefined) return okWith(AUTOCOMMIT);
    this.#sqlMode = mode;
    return this.#tracked === ALL ? this.#report() : okWith(AUTOCOMMIT);
  }

  #probe(): Uint8Array {
    this.seen.push("probe");
    if (this.refusesProbe) return errPayload({ errorNumber: 1193, sqlState: "HY000", message: "no" });
    this.#tracked = ALL;
    return this.#report();
  }

  #report(): Uint8Array {
    const entries: [string, string][] = [
      ["session_track_system_variables", ALL],
      ["sql_mode", this.#sqlMode],
      ["character_set_client", "utf8mb4"],
      ["collation_connection", "utf8mb4_general_ci"],
    ];
    const named = entries.map(([name, value]): [string, string] => [
      this.namesInCapitals ? name.toUpperCase() : name,
      value,
    ]);
    return okWith(AUTOCOMMIT, { sessionState: { systemVariables: new Map(named) } });
  }
}

interface Stage {
  readonly server: TrackingServer;
  /** The number of the error, 0 for OK. */
  readonly run: (sql: string) => Promise<number>;
}

/** `"word"` is a string in the default mode, and the denied column under ANSI_QUOTES. */
async function open(): Promise<Stage> {
  const server = new TrackingServer();
  const answer = (payload: Uint8Array) => [server.answer(Buffer.from(payload.subarray(1)).toString("latin1"))];
  const policy = policyFrom("deny: { columns: [word] }");
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy,
    clock: SYSTEM_CLOCK,
    idPrefix: "t",
    cacheBytesMax: 1 << 20,
  });
  const { proxy } = await openStage(scriptedBackend(answer), { services: { judge: new PolicyJudge(judge) } });
  const client = await logIn(proxy.port);
  return { server, run: (sql) => ask(client, sql) };
}

async function ask(client: PacketPeer, sql: string): Promise<number> {
  client.write(queryPayload(sql), 0);
  const { payload } = await client.expect();
  return payload[0] === 0xff ? Buffer.from(payload).readUInt16LE(1) : 0;
}

const QUOTED = 'SELECT "word" FROM t';
const REFUSED = 1148;

test("a session follows a sql_mode that the server reports", async () => {
  const { server, run } = await open();
  assert.equal(await run(QUOTED), 0);
  assert.equal(await run("SET sql_mode='ANSI_QUOTES'"), 0);
  assert.equal(await run(QUOTED), REFUSED);
  assert.deepEqual(server.seen, ["probe", QUOTED, "SET sql_mode='ANSI_QUOTES'"]);
});

for (const replacing of [
  "set autocommit=1, session_track_schema=1,session_track_system_variables='auto_increment_increment'",
  "SET session_track_system_variables=''",
  "SET SESSION session_track_system_variables='sql_mode'",
]) {
  test(`a session asks again when tracking is replaced: ${replacing}`, async () => {
    const { server, run } = await open();
    assert.equal(await run(replacing), 0);
    assert.equal(await run("SET sql_mode='ANSI_QUOTES'"), 0);
    assert.equal(await run(QUOTED), REFUSED);
    assert.deepEqual(server.seen, ["probe", replacing, "probe", "SET sql_mode='ANSI_QUOTES'"]);
  });
}

test("a session asks after a CALL before the next text, unless that may ask about the CALL itself", async () => {
  const { server, run } = await open();
  const before = ["CALL p()", "SHOW WARNINGS", "SELECT ROW_COUNT()"];
  for (const sql of [...before, "SELECT a FROM t"]) assert.equal(await run(sql), 0);
  assert.equal(await run(QUOTED), REFUSED);
  assert.deepEqual(server.seen, ["probe", ...before, "probe", "SELECT a FROM t"]);
});

test("a text that asks about the statement before is judged as in any session", async () => {
  const { run } = await open();
  assert.equal(await run('SELECT "word", ROW_COUNT() FROM t'), 0);
  assert.equal(await run("CALL p()"), 0);
  assert.equal(await run('SELECT "word", ROW_COUNT() FROM t'), REFUSED);
});

test("a session whose server refuses to tell judges by every reading", async () => {
  const { server, run } = await open();
  assert.equal(await run(QUOTED), 0);
  server.refusesProbe = true;
  assert.equal(await run("SET session_track_system_variables=''"), 0);
  assert.equal(await run(QUOTED), REFUSED);
  assert.equal(await run("SELECT 'word' FROM t"), 0);
});

test("a session understands names that the client has written in capitals", async () => {
  const { server, run } = await open();
  server.namesInCapitals = true;
  assert.equal(await run(QUOTED), 0);
  assert.equal(await run("SET sql_mode='ANSI_QUOTES'"), 0);
  assert.equal(await run(QUOTED), REFUSED);
});

const ASKS_AURORA = "SELECT CAST(@@aurora_version AS BINARY) LIMIT 1";

for (const [title, version, isListed, expected] of [
  ["an Aurora", "3.08.0", true, [0, REFUSED]],
  ["another server", undefined, true, [REFUSED, REFUSED]],
  ["nobody, where nothing is listed", "3.08.0", false, [REFUSED, REFUSED]],
] as const) {
  test(`an object that loads list is asked of a server that has said what it is: ${title}`, async () => {
    const asked: string[] = [];
    const answer = (payload: Uint8Array): Uint8Array[] => {
      const text = Buffer.from(payload.subarray(1)).toString("latin1");
      if (!text.startsWith(OWN_QUESTION)) return [okWith(AUTOCOMMIT)];
      if (text === ASKS_AURORA) asked.push(text);
      if (text !== ASKS_AURORA || version === undefined)
        return [errPayload({ errorNumber: 1193, sqlState: "HY000", message: "no" })];
      return [columnCount(1), columnDefinition("v"), textRow(version), rowsEnd(AUTOCOMMIT)];
    };
    const loads: ConnectionLoads = isListed
      ? [
          {
            way: "in",
            objects: { bucket: "ingest", key: "", region: undefined, isPrefix: true },
            tables: ["shop.*"],
            modes: ["append"],
            bytesMax: 1,
            limitsBytes: false,
          },
        ]
      : [];
    const judge = new Judge({
      engines: { mysql: MYSQL_ENGINE },
      policy: policyFrom("thresholds: { block: 60 }"),
      clock: SYSTEM_CLOCK,
      idPrefix: "t",
      cacheBytesMax: 1 << 20,
    });
    const services = { judge: new PolicyJudge(judge) };
    const { proxy } = await openStage(scriptedBackend(answer), { services, listener: { loads } });
    const client = await logIn(proxy.port);
    const from = (bucket: string): string => `LOAD DATA FROM S3 's3://${bucket}/a.csv' INTO TABLE shop.sales`;
    assert.equal(await ask(client, "SELECT 1"), 0);
    assert.deepEqual([await ask(client, from("ingest")), await ask(client, from("another"))], expected);
    assert.deepEqual(asked, isListed ? [ASKS_AURORA] : [], "once a session, and only where it matters");
  });
}
