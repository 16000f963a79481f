import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { PolicyJudge } from "../../../src/session/mysql/judging/policy-judge.ts";
import { policyFrom } from "../../policy/policy-fixture.ts";
import { acceptLogin, errPayload, logIn, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import type { HarnessOptions } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { AUTOCOMMIT, okWith } from "../../support/wire-replies.ts";

after(closeStages);

const REFUSAL = errPayload({ errorNumber: 1227, sqlState: "42000", message: "denied" });

async function setUp(options: { readonly refuses?: boolean; readonly backend?: HarnessOptions["backend"] } = {}) {
  const asked: string[] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const text = Buffer.from(packet.payload.subarray(1)).toString();
      if (!/^S(?:ET session_track|ELECT CAST\(@@)/.test(text)) asked.push(text);
      const isWall = text.startsWith("SET SESSION TRANSACTION READ ONLY");
      peer.write(options.refuses === true && isWall ? REFUSAL : okWith(AUTOCOMMIT), 1);
    }
  };
  const policy = policyFrom("read_only: true\nallow: { routines: ['*'] }");
  const judge = new PolicyJudge(
    new Judge({
      engines: { mysql: MYSQL_ENGINE },
      policy,
      clock: SYSTEM_CLOCK,
      idPrefix: "t",
      cacheBytesMax: 1_000_000,
    }),
  );
  const { backend = {} } = options;
  const { proxy } = await openStage(script, { services: { judge }, backend });
  const client = await logIn(proxy.port);
  const run = async (sql: string): Promise<Uint8Array> => {
    client.write(queryPayload(sql), 0);
    return (await client.expect()).payload;
  };
  return { run, asked, client, proxy };
}

const WALL = "SET SESSION TRANSACTION READ ONLY";

describe("the second wall", () => {
  it("is put up once, and again behind a routine, but not before what tells of the routine", async () => {
    const { run, asked, client } = await setUp();
    for (const sql of ["DO 1", "DO 2", "CALL p()", "SHOW WARNINGS", "GET DIAGNOSTICS @n = NUMBER", "DO 3"])
      await run(sql);
    const expected = [WALL, "DO 1", "DO 2", "CALL p()", "SHOW WARNINGS", "GET DIAGNOSTICS @n = NUMBER", WALL, "DO 3"];
    assert.deepEqual(asked, expected);
    client.socket.destroy();
  });

  it("that the server refuses ends the session before the statement is sent", async () => {
    const { run, asked, client, proxy } = await setUp({ refuses: true });
    const err = decodeErrPacket(await run("DO 1"));
    assert.equal(err.errorNumber, 1148);
    assert.match(err.message, /^querycop: read_only: the server did not set the session READ ONLY/);
    assert.deepEqual(asked, [WALL]);
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.equal(outcome.type === "statement-outcome" && outcome.outcome, "not-sent");
    client.socket.destroy();
  });

  it("is not put up behind a pooler, which may hand the connection to somebody else", async () => {
    const { run, asked, client } = await setUp({ backend: { pooler: "proxysql" } });
    await run("DO 1");
    assert.deepEqual(asked, ["DO 1"]);
    client.socket.destroy();
  });
});
