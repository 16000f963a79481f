/**
 * An hour of ordinary and less ordinary work through the executable, and what the process has grown by.
 *
 *   bun bench/soak.ts [--minutes 60] [--settle 15] [--rate 250] [--lanes 40] [--server mysql|mariadb]
 *
 * TLS on both legs, a policy in force, an audit log with segments that are thrown away. Quoted is the slope of resident
 * memory over the minutes behind the first `--settle`, by least squares through the median of each minute, with its
 * standard error; neighbouring minutes are alike, which the error takes into account. At the end everything leaves, and
 * sessions and file descriptors must be what they were before anybody came.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { adminUrlOf, metricIn, metricsOf } from "../test/support/admin-url.ts";
import { makeCertificates } from "../test/support/certificates.ts";
import { run } from "../test/support/child.ts";
import { eventually } from "../test/support/eventually.ts";
import { type Querycop, querycopBinary, startQuerycop } from "../test/support/querycop.ts";
import { randomFrom } from "../test/support/random.ts";
import { CAPABILITY, RawClient, type WirePacket } from "../test/support/raw-client.ts";
import { startServer } from "../test/support/servers.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    settle: { type: "string", default: "15" },
    rate: { type: "string", default: "250" },
    lanes: { type: "string", default: "40" },
    server: { type: "string", default: "mysql" },
  },
});

const KEY = "the-key-of-the-soak-0123456789";
const ADMIN = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };
const SAMPLE_MS = 5000;
const ANSWER_APPROVALS_MS = 700;
const COM_QUERY = 0x03;
const COM_STMT_EXECUTE = 0x17;
const COM_STMT_CLOSE = 0x19;
const ER_QUERY_INTERRUPTED = 1317;
const ER_NOT_ALLOWED_COMMAND = 1148;

const POLICY = `version: 1
deny:
  statements:
    - { match: drop, action: block }
    - { match: replace, action: require-approval }
approval: { timeout: 20s, open_per_user: 40 }
`;

const folder = mkdtempSync(join(tmpdir(), "querycop-soak-"));
const policyFile = join(folder, "policy.yaml");
writeFileSync(policyFile, POLICY, { mode: 0o600 });
const certificates = await makeCertificates();
const { goodEc } = certificates.leaves;
const server = await startServer({
  kind: values.server === "mariadb" ? "mariadb" : "mysql",
  certificate: { ...goodEc, clientCaFile: certificates.caFile },
  options: ["--general-log=0", "--max-connections=500"],
});
const { user, password } = server.account("admin");
const querycop: Querycop = await startQuerycop({
  GATEKEEPER_BACKEND_HOST: server.host,
  GATEKEEPER_BACKEND_PORT: String(server.port),
  GATEKEEPER_BACKEND_TLS_MODE: "verify-ca",
  GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
  GATEKEEPER_PROXY_TLS_CERT: goodEc.certFile,
  GATEKEEPER_PROXY_TLS_KEY: goodEc.keyFile,
  GATEKEEPER_PROXY_TLS_MODE: "require",
  GATEKEEPER_POLICY_FILE: policyFile,
  GATEKEEPER_AUDIT_KEEP_FILES: "3",
  GATEKEEPER_LOG_LEVEL: "info",
  // A machine that does other things as well may take its time.
  GATEKEEPER_BACKEND_LOGIN_TIMEOUT: "2m",
  GATEKEEPER_BACKEND_CONNECT_TIMEOUT: "1m",
  GATEKEEPER_HANDSHAKE_TIMEOUT: "2m",
  GATEKEEPER_POLICY_JUDGE_TIMEOUT: "2m",
  GATEKEEPER_LOCAL_INFILE: "true",
  ADMIN_API_KEY: KEY,
});
const adminUrl = await adminUrlOf(querycop);

async function connect(): Promise<RawClient> {
  const client = await RawClient.connect(querycop.host, querycop.port);
  const login = { user, password, database: "appdb", moreCapabilities: CAPABILITY.LOCAL_FILES };
  await client.login(login, { rejectUnauthorized: false });
  return client;
}

/** The error number of an answer, 0 where it is none. */
function errorOf(packets: readonly WirePacket[]): number {
  const last = packets.at(-1)?.payload;
  return last?.[0] === 0xff ? last.readUInt16LE(1) : 0;
}

async function ask(client: RawClient, sql: string, expected: readonly number[] = [0]): Promise<void> {
  const error = errorOf(await client.query(sql));
  if (!expected.includes(error)) throw new Error(`${sql.slice(0, 40)}: error ${error}`);
}

const random = randomFrom(7);
const below = (limit: number): number => Math.floor(random() * limit);

/** What a lane does, on its own session; those that end with a session of their own say so by a new one. */
type Work = (lane: Lane) => Promise<void>;

interface Lane {
  client: RawClient;
}

async function prepared({ client }: Lane): Promise<void> {
  const [head] = await client.prepare(`SELECT id, name FROM items WHERE id = ? AND price < ${below(9)}`);
  const id = head?.payload.subarray(1, 5) ?? Buffer.alloc(4);
  // No cursor, once; no NULL; new types: one LONGLONG.
  const value = Buffer.alloc(8);
  value.writeInt32LE(below(3) + 1);
  const fixed = Buffer.from([0, 1, 0, 0, 0, 0, 1, 8, 0]);
  const error = errorOf(await client.ask(COM_STMT_EXECUTE, Buffer.concat([id, fixed, value])));
  if (error !== 0) throw new Error(`execute: error ${error}`);
  client.writeCommand(COM_STMT_CLOSE, id);
}

async function transaction({ client }: Lane): Promise<void> {
  await ask(client, "START TRANSACTION");
  await ask(client, `INSERT INTO scratch (text) VALUES ('${"t".repeat(below(2000))}')`);
  await ask(client, "ROLLBACK");
}

async function cancelled({ client }: Lane): Promise<void> {
  const other = await connect();
  client.writeCommand(COM_QUERY, "SELECT SLEEP(30)");
  let isOver = false;
  const answer = client.readAnswer().finally(() => {
    isOver = true;
  });
  // A KILL that comes before its statement does nothing.
  while (!isOver) {
    await ask(other, `KILL QUERY ${client.greeting?.connectionId}`);
    await Promise.race([answer, delay(100)]);
  }
  other.quit();
  // A SLEEP that is cut short may also come back as a row that says so.
  if (![0, ER_QUERY_INTERRUPTED].includes(errorOf(await answer))) throw new Error("KILL QUERY was not taken");
}

/** Goes away in the middle of something, by FIN or RST. */
async function left(sql: string): Promise<void> {
  const client = await connect();
  client.writeCommand(COM_QUERY, sql);
  if (sql.includes("numbers")) await client.readPacket();
  if (random() < 0.5) client.reset();
  else client.end();
}

async function file({ client }: Lane): Promise<void> {
  const rows = Buffer.from("1,x\n".repeat(5000));
  await ask(client, "START TRANSACTION");
  client.writeCommand(
    COM_QUERY,
    "LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE scratch FIELDS TERMINATED BY ',' (@a, text)",
  );
  const request = await client.readPacket();
  if (request.payload[0] !== 0xfb) throw new Error(`no file was asked for: ${request.payload.toString("latin1")}`);
  client.writePayload(rows);
  client.writePayload(Buffer.alloc(0));
  const error = errorOf([await client.readPacket()]);
  if (error !== 0) throw new Error(`file: error ${error}`);
  await ask(client, "ROLLBACK");
}

const ROWS = "SELECT a.n, REPEAT('x', 2000) FROM numbers a JOIN numbers b ON b.n <= 2";

/** Parts of a thousand. */
const WORK: readonly (readonly [name: string, parts: number, work: Work])[] = [
  ["row", 520, ({ client }) => ask(client, `SELECT id, name FROM items WHERE id = ${below(1_000_000)}`)],
  ["shape", 120, ({ client }) => ask(client, `SELECT n AS c${below(3000)} FROM numbers WHERE n = ${below(300)}`)],
  ["prepared", 100, prepared],
  ["transaction", 60, transaction],
  ["refused", 50, ({ client }) => ask(client, `DROP TABLE t${below(1000)}`, [ER_NOT_ALLOWED_COMMAND])],
  ["wrong", 30, ({ client }) => ask(client, `SELECT * FROM absent${below(1000)} WHERE id = 1`, [1146])],
  ["connect", 60, async () => quitAfter("SELECT 1")],
  ["rows of 1.2 MB", 10, ({ client }) => ask(client, ROWS)],
  ["statement of 1 MB", 8, ({ client }) => ask(client, `SELECT LENGTH('${"y".repeat(1_000_000 + below(1000))}')`)],
  ["file", 8, file],
  ["reconnect", 10, reconnect],
  ["cancelled", 8, cancelled],
  ["held", 6, ({ client }) => ask(client, "REPLACE INTO scratch (id, text) VALUES (77, 'held')", HELD_ANSWERS)],
  ["left in rows", 5, () => left(ROWS)],
  ["left in a statement", 3, () => left("SELECT SLEEP(1)")],
  ["left while held", 2, () => left("REPLACE INTO scratch (id, text) VALUES (78, 'left')")],
];
/** Approved, or denied: every second one each. */
const HELD_ANSWERS = [0, ER_NOT_ALLOWED_COMMAND];

async function quitAfter(sql: string): Promise<void> {
  const client = await connect();
  await ask(client, sql);
  client.quit();
}

async function reconnect(lane: Lane): Promise<void> {
  lane.client.quit();
  lane.client = await connect();
}

const done = new Map<string, number>();
const errors = new Map<string, number>();
const countIn = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1);

function pick(): (typeof WORK)[number] {
  let left = below(WORK.reduce((sum, [, parts]) => sum + parts, 0));
  for (const row of WORK) {
    left -= row[1];
    if (left < 0) return row;
  }
  return WORK[0] as (typeof WORK)[number];
}

let nextMs = performance.now();

const note = (name: string, thrown: unknown): void =>
  countIn(errors, `${name}: ${thrown instanceof Error ? thrown.message : thrown}`);

/** Works at its part of the rate until `untilMs`. What fails is counted, and the lane begins anew. */
async function runLane(untilMs: number): Promise<void> {
  let lane: Lane | undefined;
  while (performance.now() < untilMs) {
    nextMs = Math.max(nextMs, performance.now() - 1000) + 1000 / Number(values.rate);
    await delay(Math.max(0, nextMs - performance.now()));
    const [name, , work] = pick();
    try {
      lane ??= { client: await connect() };
      await work(lane);
      countIn(done, name);
    } catch (thrown) {
      note(name, thrown);
      lane?.client.reset();
      lane = undefined;
    }
  }
  lane?.client.quit();
}

let isApproving = true;

async function answerApproval(id: string, answer: "approve" | "deny"): Promise<void> {
  const body = JSON.stringify({ as: "soak", reason: "the soak" });
  await (await fetch(`${adminUrl}/approvals/${id}/${answer}`, { method: "POST", headers: ADMIN, body })).text();
}

async function answerApprovals(): Promise<void> {
  for (let count = 0; isApproving; await delay(ANSWER_APPROVALS_MS)) {
    try {
      const response = await fetch(`${adminUrl}/approvals`, { headers: ADMIN });
      const { approvals } = (await response.json()) as { approvals?: readonly { id: string }[] };
      for (const { id } of (approvals ?? []).slice(0, 5)) {
        await answerApproval(id, count++ % 2 === 0 ? "approve" : "deny");
      }
    } catch (thrown) {
      note("approvals", thrown);
    }
  }
}

interface Sample {
  readonly atMinute: number;
  readonly residentMiB: number;
}

/** What the descriptors stand for, without numbers; those of the loops of threads, which come when they are needed, left out. */
function descriptors(): string[] {
  const folder = `/proc/${querycop.pid()}/fd`;
  const open = readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(join(folder, name)).replace(/\[\d+\]$/, "")];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
  return open.filter((target) => !target.startsWith("anon_inode:")).sort();
}

function residentMiB(): number {
  const status = readFileSync(`/proc/${querycop.pid()}/status`, "latin1");
  return Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1]) / 1024;
}

const metric = async (name: string): Promise<number> => metricIn(await metricsOf(adminUrl, KEY), name);

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The median of each whole minute. */
function byMinute(samples: readonly Sample[]): Sample[] {
  const minutes = new Map<number, number[]>();
  for (const { atMinute, residentMiB } of samples) {
    const minute = Math.floor(atMinute);
    minutes.set(minute, [...(minutes.get(minute) ?? []), residentMiB]);
  }
  return [...minutes].map(([minute, list]) => ({ atMinute: minute + 0.5, residentMiB: median(list) }));
}

/**
 * The slope by least squares in MiB an hour, and its standard error for residuals that are alike from one minute to the
 * next: as many independent ones as their correlation leaves.
 */
function slopeOf(points: readonly Sample[]): { readonly slope: number; readonly error: number } {
  const count = points.length;
  const mean = (of: (point: Sample) => number): number => points.reduce((sum, point) => sum + of(point), 0) / count;
  const meanX = mean(({ atMinute }) => atMinute);
  const meanY = mean((point) => point.residentMiB);
  const spread = points.reduce((sum, { atMinute }) => sum + (atMinute - meanX) ** 2, 0);
  const together = points.reduce((sum, point) => sum + (point.atMinute - meanX) * (point.residentMiB - meanY), 0);
  const slope = together / spread;
  const residuals = points.map((point) => point.residentMiB - meanY - slope * (point.atMinute - meanX));
  const squares = residuals.reduce((sum, residual) => sum + residual ** 2, 0);
  const neighbours = residuals.slice(1).reduce((sum, residual, index) => sum + residual * (residuals[index] ?? 0), 0);
  const correlation = Math.max(0, neighbours / squares);
  const error = Math.sqrt(squares / (count - 2) / spread) * Math.sqrt((1 + correlation) / (1 - correlation));
  return { slope: slope * 60, error: error * 60 };
}

async function sampleUntil(untilMs: number, beganMs: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  let toldMinute = 0;
  while (performance.now() < untilMs) {
    await delay(SAMPLE_MS);
    const atMinute = (performance.now() - beganMs) / 60_000;
    samples.push({ atMinute, residentMiB: residentMiB() });
    if (Math.floor(atMinute) === toldMinute) continue;
    toldMinute = Math.floor(atMinute);
    const count = [...done.values()].reduce((sum, one) => sum + one, 0);
    const wrong = [...errors.values()].reduce((sum, one) => sum + one, 0);
    const sessions = await metric("querycop_client_connections");
    const rest = `${descriptors().length} descriptors, ${sessions} sessions, ${count} done, ${wrong} errors`;
    console.log(`${toldMinute} min: ${residentMiB().toFixed(1)} MiB, ${rest}`);
  }
  return samples;
}

try {
  const before = descriptors();
  const beganMs = performance.now();
  const untilMs = beganMs + Number(values.minutes) * 60_000;
  const approving = answerApprovals();
  const lanes = Array.from({ length: Number(values.lanes) }, () => runLane(untilMs));
  const samples = await sampleUntil(untilMs, beganMs);
  await Promise.all(lanes);
  await eventually("every session is over", async () => (await metric("querycop_client_connections")) === 0, 60_000);
  isApproving = false;
  await approving;
  await eventually("descriptors are what they were", () => descriptors().length <= before.length, 30_000).catch(
    () => undefined,
  );
  const settled = byMinute(samples).filter(({ atMinute }) => atMinute > Number(values.settle));
  const { slope, error } = slopeOf(settled);
  console.log(`\n${values.server}, ${[...done].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  console.log(`errors: ${[...errors].map(([name, count]) => `${count} × ${name}`).join("; ") || "none"}`);
  const after = descriptors();
  console.log(`descriptors ${before.length} before, ${after.length} after; sessions left 0`);
  if (after.length > before.length) console.log(`  ${before.join(" ")}\n  ${after.join(" ")}`);
  const processorS = await metric("process_cpu_seconds_total");
  console.log(`processor time ${processorS.toFixed(0)} s, resident ${residentMiB().toFixed(1)} MiB at the end`);
  console.log(`slope over ${settled.length} minutes: ${slope.toFixed(2)} ± ${error.toFixed(2)} MiB an hour`);
  querycop.signal("SIGTERM");
  console.log(`exit code ${await querycop.exited}`);
  const verified = await run(await querycopBinary(), ["audit", "verify", join(querycop.folder, "audit.ndjson")]);
  console.log(`audit verify: exit code ${verified.code}, ${verified.stdout.trim().split("\n").at(-1)}`);
} finally {
  await querycop.stop();
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
}
