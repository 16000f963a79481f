/** Texts that grow by one piece at a time past every limit on numbers and lengths, so that each is met at its border. */

/** All up to here: what has two or three tokens in a piece comes to its limits early. */
const SMALL = 36;
/** Around each of these, for texts whose pieces are short. */
const MIDDLE = [100, 128, 200, 256, 308, 512, 709, 1000, 1024];
const LARGE = [4096, 8192, 10_000, 16_384, 65_536];
const AROUND = [-1, 0, 1];

const around = (counts: readonly number[]): number[] => counts.flatMap((count) => AROUND.map((by) => count + by));

/** `few`: from nothing to 67. `many`: around a thousand too. `bytes`: around 65,536 too. */
export type Reach = "few" | "many" | "bytes";

export function countsOf(reach: Reach): number[] {
  const few = [...Array.from({ length: SMALL }, (_, count) => count), ...around([61, 64, 67])];
  if (reach === "few") return few;
  return [...few, ...around(MIDDLE), ...(reach === "bytes" ? around(LARGE) : [])];
}

const list = (count: number, piece: (index: number) => string, between = ", "): string =>
  Array.from({ length: count }, (_, index) => piece(index)).join(between);

const nest = (count: number, open: string, inner: string, close: string): string =>
  open.repeat(count) + inner + close.repeat(count);

/** A quoted text inside a quoted text, so often. */
function quoted(count: number, before: string, inner: string): string {
  let text = inner;
  for (let index = 0; index < count; index++) text = `${before}'${text.replace(/'/g, "''")}'`;
  return text;
}

type Grower = readonly [reach: Reach, grow: (count: number) => string];

export const GROWN_TEXTS: Readonly<Record<string, Grower>> = {
  "numbers in a list": ["many", (n) => `SELECT a FROM t WHERE id IN (${list(n + 1, (i) => `${i}`)})`],
  "texts in a list": ["many", (n) => `SELECT a FROM t WHERE id IN (${list(n, (i) => `'a${i}'`)}, 0x41, 1=1)`],
  "values of a row": ["many", (n) => `INSERT INTO t VALUES (${list(n + 1, (i) => `${i}`)}), (0), (-1)`],
  rows: ["many", (n) => `INSERT INTO t (a, b) VALUES ${list(n + 1, (i) => `(1, '${i % 7}')`)}`],
  "rows with words": [
    "many",
    (n) => `REPLACE INTO t (a, b) VALUES ${list(n + 1, (i) => `(DEFAULT, ${i})`)}, (1, f(2))`,
  ],
  "terms of OR": ["few", (n) => `DELETE FROM t WHERE ${list(n + 1, (i) => `a${i} = b`, " OR ")}`],
  "terms of OR that hold together": [
    "few",
    (n) => `DELETE FROM t WHERE ${list(n, (i) => `a = ${i}`, " OR ")} OR id < 5 OR id >= 5`,
  ],
  "terms of AND": ["few", (n) => `UPDATE t SET c = 1 WHERE ${list(n + 1, (i) => `a${i} <> ${i}`, " AND ")} AND 1`],
  "terms of both": ["few", (n) => `DELETE FROM t WHERE ${list(n + 1, (i) => `(a = ${i} OR b)`, " AND ")}`],
  joins: ["few", (n) => `SELECT t.a FROM t ${list(n, (i) => `JOIN u${i} ON u${i}.a = t.a`, " ")} WHERE t.b = 1`],
  "joins without conditions": ["few", (n) => `SELECT a FROM t ${list(n, (i) => `CROSS JOIN u${i}`, " ")}`],
  "tables behind commas": ["few", (n) => `SELECT x.a, b FROM t x, ${list(n, (i) => `u${i}, `, "")} v WHERE v.c = 2`],
  "tables of catalogs": ["few", (n) => `SELECT 1 FROM t, ${list(n + 1, (i) => `information_schema.columns c${i}`)}`],
  "tables to delete from": [
    "few",
    (n) => `DELETE ${list(n + 1, (i) => `t${i}`)} FROM ${list(n + 1, (i) => `t t${i}`)}`,
  ],
  "joins to itself": ["few", (n) => `UPDATE t x ${list(n, (i) => `JOIN t y${i} USING (id)`, " ")} SET x.a = 1`],
  branches: ["few", (n) => `SELECT a FROM t ${list(n, () => "UNION SELECT 1", " ")} LIMIT 1`],
  "branches of many values": ["few", (n) => `SELECT a FROM t UNION SELECT ${list(n + 1, (i) => `${i + 1}`)}`],
  "branches of NULL": ["few", (n) => `SELECT a FROM t UNION ALL SELECT ${list(n, () => "NULL, ", "")} version()`],
  parentheses: ["many", (n) => `SELECT a FROM t WHERE ${nest(n, "(", "a = 1", ")")} OR 1`],
  subqueries: ["few", (n) => `SELECT * FROM t WHERE ${nest(n, "a IN (SELECT b FROM u WHERE ", "c = t.a", ")")}`],
  "derived tables": ["few", (n) => `SELECT a FROM ${nest(n, "(SELECT a FROM ", "t", ") d")} WHERE a = 1`],
  "tables for each of which a WITH": [
    "many",
    (n) => `WITH ${list(n + 1, (i) => `c${i} AS (SELECT 1)`)} SELECT * FROM c0, t`,
  ],
  NOT: ["few", (n) => `DELETE FROM t WHERE ${nest(n, "NOT (", "a = 1 AND a = 2", ")")}`],
  CASE: ["few", (n) => `SELECT a FROM t WHERE ${nest(n, "CASE WHEN ", "1", " THEN a ELSE b END")} = 1`],
  "a function in itself": ["few", (n) => `DELETE FROM t WHERE ${nest(n, "COALESCE(", "id", ")")} = id`],
  IFNULL: ["few", (n) => `DELETE FROM t WHERE ${nest(n, "IFNULL(", "id", ", 1)")} = id`],
  CAST: ["few", (n) => `SELECT ${nest(n, "CAST(", "a", " AS CHAR)")} FROM t`],
  TRIM: ["few", (n) => `SELECT ${nest(n, "TRIM(", "a", ")")}, ${nest(n, "CONVERT(", "a", ", CHAR)")} FROM t`],
  "arguments of CONCAT": ["few", (n) => `SELECT CONCAT(${list(n + 1, (i) => `'${i}'`)}, (SELECT b FROM u)) FROM t`],
  "arguments of CHAR": ["few", (n) => `SELECT a FROM t WHERE b = CHAR(${list(n + 1, (i) => `${i + 20}`)})`],
  "the same on both sides": ["few", (n) => `SELECT a FROM t WHERE a${"+b".repeat(n)} = a${"+b".repeat(n)}`],
  "a sum of numbers": ["few", (n) => `SELECT a FROM t WHERE 1${"+1".repeat(n)} = ${n + 1} OR b = 1`],
  "a product in parentheses": ["few", (n) => `SELECT a FROM t WHERE b = 1 OR (2${"*1".repeat(n)}) > 1`],
  "a column's sum": ["few", (n) => `DELETE FROM t WHERE a${" - 1".repeat(n)} = a${" - 1".repeat(n)} AND a - a = 0`],
  "bits of numbers": ["few", (n) => `DELETE FROM t WHERE id | ${2n ** BigInt(n)} >= 0 OR id << ${n} = 1`],
  comparisons: ["few", (n) => `DELETE FROM t WHERE a${" = b".repeat(n)} = a`],
  "a number's value": [
    "many",
    (n) => `SELECT SLEEP(${n}), EXP(${n}), POW(10, ${n}), CHAR(${n}) FROM t LIMIT 3 OFFSET ${n}`,
  ],
  "a benchmark's": ["bytes", (n) => `SELECT BENCHMARK(${n}, MD5(1)) FROM t ORDER BY ${n} LIMIT ${n}`],
  "a place's value": ["bytes", (n) => `SELECT a FROM t LIMIT ${n}, ${n}`],
  "digits of numbers": [
    "many",
    (n) => `SELECT a FROM t WHERE b = ${"9".repeat(n + 1)} OR 1${"0".repeat(n)} OR c = 0.${"1".repeat(n)}`,
  ],
  "digits of a limit": ["few", (n) => `UPDATE t SET a = 1 LIMIT ${"1".repeat(n + 1)}`],
  "a text": ["bytes", (n) => `SELECT a FROM t WHERE b = '${"x".repeat(n)}' AND c = 2`],
  "a text of signs": ["bytes", (n) => `SELECT a FROM t WHERE b = '${" ".repeat(n)}'' OR 1=1 -- '`],
  "a text of escapes": ["many", (n) => `SELECT a FROM t WHERE b = '${"\\n''".repeat(n)}' OR c = "${'""'.repeat(n)}"`],
  "a name": [
    "bytes",
    (n) => `SELECT \`${"n".repeat(n + 1)}\` FROM ${"t".repeat(n + 1)} WHERE f${"é".repeat(n % 600)}(1)`,
  ],
  "parts of names": ["few", (n) => `SELECT ${"a.".repeat(n)}b FROM ${"c.".repeat(n % 4)}t`],
  "hex digits": [
    "many",
    (n) =>
      `SELECT a FROM t WHERE b = 0x${"41".repeat(n + 1)} UNION SELECT x'${"41".repeat(n)}', 0x2f6574${"63".repeat(n)}`,
  ],
  bits: ["many", (n) => `SELECT b'${"1".repeat(n)}', 0b${"01".repeat(n + 1)} FROM t`],
  "a comment": ["bytes", (n) => `SELECT a /*${"x".repeat(n)}*/ FROM t`],
  "a comment at the end": ["bytes", (n) => `SELECT a FROM t -- ${"x".repeat(n)} ' OR 1`],
  "blanks at the end": ["bytes", (n) => `SELECT a FROM t WHERE b = 1 -- x${" ".repeat(n)}"`],
  comments: ["many", (n) => `SELECT ${"/**/".repeat(n)} a FROM t`],
  "words in a comment that is run": ["few", (n) => `SELECT /*!50000 ${"SQL_NO_CACHE ".repeat(n)}*/ a FROM t`],
  "a word in pieces": ["few", (n) => `CREATE TABLE t (a INT) /*!50100 ${"x ".repeat(n)}*/`],
  "versions of comments": ["few", (n) => `SELECT ${list(n, (i) => `/*!${50_000 + i * 997} + 1 */`, " ")} a FROM t`],
  hints: ["few", (n) => `SELECT ${"/*+ BKA(t) */ ".repeat(n)} a FROM t`],
  "words of a hint": ["few", (n) => `SELECT /*+ ${"BKA(t) ".repeat(n)}SET_VAR(sql_mode='') */ a FROM t`],
  "findings of one name": ["few", (n) => `SELECT ${list(n + 1, () => "SLEEP(1)")}, @@version FROM t`],
  "names that are told": ["few", (n) => `SELECT ${list(n + 1, (i) => `f${i}(c${i})`)} FROM t`],
  statements: ["few", (n) => `${"SELECT 1; ".repeat(n)}DROP TABLE t`],
  "texts in texts": ["few", (n) => quoted(n % 7, "EXECUTE IMMEDIATE ", "SELECT 1")],
  "texts side by side": ["few", (n) => `${list(n, (i) => `PREPARE p${i} FROM 'SELECT ${i}'`, "; ")}; SELECT 1`],
  "values of one text": [
    "few",
    (n) => `SET @a = IF(@x, '${"x".repeat(n)}', ${nest(n % 20, "IF(@y, 'b', ", "'c'", ")")})`,
  ],
  "long values of one text": ["bytes", (n) => `SET @a = CONCAT('${"x".repeat(n)}', 'y'); PREPARE p FROM @a`],
  "branches of values": [
    "few",
    (n) => `SELECT CASE @a ${list(n + 1, (i) => `WHEN ${i} THEN 'v${i}'`, " ")} ELSE 'x' END INTO @b`,
  ],
  "joined values": ["few", (n) => `SET @a = CONCAT_WS(@s, ${list(n + 1, () => "'x'")}, REPEAT('y', ${n}))`],
  "variables set": ["few", (n) => `SET ${list(n + 1, (i) => `@o${i} = @@sql_mode`)}, sql_mode = @o0`],
  "a setting's digits": ["few", (n) => `SET sql_mode = ${"1".repeat(n + 1)}, autocommit = 1`],
  "a setting's text": ["many", (n) => `SET SESSION sql_mode = '${"STRICT_ALL_TABLES,".repeat(n)}ANSI'`],
  "a saved setting": [
    "many",
    (n) => `SET @old = @@session.${" ".repeat(n)}sql_mode; SET sql_mode = @old${" ".repeat(n)}`,
  ],
  privileges: ["few", (n) => `GRANT SELECT (${list(n + 1, (i) => `c${i}`)}), INSERT ON a.* TO u WITH GRANT OPTION`],
  "words of a privilege": ["few", (n) => `GRANT ${"CREATE ROUTINE ".repeat(n)} ON *.* TO u@h`],
  accounts: ["few", (n) => `CREATE USER ${list(n + 1, (i) => `u${i}@'10.%'`)} IDENTIFIED BY 'x'`],
  columns: [
    "few",
    (n) =>
      `CREATE TABLE t (${list(n + 1, (i) => `c${i} INT DEFAULT ${i}`)}, KEY (c0)) ENGINE=MERGE UNION=(${list(n + 1, (i) => `m${i}`)})`,
  ],
  changes: ["few", (n) => `ALTER TABLE t ${list(n + 1, (i) => `ADD COLUMN c${i} INT, DROP COLUMN d${i}`)}`],
  servers: [
    "few",
    (n) => `CREATE TABLE t (a INT) ENGINE=SPIDER COMMENT='wrapper "mysql", ${list(n, (i) => `srv "s${i}"`)}'`,
  ],
  names: ["many", (n) => `DROP TABLE ${list(n + 1, (i) => `t${i}`)}`],
  "locked tables": ["few", (n) => `LOCK TABLES ${list(n + 1, (i) => `t${i} ${i % 2 === 0 ? "READ" : "WRITE"}`)}`],
  "words of a statement": ["few", (n) => `SHOW ${"FULL ".repeat(n)}TABLES LIKE 'x'`],
  "words of an unknown one": ["few", (n) => `FLUSH ${list(n + 1, () => "TABLES")}; SHUTDOWN ${"x ".repeat(n)}`],
  blocks: ["few", (n) => `CREATE PROCEDURE p() ${nest(n, "BEGIN ", "DELETE FROM t;", " END; ").replace(/; $/, "")}`],
  "statements of a body": [
    "few",
    (n) => `CREATE PROCEDURE p() BEGIN ${list(n, (i) => `SET @v${i} = ${i};`, " ")} SELECT 1; END`,
  ],
  "variables of a body": [
    "few",
    (n) => `CREATE PROCEDURE p() BEGIN DECLARE ${list(n + 1, (i) => `v${i}`)} INT; SELECT v0 FROM t; END`,
  ],
  assignments: ["few", (n) => `UPDATE t SET ${list(n + 1, (i) => `c${i} = ${i}`)} WHERE a = 1 ORDER BY b LIMIT 1`],
  parameters: ["few", (n) => `SELECT a FROM t WHERE ${list(n + 1, (i) => `a${i} = ?`, " AND ")} LIMIT ?`],
  "parameters of rows": ["few", (n) => `INSERT INTO t (a, b) VALUES ${list(n + 1, () => "(?, ?)")}`],
  "parameters of lists": [
    "few",
    (n) => `SELECT a FROM t WHERE b IN (${list(n + 1, () => "?")}) AND c BETWEEN ? AND ? AND d ? 1`,
  ],
};

export const GROWN_POSTGRES_TEXTS: Readonly<Record<string, Grower>> = {
  "numbers in a list": ["many", (n) => `SELECT a FROM t WHERE id IN (${list(n + 1, (i) => `${i}`)})`],
  "an array": ["many", (n) => `SELECT a FROM t WHERE id = ANY (ARRAY[${list(n, (i) => `${i}`)}]::int[])`],
  rows: ["many", (n) => `INSERT INTO t (a, b) VALUES ${list(n + 1, (i) => `(1, '${i % 7}')`)}`],
  "terms of OR": [
    "few",
    (n) => `DELETE FROM t WHERE ${list(n, (i) => `a = ${i}`, " OR ")}${n === 0 ? "" : " OR "}id < 5 OR id >= 5`,
  ],
  "terms of AND": ["few", (n) => `UPDATE t SET c = 1 WHERE ${list(n + 1, (i) => `a${i} = ${i}`, " AND ")}`],
  joins: ["few", (n) => `SELECT t.a FROM t ${list(n, (i) => `JOIN u${i} ON u${i}.a = t.a`, " ")}`],
  "tables behind commas": ["few", (n) => `SELECT a FROM t, ${list(n + 1, (i) => `pg_class c${i}`)}`],
  branches: ["few", (n) => `SELECT a FROM t ${list(n, () => "UNION SELECT 1", " ")} LIMIT 1`],
  parentheses: ["many", (n) => `SELECT a FROM t WHERE ${nest(n, "(", "a = 1", ")")}`],
  brackets: ["many", (n) => `SELECT ${nest(n, "ARRAY[", "1", "]")} FROM t`],
  subqueries: ["few", (n) => `SELECT a FROM t WHERE ${nest(n, "a IN (SELECT b FROM u WHERE ", "c = 1", ")")}`],
  NOT: ["few", (n) => `DELETE FROM t WHERE ${nest(n, "NOT (", "a = 1", ")")}`],
  signs: ["many", (n) => `SELECT ${"- ".repeat(n)}1 FROM t`],
  sums: [
    "many",
    (n) => `SELECT 1${" + a".repeat(n)} FROM t WHERE a${" + b".repeat(n % 70)} = a${" + b".repeat(n % 70)}`,
  ],
  casts: ["many", (n) => `SELECT a${"::text".repeat(n)} FROM t`],
  dots: ["few", (n) => `SELECT ${"a.".repeat(n)}b FROM t`],
  "a name": ["many", (n) => `SELECT ${"n".repeat(n + 1)} FROM "${"é".repeat(n + 1)}"`],
  "a text": ["bytes", (n) => `SELECT a FROM t WHERE b = '${"x".repeat(n)}'`],
  "a text of escapes": [
    "many",
    (n) => `SELECT a FROM t WHERE b = E'${"\\n''".repeat(n)}' OR c = '${"\\\\".repeat(n)}'`,
  ],
  "a quoted text": ["many", (n) => `SELECT $${"t".repeat(n)}$ ' $${"t".repeat(n)}$ FROM t WHERE a = $1`],
  "a number": ["many", (n) => `SELECT a FROM t WHERE b = ${"9".repeat(n + 1)} LIMIT ${n} OFFSET ${n}`],
  "a parameter's number": ["bytes", (n) => `SELECT a FROM t WHERE b = $${n}`],
  comments: ["many", (n) => `SELECT ${"/*".repeat(n)} x ${"*/".repeat(n)} a FROM t --${"y".repeat(n)}`],
  "comments of many": ["few", (n) => `SELECT ${"/**/".repeat(n)} a FROM t ${"--\n".repeat(n)}`],
  "texts in texts": [
    "few",
    (n) =>
      `DO ${nest(
        n % 7,
        "",
        list(n % 7, (i) => `$a${i}$ BEGIN EXECUTE `, ""),
        "",
      )}'SELECT 1'${list(n % 7, (i) => `; END $a${(n % 7) - 1 - i}$`, "")}`,
  ],
  "texts side by side": ["few", (n) => `DO $$ BEGIN ${list(n + 1, (i) => `EXECUTE 'DELETE FROM t${i}';`, " ")} END $$`],
  statements: ["few", (n) => `${"SELECT 1; ".repeat(n)}DROP TABLE t`],
  names: ["many", (n) => `DROP TABLE ${list(n + 1, (i) => `t${i}`)}`],
  columns: ["few", (n) => `CREATE TABLE t (${list(n + 1, (i) => `c${i} int DEFAULT ${i}`)})`],
  indexes: ["few", (n) => `CREATE INDEX ASYNC i ON t (${list(n + 1, (i) => `c${i}`)})`],
  changes: ["few", (n) => `ALTER TABLE t ${list(n + 1, (i) => `ADD COLUMN c${i} int, DROP COLUMN d${i}`)}`],
  assignments: ["few", (n) => `UPDATE t SET ${list(n + 1, (i) => `c${i} = ${i}`)} WHERE a = 1`],
  parameters: ["few", (n) => `SELECT a FROM t WHERE ${list(n + 1, (i) => `a${i} = $${i + 1}`, " AND ")}`],
  findings: ["few", (n) => `SELECT ${list(n + 1, () => "pg_sleep(1)")}, version()`],
  "ways in a WITH": [
    "few",
    (n) => `WITH ${list(n + 1, (i) => `c${i} AS (DELETE FROM t RETURNING 1)`)} SELECT 1 FROM c0`,
  ],
  "a search path": ["few", (n) => `SET search_path = ${list(n + 1, (i) => `s${i}`)}`],
  privileges: ["few", (n) => `GRANT SELECT (${list(n + 1, (i) => `c${i}`)}) ON t TO u`],
};
