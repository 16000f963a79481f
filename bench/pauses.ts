/**
 * How long one session waits because another sends statements of many megabytes: `bun bench/pauses.ts [--rounds <n>]`.
 *
 * Through the executable, with a MySQL server behind it, a thread of its own asks `DO 1` without a break; quoted is its
 * longest wait while the statement was on its way, the least of the rounds: once with the statement sent around querycop,
 * straight to the server, and once through it. The first is what client, server and machine make others wait. "turn" is
 * the longest turn of querycop's main thread in processor time, over all rounds, of the sources, since nothing can be put
 * into the executable: nobody waits longer than that for querycop itself.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Querycop, startQuerycop } from "../test/support/querycop.ts";
import { CAPABILITY, RawClient, type RawLogin } from "../test/support/raw-client.ts";
import { startServer } from "../test/support/servers.ts";

const MIB = 1 << 20;
const STILL_MS = 1000;
/** ER_PARSE_ERROR: too much to be read within the budget. */
const NOT_UNDERSTOOD = "1064";

const STATEMENTS: readonly (readonly [name: string, bytes: number, make: (bytes: number) => string])[] = [
  ["one string", 16 * MIB, (bytes) => `SELECT '${"x".repeat(bytes)}'`],
  ["one string", 60 * MIB, (bytes) => `SELECT '${"x".repeat(bytes)}'`],
  ["rows", MIB, (bytes) => `INSERT INTO t VALUES ${"(1, 'abc', 2.5), ".repeat(bytes / 17)}(1, 'abc', 2.5)`],
  ["rows", 16 * MIB, (bytes) => `INSERT INTO t VALUES ${"(1, 'abc', 2.5), ".repeat(bytes / 17)}(1, 'abc', 2.5)`],
  ["IN list", 16 * MIB, (bytes) => `SELECT a FROM t WHERE b IN (${"1,".repeat(bytes / 2)}1)`],
  ["columns", 16 * MIB, (bytes) => `SELECT ${"a,".repeat(bytes / 2)}a FROM t`],
  ["parentheses", 16 * MIB, (bytes) => `SELECT ${"(".repeat(bytes / 2)}1${")".repeat(bytes / 2)}`],
  ["joins", 16 * MIB, (bytes) => `SELECT * FROM t ${"JOIN u ON a = b ".repeat(bytes / 16)}`],
  ["UNIONs", 16 * MIB, (bytes) => `SELECT 1 ${"UNION SELECT 1 ".repeat(bytes / 15)}`],
  ["comments", 16 * MIB, (bytes) => `SELECT 1 ${"/* a */ ".repeat(bytes / 8)}`],
  ["statements", 16 * MIB, (bytes) => "SELECT 1;".repeat(bytes / 9)],
  ["version comments", 16 * MIB, (bytes) => `SELECT 1 ${"/*!80031 , 2 */".repeat(bytes / 15)}`],
];

interface Peer {
  readonly host: string;
  readonly port: number;
  readonly login: RawLogin;
}

async function connect({ host, port, login }: Peer): Promise<RawClient> {
  const client = await RawClient.connect(host, port);
  await client.login({ ...login, moreCapabilities: CAPABILITY.MULTI_STATEMENTS });
  return client;
}

/** The second session: answers each message with the longest wait since the one before. */
async function probe(): Promise<void> {
  const client = await connect(workerData as Peer);
  let longestMs = 0;
  let isOver = false;
  parentPort?.on("message", (word: "mark" | "end") => {
    parentPort?.postMessage(longestMs);
    longestMs = 0;
    isOver = word === "end";
  });
  parentPort?.postMessage(0);
  while (!isOver) {
    const beganMs = performance.now();
    await client.query("DO 1");
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
  client.quit();
  parentPort?.close();
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
  const server = await startServer({ kind: "mysql" });
  const admin = server.accounts["admin"];
  if (admin === undefined) throw new Error("the server has no admin account");
  const settings = {
    GATEKEEPER_BACKEND_HOST: server.host,
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_LOG_LEVEL: "info",
  };
  const proxy = await startQuerycop(settings);
  const observed = await startQuerycop(settings, {
    launcher: [process.execPath, "--preload", pathOf("./turns.ts")],
    executable: pathOf("../src/main.ts"),
  });
  try {
    const login = { ...admin, database: "appdb" };
    const peer: Peer = { host: proxy.host, port: proxy.port, login };
    const turns: Turns = { proxy: observed, peer: { host: observed.host, port: observed.port, login } };
    const second = new Worker(new URL(import.meta.url), { workerData: peer });
    const mark = (word: "mark" | "end"): Promise<number> =>
      new Promise((resolve) => {
        second.once("message", resolve);
        second.postMessage(word);
      });
    await new Promise((resolve) => second.once("message", resolve));
    const still: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      await mark("mark");
      await new Promise((resolve) => setTimeout(resolve, STILL_MS));
      still.push(await mark("mark"));
    }
    const heads = ["around", "through", "turn"].map((head) => head.padStart(9)).join("");
    console.log(`${"milliseconds".padEnd(28)}${heads}   through it the statement took`);
    report("nothing else", [Math.min(...still), Math.min(...still), 0], "");
    const rounds = Number(values.rounds);
    const direct: Peer = { host: server.host, port: server.port, login };
    for (const [name, bytes, make] of STATEMENTS) {
      const sql = Buffer.from(make(bytes));
      const through = await send(peer, mark, rounds, sql);
      // What querycop refuses, nobody waits for at the server.
      const isRefused = through.answer.endsWith(NOT_UNDERSTOOD);
      const around = isRefused ? undefined : await send(direct, mark, rounds, sql);
      const turnMs = await longestTurn(turns, rounds, sql);
      const took = `${through.tookMs.toFixed(0)} ms, ${through.answer}`;
      report(`${(sql.length / MIB).toFixed(0)} MiB, ${name}`, [around?.waitMs, through.waitMs, turnMs], took);
    }
    await mark("end");
  } finally {
    await observed.stop();
    await proxy.stop();
    await server.stop();
  }
}

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** The proxy whose turns are told. */
interface Turns {
  readonly proxy: Querycop;
  readonly peer: Peer;
}

async function longestTurn({ proxy, peer }: Turns, rounds: number, sql: Buffer): Promise<number> {
  const toldBefore = proxy.logs().length;
  for (let round = 0; round < rounds; round++) {
    const client = await connect(peer);
    await client.query(sql);
    client.quit();
  }
  const turns = proxy.logs().slice(toldBefore);
  return Math.max(0, ...turns.filter(({ event }) => event === "turn").map(({ cpuMs }) => Number(cpuMs)));
}

/** The least of the rounds each. */
interface Sent {
  readonly waitMs: number;
  readonly tookMs: number;
  readonly answer: string;
}

async function send(peer: Peer, mark: (word: "mark") => Promise<number>, rounds: number, sql: Buffer): Promise<Sent> {
  let [waitMs, tookMs, answer] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, ""];
  for (let round = 0; round < rounds; round++) {
    const client = await connect(peer);
    await mark("mark");
    const beganMs = performance.now();
    const packets = await client.query(sql);
    tookMs = Math.min(tookMs, performance.now() - beganMs);
    waitMs = Math.min(waitMs, await mark("mark"));
    const last = packets.at(-1)?.payload;
    answer = last?.[0] === 0xff ? `refused, ${last.readUInt16LE(1)}` : "ok";
    client.quit();
  }
  return { waitMs, tookMs, answer };
}

function report(name: string, figures: readonly (number | undefined)[], rest: string): void {
  const columns = figures.map((ms) => (ms === undefined ? "-" : ms.toFixed(1)).padStart(9)).join("");
  console.log(`${name.padEnd(28)}${columns}   ${rest}`);
}

if (isMainThread) await main();
else await probe();
