/** Runs node-sql-parser where it can be killed: it hangs on short inputs, so nothing else may share its thread. */

import { parentPort } from "node:worker_threads";
import parser from "node-sql-parser/build/mysql.js";
import { upperAscii } from "../mysql/names/names.ts";

/** What the main thread sends. */
export interface ParseRequest {
  readonly id: number;
  readonly sql: string;
}

/** What the parser made of it, reduced to a few words per table, column and function. */
export type ParseReply =
  | { readonly id: number; readonly outcome: "ready" }
  | { readonly id: number; readonly outcome: "refused" }
  | ({ readonly id: number; readonly outcome: "parsed" } & ParsedText);

export interface ParsedText {
  /** "select", "update" … of the first statement. */
  readonly type: string;
  readonly statements: number;
  /** "action::schema::table" and "action::table::column", schema and table "null" when not told. */
  readonly tables: readonly string[];
  readonly columns: readonly string[];
  /** Upper case, without schema. */
  readonly functions: readonly string[];
  /** How many SELECTs there are at any depth. */
  readonly queries: number;
  readonly hasWhere: boolean;
}

const LIST_MAX = 500;
const NODES_MAX = 100_000;

const instance = new parser.Parser();

function reply({ id, sql }: ParseRequest): ParseReply {
  try {
    return { id, outcome: "parsed", ...parse(sql) };
  } catch {
    return { id, outcome: "refused" };
  }
}

function parse(sql: string): ParsedText {
  const { tableList, columnList, ast } = instance.parse(sql, { database: "MySQL" });
  const statements = Array.isArray(ast) ? ast : [ast];
  const first = statements[0] as { type?: unknown; where?: unknown } | undefined;
  const { functions, queries } = walk(statements);
  return {
    type: String(first?.type ?? ""),
    statements: statements.length,
    tables: tableList.slice(0, LIST_MAX),
    columns: columnList.slice(0, LIST_MAX),
    functions: [...functions].slice(0, LIST_MAX),
    queries,
    hasWhere: first?.where !== null && first?.where !== undefined,
  };
}

/** Nodes are plain objects; a list instead of recursion, because trees may be deep. */
function walk(roots: readonly unknown[]): { functions: Set<string>; queries: number } {
  const functions = new Set<string>();
  let queries = 0;
  const open: unknown[] = [...roots];
  for (let seen = 0; seen < NODES_MAX && open.length > 0; seen++) {
    const node = open.pop();
    if (typeof node !== "object" || node === null) continue;
    const { type, name } = node as { type?: unknown; name?: unknown };
    if (type === "select") queries++;
    if (type === "function" || type === "aggr_func") functions.add(functionName(name));
    open.push(...Object.values(node));
  }
  return { functions, queries };
}

function functionName(name: unknown): string {
  if (typeof name === "string") return upperAscii(name);
  const parts = (name as { name?: readonly { value?: unknown }[] } | undefined)?.name;
  return upperAscii(String(parts?.at(-1)?.value ?? ""));
}

// The first statements take long, so they are not those of a client with a deadline.
for (const sql of [
  "SELECT a, COUNT(*) FROM t WHERE b = 1",
  "UPDATE t SET a = 1 WHERE b = 2",
  "SELECT (SELECT 1 UNION SELECT 2) x",
]) {
  reply({ id: -1, sql });
}

parentPort?.on("message", (request: ParseRequest) => parentPort?.postMessage(reply(request)));
parentPort?.postMessage({ id: -1, outcome: "ready" } satisfies ParseReply);
