/** `querycop connections list|check|import`. */
import { readBoundedFile } from "../config/file-access.ts";
import type { Config, ConnectionConfig } from "../config/schema.ts";
import { lavaConnections } from "../connections/lava-import.ts";
import { BackendProbe } from "../doctor/backend-probe.ts";
import type { ListenerContext, ProcessContext } from "../doctor/check.ts";
import { CHECKS } from "../doctor/checks.ts";
import { renderJson, renderText } from "../doctor/render.ts";
import type { CheckResult } from "../doctor/report.ts";
import { runChecks } from "../doctor/run-checks.ts";
import { probeServices } from "../server/probe-services.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import { connectionOf, loadConnections, type ReachedConnection, reachConnection } from "./connection-choice.ts";
import { type ConnectionUsage, connectionUsage, usageText } from "./connection-usage.ts";
import { hostOf } from "./doctor-run.ts";

type Arguments = Readonly<Record<string, unknown>>;

export async function runConnections(args: Arguments, io: CommandIo): Promise<number> {
  const name = typeof args["name"] === "string" ? args["name"] : undefined;
  switch (args["verb"]) {
    case "list":
      return await list(args, io);
    case "check":
      return await check(name, args, io);
    case "import":
      return importFrom(name, io);
    default:
      throw new UsageError(`expected list, check or import, got ${JSON.stringify(args["verb"])}`);
  }
}

async function list(args: Arguments, io: CommandIo): Promise<number> {
  const config = await loadConnections(args, io);
  if (config === undefined) return EXIT_USAGE;
  const rows = config.connections.map(rowOf);
  const usage = typeof args["usage"] === "string" ? await usageIn(args["usage"]) : undefined;
  if (args["json"] === true) {
    const whole = usage === undefined ? rows : rows.map((row) => ({ ...row, usage: usageRow(usage.get(row.name)) }));
    io.stdout(`${JSON.stringify(whole, undefined, 2)}\n`);
    return EXIT_OK;
  }
  for (const row of rows) {
    io.stdout(`${lineOf(row)}\n`);
    if (usage !== undefined) io.stdout(usageText(usage.get(row.name)));
  }
  return EXIT_OK;
}

async function usageIn(auditFile: string): Promise<ReadonlyMap<string, ConnectionUsage>> {
  try {
    return await connectionUsage(auditFile);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === undefined) throw thrown;
    throw new UsageError(`--usage: cannot read ${auditFile}: ${code}`);
  }
}

function usageRow(usage: ConnectionUsage | undefined) {
  const { logins = 0, lastUsed, by = new Map<string, number>() } = usage ?? {};
  return { logins, ...(lastUsed === undefined ? {} : { lastUsed }), by: Object.fromEntries(by) };
}

function rowOf({ name, description, enabled, database, account, hostFromSecret, listener }: ConnectionConfig) {
  const { host, port, tlsMode } = listener.backend;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    enabled,
    ...(hostFromSecret ? {} : { host, port }),
    ...(account.user === undefined ? {} : { user: account.user }),
    ...(database === undefined ? {} : { database }),
    passwordSource: account.password.source,
    tlsMode,
  };
}

function lineOf({
  name,
  description,
  enabled,
  host,
  port,
  user,
  database,
  passwordSource,
  tlsMode,
}: ReturnType<typeof rowOf>): string {
  const place = host === undefined ? "host from the secret" : `${host}:${port}`;
  const who = user ?? "user from the secret";
  const parts = [name, enabled ? "" : "(not enabled)", place, who, database ?? "", passwordSource, tlsMode];
  return [...parts.filter((part) => part !== ""), ...(description === undefined ? [] : [`# ${description}`])].join(
    "  ",
  );
}

/** The way to the database, and a login: not what only a listener for clients has. */
const OF_CONNECTION = /^(?:config\.|host\.clock|backend\.|token\.|server\.settings)/;

async function check(name: string | undefined, args: Arguments, io: CommandIo): Promise<number> {
  if (name === undefined) throw new UsageError("NAME is missing: querycop connections check NAME");
  const config = await loadConnections(args, io);
  if (config === undefined) return EXIT_USAGE;
  const connection = connectionOf(config, name);
  const checks = await checksOf(connection, config, io);
  const report = { version: io.version.version, checks };
  io.stdout(args["json"] === true ? renderJson(report) : renderText(report));
  return checks.some(({ status }) => status === "fail") ? EXIT_FAILED : EXIT_OK;
}

async function checksOf(connection: ConnectionConfig, config: Config, io: CommandIo): Promise<CheckResult[]> {
  const head = { id: "connection.password", title: "The password can be had", listener: connection.name };
  const { account } = connection;
  let reached: ReachedConnection;
  try {
    reached = await reachConnection(connection, io);
  } catch (thrown) {
    return [{ ...head, status: "fail", detail: thrown instanceof Error ? thrown.message : String(thrown) }];
  }
  const { reading, remarks, listener, passwords } = reached;
  passwords?.close();
  const user = account.user ?? reading?.user;
  const version = reading === undefined ? "a token for each login" : `version ${reading.version}`;
  const detail = [`from ${account.password.source}, ${version}, for user ${user ?? "unknown"}`, ...remarks].join("\n");
  const first: CheckResult = { ...head, status: remarks.length > 0 ? "warn" : "ok", detail };
  return [first, ...(await doctorsChecks(listener, config, user, io))];
}

async function doctorsChecks(
  listener: ConnectionConfig["listener"],
  config: Config,
  user: string | undefined,
  io: CommandIo,
): Promise<CheckResult[]> {
  const whole = { ...config, listeners: [listener] };
  const process: ProcessContext = { config: whole, warnings: [], host: { ...hostOf(io), startProblems: [] }, user };
  const services = probeServices(listener, whole);
  const context: ListenerContext = { ...process, listener, services, probe: new BackendProbe() };
  try {
    const checks = CHECKS.filter(({ id }) => OF_CONNECTION.test(id));
    return await runChecks({ checks, process, listeners: [context], only: undefined });
  } finally {
    services.tokens?.close();
  }
}

const EXPORT_BYTES_MAX = 16 * 1024 * 1024;

function importFrom(file: string | undefined, io: CommandIo): number {
  if (file === undefined) throw new UsageError("FILE is missing: querycop connections import FILE");
  const read = readBoundedFile(file, EXPORT_BYTES_MAX);
  if ("problem" in read) throw new UsageError(read.problem);
  const imported = lavaConnections(read.bytes.toString("utf8"));
  if ("problem" in imported) throw new UsageError(`${file}: ${imported.problem}`);
  io.stdout(imported.yaml);
  for (const note of imported.notes) io.stderr(`note: ${note}\n`);
  return EXIT_OK;
}
