/** Statements that change how later ones are read: every variable that does, in every spelling and scope. */

import { type Charset, isMariadb, literalOf, once, type Piece, type Scene, utf8 } from "./differential-text.ts";
import type { Dice } from "./digest-oracle.ts";

/** What a list is about: changes and probes of one axis meet each other. */
export const AXES = ["backslash", "quotes", "charset", "blank", "schema", "pipes", "tracking", "variables"] as const;
export type Axis = (typeof AXES)[number];

const LATIN = { leads: ["\xbf", "\xc3\xa0", "\xe0"], blanks: ["\xa0", "\xa0", "\xc2\xa0", "\xc3\xa0", "\x85"] };

/** Those whose bytes mean something else than in UTF-8, the likeliest to matter more often. */
export const CHARSETS: readonly Charset[] = [
  ...["latin1", "latin1", "latin1", "latin1", "latin5", "cp1251", "koi8r", "greek", "cp850"].map((name) => ({
    name,
    ...LATIN,
  })),
  { name: "gbk", leads: ["\xbf", "\x81", "\xb9\xa0"], blanks: ["\xa0", "\xa1\xa1"] },
  { name: "gbk", leads: ["\xbf"], blanks: ["\xa0"] },
  { name: "sjis", leads: ["\x95", "\x83", "\x81"], blanks: ["\xa0", "\x81\x40"] },
  { name: "cp932", leads: ["\x95", "\x83"], blanks: ["\xa0", "\x81\x40"] },
  { name: "big5", leads: ["\xa5", "\xb3"], blanks: ["\xa0", "\xa1\x40"] },
  { name: "gb2312", leads: ["\xa0", "\xb9\xa0", "\xb9"], blanks: ["\xa0", "\xa1\xa1"] },
  { name: "euckr", leads: ["\xa0", "\xb9\xa0", "\xb9"], blanks: ["\xa0", "\xa1\xa1"] },
  { name: "ujis", leads: ["\x8f", "\x8e", "\xa0"], blanks: ["\xa0", "\xa1\xa1"] },
  { name: "eucjpms", leads: ["\x8f", "\x8e", "\xa0"], blanks: ["\xa0", "\xa1\xa1"] },
  ...["swe7", "swe7", "ascii", "binary", "utf8mb3"].map((name) => ({ name, ...LATIN })),
];
/** By charset, the id of its first collation: the login names one, and SET takes it too. */
export const COLLATIONS: Readonly<Record<string, number>> = {
  latin1: 8,
  gbk: 28,
  sjis: 13,
  big5: 1,
  swe7: 10,
  euckr: 19,
  gb2312: 24,
  utf8mb3: 33,
  binary: 63,
  latin5: 30,
  ujis: 12,
  eucjpms: 97,
  cp932: 95,
  cp1251: 51,
  koi8r: 7,
  greek: 25,
  cp850: 4,
  ascii: 11,
};

const OTHER_CHARSETS = ["utf8mb4", "utf8mb4", "latin1", "ascii", "binary"];

const MODES: Readonly<Record<"backslash" | "quotes" | "pipes", readonly string[]>> = {
  backslash: ["NO_BACKSLASH_ESCAPES", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES", "", "STRICT_ALL_TABLES"],
  quotes: ["ANSI_QUOTES", "ANSI", "", "ANSI_QUOTES,PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES"],
  pipes: ["PIPES_AS_CONCAT", "ANSI", "", "HIGH_NOT_PRECEDENCE"],
};
/** The modes' bits: sql_mode may be set by number. */
const MODE_NUMBERS: Readonly<Record<string, string>> = {
  NO_BACKSLASH_ESCAPES: "1048576",
  ANSI_QUOTES: "4",
  PIPES_AS_CONCAT: "2",
};
const TRACKERS: readonly (readonly [name: string, value: string])[] = [
  ["session_track_system_variables", "''"],
  ["session_track_system_variables", "'autocommit'"],
  ["session_track_system_variables", "'time_zone,character_set_results'"],
  ["session_track_system_variables", "NULL"],
  ["session_track_system_variables", "'*'"],
  ["session_track_schema", "OFF"],
  ["session_track_schema", "0"],
  ["session_track_state_change", "ON"],
  ["session_track_transaction_info", "'CHARACTERISTICS'"],
];

interface Assignment {
  readonly name: string;
  /** An expression. */
  readonly value: string;
  /** Said as SET NAMES or USE can say it. */
  readonly charset?: string;
  readonly schema?: string;
}

function modeAssignment(dice: Dice, { kind }: Scene, axis: keyof typeof MODES): Assignment {
  const mode = kind !== "mysql" && once(dice, 6) ? "ORACLE" : dice.pick(MODES[axis]);
  const number = MODE_NUMBERS[mode];
  const sums = ["4 | 1048576", "REPLACE('ANSI_QUOTESx', 'x', '')", "CONCAT_WS(',', @@sql_mode, 'ANSI_QUOTES')"];
  const halves = [
    ...sums,
    `CONCAT('${mode.slice(0, 4)}','${mode.slice(4)}')`,
    `(SELECT '${mode}')`,
    `UPPER('${mode}')`,
  ];
  const forms = [`'${mode}'`, `'${mode}'`, `'${mode}'`, `"${mode}"`, ...halves, `'${mode.toLowerCase()}'`];
  const value = number !== undefined && once(dice, 8) ? number : dice.pick([...forms, "DEFAULT", "@m", "@@sql_mode"]);
  return { name: "sql_mode", value };
}

function charsetAssignment({ dice, charset: own }: Scene): Assignment {
  const charset = once(dice, 4) ? dice.pick(OTHER_CHARSETS) : own.name;
  const name = dice.pick([
    ...["character_set_client", "character_set_client", "character_set_client"],
    ...["character_set_connection", "collation_connection", "character_set_results"],
  ]);
  if (name === "collation_connection") return { name, value: `${charset}_bin`, charset };
  const names = [charset, `'${charset}'`, `"${charset}"`, `CONCAT('${charset}','')`];
  const id = COLLATIONS[charset];
  const others = [
    "DEFAULT",
    "@@character_set_client",
    "@@character_set_server",
    ...(id === undefined ? [] : [`${id}`]),
  ];
  return { name, value: dice.pick([...names, ...names, ...others]), charset };
}

function assignment(scene: Scene, axis: Axis): Assignment {
  const { dice } = scene;
  if (axis === "charset" || axis === "blank") return charsetAssignment(scene);
  if (axis === "backslash" || axis === "quotes" || axis === "pipes") return modeAssignment(dice, scene, axis);
  if (axis === "schema") {
    if (once(dice, 3)) return { name: "session_track_schema", value: dice.pick(["OFF", "0", "ON"]) };
    const schema = dice.pick([scene.guarded, scene.guarded, scene.guarded, scene.free, scene.canary]);
    return { name: "USE", value: schema, schema };
  }
  if (axis === "variables") return { name: "@t", value: dice.pick(["8", "8", "7", "'8'", "1+7"]) };
  const [name, value] = dice.pick(TRACKERS);
  return { name, value };
}

/** One letter with an accent, which some servers take for the letter. */
function accented(dice: Dice, name: string): string {
  const accents: readonly (readonly [string, string])[] = [
    ["a", "ä"],
    ["s", "ſ"],
    ["o", "ö"],
    ["e", "é"],
    ["k", "K"],
  ];
  const [letter, other] = dice.pick(accents);
  return name.replace(letter, utf8(other));
}

function spelled(dice: Dice, name: string): string {
  const form = dice.below(10);
  if (form === 0) return name.toUpperCase();
  if (form === 1) return `\`${name}\``;
  if (form === 2) return accented(dice, name);
  // A name where ANSI_QUOTES holds.
  if (form === 3 && once(dice, 2)) return `"${name}"`;
  return name;
}

const SCOPES = ["", "", "", "SESSION ", "LOCAL ", "@@", "@@session.", "@@local.", "@@SESSION . "];

function variableOf(scene: Scene, name: string): string {
  const { dice } = scene;
  if (name.startsWith("@")) return name;
  // What the server's sessions start with, at their login or when they are reset.
  if (!scene.isReadOnly && name === "sql_mode" && once(dice, 20)) return `GLOBAL ${name}`;
  return `${dice.pick(SCOPES)}${spelled(dice, name)}`;
}

/** Other parts of a SET list, some of which fail. */
const LIST_PARTS = [
  "@x = 1",
  "sql_mode = ''",
  "sql_mode = 'ANSI_QUOTES'",
  "character_set_client = latin1",
  "autocommit = 1",
  "time_zone = '+00:00'",
  "sql_notes = 1",
  "max_join_size = DEFAULT",
];
const FAILING_PARTS = [
  "gtid_next = 'x'",
  "time_zone = 'nowhere'",
  "no_such_variable = 1",
  "sql_mode = 'NO_SUCH_MODE'",
  "autocommit = 7",
  "character_set_client = ucs2",
];
/** What SET takes beside assignments, where a server lets them stand in one list. */
const OTHER_PARTS = [
  "ROLE NONE",
  "NAMES utf8mb4",
  "CHARACTER SET utf8mb4",
  "PASSWORD FOR nosuch@'%' = PASSWORD('x')",
  "PASSWORD FOR nosuch@'%' = 'x'",
  "TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/** Of one assignment, a statement that makes it. */
function statementOf(scene: Scene, { name, value, charset, schema }: Assignment): Piece {
  const { dice } = scene;
  if (schema !== undefined) return { text: dice.pick([`USE ${schema}`, `use \`${schema}\``]), tags: ["USE"] };
  if (charset !== undefined && once(dice, 2)) {
    const collate = once(dice, 5) ? ` COLLATE ${charset}_bin` : "";
    const text = dice.pick([
      `SET NAMES ${charset}${collate}`,
      `SET NAMES '${charset}'`,
      `SET CHARACTER SET ${charset}`,
    ]);
    return once(dice, 4) ? listOf(scene, text.slice("SET ".length), "SET NAMES") : { text, tags: ["SET NAMES"] };
  }
  const variable = variableOf(scene, name);
  const tag = variable.startsWith("@@") ? `SET @@${name}` : `SET ${name}`;
  const part = `${variable}${dice.pick([" = ", "=", " := "])}${value}`;
  if (once(dice, 3)) return listOf(scene, part, tag);
  return { text: `${dice.pick(["SET ", "SET ", "set ", "SET/**/"])}${part}`, tags: [tag] };
}

function listOf({ dice }: Scene, part: string, tag: string): Piece {
  const other = dice.below(3);
  const parts = other === 0 ? LIST_PARTS : other === 1 ? FAILING_PARTS : OTHER_PARTS;
  const named = ["list", "failing list", "other list"][other] ?? "";
  const with2 = [part, dice.pick(parts)];
  if (other === 2 || once(dice, 2)) with2.reverse();
  return { text: `SET ${with2.join(", ")}`, tags: [tag, named] };
}

/** A statement that changes what the axis depends on. */
export function changeOf(scene: Scene, axis: Axis): Piece {
  const { dice } = scene;
  if (once(dice, 6)) return trackerChange(scene);
  if (once(dice, 12)) return { text: dice.pick(HUSHES), tags: ["hush"] };
  if (axis === "variables" && !once(dice, 3)) return variableChange(scene);
  const made = assignment(scene, axis);
  if (made.schema === undefined && made.charset === undefined && once(dice, 10)) return hintOf(scene, made);
  return statementOf(scene, made);
}

/** A statement that tells querycop less of what happens. */
function trackerChange(scene: Scene): Piece {
  const [name, value] = scene.dice.pick(TRACKERS);
  return statementOf(scene, { name, value });
}

/** For one statement alone, which the server then puts back. */
function hintOf(scene: Scene, { name, value }: Assignment): Piece {
  if (name.startsWith("@")) return statementOf(scene, { name, value });
  if (isMariadb(scene)) return { text: `SET STATEMENT ${name}=${value} FOR DO 1`, tags: ["SET STATEMENT", name] };
  return { text: `SELECT /*+ SET_VAR(${name}=${value}) */ 1`, tags: ["hint", name] };
}

/** Assignments that stored code makes: it is there before the first list. */
export const STORED_CHANGES: readonly string[] = [
  "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
  "SET sql_mode = 'ANSI_QUOTES'",
  "SET sql_mode = ''",
  "SET @@sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
  "SET NAMES latin1",
  "SET NAMES gbk",
  "SET character_set_client = gbk",
  "SET character_set_client = latin1",
  "SET character_set_connection = swe7",
  "SET session_track_system_variables = ''",
  "SET session_track_schema = OFF",
  "SET session_track_state_change = ON",
  "SET @@character_set_client = latin1",
  "SET @t = 8",
  "SET @s = 'SELECT data FROM secret'",
];

/** A statement that runs stored code which makes one of these changes, or runs a text. */
export function storedChange(scene: Scene): Piece {
  const { dice, free, isReadOnly } = scene;
  const index = dice.below(STORED_CHANGES.length);
  const tag = `stored ${(STORED_CHANGES[index] ?? "").replace(/ =.*/, "")}`;
  const calls = [
    `CALL ${free}.p${index}()`,
    `SELECT ${free}.f${index}()`,
    `DO ${free}.f${index}()`,
    `SET @x = ${free}.f${index}()`,
  ];
  if (!isReadOnly) calls.push(`INSERT INTO ${free}.t${index} VALUES (1)`);
  const text = dice.pick(calls);
  return { text, tags: [tag, text.split(" ")[0] ?? ""] };
}

/** Ways by which a user variable gets another value, some of which no statement says. */
function variableChange({ dice, free, isReadOnly }: Scene): Piece {
  const value = dice.pick(["8", "1", "'8'", "0"]);
  const name = dice.pick(["@t", "@t", "@T", "@`t`", utf8("@ţ"), "@'t'"]);
  const reads = [
    `SELECT ${value} INTO ${name}`,
    `SELECT ${name} := ${value}`,
    `DO ${name} := ${value}`,
    `SET @x = (${name} := ${value})`,
    `SET ${name} = (SELECT ${value})`,
    `SELECT name FROM ${free}.pub WHERE (${name} := ${value}) LIMIT 1`,
    `SELECT COUNT(*) INTO ${name} FROM ${free}.pub`,
    `GET DIAGNOSTICS ${name} = NUMBER`,
    `SHOW TABLES FROM ${free} WHERE ${name} := ${value}`,
    `SET ${name} = 7, ${name} = ${value}`,
    `SET ${name} = 7 + ${value}`,
    `SET ${name} = COALESCE(NULL, ${value})`,
  ];
  const writes = [
    `CALL ${free}.out8(${name})`,
    `UPDATE ${free}.pub SET name = (${name} := ${value}) WHERE id = 1`,
    `INSERT INTO ${free}.pub (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = (${name} := ${value})`,
  ];
  const text = dice.pick(isReadOnly ? reads : [...reads, ...writes]);
  return { text, tags: [`variable by ${text.split(" ")[0]}`] };
}

/** What makes answers to questions about the session's state strange, late, few or none. */
const HUSHES: readonly string[] = [
  "SET sql_select_limit = 0",
  "SET SESSION sql_select_limit = DEFAULT",
  "SET character_set_results = ucs2",
  "SET character_set_results = utf16",
  "SET character_set_results = NULL",
  "SET autocommit = 0",
  "SET max_error_count = 0",
  "SET max_execution_time = 1",
  "SET max_statement_time = 0.000001",
  "SET sql_safe_updates = 1",
  "SET big_tables = 1",
  "SET sql_auto_is_null = 1",
  "SET profiling = 1",
  "SET group_concat_max_len = 4",
  "XA START 'x'",
  "XA END 'x'",
  "XA ROLLBACK 'x'",
  "SET SESSION TRANSACTION READ WRITE",
  "START TRANSACTION READ WRITE",
  "SET transaction_read_only = 0",
  "SET @@tx_read_only = 0",
  "SET TRANSACTION READ WRITE",
  "SET SESSION TRANSACTION READ ONLY",
  "SET ROLE NONE",
  "SET ROLE DEFAULT",
  "SET sql_big_result = 1",
  "SET max_join_size = 1",
  "SET optimizer_switch = DEFAULT",
  "SET div_precision_increment = 0",
];

/** Without effect on what comes after; between others they make querycop forget or go wrong. */
export function noiseOf({ dice, free }: Scene): Piece {
  const texts = [
    "SELECT 1",
    "SELECT 1; SELECT 2",
    `SELECT name FROM ${free}.pub`,
    "SELECT NOW()",
    "SHOW WARNINGS",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SELECT nothing",
    "SET @x = 1",
    "EXECUTE p",
    "DEALLOCATE PREPARE p",
    "SET @m = 'ANSI_QUOTES'",
    "SET @m = 'NO_BACKSLASH_ESCAPES'",
    "SELECT @@sql_mode, @@character_set_client",
    "SELECT @s, @x, @y",
    `SELECT ${literalOf(dice, "it's \\ here")}`,
    "DO 1",
    "SET time_zone = '+01:00'",
  ];
  return { text: dice.pick(texts), tags: ["noise"] };
}
