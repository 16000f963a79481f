/**
 * What analyze() says, as pages to read: all of statements of every form in test/golden/facts.txt, and the findings of many
 * conditions in findings.txt. A change of what is found shows there; QUERYCOP_UPDATE_GOLDEN=1 writes them anew.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Analysis, ByteRange, StatementFacts } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { assertGolden } from "../config/golden.ts";
import { FOUND, OTHERS, QUIET } from "../support/condition-texts.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";

/** The text there; «…» is the whole. */
function placeOf({ start, end }: ByteRange, sql: Buffer): string {
  return `«${start === 0 && end === sql.length ? "…" : sql.toString("utf8", start, end)}»`;
}

/** As the parts that say something: byte ranges as the text there, nothing for what is usual. */
function shown(value: unknown, sql: Buffer): string {
  if (value === undefined || value === "none" || value === "absent" || value === false) return "";
  if (Array.isArray(value)) return value.map((item) => shown(item, sql) || "-").join(", ");
  if (typeof value !== "object" || value === null) return JSON.stringify(value).replace(/^"(.*)"$/, "$1");
  const { start, end, ...fields } = value as Partial<ByteRange> & Record<string, unknown>;
  const parts = Object.entries(fields).flatMap(([name, field]) => {
    const text = shown(field, sql);
    if (text === "" || (Array.isArray(field) && field.length === 0)) return [];
    return [`${name}=${typeof field === "object" && field !== null ? `(${text})` : text}`];
  });
  if (start !== undefined) parts.push(placeOf({ start, end: end ?? 0 }, sql));
  return parts.join(" ");
}

const NOTHING = new Set(["", "0"]);

function statementLines(facts: StatementFacts, sql: Buffer): string[] {
  const { kind, within, parent, start, end, ...fields } = facts;
  const origin = within === "packet" ? "" : ` (${within} of ${parent})`;
  const lines = [`  ${kind}${origin} ${placeOf({ start, end }, sql)}`];
  for (const [name, field] of Object.entries(fields)) {
    const items = Array.isArray(field) && typeof field[0] === "object" ? field : [field];
    for (const item of items) {
      const text = shown(item, sql);
      if (!NOTHING.has(text)) lines.push(`    ${name}: ${text}`);
    }
  }
  return lines;
}

function page(text: string, analysis: Analysis): string[] {
  const sql = Buffer.from(text);
  const lines = [text, `  ${analysis.digest}`];
  if (analysis.notUnderstood !== undefined) lines.push(`  not understood: ${shown(analysis.notUnderstood, sql)}`);
  if (analysis.innerDigests.length > 0) lines.push(`  inner: ${analysis.innerDigests.join(" | ")}`);
  if (analysis.ambiguities.length > 0) lines.push(`  ambiguities: ${analysis.ambiguities.join()}`);
  lines.push(...analysis.statements.flatMap((statement) => statementLines(statement, sql)));
  for (const finding of analysis.findings) lines.push(`  found ${shown(finding, sql)}`);
  return [...lines, ""];
}

test("analyze() says of statements of every form what test/golden/facts.txt holds", () => {
  const lines = STATEMENT_TEXTS.flatMap(({ title, context, texts }) => [
    `# ${title}`,
    "",
    ...texts.flatMap((text) =>
      page(text, analyze(Buffer.from(text), { ...contextFor({ schema: "app" }), ...context })),
    ),
  ]);
  assertGolden("facts.txt", lines.join("\n"));
});

test("analyze() finds in conditions what test/golden/findings.txt holds", () => {
  const lines = [...FOUND.map(([, text]) => text), ...QUIET, ...OTHERS].flatMap((text) => {
    const sql = Buffer.from(text);
    const { findings, statements } = analyze(sql, contextFor({ schema: "app" }));
    const found = findings.map(({ what, count, detail, start, end }) => {
      const more = `${count === 1 ? "" : ` ${count}`}${detail === undefined ? "" : ` (${detail})`}`;
      return `  ${what}${more} ${placeOf({ start, end }, sql)}`;
    });
    return [text, `  where ${statements.map(({ where }) => where).join()}`, ...found, ""];
  });
  assertGolden("findings.txt", lines.join("\n"));
});

/** Statements of one text as lines, without what depends on where they stand. */
function linesOf(analysis: Analysis, text: string, from: number): string[] {
  const sql = Buffer.from(text);
  const lines = analysis.statements.slice(from).flatMap((statement) => {
    const { packetIndex: _, ...facts } = statement;
    return statementLines(facts as StatementFacts, sql);
  });
  for (const { what, count, detail, statement = -1, start, end } of analysis.findings) {
    if (statement < from || what === "stacked-statement") continue;
    lines.push(`${what} ${count} ${detail} ${placeOf({ start, end }, sql)}`);
  }
  return lines.map((line) => line.replace("«…»", () => `«${text}»`));
}

/** After these nobody knows the schema of now. */
const MOVES_ON: ReadonlySet<string> = new Set(["use", "call", "execute", "execute-immediate"]);

/** Those that stand alone, are understood, and leave the session as it is. */
const ALONE = STATEMENT_TEXTS.flatMap(({ context: changes, texts }) => {
  const context = { ...contextFor({ schema: "app" }), ...changes };
  return texts.map((text) => ({ text, context }));
}).filter(({ text, context }) => {
  const { understood, statements, readings } = analyze(Buffer.from(text), context);
  return understood && readings.length === 1 && statements.length === 1 && !MOVES_ON.has(statements[0]?.kind ?? "");
});

test("analyze() says the same of a statement whatever it has read before", () => {
  for (const step of [7, 31, 101]) {
    for (const [index, { text, context }] of ALONE.entries()) {
      const before = ALONE[(index * step + 3) % ALONE.length];
      const alone = linesOf(analyze(Buffer.from(text), context), text, 0);
      if (before === undefined || before.context !== context) continue;
      const both = `${before.text}; ${text}`;
      const found = linesOf(analyze(Buffer.from(both), context), both, 1);
      assert.deepEqual(found, alone, both);
    }
  }
});
