import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { parsePolicy } from "../../../src/policy/file/policy-file.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { PolicyJudge } from "../../../src/session/mysql/judging/policy-judge.ts";
import { acceptLogin, errPayload, logIn, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import type { HarnessOptions, ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { AUTOCOMMIT, okWith, prepareOk } from "../../support/wire-replies.ts";

after(closeStages);

const COM_QUERY = 3;
const COM_STMT_PREPARE = 0x16;
const COM_STMT_CLOSE = 0x19;
const SYNTAX = { errorNumber: 1064, sqlState: "42000", message: "You have an error … near 'NICATE\n'" };

interface Stage {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  /** What the server was sent of the client's texts. */
  readonly asked: [command: number, body: string][];
}

/** Before a server that answers each COM_STMT_PREPARE so. */
async function setUp(
  answer: readonly Uint8Array[],
  policyText = "version: 1\n",
  options: Partial<HarnessOptions> = {},
) {
  const policy = parsePolicy(policyText);
  assert.ok(policy.kind === "loaded");
  const judge = new PolicyJudge(
    new Judge({
      engines: { mysql: MYSQL_ENGINE },
      policy: policy.policy,
      clock: SYSTEM_CLOCK,
      idPrefix: "t",
      cacheBytesMax: 1_000_000,
    }),
  );
  const asked: Stage["asked"] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const command = packet.payload[0] ?? 0;
      const body = Buffer.from(packet.payload.subarray(1)).toString();
      if (!body.startsWith("SET session_track") && !body.startsWith("SELECT CAST(@@")) asked.push([command, body]);
      if (command === COM_STMT_CLOSE) continue;
      const reply = command === COM_STMT_PREPARE ? answer : [okWith(AUTOCOMMIT)];
      reply.forEach((payload, index) => {
        peer.write(payload, index + 1);
      });
    }
  };
  const { proxy } = await openStage(script, {
    ...options,
    backend: { checksSyntax: true, ...options.backend },
    services: { judge, ...options.services },
  });
  return { proxy, client: await logIn(proxy.port), asked } satisfies Stage;
}

async function errorOf(client: PacketPeer, sql: string) {
  client.write(queryPayload(sql), 0);
  return decodeErrPacket((await client.expect()).payload);
}

const typesOf = ({ events }: ProxyHarness): string[] =>
  events.map(({ type }) => type).filter((type) => type.startsWith("statement") || type === "syntax-check");

const decisionsOf = ({ metrics }: ProxyHarness): number => metrics.decisions.of("block", "dyn.unknown").value;

describe("a text that is not understood", () => {
  it("gets the server's syntax error as it is, is counted as no block and sent in no other way", async () => {
    const { proxy, client, asked } = await setUp([errPayload(SYNTAX)]);
    client.write(queryPayload("FROBNICATE"), 0);
    const { payload, sequenceId } = await client.expect();
    assert.deepEqual([sequenceId, Buffer.from(payload)], [1, Buffer.from(errPayload(SYNTAX))]);
    assert.deepEqual(asked, [[COM_STMT_PREPARE, "FROBNICATE"]]);
    assert.deepEqual([typesOf(proxy), decisionsOf(proxy)], [["syntax-check"], 0]);
    client.socket.destroy();
  });

  it("is blocked where the server can parse it, and nothing that was prepared is left", async () => {
    for (const parsed of [prepareOk(7), [errPayload({ ...SYNTAX, errorNumber: 1295 })]]) {
      const { proxy, client, asked } = await setUp(parsed);
      const { errorNumber, message } = await errorOf(client, "FROBNICATE");
      assert.equal(errorNumber, 1064);
      assert.match(message, /^querycop: blocked by rule dyn\.unknown/);
      await errorOf(client, "FROBNICATE (");
      const closes = asked.filter(([command]) => command === COM_STMT_CLOSE).map(([, body]) => Buffer.from(body)[0]);
      assert.deepEqual(closes, parsed[0]?.[0] === 0 ? [7, 7] : []);
      assert.ok(asked.every(([command]) => command !== COM_QUERY));
      assert.deepEqual(typesOf(proxy).slice(0, 2), ["syntax-check", "statement-blocked"]);
      assert.ok(decisionsOf(proxy) > 0);
      client.socket.destroy();
    }
  });

  it("is blocked unseen where a policy says more, behind a pooler, and where it cannot be recorded", async () => {
    const denied = "version: 1\nrules: { dml.nowhere: block }\n";
    for (const [sql, policy, options, isUnrecorded] of [
      ["DELETE FROM t WHER a = 1", denied, {}],
      ["FROBNICATE", undefined, { backend: { pooler: "proxysql" } }],
      ["FROBNICATE", undefined, { backend: { checksSyntax: false } }],
      ["FROBNICATE", undefined, {}, "unrecorded"],
    ] as const) {
      const { proxy, client, asked } = await setUp([errPayload(SYNTAX)], policy, options);
      if (isUnrecorded !== undefined) proxy.failing.add("syntax-check");
      assert.match((await errorOf(client, sql)).message, /^querycop: blocked by rule/, sql);
      assert.deepEqual(asked, [], sql);
      client.socket.destroy();
    }
  });
});
