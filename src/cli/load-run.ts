/** `querycop load`. */
import { userInfo } from "node:os";
import type { ConnectionLoads } from "../base/load-rule.ts";
import { s3Text } from "../base/s3-uri.ts";
import { regionOfHost } from "../config/region.ts";
import type { Config, ConnectionConfig, ListenerConfig } from "../config/schema.ts";
import { loadDescription } from "../loads/load-approval.ts";
import { LoadClient } from "../loads/load-client.ts";
import { LoadFailure } from "../loads/load-failure.ts";
import { type AllowedObject, findObjects } from "../loads/load-objects.ts";
import type { LoadPlan } from "../loads/load-plan.ts";
import { type LoadReport, type ObjectReport, reportText } from "../loads/load-report.ts";
import { type LoadProgress, runLoad } from "../loads/run-load.ts";
import { S3Store } from "../loads/s3-store.ts";
import type { PrivateServer } from "../server/private-server.ts";
import { adminTarget } from "./admin-target.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import { connectionOf, loadConnections, type ReachedConnection, reachConnection } from "./connection-choice.ts";
import { AskedApproval, type LoadAskOptions } from "./load-approval.ts";
import { loadPlanOf } from "./load-plan.ts";
import { LoadProgressLine } from "./load-progress.ts";
import { privateServerFor } from "./private-server-for.ts";

type Arguments = Readonly<Record<string, unknown>>;

const EXIT_MISSING = 3;

export async function runLoadCommand(args: Arguments, io: CommandIo): Promise<number> {
  const plan = loadPlanOf(args);
  const config = await loadConnections(args, io);
  if (config === undefined) return EXIT_USAGE;
  const connection = connectionOf(config, String(args["connection"]));
  if (connection.listener.backend.engine !== "mysql") throw new UsageError(`connection ${connection.name} is no MySQL`);
  const { host, region } = connection.listener.backend;
  const store = new S3Store(connection.account.region ?? region ?? regionOfHost(host));
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const work = { args, io, plan, config, connection, store, signal: stopping.signal };
  try {
    return args["dry-run"] === true ? await dryRun(work) : await loadGuarded(work);
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown;
    io.stderr(`querycop: load: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    return thrown instanceof LoadFailure && thrown.end === "missing" ? EXIT_MISSING : EXIT_FAILED;
  } finally {
    store.close();
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

interface Work {
  readonly args: Arguments;
  readonly io: CommandIo;
  readonly plan: LoadPlan;
  readonly config: Config;
  readonly connection: ConnectionConfig;
  readonly store: S3Store;
  readonly signal: AbortSignal;
}

async function dryRun({ args, io, plan, connection, store, signal }: Work): Promise<number> {
  const { objects, missing } = await findObjects(plan, loadsOf(connection), store, signal);
  const rows = [
    ...objects.map(({ object }) => ({ uri: s3Text(object), size: object.size, etag: object.etag })),
    ...missing.map((address) => ({ uri: s3Text(address), missing: true })),
  ];
  const target = `${plan.target.schema}.${plan.target.table}`;
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify({ target, mode: plan.mode, via: plan.via, objects: rows }, undefined, 2)}\n`);
    return EXIT_OK;
  }
  const lines = rows.map((row) => ("size" in row ? `${row.uri}  ${row.size} bytes` : `${row.uri}  missing`));
  io.stdout(`${[...lines, `into ${target} (${plan.mode}, ${plan.via})`].join("\n")}\n`);
  return EXIT_OK;
}

async function loadGuarded(work: Work): Promise<number> {
  const { args, io, plan, config, connection, store, signal } = work;
  const reached = await reachConnection(connection, io);
  let server: PrivateServer | undefined;
  try {
    const target = args["approval"] === true ? await adminTarget(args, io) : undefined;
    if (args["approval"] === true && target === undefined) return EXIT_USAGE;
    server = privateServer(config, reached, io);
    const { user, password } = server;
    const port = await server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
    const line = new LoadProgressLine(io, args["progress"] === "json" ? "json" : "auto");
    const opened = server;
    let granted: Granted | undefined;
    const onGranted = (approvalId: string, approver: string): void => {
      opened.approval.grant(approvalId, approver);
      granted = { approvalId, approver };
    };
    const approval = target === undefined ? undefined : askedApproval(work, reached, { target, user, onGranted });
    const { report, exitCode } = await runLoad({
      plan,
      rules: loadsOf(connection),
      store,
      signal,
      openClient: () => LoadClient.open({ port, user, password }),
      recordObject: (object, whole) => recordObject(opened, connection.name, object, whole),
      onProgress: (progress: LoadProgress) => line.show(progress),
      approval,
    });
    report.remarks.unshift(...reached.remarks);
    if (granted !== undefined) report.remarks.push(`approved by ${granted.approver} (${granted.approvalId})`);
    await recordEnd(server, connection.name, report, granted);
    if (report.why !== undefined) io.stderr(`querycop: load: ${report.why}\n`);
    io.stdout(args["json"] === true ? `${JSON.stringify(report, undefined, 2)}\n` : reportText(report));
    return exitCode;
  } finally {
    await server?.close();
    reached.passwords?.close();
  }
}

interface Granted {
  readonly approvalId: string;
  readonly approver: string;
}

function askedApproval(
  { io, plan, connection: { name }, signal }: Work,
  { listener: { backend, account } }: ReachedConnection,
  { target, user, onGranted }: Pick<LoadAskOptions, "target" | "onGranted"> & { readonly user: string },
): AskedApproval {
  const where = `${name} (${account?.user ?? user} at ${backend.host}:${backend.port})`;
  const about = { connection: name, user, table: `${plan.target.schema}.${plan.target.table}` };
  const describe = (objects: readonly AllowedObject[]): string => loadDescription(plan, objects, where);
  const tell = (line: string): void => io.stderr(`querycop: load: ${line}\n`);
  return new AskedApproval({ target, about, describe, tell, onGranted, signal });
}

/** As that of querycop exec, but for files: those that the load itself sends are let through, whatever their size. */
function privateServer(config: Config, { listener, passwords }: ReachedConnection, io: CommandIo): PrivateServer {
  const forFiles = { ...withoutLoads(listener), localInfile: true, localInfileBytesMax: 0 };
  return privateServerFor({ listener: forFiles, passwords }, config, io, [userInfo().username], WHY_NO_APPROVAL);
}

const WHY_NO_APPROVAL = "which querycop load --approval asks for before it begins";

const loadsOf = ({ account }: ConnectionConfig): ConnectionLoads => account.loads ?? [];

/** They have been looked at by the name of the table that the load is for, which statements of ours are not always about. */
function withoutLoads(listener: ListenerConfig): ListenerConfig {
  if (listener.account === undefined) return listener;
  const { loads: _, ...account } = listener.account;
  return { ...listener, account };
}

const US_PER_MS = 1000;

/** Before the end of the load: what cannot be recorded is not done. */
async function recordObject(
  server: PrivateServer,
  connection: string,
  object: ObjectReport,
  { target, mode, via }: LoadReport,
): Promise<void> {
  const { uri, version, etag = "", size = 0, sha256, bytesLoaded, durationMs } = object;
  const { records, deleted, skipped, warnings } = object;
  await server.record({
    type: "load-object",
    connection,
    object: uri,
    ...(version === undefined ? {} : { version }),
    etag,
    objectBytes: size,
    ...(sha256 === undefined ? {} : { contentHash: sha256 }),
    ...(bytesLoaded === undefined ? {} : { bytes: bytesLoaded }),
    target,
    mode,
    via,
    outcome: object.outcome === "loaded" ? "loaded" : "failed",
    ...(records === undefined ? {} : { records }),
    ...(deleted === undefined ? {} : { deleted }),
    ...(skipped === undefined ? {} : { skipped }),
    ...(warnings === undefined ? {} : { warnings }),
    ...(durationMs === undefined ? {} : { durationUs: durationMs * US_PER_MS }),
  });
}

async function recordEnd(
  server: PrivateServer,
  connection: string,
  report: LoadReport,
  granted: Granted | undefined,
): Promise<void> {
  const { target, mode, via, outcome, objects } = report;
  try {
    await server.record({ type: "load", connection, target, mode, via, outcome, objects: objects.length, ...granted });
  } catch (thrown) {
    report.remarks.push(`its end is not on record: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
