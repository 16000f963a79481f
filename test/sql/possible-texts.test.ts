import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { ExpressionTexts, type PossibleTexts } from "../../src/sql/mysql/dynamic/possible-texts.ts";

const encode = (text: string): Uint8Array => Buffer.from(text);
const VARIABLES: Readonly<Record<string, PossibleTexts>> = {
  t: { texts: [encode("item")], mayBeNull: false },
  two: { texts: [encode("a"), encode("b")], mayBeNull: false },
  row: { texts: [encode("r")], mayBeNull: true },
  empty: { texts: [encode("")], mayBeNull: false },
};
const KNOWN = { variable: (name: string) => VARIABLES[name], schema: "shop" };

function textsOf(value: string, changes: Partial<MysqlContext> = {}, known = KNOWN): string[] | undefined {
  const context = { ...contextFor({ schema: "shop" }), ...changes };
  const analysis = analyze(encode(`SET @s = ${value}`), context);
  const [assignment] = analysis.statements[0]?.variables ?? [];
  assert.ok(assignment !== undefined, value);
  const found = new ExpressionTexts(analysis.sql, context, known).ofAssignment(assignment);
  return found && [...found.texts.map((text) => Buffer.from(text).toString()), ...(found.mayBeNull ? ["NULL?"] : [])];
}

describe("ExpressionTexts.ofAssignment()", () => {
  for (const [value, ...texts] of [
    ["('x')", "x"],
    ["IF(a > (SELECT COUNT(*), 'q' FROM u), 'x', 'y')", "x", "y"],
    ["IF(1, 'x', 'x')", "x"],
    ["IF(IF(1, 2, 3), IF(4, 'a', 'b'), 'c')", "a", "b", "c"],
    ["IFNULL('x', 'y')", "x", "y"],
    ["COALESCE((SELECT 'x' FROM u), 'y')", "x", "y"],
    ["COALESCE(@row, (SELECT 'x' FROM u))", "r", "x", "NULL?"],
    ["CASE WHEN a = 1 THEN 'x' WHEN (CASE b WHEN 1 THEN 2 END) THEN 'y' ELSE 'z' END", "x", "y", "z"],
    ["CASE (SELECT 1) WHEN 1 THEN 'x' ELSE 'z' END", "x", "z"],
    ["concat('ALTER TABLE ', @t, ' ADD c', 7)", "ALTER TABLE item ADD c7"],
    ["CONCAT(@two, '-', @two)", "a-a", "a-b", "b-a", "b-b"],
    ["CONCAT('it''s ', \"\\\"q\\\"\")", 'it\'s "q"'],
    ["CONCAT('\\\\%', '\\%', '\\_', '\\a')", "\\%\\%\\_a"],
    ["CONCAT_WS(' ', 'DROP', 'TABLE', @two)", "DROP TABLE a", "DROP TABLE b"],
    ["CONCAT('ALTER TABLE ', DATABASE(), '.', @`t`)", "ALTER TABLE shop.item"],
    ["(SELECT IF((SELECT COUNT(*) FROM u) > 0, 'SELECT 1', CONCAT('DROP TABLE ', @t)))", "SELECT 1", "DROP TABLE item"],
    ["(SELECT IF(COUNT(*) > 0, 'x', 'y') FROM u WHERE a IN (1, 2) AND b = ';')", "x", "y", "NULL?"],
    ["(SELECT 'x' FROM DUAL)", "x", "NULL?"],
  ] as const) {
    it(`finds ${texts.length} in ${value}`, () => {
      assert.deepEqual(textsOf(value), texts);
    });
  }

  for (const value of [
    "@unknown",
    "a",
    "NULL",
    "IF(1, 'x', NULL)",
    "IF(1, 'x')",
    "IF(1, 'x', 'y', 'z')",
    "IF(1, 'x', a)",
    "IF(1, 'x', 'y') + 1",
    "'x' 'y'",
    "'x' COLLATE utf8mb4_bin",
    "'x' || 'y'",
    "_utf8mb4'x'",
    "N'x'",
    "0x41",
    "IF(1, 1.5, 'x')",
    "IF(1, 01, 'x')",
    "IF(1, -1, 'x')",
    "IF(1, 12345678901234567890, 'x')",
    "CONCAT('é')",
    "CONCAT('x', @row)",
    "CONCAT_WS(' ', 'x', @empty)",
    "CONCAT_WS(@two, 'x', 'y')",
    "CONCAT_WS(' ')",
    "CONCAT()",
    "CONCAT('x', UPPER('y'))",
    "REPLACE('DROP', 'x', 'y')",
    "sys.CONCAT('x')",
    "`CONCAT`('x')",
    "CASE WHEN a THEN 'x' END",
    "CASE WHEN CASE b WHEN 1 THEN 2 END THEN 'y' ELSE 'z' END",
    "(SELECT 'x' UNION SELECT 'y')",
    "(SELECT 'x' FROM u UNION SELECT 'y')",
    "(SELECT 'x' FROM u EXCEPT SELECT 'y')",
    "(SELECT 'x' WHERE 1)",
    "(SELECT 'x' LIMIT 0)",
    "(SELECT 'x', 'y')",
    "(TABLE u)",
    "IF(1, CONCAT(@two, @two, @two, @two), 'x')",
    `CONCAT('${"x".repeat(40_000)}', '${"y".repeat(40_000)}')`,
    `${"IF(1, ".repeat(20)}'x'${", 'y')".repeat(20)}`,
    "CONCAT('x', DATABASE(1))",
  ]) {
    it(`does not know ${value.slice(0, 60)}`, () => {
      assert.equal(textsOf(value), undefined);
    });
  }

  it("is one of eight texts at most, of 65,536 bytes together", () => {
    assert.equal(textsOf("CONCAT(@two, @two, @two)")?.length, 8);
    assert.equal(textsOf("CONCAT(@two, @two, @two, 'x')")?.length, 8);
    assert.equal(textsOf("CONCAT(@two, @two, @two, @two)"), undefined);
    const branches = (count: number): string =>
      Array.from({ length: count }, (_, index) => `WHEN ${index} THEN 't${index}'`).join(" ");
    assert.equal(textsOf(`CASE a ${branches(7)} ELSE 'u' END`)?.length, 8);
    assert.equal(textsOf(`CASE a ${branches(8)} ELSE 'u' END`), undefined);
    const half = "x".repeat(32_768);
    assert.equal(textsOf(`CONCAT('${half}', '${half}')`)?.[0]?.length, 65_536);
    assert.equal(textsOf(`CONCAT('${half}', '${half}', 'y')`), undefined);
    assert.equal(textsOf(`IF(1, '${half}', 'y${half.slice(1)}')`)?.length, 2);
    assert.equal(textsOf(`IF(1, '${half}', 'y${half}')`), undefined);
  });

  it("may be too long for the server, and is then not left out of a longer text", () => {
    assert.deepEqual(textsOf(`CONCAT('${"x".repeat(1100)}')`), ["x".repeat(1100), "NULL?"]);
    assert.equal(textsOf(`CONCAT_WS(' ', 'a', CONCAT('${"x".repeat(1100)}'))`), undefined);
  });

  it("depends on what the session says", () => {
    assert.equal(textsOf('CONCAT("x")', { sqlMode: 4 }), undefined);
    assert.deepEqual(textsOf("CONCAT('a\\n')", { sqlMode: 0x100000 }), ["a\\n"]);
    for (const charset of ["unknown", "sjis", "swe7"]) assert.equal(textsOf("CONCAT('x')", { charset }), undefined);
    assert.equal(textsOf("CONCAT('x')", { dialect: "vitess" }), undefined);
    const nowhere = { ...KNOWN, schema: undefined as unknown as string };
    assert.equal(textsOf("CONCAT('x', DATABASE())", {}, nowhere), undefined);
  });
});

describe("ExpressionTexts.ofSelectInto()", () => {
  for (const [sql, isKnown] of [
    ["SELECT 'x' INTO @v", true],
    ["SELECT IF(COUNT(*), 'x', 'y') INTO @v FROM u WHERE a = 1", true],
    ["SELECT IF(COUNT(*), 'x', 'y') FROM u WHERE a = 1 INTO @v;", true],
    ["SELECT 'x' FROM u UNION SELECT 'y' INTO @v", false],
    ["SELECT DISTINCT 'x' INTO @v", false],
    ["SELECT 'x', 'y' INTO @v, @w", false],
    ["SELECT 'x' FROM u PROCEDURE ANALYSE() INTO @v", false],
    ["(SELECT 'x' INTO @v)", false],
  ] as const) {
    it(`${isKnown ? "knows" : "does not know"} ${sql}`, () => {
      const value = new ExpressionTexts(encode(sql), contextFor({ schema: "shop" }), KNOWN).ofSelectInto();
      assert.equal(value !== undefined, isKnown);
    });
  }
});
