/** Small steps that statements other than queries are read with. */
import type { ObjectReference } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_OTHER, ROLE_NAME, ROLE_TABLE } from "../lexing/tokens.ts";
import { QUERY_STARTS } from "../lexing/word-sets.ts";
import { walkQuery } from "../queries/query.ts";
import { addTable } from "../queries/tables.ts";
import { MODE_EXPRESSION, MODE_NAMES, MODE_QUERY, type Walker } from "../queries/walker.ts";
import { finishQuery } from "./finish.ts";

/** A dotted name at the walk's position; the walk stands behind it then. */
export interface ReadName {
  readonly schema: string | undefined;
  readonly name: string;
  readonly first: number;
  readonly last: number;
}

export function readName(w: Walker): ReadName | undefined {
  const first = w.at;
  if (!w.isName(first) && w.kind(first) !== T.STRING) return undefined;
  const last = w.chainEnd(first);
  w.role(last, ROLE_NAME);
  w.at = last + 1;
  return { ...w.qualified(first, last), first, last };
}

/** Reads a name and notes it as an object of the statement. */
export function readObject(w: Walker, type: ObjectReference["type"]): ReadName | undefined {
  const read = readName(w);
  if (read === undefined) {
    w.fail("unexpected-token", w.at);
    return undefined;
  }
  addObject(w, type, read);
  return read;
}

export function addObject(w: Walker, type: ObjectReference["type"], read: ReadName): void {
  const isInSchema =
    type === "procedure" || type === "function" || type === "trigger" || type === "event" || type === "view";
  const schema = read.schema ?? (isInSchema ? w.schema : undefined);
  w.statement.objects.push({
    type,
    schema,
    name: read.name,
    start: w.start(read.first),
    end: w.endBefore(read.last + 1),
  });
}

/** A table at the walk's position. */
export function readTable(w: Walker, access: "read" | "write"): boolean {
  if (w.kind(w.at) === T.DOT) w.at++;
  const first = w.at;
  if (!w.isName(first)) {
    w.fail("unexpected-token", first);
    return false;
  }
  const last = w.chainEnd(first);
  addTable(w, first, last, access);
  w.role(last, ROLE_TABLE);
  w.at = last + 1;
  return true;
}

/** `a, b.c, d`. */
export function readTables(w: Walker, access: "read" | "write"): void {
  while (readTable(w, access) && w.accept(T.COMMA));
}

/** IF EXISTS, IF NOT EXISTS. */
export function readIfExists(w: Walker): void {
  if (w.kind(w.at) !== K.IF) return;
  const isNot = w.kind(w.at + 1) === K.NOT;
  if (w.kind(w.at + (isNot ? 2 : 1)) !== K.EXISTS) return;
  w.statement.modify(isNot ? "if-not-exists" : "if-exists");
  w.at += isNot ? 3 : 2;
}

/** One expression up to a comma, a stop word or the end. `stops` is a set of kinds. */
export function walkExpression(w: Walker, stops: Uint8Array | undefined): void {
  w.mode = MODE_EXPRESSION;
  w.clause = CLAUSE_OTHER;
  w.isOperandExpected = true;
  const before = w.stops;
  w.stops = stops;
  walkQuery(w);
  w.stops = before;
}

/** The parenthesis at the walk's position and nothing after it, as an expression. */
export function walkParenthesis(w: Walker, clause: number): void {
  w.mode = MODE_EXPRESSION;
  w.clause = clause;
  w.isOperandExpected = true;
  w.isSingleLevel = true;
  walkQuery(w);
  w.isSingleLevel = false;
}

/** A query expression from the walk's position to the end of the statement. */
export function walkSelect(w: Walker): void {
  w.mode = MODE_QUERY;
  w.isTableExpected = false;
  walkQuery(w);
  finishQuery(w);
}

/** Whether a query begins at the token, perhaps in parentheses. A run of parentheses is looked through once. */
export function leadsToQuery(w: Walker, token: number): boolean {
  const at = w.parenRunEnd(token);
  const kind = w.kind(at);
  if (kind === K.TABLE || kind === K.VALUES) return w.isName(at + 1) || w.kind(at + 1) === K.ROW;
  return QUERY_STARTS[kind] === 1;
}

/**
 * To the end of the statement through words that carry no facts. A query on the way is walked as one, so that no
 * statement can hide it.
 */
export function skipRest(w: Walker): void {
  let parens = 0;
  let hasQuery = false;
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON) {
    const kind = w.kind(w.at);
    if (kind === K.SELECT || (kind === T.LEFT_PAREN && leadsToQuery(w, w.at))) {
      walkNestedQuery(w);
      hasQuery = true;
      continue;
    }
    if (kind === T.LEFT_PAREN) parens++;
    else if (kind === T.RIGHT_PAREN) parens--;
    else if (w.names[kind] === 1) mention(w, w.at);
    if (parens < 0) w.fail("unbalanced-parentheses", w.at);
    w.at++;
  }
  if (parens > 0) w.fail("unbalanced-parentheses", w.at);
  if (hasQuery) finishQuery(w);
}

/** Notes a name of which only its place in the statement would tell what it names; `*` for all that there are. */
export function mention(w: Walker, token: number, name: string = w.text.name(token)): void {
  w.role(token, ROLE_NAME);
  w.statement.mentions.push({ name, start: w.start(token), end: w.endBefore(token + 1) });
}

function walkNestedQuery(w: Walker) {
  if (w.kind(w.at) === T.LEFT_PAREN) {
    w.mode = MODE_QUERY;
    w.isSingleLevel = true;
    walkQuery(w);
    w.isSingleLevel = false;
  } else {
    w.mode = MODE_QUERY;
    walkQuery(w);
  }
  w.mode = MODE_NAMES;
}

/** The upper-case words from the walk's position on, at most `most`, without moving the walk. */
export function wordsAhead(w: Walker, most: number): string {
  const words: string[] = [];
  for (let i = 0; i < most; i++) {
    const kind = w.kind(w.at + i);
    if (kind < K.KEYWORD_FIRST && kind !== T.IDENTIFIER) break;
    words.push(w.text.upper(w.at + i));
  }
  return words.join(" ");
}
