/** How much a statement would touch: which ones are asked about, and what a profile says to the answer. docs/impact-guard.md */
import type { Analysis, Reading, StatementFacts, StatementKind } from "../sql/facts.ts";
import type { DecisionAction, Policy, Settings, Subject } from "./policy.ts";
import type { Evidence, RuleInput } from "./rule.ts";

export interface ImpactSettings {
  /** Estimated rows from which an action applies; undefined for never. */
  readonly rows: Readonly<Partial<Record<"warn" | "require-approval" | "block", number>>>;
  /** What becomes of a statement for which no estimate can be had. */
  readonly noEstimate: DecisionAction;
  /** A guarded statement that changes more rows is rolled back; undefined for no guard. */
  readonly changedRowsMax: number | undefined;
}

/** What has to be done about one text before, and while, it runs. */
export interface ImpactPlan {
  readonly needsEstimate: boolean;
  readonly changedRowsMax: number | undefined;
}

/** What EXPLAIN says something about, and what reads or changes rows that the text does not list. */
const ESTIMATED_KINDS: ReadonlySet<StatementKind> = new Set<StatementKind>([
  "select",
  "table",
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "insert-select",
  "replace-select",
]);

/** What answers with a count of rows changed, and can be taken back. */
const GUARDED_KINDS: ReadonlySet<StatementKind> = new Set<StatementKind>([
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "insert",
  "insert-select",
  "replace",
  "replace-select",
]);

/** Whether the plan for the text depends on its literals: on the number in a LIMIT, on how many rows are inserted. */
export function isImpactOf(analysis: Analysis, { impact }: Settings): boolean {
  if (impact === undefined) return false;
  return analysis.readings.some(({ statements }) =>
    statements.some(({ kind }) => ESTIMATED_KINDS.has(kind) || GUARDED_KINDS.has(kind)),
  );
}

/** Undefined where nothing is to be done: no impact settings, or a text that they are not about. */
export function planImpact(analysis: Analysis, { impact, mode }: Settings): ImpactPlan | undefined {
  if (impact === undefined || mode === "off") return undefined;
  const limits = Object.values(impact.rows);
  const needsEstimate = limits.length > 0 && analysis.readings.some((reading) => isEstimated(reading, limits));
  const rowsMax = mode === "enforce" ? impact.changedRowsMax : undefined;
  const isGuarded = rowsMax !== undefined && analysis.readings.every((reading) => isGuardedText(reading, rowsMax));
  if (!needsEstimate && !isGuarded) return undefined;
  return { needsEstimate, changedRowsMax: isGuarded ? rowsMax : undefined };
}

/** Whether anything in the policy wants an estimate. */
export function asksForEstimates({ base, profiles }: Policy): boolean {
  return [base, ...profiles.map(({ settings }) => settings)].some(
    ({ impact }) => impact !== undefined && Object.keys(impact.rows).length > 0,
  );
}

function isEstimated({ statements }: Reading, limits: readonly number[]): boolean {
  return statements.some((statement) => isTopLevel(statement) && mayBeLarge(statement, Math.min(...limits)));
}

/** A SELECT is bounded by a LIMIT below every threshold; what changes rows may have to look at all of them. */
function mayBeLarge(statement: StatementFacts, smallest: number): boolean {
  if (!ESTIMATED_KINDS.has(statement.kind) || statement.tablesRead.length + statement.tablesWritten.length === 0) {
    return false;
  }
  const isBounded =
    statement.kind === "select" && statement.limit?.rows !== undefined && statement.limit.rows < smallest;
  return !isBounded;
}

/** One statement whose OK_Packet is the whole answer. */
function isGuardedText({ statements, understood }: Reading, rowsMax: number): boolean {
  const [statement, ...others] = statements.filter(isTopLevel);
  if (!understood || statement === undefined || others.length > 0) return false;
  // ON DUPLICATE KEY UPDATE counts a row twice.
  if (statement.kind === "insert" && statement.valuesRows > 0 && 2 * statement.valuesRows <= rowsMax) return false;
  return GUARDED_KINDS.has(statement.kind) && !statement.modifiers.includes("returning");
}

function isTopLevel(statement: StatementFacts): boolean {
  return statement.parent === undefined;
}

const STRICTEST_FIRST = ["block", "require-approval", "warn"] as const;

export function findManyRows(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const rows = estimateFor(statement, input);
  const { impact } = input.settings;
  if (typeof rows !== "number" || impact === undefined) return undefined;
  for (const action of STRICTEST_FIRST) {
    const limit = impact.rows[action];
    if (limit === undefined || rows < limit) continue;
    const reason = `the server expects to go through about ${rows} rows, ${action} is set from ${limit}`;
    return { points: 0, start: statement.start, end: statement.end, reason, action };
  }
  return undefined;
}

export function findNoEstimate(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  if (estimateFor(statement, input) !== "unknown") return undefined;
  const action = input.settings.impact?.noEstimate ?? "allow";
  if (action === "allow") return undefined;
  return { points: 0, start: statement.start, end: statement.end, action };
}

function estimateFor(statement: StatementFacts, { subject, settings }: RuleInput): Subject["estimatedRows"] {
  if (subject.estimatedRows === undefined || settings.impact === undefined || !isTopLevel(statement)) return undefined;
  return ESTIMATED_KINDS.has(statement.kind) ? subject.estimatedRows : undefined;
}
