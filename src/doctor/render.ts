/** The two forms of a report: lines for people, JSON for programs. Both are made from the same data. */
import type { FindingStatus } from "./check.ts";
import { type CheckResult, type Report, type Summary, summaryOf } from "./report.ts";

const WORDS: Readonly<Record<FindingStatus, string>> = { ok: "ok", warn: "warn", fail: "FAIL", skip: "skip" };
const WORD_WIDTH = 6;
/** Of the lines that belong to the check above. */
const INDENT = " ".repeat(WORD_WIDTH);

export function renderText(report: Report): string {
  const width = Math.max(0, ...report.checks.map(({ id }) => id.length)) + 2;
  let listener: string | undefined;
  let text = `querycop ${report.version} doctor\n`;
  for (const check of report.checks) {
    if (check.listener !== listener) {
      listener = check.listener;
      text += `\nlistener ${listener}\n`;
    }
    text += renderCheck(check, width);
  }
  return `${text}\n${renderSummary(summaryOf(report))}\n`;
}

function renderCheck({ id, status, detail, remedy }: CheckResult, width: number): string {
  const [first = "", ...more] = detail.split("\n");
  let text = `${WORDS[status].padEnd(WORD_WIDTH)}${id.padEnd(width)}${first}\n`;
  for (const line of more) text += `${INDENT}${line}\n`;
  if (remedy === undefined) return text;
  text += `${INDENT}${status === "ok" ? "next" : "fix"}: ${remedy.text}\n`;
  for (const command of remedy.commands) text += `${INDENT}  $ ${command}\n`;
  return `${text}${INDENT}see: ${remedy.docs}\n`;
}

function renderSummary({ ok, warn, fail, skip }: Summary): string {
  return `${fail} failed, ${warn} ${warn === 1 ? "warning" : "warnings"}, ${ok} ok, ${skip} skipped`;
}

/** `{version, checks: [{id, title, listener?, status, detail, remedy?}], summary}`. */
export function renderJson(report: Report): string {
  const { version, checks } = report;
  return `${JSON.stringify({ version, checks, summary: summaryOf(report) }, undefined, 2)}\n`;
}
