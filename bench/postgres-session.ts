/**
 * What PostgreSQL's session costs by itself, without sockets: `bun bench/postgres-session.ts [--statements 200000]`.
 *
 * Both legs are in memory. The client sends its next statement when it has the answer, the backend answers at once with
 * one row, as a server does to what pgbench asks. Figures are processor time of this process, the least of the rounds.
 */
import { parseArgs } from "node:util";
import { encodeUtf8 } from "../src/base/bytes.ts";
import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import { MemoryBudget } from "../src/base/memory-budget.ts";
import { Leg } from "../src/net/leg.ts";
import { Judge } from "../src/policy/judge.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../src/policy/postgres/postgres-engine.ts";
import { encodeFrontendMessage } from "../src/postgres/frontend-message.ts";
import { BackendConnection } from "../src/session/postgres/backend-connection.ts";
import { ClientLeg } from "../src/session/postgres/client-leg.ts";
import { PostgresPolicyJudge } from "../src/session/postgres/judging/policy-judge.ts";
import { BackendRelay } from "../src/session/postgres/relay/backend-relay.ts";
import { FrontendRelay } from "../src/session/postgres/relay/frontend-relay.ts";
import { RelayContext } from "../src/session/postgres/relay/relay-context.ts";
import { SessionFacts } from "../src/session/postgres/session-facts.ts";
import { StatementLog } from "../src/session/postgres/statements/statement-log.ts";
import { SessionMemory } from "../src/session/session-memory.ts";
import { loadParser } from "../src/sql/postgres/parser/parser.ts";
import { benchServices, MemoryTransport, NOTHING } from "./memory-session.ts";

const { values } = parseArgs({
  options: { statements: { type: "string", default: "200000" }, rounds: { type: "string", default: "5" } },
});

const TERMINATE = "X".charCodeAt(0);

function message(type: string, ...body: readonly (string | readonly number[])[]): Uint8Array {
  const bytes = Buffer.concat(
    body.map((part) => (typeof part === "string" ? Buffer.from(part) : Uint8Array.from(part))),
  );
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

const DESCRIPTION = message(
  "T",
  [0, 1],
  "abalance\0",
  [0, 0, 64, 1, 0, 3, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0],
);
const ROW = [message("D", [0, 1, 0, 0, 0, 1], "0"), message("C", "SELECT 1\0"), message("Z", "I")];
const ANSWERS = {
  simple: Buffer.concat([DESCRIPTION, ...ROW]),
  prepared: Buffer.concat([message("2"), DESCRIPTION, ...ROW]),
} as const;

const text = (value: string): Uint8Array => encodeUtf8(value);

function bind(aid: number): Uint8Array {
  return Buffer.concat([
    encodeFrontendMessage({
      name: "Bind",
      portal: "",
      statement: "P_0",
      parameterFormats: [],
      values: [text(String(aid))],
      resultFormats: [],
    }),
    encodeFrontendMessage({ name: "Describe", target: "portal", of: "" }),
    encodeFrontendMessage({ name: "Execute", portal: "", rowsMax: 0 }),
    encodeFrontendMessage({ name: "Sync" }),
  ]);
}

const query = (aid: number): Uint8Array =>
  encodeFrontendMessage({ name: "Query", sql: text(`SELECT abalance FROM pgbench_accounts WHERE aid = ${aid};`) });

const PREPARE = Buffer.concat([
  encodeFrontendMessage({
    name: "Parse",
    statement: "P_0",
    sql: text("SELECT abalance FROM pgbench_accounts WHERE aid = $1;"),
    parameterTypes: [],
  }),
  encodeFrontendMessage({ name: "Sync" }),
]);
const PREPARED = Buffer.concat([message("1"), message("Z", "I")]);

const QUESTIONS = {
  simple: Array.from({ length: 1000 }, (_, index) => query(40_000 + index)),
  prepared: Array.from({ length: 1000 }, (_, index) => bind(40_000 + index)),
} as const;

const PARAMETERS = new Map([
  ["server_version", "15.20"],
  ["client_encoding", "UTF8"],
  ["standard_conforming_strings", "on"],
  ["application_name", "pgbench"],
]);

async function session(judge: PostgresPolicyJudge, mode: "simple" | "prepared", statements: number): Promise<number> {
  let sent = -1;
  let hasPrepared = mode === "simple";
  const questions = QUESTIONS[mode];
  const clientEnd = new MemoryTransport(() => {
    if (sent++ === -1 && mode === "prepared") return PREPARE;
    return sent > statements ? undefined : questions[sent % questions.length];
  });
  const backendEnd = new MemoryTransport(([type]) => {
    if (type === TERMINATE) return undefined;
    if (hasPrepared) return ANSWERS[mode];
    hasPrepared = true;
    return PREPARED;
  });
  const client = new ClientLeg(new Leg("client", clientEnd, 0), false, 5000);
  client.messages.lengthMax = 1 << 24;
  const backend = new BackendConnection(new Leg("backend", backendEnd, 0), 5000);
  const services = benchServices();
  const relay = new RelayContext({
    services,
    judge,
    subject: { clientAddress: "127.0.0.1", isTls: false, listener: "bench", isAurora: false },
    client,
    backend,
    facts: new SessionFacts("app", "bench", PARAMETERS, "I"),
    memory: new SessionMemory(new MemoryBudget(1 << 30), client, NOTHING),
    log: new StatementLog({ services, session: () => ({ id: "bench-1" }) } as never),
    signal: new AbortController().signal,
    cancelRunning: NOTHING,
  } as never);
  const toClient = new BackendRelay(relay);
  const gate = { tellBlocked: NOTHING, tellWarned: NOTHING, recordRefused: NOTHING };
  const toBackend = new FrontendRelay(relay, gate as never);
  const backward = toClient.run();
  queueMicrotask(() => clientEnd.speak(new Uint8Array()));
  await toBackend.run();
  await backward;
  return clientEnd.writes + backendEnd.writes;
}

await loadParser();
const judge = new PostgresPolicyJudge({
  judge: new Judge({
    engines: { postgresql: POSTGRES_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "b",
    cacheBytesMax: 1 << 24,
  }),
  isDsql: false,
});
const statements = Number(values.statements);
for (const mode of ["simple", "prepared"] as const) {
  let least = Number.POSITIVE_INFINITY;
  let writes = 0;
  for (let round = 0; round < Number(values.rounds); round++) {
    const { user, system } = process.cpuUsage();
    writes = await session(judge, mode, statements);
    const now = process.cpuUsage();
    least = Math.min(least, (now.user + now.system - user - system) / statements);
  }
  console.log(`${mode}: ${least.toFixed(2)} µs and ${(writes / statements).toFixed(2)} writes a statement`);
}
