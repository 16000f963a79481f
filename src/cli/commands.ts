/** The command line: which commands there are, and how one is found, checked and run. */
import { type ArgsDef, type CommandDef, defineCommand, runCommand } from "citty";
import { createLogger } from "../base/log.ts";
import { variableMeant } from "../config/load.ts";
import { closestWord, quote } from "../config/values.ts";
import type { RunDoctor } from "../server/operations.ts";
import {
  adminArguments,
  metricsArguments,
  metricsHelp,
  printMetrics,
  reloadHelp,
  runReload,
  runSessions,
  sessionsArguments,
  sessionsHelp,
  showStatus,
  statusHelp,
} from "./admin-commands.ts";
import { approvalsArguments, approvalsHelp, runApprovals } from "./approvals-commands.ts";
import { checkArguments } from "./arguments.ts";
import { auditArguments, auditHelp, runAudit } from "./audit-commands.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Reread, UsageError } from "./command-io.ts";
import type { CommandShape } from "./command-shape.ts";
import { completionArguments, completionHelp, printCompletion } from "./completion.ts";
import { connections, connectionsArguments, connectionsHelp } from "./connections-command.ts";
import { doctor, doctorArguments, doctorHelp } from "./doctor-command.ts";
import { dsqlArguments, dsqlHelp, runDsql } from "./dsql-commands.ts";
import { connect, connectArguments, connectHelp, exec, execArguments, execHelp } from "./exec-command.ts";
import { explainArguments, explainHelp, runExplain } from "./explain-command.ts";
import { hashPassword, PASSWORD_ENGINES, PASSWORD_PLUGINS } from "./hash-password.ts";
import { type CommandHelp, renderCommandHelp, renderHelp } from "./help.ts";
import { load, loadArguments, loadHelp } from "./load-command.ts";
import { manHelp, printManPage } from "./man-page.ts";
import { plan, planArguments, planHelp } from "./plan-command.ts";
import { policyArguments, policyHelp, runPolicy } from "./policy-commands.ts";
import { runSelf, selfArguments, selfHelp } from "./self-command.ts";
import { runService, serviceArguments, serviceHelp } from "./service-command.ts";
import {
  describeServedPlatform,
  loadForStart,
  loadFromArguments,
  reportFindings,
  SERVED_PLATFORM,
  settingArguments,
} from "./settings-command.ts";
import { checkConfig, showConfig } from "./show-config.ts";
import { runTop, topArguments, topHelp } from "./top-command.ts";
import { WAIT_SETTINGS, wait } from "./wait.ts";

type Run = (args: Readonly<Record<string, unknown>>, io: CommandIo) => Promise<number>;

interface Command {
  readonly help: CommandHelp;
  readonly definition: CommandDef<ArgsDef>;
}

const JSON_OPTION = ["--json", "Print JSON"] as const;
const jsonArgument: ArgsDef = { json: { type: "boolean" } };

function command(help: CommandHelp, args: ArgsDef, run: Run): Command {
  const all: ArgsDef = { ...settingArguments(help.settings), ...args };
  return {
    help,
    definition: defineCommand({
      meta: { name: help.name, description: help.summary },
      args: all,
      run: ({ args: parsed, data }) => run(parsed, data as CommandIo),
    }),
  };
}

const COMMANDS: readonly Command[] = [
  command(
    {
      name: "serve",
      summary: "Run the proxy",
      example: "  querycop serve --config /etc/querycop/querycop.yaml",
      text: "Listens, and relays every client to its backend. SIGTERM ends it when the sessions have finished.",
      options: [],
      settings: "listed",
    },
    {},
    serve,
  ),
  command(
    {
      name: "config",
      summary: "Show every setting with its effective value and where it came from",
      example: "  querycop config --config /etc/querycop/querycop.yaml",
      text: "Loads the configuration as serve would. Secrets are shown as <set>.",
      options: [JSON_OPTION],
      settings: "all",
    },
    jsonArgument,
    showConfig,
  ),
  command(
    {
      name: "check-config",
      summary: "Check the configuration as a start would, and start nothing",
      example: "  querycop check-config --config /etc/querycop/querycop.yaml",
      text: "Reports every problem at once and exits with 2 if there is one. Connects to nothing.",
      options: [JSON_OPTION],
      settings: "all",
    },
    jsonArgument,
    checkConfig,
  ),
  command(doctorHelp, doctorArguments, doctor),
  command(
    {
      name: "wait",
      summary: "Wait until a running querycop greets clients",
      example: "  querycop wait --max 10s",
      text: "Connects to every configured listener until each sends a MySQL greeting, for which the backend must answer too.",
      options: [["--max DURATION", "Give up after this time and exit with 1; default 30s"]],
      settings: WAIT_SETTINGS,
    },
    { max: { type: "string" } },
    wait,
  ),
  command(statusHelp, adminArguments, showStatus),
  command(sessionsHelp, sessionsArguments, runSessions),
  command(topHelp, topArguments, runTop),
  command(reloadHelp, adminArguments, runReload),
  command(metricsHelp, metricsArguments, printMetrics),
  command(explainHelp, explainArguments, runExplain),
  command(policyHelp, policyArguments, runPolicy),
  command(dsqlHelp, dsqlArguments, runDsql),
  command(planHelp, planArguments, plan),
  command(auditHelp, auditArguments, runAudit),
  command(approvalsHelp, approvalsArguments, runApprovals),
  command(connectionsHelp, connectionsArguments, connections),
  command(execHelp, execArguments, exec),
  command(connectHelp, connectArguments, connect),
  command(loadHelp, loadArguments, load),
  command(
    {
      name: "hash-password",
      summary: "Make a line of the users file from a password on standard input",
      example: "  querycop hash-password --user app < password.txt >> /etc/querycop/users",
      text: "Reads the password from standard input, without its final line break.",
      options: [
        ["--user NAME", "The user the line is for; required"],
        [
          "--engine NAME",
          "mysql (default) or postgresql: a SCRAM-SHA-256 verifier, and the ALTER ROLE that goes with it",
        ],
        ["--plugin NAME", "caching_sha2_password (default) or mysql_native_password"],
      ],
      settings: "none",
    },
    {
      user: { type: "string" },
      engine: { type: "string", valueHint: PASSWORD_ENGINES.join("|") },
      plugin: { type: "string", valueHint: PASSWORD_PLUGINS.join("|") },
    },
    hashPassword,
  ),
  command(serviceHelp, serviceArguments, runService),
  command(selfHelp, selfArguments, runSelf),
  command(completionHelp, completionArguments, (args, io) => printCompletion(args, io, COMMAND_SHAPES)),
  command(manHelp, {}, (_args, io) => printManPage(io, COMMAND_SHAPES)),
  command(
    {
      name: "version",
      summary: "Show version, commit and runtime",
      example: "  querycop version --json",
      text: "Names exactly what is running, for reports.",
      options: [JSON_OPTION],
      settings: "none",
    },
    jsonArgument,
    showVersion,
  ),
];

export const COMMAND_SHAPES: readonly CommandShape[] = COMMANDS.map(({ help, definition }) => ({
  help,
  args: definition.args as ArgsDef,
}));

const HELP_WORDS = ["help", "--help", "-h"];
const VERSION_WORDS = ["--version", "-V"];
const MESSAGE_LENGTH_MAX = 1000;

async function serve(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  if (io.platform !== SERVED_PLATFORM) {
    io.stderr(`querycop: serve: ${describeServedPlatform(io.platform)}\n`);
    return EXIT_USAGE;
  }
  const result = await loadForStart(args, io);
  if (!result.ok) {
    reportFindings(result, io);
    return EXIT_USAGE;
  }
  const { level, format } = result.config.log;
  const logger = createLogger({
    level,
    // People read a terminal; a file or pipe gets lines that programs can read.
    format: format === "pretty" && !io.isStderrTerminal ? "text" : format,
    write: io.log,
  });
  for (const warning of result.warnings) {
    const colon = warning.indexOf(": ");
    logger.warn("configuration warning", { setting: warning.slice(0, colon), reason: warning.slice(colon + 2) });
  }
  // As they were at the start: the process takes some of its variables away.
  const env = { ...io.env };
  const reread = async (): Promise<Reread> => {
    const again = await loadFromArguments(args, { ...io, env });
    if (!again.ok) return { problems: again.problems };
    logger.setLevel(again.config.log.level);
    return { logLevel: again.config.log.level, settings: again.effective };
  };
  const runDoctor: RunDoctor = async () => {
    const { checkRunning } = await import("./doctor-run.ts");
    return checkRunning(result, { ...io, env });
  };
  return io.serve(result.config, {
    logger,
    version: io.version,
    settings: result.effective,
    reread,
    doctor: runDoctor,
  });
}

async function showVersion(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { name, version, commit, date, runtime } = io.version;
  if (args["json"] === true) io.stdout(`${JSON.stringify(io.version)}\n`);
  else io.stdout(`${name} ${version} (commit ${commit}, ${date}, ${runtime})\n`);
  return EXIT_OK;
}

function isConfigured(env: CommandIo["env"]): boolean {
  const isSetting = (name: string): boolean => name.startsWith("GATEKEEPER_") || variableMeant(name) !== undefined;
  return Object.entries(env).some(([name, value]) => isSetting(name) && value !== undefined && value !== "");
}

function usage(message: string, hint: string, io: CommandIo): number {
  io.stderr(`querycop: ${message}\nTry: ${hint}\n`);
  return EXIT_USAGE;
}

/** Runs one command line, without the program's own name; resolves with the exit code and never rejects. */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  const [first, ...rest] = argv;
  const helps = COMMANDS.map(({ help }) => help);
  if (first === undefined && !isConfigured(io.env)) {
    io.stderr(renderHelp(io.version, helps));
    return EXIT_USAGE;
  }
  if (first !== undefined && VERSION_WORDS.includes(first)) return runNamed("version", rest, io);
  if (first !== undefined && HELP_WORDS.includes(first)) {
    if (first === "help" && rest[0] !== undefined) return runNamed(rest[0], ["--help"], io);
    io.stdout(renderHelp(io.version, helps));
    return EXIT_OK;
  }
  if (first === undefined || first.startsWith("-")) return runNamed("serve", argv, io);
  return runNamed(first, rest, io);
}

/** What stands behind "--" is the program's. */
const STARTS_PROGRAM: ReadonlySet<string> = new Set([execHelp.name, connectHelp.name]);

function splitProgram(args: readonly string[]): readonly [own: readonly string[], program?: readonly string[]] {
  const end = args.indexOf("--");
  return end < 0 ? [args] : [args.slice(0, end), args.slice(end + 1)];
}

async function runNamed(name: string, args: readonly string[], io: CommandIo): Promise<number> {
  const found = COMMANDS.find(({ help }) => help.name === name);
  if (found === undefined) {
    const near = closestWord(
      name,
      COMMANDS.map(({ help }) => help.name),
    );
    const hint = near === undefined ? "" : `, did you mean ${near}?`;
    return usage(`unknown command ${quote(name).slice(1, -1)}${hint}`, "querycop --help", io);
  }
  const [own, program] = STARTS_PROGRAM.has(name) ? splitProgram(args) : [args];
  if (own.includes("--help") || own.includes("-h")) {
    io.stdout(renderCommandHelp(found.help));
    return EXIT_OK;
  }
  const checked = checkArguments(own, found.definition.args as ArgsDef);
  const hint = `querycop ${name} --help`;
  if ("problem" in checked) return usage(`${name}: ${checked.problem}`, hint, io);
  try {
    const { result } = await runCommand(found.definition, {
      rawArgs: checked.args,
      data: program === undefined ? io : { ...io, program },
    });
    return typeof result === "number" ? result : EXIT_OK;
  } catch (error) {
    if (error instanceof UsageError) return usage(`${name}: ${error.message}`, hint, io);
    const text = error instanceof Error ? error.message : String(error);
    io.stderr(`querycop: ${name} failed: ${text.slice(0, MESSAGE_LENGTH_MAX)}\n`);
    return EXIT_FAILED;
  }
}
