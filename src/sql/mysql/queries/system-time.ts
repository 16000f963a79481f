/** MariaDB's tables of more than one time: FOR SYSTEM_TIME, FOR PORTION OF, DELETE HISTORY, and sequences beside them. */

import * as K from "../lexing/keywords.ts";
import { CLAUSE_ON, CLAUSE_OTHER, ROLE_NAME } from "../lexing/tokens.ts";
import { beginCondition } from "./conditions.ts";
import { MODE_EXPRESSION, type Walker } from "./walker.ts";

/**
 * FOR behind a table: `FOR SYSTEM_TIME ALL | AS OF x | FROM x TO y | BETWEEN x AND y`, then an alias and more tables, or
 * `FOR PORTION OF period FROM x TO y`.
 */
export function timeOfTable(w: Walker, token: number): void {
  if (w.text.isWord(token + 1, "SYSTEM_TIME")) {
    const first = token + 2;
    const kind = w.kind(first);
    w.at = first + 1;
    if (kind === K.ALL) return;
    const last = kind === K.AS ? first + 1 : first;
    // Read as a join's condition is: a comma, a join or a clause ends it.
    w.clause = CLAUSE_ON;
    w.mode = MODE_EXPRESSION;
    w.at = w.kind(last + 1) === K.TRANSACTION ? last + 2 : last + 1;
    w.isOperandExpected = true;
    beginCondition(w, w.at);
    w.timedTable = w.lastTable;
    w.timedDepth = w.depth;
    return;
  }
  w.mode = MODE_EXPRESSION;
  w.clause = CLAUSE_OTHER;
  if (!w.text.isWord(token + 1, "PORTION")) return;
  w.role(token + 3, ROLE_NAME);
  w.at = w.kind(token + 4) === K.FROM ? token + 5 : token + 4;
}

/** BEFORE SYSTEM_TIME x, behind the table of DELETE HISTORY. True when that is what stands there. */
export function beforeTime(w: Walker, token: number): boolean {
  if (!w.text.isWord(token + 1, "SYSTEM_TIME")) return false;
  w.at = w.kind(token + 2) === K.TRANSACTION ? token + 3 : token + 2;
  w.mode = MODE_EXPRESSION;
  w.clause = CLAUSE_OTHER;
  w.isOperandExpected = true;
  return true;
}

/** `DELETE HISTORY FROM t`, which may as well be a DELETE of a table of that name among others. */
export function isHistory(w: Walker, token: number): boolean {
  return w.rules.dialect === "mariadb" && w.text.isWord(token, "HISTORY") && w.kind(token + 1) === K.FROM;
}

/** An alias behind the time of a table. */
export function aliasOfTimed(w: Walker, token: number): void {
  const table = w.timedTable;
  if (table === undefined || w.clause !== CLAUSE_ON || w.depth !== w.timedDepth) return;
  table.alias ??= w.text.name(token);
  w.timedTable = undefined;
}

const SEQUENCE_CALLS: ReadonlyMap<string, "read" | "write"> = new Map([
  ["NEXTVAL", "write"],
  ["SETVAL", "write"],
  ["LASTVAL", "read"],
] as const);

/** NEXTVAL(sequence) and the like, whose parenthesis stands at `open`: the argument is a table that is read or moved on. */
export function sequenceCall(w: Walker, name: string, open: number): void {
  const access = SEQUENCE_CALLS.get(name);
  if (access === undefined || w.rules.dialect !== "mariadb" || !w.isName(open + 1)) return;
  addSequence(w, open + 1, access);
}

/** The sequence named at `first`; it is no table of the query, whose columns it does not have. */
export function addSequence(w: Walker, first: number, access: "read" | "write"): void {
  const last = w.chainEnd(first);
  const schema = last > first ? w.text.name(last - 2) : undefined;
  const list = access === "read" ? w.statement.tablesRead : w.statement.tablesWritten;
  list.push({
    schema: schema ?? w.schema,
    isQualified: schema !== undefined,
    table: w.text.name(last),
    alias: undefined,
    block: Math.max(w.blockIndex, 0),
    start: w.start(first),
    end: w.endBefore(last + 1),
  });
}
