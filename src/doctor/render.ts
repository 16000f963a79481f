/** The two forms of a report: lines for people, JSON for programs. Both are made from the same data. */
import { counted } from "../base/counted.ts";
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
  const shown = new Map<string, string>();
  for (const check of report.checks) {
    if (check.listener !== listener) {
      listener = check.listener;
      text += `\nlistener ${listener}\n`;
    }
    // Listeners with one backend have its troubles in common: one cause is told once.
    const { id, status, detail, remedy } = check;
    const same = remedy === undefined ? undefined : JSON.stringify([id, status, detail, remedy]);
    const first = same === undefined ? undefined : shown.get(same);
    if (same !== undefined && listener !== undefined && first === undefined) shown.set(same, listener);
    text += first === undefined ? renderCheck(check, width) : `${headOf(check, width)}as for listener ${first}\n`;
  }
  return `${text}\n${renderSummary(summaryOf(report))}\n`;
}

function headOf({ id, status }: CheckResult, width: number): string {
  return WORDS[status].padEnd(WORD_WIDTH) + id.padEnd(width);
}

function renderCheck(check: CheckResult, width: number): string {
  const { status, detail, remedy } = check;
  const [first = "", ...more] = detail.split("\n");
  let text = `${headOf(check, width)}${first}\n`;
  for (const line of more) text += `${INDENT}${line}\n`;
  if (remedy === undefined) return text;
  text += `${INDENT}${status === "ok" ? "next" : "fix"}: ${remedy.text}\n`;
  for (const command of remedy.commands) text += `${INDENT}  $ ${command}\n`;
  return `${text}${INDENT}see: ${remedy.docs}\n`;
}

function renderSummary({ ok, warn, fail, skip }: Summary): string {
  return `${fail} failed, ${counted(warn, "warning")}, ${ok} ok, ${skip} skipped`;
}

/** `{version, checks: [{id, title, listener?, status, detail, remedy?}], summary}`. */
export function renderJson(report: Report): string {
  const { version, checks } = report;
  return `${JSON.stringify({ version, checks, summary: summaryOf(report) }, undefined, 2)}\n`;
}
