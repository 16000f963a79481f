/**
 * Runs faults against sessions in all states and prints what came of each as a line of JSON. The program of
 * `faultTable`, alone in its network and mount namespace: `bun run.ts '{"kind":"mysql"}'`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { verifyAudit } from "../../../src/audit/audit-verify.ts";
import { makeCertificates } from "../certificates.ts";
import { runChecked } from "../child.ts";
import { eventually } from "../eventually.ts";
import { OWN_QUESTION } from "../own-question.ts";
import type { AuditLine } from "../querycop.ts";
import type { RawClient, WirePacket } from "../raw-client.ts";
import { withSmallDisk } from "../small-disk.ts";
import { FAULTS, type Fault } from "./kinds.ts";
import { dialAddress, startLossyWire } from "./lossy-wire.ts";
import { startNameServer } from "./name-server.ts";
import { BACKEND_LEG, CLIENT_LEG, type Fixed, OVER_MS, Stage, startFaultyServer } from "./stage.ts";
import { logIn, STATES, type State } from "./states.ts";
import type { FaultCell, FaultRun } from "./table.ts";

const POLICY = `version: 1
deny: { statements: [{ match: replace, action: require-approval }] }
approval: { timeout: 2m }
`;
/** What lies between two sockets, so that a few megabytes are still on their way when a fault comes. */
const SOCKET_BYTES = "4096 65536 262144";

interface Session {
  readonly state: State;
  readonly client: RawClient | undefined;
  readonly connectionId: number | undefined;
}

async function connectionIdOf(client: RawClient): Promise<number> {
  const row = (await client.query("SELECT CONNECTION_ID()"))[2] as WirePacket;
  return Number(row.payload.toString("latin1", 1));
}

async function bring(stage: Stage, state: State): Promise<Session> {
  if (state.before === undefined) return { state, client: undefined, connectionId: undefined };
  const client = await stage.connect();
  await logIn(client, stage);
  const connectionId = await connectionIdOf(client);
  await state.before(client, stage);
  return { state, client, connectionId };
}

/** What the client is told from the fault on: "answered", "error 1290", "closed"; "waits" where it is told nothing. */
async function goOn(stage: Stage, { state, client: present }: Session): Promise<string> {
  let client = present;
  const told = async (): Promise<string> => {
    client ??= await stage.connect();
    if (stage.leaving !== undefined) {
      if (present === undefined) client[stage.leaving]();
      client.resume();
      for (;;) await client.readPacket();
    }
    const last = await state.after(client, stage);
    if (last?.payload[0] === 0xff) return `error ${last.payload.readUInt16LE(1)}`;
    client.quit();
    return "answered";
  };
  const number = (thrown: unknown): string => {
    const { errorNumber } = thrown as { readonly errorNumber?: number };
    return errorNumber === undefined ? "closed" : `error ${errorNumber}`;
  };
  return await Promise.race([told().catch(number), delay(OVER_MS, "waits", { ref: false })]);
}

interface Told {
  readonly text: string;
  readonly ms: number;
}

async function timed(beganMs: number, work: Promise<string>): Promise<Told> {
  const text = await work;
  return { text, ms: performance.now() - beganMs };
}

const sessionOf = (line: AuditLine) =>
  line["session"] as { readonly id: string; readonly backendConnectionId?: number };
const RECORDED = ["Query", "Prepare", "Execute"];

/** What the server ran of a connection's, and what the audit says was about to be sent. */
function counts(
  stage: Stage,
  audit: readonly AuditLine[],
  connectionId: number,
): readonly [ran: number, intents: number] {
  const ran = stage.server
    .generalLog()
    .filter(
      ({ threadId, command, argument }) =>
        threadId === connectionId && RECORDED.includes(command) && !argument.startsWith(OWN_QUESTION),
    );
  const intents = audit.filter(
    (line) => line.type === "statement-intent" && sessionOf(line).backendConnectionId === connectionId,
  );
  return [ran.length, intents.length];
}

/** How the last statement of the session ended and why the session did, as the audit has it. */
function recordOf(audit: readonly AuditLine[], own: (line: AuditLine) => boolean): string {
  const lines = audit.filter((line) => line["session"] !== undefined && own(line));
  const outcome = lines.filter(({ type }) => type === "statement-outcome").at(-1)?.["outcome"];
  const end = lines.find(({ type }) => type === "disconnect" || type === "refuse");
  return `${outcome ?? "-"}, ${end?.["errorCode"] ?? end?.["reason"] ?? "no end"}`;
}

/** What is wrong with what a client was told. */
function wrongAnswer(fault: Fault, state: State, told: string): string[] {
  const wanted = fault.untouched?.includes(state.name) === true ? "answered" : fault.client;
  const fits: Readonly<Record<Fault["client"], boolean>> = {
    answered: told === "answered",
    ended: told === "closed" || told === "answered",
    refused: told !== "waits",
    "not there": true,
  };
  return fits[wanted] ? [] : [`the client was told "${told}"`];
}

/** When querycop has let all sessions go, in milliseconds behind the fault; undefined where it does not. */
async function freed(stage: Stage, beganMs: number): Promise<number | undefined> {
  if (stage.isQuerycopGone) return performance.now() - beganMs;
  const look = async (): Promise<boolean> => (await stage.sessions()) === 0;
  const isFreed = await eventually("sessions are over", look, OVER_MS).catch(() => false);
  return isFreed ? performance.now() - beganMs : undefined;
}

/** What came of a fault, before it is told cell by cell. */
interface Aftermath {
  readonly told: readonly Told[];
  readonly freedMs: number | undefined;
  /** The server's connections when all sessions were over. */
  readonly threads: readonly number[];
  /** The records up to then. */
  readonly audit: readonly AuditLine[];
  /** What a new session was told afterwards. */
  readonly again: string;
  readonly isCommitted: boolean;
}

/** The end of each session on record, if it comes to that. */
async function recordsOf(stage: Stage, sessions: number): Promise<readonly AuditLine[]> {
  const ends = (): number => stage.audit().filter(({ type }) => type === "disconnect" || type === "refuse").length;
  await eventually("the ends are on record", () => ends() >= sessions, 2000).catch(() => undefined);
  return stage.audit();
}

/** Faults that last are over when the sessions are. */
async function strike(stage: Stage, fault: Fault, sessions: readonly Session[]): Promise<Aftermath> {
  const beganMs = performance.now();
  await fault.begin(stage);
  const going = Promise.all(sessions.map((session) => timed(beganMs, goOn(stage, session))));
  if (fault.lastsMs !== undefined) {
    await delay(fault.lastsMs);
    await fault.end?.(stage);
    await stage.healNetwork();
  }
  // Who cannot be told anything is not waited for: what matters is that querycop lets it go meanwhile.
  if (fault.client !== "not there" || fault.lastsMs !== undefined) await going;
  const freedMs = await freed(stage, beganMs);
  if (fault.lastsMs === undefined) {
    await fault.end?.(stage);
    await stage.healNetwork();
  }
  const threads = stage.isServerGone ? [] : await stage.threads();
  const audit = await recordsOf(stage, sessions.length);
  await stage.revive();
  const again = await goOn(stage, { state: STATES[0] as State, client: undefined, connectionId: undefined });
  const told = fault.client === "not there" ? sessions.map(() => ({ text: "-", ms: 0 })) : await going;
  const isCommitted = await hasRow(stage);
  await stage.close();
  return { told, freedMs, threads, audit, again, isCommitted };
}

async function runFault(stage: Stage, fault: Fault, states: readonly State[]): Promise<FaultCell[]> {
  // The last one's statement is to run still.
  const [first, later] = [states.slice(0, -1), states.slice(-1)];
  const sessions = await Promise.all(first.map((state) => bring(stage, state)));
  for (const state of later) sessions.push(await bring(stage, state));
  const aftermath = await strike(stage, fault, sessions);
  const { audit } = aftermath;
  return sessions.map((session, index) => {
    const { text, ms } = aftermath.told[index] as Told;
    const others = new Set(
      sessions.map(({ connectionId }) => connectionId).filter((id) => id !== session.connectionId),
    );
    const record = recordOf(audit, (line) => {
      const id = sessionOf(line).backendConnectionId;
      return session.connectionId === undefined ? !others.has(id) : session.connectionId === id;
    });
    const problems = [
      ...wrongAnswer(fault, session.state, text),
      ...wrongAftermath(aftermath),
      ...wrongRecord(stage, session, aftermath),
    ];
    const threadStays = aftermath.threads.includes(session.connectionId ?? -1);
    const server = stage.isServerGone ? "gone" : threadStays ? "has it still" : "ended it";
    return {
      fault: fault.name,
      state: session.state.name,
      client: text,
      clientMs: ms,
      server,
      record,
      freedMs: aftermath.freedMs,
      problems,
    };
  });
}

function wrongAftermath({ freedMs, again }: Aftermath): string[] {
  const problems: string[] = [];
  if (freedMs === undefined) problems.push("not all sessions were over");
  if (again !== "answered") problems.push(`afterwards a new session was told "${again}"`);
  return problems;
}

/** What the server did against what is on record of it. */
function wrongRecord(stage: Stage, { connectionId }: Session, { audit, isCommitted }: Aftermath): string[] {
  if (connectionId === undefined || stage.isServerGone) return [];
  const problems: string[] = [];
  const [ran, intents] = counts(stage, audit, connectionId);
  if (ran > intents) problems.push(`the server ran ${ran}, ${intents} are on record`);
  const own = audit.filter(
    (line) => line["session"] !== undefined && sessionOf(line).backendConnectionId === connectionId,
  );
  const commit = own.find(({ type, text }) => type === "statement-intent" && text === "COMMIT");
  const end = own.find(({ type, ordinal }) => type === "statement-outcome" && ordinal === commit?.["ordinal"]);
  if (commit !== undefined && end?.["outcome"] === "ok" && !isCommitted) {
    problems.push("the COMMIT is on record as done, but its row is not there");
  }
  return problems;
}

async function hasRow(stage: Stage): Promise<boolean> {
  const [[count] = []] = await stage.server.rootQuery(`SELECT COUNT(*) FROM appdb.scratch WHERE id = ${stage.rowId}`);
  return count === "1";
}

async function prepareNetwork(folder: string): Promise<void> {
  await runChecked("ip", ["link", "set", "lo", "up"]);
  for (const name of ["tcp_rmem", "tcp_wmem"]) writeFileSync(`/proc/sys/net/ipv4/${name}`, SOCKET_BYTES);
  const resolver = join(folder, "resolv.conf");
  writeFileSync(resolver, "nameserver 127.0.0.1\n");
  await runChecked("mount", ["--bind", resolver, "/etc/resolv.conf"]);
}

async function main({ kind, faults, states, seed }: FaultRun): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-faults-"));
  const policyFile = join(folder, "policy.yaml");
  writeFileSync(policyFile, POLICY, { mode: 0o600 });
  await prepareNetwork(folder);
  const wire = await startLossyWire([CLIENT_LEG, BACKEND_LEG], seed);
  const names = await startNameServer(dialAddress(BACKEND_LEG));
  const certificates = await makeCertificates();
  await withSmallDisk(async (disk) => {
    const fixed: Fixed = { kind, wire, names, disk, certificates, policyFile };
    let server = await startFaultyServer(fixed);
    try {
      for (const [index, fault] of FAULTS.entries()) {
        if (faults !== undefined && !faults.includes(fault.name)) continue;
        await server.rootQuery("CREATE TABLE IF NOT EXISTS appdb.loaded (a INT, b TEXT)");
        mkdirSync(dirname(join(disk.folder, `fault-${1000 + index}`, "audit")));
        const stage = await Stage.open(fixed, server, 1000 + index);
        const chosen = STATES.filter(({ name }) => states === undefined || states.includes(name));
        for (const cell of await runFault(stage, fault, chosen)) console.log(JSON.stringify(cell));
        server = stage.server;
        const { problems } = await verifyAudit(stage.auditFile);
        if (problems.length > 0) console.log(JSON.stringify({ fault: fault.name, problems }));
      }
    } finally {
      await server.stop();
    }
  }, "24m");
  names.close();
  wire.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
}

await main(JSON.parse(process.argv[2] ?? "{}") as FaultRun);
