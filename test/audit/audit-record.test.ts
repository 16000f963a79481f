import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { CHAIN_START, decodeRecord, encodeRecord, RECORD_BYTES_MAX } from "../../src/audit/audit-record.ts";
import { SESSION } from "./audit-fixture.ts";

const START = { seq: 0, hash: CHAIN_START };
const TIME_MS = Date.UTC(2026, 10, 21, 5, 23, 1, 7);

const withText = (text: string): AuditEvent => ({
  type: "statement-intent",
  session: { ...SESSION, userSent: text },
  ordinal: 1,
  command: "COM_QUERY",
  text,
  textForm: "raw",
  decision: "allow",
  rules: [text],
});

test("encodeRecord() writes the documented form", () => {
  const record = encodeRecord({ type: "stop", reason: "SIGTERM" }, START, TIME_MS);
  assert.equal(
    record.line,
    `{"seq":1,"time":"2026-11-21T05:23:01.007Z","type":"stop","reason":"SIGTERM","prev":"${CHAIN_START}","hash":"${record.hash}"}\n`,
  );
});

test("decodeRecord() undoes encodeRecord() for any text, which stays one line of printable ASCII", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const { line, hash } = encodeRecord(withText(text), { seq: 41, hash: "a".repeat(64) }, TIME_MS);
      assert.match(line, /^[ -~]*\n$/);
      const decoded = decodeRecord(line.slice(0, -1));
      assert.ok(decoded.ok);
      assert.equal(decoded.record.seq, 42);
      assert.equal(decoded.record.hash, hash);
      assert.equal(decoded.record.fields["text"], text);
      assert.deepEqual(decoded.record.fields["rules"], [text]);
    }),
    { numRuns: 2000 },
  );
});

test("encodeRecord() escapes what could forge or reorder a line", () => {
  const text = `a\nb\r\u0085\u2028\u2029\u202e\u2066\u200b\ufeff\u001b[31m\u007f\0"}\n{"seq":2`;
  const { line } = encodeRecord(withText(text), START, TIME_MS);
  assert.equal(line.split("\n").length, 2);
  for (const escaped of [
    "\\u2028",
    "\\u202e",
    "\\u2066",
    "\\u200b",
    "\\ufeff",
    "\\u001b",
    "\\u007f",
    "\\u0000",
    "\\u0085",
  ]) {
    assert.ok(line.includes(escaped), escaped);
  }
});

test("encodeRecord() keeps unpaired surrogates", () => {
  const decoded = decodeRecord(encodeRecord(withText("a\ud800b"), START, TIME_MS).line.slice(0, -1));
  assert.ok(decoded.ok);
  assert.equal(decoded.record.fields["text"], "a\ud800b");
});

for (const text of ["x".repeat(3_000_000), "\u202e".repeat(1_000_000), "\n".repeat(2_000_000)]) {
  test(`encodeRecord() cuts ${text.length} times ${JSON.stringify(text[0])} to the limit`, () => {
    const { line } = encodeRecord(withText(text), START, TIME_MS);
    assert.ok(line.length <= RECORD_BYTES_MAX, String(line.length));
    assert.ok(line.length > RECORD_BYTES_MAX / 32);
    const decoded = decodeRecord(line.slice(0, -1));
    assert.ok(decoded.ok);
    assert.ok(String(decoded.record.fields["text"]).endsWith("[cut]"));
  });
}

test("encodeRecord() cuts long lists", () => {
  const event = { ...withText("x"), rules: Array.from({ length: 500_000 }, (_, i) => `rule-${i}`) };
  assert.ok(encodeRecord(event, START, TIME_MS).line.length <= RECORD_BYTES_MAX);
});

test("decodeRecord() refuses a record with any one byte changed, dropped, doubled or swapped", () => {
  const { line } = encodeRecord(withText('é"\\\u2028 SELECT 1'), { seq: 9, hash: "b".repeat(64) }, TIME_MS);
  const text = line.slice(0, -1);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const changed = [unit ^ 1, unit ^ 0x20, unit ^ 0x80, 0x20, 0x00, 0x0d].filter((other) => other !== unit);
    for (const other of changed) {
      const mutant = text.slice(0, i) + String.fromCharCode(other) + text.slice(i + 1);
      assert.equal(decodeRecord(mutant).ok, false, `byte ${i}: ${unit} → ${other}`);
    }
    assert.equal(decodeRecord(text.slice(0, i) + text.slice(i + 1)).ok, false, `byte ${i} dropped`);
    assert.equal(decodeRecord(text.slice(0, i) + text[i] + text.slice(i)).ok, false, `byte ${i} doubled`);
    const [a, b] = [text[i] ?? "", text[i + 1] ?? ""];
    if (a !== b && b !== "")
      assert.equal(decodeRecord(text.slice(0, i) + b + a + text.slice(i + 2)).ok, false, `bytes ${i} swapped`);
  }
});

test("decodeRecord() never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(decodeRecord(text).ok, false);
    }),
    { numRuns: 2000 },
  );
  for (const body of ["null", "7", "[]", "{}", '{"seq":1}']) {
    assert.equal(decodeRecord(`${body},"hash":"${"0".repeat(64)}"}`).ok, false);
  }
});
