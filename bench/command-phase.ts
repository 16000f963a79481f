/**
 * What the command phase costs by itself, without sockets: `bun bench/command-phase.ts [--statements 400000]`.
 *
 * Both legs are in memory. The client sends its next statement when it has the answer, the backend answers at once with
 * a result set of one row, as a server does to a point select. Figures are processor time of this process, the least of
 * the rounds.
 */

import { parseArgs } from "node:util";
import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import { LoopShare } from "../src/base/loop-share.ts";
import { encodeQuery } from "../src/mysql/command.ts";
import { CLIENT_DEPRECATE_EOF, CLIENT_PROTOCOL_41 } from "../src/mysql/constants.ts";
import { encodePacket } from "../src/mysql/packet.ts";
import { Leg } from "../src/net/leg.ts";
import { Judge } from "../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../src/policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { BackendGate } from "../src/session/backend-gate.ts";
import { CommandContext } from "../src/session/mysql/command-context.ts";
import { serveCommands } from "../src/session/mysql/command-phase.ts";
import { PolicyJudge } from "../src/session/mysql/judging/policy-judge.ts";
import { ClientPeer } from "../src/session/mysql/login/client-peer.ts";
import { benchServices, MemoryTransport, NOTHING } from "./memory-session.ts";

const { values } = parseArgs({
  options: { statements: { type: "string", default: "200000" }, rounds: { type: "string", default: "7" } },
});

const FLAGS = CLIENT_PROTOCOL_41 | CLIENT_DEPRECATE_EOF;

function packets(...payloads: readonly (readonly number[])[]): Uint8Array {
  return Buffer.concat(payloads.map((payload, index) => encodePacket(Uint8Array.from(payload), index + 1)));
}

const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const DEFINITION = [
  ...text("def"),
  ...text("otherdb"),
  ...text("sbtest1"),
  ...text("sbtest1"),
  ...text("c"),
  ...text("c"),
];
const ANSWER = packets(
  [1],
  [...DEFINITION, 12, 45, 0, 224, 1, 0, 0, 254, 0, 0, 0, 0, 0],
  text("x".repeat(120)),
  [0xfe, 0, 0, 2, 0, 0, 0],
);

const QUESTIONS = Array.from({ length: 1000 }, (_, index) =>
  encodePacket(encodeQuery(Buffer.from(`SELECT c FROM sbtest1 WHERE id=${4_000 + index}`), FLAGS), 0),
);

async function session(judge: CommandContext["services"]["judge"], statements: number): Promise<void> {
  let sent = 0;
  const client = new MemoryTransport(() => {
    if (sent++ === statements) return undefined;
    return QUESTIONS[sent % QUESTIONS.length];
  });
  const backend = new MemoryTransport(() => ANSWER);
  const gate = new BackendGate(new Leg("backend", backend, 1 << 24), 5000);
  const capabilities = { flags: FLAGS, mariadb: 0 };
  const response = { user: "app", schema: "otherdb" };
  const context = new CommandContext({
    services: {
      ...benchServices(),
      judge,
      pipelined: new LoopShare(Number.MAX_SAFE_INTEGER),
    },
    client: new ClientPeer(new Leg("client", client, 1 << 24), false, 1000),
    established: {
      backend: gate,
      login: { response, capabilities },
      backendGreeting: { serverVersion: "8.4.3" },
      ok: { statusFlags: 2 },
    },
    memory: { refusalToKeep: NOTHING, keep: NOTHING },
    sessionLabel: "bench-1",
    clientAddress: "127.0.0.1",
    signal: new AbortController().signal,
    becomeUser: NOTHING,
    auditSession: () => ({ id: "bench-1" }),
    record: NOTHING,
  } as never);
  context.state.needsProbe = false;
  context.state.isTracked = true;
  context.state.wasTracked = true;
  const charset = { characterSet: "utf8mb4", connectionCharacterSet: "utf8mb4" };
  context.state.setVariables({ sqlMode: "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES", ...charset });
  queueMicrotask(() => client.speak());
  await serveCommands(context);
}

const policyJudge = new PolicyJudge(
  new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "b",
    cacheBytesMax: 1 << 24,
  }),
);
const statements = Number(values.statements);
let least = Number.POSITIVE_INFINITY;
for (let round = 0; round < Number(values.rounds); round++) {
  const { user, system } = process.cpuUsage();
  await session(policyJudge, statements);
  const now = process.cpuUsage();
  least = Math.min(least, (now.user + now.system - user - system) / statements);
}
console.log(`${least.toFixed(2)} µs a statement`);
