/** The SQL that a body in PL/pgSQL holds. */
import { parseBody } from "../parser/parser.ts";

/** What a body may be of: the library wants the statement around it. Values go by names that only some of these have. */
const AROUND: readonly string[] = ["SETOF record", "trigger"];

/** Statements whose SQL is made when they run. */
const DYNAMIC: ReadonlySet<string> = new Set(["PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", "PLpgSQL_stmt_call"]);
const DYNAMIC_FIELDS: ReadonlySet<string> = new Set(["dynquery"]);

const NODES_MAX = 100_000;

/** Undefined where it cannot be read, or where it runs what only a value tells. */
export function readBody(text: string): readonly string[] | undefined {
  const literal = `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  for (const returns of AROUND) {
    const tree = parseBody(Buffer.from(`CREATE FUNCTION f() RETURNS ${returns} LANGUAGE plpgsql AS ${literal}`));
    if (tree !== undefined) return queriesIn(tree);
  }
  return undefined;
}

function queriesIn(tree: unknown): readonly string[] | undefined {
  const queries: string[] = [];
  const open: unknown[] = [tree];
  for (let count = 0; open.length > 0; count++) {
    if (count > NODES_MAX) return undefined;
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (DYNAMIC.has(key) || DYNAMIC_FIELDS.has(key)) return undefined;
      if (key === "PLpgSQL_expr")
        queries.push(asStatement(inner as { readonly query?: string; readonly parseMode?: number }));
      else open.push(inner);
    }
  }
  return queries;
}

/** By the parser's mode: a statement; an expression; an assignment, of which the value is an expression. */
function asStatement({ query = "", parseMode = 0 }: { readonly query?: string; readonly parseMode?: number }): string {
  if (parseMode === 0) return query;
  if (parseMode === 2) return `SELECT ${query}`;
  const at = query.search(/:?=/);
  return at < 0 ? query : `SELECT ${query.slice(query.indexOf("=", at) + 1)}`;
}
