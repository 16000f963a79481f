/** Common table expressions: their names hide tables, but only inside the query that defines them. */
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { ROLE_COLUMN, ROLE_DEFINITION } from "../lexing/tokens.ts";
import { type Frame, MODE_QUERY, type Walker } from "./walker.ts";

/** WITH at `token`. Leaves the walk before the parenthesis of the first query. */
export function beginWith(w: Walker, token: number): void {
  w.at = token + 1;
  const isRecursive = w.kind(w.at) === K.RECURSIVE;
  if (isRecursive) w.at++;
  w.mode = MODE_QUERY;
  cteHead(w, isRecursive);
}

/** `name [(columns)] AS`. */
function cteHead(w: Walker, isRecursive: boolean) {
  if (!w.isName(w.at)) {
    w.fail("unexpected-token", w.at);
    return;
  }
  const name = w.text.name(w.at);
  w.statement.cteNames.push(name);
  w.role(w.at, ROLE_DEFINITION);
  w.at++;
  if (w.kind(w.at) === T.LEFT_PAREN) skipNames(w);
  if (w.kind(w.at) !== K.AS || w.kind(w.at + 1) !== T.LEFT_PAREN) {
    w.fail("unexpected-token", w.at);
    return;
  }
  w.at++;
  w.openCtes.push({ name, isRecursive, depth: w.depth, open: -1 });
  // A recursive query sees its own name; any other query still sees the table of that name.
  if (isRecursive) w.ctes.push(name);
}

function skipNames(w: Walker) {
  while (w.at < w.count && w.kind(w.at) !== T.RIGHT_PAREN) {
    if (w.isName(w.at)) w.role(w.at, ROLE_DEFINITION);
    w.at++;
  }
  w.at++;
}

/** MariaDB: CYCLE column, … RESTRICT behind the query. */
function skipCycle(w: Walker) {
  if (w.rules.dialect !== "mariadb" || !w.text.isWord(w.at, "CYCLE")) return;
  do {
    w.at++;
    if (w.isName(w.at)) w.role(w.at, ROLE_COLUMN);
    w.at++;
  } while (w.kind(w.at) === T.COMMA);
  if (!w.accept(K.RESTRICT)) w.fail("unexpected-token", w.at);
}

/** Called when a level of a query opens: it may be the query of a CTE. */
export function openCteQuery(w: Walker, frame: Frame): void {
  const cte = w.openCtes[w.openCtes.length - 1];
  if (cte === undefined || cte.open >= 0 || cte.depth !== w.depth - 1) return;
  cte.open = frame.open;
  frame.queryRole = "cte";
}

/**
 * Called after a level has closed: the name of a CTE is known from here on, and another may follow. False when the level
 * was not the query of a CTE.
 */
export function closeCteQuery(w: Walker, frame: Frame): boolean {
  const cte = w.openCtes[w.openCtes.length - 1];
  if (cte === undefined || cte.open !== frame.open) return false;
  w.openCtes.pop();
  if (!cte.isRecursive) w.ctes.push(cte.name);
  skipCycle(w);
  if (w.accept(T.COMMA)) cteHead(w, cte.isRecursive);
  return true;
}
