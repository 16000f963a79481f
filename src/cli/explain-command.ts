/** `querycop explain`: what querycop sees in a statement and what the policy makes of it. */

import type { ArgsDef } from "citty";
import { COLOUR_PALETTE, explain, explainLine, PLAIN_PALETTE, renderExplanation } from "../policy/explain.ts";
import type { ToolSession } from "../policy/tool-context.ts";
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
  json: { type: "boolean" },
};

const SQL_BYTES_MAX = 64 * 1024 * 1024;

export async function runExplain(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const policy = loadPolicy(args["policy"], io.env);
  if (args["batch"] === true) return explainBatch(policy, io);
  const sql = await statementOf(args, io);
  const explanation = explain({ sql, session: sessionOf(args), policy, wallMs: Date.now() });
  if (args["json"] === true) io.stdout(`${JSON.stringify(explanation, null, 2)}\n`);
  else io.stdout(renderExplanation(explanation, usesColour(io) ? COLOUR_PALETTE : PLAIN_PALETTE));
  return EXIT_OK;
}

async function explainBatch(policy: ReturnType<typeof loadPolicy>, io: CommandIo): Promise<number> {
  const wallMs = Date.now();
  let pending = "";
  for await (const line of linesOf("-", io)) {
    if (line === "") continue;
    pending += `${explainLine(line, policy, wallMs)}\n`;
    if (pending.length < BATCH_CHARACTERS) continue;
    io.stdout(pending);
    pending = "";
    await io.stdoutDrained?.();
  }
  if (pending !== "") io.stdout(pending);
  return EXIT_OK;
}

/** Written together, so that millions of lines are not millions of system calls. */
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
