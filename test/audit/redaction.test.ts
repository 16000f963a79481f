import assert from "node:assert/strict";
import { test } from "node:test";
import {
  chooseTextForm,
  cutText,
  SECRET_FUNCTIONS,
  SECRET_STATEMENT_KINDS,
  type TextFacts,
} from "../../src/audit/redaction.ts";

const HARMLESS: TextFacts = { statementKinds: ["select"], functions: ["count"], isUnderstood: true, isLexed: true };

test("chooseTextForm() keeps the configured form of harmless statements", () => {
  for (const form of ["digest", "redacted", "raw"] as const) assert.equal(chooseTextForm(form, HARMLESS), form);
});

test("chooseTextForm() never keeps literals of statements that may hold secrets", () => {
  const mayHoldSecrets: Partial<TextFacts>[] = [
    ...[...SECRET_STATEMENT_KINDS].map((kind) => ({ statementKinds: ["select", kind] })),
    ...[...SECRET_FUNCTIONS].map((name) => ({ functions: ["count", name.toUpperCase()] })),
    { isUnderstood: false },
  ];
  for (const facts of mayHoldSecrets) {
    for (const form of ["digest", "redacted", "raw"] as const) {
      assert.equal(chooseTextForm(form, { ...HARMLESS, ...facts }), "digest", JSON.stringify(facts));
    }
  }
});

test("chooseTextForm() keeps nothing of a text whose tokens are not certain", () => {
  for (const form of ["digest", "redacted", "raw"] as const) {
    assert.equal(chooseTextForm(form, { ...HARMLESS, isUnderstood: false, isLexed: false }), "none");
  }
});

test("SECRET_STATEMENT_KINDS holds what the servers rewrite before they log", () => {
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
    assert.ok(SECRET_STATEMENT_KINDS.has(kind), kind);
  }
});

test("cutText() marks what it cuts and leaves surrogate pairs whole", () => {
  assert.equal(cutText("abc", 3), "abc");
  assert.equal(cutText("abcd", 3), "abc[cut]");
  assert.equal(cutText("ab\u{1f600}", 3), "ab[cut]");
  assert.equal(cutText("ab\u{1f600}c", 4), "ab\u{1f600}[cut]");
});
