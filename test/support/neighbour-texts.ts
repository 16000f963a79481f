/** Texts that are a small step from a statement: one word less, two exchanged, another value, the whole within something else. */
import type { MysqlContext } from "../../src/sql/facts.ts";

/** Some texts, and the session in which they are read where it is another. */
export type Neighbours = Generator<readonly [text: string, context?: Partial<MysqlContext>]>;

/** Of the values, wrappers and sessions every so many is taken, for each text others: all would be too many. */
const EVERY_VALUE = 11;
const EVERY_WRAPPER = 4;
const EVERY_SESSION = 3;

const PIECE = /'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?|`[^`]*`?|[@\w$]+|\s+|./gsu;

const WORD = /^[A-Za-z_]\w*$/;
const VALUE = /^(?:\d\w*|['"].*)$/s;

const VALUES = [
  ..."NULL ? @v -1 1.5 007 (1) x'41' 0x4 b'01' N'x' DEFAULT b t.c SLEEP(1) SUM(1) 1=1 a=a 1;2 @@sql_mode :=1".split(
    " ",
  ),
  ...["'a''b'", '"q"', "_latin1'x'", "(SELECT 1)", "CASE WHEN a THEN 1 ELSE 0 END", "'x' 'y'", "DATE '2020-01-01'"],
  ...["NOT a", "a OR 1", "NOT NULL", "1 AND 2", "a IN (1, 2)", "a LIKE '%'", "a BETWEEN 1 AND 2", "{d '2020-01-01'}"],
];

const NAMES = [
  (name: string) => `\`${name}\``,
  (name: string) => `z.${name}`,
  (name: string) => name.toUpperCase(),
  (name: string) => name.toLowerCase(),
  (name: string) => `${name} AS ${name}2`,
  (name: string) => `${name}()`,
  (name: string) => `${name.replace(/i/i, "İ")}é`,
  (name: string) => `(${name})`,
  (name: string) => `/*!50000 ${name} */`,
  (name: string) => `${name} -- x\n`,
  (name: string) => `@${name}`,
  (name: string) => `"${name}"`,
];

const quoted = (text: string): string => `'${text.replace(/['\\]/g, "\\$&")}'`;

const AROUND: readonly ((text: string) => string)[] = [
  (text) => `EXPLAIN ${text}`,
  (text) => `EXPLAIN ANALYZE ${text}`,
  (text) => `ANALYZE FORMAT=JSON ${text}`,
  (text) => `(${text})`,
  (text) => `PREPARE p FROM ${quoted(text)}`,
  (text) => `EXECUTE IMMEDIATE ${quoted(text)}`,
  (text) => `CREATE PROCEDURE p() BEGIN DECLARE a INT; ${text}; END`,
  (text) => `CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW BEGIN ${text}; END`,
  (text) => `CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO ${text}`,
  (text) => `CREATE FUNCTION f() RETURNS INT RETURN (${text})`,
  (text) => `BEGIN NOT ATOMIC IF a THEN ${text}; ELSE WHILE 1 DO ${text}; END WHILE; END IF; END`,
  (text) => `/*!50000 ${text} */`,
  (text) => `/*M! ${text} */`,
  (text) => `SET STATEMENT max_statement_time=1 FOR ${text}`,
  (text) => `${text}; ${text}`,
  (text) => `USE other; ${text}`,
  (text) => `SET sql_mode='ANSI_QUOTES'; ${text}`,
  (text) => `SET NAMES gbk; ${text}`,
  (text) => `CALL p(); ${text}`,
  (text) => `${text} UNION SELECT 1`,
  (text) => `${text} UNION ALL (${text})`,
  (text) => `WITH x AS (${text}) SELECT * FROM x`,
  (text) => `WITH x AS (SELECT a FROM t) ${text}`,
  (text) => `INSERT INTO i ${text}`,
  (text) => `CREATE TABLE i AS ${text}`,
  (text) => `CREATE OR REPLACE VIEW v AS ${text}`,
  (text) => `SELECT * FROM (${text}) AS d WHERE d.tenant_id = 7`,
  (text) => `SELECT (${text}), a FROM orders WHERE tenant_id = 7 AND a IN (${text})`,
  (text) => `CALL sys.execute_prepared_stmt(${quoted(text)})`,
  (text) => `DECLARE c CURSOR FOR ${text}`,
  (text) => `${text} LIMIT 1`,
  (text) => `${text} WHERE 1=1`,
  (text) => `${text} OR 1=1`,
  (text) => `${text} AND tenant_id = 7`,
  (text) => `${text} RETURNING *`,
  (text) => `${text} FOR UPDATE`,
  (text) => `${text} INTO @v`,
  (text) => `${text} -- x`,
  (text) => `${text} '`,
  (text) => `${text} )`,
  (text) => `/*+ SET_VAR(sql_mode='') */ ${text} /* c */`,
  (text) => text.replace(/ /g, "/**/"),
];

const SESSIONS: readonly Partial<MysqlContext>[] = [
  { dialect: "mysql", serverVersion: 50700 },
  { dialect: "mysql", serverVersion: 90704 },
  { dialect: "mariadb", serverVersion: 100600 },
  { dialect: "mariadb", serverVersion: 110806 },
  { dialect: "vitess", serverVersion: 80036 },
  { dialect: "unknown", serverVersion: undefined },
  { sqlMode: 4 },
  { sqlMode: 0x100000 },
  { sqlMode: 2 + 8 },
  { sqlMode: 0x20000000 },
  { sqlMode: "unknown" },
  { charset: "latin1" },
  { charset: "gbk" },
  { charset: "unknown" },
  { charset: "utf8mb4", connectionCharset: "swe7" },
  { charset: "utf8mb4", connectionCharset: "unknown" },
  { schema: undefined },
  { schema: "other" },
  { multiStatements: false },
];

function* without(pieces: readonly string[]): Neighbours {
  for (const [index] of solid(pieces)) yield [pieces.toSpliced(index, 1).join("")];
}

function* exchanged(pieces: readonly string[]): Neighbours {
  const places = [...solid(pieces)];
  for (let at = places.length % 2; at + 1 < places.length; at += 2) {
    const [[index, piece], [other, after]] = places.slice(at, at + 2) as [[number, string], [number, string]];
    yield [pieces.with(index, after).with(other, piece).join("")];
  }
}

function* otherValues(pieces: readonly string[]): Neighbours {
  for (const [index, piece] of solid(pieces)) {
    if (!VALUE.test(piece)) continue;
    for (let at = index % EVERY_VALUE; at < VALUES.length; at += EVERY_VALUE) {
      yield [pieces.with(index, VALUES[at] ?? "").join("")];
    }
  }
}

function* otherNames(pieces: readonly string[]): Neighbours {
  for (const [index, piece] of solid(pieces)) {
    const name = NAMES[index % NAMES.length];
    if (WORD.test(piece) && name !== undefined) yield [pieces.with(index, name(piece)).join("")];
  }
}

function* within(pieces: readonly string[]): Neighbours {
  const text = pieces.join("");
  for (let at = text.length % EVERY_WRAPPER; at < AROUND.length; at += EVERY_WRAPPER) {
    const around = AROUND[at];
    if (around !== undefined) yield [around(text)];
  }
}

function* elsewhere(pieces: readonly string[]): Neighbours {
  const text = pieces.join("");
  for (let at = text.length % EVERY_SESSION; at < SESSIONS.length; at += EVERY_SESSION)
    yield [text, SESSIONS[at] ?? {}];
}

function solid(pieces: readonly string[]): [index: number, piece: string][] {
  return [...pieces.entries()].filter(([, piece]) => piece.trim() !== "");
}

/** The kinds of steps, each a column of test/golden/neighbours.txt. */
const STEPS = [without, exchanged, otherValues, otherNames, within, elsewhere];

/** The neighbours of a statement, a list for each kind of step. */
export function neighboursOf(text: string): Neighbours[] {
  const pieces = text.match(PIECE) ?? [];
  return STEPS.map((step) => step(pieces));
}
