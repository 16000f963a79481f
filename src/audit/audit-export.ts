/** Audit records as text for other programs: one JSON object a line, or CSV for spreadsheets. */
import { counted } from "../base/counted.ts";
import { digestHashesOf } from "./audit-read.ts";
import type { ReadRecord } from "./record-expander.ts";

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
  return `${escapeNonAscii(JSON.stringify(hashedRecord(record)))}\n`;
}

/** A record with `digestHash` in place of the chain. */
export function hashedRecord(record: ReadRecord): ReadRecord {
  const { prev: _prev, hash: _hash, ...rest } = record;
  return { ...rest, digestHash: digestHashOf(record) };
}

/** Equal for statements that differ in literals only, and the hash that `querycop explain` shows. */
function digestHashOf(record: ReadRecord): string | undefined {
  return digestHashesOf(record)[0];
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

/** What a line of a terminal shows, and how: the rest is in --json and in wide lines. */
const BRIEF_FIELDS: readonly (readonly [name: string, show: (value: string) => string])[] = [
  ["decision", (value) => value],
  ["score", (value) => value],
  ["rules", (value) => value],
  ["decisionId", (value) => `[${value}]`],
  ["outcome", (value) => value],
  ["errorNumber", (value) => `error ${value}`],
  ["rows", (value) => counted(Number(value), "row")],
  ["affectedRows", (value) => `${value} changed`],
  ["reason", (value) => value],
  ["text", (value) => value],
];

/** One line of at most `width` characters for a person at a terminal, the statement's text last. */
export function renderBrief(record: ReadRecord, width: number): string {
  const { time, type } = record;
  const moment = typeof time === "string" ? time.slice(0, 19).replace("T", " ") : "";
  const who = ["user", "clientAddress"].map((field) => valueAt(record, `session.${field}`)).filter(Boolean);
  const details = BRIEF_FIELDS.map(([name, show]) => {
    const value = record[name];
    if (value === undefined || value === "" || value === 0) return "";
    return show(Array.isArray(value) ? value.join(" ") : String(value));
  });
  const line = escapeNonAscii(
    [moment, String(type).padEnd(17), who.join("@"), ...details].filter((part) => part !== "").join(" "),
  );
  return `${line.length > width ? `${line.slice(0, Math.max(1, width - 3))}...` : line}\n`;
}

function isPlainWord(text: string): boolean {
  return /^[\w.:/-]+$/.test(text);
}

/** JSON over several lines, ASCII only. */
export function asciiJsonLines(value: object): string {
  const lines = JSON.stringify(value, null, 2).split("\n").map(escapeNonAscii);
  return `${lines.join("\n")}\n`;
}

/** Direction marks and line separators could change what a reader of the export sees. */
function escapeNonAscii(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
