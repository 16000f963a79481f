/** `querycop status|sessions|reload|metrics`: what a running querycop does, through its admin API. */
import type { ArgsDef } from "citty";
import { counted, timeSpan } from "../base/counted.ts";
import { visibleText } from "../base/visible-text.ts";
import type { ReloadOutcome } from "../server/operations.ts";
import type { SessionView } from "../session/session-view.ts";
import { type AdminReply, type AdminTarget, callAdmin } from "./admin-client.ts";
import { ADMIN_SETTINGS, adminTarget, TARGET_OPTIONS, targetArguments } from "./admin-target.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

type Arguments = Readonly<Record<string, unknown>>;

const JSON_OPTION = ["--json", "Print JSON"] as const;
const ASKS = "Asks the admin API that the configuration names, or the one at --url.";

export const statusHelp: CommandHelp = {
  name: "status",
  summary: "Show whether a running querycop serves clients; exits with 1 if not",
  example: "  querycop status --config /etc/querycop/querycop.yaml",
  text: `${ASKS} Without a key it shows what /readyz shows.`,
  options: [...TARGET_OPTIONS, JSON_OPTION],
  settings: ADMIN_SETTINGS,
};

export const sessionsHelp: CommandHelp = {
  name: "sessions",
  summary: "List the sessions of a running querycop, or end one",
  example: "  querycop sessions list --user app",
  text: [
    "  sessions list        All sessions, longest first, with the statement that each runs and since when",
    "  sessions kill ID     End one now; its client, the log and the audit log are told by whose key",
    ASKS,
  ].join("\n"),
  options: [
    ["--user NAME", "list: only of this user"],
    ["--wide", "list: whole statements, also on a terminal, where a line each is cut to its width"],
    ...TARGET_OPTIONS,
    JSON_OPTION,
  ],
  settings: ADMIN_SETTINGS,
};

export const reloadHelp: CommandHelp = {
  name: "reload",
  summary: "Have a running querycop read policy, users and certificates again",
  example: "  querycop reload --config /etc/querycop/querycop.yaml",
  text: `As SIGHUP does, and shows what became of each file. Exits with 1 if something was refused.\n${ASKS}`,
  options: [...TARGET_OPTIONS, JSON_OPTION],
  settings: ADMIN_SETTINGS,
};

export const metricsHelp: CommandHelp = {
  name: "metrics",
  summary: "Print the metrics of a running querycop",
  example: "  querycop metrics | grep querycop_client_connections",
  text: `In the text format of Prometheus.\n${ASKS}`,
  options: TARGET_OPTIONS,
  settings: ADMIN_SETTINGS,
};

export const metricsArguments: ArgsDef = targetArguments;
export const adminArguments: ArgsDef = { ...targetArguments, json: { type: "boolean" } };
export const sessionsArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "list|kill" },
  id: { type: "positional", required: false },
  user: { type: "string" },
  wide: { type: "boolean" },
  ...adminArguments,
};

/** Runs the work with the API to call, or says what is wrong with the configuration that should name it. */
async function withTarget(
  args: Arguments,
  io: CommandIo,
  work: (target: AdminTarget) => Promise<number>,
): Promise<number> {
  const target = await adminTarget(args, io);
  return target === undefined ? EXIT_USAGE : work(target);
}

/** What the API said no with, for people. */
export function refused({ status, json }: AdminReply, io: CommandIo): number {
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
  return withTarget(args, io, async (target) => {
    const hasKey = target.key !== undefined;
    const answer = await callAdmin(target, "GET", hasKey ? "/status" : "/readyz?verbose");
    if (answer.status !== 200 && answer.status !== 503) return refused(answer, io);
    const status = answer.json as Status;
    const isReady = status.isReady ?? status.status === "ready";
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(renderStatus(status, isReady));
    return isReady ? EXIT_OK : EXIT_FAILED;
  });
}

function renderStatus(status: Status, isReady: boolean): string {
  const { version, uptimeSeconds = 0, sessions = 0, policyVersion, checks = [] } = status;
  const about =
    version === undefined
      ? ""
      : `: version ${version}, up ${timeSpan(uptimeSeconds)}, ${counted(sessions, "session")}, policy ${policyVersion}`;
  const lines = checks.map(({ name, ok, detail }) => `${ok ? "ok  " : "FAIL"} ${name}: ${detail}\n`);
  return `${isReady ? "ready" : "not ready"}${about}\n${lines.join("")}`;
}

export function runSessions(args: Arguments, io: CommandIo): Promise<number> {
  const { verb, id } = args;
  if (verb === "list" && id === undefined) return listSessions(args, io);
  if (verb === "kill" && typeof id === "string") return killSession(id, args, io);
  throw new UsageError("expected list, or kill and the id of a session");
}

interface SessionList {
  readonly total: number;
  readonly sessions: readonly SessionView[];
}

function listSessions(args: Arguments, io: CommandIo): Promise<number> {
  return withTarget(args, io, async (target) => {
    const { user } = args;
    const query = typeof user === "string" ? `?user=${encodeURIComponent(user)}` : "";
    const answer = await callAdmin(target, "GET", `/sessions${query}`);
    if (answer.status !== 200) return refused(answer, io);
    if (args["json"] === true) {
      printJson(answer, io);
      return EXIT_OK;
    }
    const { total, sessions } = answer.json as unknown as SessionList;
    io.stdout(renderSessions(sessions, args["wide"] === true ? undefined : io.stdoutColumns?.()));
    if (total > sessions.length) io.stderr(`the first ${sessions.length} of ${counted(total, "session")}\n`);
    return EXIT_OK;
  });
}

const HEADS = ["ID", "USER", "CLIENT", "LISTENER", "STATE", "COMMANDS", "AGE", "SCHEMA", "STATEMENT"];

function renderSessions(sessions: readonly SessionView[], lineWidth: number | undefined): string {
  const rows = sessions.map((row) => [
    row.id,
    visibleText(row.user ?? "-"),
    row.clientAddress,
    row.listener,
    stateOf(row),
    String(row.commands),
    timeSpan(row.ageSeconds),
    visibleText(row.schema ?? "-"),
    visibleText(row.statement?.text ?? row.statement?.kind ?? "-"),
  ]);
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => {
    const text = cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
    return `${lineWidth === undefined || text.length <= lineWidth ? text : `${text.slice(0, lineWidth - 1)}…`}\n`;
  };
  return [HEADS, ...rows].map(line).join("");
}

/** `busy for 12 s, in transaction` */
function stateOf({ state, statement, silentSeconds, isInTransaction }: SessionView): string {
  const seconds = state === "idle" ? silentSeconds : statement?.seconds;
  const since = seconds === undefined ? "" : ` for ${timeSpan(seconds)}`;
  return `${state}${since}${isInTransaction ? ", in transaction" : ""}`;
}

function killSession(id: string, args: Arguments, io: CommandIo): Promise<number> {
  return withTarget(args, io, async (target) => {
    const answer = await callAdmin(target, "DELETE", `/sessions/${encodeURIComponent(id)}`);
    if (answer.status !== 200) return refused(answer, io);
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(`ended ${id}\n`);
    return EXIT_OK;
  });
}

interface Reloaded {
  readonly policy: { readonly version: string };
  readonly reloaded: readonly ReloadOutcome[];
}

export function runReload(args: Arguments, io: CommandIo): Promise<number> {
  return withTarget(args, io, async (target) => {
    const answer = await callAdmin(target, "POST", "/policy/reload");
    if (answer.status !== 200 && answer.status !== 409) return refused(answer, io);
    if (args["json"] === true) printJson(answer, io);
    else io.stdout(renderReload(answer.json as unknown as Reloaded));
    return answer.status === 200 ? EXIT_OK : EXIT_FAILED;
  });
}

const OUTCOMES: Readonly<Record<ReloadOutcome["outcome"], string>> = {
  unchanged: "unchanged",
  replaced: "replaced",
  refused: "refused, what was before stays in force",
};

function renderReload({ policy, reloaded }: Reloaded): string {
  const lines = reloaded.flatMap(({ what, outcome, problems, needsRestart }) => [
    `${what}: ${OUTCOMES[outcome]}`,
    ...(problems === undefined ? [] : problems.split("\n").map((problem) => `  ${problem}`)),
    ...(needsRestart === undefined ? [] : [`  changed, and in force after a restart: ${needsRestart}`]),
  ]);
  if (lines.length === 0) lines.push("the configuration names no file that could have changed");
  return [...lines, `policy in force: ${policy.version}`].map((line) => `${visibleText(line)}\n`).join("");
}

export function printMetrics(args: Arguments, io: CommandIo): Promise<number> {
  return withTarget(args, io, async (target) => {
    const answer = await callAdmin(target, "GET", "/metrics");
    if (answer.status !== 200) return refused(answer, io);
    io.stdout(answer.text);
    return EXIT_OK;
  });
}
