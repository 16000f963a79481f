/** Heads of stored code: CREATE PROCEDURE, FUNCTION, TRIGGER, EVENT, PACKAGE. What follows them is statements. */
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { ROLE_DEFINITION, ROLE_NAME } from "../lexing/tokens.ts";
import type { Walker } from "../queries/walker.ts";
import { type ReadName, readIfExists, readObject, readTable, skipRest, walkExpression } from "./reading-on.ts";

/** Words that begin the body of a routine: none of them can stand among its characteristics. */
const BODY_STARTS = kindSet(
  [],
  "BEGIN RETURN SELECT INSERT UPDATE DELETE REPLACE SET CALL IF CASE LOOP WHILE REPEAT WITH CREATE DROP ALTER TRUNCATE DO " +
    "SHOW SIGNAL RESIGNAL PREPARE EXECUTE DEALLOCATE COMMIT ROLLBACK START LOCK UNLOCK GRANT REVOKE RENAME ANALYZE OPTIMIZE " +
    "CHECK REPAIR FLUSH KILL RESET LOAD HANDLER VALUES TABLE XA SAVEPOINT RELEASE GET DECLARE INSTALL UNINSTALL EXPLAIN " +
    "DESCRIBE CHECKSUM CACHE CHANGE PURGE HELP USE BINLOG STOP SHUTDOWN RESTART CLONE IMPORT FOR",
);

const SCHEDULE_ENDS = kindSet([], "ON ENABLE DISABLE COMMENT DO STARTS ENDS RENAME");

/** PROCEDURE or FUNCTION, after that word. True when statements follow. */
export function routineHead(w: Walker, kind: "create-procedure" | "create-function"): boolean {
  w.statement.kind = kind;
  readIfExists(w);
  const read = readObject(w, kind === "create-procedure" ? "procedure" : "function");
  if (read === undefined) {
    skipRest(w);
    return false;
  }
  bodySchema(w, read);
  if (loadableFunction(w)) return false;
  if (w.kind(w.at) === T.LEFT_PAREN) parameters(w);
  return findBody(w);
}

/** Names in stored code are those of the schema that the code is in. */
function bodySchema(w: Walker, read: ReadName | undefined) {
  if (read?.schema !== undefined) w.schema = read.schema;
}

/** RETURNS type SONAME 'library'. */
function loadableFunction(w: Walker): boolean {
  for (let at = w.at; at < Math.min(w.at + 4, w.count); at++) {
    if (w.kind(at) !== K.SONAME) continue;
    w.statement.kind = "create-loadable-function";
    const target = w.kind(at + 1) === T.STRING ? w.text.string(at + 1) : undefined;
    w.reach("native-code", at, at + 1, target);
    w.find("native-code", at, at + 1, 1, "SONAME");
    skipRest(w);
    return true;
  }
  return false;
}

function parameters(w: Walker) {
  let depth = 0;
  while (w.at < w.count) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) depth++;
    else if (kind === T.RIGHT_PAREN) depth--;
    else if (w.names[kind] === 1) {
      w.role(w.at, ROLE_DEFINITION);
      w.addLocal(w.text.name(w.at));
    }
    w.at++;
    if (depth === 0) return;
  }
}

/** Steps over the characteristics. True when a body follows. */
function findBody(w: Walker): boolean {
  let parens = 0;
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) parens++;
    else if (kind === T.RIGHT_PAREN) parens--;
    else if (parens > 0) continue;
    else if (isBodyStart(w, kind)) return true;
    else if (kind === K.AS && isForeignBody(w, w.at + 1)) {
      w.at += 2;
      return false;
    } else noteCharacteristic(w, kind);
  }
  return false;
}

function isBodyStart(w: Walker, kind: number): boolean {
  const before = w.kind(w.at - 1);
  const isType = before === K.CHARACTER || before === K.CHAR || before === K.RETURNS;
  if (BODY_STARTS[kind] === 1 && !isType) return true;
  return w.kind(w.at + 1) === T.COLON && w.isName(w.at);
}

function noteCharacteristic(w: Walker, kind: number) {
  if (kind === K.DEFINER && w.kind(w.at - 1) === K.SECURITY) w.statement.modify("sql-security-definer");
  if (w.names[kind] === 1) w.role(w.at, ROLE_NAME);
}

/** A body in another language. */
function isForeignBody(w: Walker, token: number): boolean {
  const kind = w.kind(token);
  if (kind !== T.DOLLAR_STRING && kind !== T.STRING) return false;
  w.find("native-code", token, token, 1, "LANGUAGE");
  return true;
}

/** TRIGGER, after that word. True when a statement follows. */
export function triggerHead(w: Walker): boolean {
  w.statement.kind = "create-trigger";
  readIfExists(w);
  bodySchema(w, readObject(w, "trigger"));
  while (w.at < w.count && w.kind(w.at) !== K.ON && w.kind(w.at) !== T.SEMICOLON) w.at++;
  if (!w.accept(K.ON) || !readTable(w, "write")) {
    skipRest(w);
    return false;
  }
  for (const row of ["new", "old"]) w.addLocal(row);
  // FOR EACH ROW [FOLLOWS | PRECEDES other]
  while (w.at < w.count && w.kind(w.at) !== K.ROW && w.kind(w.at) !== T.SEMICOLON) w.at++;
  if (!w.accept(K.ROW)) return false;
  if (w.kind(w.at) === K.FOLLOWS || w.kind(w.at) === K.PRECEDES) {
    w.role(w.at + 1, ROLE_NAME);
    w.at += 2;
  }
  return w.at < w.count;
}

/** CREATE or ALTER EVENT, after that word. True when a statement follows. */
export function eventHead(w: Walker, kind: "create-event" | "alter-event"): boolean {
  w.statement.kind = kind;
  readIfExists(w);
  const { schema } = w;
  bodySchema(w, readObject(w, "event"));
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON) {
    const word = w.kind(w.at);
    w.at++;
    if (word === K.DO) return true;
    if (word === K.RENAME && w.accept(K.TO)) {
      // The new name is looked up as the session's names are, and the body belongs to it.
      w.schema = schema;
      bodySchema(w, readObject(w, "event"));
    }
    if (word === K.SCHEDULE || word === K.STARTS || word === K.ENDS) walkExpression(w, SCHEDULE_ENDS);
  }
  return false;
}
