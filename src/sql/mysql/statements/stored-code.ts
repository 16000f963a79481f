/** Sequences of statements: the packet, and the bodies of stored code with their flow of control. */

import type { StatementOrigin } from "../../facts.ts";
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { ROLE_DEFINITION, ROLE_NAME } from "../lexing/tokens.ts";
import { DEPTH_MAX, type Walker } from "../queries/walker.ts";
import { finishQuery } from "./finish.ts";
import { skipRest, walkExpression, walkSelect } from "./reading-on.ts";
import { type Follow, walkStatement } from "./statements.ts";

/** An open construct. A routine's level lasts until its body has ended. */
interface Level {
  readonly word: number;
  /** The statement that the body belongs to, and how. */
  readonly parent: number | undefined;
  readonly within: StatementOrigin;
}

const THEN = kindSet([], "THEN");
const WHEN = kindSet([], "WHEN");
const DO = kindSet([], "DO LOOP");
const END = kindSet([], "END");

/** Constructs that words open and END closes. */
const ROUTINE = 0;

/** Walks all statements of the text. `parent` and `within` tell where the text itself comes from. */
export function walkStatements(w: Walker, within: StatementOrigin, parent: number | undefined): void {
  const levels: Level[] = [];
  let follow: Level | undefined;
  while (w.at < w.count) {
    if (w.kind(w.at) === T.SEMICOLON) {
      follow = undefined;
      endRoutines(levels);
      if (levels.length === 0 && within === "packet") w.packetIndex++;
      w.at++;
      continue;
    }
    if (levels.length >= DEPTH_MAX) {
      w.fail("budget-exceeded", w.at);
      return;
    }
    const outer = follow ?? levels[levels.length - 1] ?? { word: ROUTINE, within, parent };
    if (levels.length === 0 && follow === undefined) w.tops.push({ first: w.at, statement: w.statementIndex() + 1 });
    follow = nextStatement(w, levels, outer);
  }
  if (levels.some((level) => level.word !== ROUTINE)) w.fail("unfinished", w.at);
}

/** Bodies of one statement end with it. */
function endRoutines(levels: Level[]) {
  while (levels[levels.length - 1]?.word === ROUTINE) levels.pop();
}

/** One statement or one word of flow; the level of a statement that follows directly. */
function nextStatement(w: Walker, levels: Level[], outer: Level): Level | undefined {
  const isBody = levels.length > 0;
  if ((isBody || w.rules.dialect === "mariadb") && flowWord(w, levels, outer)) return undefined;
  if ((isBody || w.rules.dialect === "mariadb") && isLabel(w)) {
    w.role(w.at, ROLE_DEFINITION);
    w.at += 2;
    return undefined;
  }
  const first = w.at;
  w.beginStatement(first, outer.within, outer.parent);
  const index = w.statementIndex();
  const follow: Follow = walkStatement(w);
  w.endStatement(w.at);
  if (follow !== undefined) {
    const level: Level = { word: ROUTINE, within: follow, parent: index };
    if (follow !== "body" && follow !== "event-body" && follow !== "trigger-body") return level;
    levels.push(level);
    return undefined;
  }
  if (w.at < w.count && w.kind(w.at) !== T.SEMICOLON && !(isBody && ENDS_BODY[w.kind(w.at)] === 1)) {
    w.fail("unexpected-token", w.at);
    skipRest(w);
    w.endStatement(w.at);
  }
  // A statement that could not be walked must not keep the walk where it is.
  if (w.at === first) w.at++;
  return undefined;
}

const ENDS_BODY = kindSet([], "END");

function isLabel(w: Walker): boolean {
  return w.kind(w.at + 1) === T.COLON && w.isName(w.at);
}

/** Flow of control. True when the word was one of its words and has been walked. */
function flowWord(w: Walker, levels: Level[], outer: Level): boolean {
  const kind = w.kind(w.at);
  const open = (word: number): true => {
    levels.push({ word, within: outer.within, parent: outer.parent });
    return true;
  };
  switch (kind) {
    case K.BEGIN:
      return beginBlock(w, levels, outer) && open(K.BEGIN);
    case K.IF:
    case K.ELSEIF:
      if (kind === K.IF) open(K.IF);
      return condition(w, outer, THEN);
    case K.CASE:
      open(K.CASE);
      return w.kind(w.at + 1) === K.WHEN ? step(w, 1) : condition(w, outer, WHEN, false);
    case K.WHEN:
      return condition(w, outer, THEN);
    case K.WHILE:
      open(K.WHILE);
      return condition(w, outer, DO);
    case K.LOOP:
      open(K.LOOP);
      return step(w, 1);
    case K.REPEAT:
      open(K.REPEAT);
      return step(w, 1);
    case K.UNTIL:
      return condition(w, outer, END, false);
    case K.FOR:
      open(K.FOR);
      if (w.isName(w.at + 1)) w.addLocal(w.text.name(w.at + 1));
      return condition(w, outer, DO);
    case K.ELSE:
      return levels.length > 0 && step(w, 1);
    case K.END:
      return levels.length > 0 && endLevel(w, levels);
    default:
      return simpleFlow(w, kind, outer);
  }
}

function step(w: Walker, count: number): true {
  w.at += count;
  return true;
}

/** BEGIN [NOT ATOMIC] of a block; outside of bodies a bare BEGIN begins a transaction. */
function beginBlock(w: Walker, levels: readonly Level[], outer: Level): boolean {
  const next = w.kind(w.at + 1);
  const isAtomic = next === K.NOT && w.text.isWord(w.at + 2, "ATOMIC");
  // SAFETY: with sql_mode ORACLE a block needs no words but BEGIN, and may be the end of a body that began before it.
  const isTransaction = w.at + 1 >= w.count || next === T.SEMICOLON || next === K.WORK;
  if (levels.length === 0 && isTransaction) return false;
  const words = isAtomic ? 3 : 1;
  if (isAtomic || levels.length === 0) {
    w.beginStatement(w.at, outer.within, outer.parent).kind = "compound";
    w.endStatement(w.at + words);
    if (!isAtomic) w.fail("unknown-statement", w.at);
  }
  return step(w, words);
}

/** A condition up to its stop word, which is stepped over unless `takesStop` says otherwise. */
function condition(w: Walker, outer: Level, stops: Uint8Array, takesStop = true): true {
  const statement = w.beginStatement(w.at, outer.within, outer.parent);
  statement.kind = "flow";
  w.at++;
  walkExpression(w, stops);
  finishQuery(w);
  w.endStatement(w.at);
  if (stops[w.kind(w.at)] !== 1 || w.at >= w.count) w.fail("unexpected-token", w.at);
  else if (takesStop) w.at++;
  return true;
}

/** END [IF | CASE | LOOP | WHILE | REPEAT | FOR] [label]. */
function endLevel(w: Walker, levels: Level[]): true {
  w.at++;
  endRoutines(levels);
  const level = levels.pop();
  const kind = w.kind(w.at);
  if (level !== undefined && level.word !== K.BEGIN && kind === level.word) w.at++;
  else if (level === undefined || (level.word !== K.BEGIN && level.word !== K.FOR)) w.fail("unexpected-token", w.at);
  // MariaDB's FOR … LOOP ends with END LOOP.
  if (level?.word === K.FOR) w.accept(K.LOOP);
  if (w.isName(w.at)) {
    w.role(w.at, ROLE_NAME);
    w.at++;
  }
  return true;
}

function simpleFlow(w: Walker, kind: number, outer: Level): boolean {
  switch (kind) {
    case K.DECLARE:
      return declare(w, outer);
    case K.RETURN:
      return returned(w, outer);
    case K.LEAVE:
    case K.ITERATE:
    case K.OPEN:
    case K.CLOSE:
    case K.FETCH:
      w.beginStatement(w.at, outer.within, outer.parent).kind = "flow";
      skipRest(w);
      w.endStatement(w.at);
      return true;
    default:
      return false;
  }
}

function returned(w: Walker, outer: Level): true {
  w.beginStatement(w.at, outer.within, outer.parent).kind = "return";
  w.at++;
  walkExpression(w, undefined);
  finishQuery(w);
  w.endStatement(w.at);
  return true;
}

/** DECLARE of variables, conditions, cursors and handlers. A handler's statement comes next. */
function declare(w: Walker, outer: Level): true {
  w.beginStatement(w.at, outer.within, outer.parent).kind = "declare";
  w.at++;
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    const kind = w.kind(w.at);
    if (kind === K.DEFAULT) {
      w.at++;
      walkExpression(w, undefined);
      finishQuery(w);
      break;
    }
    if (kind === K.CURSOR) {
      w.at += 2;
      walkSelect(w);
      break;
    }
    if (kind === K.HANDLER) {
      handlerConditions(w);
      break;
    }
    if (!w.isName(w.at)) continue;
    w.role(w.at, ROLE_DEFINITION);
    w.addLocal(w.text.name(w.at));
  }
  w.endStatement(w.at);
  return true;
}

/** FOR SQLEXCEPTION, NOT FOUND, SQLSTATE '…', 1062, name: stops before the handler's statement. */
function handlerConditions(w: Walker) {
  w.at += 2;
  do {
    switch (w.kind(w.at)) {
      case K.NOT:
        w.at += 2;
        break;
      case K.SQLSTATE:
        w.at += w.kind(w.at + 1) === K.VALUE ? 3 : 2;
        break;
      default:
        w.at++;
    }
  } while (w.accept(T.COMMA));
}
