import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import { policyFrom } from "../policy/policy-fixture.ts";
import {
  errPayload,
  GREETING,
  logIn,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
  scriptedBackend,
} from "./fake-peers.ts";
import { OWN_QUESTION } from "./own-question.ts";
import type { HarnessOptions, ProxyHarness } from "./session-harness.ts";
import { openStage } from "./session-stage.ts";
import { AUTOCOMMIT, okWith, prepareOk } from "./wire-replies.ts";

const LONG_DATA = 0x18;
const CLOSE = 0x19;

/** What the session probe sets off: from then on the server tells how it reads SQL. */
const TRACKED = okWith(AUTOCOMMIT, {
  sessionState: {
    schema: "shop",
    systemVariables: new Map([
      ["session_track_system_variables", "*"],
      ["sql_mode", ""],
      ["character_set_client", "utf8mb4"],
      ["collation_connection", "utf8mb4_0900_ai_ci"],
    ]),
  },
});

/** Closed by closeStages(). */
export interface PolicySession {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  readonly judge: Judge;
  /** Commands that reached the backend behind the login, without querycop's own. */
  readonly seen: string[];
}

/** A real policy between a client and a backend that prepares anything: as many parameters as the text has "?". */
export async function openPolicySession(
  policy: string,
  options: Partial<HarnessOptions["listener"]> = {},
  moreFlags = 0,
): Promise<PolicySession> {
  const seen: string[] = [];
  const { capabilities } = GREETING;
  const greeting = { ...GREETING, capabilities: { ...capabilities, flags: (capabilities.flags | moreFlags) >>> 0 } };
  let nextId = 0;
  const script = scriptedBackend((payload) => {
    const text = Buffer.from(payload.subarray(1)).toString("latin1");
    if (payload[0] === 3 && text.includes("SET session_track")) return [TRACKED];
    if (payload[0] === 3 && text.includes(OWN_QUESTION)) return [OK_PAYLOAD];
    seen.push(`${payload[0]}:${text}`);
    if (payload[0] === LONG_DATA || payload[0] === CLOSE) return [];
    if (text.includes("unknown_table")) return [errPayload({ errorNumber: 1146, sqlState: "42S02", message: "no" })];
    return payload[0] === 0x16 ? prepareOk(++nextId, text.split("?").length - 1) : [OK_PAYLOAD];
  }, greeting);
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom(policy),
    clock,
    idPrefix: "t",
    cacheBytesMax: 1 << 20,
  });
  const services = { judge: new PolicyJudge(judge) };
  const { proxy } = await openStage(script, { services, listener: options });
  return { proxy, client: await logIn(proxy.port, { schema: "shop" }), judge, seen };
}

/** The number of the error, or 0 for an OK. */
export async function answerOf(client: PacketPeer): Promise<number> {
  const { payload } = await client.expect();
  return payload[0] === 0xff ? decodeErrPacket(payload).errorNumber : 0;
}

export async function ask(client: PacketPeer, payload: Uint8Array): Promise<number> {
  client.write(payload, 0);
  return await answerOf(client);
}

/** Asks a text and gives the number of its error, or 0. */
export async function run(client: PacketPeer, sql: string): Promise<number> {
  return await ask(client, queryPayload(sql));
}
