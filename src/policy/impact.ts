/** How much a statement would touch: which ones are asked about, and what a profile says to the answer. docs/impact-guard.md */
import type { Analysis, Reading, StatementFacts, StatementKind, StatementOrigin } from "../sql/facts.ts";
import type { DecisionAction, Policy, Settings, Subject } from "./policy.ts";
import type { Evidence, RuleInput } from "./rules/rule.ts";

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

/** Whether EXPLAIN can be put before a text of this kind: nothing may stand between the two. */
export function isEstimable(kind: string | undefined): boolean {
  return ESTIMATED_KINDS.has(kind as StatementKind);
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
export function planImpact(
  analysis: Analysis,
  { impact, mode }: Settings,
  { boundRows = 1 }: Pick<Subject, "boundRows"> = {},
): ImpactPlan | undefined {
  if (impact === undefined || mode === "off") return undefined;
  const limits = Object.values(impact.rows);
  const needsEstimate = limits.length > 0 && analysis.readings.some((reading) => isEstimated(reading, limits));
  const rowsMax = mode === "enforce" ? impact.changedRowsMax : undefined;
  const isGuarded =
    rowsMax !== undefined && analysis.readings.every((reading) => isGuardedText(reading, rowsMax, boundRows));
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
  return statements.some((statement) => runs(statement, statements) && mayBeLarge(statement, Math.min(...limits)));
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

/** One statement that changes rows, and whose OK_Packet is the whole answer. */
function isGuardedText(reading: Reading, rowsMax: number, boundRows: number): boolean {
  return (
    reading.understood &&
    reading.statements.some((statement) => mayChangeMany(statement, reading, { rowsMax, boundRows })) &&
    isCounted(reading)
  );
}

/** ON DUPLICATE KEY UPDATE counts a row twice. */
function mayChangeMany(
  statement: StatementFacts,
  { statements }: Reading,
  { rowsMax, boundRows }: { readonly rowsMax: number; readonly boundRows: number },
): boolean {
  const { kind, valuesRows } = statement;
  if (!GUARDED_KINDS.has(kind) || !runs(statement, statements)) return false;
  return kind !== "insert" || valuesRows === 0 || 2 * valuesRows * boundRows > rowsMax;
}

const counted = new WeakMap<readonly StatementFacts[], boolean>();

/** Whether the answer is an OK_Packet with the rows of all changes: not rows, not one answer of several. */
function isCounted({ statements }: Reading): boolean {
  let known = counted.get(statements);
  if (known === undefined) {
    known = areChangesCounted(statements);
    counted.set(statements, known);
  }
  return known;
}

function areChangesCounted(statements: readonly StatementFacts[]): boolean {
  if (statements.filter(({ parent }) => parent === undefined).length > 1) return false;
  const changes = statements.filter((statement) => GUARDED_KINDS.has(statement.kind) && runs(statement, statements));
  const [change, ...others] = changes;
  if (change === undefined || others.length > 0 || change.modifiers.includes("returning")) return false;
  for (let each: StatementFacts | undefined = change; each !== undefined; each = parentOf(each, statements)) {
    if (UNCOUNTED_ORIGINS.has(each.within)) return false;
  }
  return true;
}

/** ANALYZE answers with a plan, a compound statement with as many answers as it likes, a procedure too. */
const UNCOUNTED_ORIGINS: ReadonlySet<StatementOrigin> = new Set<StatementOrigin>([
  "explain-analyze",
  "body",
  "executor-argument",
]);

/** Statements that keep their body for later. */
const STORING = /^(?:create|alter)-/;

const running = new WeakMap<readonly StatementFacts[], ReadonlySet<StatementFacts>>();

/** Whether the statement runs with its text, at whatever depth. */
function runs(statement: StatementFacts, statements: readonly StatementFacts[]): boolean {
  let known = running.get(statements);
  if (known === undefined) {
    known = runningOf(statements);
    running.set(statements, known);
  }
  return known.has(statement);
}

/** Statements come after those that they are in, so that each is looked at once however deep it is. */
function runningOf(statements: readonly StatementFacts[]): ReadonlySet<StatementFacts> {
  const found = new Set<StatementFacts>();
  for (const statement of statements) {
    const parent = parentOf(statement, statements);
    if (parent === undefined || (found.has(parent) && runsWithin(statement, parent))) found.add(statement);
  }
  return found;
}

function runsWithin({ within }: StatementFacts, parent: StatementFacts): boolean {
  if (within === "explained" || within === "event-body" || within === "trigger-body") return false;
  if (within === "prepared-literal") return parent.kind === "execute-immediate";
  return within !== "body" || !STORING.test(parent.kind);
}

function parentOf({ parent }: StatementFacts, statements: readonly StatementFacts[]): StatementFacts | undefined {
  return parent === undefined ? undefined : statements[parent];
}

/** What runs behind a name runs under the plan of what it is. */
export function togetherWith(
  outer: ImpactPlan | undefined,
  inner: readonly (ImpactPlan | undefined)[],
): ImpactPlan | undefined {
  const plans = [outer, ...inner].filter((plan) => plan !== undefined);
  if (plans.length === 0) return undefined;
  const limits = plans.flatMap(({ changedRowsMax }) => changedRowsMax ?? []);
  return {
    needsEstimate: plans.some(({ needsEstimate }) => needsEstimate),
    changedRowsMax: limits.length === 0 ? undefined : Math.min(...limits),
  };
}

/** SAFETY: a change that cannot be counted and taken back does not run where changes are to be counted. */
export function findUncounted(
  statement: StatementFacts,
  { settings, reading, subject }: RuleInput,
): Evidence | undefined {
  const { changedRowsMax: rowsMax, noEstimate = "allow" } = settings.impact ?? {};
  const { boundRows = 1 } = subject;
  if (rowsMax === undefined || !mayChangeMany(statement, reading, { rowsMax, boundRows })) return undefined;
  const { start, end, kind } = statement;
  if (!isCounted(reading)) {
    const reason = `max_changed_rows is ${rowsMax}, and in this form nobody counts the rows that ${kind} changes`;
    return { points: 0, start, end, reason, action: "block" };
  }
  if (subject.canTakeBack !== false || noEstimate === "allow") return undefined;
  const reason = `max_changed_rows is ${rowsMax}, and behind LOCK TABLES nothing can take back what ${kind} changes`;
  return { points: 0, start, end, reason, action: noEstimate };
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

function estimateFor(statement: StatementFacts, { subject, settings, reading }: RuleInput): Subject["estimatedRows"] {
  if (subject.estimatedRows === undefined || settings.impact === undefined) return undefined;
  return ESTIMATED_KINDS.has(statement.kind) && runs(statement, reading.statements) ? subject.estimatedRows : undefined;
}
