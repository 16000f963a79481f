/** What the text itself tells: its comments, odd bytes and hints. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { FindingName, MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";

const ABOUT_TEXT: ReadonlySet<FindingName> = new Set<FindingName>([
  "trailing-comment",
  "trailing-comment-cuts-quote",
  "executable-comment",
  "executable-comment-whole",
  "executable-comment-option",
  "comment-between-tokens",
  "comment-nested",
  "comment-unterminated",
  "number-glued-to-word",
  "number-swallowed",
  "nul-byte",
  "odd-whitespace",
  "unterminated-string",
  "unknown-character",
  "identifier-not-ascii",
  "hint-set-var",
  "budget-exceeded",
]);

/** Each finding as `statement:name×count(detail)«text»`, without what is usual. */
function findingsIn(sql: string | Uint8Array, changes: Partial<MysqlContext> = {}): string[] {
  const bytes = typeof sql === "string" ? Buffer.from(sql) : sql;
  const { findings } = analyze(bytes, { ...contextFor({}), ...changes });
  return findings
    .filter(({ what }) => ABOUT_TEXT.has(what))
    .map(({ what, statement, count, detail, start, end }) => {
      const where = statement === undefined ? "" : `${statement}:`;
      const text = Buffer.from(bytes.subarray(start, end)).toString("latin1");
      return `${where}${what}${count === 1 ? "" : `×${count}`}${detail === undefined ? "" : `(${detail})`}«${text}»`;
    });
}

const ROWS: readonly (readonly [sql: string, ...findings: string[]])[] = [
  // A comment that ends the text
  ["SELECT 1 -- x", "0:trailing-comment«-- x»"],
  ["SELECT 1 # x", "0:trailing-comment«# x»"],
  ["SELECT 1; SELECT 2 -- x", "1:trailing-comment«-- x»"],
  ["SELECT 1\n-- x", "0:trailing-comment(own-line)«-- x»"],
  ["SELECT 1\n \t -- x", "0:trailing-comment(own-line)«-- x»"],
  ["SELECT 1 /* x */"],
  ["-- x\nSELECT 1"],
  ["-- x"],
  ["SELECT 1 -- it's", "0:trailing-comment«-- it's»", "0:trailing-comment-cuts-quote«-- it's»"],
  ['SELECT 1 -- 6"', '0:trailing-comment«-- 6"»', '0:trailing-comment-cuts-quote«-- 6"»'],
  ["SELECT 1 -- a`", "0:trailing-comment«-- a`»", "0:trailing-comment-cuts-quote«-- a`»"],
  ["SELECT 1 -- a)", "0:trailing-comment«-- a)»", "0:trailing-comment-cuts-quote«-- a)»"],
  ["SELECT 1 -- ('a') \"b\" `c`", "0:trailing-comment«-- ('a') \"b\" `c`»"],
  ["SELECT 1 -- (a", "0:trailing-comment«-- (a»"],
  // Comments between tokens
  ["SELECT/**/1", "comment-between-tokens«/**/»"],
  ["SELECT /*a*/ 1 /*b*/ , /*c*/ 2", "comment-between-tokens×3«/*a*/»"],
  ["/*a*/ SELECT 1 /*b*/; /*c*/ SELECT 2 /*d*/"],
  ["SELECT 1 -- x\n, 2", "comment-between-tokens«-- x»"],
  // Executable comments
  ["SELECT 1 /*!50000 + 1 */", "0:executable-comment«/*!50000»"],
  ["/*!50000 SELECT 1 */", "0:executable-comment-whole«/*!50000»"],
  ["SELECT 1; /*!50000 SELECT 2 */", "1:executable-comment-whole«/*!50000»"],
  ["/*!50000 SELECT 1 */ + 1", "0:executable-comment«/*!50000»"],
  ["SELECT /*!40001 SQL_NO_CACHE */ * FROM t LIMIT 1", "0:executable-comment-option«/*!40001»"],
  ["SELECT /*!40001 SQL_NO_CACHE STRAIGHT_JOIN */ 1", "0:executable-comment-option«/*!40001»"],
  ["SELECT /*!40001 SQL_NO_CACHE STRAIGHT_JOIN SQL_CACHE */ 1", "0:executable-comment«/*!40001»"],
  ["SELECT /*!40001 SQL_NO_CACHE 1, */ 1", "0:executable-comment«/*!40001»"],
  ["CREATE TABLE t (a INT) /*!50100 ENGINE=InnoDB */", "0:executable-comment-option«/*!50100»"],
  ["SELECT 1 /*!99999 , 2 */ FROM t LIMIT 1", "0:executable-comment«/*!99999 , 2 */»"],
  // What has no end, and what is no token
  ["SELECT 'a", "unterminated-string«'a»"],
  ["SELECT 1 /* a", "comment-unterminated«/* a»"],
  ["SELECT \\ 1", "unknown-character«\\»"],
  ["SELECT a\u0000 FROM t LIMIT 1", "unknown-character«\u0000»", "nul-byte«\u0000»"],
  ["SELECT 1\u0000\u0000"],
  ["SELECT\u000b1", "odd-whitespace«SELECT\u000b1»"],
  ["SELECT 1.union SELECT 2", "0:number-glued-to-word«1.union»"],
  ["SELECT 1.e, 2", "number-swallowed«1.e»"],
  // Hints
  ["SELECT /*+ SET_VAR(sort_buffer_size = 1) */ 1", "0:hint-set-var(sort_buffer_size)«SET_VAR(sort_buffer_size = 1»"],
  ["SELECT /*+ BKA(t) */ 1"],
];

describe("the findings about the text", () => {
  for (const [sql, ...findings] of ROWS) {
    it(`of ${JSON.stringify(sql)}`, () => assert.deepEqual(findingsIn(sql), findings));
  }

  it("tell of an identifier with bytes above 0x7f that is not quoted", () => {
    assert.deepEqual(findingsIn("SELECT é FROM t LIMIT 1"), ["0:identifier-not-ascii«Ã©»"]);
    assert.deepEqual(findingsIn("SELECT `é`, 'é' FROM t LIMIT 1"), []);
  });

  it("count the comments, those that run, the hints and those between tokens", () => {
    const { comments } = analyze(Buffer.from("/*a*/ SELECT /*+ BKA(t) */ 1 /*b*/ /*!, 2 */ -- c"), contextFor({}));
    assert.deepEqual(comments, { count: 3, executable: 1, hints: 1, betweenTokens: 1, nested: 0 });
    const nested = analyze(Buffer.from("SELECT 1 /*!99999 , 2 /* a */ */"), contextFor({}));
    assert.equal(nested.comments.nested, 1);
    assert.deepEqual(
      nested.findings.filter(({ what }) => what === "comment-nested").map(({ count }) => count),
      [1],
    );
  });

  it("tell of a text that was read up to a limit only", () => {
    const found = findingsIn(`SELECT ${"1,".repeat(300_000)}1`);
    assert.ok(
      found.some((finding) => finding.startsWith("budget-exceeded")),
      found.join(),
    );
  });
});
