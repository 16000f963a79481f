import assert from "node:assert/strict";
import { after, test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Analysis, StatementFacts } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { canonicalText } from "../../src/sql/mysql/digest/canonical.ts";
import { Lexer } from "../../src/sql/mysql/lexing/lexer.ts";
import { primaryRules } from "../../src/sql/mysql/lexing/readings.ts";
import { adviceWithout, compare, withAdvice } from "../../src/sql/second-opinion/advice.ts";
import { SecondOpinion } from "../../src/sql/second-opinion/second-opinion.ts";

const CONTEXT = contextFor({});
const advisor = new SecondOpinion({ deadlineMs: 5_000, holdsProcess: true });
after(() => advisor.close());

const analyzed = (sql: string): Analysis => analyze(new TextEncoder().encode(sql), CONTEXT);

function canonical(sql: string) {
  const lexer = new Lexer();
  const bytes = new TextEncoder().encode(sql);
  lexer.start(bytes, primaryRules(CONTEXT), 10_000);
  lexer.run(bytes.length);
  return canonicalText(lexer, 4096);
}

for (const [sql, expected] of [
  ["SELECT/**/a FROM`t`WHERE b='it''s' -- x", "SELECT `a` FROM `t` WHERE `b` = 'x'"],
  ["SELECT 1 /*!50000 UNION SELECT user FROM mysql.user */", "SELECT 1 UNION SELECT USER FROM `mysql` . `user`"],
  ["SELECT a FROM t WHERE id=1--1", "SELECT `a` FROM `t` WHERE `id` = 1 - - 1"],
  ["SELECT 'a' 'b', x'41', 1e5, @@version, @a", "SELECT 'x' , 0 , 1.5 , @v , @v"],
  ["SELECT f(1), COUNT(*) FROM t", "SELECT f ( 1 ) , COUNT ( * ) FROM `t`"],
] as const) {
  test(`canonicalText() shows the parser what the server runs: ${sql}`, () => {
    assert.equal(canonical(sql)?.sql, expected);
  });
}

test("canonicalText() holds back what the parser hangs on", () => {
  const nested = (depth: number, open: string, close: string) => `SELECT ${open.repeat(depth)}a${close.repeat(depth)}`;
  for (const sql of [
    nested(4, "CAST(", " AS SIGNED)"),
    nested(4, "CONVERT(", ", SIGNED)"),
    nested(10, "TRIM(", ")"),
    nested(10, "(SELECT ", " LIMIT 1)"),
    nested(100, "(", ")"),
    `SELECT '${"a".repeat(10)}' IN (${"1,".repeat(4_000)}1)`,
  ]) {
    assert.equal(canonical(sql), undefined, sql.slice(0, 80));
  }
});

const AGREED = [
  "SELECT a, SLEEP(2) FROM t JOIN s.u ON t.id = u.t WHERE a IN (SELECT b FROM v) ORDER BY (SELECT MAX(c) FROM w)",
  "WITH x AS (SELECT a FROM t) SELECT * FROM x JOIN u USING (id)",
  "SELECT a FROM t UNION ALL SELECT b FROM u",
  "INSERT INTO t (a, b) SELECT c, d FROM u WHERE e = LOAD_FILE('/f')",
  "UPDATE t SET a = (SELECT MAX(b) FROM u) WHERE c = 1",
  "DELETE FROM t WHERE a = 1",
  "UPDATE t JOIN u ON t.id = u.id SET t.a = 1 WHERE u.b = 2",
  "SELECT 1 /*!50000 UNION SELECT user FROM mysql.user */",
  "SELECT TIMESTAMPDIFF(WEEK, a, b) FROM t WHERE (a, b) = ANY (SELECT 1, 2)",
];

for (const sql of AGREED) {
  test(`SecondOpinion agrees: ${sql}`, async () => {
    assert.deepEqual(await advisor.secondOpinion(analyzed(sql)), adviceWithout("agrees"));
  });

  test(`SecondOpinion notices what a blinder walk would have missed: ${sql}`, async () => {
    for (const [about, blinded] of blindedWalks(analyzed(sql))) {
      const { outcome, disagreements } = await advisor.secondOpinion(blinded);
      assert.equal(outcome, "disagrees");
      assert.ok(
        disagreements.some((one) => one.about === about),
        `${about}: ${JSON.stringify(disagreements)}`,
      );
    }
  });
}

/** The analysis with one fact taken away at a time, as if the walk had a gap there. */
function blindedWalks(analysis: Analysis): [string, Analysis][] {
  const [statement] = analysis.statements as [StatementFacts];
  const withChange = (change: Partial<StatementFacts>): Analysis => ({
    ...analysis,
    statements: [{ ...statement, ...change }],
  });
  const walks: [string, Analysis][] = [];
  const isWithoutColumns = { columns: [] };
  for (const gone of statement.tablesRead) {
    const tablesRead = statement.tablesRead.filter(({ table }) => table !== gone.table);
    walks.push(["table", withChange({ ...isWithoutColumns, tablesRead })]);
  }
  for (const { name } of statement.functions) {
    if (name !== "SLEEP" && name !== "LOAD_FILE") continue;
    walks.push(["function", withChange({ functions: statement.functions.filter((call) => call.name !== name) })]);
  }
  if (statement.blocks.length > 1) walks.push(["query", withChange({ blocks: statement.blocks.slice(2) })]);
  if (statement.kind === "update" || statement.kind === "delete") {
    walks.push(["statement", withChange({ kind: "select" })]);
    walks.push(["table", withChange({ ...isWithoutColumns, tablesWritten: [] })]);
  }
  return walks;
}

for (const sql of [
  "DROP TABLE t",
  "SELECT 1; SELECT 2",
  "PREPARE s FROM 'SELECT 1'",
  "SELECT FROM WHERE",
  "SELECT 'a",
  "",
] as const) {
  test(`SecondOpinion is not asked about: ${sql}`, async () => {
    assert.equal((await advisor.secondOpinion(analyzed(sql))).outcome, "skipped");
  });
}

test("compare() tells of a WHERE, a write and a statement that only the parser saw", () => {
  const parsed = {
    type: "update",
    statements: 2,
    tables: ["update::null::t", "select::null::secret", "update::null::u"],
    columns: ["select::secret::password", "select::null::WEEK"],
    functions: ["SLEEP", "ANY"],
    queries: 3,
    hasWhere: false,
  };
  const names = new Set(["t", "u", "secret", "password", "sleep"]);
  const advice = compare(analyzed("UPDATE t SET a = (SELECT b FROM u) WHERE c = 1"), parsed, names);
  assert.deepEqual(
    advice.disagreements.map(({ about, detail }) => `${about} ${detail}`),
    ["count 2", "table secret", "write u", "function SLEEP", "query 3", "where absent"],
  );
  assert.deepEqual(advice.columns, [{ name: "password", table: "secret" }]);
});

test("withAdvice() adds to the first reading and takes nothing away", () => {
  const analysis = analyzed("UPDATE t SET a = 1 WHERE b = 1");
  const advised = withAdvice(analysis, {
    outcome: "disagrees",
    disagreements: [{ about: "where", detail: "absent" }],
    columns: [{ name: "c", table: "t" }],
  });
  assert.deepEqual(
    advised.findings.map(({ what }) => what),
    [...analysis.findings.map(({ what }) => what), "second-opinion", "write-without-where"],
  );
  assert.deepEqual(advised.readings[0]?.findings, advised.findings);
  assert.deepEqual(advised.statements[0]?.columns.slice(0, -1), analysis.statements[0]?.columns);
  assert.equal(advised.statements[0]?.columns.at(-1)?.name, "c");
});
