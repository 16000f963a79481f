import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contextFor } from "../../src/policy/tool-context.ts";
import { analyze } from "../../src/sql/analyze.ts";
import type { FindingName } from "../../src/sql/facts.ts";

const encoder = new TextEncoder();

function findingsIn(sql: string): readonly FindingName[] {
  return analyze(encoder.encode(sql), contextFor({})).findings.map(({ what }) => what);
}

const FOUND: readonly [what: FindingName, sql: string][] = [
  ["or-constant-comparison", "SELECT a FROM t WHERE a = 'x' OR 1=1"],
  ["or-constant-comparison", "SELECT a FROM t WHERE a = 'x' || 'b' = 'b'"],
  ["or-constant-comparison", "SELECT a FROM t WHERE a = 'x' OR 1=1 AND b = 2"],
  ["or-constant-comparison", "SELECT a FROM t WHERE 1=1 OR a = 'x'"],
  ["or-constant-comparison", "SELECT a FROM t WHERE a NOT IN (NULL, 1) OR (1 = 1)"],
  ["or-constant", "SELECT a FROM t WHERE a = 'x' OR 1"],
  ["or-constant", "UPDATE t SET a = 'x' OR 5 WHERE b = 2"],
  ["or-self-comparison", "SELECT a FROM t WHERE a = 'x' OR b=b"],
  ["or-self-comparison", "SELECT a FROM t WHERE a = 'x' OR b LIKE '%'"],
  ["or-constant-predicate", "SELECT a FROM t WHERE a = 'x' OR 'b' LIKE 'b'"],
  ["or-constant-predicate", "SELECT a FROM t WHERE a = 'x' OR 3 BETWEEN 1 AND 5"],
  ["and-constant-comparison", "SELECT a FROM t WHERE a = 'x' AND 7=7"],
  ["and-constant-comparison", "SELECT a FROM t WHERE a BETWEEN 1 AND 2 AND 7=7"],
  ["and-constant-predicate", "SELECT a FROM t WHERE a = 'x' AND COS(1)"],
  ["having-constant", "SELECT a FROM t HAVING 1=1"],
  ["case-constant", "SELECT a FROM t WHERE a = CASE WHEN 1=1 THEN 2 ELSE 3 END"],
  ["where-first-constant", "SELECT a FROM t WHERE 1=1 AND a = 2"],
  ["where-first-constant", "SELECT a FROM t WHERE b = 1 AND (1=1 AND a = 2)"],
  ["string-operator", "SELECT a FROM t WHERE a = ''*''"],
  ["string-operator", "SELECT a FROM t WHERE a = 'x' = ''"],
  ["string-operator", "SELECT a FROM t WHERE a LIKE '%x' LIKE ''"],
  ["procedure-analyse", "SELECT a FROM t WHERE a = 1 LIMIT 5 PROCEDURE ANALYSE(1, 1)"],
  ["adjacent-strings", "SELECT a FROM t WHERE a = 'x' 'y'"],
  ["constant-arithmetic", "SELECT a FROM t WHERE a = 4*5"],
  ["constant-comparison", "SELECT a FROM t WHERE a = (3=4)*9"],
  ["session-condition", "SELECT a FROM t WHERE a = 1 AND VERSION() LIKE '8%'"],
  ["union-constants", "SELECT a FROM t WHERE a = 1 UNION SELECT 1"],
  ["union-constants", "SELECT a FROM t WHERE a = 1 UNION (SELECT 1)"],
  ["union-constants", "SELECT a FROM t WHERE a = 1 UNION VALUES ROW(1)"],
  ["union-null-padding", "SELECT a, b FROM t WHERE a = 1 UNION ALL SELECT NULL, c FROM u"],
  ["union-after-literal", "SELECT a FROM t WHERE a = 'x' UNION SELECT 1"],
  ["concat-hex-markers", "SELECT a FROM t WHERE a = CONCAT(0x7171, b, 0x7171)"],
  ["order-by-subquery", "SELECT a FROM t ORDER BY (SELECT 1)"],
  ["order-by-constant", "SELECT a FROM t ORDER BY 1*3"],
  ["sleep", "SELECT SLEEP(3)"],
  ["sleep-nested", "SELECT a FROM t WHERE a = SLEEP(3)"],
  ["benchmark", "SELECT BENCHMARK(9, MD5(1))"],
  ["get-lock", "SELECT GET_LOCK('x', 1)"],
  ["get-lock-nested", "SELECT a FROM t WHERE a = GET_LOCK('x', 1)"],
  ["schema-cross-join", "SELECT a FROM t WHERE 1 = (SELECT COUNT(*) FROM u, v, w)"],
  ["error-function", "SELECT a FROM t WHERE a = UPDATEXML(1, CONCAT(0x7e, (SELECT b FROM u)), 1)"],
  ["error-function-plain", "SELECT EXTRACTVALUE(x, '/a') FROM t"],
  ["floor-rand", "SELECT FLOOR(RAND(0)*2) FROM t"],
  ["exp-overflow", "SELECT a FROM t WHERE a = EXP(~(SELECT 1))"],
  ["blind-substring", "SELECT a FROM t WHERE a = ASCII(SUBSTR((SELECT b FROM u), 1, 1))"],
  ["regexp-subquery", "SELECT a FROM t WHERE a RLIKE (SELECT b FROM u)"],
  ["and-subquery", "SELECT a FROM t WHERE a = 1 AND (SELECT b FROM u)"],
  ["comparison-subquery", "SELECT a FROM t WHERE 3 = (SELECT b FROM u)"],
  ["subquery-without-table", "SELECT a FROM t WHERE a = (SELECT 5)"],
  ["char-call", "SELECT a FROM t WHERE a = CHAR(97, 98, 99)"],
  ["odbc-escape", "SELECT {x 1}"],
  ["or-self-comparison", "SELECT a FROM t WHERE a = 1 OR NOT (b=b)"],
  ["and-self-comparison", "SELECT a FROM t WHERE a = 1 AND b LIKE b"],
  ["and-constant-comparison", "SELECT a FROM t WHERE a = 1 AND b-b=0"],
  ["and-constant-comparison", "SELECT a FROM t WHERE a = 1 AND DAYNAME(FROM_UNIXTIME(0)) = 'Thursday'"],
  ["and-constant-predicate", "SELECT a FROM t WHERE a = 1 AND NOT CONNECTION_ID()=CONNECTION_ID()"],
  ["session-condition", "SELECT a FROM t WHERE a = 1 OR NOW() > 0"],
  ["session-condition", "SELECT a FROM t WHERE a = 1 OR CURRENT_TIMESTAMP"],
  ["session-condition", "SELECT a FROM t WHERE a = 1 AND NOW() AND b = 2"],
  ["or-constant-predicate", "SELECT a FROM t WHERE a = 1 OR 1 IS NOT UNKNOWN"],
  ["or-constant-predicate", "SELECT a FROM t WHERE a = 1 OR NAME_CONST('x', 1)"],
  ["or-self-comparison", "SELECT a FROM t WHERE a = 1 OR b REGEXP '^.*'"],
  ["signed-term", "SELECT a FROM t WHERE a = 1 AND-FIELD(b, 'x')"],
  ["case-constant", "UPDATE t SET a = IF(b=b, 1, 2) WHERE c = 3"],
  ["case-constant", "SELECT a FROM t ORDER BY IF(-5, a, b)"],
  ["order-by-constant", "SELECT a FROM t ORDER BY USER() LIKE 'x'"],
  ["order-by-beyond", "SELECT a, b FROM t WHERE a = 1 ORDER BY 3"],
  ["union-numbered", "SELECT a FROM t WHERE a = (SELECT x.`2` FROM (SELECT 1, 2 UNION SELECT * FROM u) x)"],
  ["union-constants", "SELECT a FROM t WHERE a = 1 UNION SELECT * FROM (SELECT 1) x JOIN (SELECT b) y"],
  ["exp-overflow", "SELECT a FROM t WHERE a = IF(b > 2, EXP(710), 1)"],
  ["exp-overflow", "SELECT a FROM t WHERE a = POW(9999, 9999)"],
  ["exp-overflow", "SELECT a FROM t WHERE a = COT(1-(b = 'x'))"],
  ["blind-substring", "SELECT a FROM t WHERE a = CONVERT_TZ(NOW(), (SELECT b FROM u), 'UTC')"],
  ["blind-substring", "SELECT a FROM t WHERE a = POSITION('x' IN (SELECT b FROM u))"],
  ["blind-substring", "INSERT INTO t (a) VALUES (REVERSE((SELECT b FROM u LIMIT 1)))"],
  ["blind-code", "SELECT a FROM t WHERE a = 1 AND ASCII(REVERSE(LEFT(b, 3))) > 64"],
  ["blind-if", "INSERT INTO t (a) VALUES (CASE WHEN (SELECT b FROM u) > 'm' THEN 1 ELSE 2 END)"],
  ["blind-if", "SELECT a FROM t WHERE a = 1 + ((SELECT b FROM u) LIKE 'x%')"],
  ["blind-if", "UPDATE t SET a = ELT(b > 3, 1) WHERE c = 3"],
  ["comparison-subquery", "SELECT a FROM t WHERE a = EXISTS (SELECT b FROM u WHERE c LIKE 'x%')"],
  ["comparison-subquery", "SELECT a FROM t WHERE a = 1 AND (SELECT b FROM u LIMIT 1) = 'x'"],
  ["comparison-subquery", "SELECT a FROM t WHERE a = 1 DIV (SELECT b FROM u)"],
  ["comparison-subquery", "UPDATE t SET a = -(SELECT b FROM u) WHERE c = 3"],
  ["and-subquery", "SELECT a FROM t WHERE a = 1 AND EXISTS (SELECT * FROM u)"],
  ["subquery-without-table", "SELECT a FROM t WHERE a = 1 OR EXISTS (SELECT 1)"],
  ["row-picked", "SELECT a FROM t WHERE a = (SELECT b FROM u LIMIT 3,1)"],
  ["row-picked", "SELECT a FROM t WHERE a = b UNION (SELECT c FROM u LIMIT 1 OFFSET 2)"],
  ["hex-pattern", "SELECT a FROM t WHERE a = 1 AND b LIKE 0x6125"],
  ["or-constant-comparison", "SELECT a FROM t WHERE (a = 'x') OR ('1'='1' OR b = '')"],
  ["or-constant-predicate", "SELECT a FROM t WHERE (a = NULL OR NULL IS NULL)"],
  ["concat-hex-markers", "SELECT a FROM t WHERE b = CONCAT(CHAR(10, 113), c, CHAR(10, 113))"],
  ["and-constant-comparison", "SELECT a FROM t GROUP BY a HAVING 3<=>3 AND a > 2"],
  ["case-constant", "SELECT a FROM t ORDER BY IF(CONNECTION_ID()>0, a, b)"],
  ["union-after-literal", "SELECT a FROM t WHERE a = 1 UNION TABLE u"],
  ["blind-substring", "SELECT IF(ASCII(MID(@@version, 3, 1)) > 5, a, b) FROM t"],
  ["like-leading-wildcard", "SELECT a FROM t WHERE a LIKE '%x'"],
  ["order-by-rand", "SELECT a FROM t ORDER BY RAND()"],
];

for (const [what, sql] of FOUND) {
  test(`scanConditions() finds ${what} in: ${sql}`, () => {
    const found = findingsIn(sql);
    assert.ok(found.includes(what), found.join(", "));
  });
}

const ABOUT_ROWS = new Set<FindingName>([
  "where-first-constant",
  "order-by-number",
  "like-leading-wildcard",
  "select-unbounded",
  "select-wildcard",
]);

/** What applications write. */
const QUIET: readonly string[] = [
  "SELECT a FROM t WHERE a = 1 OR b = 2",
  "SELECT a FROM t WHERE a = ? OR ? = b",
  "SELECT a FROM t WHERE 1=1 AND a = 2 AND b IN (1, 2, 3)",
  "SELECT a FROM t WHERE a IN (NULL) AND (1 != 1)",
  "SELECT a FROM t WHERE (a NOT IN (NULL) OR (1 = 1))",
  "SELECT a FROM t WHERE d > NOW() - INTERVAL 7 DAY AND d < DATE '2026-01-01' + INTERVAL '1' MONTH",
  "SELECT a FROM t WHERE MATCH(a) AGAINST('x' IN BOOLEAN MODE) AND b = 1",
  "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t = t.id) AND b = 1",
  "SELECT a FROM t WHERE (SELECT COUNT(*) FROM u WHERE u.t = t.id) > 3",
  "SELECT a FROM t WHERE a = UPPER('x') AND b = MD5('y') AND c = CONCAT('a', 'b')",
  "SELECT a FROM t WHERE a = 'x' COLLATE utf8mb4_bin AND b = _utf8mb4'y'",
  "SELECT a FROM t WHERE a LIKE 'x%' ESCAPE '!' AND b REGEXP 'y'",
  "SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, IF(a > 1, 2, 3) FROM t WHERE b = 1",
  "SELECT a, 'x' AS b, NULL AS c FROM t WHERE a = 1 UNION ALL SELECT a, b, c FROM u WHERE c = 2",
  "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n WHERE i > 2",
  "SELECT 1 AS a UNION ALL SELECT 2",
  "UPDATE t SET n = n - '1', d = NOW(), f = (a > 3) WHERE id = 4",
  "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y') ON DUPLICATE KEY UPDATE b = VALUES(b)",
  "SELECT a, c FROM t JOIN u ON u.t = t.id AND u.x = 1 GROUP BY a HAVING COUNT(*) > 1 ORDER BY a DESC, 2 LIMIT 3, 4",
  "SELECT a FROM t WHERE (b = 7 OR (7 = 0 AND b IS NULL)) AND c = 1",
  "SELECT a FROM t WHERE c = 1 AND ('' = '' OR b = '')",
  "SELECT a FROM t WHERE (b = 'x' OR 'x' IS NULL) AND (NULL IS NULL OR c = NULL)",
  "SELECT a FROM t WHERE NOW() BETWEEN b AND c AND NOW() < '2030-01-01'",
  "SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = 3) AND (SELECT COUNT(*) FROM u WHERE u.t = t.id) = 2",
  "UPDATE t SET a = 'x' WHERE b = 'y' AND (SELECT c FROM u WHERE d = 'z') = 0",
  "INSERT INTO t (a, b) VALUES (1, (SELECT MAX(b) FROM u) + 1)",
  "INSERT INTO t (a) SELECT 'x' FROM DUAL WHERE NOT EXISTS (SELECT * FROM t)",
  "UPDATE t SET a = CASE WHEN EXISTS (SELECT 1 FROM u WHERE u.t = t.id) THEN 1 ELSE 0 END WHERE b = 2",
  "UPDATE t SET a = IF((SELECT COUNT(*) FROM u WHERE u.t = t.id) > 0, 1, 0) WHERE b = 2",
  "SELECT a FROM t WHERE b > (SELECT c FROM u ORDER BY c DESC LIMIT 3, 1)",
  "SELECT a, b FROM t WHERE c = 3 UNION SELECT a, b FROM u JOIN v ON v.id = u.v ORDER BY 2, 1",
  "SELECT a.n FROM t a, t b WHERE a.n LIKE 'x%' AND b.n = CONCAT('y', SUBSTRING(a.n, 2)) AND b.v < 7",
  "SELECT a FROM t WHERE d->'$.x' = 3 AND d->>'$.y' = 'z' OR d->'$.x' IN (4, 5)",
  "SELECT a FROM t WHERE b = 4 AND 0 = 1",
  "SELECT a FROM t WHERE b = 4 AND (1=0)",
  "SELECT a FROM t WHERE (b = ? AND 1=1) LIMIT 1",
  "SELECT a FROM t WHERE b = 4 AND TRUE",
  "SELECT ROW_NUMBER() OVER (PARTITION BY b ORDER BY c), SUM(a) OVER w, a FROM t WHERE b = 4 WINDOW w AS () ORDER BY 3",
  "SELECT id, name FROM t UNION SELECT 0, 'All' ORDER BY name",
  "SELECT s FROM t WHERE 2 = (SELECT COUNT(DISTINCT u.s) FROM t u WHERE u.s >= t.s)",
  "SELECT a FROM t WHERE id >= (SELECT FLOOR(RAND() * (SELECT MAX(id) FROM t))) ORDER BY id LIMIT 1",
  "SELECT CONCAT(CHAR(10), a, CHAR(13, 10)) FROM t WHERE b = 1",
  "SELECT CONVERT_TZ(a, 'UTC', @@session.time_zone), POW(2, (c > 3) + 1) FROM t WHERE b = 4",
  "SELECT a FROM t WHERE b = IF('x' = '', b, 'x')",
  "SELECT a FROM t WHERE table_schema = (SELECT DATABASE())",
  "INSERT INTO t (a, b) VALUES (CURRENT_USER(), NOW())",
  "INSERT INTO t (a) SELECT 'x' FROM DUAL WHERE (SELECT NULL FROM DUAL) IS NULL",
  "CREATE TABLE t (a INT DEFAULT 5, b CHAR(3)) ENGINE=InnoDB COMMENT='x' AUTO_INCREMENT=5",
];

for (const sql of QUIET) {
  test(`scanConditions() finds nothing odd in: ${sql}`, () => {
    assert.deepEqual(
      findingsIn(sql).filter((what) => !ABOUT_ROWS.has(what)),
      [],
    );
  });
}

test("scanConditions() takes any order of words without an exception and without leaving values behind", () => {
  const word = fc.constantFrom(
    "SELECT",
    "FROM",
    "WHERE",
    "t",
    "a",
    "=",
    "OR",
    "AND",
    "NOT",
    "(",
    ")",
    ",",
    "1",
    "'x'",
    "CASE",
    "WHEN",
    "END",
    "UNION",
    "BETWEEN",
    "IN",
    "LIKE",
    "*",
    "-",
    "@a",
    "@@b",
    "IF(",
    "CONCAT(",
    "ORDER BY",
    "INTERVAL",
    "VALUES",
    ";",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), (words) => {
      findingsIn(words.join(" "));
      assert.ok(findingsIn("SELECT a FROM t WHERE a = 'x' OR 1=1").includes("or-constant-comparison"));
    }),
    { numRuns: 300 },
  );
});
