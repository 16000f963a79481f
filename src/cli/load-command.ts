/** `querycop load`: its help and options. What it does is loaded when it is asked for. */
import type { ArgsDef } from "citty";
import { LOAD_MODES } from "../base/load-rule.ts";
import { TARGET_OPTIONS, targetArguments } from "./admin-target.ts";
import type { CommandIo } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

export const loadHelp: CommandHelp = {
  name: "load",
  summary: "Load objects of S3 into a table, whole or not at all, guarded and recorded",
  example: "  querycop load s3://ingest-prod/sales/2026-11-30.csv.gz ingest shop.sales --mode replace",
  text: [
    "  querycop load s3://BUCKET/KEY NAME SCHEMA.TABLE [options]",
    "KEY may be a prefix that ends with *. NAME is a connection whose loads: allow it. Whatever fails, the table has the rows",
    "it had, or all of the new ones. Modes: append; abort (append to an empty table only); delete (all rows, then load, in one",
    "transaction); replace and truncate (a new table takes the place of the old); switch (TABLE_a and TABLE_b: the empty one is",
    "loaded, the other emptied).",
    "Exits with 0 when done, 1 when it failed and changed nothing, 2 for the command line, 3 where there is no object, 4 where",
    "the connection broke off at the end and the outcome is not known.",
  ].join("\n"),
  options: [
    ["--mode MODE", `${LOAD_MODES.join(", ")}; default append`],
    ["--if-empty", "As --mode abort"],
    [
      "--via WAY",
      "stream (default, as auto): through querycop. server: Aurora reads the object, which must not be packed",
    ],
    ["--format NAME", "csv: commas, quotes, one header line. tsv: tabs, backslashes. Default: as the key ends"],
    ["--fields-terminated TEXT", "What ends a field; \\t, \\r, \\n, \\\\ and \\xHH are understood here and below"],
    ["--enclosed TEXT", "What may enclose a field; none: nothing"],
    ["--escaped TEXT", "What takes its meaning from the next character; none: nothing"],
    ["--lines-terminated TEXT", "What ends a row; default: as the first line ends"],
    ["--header LINES", "Lines at the beginning of each object that are no rows"],
    ["--charset NAME", "Character set of the objects; default utf8mb4, which is checked"],
    ["--columns LIST", "Columns and @variables, with commas; header: the names in the first line"],
    ["--set SQL", "Assignments, such as 'price = @price / 100'"],
    ["--null TEXT", "What stands for NULL in a field; none: an empty one"],
    ["--partition LIST", "Partitions the rows must belong to"],
    ["--duplicates WORD", "error (default), ignore or replace, for rows whose key is there already"],
    ["--warnings-max COUNT", "Take the load back where the server has more warnings; default 0"],
    [
      "--manifest",
      "The object is JSON as Aurora reads it, and lists the objects to load: all of them, mandatory or not",
    ],
    ["--min-size BYTES", "Refuse smaller objects"],
    ["--skip-missing", "An object that is not there is passed over"],
    ["--once", "Pass over objects that were loaded into this table before, as the ledger knows"],
    ["--ledger TABLE", "The ledger's table; default querycop_loads beside the table"],
    ["--keep-old", "replace, truncate: keep the old table, under a name that is told"],
    [
      "--accept WORD",
      "triggers: they may run. unseen: there are none, nor foreign keys, that this account may not see",
    ],
    ["--decompress COMMAND", "Shell line that unpacks each object; gzip and Zstandard need none"],
    [
      "--approval",
      "Ask a querycop that serves for the approval of this load, and wait for it, before anything changes",
    ],
    ...TARGET_OPTIONS,
    ["--dry-run", "Find the objects, print what would be loaded, and connect to no database"],
    ["--progress FORM", "json: a line for each step on standard error; default: a line on a terminal"],
    ["--json", "Print JSON"],
  ],
  settings: ["log.level"],
};

export const loadArguments: ArgsDef = {
  source: { type: "positional", valueHint: "s3://BUCKET/KEY", required: true },
  connection: { type: "positional", valueHint: "NAME", required: true },
  table: { type: "positional", valueHint: "SCHEMA.TABLE", required: true },
  mode: { type: "string", valueHint: LOAD_MODES.join("|") },
  "if-empty": { type: "boolean" },
  via: { type: "string", valueHint: "auto|stream|server" },
  format: { type: "string", valueHint: "csv|tsv" },
  "fields-terminated": { type: "string" },
  enclosed: { type: "string" },
  escaped: { type: "string" },
  "lines-terminated": { type: "string" },
  header: { type: "string" },
  charset: { type: "string" },
  columns: { type: "string" },
  set: { type: "string" },
  null: { type: "string" },
  partition: { type: "string" },
  duplicates: { type: "string", valueHint: "error|ignore|replace" },
  "warnings-max": { type: "string" },
  "min-size": { type: "string" },
  "skip-missing": { type: "boolean" },
  once: { type: "boolean" },
  ledger: { type: "string" },
  "keep-old": { type: "boolean" },
  accept: { type: "string", valueHint: "WORD…" },
  decompress: { type: "string" },
  approval: { type: "boolean" },
  ...targetArguments,
  manifest: { type: "boolean" },
  "dry-run": { type: "boolean" },
  progress: { type: "string", valueHint: "json|none" },
  json: { type: "boolean" },
};

export async function load(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runLoadCommand } = await import("./load-run.ts");
  return await runLoadCommand(args, io);
}
