/** `querycop status|sessions|reload|metrics`: what a running querycop does, through its admin API. */
import type { ArgsDef } from "citty";
import { visibleText } from "../base/visible-text.ts";
import type { Config } from "../config/schema.ts";
import { type AdminReply, callAdmin, targetOfConfig } from "./admin-client.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { loadFromArguments, reportFindings } from "./settings-command.ts";

type Arguments = Readonly<Record<string, unknown>>;

const JSON_OPTION = ["--json", "Print JSON"] as const;
const KEY_HINT = "The key is the configuration's: ADMIN_API_KEY or admin_api_key_file.";

export const statusHelp: CommandHelp = {
  name: "status",
  summary: "Show whether a running querycop serves clients; exits with 1 if not",
  example: "  querycop status --config /etc/querycop/querycop.yaml",
  text: `Asks the admin API. Without a key it shows what /readyz shows. ${KEY_HINT}`,
  options: [JSON_OPTION],
  takesSettings: true,
};

export const sessionsHelp: CommandHelp = {
  name: "sessions",
  summary: "List the sessions of a running querycop, or end one",
  example: "  querycop sessions list --user app",
  text: ["  sessions list        All sessions, longest first", "  sessions kill ID     End one now", KEY_HINT].join(
    "\n",
  ),
  options: [["--user NAME", "list: only of this user"], JSON_OPTION],
  takesSettings: true,
};

export const reloadHelp: CommandHelp = {
  name: "reload",
  summary: "Have a running querycop read policy, users and certificates again",
  example: "  querycop reload --config /etc/querycop/querycop.yaml",
  text: `As SIGHUP does, and shows what became of it. Exits with 1 if something was refused. ${KEY_HINT}`,
  options: [JSON_OPTION],
  takesSettings: true,
};

export const metricsHelp: CommandHelp = {
  name: "metrics",
  summary: "Print the metrics of a running querycop",
  example: "  querycop metrics | grep querycop_client_connections",
  text: `In the text format of Prometheus. ${KEY_HINT}`,
  options: [],
  takesSettings: true,
};

export const adminArguments: ArgsDef = { json: { type: "boolean" } };
export const sessionsArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "list|kill" },
  id: { type: "positional", required: false },
  user: { type: "string" },
  json: { type: "boolean" },
};

/** Runs the work with the configuration, or says what is wrong with that. */
async function withConfig(args: Arguments, io: CommandIo, work: (config: Config) => Promise<number>): Promise<number> {
  const result = await loadFromArguments(args, io);
  if (!result.ok) {
    reportFindings(result, io);
    return EXIT_USAGE;
  }
  const { api } = result.config;
  if (api.socket === undefined && api.port === 0) {
    throw new UsageError("api.port 0 is chosen anew at each start: name the port with --api-port");
  }
  return work(result.config);
}

function ask(config: Config, method: "GET" | "POST" | "DELETE", path: string): Promise<AdminReply> {
  return callAdmin(targetOfConfig(config, config.adminApiKey, undefined), method, path);
}

/** What the API said no with, for people. */
function refused({ status, json }: AdminReply, io: CommandIo): number {
  const { message } = (json["error"] ?? {}) as { readonly message?: string };
  io.stderr(`querycop: the admin API refused (${status}): ${message ?? "no reason given"}\n`);
  return EXIT_FAILED;
}

function printJson({ json }: AdminReply, io: CommandIo): void {
  io.stdout(`${JSON.stringify(json, undefined, 2)}\n`);
}

interface Status {
  readonly version?: string;
  readonly uptimeSeconds?: number;
  readonly isReady?: boolean;
  readonly status?: string;
  readonly sessions?: number;
  readonly policyVersion?: string;
  readonly checks?: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

export function showStatus(args: Arguments, io: CommandIo): Promise<number> {
  return withConfig(args, io, async (config) => {
    const hasKey = config.adminApiKey !== undefined;
    const answer = await ask(config, "GET", hasKey ? "/status" : "/readyz?verbose");
    if (answer.status !== 200 && answer.status !== 503) return refused(answer, io);
    const status = answer.json as Status;
    const isReady = status.isReady ?? status.status === "ready";
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(renderStatus(status, isReady));
    return isReady ? EXIT_OK : EXIT_FAILED;
  });
}

function renderStatus(status: Status, isReady: boolean): string {
  const { version, uptimeSeconds, sessions, policyVersion, checks = [] } = status;
  const about =
    version === undefined
      ? ""
      : `: version ${version}, up ${uptimeSeconds} s, ${sessions} sessions, policy ${policyVersion}`;
  const lines = checks.map(({ name, ok, detail }) => `${ok ? "ok  " : "FAIL"} ${name}: ${detail}\n`);
  return `${isReady ? "ready" : "not ready"}${about}\n${lines.join("")}`;
}

export function runSessions(args: Arguments, io: CommandIo): Promise<number> {
  const { verb, id } = args;
  if (verb === "list" && id === undefined) return listSessions(args, io);
  if (verb === "kill" && typeof id === "string") return killSession(id, args, io);
  throw new UsageError("expected list, or kill and the id of a session");
}

interface SessionRow {
  readonly id: string;
  readonly user?: string;
  readonly clientAddress: string;
  readonly listener: string;
  readonly state: string;
  readonly isInTransaction: boolean;
  readonly commands: number;
  readonly ageSeconds: number;
  readonly schema?: string;
}

function listSessions(args: Arguments, io: CommandIo): Promise<number> {
  return withConfig(args, io, async (config) => {
    const { user } = args;
    const query = typeof user === "string" ? `?user=${encodeURIComponent(user)}` : "";
    const answer = await ask(config, "GET", `/sessions${query}`);
    if (answer.status !== 200) return refused(answer, io);
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(renderSessions((answer.json as unknown as { sessions: readonly SessionRow[] }).sessions));
    return EXIT_OK;
  });
}

const HEADS = ["ID", "USER", "CLIENT", "LISTENER", "STATE", "COMMANDS", "AGE", "SCHEMA"];

function renderSessions(sessions: readonly SessionRow[]): string {
  const rows = sessions.map((row) => [
    row.id,
    visibleText(row.user ?? "-"),
    row.clientAddress,
    row.listener,
    row.isInTransaction ? `${row.state}, in transaction` : row.state,
    String(row.commands),
    `${row.ageSeconds} s`,
    visibleText(row.schema ?? "-"),
  ]);
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()}\n`;
  return [HEADS, ...rows].map(line).join("");
}

function killSession(id: string, args: Arguments, io: CommandIo): Promise<number> {
  return withConfig(args, io, async (config) => {
    const answer = await ask(config, "DELETE", `/sessions/${encodeURIComponent(id)}`);
    if (answer.status !== 200) return refused(answer, io);
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(`ended ${id}\n`);
    return EXIT_OK;
  });
}

interface Reloaded {
  readonly policy: { readonly version: string };
  readonly reloaded: readonly { readonly what: string; readonly outcome: string; readonly problems?: string }[];
}

export function runReload(args: Arguments, io: CommandIo): Promise<number> {
  return withConfig(args, io, async (config) => {
    const answer = await ask(config, "POST", "/policy/reload");
    if (answer.status !== 200 && answer.status !== 409) return refused(answer, io);
    if (args["json"] === true) printJson(answer, io);
    else {
      const { policy, reloaded } = answer.json as unknown as Reloaded;
      for (const { what, outcome, problems } of reloaded) {
        io.stdout(`${outcome}: ${what}${problems === undefined ? "" : `\n${problems}`}\n`);
      }
      io.stdout(`policy in force: ${policy.version}\n`);
    }
    return answer.status === 200 ? EXIT_OK : EXIT_FAILED;
  });
}

export function printMetrics(args: Arguments, io: CommandIo): Promise<number> {
  return withConfig(args, io, async (config) => {
    const answer = await ask(config, "GET", "/metrics");
    if (answer.status !== 200) return refused(answer, io);
    io.stdout(answer.text);
    return EXIT_OK;
  });
}
