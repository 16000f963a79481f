/** A statement that is to be explained with its run → the SELECT that reads what it reads and changes nothing. */
import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Lexer, MARK, TOKEN } from "../postgres/lexing/lexer.ts";
import { parseText, type TreeFields } from "../postgres/parser/parser.ts";
import { flagIn, listIn, nodeOf, type TreeNode } from "../postgres/parser/tree.ts";
import { isSameTree } from "../postgres/walk/same-tree.ts";

export type ExplainedStatement =
  | { readonly sql: string; readonly isRewritten: boolean }
  /** Why it is not explained. */
  | { readonly refusal: string };

/** Nodes that change something wherever they stand, a WITH among them. */
const CHANGING: ReadonlySet<string> = new Set(["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"]);

/** loadParser() must have been called. */
export function explainedStatement(text: string): ExplainedStatement {
  const sql = encodeUtf8(text);
  const lexer = new Lexer();
  lexer.run(sql, "standard");
  if ((lexer.marks & (MARK.NUL | MARK.UNTERMINATED | MARK.ERROR | MARK.OVER_LIMIT)) !== 0) {
    return { refusal: "the text cannot be read" };
  }
  const answer = parseText(sql);
  if (answer.kind === "syntax-error") return { refusal: `the text is no statement: ${answer.message}` };
  if (answer.kind === "failed") return { refusal: "the text is too much for the parser" };
  const [first, second] = answer.statements;
  if (first === undefined || second !== undefined) {
    return { refusal: `the text holds ${answer.statements.length} statements, and one is explained at a time` };
  }
  const node = nodeOf(first.stmt);
  if (node === undefined || !["SelectStmt", "UpdateStmt", "DeleteStmt"].includes(node.type)) {
    return { refusal: "only SELECT, UPDATE and DELETE are explained: an INSERT, DDL or code would have to run" };
  }
  return node.type === "SelectStmt" ? ofSelect(node, lexer) : ofChange(node, lexer);
}

function ofSelect(node: TreeNode, lexer: Lexer): ExplainedStatement {
  if (hasChange(node.fields)) return { refusal: "a WITH of it changes rows: explain its parts by themselves" };
  if (node.fields["intoClause"] !== undefined) return { refusal: "SELECT INTO makes a table: explain it without INTO" };
  if (listIn(node.fields, "lockingClause").length > 0) {
    return { refusal: "it locks rows: explain it without FOR UPDATE or FOR SHARE" };
  }
  return { sql: textOf(lexer, 0, endOf(lexer)), isRewritten: false };
}

function hasChange(root: unknown): boolean {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (CHANGING.has(key)) return true;
      open.push(inner);
    }
  }
  return false;
}

/** Where the parts of an UPDATE or DELETE begin, in tokens; `end` where it has none of them. */
interface Parts {
  readonly verb: number;
  readonly set: number;
  readonly from: number;
  readonly where: number;
  readonly end: number;
}

/** UPDATE t SET … FROM u WHERE … and DELETE FROM t USING u WHERE … read the rows of SELECT * FROM t, u WHERE …. */
function ofChange(node: TreeNode, lexer: Lexer): ExplainedStatement {
  const parts = partsOf(lexer, node.type === "UpdateStmt");
  const { verb, set, from, where, end } = parts;
  const target =
    node.type === "UpdateStmt" ? textOf(lexer, verb + 1, set) : textOf(lexer, verb + 2, Math.min(from, where));
  const others = from < end ? `, ${textOf(lexer, from + 1, where)}` : "";
  const condition = where < end ? ` ${textOf(lexer, where, end)}` : "";
  const sql = `${textOf(lexer, 0, verb)} SELECT * FROM ${target}${others}${condition}`.trim();
  // SAFETY: the text is cut by its words; that it is the same question the trees say.
  if (!asksTheSame(node.fields, sql, node.type === "UpdateStmt" ? "fromClause" : "usingClause")) {
    return { refusal: "it cannot be written as a SELECT for certain: explain the SELECT of its rows" };
  }
  return { sql, isRewritten: true };
}

function asksTheSame(change: TreeFields, sql: string, othersField: string): boolean {
  const answer = parseText(encodeUtf8(sql));
  if (answer.kind !== "tree" || answer.statements.length !== 1) return false;
  const node = nodeOf(answer.statements[0]?.stmt);
  if (node?.type !== "SelectStmt" || hasChange(node.fields)) return false;
  const { fields } = node;
  const [target, ...others] = listIn(fields, "fromClause");
  const isSameTarget = isSameTree(nodeOf(target)?.fields, change["relation"]);
  const isSame = (one: unknown, other: unknown): boolean =>
    one === undefined || other === undefined ? one === other : isSameTree(one, other);
  return (
    isSameTarget &&
    isSameTree(others, listIn(change, othersField)) &&
    isSame(fields["whereClause"], change["whereClause"]) &&
    isSame(fields["withClause"], change["withClause"]) &&
    listIn(fields, "lockingClause").length === 0 &&
    !flagIn(fields, "all")
  );
}

function partsOf(lexer: Lexer, isUpdate: boolean): Parts {
  const end = endOf(lexer);
  const found = new Map<string, number>();
  let depth = 0;
  for (let token = 0; token < end; token++) {
    const word = wordAt(lexer, token);
    if (word === "(" || word === "[") depth++;
    else if (word === ")" || word === "]") depth--;
    else if (depth === 0 && !found.has(word) && isBegin(lexer, token, word, isUpdate, found)) found.set(word, token);
  }
  const last = found.get("returning") ?? end;
  const where = found.get("where") ?? last;
  const others = found.get(isUpdate ? "from" : "using") ?? last;
  return {
    verb: found.get(isUpdate ? "update" : "delete") ?? end,
    set: found.get("set") ?? end,
    from: others < where ? others : last,
    where,
    end: last,
  };
}

const WORDS: ReadonlySet<string> = new Set(["update", "delete", "set", "from", "using", "where", "returning"]);

function isBegin(
  lexer: Lexer,
  token: number,
  word: string,
  isUpdate: boolean,
  found: ReadonlyMap<string, number>,
): boolean {
  if (!WORDS.has(word)) return false;
  if (word === "update" || word === "delete") return (word === "update") === isUpdate;
  if (word === "set") return found.has("update") && token > (found.get("update") ?? 0) + 1;
  // a IS DISTINCT FROM b
  if (word === "from") return isUpdate && found.has("set") && wordAt(lexer, token - 1) !== "distinct";
  return found.has(isUpdate ? "set" : "delete");
}

/** In lower case; the empty text for what is neither a word nor a bracket. */
function wordAt({ kinds, sql, starts, ends }: Lexer, token: number): string {
  if (token < 0) return "";
  if (kinds[token] !== TOKEN.WORD && kinds[token] !== TOKEN.PUNCTUATION) return "";
  return (decodeUtf8(sql.subarray(starts[token], ends[token])) ?? "").toLowerCase();
}

/** Without semicolons behind it. */
function endOf(lexer: Lexer): number {
  let end = lexer.count;
  while (end > 0 && wordAt(lexer, end - 1) === ";") end--;
  return end;
}

function textOf({ sql, starts, ends }: Lexer, from: number, to: number): string {
  if (from >= to) return "";
  return decodeUtf8(sql.subarray(starts[from], ends[to - 1])) ?? "";
}
