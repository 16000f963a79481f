/**
 * What the command phase costs by itself, without sockets: `bun bench/command-phase.ts [--statements 400000]`.
 *
 * Both legs are in memory. The client sends its next statement when it has the answer, the backend answers at once with
 * a result set of one row, as a server does to a point select. Figures are processor time of this process, the least of
 * the rounds.
 */
import { parseArgs } from "node:util";
import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import type { Logger } from "../src/base/log.ts";
import { encodeQuery } from "../src/mysql/command.ts";
import { CLIENT_DEPRECATE_EOF, CLIENT_PROTOCOL_41 } from "../src/mysql/constants.ts";
import { encodePacket } from "../src/mysql/packet.ts";
import { Leg } from "../src/net/leg.ts";
import type { TlsPeer, Transport, TransportListener } from "../src/net/transport.ts";
import { Judge } from "../src/policy/judge.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { newProxyMetrics } from "../src/server/metric-labels.ts";
import { BackendGate } from "../src/session/backend-gate.ts";
import { ClientPeer } from "../src/session/client-peer.ts";
import { CommandContext } from "../src/session/command-context.ts";
import { serveCommands } from "../src/session/command-phase.ts";
import { PolicyJudge } from "../src/session/policy-judge.ts";
import { UserWindows } from "../src/session/user-windows.ts";

const { values } = parseArgs({
  options: { statements: { type: "string", default: "200000" }, rounds: { type: "string", default: "7" } },
});

/** A socket without a system behind it: what is written calls for an answer. */
class MemoryTransport implements Transport {
  readonly remoteAddress = "127.0.0.1";
  readonly needsDrain = false;
  readonly #answer: () => Uint8Array | undefined;
  #listener: TransportListener | undefined;

  constructor(answer: () => Uint8Array | undefined) {
    this.#answer = answer;
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
  }

  write(): boolean {
    queueMicrotask(() => this.speak());
    return true;
  }

  /** What a runtime hands over is a buffer of its own each time. */
  speak(): void {
    const answer = this.#answer();
    if (answer === undefined) this.#listener?.receiveEnd();
    else this.#listener?.receive(answer.slice());
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  startTls(): Promise<TlsPeer> {
    throw new Error("no TLS in memory");
  }
}

const FLAGS = CLIENT_PROTOCOL_41 | CLIENT_DEPRECATE_EOF;
const NOTHING = (): void => {};
const QUIET: Logger = { debug: NOTHING, info: NOTHING, warn: NOTHING, error: NOTHING, child: () => QUIET };

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
  const gate = new BackendGate(new Leg("backend", backend, 1 << 24));
  const capabilities = { flags: FLAGS, mariadb: 0 };
  const limits = {
    responseBytesMax: 0,
    responseRowsMax: 0,
    windowBytesMax: 0,
    userWindowBytesMax: 0,
    userWindowRowsMax: 0,
  };
  const options = {
    name: "bench",
    preparedStatementsMax: 100,
    writeTimeoutMs: 5000,
    dataGuard: { ...limits, limitAction: "cut", discardTimeoutMs: 0, discardBytesMax: 0 },
    backend: { responseTimeoutMs: 0, writeTimeoutMs: 5000 },
  };
  const audit = { run: "bench", isKept: false, append: NOTHING, appendSoon: NOTHING, hashText: () => "" };
  const response = { user: "app", schema: "otherdb" };
  const context = new CommandContext({
    services: { options, audit, judge, logger: QUIET, metrics: newProxyMetrics(), userWindows: new UserWindows() },
    client: new ClientPeer(new Leg("client", client, 1 << 24), false, 1000),
    established: {
      backend: gate,
      login: { response, capabilities },
      backendGreeting: { serverVersion: "8.4.3" },
      ok: { statusFlags: 2 },
    },
    sessionLabel: "bench-1",
    clientAddress: "127.0.0.1",
    signal: new AbortController().signal,
    becomeUser: NOTHING,
    auditSession: () => ({ id: "bench-1" }),
    record: NOTHING,
  } as never);
  context.state.needsProbe = false;
  context.state.isTracked = true;
  context.state.setVariables("ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES", "utf8mb4");
  queueMicrotask(() => client.speak());
  await serveCommands(context);
}

const policyJudge = new PolicyJudge(
  new Judge({ policy: DEFAULT_POLICY, clock: SYSTEM_CLOCK, idPrefix: "b", cacheBytesMax: 1 << 24 }),
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
