/**
 * Small sessions beside a crowd that wants all of something, in control groups of 256 MiB and 1 GiB, and what 16
 * statements of 15 MB at once take.
 *
 *   bun bench/greed.ts [--limits 256,1024] [--connections 1000] [--seconds 40] [--around 15,10,10] [--sessions 16] [--think 20] [--kinds <name>,…]
 *                      [--each] [--no-big] [--no-control] [--hurry]
 *
 * Needs root, for the groups. The executable stands in front of backends that answer at once and keep nothing: one for the
 * crowd, one for small sessions, that ask `DO 1`, think for some milliseconds and ask again. Quoted are their waits before
 * the crowd comes and while it is there, and the same with HAProxy in querycop's place: what no forwarder spares them. Of
 * two processors the thread of querycop's, or HAProxy's, that serves has the last; on the first are the crowd, and before it
 * the small sessions; threads that compile, collect and judge run where there is room, as they do elsewhere. `--each` takes
 * one kind of greed after the other. `--around`: seconds before the crowd comes, while it comes and after it has left.
 * `--hurry`: the small sessions go before everything, in real time; forwarder and crowd before all else that the machine has
 * to do, by the weight of their control group. Told too is what the serving thread did while the crowd was there, in its own
 * code, which has the collector's part, and in the system; where it waited for its processor, others have disturbed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { encodePacket } from "../src/mysql/packet.ts";
import { adminUrlOf, metricIn, metricsOf } from "../test/support/admin-url.ts";
import { startCrowdBackend, statementOf } from "../test/support/crowd.ts";
import { logIn, type PacketPeer } from "../test/support/fake-peers.ts";
import { KINDS_OF_GREED } from "../test/support/greed.ts";
import { startHaproxy } from "../test/support/haproxy.ts";
import { type MemoryGroup, makeMemoryGroup } from "../test/support/memory-group.ts";
import { type Querycop, startQuerycop } from "../test/support/querycop.ts";
import { CROWD_PRIORITY, goFirst, hurry, pinFirst, Role, type Waits } from "./greed-roles.ts";

const MIB = 1024 * 1024;
const KEY = "the-key-of-the-crowd-0123456789";
const POLICY = `version: 1
deny: { statements: [{ match: replace, action: require-approval }] }
approval: { timeout: 20s, open_per_user: 40 }
`;

function memoryOf(querycop: Querycop, what: "VmHWM" | "VmRSS"): number {
  const status = readFileSync(`/proc/${querycop.pid()}/status`, "latin1");
  return Number(new RegExp(`^${what}:\\s*(\\d+)`, "m").exec(status)?.[1]) / 1024;
}

interface ThreadTimes {
  readonly userMs: number;
  readonly systemMs: number;
  /** Ready to run while the processor did something else. */
  readonly waitedMs: number;
}

const TICK_MS = 10;

/** Of the first thread of a process, which serves: proc(5), and sched-stats.rst of the Linux kernel. */
function threadTimes(pid: number): ThreadTimes {
  const read = (file: string): string => readFileSync(`/proc/${pid}/task/${pid}/${file}`, "latin1");
  const fields = read("stat")
    .replace(/^.*\) /, "")
    .split(" ");
  return {
    userMs: Number(fields[11]) * TICK_MS,
    systemMs: Number(fields[12]) * TICK_MS,
    waitedMs: Number(read("schedstat").split(" ")[1]) / 1e6,
  };
}

const EVENTS = [
  ...["waited", "refused", "evicted"].map((event) => [event, `querycop_memory_events_total{event="${event}"}`]),
  ["silent logins ended", "querycop_silent_logins_ended_total"],
] as const;

async function eventsOf(querycop: Querycop): Promise<string> {
  const text = await metricsOf(await adminUrlOf(querycop), KEY);
  return EVENTS.map(([name = "", metric = ""]) => `${name} ${metricIn(text, metric)}`).join(", ");
}

const { values } = parseArgs({
  options: {
    limits: { type: "string", default: "256,1024" },
    connections: { type: "string", default: "1000" },
    seconds: { type: "string", default: "40" },
    around: { type: "string", default: "15,10,10" },
    sessions: { type: "string", default: "16" },
    think: { type: "string", default: "20" },
    kinds: { type: "string" },
    each: { type: "boolean", default: false },
    big: { type: "boolean", default: true },
    control: { type: "boolean", default: true },
    hurry: { type: "boolean", default: false },
  },
  allowNegative: true,
});
const [QUIET_S = 15, COMING_S = 10, LEAVING_S = 10] = values.around.split(",").map(Number);
/** Where the forwarder runs, and where all others do; undefined where there is one processor only. */
const [ITS_PROCESSOR, OTHERS_PROCESSOR] = availableParallelism() > 1 ? [availableParallelism() - 1, 0] : [];

const SETTINGS = {
  GATEKEEPER_LOG_LEVEL: "info",
  // All come from one address here.
  GATEKEEPER_CONNECTIONS_PER_ADDRESS: "off",
  // A machine that does other things as well may take its time.
  GATEKEEPER_POLICY_JUDGE_TIMEOUT: "5m",
  ADMIN_API_KEY: KEY,
};

/** With a listener for each of the backends. */
async function start(
  backends: Readonly<Record<string, number>>,
  policyFile: string | undefined,
  { group, settings = {} }: { readonly group?: MemoryGroup; readonly settings?: object } = {},
): Promise<Querycop> {
  const names = Object.keys(backends);
  const listeners = names.map(
    (name) => `  - { name: ${name}, listen: { port: 0 }, backend: { host: 127.0.0.1, port: ${backends[name]} } }\n`,
  );
  return await startQuerycop(
    { ...SETTINGS, GATEKEEPER_POLICY_FILE: policyFile, ...settings },
    {
      listeners: names.length,
      configYaml: `local_infile: true\nbackend: { tls_mode: disable }\nlisteners:\n${listeners.join("")}`,
      ...(group === undefined ? {} : { launcher: group.launcher }),
    },
  );
}

const waitsText = ({ count, p50, p99, most }: Waits): string =>
  `p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)}, longest ${most.toFixed(1)} ms of ${count}`;

interface Forwarder {
  readonly name: string;
  readonly smallPort: number;
  readonly greedyPort: number;
  readonly pid: number;
}

interface Roles {
  readonly crowd: Role;
  readonly small: Role;
}

/** The p99 of small sessions while a crowd is at the same forwarder, over their p99 before it came. */
async function besideCrowd({ crowd, small }: Roles, forwarder: Forwarder, kinds: readonly string[]): Promise<number> {
  const { name, smallPort: port, greedyPort, pid } = forwarder;
  if (ITS_PROCESSOR !== undefined) await pinFirst(pid, ITS_PROCESSOR);
  if (values.hurry) hurry(pid);
  await small.do({ kind: "small", port, sessions: Number(values.sessions), thinkMs: Number(values.think) });
  await delay(3000);
  await small.do({ kind: "mark" });
  await delay(QUIET_S * 1000);
  const quiet = await small.do<Waits>({ kind: "mark" });
  // It asks for as much on a machine that has other things to do as on one that has not.
  if (values.hurry) hurry(crowd.pid, CROWD_PRIORITY);
  await crowd.do({ kind: "crowd", port: greedyPort, count: Number(values.connections), kinds });
  // Their logins are over when they have begun to be greedy.
  await delay(COMING_S * 1000);
  // Threads that it has made in the meantime as well.
  if (ITS_PROCESSOR !== undefined) await pinFirst(pid, ITS_PROCESSOR);
  if (values.hurry) hurry(pid);
  const coming = await small.do<Waits>({ kind: "mark" });
  const before = threadTimes(pid);
  await delay(Number(values.seconds) * 1000);
  const crowded = await small.do<Waits>({ kind: "mark" });
  const after = threadTimes(pid);
  // All at once, as it happens to who has no time left for it.
  crowd.stop();
  await delay(LEAVING_S * 1000);
  const leaving = await small.do<Waits>({ kind: "end" });
  console.log(`  ${name}, quiet    ${waitsText(quiet)}`);
  console.log(`  ${name}, coming   ${waitsText(coming)}`);
  console.log(`  ${name}, crowded  ${waitsText(crowded)}: p99 ${(crowded.p99 / quiet.p99).toFixed(2)} × quiet`);
  console.log(`  ${name}, leaving  ${waitsText(leaving)}`);
  const shareOf = (what: keyof ThreadTimes): string =>
    `${((100 * (after[what] - before[what])) / (Number(values.seconds) * 1000)).toFixed(0)} %`;
  console.log(
    `  its thread while crowded: ${shareOf("userMs")} in its own code, ${shareOf("systemMs")} in the system, ${shareOf("waitedMs")} waiting for the processor`,
  );
  return crowded.p99 / quiet.p99;
}

async function measureGroup(
  small: Role,
  limitMiB: number,
  policyFile: string,
  kinds: readonly string[],
): Promise<void> {
  const crowd = await Role.start("crowd", OTHERS_PROCESSOR);
  const backends = { small: small.backendPort, greedy: crowd.backendPort };
  const group = makeMemoryGroup(limitMiB * MIB);
  const querycop = await start(backends, policyFile, { group });
  try {
    console.log(
      `\n${limitMiB} MiB (control group of version ${group.version}), ${values.connections} greedy connections: ${kinds.length === 1 ? kinds[0] : "of every kind"}`,
    );
    const { small: smallPort = 0, greedy: greedyPort = 0 } = querycop.ports;
    await besideCrowd({ crowd, small }, { name: "querycop", smallPort, greedyPort, pid: querycop.pid() }, kinds);
    const peak = (group.peakBytes() / MIB).toFixed(0);
    console.log(
      `  killed ${group.kills()} times; peak of the group ${peak} MiB, resident ${memoryOf(querycop, "VmHWM").toFixed(0)} MiB at most`,
    );
    console.log(`  ${await eventsOf(querycop)}`);
  } finally {
    await querycop.stop();
    crowd.stop();
    group.remove();
  }
}

async function measureControl(small: Role, kinds: readonly string[]): Promise<void> {
  const crowd = await Role.start("crowd", OTHERS_PROCESSOR);
  const haproxy = await startHaproxy([small.backendPort, crowd.backendPort]);
  const [smallPort = 0, greedyPort = 0] = haproxy.ports;
  try {
    console.log(`\nHAProxy in its place, without a limit: ${kinds.length === 1 ? kinds[0] : "of every kind"}`);
    await besideCrowd({ crowd, small }, { name: "HAProxy", smallPort, greedyPort, pid: haproxy.pid() }, kinds);
  } finally {
    haproxy.stop();
    crowd.stop();
  }
}

const AT_ONCE = 16;
const BIG_BYTES = 15_000_000;

/** What so many large statements take at their peak, over what the process had before, by the bytes of all of them. */
async function measureBig(policyFile: string | undefined): Promise<void> {
  const backend = await startCrowdBackend();
  const settings = { GATEKEEPER_MEMORY_BUDGET: "1GiB" };
  const querycop = await start({ large: backend.port }, policyFile, { settings });
  try {
    const peers: PacketPeer[] = [];
    for (let index = 0; index < AT_ONCE; index++) peers.push(await logIn(querycop.port));
    const send = async (peer: PacketPeer, bytes: number): Promise<void> => {
      peer.socket.write(encodePacket(statementOf(bytes), 0));
      const { payload } = await peer.expect();
      if (payload[0] !== 0)
        throw new Error(`a large statement was refused: ${Buffer.from(payload).toString("latin1")}`);
    };
    // Threads that judge, and code that is compiled when it is needed, are there from now on.
    for (const peer of peers) await send(peer, 100_000);
    await Promise.all(peers.map((peer) => send(peer, 1_000_000)));
    const beforeMiB = memoryOf(querycop, "VmRSS");
    await Promise.all(peers.map((peer) => send(peer, BIG_BYTES)));
    const morePeak = memoryOf(querycop, "VmHWM") - beforeMiB;
    const share = (morePeak * MIB) / (AT_ONCE * BIG_BYTES);
    const what = policyFile === undefined ? "without a policy" : "judged by a policy";
    console.log(
      `${AT_ONCE} statements of 15 MB at once, ${what}: ${morePeak.toFixed(0)} MiB more, ${share.toFixed(2)} × their size`,
    );
    for (const { socket } of peers) socket.destroy();
  } finally {
    await querycop.stop();
    backend.close();
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-greed-"));
  const policyFile = join(folder, "policy.yaml");
  writeFileSync(policyFile, POLICY, { mode: 0o600 });
  const small = await Role.start("small", OTHERS_PROCESSOR);
  if (values.hurry) await goFirst(small.pid);
  try {
    if (values.big) for (const file of [undefined, policyFile]) await measureBig(file);
    const kinds = values.kinds?.split(",") ?? KINDS_OF_GREED;
    for (const some of values.each ? kinds.map((kind) => [kind]) : [kinds]) {
      if (values.control) await measureControl(small, some);
      for (const limit of values.limits.split(",")) await measureGroup(small, Number(limit), policyFile, some);
    }
  } finally {
    small.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
