import assert from "node:assert/strict";
import { test } from "node:test";
import { mayHoldSecret, SECRET_STATEMENTS } from "../../src/sql/mysql/digest/secrets.ts";

test("mayHoldSecret() says no of plain statements alone", () => {
  assert.equal(mayHoldSecret("SELECT `a` FROM `t` WHERE `id` = ?", ["select"], true), false);
  assert.equal(mayHoldSecret("SELECT ?", ["select"], false), true, "not understood");
  assert.equal(mayHoldSecret("SELECT `AES_ENCRYPT` (...)", ["select"], true), true, "a function that takes a key");
  for (const kind of SECRET_STATEMENTS.keys()) assert.equal(mayHoldSecret("?", ["select", kind], true), true, kind);
});

test("SECRET_STATEMENTS holds what the servers rewrite before they log", () => {
  for (const kind of [
    "grant",
    "set-password",
    "set",
    "create-user",
    "alter-user",
    "change-replication-source",
    "start-replica",
    "start-group-replication",
    "create-server",
    "alter-server",
    "create-procedure",
    "create-function",
    "create-table",
    "alter-table",
    "prepare",
    "clone",
    "call",
    "unknown",
  ]) {
    assert.ok(SECRET_STATEMENTS.has(kind), kind);
  }
});
