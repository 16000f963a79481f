/** `querycop explain`: what querycop sees in a statement and what the policy makes of it. */

import type { ArgsDef } from "citty";
import {
  askAdvice,
  COLOUR_PALETTE,
  explain,
  explainLine,
  explainLineAdvised,
  PLAIN_PALETTE,
  renderExplanation,
} from "../policy/explain.ts";
import type { Policy } from "../policy/policy.ts";
import type { ToolSession } from "../policy/tool-context.ts";
import { SecondOpinion } from "../sql/second-opinion.ts";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { linesOf, loadPolicy } from "./policy-source.ts";

export const explainHelp: CommandHelp = {
  name: "explain",
  summary: "Show risk score, rules and facts of a statement, and what the policy decides",
  example: "  querycop explain 'DELETE FROM orders' --user app --schema shop",
  text:
    "Takes the statement as an argument, or from standard input. Nothing is sent anywhere.\n" +
    "With --batch, reads one JSON object {sql, user?, schema?, sqlMode?} per line and prints one per line.",
  options: [
    ["--policy FILE", "Policy file; default GATEKEEPER_POLICY_FILE, else the built-in policy"],
    ["--user NAME", "User the statement comes from"],
    ["--role NAME", "Role of the user"],
    ["--schema NAME", "Current schema"],
    ["--sql-mode MODES", "sql_mode of the session"],
    ["--dialect NAME", "mysql (default), mariadb or vitess"],
    ["--batch", "One JSON object per line in, one per line out"],
    ["--second-opinion", "With --batch: ask the second parser too, as is done for a single statement"],
    ["--json", "Print JSON"],
  ],
  takesSettings: false,
};

export const explainArguments: ArgsDef = {
  statement: { type: "positional", required: false },
  policy: { type: "string" },
  user: { type: "string" },
  role: { type: "string" },
  schema: { type: "string" },
  "sql-mode": { type: "string" },
  dialect: { type: "string" },
  batch: { type: "boolean" },
  "second-opinion": { type: "boolean" },
  json: { type: "boolean" },
};

const SQL_BYTES_MAX = 64 * 1024 * 1024;

/** Nobody waits behind this, unlike on the way to the server. */
const OPINION_DEADLINE_MS = 1_000;
/** Lines of a batch whose opinions are asked for at a time. */
const OPINIONS_AT_A_TIME = 32;

export async function runExplain(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const policy = loadPolicy(args["policy"], io.env);
  const advisor = new SecondOpinion({ deadlineMs: OPINION_DEADLINE_MS, holdsProcess: true });
  try {
    if (args["batch"] === true) {
      return await explainBatch(policy, io, args["second-opinion"] === true ? advisor : undefined);
    }
    const sql = await statementOf(args, io);
    const session = sessionOf(args);
    const wallMs = Date.now();
    const advice = await askAdvice(sql, session, policy, wallMs, advisor);
    const explanation = explain({ sql, session, policy, wallMs, advice });
    if (args["json"] === true) io.stdout(`${JSON.stringify(explanation, null, 2)}\n`);
    else io.stdout(renderExplanation(explanation, usesColour(io) ? COLOUR_PALETTE : PLAIN_PALETTE));
    return EXIT_OK;
  } finally {
    await advisor.close();
  }
}

async function explainBatch(policy: Policy, io: CommandIo, advisor: SecondOpinion | undefined): Promise<number> {
  const wallMs = Date.now();
  const writer = new BatchWriter(io);
  const open: Promise<string>[] = [];
  for await (const line of linesOf("-", io)) {
    if (line === "") continue;
    if (advisor === undefined) await writer.write(explainLine(line, policy, wallMs));
    else open.push(explainLineAdvised(line, policy, wallMs, advisor));
    if (open.length === OPINIONS_AT_A_TIME)
      for (const done of await Promise.all(open.splice(0))) await writer.write(done);
  }
  for (const done of await Promise.all(open)) await writer.write(done);
  writer.flush();
  return EXIT_OK;
}

/** Lines are written together, so that millions of them are not millions of system calls. */
class BatchWriter {
  readonly #io: CommandIo;
  #pending = "";

  constructor(io: CommandIo) {
    this.#io = io;
  }

  write(line: string): Promise<void> | undefined {
    this.#pending += `${line}\n`;
    if (this.#pending.length < BATCH_CHARACTERS) return undefined;
    this.flush();
    return this.#io.stdoutDrained?.();
  }

  flush(): void {
    if (this.#pending !== "") this.#io.stdout(this.#pending);
    this.#pending = "";
  }
}

const BATCH_CHARACTERS = 64 * 1024;

async function statementOf(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<string> {
  const statement = args["statement"];
  if (typeof statement === "string") return statement;
  const input = await io.readStdin(SQL_BYTES_MAX);
  if (input === undefined || input.length === 0) throw new UsageError("no statement: give one, or pipe it in");
  if (input.length > SQL_BYTES_MAX) throw new UsageError(`the statement is longer than ${SQL_BYTES_MAX} bytes`);
  return new TextDecoder().decode(input);
}

function sessionOf(args: Readonly<Record<string, unknown>>): ToolSession {
  const text = (name: string): string | undefined => {
    const value = args[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    user: text("user"),
    role: text("role"),
    schema: text("schema"),
    sqlMode: text("sql-mode"),
    dialect: text("dialect"),
  };
}

function usesColour(io: CommandIo): boolean {
  const noColour = io.env["NO_COLOR"];
  return io.isStdoutTerminal === true && (noColour === undefined || noColour === "");
}
