/** The ways in which a server might read one text, given what is known about the session. */

import type { Ambiguity, Dialect, MysqlContext } from "../../facts.ts";
import { SQL_MODE } from "../../facts.ts";
import { ALL_CONTROLS, charsetRules } from "./character-classes.ts";
import {
  type Lexer,
  type LexRules,
  MARK_DASH_NOT_COMMENT,
  MARK_HIGH,
  MARK_MARIADB_COMMENT,
  MARK_SIX_DIGITS,
  MARK_SLASHES,
  MARK_VERSION,
  MARK_YOUNG_WORD,
} from "./lexer.ts";
import * as T from "./token-kinds.ts";

/** More readings than that are not tried. */
export const READINGS_MAX = 16;

/** Newest servers known; a version that nobody told is taken for these. */
const NEWEST: Readonly<Record<Dialect, number>> = { mysql: 90704, mariadb: 120000, vitess: 80400 };

/** Every supported MySQL runs comments up to this version. */
const ALWAYS_RUN = 50700;
const ALL_VERSIONS = 999_999;
const VERSIONS_MAX = 3;
const DOLLAR_QUOTES_SINCE = 80100;
const SIX_DIGITS_SINCE = 80400;

const DASH = 45;
const BACKSLASH = 92;
const BACKTICK = 96;
const DOUBLE_QUOTE = 34;
const PIPE = 124;
const NO_BREAK_SPACE = 0xa0;

export interface ReadingPlan {
  /** All rule sets to lex by, the most likely first. */
  readonly rules: readonly LexRules[];
  readonly ambiguities: readonly Ambiguity[];
  /** Whether the server itself might differ from the first reading: something about the session is unknown. */
  readonly isUncertain: boolean;
}

/** What primaryRules() depends on, all of it; and the connection's charset, on which the reading of prepared literals does. */
type RulesContext = Pick<MysqlContext, "dialect" | "serverVersion" | "sqlMode" | "charset" | "connectionCharset">;

interface KnownRules extends RulesContext {
  readonly rules: LexRules;
  readonly serial: number;
}

/** Sessions of one backend nearly always share these; a client that walks through all charsets and modes gains nothing. */
const KNOWN_MAX = 64;
let known: KnownRules[] = [];
let rulesCount = 0;
let latest: KnownRules = remember({ dialect: "mysql", serverVersion: undefined, sqlMode: 0, charset: "utf8mb4" });

/** The most likely rules. The same object for equal contexts, so that the lexer keeps its tables. */
export function primaryRules(context: RulesContext): LexRules {
  return knownRules(context).rules;
}

/** A number for everything that lexing depends on: equal numbers within a process mean equal rules. */
export function primarySerial(context: RulesContext): number {
  return knownRules(context).serial;
}

function knownRules(context: RulesContext): KnownRules {
  if (isAbout(latest, context)) return latest;
  latest = known.find((one) => isAbout(one, context)) ?? remember(context);
  return latest;
}

function isAbout(one: KnownRules, context: RulesContext): boolean {
  return (
    one.sqlMode === context.sqlMode &&
    one.charset === context.charset &&
    one.connectionCharset === context.connectionCharset &&
    one.dialect === context.dialect &&
    one.serverVersion === context.serverVersion
  );
}

/** MySQL's words up to this version are MariaDB's and Vitess's too; QUALIFY and later ones are names there. */
const KEYWORDS_OF_OTHERS = 80031;

function remember({ dialect, serverVersion, sqlMode, charset, connectionCharset }: RulesContext): KnownRules {
  if (known.length >= KNOWN_MAX) known = [];
  rulesCount++;
  const about = { dialect, serverVersion, sqlMode, charset };
  const added = {
    ...about,
    ...(connectionCharset === undefined ? {} : { connectionCharset }),
    rules: buildPrimary(about),
    serial: rulesCount,
  };
  known.push(added);
  return added;
}

function buildPrimary(context: RulesContext): LexRules {
  const dialect = context.dialect === "unknown" ? "mysql" : context.dialect;
  const mode = context.sqlMode === "unknown" ? 0 : context.sqlMode;
  const version = context.serverVersion ?? NEWEST[dialect];
  const isMysql = dialect === "mysql";
  return {
    dialect,
    ansiQuotes: (mode & SQL_MODE.ANSI_QUOTES) !== 0,
    backslashEscapes: (mode & SQL_MODE.NO_BACKSLASH_ESCAPES) === 0,
    ignoreSpace: (mode & SQL_MODE.IGNORE_SPACE) !== 0,
    pipesAsConcat: (mode & SQL_MODE.PIPES_AS_CONCAT) !== 0,
    highNot: context.sqlMode === "unknown" || (mode & SQL_MODE.HIGH_NOT_PRECEDENCE) !== 0,
    charset: charsetRules(context.charset === "unknown" ? "utf8mb4" : context.charset),
    characterSet: context.charset,
    versionMax: version,
    sixDigitVersions: isMysql && version >= SIX_DIGITS_SINCE,
    dollarQuotes: isMysql && version >= DOLLAR_QUOTES_SINCE,
    slashComments: dialect === "vitess",
    anyDashComments: false,
    keywordVersion: isMysql ? version : KEYWORDS_OF_OTHERS,
  };
}

/** All readings of the text that `lexer` has just lexed by the primary rules. */
export function planReadings(sql: Uint8Array, context: MysqlContext, primary: LexRules, lexer: Lexer): ReadingPlan {
  const plan = new Plan(primary);
  planModes(plan, sql, context);
  planCharsets(plan, sql, context, lexer.marks);
  planDialects(plan, context, lexer.marks);
  planVersions(plan, context, lexer);
  planDollars(plan, context, lexer);
  return plan.done();
}

/** Rule sets so far; each new doubt multiplies them. */
class Plan {
  #rules: LexRules[];
  readonly #ambiguities: Ambiguity[] = [];
  #isUncertain = false;

  constructor(primary: LexRules) {
    this.#rules = [primary];
  }

  /** Adds, for every rule set so far, what `variants` make of it. */
  vary(ambiguity: Ambiguity, isUncertain: boolean, variants: (rules: LexRules) => readonly LexRules[]): void {
    const added = this.#rules.flatMap((rules) => variants(rules));
    if (added.length === 0) return;
    if (!this.#ambiguities.includes(ambiguity)) this.#ambiguities.push(ambiguity);
    this.#isUncertain ||= isUncertain;
    this.#rules = [...this.#rules, ...added];
    if (this.#rules.length <= READINGS_MAX) return;
    this.#rules.length = READINGS_MAX;
    this.tooMany();
  }

  tooMany(): void {
    if (!this.#ambiguities.includes("too-many-readings")) this.#ambiguities.push("too-many-readings");
    this.#isUncertain = true;
  }

  done(): ReadingPlan {
    return { rules: this.#rules, ambiguities: this.#ambiguities, isUncertain: this.#isUncertain };
  }
}

/** Whether sql_mode or charset may change what the text means: of all others every session has one reading. */
export function dependsOnSession(sql: Uint8Array): boolean {
  for (const byte of sql) if (byte === DOUBLE_QUOTE || byte === BACKSLASH || byte > 0x7f) return true;
  return hasDoublePipe(sql);
}

function hasDoublePipe(sql: Uint8Array): boolean {
  for (let at = sql.indexOf(PIPE); at >= 0; at = sql.indexOf(PIPE, at + 2)) if (sql[at + 1] === PIPE) return true;
  return false;
}

function planModes(plan: Plan, sql: Uint8Array, context: MysqlContext) {
  if (context.sqlMode !== "unknown") return;
  if (sql.includes(DOUBLE_QUOTE)) plan.vary("ansi-quotes", true, (rules) => [{ ...rules, ansiQuotes: true }]);
  if (sql.includes(BACKSLASH)) {
    plan.vary("no-backslash-escapes", true, (rules) => [{ ...rules, backslashEscapes: false }]);
  }
  if (hasDoublePipe(sql)) plan.vary("pipes-as-concat", true, (rules) => [{ ...rules, pipesAsConcat: true }]);
}

function planCharsets(plan: Plan, sql: Uint8Array, context: MysqlContext, marks: number) {
  if (context.charset !== "unknown") return;
  if (hidesByte(sql, BACKSLASH) || hidesByte(sql, BACKTICK)) {
    const names = ["gbk", "sjis", "big5"];
    plan.vary("charset", true, (rules) => names.map((name) => ({ ...rules, charset: charsetRules(name) })));
  }
  if ((marks & MARK_HIGH) !== 0 && sql.includes(NO_BREAK_SPACE)) {
    plan.vary("charset", true, (rules) => [{ ...rules, charset: charsetRules("latin1") }]);
  }
  if ((marks & MARK_DASH_NOT_COMMENT) !== 0 && hasHighAfterDashes(sql)) {
    plan.vary("charset", true, (rules) => [{ ...rules, charset: ALL_CONTROLS }]);
  }
}

/** Whether some byte above 0x7f stands directly before such a byte. */
function hidesByte(sql: Uint8Array, byte: number): boolean {
  for (let at = sql.indexOf(byte, 1); at > 0; at = sql.indexOf(byte, at + 1)) {
    if ((sql[at - 1] as number) > 0x7f) return true;
  }
  return false;
}

function hasHighAfterDashes(sql: Uint8Array): boolean {
  for (let at = sql.indexOf(DASH); at >= 0; at = sql.indexOf(DASH, at + 1)) {
    if (sql[at + 1] === DASH && (sql[at + 2] ?? 0) > 0x7f) return true;
  }
  return false;
}

function planDialects(plan: Plan, context: MysqlContext, marks: number) {
  if (context.dialect === "unknown") {
    if ((marks & MARK_SLASHES) !== 0) {
      plan.vary("vitess-comment", true, (rules) => [{ ...rules, dialect: "vitess", slashComments: true }]);
    }
    if ((marks & MARK_YOUNG_WORD) !== 0) {
      plan.vary("dialect", true, (rules) => [{ ...rules, dialect: "mariadb", keywordVersion: KEYWORDS_OF_OTHERS }]);
    }
    if ((marks & (MARK_MARIADB_COMMENT | MARK_VERSION)) !== 0) {
      plan.vary("mariadb-comment", true, (rules) => [{ ...rules, dialect: "mariadb", versionMax: ALL_VERSIONS }]);
    }
  }
  if (context.dialect !== "vitess") return;
  if ((marks & MARK_SLASHES) !== 0) plan.vary("vitess-comment", true, (rules) => [{ ...rules, slashComments: false }]);
  if ((marks & MARK_DASH_NOT_COMMENT) !== 0) {
    plan.vary("vitess-comment", true, (rules) => [{ ...rules, anyDashComments: true }]);
  }
}

/**
 * A managed server may report another version than the one by which it reads comments, so each threshold that the text
 * asks about is read both ways even when the version is known.
 */
function planVersions(plan: Plan, context: MysqlContext, lexer: Lexer) {
  if ((lexer.marks & MARK_VERSION) === 0) return;
  const isKnown = context.serverVersion !== undefined;
  if ((lexer.marks & MARK_SIX_DIGITS) !== 0 && context.dialect !== "mariadb") {
    plan.vary("version-comment", !isKnown, (rules) => [{ ...rules, sixDigitVersions: !rules.sixDigitVersions }]);
  }
  // MariaDB's own tools write 999999 for what no MariaDB is ever to run: each dump begins so.
  const end = context.dialect === "mariadb" ? ALL_VERSIONS : Number.POSITIVE_INFINITY;
  const versions = lexer.versions.filter((version) => version > ALWAYS_RUN && version < end).sort((a, b) => a - b);
  if (versions.length === 0) return;
  const isMany = versions.length > VERSIONS_MAX || lexer.versionsDropped;
  if (isMany && !isKnown) plan.tooMany();
  const thresholds = isMany ? [ALWAYS_RUN, ALL_VERSIONS] : [ALWAYS_RUN, ...versions];
  plan.vary("version-comment", !isKnown, (rules) =>
    thresholds
      .filter((versionMax) => !isSame(versions, versionMax, rules.versionMax))
      .map((versionMax) => ({ ...rules, versionMax })),
  );
}

/** Whether two thresholds run the same comments. */
function isSame(versions: readonly number[], a: number, b: number): boolean {
  return versions.every((version) => version <= a === version <= b);
}

function planDollars(plan: Plan, context: MysqlContext, lexer: Lexer) {
  if (context.serverVersion !== undefined) return;
  const { kinds, count } = lexer;
  for (let i = 0; i < count; i++) {
    if (kinds[i] !== T.DOLLAR_STRING) continue;
    plan.vary("dialect", true, (rules) => [{ ...rules, dollarQuotes: false }]);
    return;
  }
}
