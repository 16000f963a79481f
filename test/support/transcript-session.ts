/** Sessions of MySQL as pages to read: the scenes they play in, and how what a client gets and a server sees is told. */
import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import type { Packet } from "../../src/mysql/packet.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import type { BackendOptions, ListenerOptions } from "../../src/session/listener-options.ts";
import { PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import { NOON, policyFrom } from "../policy/policy-fixture.ts";
import { GREETING, type PacketPeer } from "./fake-peers.ts";
import type { ModelOptions } from "./model-server.ts";
import { NO_DATA_LIMITS } from "./session-harness.ts";
import { CLASSIC_GREETING } from "./wire-replies.ts";

export interface Scene {
  readonly title: string;
  readonly policy?: string;
  readonly model?: ModelOptions;
  readonly listener?: Partial<ListenerOptions>;
  readonly backend?: Partial<BackendOptions>;
  readonly isUntracked?: boolean;
  /** The client runs statements with many rows of values, as MariaDB lets it. */
  readonly isBulk?: boolean;
}

export const TENANTS =
  "multi_statements: true\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]\ndeny: { tables: [pay.secret], columns: [word] }";
export const MARIADB = { ...GREETING, serverVersion: "5.5.5-10.11.19-MariaDB" };

export const SCENES: readonly Scene[] = [
  { title: "a tenant on MySQL", policy: TENANTS },
  { title: "a tenant on MariaDB", policy: TENANTS, model: { greeting: MARIADB } },
  { title: "a client that tracks nothing", policy: TENANTS, isUntracked: true },
  { title: "a backend that is not to track", policy: TENANTS, backend: { tracksSessions: false } },
  { title: "a server that does not track", policy: TENANTS, model: { refusesTracking: true } },
  { title: "a reader", policy: "read_only: true\nmulti_statements: true" },
  { title: "a reader behind a pooler", policy: "read_only: true", backend: { pooler: "proxysql" } },
  { title: "a reader of one schema", policy: "profiles:\n  - { name: p, match: { schemas: [pay] }, read_only: true }" },
  { title: "Vitess", model: { greeting: { ...GREETING, serverVersion: "8.0.36-Vitess" } } },
  { title: "few changes", policy: "impact: { max_changed_rows: 1 }\nmulti_statements: true" },
  { title: "estimates that nobody gives", policy: "impact: { estimated_rows: { block: 5 }, no_estimate: warn }" },
  { title: "few rows, cut", listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2 } } },
  {
    title: "few bytes, warned",
    listener: { dataGuard: { ...NO_DATA_LIMITS, responseBytesMax: 90, limitAction: "warn" } },
  },
  {
    title: "few rows, ended",
    listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2, limitAction: "terminate" } },
  },
  {
    title: "approvals for a later time",
    policy:
      "thresholds: { warn: 5, require_approval: 20, block: 95 }\napproval: { mode: immediate, open_per_user: 2 }\nmulti_statements: true",
  },
  { title: "tables by name", policy: "allow: { tables: [t, shop.orders] }", model: { tableCase: "1" } },
  { title: "tables by exact name", policy: "allow: { tables: [T, shop.orders] }" },
  {
    title: "two prepared statements",
    listener: { preparedStatementsMax: 2 },
    policy: "mode: observe\nread_only: true",
  },
  { title: "a server of old", model: { greeting: CLASSIC_GREETING }, policy: TENANTS },
];

/** The policy of a scene, at noon for ever. */
export function sceneJudge(policy = ""): PolicyJudge {
  const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
  const options = { policy: policyFrom(policy), clock, idPrefix: "t", cacheBytesMax: 1 << 20 };
  return new PolicyJudge(new Judge({ engines: { mysql: MYSQL_ENGINE }, ...options }));
}

/** The answer to a command. A ping behind it, whose OK begins to count anew, shows where it ends. */
export async function answered(
  client: PacketPeer,
  isAnswered: boolean,
): Promise<{ packets: Packet[]; isClosed: boolean }> {
  client.write(Uint8Array.of(0x0e), 0);
  const packets: Packet[] = [];
  let begun = 0;
  for (;;) {
    const packet = await client.read();
    if (packet === undefined) return { packets, isClosed: true };
    if (packet.sequenceId === 1 && ++begun > (isAnswered ? 1 : 0)) return { packets, isClosed: false };
    packets.push(packet);
  }
}

/** All packets of an answer but definitions, which are always the same, in hex or as the error. */
export function answerLine(packets: readonly Packet[]): string {
  const parts = packets.flatMap(({ payload, sequenceId }) => {
    if (payload.length > 40 && payload[0] === 3) return [];
    if (payload[0] !== 0xff) return [`${sequenceId}:${Buffer.from(payload).toString("hex")}`];
    const { errorNumber, sqlState, message } = decodeErrPacket(payload);
    return [`${sequenceId}: ${errorNumber} ${sqlState} ${message}`];
  });
  return `< ${parts.join(" ")}`;
}

/** querycop's own statements, by what they are for. */
const OWN: readonly (readonly [begin: RegExp, name: string])[] = [
  [/^3 "SET session_track_system_variables=IF.*/, "switches tracking on"],
  [/^3 "SELECT CAST\(@@lower_case_table_names.*/, "asks for the case of tables"],
  [/^3 "SELECT CAST\(@@sql_mode.*@@session_track_schema.*/, "asks what is, and what is tracked"],
  [/^3 "SELECT CAST\(@@sql_mode.*/, "asks what is"],
];

export function seenLine(seen: string): string {
  return `= ${OWN.find(([begin]) => begin.test(seen))?.[1] ?? seen}`;
}
