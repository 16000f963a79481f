import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DEFAULT_COLUMNS,
  renderBrief,
  renderCsvHeader,
  renderCsvRow,
  renderNdjson,
} from "../../src/audit/audit-export.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { explain } from "../../src/policy/tools/explain.ts";

/** Reads one CSV row as RFC 4180 has it. */
function parseRow(row: string): string[] {
  assert.ok(row.endsWith("\r\n"));
  const cells: string[] = [];
  let i = 0;
  for (;;) {
    let cell = "";
    if (row[i] === '"') {
      for (i++; ; i++) {
        if (row[i] === '"' && row[i + 1] === '"') cell += row[++i];
        else if (row[i] === '"') break;
        else cell += row[i];
      }
      i++;
    } else {
      while (row[i] !== "," && row[i] !== "\r") cell += row[i++];
    }
    cells.push(cell);
    if (row[i] === "\r") return cells;
    i++;
  }
}

test("renderCsvRow() has one cell per column, also for texts with quotes, commas and newlines", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const cells = parseRow(
        renderCsvRow({ seq: 7, text, session: { user: text } }, ["seq", "text", "session.user", "absent"]),
      );
      assert.equal(cells.length, 4);
      assert.deepEqual([cells[0], cells[3]], ["7", ""]);
      assert.ok(cells[1] === text || cells[1] === `'${text}`);
      assert.equal(cells[2], cells[1]);
    }),
    { numRuns: 2000 },
  );
});

for (const formula of ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1"]) {
  test(`renderCsvRow() disarms ${JSON.stringify(formula)}`, () => {
    assert.equal(parseRow(renderCsvRow({ text: formula }, ["text"]))[0], `'${formula}`);
  });
}

test("renderCsvRow() leaves numbers as numbers and joins lists", () => {
  assert.equal(
    renderCsvRow({ rows: -1, rules: ["a", "b"], ok: true, session: 5 }, ["rows", "rules", "ok", "session.id"]),
    "-1,a b,true,\r\n",
  );
});

test("renderCsvHeader() names the columns", () => {
  assert.deepEqual(parseRow(renderCsvHeader()), [...DEFAULT_COLUMNS]);
  assert.equal(parseRow(renderCsvRow({})).length, DEFAULT_COLUMNS.length);
});

test("renderNdjson() is one line of ASCII without the chain", () => {
  const line = renderNdjson({ seq: 1, text: "a\u202e\u2028\nb\u{1f600}", prev: "p", hash: "h" });
  assert.match(line, /^[ -~]+\n$/);
  assert.deepEqual(JSON.parse(line), { seq: 1, text: "a\u202e\u2028\nb\u{1f600}" });
});

test("exports hold the hash of a digest: equal for statements that differ in literals only, none for a cut one", () => {
  const hashOf = (record: Record<string, unknown>): unknown[] => [
    (JSON.parse(renderNdjson(record)) as Record<string, unknown>)["digestHash"] ?? "",
    parseRow(renderCsvRow(record, ["digestHash"]))[0],
  ];
  const text = "SELECT `a` FROM `t` WHERE `b` = ?";
  const sql = "select a from t where b = 7";
  const { digestHash: hash } = explain({ sql, session: {}, policy: DEFAULT_POLICY, wallMs: 0 });
  assert.deepEqual(hashOf({ type: "statement-intent", text, textForm: "digest" }), [hash, hash]);
  assert.deepEqual(hashOf({ type: "statement-intent", text: `${text}[cut]`, textForm: "digest" }), ["", ""]);
  assert.deepEqual(hashOf({ type: "statement-intent", text, textForm: "none" }), ["", ""]);
  assert.deepEqual(hashOf({ type: "connect" }), ["", ""]);
});

test("renderBrief() fits a line of a terminal and says what matters first", () => {
  const record = {
    seq: 3,
    time: "2026-11-21T12:00:00.123Z",
    type: "statement-blocked",
    session: { id: "s1", user: "app", clientAddress: "10.0.0.7:5123" },
    decision: "block",
    score: 65,
    rules: ["ddl.drop"],
    decisionId: "1f3a9c02-7",
    text: `DROP TABLE \`${"t".repeat(300)}\``,
    textForm: "digest",
  };
  const line = renderBrief(record, 120);
  assert.equal(line.length, 121);
  assert.ok(
    line.startsWith(
      "2026-11-21 12:00:00 statement-blocked app@10.0.0.7:5123 block 65 ddl.drop [1f3a9c02-7] DROP TABLE `ttt",
    ),
    line,
  );
  assert.ok(line.endsWith("...\n"));
  assert.equal(
    renderBrief({ ...record, text: "DROP TABLE `t`" }, 200)
      .trimEnd()
      .endsWith("DROP TABLE `t`"),
    true,
  );
});
