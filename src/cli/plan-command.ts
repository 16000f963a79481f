/** `querycop plan`: its help and options. What it does is loaded when it is asked for. */
import type { ArgsDef } from "citty";
import type { CommandIo } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

export const planHelp: CommandHelp = {
  name: "plan",
  summary: "Run a statement with EXPLAIN ANALYZE and report on its plan: PostgreSQL, Aurora DSQL",
  example: "  querycop plan 'SELECT * FROM orders WHERE customer = 7' --connection shop > report.md",
  text: [
    "  querycop plan STATEMENT --connection NAME",
    "Sends EXPLAIN ANALYZE VERBOSE through the policy and the audit log of the configuration, in a transaction that is READ ONLY,",
    "and asks the catalogs about the tables of the plan. UPDATE and DELETE are not run: the SELECT that reads the same rows is, or",
    "nothing. Prints a report in Markdown: query id, times, DPU where the server tells it, estimates and how wrong they were, where",
    "the time goes, indexes and statistics, and what other plans cost. STATEMENT may be - for standard input.",
  ].join("\n"),
  options: [
    ["--connection NAME", "A named connection; may be left out where there is one alone to PostgreSQL or Aurora DSQL"],
    ["--admin", "Aurora DSQL: log in as admin"],
    ["--count", "Count the rows of every table, also of those of more than a million or an unknown number"],
    ["--once", "Run the statement once, without trying other plans"],
  ],
  settings: ["log.level"],
};

export const planArguments: ArgsDef = {
  statement: { type: "positional", valueHint: "STATEMENT", required: true },
  connection: { type: "string" },
  admin: { type: "boolean" },
  count: { type: "boolean" },
  once: { type: "boolean" },
};

export async function plan(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runPlan } = await import("./plan-run.ts");
  return await runPlan(args, io);
}
