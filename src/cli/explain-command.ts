/** `querycop explain`: what querycop sees in a statement and what the policy makes of it. */

import type { ArgsDef } from "citty";
import { visibleText } from "../base/visible-text.ts";
import {
  askAdvice,
  BATCH_KEYS,
  type BatchLine,
  type BatchOptions,
  COLOUR_PALETTE,
  explain,
  explainLine,
  explainLineAdvised,
  PLAIN_PALETTE,
  renderExplanation,
} from "../policy/tools/explain.ts";
import { isOfPostgres, isToolDialect, TOOL_DIALECTS, type ToolSession } from "../policy/tools/tool-context.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { SecondOpinion } from "../sql/second-opinion/second-opinion.ts";
import { type CommandIo, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { linesOf, loadPolicy } from "./policy-source.ts";

export const explainHelp: CommandHelp = {
  name: "explain",
  summary: "Show risk score, rules and facts of a statement, and what the policy decides",
  example: "  querycop explain 'DELETE FROM orders' --user app --schema shop",
  text:
    "Takes the statement as an argument, or from standard input. Nothing is sent anywhere.\n" +
    `With --batch, reads one JSON object per line, with the keys ${BATCH_KEYS.join(", ")},\n` +
    "and prints one per line. Flags hold for every line that says nothing else. A line that cannot be read gives an\n" +
    "object with the key error. Other keys are named on standard error, and the exit status is 2.",
  options: [
    ["--policy FILE", "Policy file; default GATEKEEPER_POLICY_FILE, else the built-in policy"],
    ["--user NAME", "User the statement comes from"],
    ["--role NAME", "Role of the user"],
    ["--schema NAME", "Current schema"],
    ["--sql-mode MODES", "sql_mode of the session"],
    ["--dialect NAME", "mysql (default), mariadb, vitess, postgresql or dsql"],
    ["--engine NAME", "The same by the name that backend.engine has for it: mysql, postgresql or dsql"],
    ["--batch", "One JSON object per line in, one per line out"],
    ["--second-opinion", "With --batch: ask the second parser too, as is done for a single statement"],
    ["--json", "Print JSON"],
  ],
  settings: "none",
};

export const explainArguments: ArgsDef = {
  statement: { type: "positional", required: false },
  policy: { type: "string" },
  user: { type: "string" },
  role: { type: "string" },
  schema: { type: "string" },
  "sql-mode": { type: "string" },
  dialect: { type: "string", valueHint: TOOL_DIALECTS.join("|") },
  engine: { type: "string", valueHint: "mysql|postgresql|dsql" },
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
    const session = sessionOf(args);
    if (args["batch"] === true || isOfPostgres(session)) await loadParser();
    const wallMs = Date.now();
    if (args["batch"] === true) {
      if (args["statement"] !== undefined)
        throw new UsageError("--batch reads standard input: leave the statement out");
      return await explainBatch({ policy, wallMs, session }, io, args["second-opinion"] === true ? advisor : undefined);
    }
    const sql = await statementOf(args, io);
    const advice = await askAdvice(sql, session, policy, wallMs, advisor);
    const explanation = explain({ sql, session, policy, wallMs, advice });
    if (args["json"] === true) io.stdout(`${JSON.stringify(explanation, null, 2)}\n`);
    else io.stdout(renderExplanation(explanation, usesColour(io) ? COLOUR_PALETTE : PLAIN_PALETTE));
    return EXIT_OK;
  } finally {
    await advisor.close();
  }
}

/** Flags hold for every line that says nothing else. 2 where a line had a key that nobody knows. */
async function explainBatch(options: BatchOptions, io: CommandIo, advisor: SecondOpinion | undefined): Promise<number> {
  const writer = new BatchWriter(io);
  const open: Promise<BatchLine>[] = [];
  for await (const line of linesOf("-", io)) {
    if (line === "") continue;
    if (advisor === undefined) writer.write(explainLine(line, options));
    else open.push(explainLineAdvised(line, options, advisor));
    if (open.length === OPINIONS_AT_A_TIME) for (const done of await Promise.all(open.splice(0))) writer.write(done);
    if (io.stopped?.aborted === true) break;
  }
  for (const done of await Promise.all(open)) writer.write(done);
  writer.flush();
  return writer.problemCount === 0 ? EXIT_OK : EXIT_USAGE;
}

/** Lines written together, so that millions of them are not millions of system calls. */
class BatchWriter {
  readonly #io: CommandIo;
  #pending = "";
  #lineCount = 0;
  problemCount = 0;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  write({ text, problem }: BatchLine): void {
    this.#lineCount++;
    if (problem !== undefined) this.#report(problem);
    this.#pending += `${text}\n`;
    if (this.#pending.length >= BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.#pending !== "") this.#io.stdout(this.#pending);
    this.#pending = "";
  }

  #report(problem: string): void {
    this.problemCount++;
    if (this.problemCount <= PROBLEMS_SHOWN) this.#io.stderr(`line ${this.#lineCount}: ${visibleText(problem)}\n`);
    else if (this.problemCount === PROBLEMS_SHOWN + 1) this.#io.stderr("and more lines with unknown keys\n");
  }
}

const BATCH_CHARACTERS = 64 * 1024;
const PROBLEMS_SHOWN = 20;

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
  const dialect = text("engine") ?? text("dialect");
  if (dialect !== undefined && !isToolDialect(dialect)) {
    throw new UsageError(
      `${text("engine") === undefined ? "--dialect" : "--engine"}: expected ${TOOL_DIALECTS.join(", ")}, got ${JSON.stringify(dialect)}`,
    );
  }
  return {
    user: text("user"),
    role: text("role"),
    schema: text("schema"),
    sqlMode: text("sql-mode"),
    dialect,
  };
}

function usesColour(io: CommandIo): boolean {
  const noColour = io.env["NO_COLOR"];
  return io.isStdoutTerminal === true && (noColour === undefined || noColour === "");
}
