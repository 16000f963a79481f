/** Audit records as text for other programs: one JSON object a line, or CSV for spreadsheets. */
import { createHash } from "node:crypto";
import type { ReadRecord } from "./audit-read.ts";
import { CUT_MARK } from "./audit-record.ts";

/** What an export holds when no columns are asked for. A dot reaches into `session`. */
export const DEFAULT_COLUMNS = [
  "seq",
  "time",
  "type",
  "session.id",
  "session.clientAddress",
  "session.user",
  "session.backend",
  "session.backendConnectionId",
  "session.schema",
  "ordinal",
  "command",
  "textForm",
  "text",
  "digestHash",
  "statementKind",
  "decision",
  "score",
  "rules",
  "approver",
  "outcome",
  "errorNumber",
  "rows",
  "affectedRows",
  "bytes",
  "durationUs",
  "reason",
] as const;

/** One line with its newline, ASCII only, as in the log but with `digestHash` in place of the chain. */
export function renderNdjson(record: ReadRecord): string {
  const { prev: _prev, hash: _hash, ...rest } = record;
  return `${escapeNonAscii(JSON.stringify({ ...rest, digestHash: digestHashOf(record) }))}\n`;
}

/**
 * Equal for statements that differ in literals only, and the hash that `querycop explain` shows. Worked out here and not
 * when the statement is recorded, where it would cost each one a twentieth of its record.
 */
function digestHashOf({ text, textForm }: ReadRecord): string | undefined {
  if (textForm !== "digest" || typeof text !== "string" || text.endsWith(CUT_MARK)) return undefined;
  return createHash("sha256").update(text).digest("hex");
}

export function renderCsvHeader(columns: readonly string[] = DEFAULT_COLUMNS): string {
  return `${columns.map(renderCell).join(",")}\r\n`;
}

/** One row as RFC 4180 has it. Cells that a spreadsheet would run as a formula begin with an apostrophe. */
export function renderCsvRow(record: ReadRecord, columns: readonly string[] = DEFAULT_COLUMNS): string {
  return `${columns.map((column) => renderCell(valueAt(record, column))).join(",")}\r\n`;
}

function valueAt(record: ReadRecord, column: string): unknown {
  if (column === "digestHash") return digestHashOf(record);
  if (!column.startsWith("session.")) return record[column];
  const { session } = record;
  return typeof session === "object" && session !== null ? (session as ReadRecord)[column.slice(8)] : undefined;
}

function renderCell(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = typeof value === "string" ? value : Array.isArray(value) ? value.join(" ") : JSON.stringify(value);
  const harmless = "=+-@\t\r\n".includes(text.charAt(0)) && text !== "" ? `'${text}` : text;
  return /[",\r\n']/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

const NOT_DETAILS = new Set(["seq", "time", "type", "session", "prev", "hash"]);

/** One line for people: time, type, who, and the rest as key=value. */
export function renderText(record: ReadRecord): string {
  const who = ["user", "clientAddress"].map((field) => valueAt(record, `session.${field}`)).filter(Boolean);
  const details = Object.entries(record)
    .filter(([key]) => !NOT_DETAILS.has(key))
    .map(([key, value]) => `${key}=${typeof value === "string" && isPlainWord(value) ? value : JSON.stringify(value)}`);
  const parts = [record["time"], String(record["type"]).padEnd(17), who.join("@"), ...details];
  return `${escapeNonAscii(parts.filter((part) => part !== "").join(" "))}\n`;
}

function isPlainWord(text: string): boolean {
  return /^[\w.:/-]+$/.test(text);
}

/** Direction marks and line separators could change what a reader of the export sees. */
function escapeNonAscii(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
