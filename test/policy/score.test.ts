import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { levelOf } from "../../src/policy/score.ts";
import { decideText, ruleIds } from "./policy-fixture.ts";

test("levelOf() follows the documented bounds", () => {
  const scores = [0, 24, 25, 49, 50, 79, 80, 100];
  const levels = ["low", "low", "medium", "medium", "high", "high", "critical", "critical"];
  assert.deepEqual(scores.map(levelOf), levels);
});

test("the score is the sum of the rules' points", () => {
  const decision = decideText("SELECT id FROM member WHERE login = 'x' OR 1=1 -- ");
  const sum = decision.rules.reduce((total, { points }) => total + points, 0);
  assert.ok(decision.rules.length >= 2);
  assert.equal(decision.score, Math.min(100, sum));
});

test("habits alone never make a statement more than low", () => {
  const sql = "SELECT * FROM a, b, c WHERE a.x LIKE '%y' ORDER BY RAND() LIMIT 10 OFFSET 90000";
  const decision = decideText(sql);
  assert.ok(decision.rules.length >= 4, JSON.stringify(decision.rules));
  assert.ok(decision.rules.every(({ category }) => category === "hygiene"));
  assert.equal(decision.score, 15);
});

test("a packet counts as its worst statement", () => {
  const policy = "multi_statements: true";
  const worst = decideText("DROP TABLE book").score;
  assert.equal(decideText("SELECT 1; DROP TABLE book; SELECT 2", { policy }).score, worst);
});

test("stored code counts as much as its worst statement", () => {
  const body = decideText("DELETE FROM book").score;
  const decision = decideText("CREATE PROCEDURE p() BEGIN SELECT 1; DELETE FROM book; END");
  assert.equal(decision.score, Math.max(50, body));
});

test("a prepared literal counts with the PREPARE around it", () => {
  const inner = decideText("DROP TABLE book").score;
  assert.equal(decideText("PREPARE s FROM 'DROP TABLE book'").score, inner + 10);
});

test("EXPLAIN of a change does not count as the change", () => {
  const decision = decideText("EXPLAIN DELETE FROM book");
  assert.ok(!ruleIds(decision).includes("dml.nowhere"), JSON.stringify(decision.rules));
});

test("the worst of all readings wins", () => {
  const sql = "SELECT id FROM member WHERE name = 'a\\' OR 1=1 -- '";
  const known = decideText(sql, { context: { sqlMode: 0 } });
  const other = decideText(sql, { context: { sqlMode: 0x100000 } });
  const unknown = decideText(sql, { context: { sqlMode: "unknown" } });
  assert.ok(other.score > known.score);
  assert.ok(unknown.score >= other.score);
});

test("no text scores outside 0 to 100 or makes decide() throw", () => {
  const word = fc.constantFrom(
    "SELECT",
    "'",
    '"',
    "`",
    "/*!",
    "*/",
    "--",
    "UNION",
    "(",
    ")",
    ",",
    "FROM",
    "t",
    "1",
    " ",
    "@",
    "\\",
    ";",
    "OR",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      const { score } = decideText(words.join(" "));
      assert.ok(score >= 0 && score <= 100);
    }),
    { numRuns: 500 },
  );
});

const POINTS: readonly [points: number, id: string, sql: string][] = [
  [25, "acc.secret", "SELECT id FROM book WHERE id = 1 AND LEFT(password, 1) = 'a'"],
  [25, "acc.secret", "SELECT id FROM book WHERE id = (SELECT GROUP_CONCAT(password) FROM member)"],
  [25, "acc.secret", "SELECT id FROM book WHERE (SELECT COUNT(*) FROM member WHERE password LIKE 'a%') > 0"],
  [25, "acc.secret", "SELECT id FROM book WHERE id = 4 UNION SELECT password FROM member"],
  [12, "acc.secret", "SELECT id, password FROM member UNION SELECT id, password FROM admin"],
  [15, "acc.secret", "SELECT id FROM member WHERE password LIKE '$2y$%'"],
  [0, "acc.secret", "SELECT id, password FROM member WHERE SUBSTRING(zip, 1, 2) = '10' AND password = 'x'"],
  [10, "obf.exec", "SELECT VERSION() /*!50038 , @@hostname */"],
  [35, "obf.exec", "SELECT id FROM book /*!50038 , @@hostname */"],
  [25, "recon.var", "SELECT id FROM book WHERE id = @@datadir"],
  [5, "recon.var", "SELECT id FROM book WHERE server = @@server_id"],
  [25, "inj.implicit", "SELECT id FROM book WHERE id = 4*14"],
  [20, "inj.implicit", "SELECT id FROM book WHERE year = 1999 + 1"],
  [20, "inj.implicit", "SELECT id FROM book WHERE size > 10*1024"],
  [0, "recon.mysql", "SELECT Name FROM mysql.time_zone_name WHERE Name LIKE 'E%'"],
];

for (const [points, id, sql] of POINTS) {
  test(`${id} counts ${points} in: ${sql}`, () => {
    assert.equal(decideText(sql).rules.find((rule) => rule.id === id)?.points ?? 0, points);
  });
}
