import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { Judge } from "../../src/policy/judge.ts";
import { PolicyJudge } from "../../src/session/policy-judge.ts";
import { policyFrom } from "../policy/policy-fixture.ts";
import { errPayload, logIn, type PacketPeer, queryPayload, scriptedBackend } from "../support/fake-peers.ts";
import { closeStages, openStage } from "../support/session-stage.ts";
import { AUTOCOMMIT, okWith } from "../support/wire-replies.ts";

afterEach(closeStages);

const ALL = "session_track_system_variables,sql_mode,character_set_client";

/** A server as MySQL is: it reports changes of what it tracks, and nothing when tracking is replaced. CALL does both. */
class TrackingServer {
  readonly seen: string[] = [];
  #tracked = "";
  #sqlMode = "";
  refusesProbe = false;
  namesInCapitals = false;

  answer(text: string): Uint8Array {
    if (text.startsWith("SET session_track_system_variables=IF(")) return this.#probe();
    // It does not know either: any schema is taken for it.
    if (text.startsWith("SELECT @@sql_mode"))
      return errPayload({ errorNumber: 1193, sqlState: "HY000", message: "no" });
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
  const judge = new Judge({ policy, clock: SYSTEM_CLOCK, idPrefix: "t", cacheBytesMax: 1 << 20 });
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

test("a session asks after a CALL before a text whose meaning depends on it, and not before others", async () => {
  const { server, run } = await open();
  const harmless = ["CALL p()", "SHOW WARNINGS", "SELECT ROW_COUNT()", "SELECT a FROM t"];
  for (const sql of harmless) assert.equal(await run(sql), 0);
  assert.equal(await run(QUOTED), REFUSED);
  assert.deepEqual(server.seen, ["probe", ...harmless, "probe"]);
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
