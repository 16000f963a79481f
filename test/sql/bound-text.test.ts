import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { BoundValue } from "../../src/sql/facts.ts";
import { type MysqlContext, SQL_MODE } from "../../src/sql/facts.ts";
import { bindExactly, bindValues } from "../../src/sql/mysql/dynamic/bound-text.ts";
import { COUNT, findParameterPlaces, PLAIN, WEIGHTY } from "../../src/sql/mysql/dynamic/parameter-places.ts";

const CONTEXT: MysqlContext = contextFor({ schema: "shop" });

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function rolesOf(sql: string, context: MysqlContext = CONTEXT): readonly number[] | undefined {
  return findParameterPlaces(encode(sql), context)?.roles;
}

function bound(
  sql: string,
  values: readonly BoundValue[],
  changes: Partial<MysqlContext> = {},
  isEvery = true,
): string {
  const context = { ...CONTEXT, ...changes };
  const places = findParameterPlaces(encode(sql), context);
  assert.ok(places !== undefined);
  return Buffer.from(bindValues(encode(sql), places, values, context, isEvery)).toString("latin1");
}

describe("findParameterPlaces()", () => {
  for (const [sql, roles] of [
    ["SELECT a FROM t WHERE id = ?", [PLAIN]],
    ["SELECT a FROM t WHERE t.id >= ? AND `b` <> ? ORDER BY a", [PLAIN, PLAIN]],
    ["SELECT a FROM t WHERE id IN (?, ?, ?) AND b NOT IN (?)", [PLAIN, PLAIN, PLAIN, PLAIN]],
    ["SELECT a FROM t WHERE id BETWEEN ? AND ? AND c = ?", [PLAIN, PLAIN, PLAIN]],
    ["INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON DUPLICATE KEY UPDATE a = ?", [PLAIN, PLAIN, PLAIN, PLAIN, PLAIN]],
    ["UPDATE t SET a = ?, b = ? WHERE id = ?", [PLAIN, PLAIN, PLAIN]],
    ["SELECT a FROM t WHERE id = ? LIMIT ?, ?", [PLAIN, COUNT, COUNT]],
    ["SELECT a FROM t LIMIT ? OFFSET ?", [COUNT, COUNT]],
    ["SELECT a FROM t WHERE a LIKE ?", [WEIGHTY]],
    ["DELETE FROM t WHERE ? = ?", [WEIGHTY, WEIGHTY]],
    ["DELETE FROM t WHERE @v = ?", [WEIGHTY]],
    ["DELETE FROM t WHERE 1 = ? OR ?", [WEIGHTY, WEIGHTY]],
    ["DELETE FROM t WHERE id = ? + 1", [WEIGHTY]],
    ["DELETE FROM t WHERE id = (?)", [WEIGHTY]],
    ["DELETE FROM t WHERE f(?, id) IN (f(?), ?)", [WEIGHTY, WEIGHTY, WEIGHTY]],
    ["INSERT INTO t SELECT ? FROM u", [WEIGHTY]],
    ["INSERT INTO t VALUES (f(?), -?)", [WEIGHTY, WEIGHTY]],
    ["SELECT SLEEP(?)", [WEIGHTY]],
    ["SET sql_mode = ?", [WEIGHTY]],
    ["CALL close_month(?)", [PLAIN]],
    ["CALL `sys`.execute_prepared_stmt(?)", [WEIGHTY]],
    ["CALL mysql.rds_kill(?)", [WEIGHTY]],
    ["SELECT '?', `?`, ? /* ? */ FROM t", [WEIGHTY]],
  ] as const) {
    it(`tells where values matter: ${sql}`, () => assert.deepEqual(rolesOf(sql), roles));
  }

  it("takes a procedure without schema for one of the schema in use, or of any", () => {
    assert.deepEqual(rolesOf("CALL execute_prepared_stmt(?)", { ...CONTEXT, schema: "SYS" }), [WEIGHTY]);
    assert.deepEqual(rolesOf("CALL execute_prepared_stmt(?)", { ...CONTEXT, schema: undefined }), [WEIGHTY]);
  });

  it("finds no places where the readings of the text differ about them", () => {
    const sql = "SELECT a FROM t WHERE a = '\\' AND b = ? -- ' OR c = ?";
    assert.equal(rolesOf(sql, { ...CONTEXT, sqlMode: "unknown" }), undefined);
    assert.notEqual(rolesOf(sql), undefined);
  });
});

describe("bindValues()", () => {
  it("writes every kind of value as the literal it stands for", () => {
    const values = [7, -5, 12n, 1.5, "2026-11-21", encode("it's"), null];
    assert.equal(
      bound("VALUES ROW(?,?,?,?,?,?,?)", values).replaceAll(/ +/g, " "),
      "VALUES ROW( 7 , -5 , 12 , 1.5 , '2026-11-21' , 'it''s' , NULL )",
    );
  });

  it("leaves what is not known as a parameter", () => {
    for (const values of [[], [undefined], [Number.NaN], [Number.POSITIVE_INFINITY]]) {
      assert.equal(bound("DO ?", values), "DO ?");
    }
  });

  it("puts a space around a value, so that it does not grow together with its neighbours", () => {
    assert.equal(bound("SELECT-?FROM t", [-1]), "SELECT- -1 FROM t");
  });

  it("writes only whole numbers as a limit, from text too", () => {
    const limit = (value: BoundValue) => bound("SELECT a FROM t LIMIT ?", [value]);
    for (const value of [10, 10n, "10", encode("10")]) assert.equal(limit(value), "SELECT a FROM t LIMIT  10 ");
    for (const value of [null, undefined, -1, 1.5, "", "1 OR 1", encode("9".repeat(30))]) {
      assert.equal(limit(value), "SELECT a FROM t LIMIT ?");
    }
  });

  it("leaves values that no rule asks for where they are", () => {
    const values = [1, "%a", 5];
    const sql = "SELECT a FROM t WHERE id = ? AND b LIKE ? LIMIT ?";
    assert.equal(bound(sql, values, {}, false), "SELECT a FROM t WHERE id = ? AND b LIKE  '%a'  LIMIT  5 ");
  });

  it("escapes quotes and backslashes as the session's sql_mode reads them", () => {
    const value = encode("a\\'b");
    assert.equal(bound("DO ?", [value]), "DO  'a\\\\''b' ");
    assert.equal(bound("DO ?", [value], { sqlMode: SQL_MODE.NO_BACKSLASH_ESCAPES }), "DO  'a\\''b' ");
    assert.equal(bound("DO ?", [value], { sqlMode: "unknown" }), "DO  'a\x01''b' ");
  });

  it("never lets a byte of a value swallow a quote in a charset where it could", () => {
    const value = Uint8Array.of(0xbf, 0x5c, 0x27);
    assert.equal(bound("DO ?", [value], { charset: "gbk" }), "DO  '\x01\\\\''' ");
    assert.equal(bound("DO ?", [value], { charset: "unknown" }), "DO  '\x01\\\\''' ");
    assert.equal(bound("DO ?", [value]), "DO  '\xbf\\\\''' ");
  });

  it("cuts a long value of a row, and leaves out what it could not judge whole", () => {
    const long = encode("%".repeat(100_000));
    assert.equal(bound("DELETE FROM t WHERE a LIKE ?", [long]).length, "DELETE FROM t WHERE a LIKE ".length + 260);
    assert.equal(bound("DELETE FROM t WHERE a = ?", [long]), "DELETE FROM t WHERE a = ?");
    assert.equal(bound("CALL sys.execute_prepared_stmt(?)", [long]), "CALL sys.execute_prepared_stmt(?)");
  });

  it("stays within a megabyte whatever is bound", () => {
    const sql = `CALL sys.p(${Array.from({ length: 100 }, () => "?").join()})`;
    const values = Array.from({ length: 100 }, () => encode("'".repeat(60_000)));
    assert.ok(bound(sql, values).length < 1_100_000);
  });
});

describe("bindExactly()", () => {
  const exactly = (sql: string, values: readonly BoundValue[], changes: Partial<MysqlContext> = {}) => {
    const context = { ...CONTEXT, ...changes };
    const places = findParameterPlaces(encode(sql), context);
    assert.ok(places !== undefined);
    const whole = bindExactly(encode(sql), places, values, context);
    return whole && Buffer.from(whole).toString("latin1");
  };

  it("writes every value, however long a rule would want it", () => {
    const long = "x".repeat(1000);
    const sql = "SELECT a FROM t WHERE a = ? AND b LIKE ? LIMIT ?";
    assert.equal(
      exactly(sql, [long, "it's", "5"]),
      `SELECT a FROM t WHERE a =  '${long}'  AND b LIKE  'it''s'  LIMIT  5 `,
    );
  });

  it("writes nothing where one value, or the way to write it, is not certain", () => {
    const sql = "SELECT a FROM t WHERE a = ? LIMIT ?";
    for (const values of [[1], [undefined, 1], [1, "x"], [Number.NaN, 1], ["x".repeat(70_000), 1]]) {
      assert.equal(exactly(sql, values), undefined);
    }
    for (const changes of [{ sqlMode: "unknown" }, { charset: "unknown" }, { charset: "gbk" }] as const) {
      assert.equal(exactly(sql, ["a", 1], changes), undefined);
    }
  });
});
