import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fieldListSql, initDbSql, killSql, readKill } from "../../../src/session/mysql/statements/statement-text.ts";

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

describe("readKill()", () => {
  for (const [text, scope, connectionId] of [
    ["KILL 5", "CONNECTION", 5],
    ["kill 5;", "CONNECTION", 5],
    ["KILL QUERY 5", "QUERY", 5],
    ["KILL  query   4294967295 ;", "QUERY", 4_294_967_295],
    ["Kill Connection 7", "CONNECTION", 7],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.deepEqual(readKill(Buffer.from(text)), { scope, connectionId });
    });
  }

  for (const text of [
    "",
    "KILL",
    "KILL x",
    "KILL 5 6",
    "KILL HARD 5",
    "KILL HARD QUERY 5",
    "KILL QUERY 5 6",
    "KILL USER u",
    "KILL 1.5",
    "KILL QUERY",
    "KILLS 5",
    "SELECT 5",
    " KILL 5",
    `KILL ${" ".repeat(48)}5`,
  ]) {
    it(`takes ${JSON.stringify(text)} for something else`, () => assert.equal(readKill(Buffer.from(text)), undefined));
  }

  it("reads what killSql() writes", () => {
    for (const kill of [
      { scope: "QUERY", connectionId: 1 },
      { scope: "CONNECTION", connectionId: 77 },
    ] as const) {
      assert.deepEqual(readKill(killSql(kill)), kill);
    }
  });
});

describe("the SQL of COM_INIT_DB and COM_FIELD_LIST", () => {
  it("has the name in backticks, each of its own doubled", () => {
    assert.equal(latin1(initDbSql(Buffer.from("a`b"))), "USE `a``b`");
    assert.equal(latin1(fieldListSql(Buffer.from("`"))), "SHOW COLUMNS FROM ````");
  });

  it("leaves a backtick that may be half of a character", () => {
    assert.equal(latin1(initDbSql(Buffer.from("\x95`", "latin1"))), "USE `\x95``");
    assert.equal(latin1(initDbSql(Buffer.from("\x7f`", "latin1"))), "USE `\x7f```");
  });
});
