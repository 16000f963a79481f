/** What `querycop top` shows: sessions and statements of one moment as lines, which hold nothing a terminal acts on. */
import { counted, timeSpan } from "../base/counted.ts";
import { visibleText } from "../base/visible-text.ts";
import type { DigestView } from "../server/activity/statement-digests.ts";
import type { SessionView } from "../session/session-view.ts";

/** What comes first among the statements, and the key that asks for it. The admin API's own orders. */
export const TOP_ORDERS = {
  t: "time",
  r: "rows",
  b: "bytes",
  x: "blocked",
  c: "count",
  e: "errors",
  n: "new",
} as const;

export type TopOrder = (typeof TOP_ORDERS)[keyof typeof TOP_ORDERS];

/** The answers of one round. */
export interface TopSnapshot {
  /** On a clock that does not jump. */
  readonly atMs: number;
  readonly overview: {
    readonly version: string;
    readonly startedAt: string;
    readonly time: string;
    readonly isReady: boolean;
    readonly isDraining: boolean;
    readonly sessions: number;
    readonly sessionsMax: number;
    readonly approvalsPending: number;
    readonly policy: { readonly version: string };
    readonly audit: { readonly isKept: boolean; readonly isOk: boolean };
  };
  readonly sessions: {
    readonly total: number;
    readonly states: Readonly<Record<string, number>>;
    readonly sessions: readonly SessionView[];
  };
  readonly statements: { readonly total: number; readonly digests: readonly DigestView[] };
}

export interface TopView {
  readonly order: TopOrder;
  /** Of the terminal; undefined prints whole lines, and all of them. */
  readonly columns: number | undefined;
  readonly rows: number | undefined;
  /** What the last line says; nothing where there are no keys. */
  readonly footer?: string;
}

/** Lines besides the rows of both tables: two at the top, the heads, what else there is, the foot, and three between. */
const OTHER_LINES = 9;
/** Of the lines for both tables, the statements' part. */
const STATEMENTS_SHARE = 0.6;
const LINES_MIN = 3;

/** `previous` is the round before, by which rates are told. */
export function renderTop(snapshot: TopSnapshot, previous: TopSnapshot | undefined, view: TopView): string[] {
  const { columns, rows, order, footer } = view;
  const busy = snapshot.sessions.sessions.filter(({ state }) => state !== "idle");
  const all = busy.length + snapshot.statements.digests.length;
  const room = rows === undefined ? all : Math.max(2 * LINES_MIN, rows - OTHER_LINES);
  // What one table does not need the other may have.
  const ofSessions = Math.min(busy.length, Math.max(room - Math.ceil(room * STATEMENTS_SHARE), LINES_MIN));
  const ofStatements = Math.min(snapshot.statements.digests.length, room - ofSessions);
  const digests = snapshot.statements.digests.slice(0, ofStatements);
  const shown = busy.slice(0, room - ofStatements);
  const lines = [
    ...headOf(snapshot),
    "",
    ...tableOf(
      STATEMENT_HEADS,
      digests.map((digest) => statementCells(digest, snapshot, previous)),
    ),
    moreLine(snapshot.statements.total - digests.length, "statement", `ordered by ${order}`),
    "",
    ...tableOf(SESSION_HEADS, shown.map(sessionCells)),
    ...(footer === undefined ? [] : ["", footer]),
  ];
  return lines.map((line) => cut(line.trimEnd(), columns));
}

function headOf({ overview, sessions }: TopSnapshot): string[] {
  const { version, startedAt, time, isReady, isDraining, sessionsMax, approvalsPending, policy, audit } = overview;
  const up = timeSpan(Math.max(0, Math.floor((Date.parse(time) - Date.parse(startedAt)) / 1000)));
  const state = isDraining ? "draining" : isReady ? "ready" : "NOT READY";
  const recording = audit.isKept ? (audit.isOk ? "recording" : "AUDIT LOG CANNOT RECORD") : "no audit log";
  const states = Object.entries(sessions.states)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
  return [
    `querycop ${version}  ${state}, up ${up}, policy ${visibleText(policy.version)}, ${recording}`,
    `${counted(overview.sessions, "session")} of ${sessionsMax}${states.length > 0 ? `: ${states.join(", ")}` : ""}` +
      `   ${counted(approvalsPending, "statement")} waiting for an approval`,
  ];
}

const STATEMENT_HEADS = ["PER S", "COUNT", "P50", "P99", "TIME", "ROWS", "BLOCKED", "ERRORS", "RISK", "STATEMENT"];

function statementCells(digest: DigestView, snapshot: TopSnapshot, previous: TopSnapshot | undefined): string[] {
  const before = previous?.statements.digests.find((one) => one.digest === digest.digest);
  const seconds = previous === undefined ? 0 : (snapshot.atMs - previous.atMs) / 1000;
  // After a restart counts begin anew.
  const isTold = before !== undefined && seconds > 0 && digest.count >= before.count;
  return [
    isTold ? short((digest.count - before.count) / seconds) : "-",
    short(digest.count),
    spanOf(digest.p50Us),
    spanOf(digest.p99Us),
    spanOf(digest.totalUs),
    short(digest.rows + digest.affectedRows),
    short(digest.blocked),
    short(digest.errors),
    String(digest.scoreMax),
    visibleText(digest.text ?? digest.kind),
  ];
}

const SESSION_HEADS = ["SESSION", "USER", "CLIENT", "STATE", "FOR", "STATEMENT"];

function sessionCells({ id, user, clientAddress, state, isInTransaction, statement }: SessionView): string[] {
  return [
    id,
    visibleText(user ?? "-"),
    clientAddress,
    isInTransaction ? `${state}, in transaction` : state,
    statement === undefined ? "-" : timeSpan(statement.seconds),
    visibleText(statement?.text ?? statement?.kind ?? "-"),
  ];
}

/** Numbers to the right, words to the left; the last column has what is left of the line. */
function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const isNumber = heads === STATEMENT_HEADS;
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        if (column === heads.length - 1) return cell;
        const width = widths[column] ?? 0;
        return isNumber ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ");
  return [heads, ...rows].map(line);
}

function moreLine(left: number, noun: string, how: string): string {
  return left > 0 ? `and ${counted(left, `${noun} more`, `${noun}s more`)}, ${how}` : how;
}

/** Of characters, not of columns: a wide one may stand over the edge, where the terminal does not begin a new line. */
function cut(line: string, columns: number | undefined): string {
  if (columns === undefined || line.length <= columns) return line;
  const characters = [...line];
  return characters.length <= columns ? line : `${characters.slice(0, Math.max(0, columns - 1)).join("")}…`;
}

/** `7`, `0.4`, `12.3k`, `4.56M`: three digits, as fits a column. */
function short(value: number): string {
  if (value < 1000) return Number.isInteger(value) ? String(value) : value.toPrecision(value < 1 ? 1 : 3);
  const power = Math.min(UNITS.length, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** power).toPrecision(3)}${UNITS[power - 1]}`;
}

const UNITS = ["k", "M", "G", "T"];

function spanOf(us: number | undefined): string {
  if (us === undefined) return "-";
  if (us < 1000) return `${Math.round(us)}µs`;
  if (us < 1_000_000) return `${(us / 1000).toPrecision(3)}ms`;
  return us < 1_000_000_000 ? `${(us / 1_000_000).toPrecision(3)}s` : `${short(us / 1_000_000)}s`;
}
