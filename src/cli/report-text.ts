/** A report of the audit log as data, and as Markdown that shows hostile names and statements as what they are. */
import { counted } from "../base/counted.ts";
import { visibleText } from "../base/visible-text.ts";
import type { DigestOrder, DigestView } from "../server/activity/statement-digests.ts";
import type { AuditReport } from "./audit-report.ts";

type Cell = string | number;
type Told = ReturnType<typeof tellReport>;

/** `top`: rows of each table. */
export function tellReport(report: AuditReport, top: number) {
  const { period, book, verdicts, beginsAt } = report;
  const all = digestsOf(report, "time", Number.POSITIVE_INFINITY);
  const {
    statements = 0,
    allowed = 0,
    warned = 0,
    blocked = 0,
    held = 0,
  } = verdicts.sorted("statements")[0]?.sums ?? {};
  const from = new Date(period.fromMs).toISOString();
  const users = book.usage.users(period.toMs).map(({ user, allowed: passed, ...more }) => {
    const { warnedHistory: _warned, blockedHistory: _blocked, heldHistory: _held, ...counts } = more;
    return { user, allowed: passed, ...counts };
  });
  const tables = book.usage.tables();
  return {
    from,
    to: new Date(period.toMs).toISOString(),
    /** Where the log begins; behind `from` it does not cover the period. */
    logBegins: beginsAt,
    totals: {
      ...{ statements, allowed, warned, blocked, held },
      ...{ users: users.length, digests: all.length, newDigests: report.newDigests },
      ...{ sessions: report.sessions, logins: report.logins, starts: report.starts, records: report.records },
    },
    outcomes: report.outcomes.sorted("statements").map(({ names, sums }) => ({ outcome: names[0] ?? "", ...sums })),
    listeners: report.listeners
      .sorted("statements", "held")
      .map(({ names, sums }) => ({ listener: names[0] ?? "", ...sums })),
    users: users.slice(0, top),
    rules: report.ruleUsers
      .sorted("blocked", "held", "warned")
      .slice(0, top)
      .map(({ names: [rule = "", user = ""], sums }) => ({ rule, user, ...sums })),
    topDigests: all.slice(0, top),
    newDigests: digestsOf(report, "count", Number.POSITIVE_INFINITY)
      .filter((digest) => digest.isNew)
      .slice(0, top),
    tables: tables.slice(0, top),
    approvals: report.approvers.sorted("requests").map(({ names: [approver = "", verdict = ""], sums }) => ({
      ...{ approver, verdict, requests: sums.requests },
      meanWaitMs: Math.round(sums.waitedMs / sums.requests),
    })),
    refusedConnections: report.refusals
      .sorted("connections")
      .map(({ names, sums }) => ({ error: names[0] ?? "", ...sums })),
    limits: report.guards
      .sorted("times")
      .map(({ names: [limit = "", action = ""], sums }) => ({ limit, action, ...sums })),
    tokens: report.mints.sorted("tokens").map(({ names, sums }) => ({ outcome: names[0] ?? "", ...sums })),
    policies: report.policies,
    gaps: report.gaps,
    notTold: notTold(report, { top, users: users.length, tables: tables.length }),
  };
}

function digestsOf(report: AuditReport, order: DigestOrder, limit: number) {
  const { digests } = report.book.digests.list({ order, offset: 0, limit }, report.period.toMs);
  return digests.map((view) => ({ ...briefOf(view), isNew: report.isNew(view) }));
}

function briefOf(view: DigestView) {
  const { digest, text, kind, count, allowed, warned, blocked, held, errors, rows, affectedRows, bytes, totalUs } =
    view;
  const { p99Us, users, tables, firstSeen } = view;
  return {
    ...{ digest, text: text ?? kind, count, allowed, warned, blocked, held, errors, rows, affectedRows, bytes },
    ...{ totalUs, p99Us, firstSeen, users: users.map(({ user }) => user), tables },
  };
}

/** What is in the log and not in the report, in sentences. */
function notTold(
  report: AuditReport,
  shown: { readonly top: number; readonly users: number; readonly tables: number },
): string[] {
  const { book, listeners, ruleUsers, approvers, refusals, guards } = report;
  const overflow = [listeners, ruleUsers, approvers, refusals, guards].reduce((sum, sums) => sum + sums.overflow, 0);
  const sentences: readonly (readonly [count: number, noun: string, rest: string])[] = [
    [shown.users - shown.top, "user", "more than are shown"],
    [ruleUsers.size - shown.top, "pair", "of rule and user more than are shown"],
    [shown.tables - shown.top, "pair", "of user and table more than are shown"],
    [book.digests.dropped, "statement", "of digests that made room for others"],
    [overflow, "time", "something was added up as (others)"],
    [report.unlisted, "line", "of gaps and policies more than are listed"],
    [report.unreadable, "line", "without a record: querycop audit verify says where"],
    [report.isKnownFull ? 1 : 0, "bound", "was reached: so many digests that some new ones are not told"],
  ];
  return sentences.filter(([count]) => count > 0).map(([count, noun, rest]) => `${counted(count, noun)} ${rest}`);
}

export function renderReport(told: Told): string {
  const { from, to, logBegins } = told;
  const reach =
    logBegins === undefined || logBegins <= from ? "" : `\nThe log begins at ${logBegins}, within the period.\n`;
  const parts = [
    `# Audit report, ${day(from)} to ${day(to)}\n${reach}`,
    ...activityTables(told),
    digestTable("Statements by time", told.topDigests),
    digestTable("New statements", told.newDigests),
    ...otherTables(told),
    gapsOf(told),
    told.notTold.length === 0 ? "" : `## Not told here\n\n${told.notTold.map((text) => `- ${text}\n`).join("")}`,
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function activityTables(told: Told): string[] {
  return [
    table(
      "Statements",
      ["statements", "allowed", "warned", "blocked", "held", "digests", "new", "users", "sessions"],
      [
        [
          told.totals.statements,
          told.totals.allowed,
          told.totals.warned,
          told.totals.blocked,
          told.totals.held,
          told.totals.digests,
          told.totals.newDigests,
          told.totals.users,
          told.totals.sessions,
        ],
      ],
    ),
    table(
      "How they ended",
      ["outcome", "statements"],
      told.outcomes.map(({ outcome, statements }) => [outcome, statements]),
    ),
    table(
      "Listeners",
      ["listener", "statements", "warned", "blocked", "held"],
      told.listeners.map((row) => [row.listener, row.statements, row.warned, row.blocked, row.held]),
    ),
    table(
      "Users, by bytes taken",
      ["user", "allowed", "warned", "blocked", "held", "rows", "changed", "bytes", "seconds"],
      told.users.map((row) => [
        row.user,
        row.allowed,
        row.warned,
        row.blocked,
        row.held,
        row.rows,
        row.affectedRows,
        row.bytes,
        seconds(row.totalUs),
      ]),
    ),
    table(
      "Blocked, held and warned of, by rule and user",
      ["rule", "user", "blocked", "held", "warned"],
      told.rules.map((row) => [row.rule, row.user, row.blocked, row.held, row.warned]),
    ),
  ];
}

function otherTables(told: Told): string[] {
  return [
    table(
      "Who uses which table",
      ["user", "table", "statements"],
      told.tables.map((row) => [row.user, row.table, row.count]),
    ),
    table(
      "Approvals",
      ["answered by", "how", "requests", "mean wait, s"],
      told.approvals.map((row) => [
        row.approver === "" ? "nobody" : row.approver,
        row.verdict,
        row.requests,
        (row.meanWaitMs / 1000).toFixed(1),
      ]),
    ),
    table(
      "Connections refused",
      ["error", "connections"],
      told.refusedConnections.map((row) => [row.error, row.connections]),
    ),
    table(
      "Limits",
      ["limit", "what was done", "times"],
      told.limits.map((row) => [row.limit, row.action, row.times]),
    ),
    table(
      "Tokens",
      ["outcome", "tokens"],
      told.tokens.map((row) => [row.outcome, row.tokens]),
    ),
    table(
      "Policies",
      ["time", "version", "outcome", "by"],
      told.policies.map((row) => [row.time, row.version, row.outcome, row.by]),
    ),
  ];
}

const seconds = (us: number): string => (us / 1e6).toFixed(1);
const day = (time: string): string => time.slice(0, 16).replace("T", " ");

function gapsOf({ gaps, totals }: Told): string {
  const none = `## Gaps\n\nNone told in ${counted(totals.records, "record")}. \`querycop audit verify\` checks hashes and signatures.\n`;
  const rows = gaps.map(({ time, reason, lost }) => [time, reason, lost]);
  return gaps.length === 0 ? none : table("Gaps", ["time", "reason", "lost"], rows);
}

function digestTable(title: string, digests: Told["topDigests"]): string {
  const rows = digests.map((row): Cell[] => [
    row.digest.slice(0, 16),
    row.count,
    seconds(row.totalUs),
    row.rows + row.affectedRows,
    row.blocked + row.held,
    row.users.slice(0, 3).join(" "),
    row.text,
  ]);
  return table(title, ["digest", "times", "seconds", "rows", "stopped", "users", "statement"], rows, true);
}

/** Nothing where there are no rows. The last column is code where `isCode`. */
function table(title: string, head: readonly string[], rows: readonly (readonly Cell[])[], isCode = false): string {
  if (rows.length === 0) return "";
  const lines = rows.map((row) =>
    row.map((cell, index) => {
      if (typeof cell === "number") return String(cell);
      return isCode && index === row.length - 1 ? codeOf(cell) : plainOf(cell);
    }),
  );
  const right = (index: number): string => (typeof rows[0]?.[index] === "number" ? "---:" : "---");
  const bar = head.map((_, index) => right(index));
  return `## ${title}\n\n${[head, bar, ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("")}`;
}

const TEXT_CHARACTERS_MAX = 160;

/** Code in a cell of a table: nothing in it can end the code or the cell. */
function codeOf(text: string): string {
  const cut = text.length > TEXT_CHARACTERS_MAX ? `${text.slice(0, TEXT_CHARACTERS_MAX)}…` : text;
  const shown = visibleText(cut).replaceAll("|", "\\|");
  let fence = "`";
  while (shown.includes(fence)) fence += "`";
  return `${fence} ${shown} ${fence}`;
}

/** As text in a cell: nothing in it is Markdown or HTML. */
function plainOf(text: string): string {
  return visibleText(text).replaceAll(/[\\`*_{}[\]<>()#+!|~&]/g, "\\$&");
}
