/** What was found of a plan → a report in Markdown. */
import { estimateClass, estimateError, type PlanNode, type PlanText } from "./plan-text.ts";

export interface TableEvidence {
  /** As the plan has it. */
  readonly table: string;
  /** What the statistics say; undefined where the table has never been analysed. */
  readonly estimatedRows: number | undefined;
  /** Undefined where it was not counted. */
  readonly countedRows: number | undefined;
  readonly indexes: readonly string[];
  readonly columns: readonly ColumnEvidence[];
}

export interface ColumnEvidence {
  readonly column: string;
  readonly distinct: string;
  readonly nulls: string;
  readonly correlation: string;
}

export interface Experiment {
  readonly setting: string;
  /** Undefined where it was not tried. */
  readonly executionMs: number | undefined;
}

export interface PlanReport {
  readonly connection: string;
  readonly given: string;
  readonly explained: string;
  readonly isRewritten: boolean;
  readonly lines: readonly string[];
  readonly plan: PlanText;
  readonly tables: readonly TableEvidence[];
  readonly experiments: readonly Experiment[];
  /** Why there are no experiments, or what could not be asked. */
  readonly notes: readonly string[];
}

export function renderPlanReport(report: PlanReport): string {
  const { plan, given, explained, isRewritten, connection } = report;
  const head = [
    "# Query plan",
    "",
    `- Connection: ${connection}`,
    `- Query id: ${plan.queryId ?? "the server does not tell one (compute_query_id)"}`,
    `- Planning time: ${ms(plan.planningMs)}`,
    `- Execution time: ${ms(plan.executionMs)}`,
    ...(plan.dpu.length === 0 ? ["- DPU: the server does not tell"] : plan.dpu.map((line) => `- ${line}`)),
    "",
    "## Statement",
    "",
    ...fenced("sql", given),
    ...(isRewritten
      ? [
          "",
          "It changes rows, so the SELECT that reads the same rows was run in its place:",
          "",
          ...fenced("sql", explained),
        ]
      : []),
  ];
  const sections = [
    head,
    ["## Estimates", "", ...estimates(plan.nodes)],
    ["## Where the time goes", "", ...slowest(plan.nodes)],
    ["## Evidence", "", ...report.tables.flatMap(evidence)],
    ["## Experiments", "", ...experiments(report.experiments, plan.executionMs)],
    ...(report.notes.length === 0 ? [] : [["## Notes", "", ...report.notes.map((note) => `- ${note}`)]]),
    ["## Plan", "", ...fenced("", report.lines.join("\n"))],
  ];
  return `${sections.map((lines) => lines.join("\n").trimEnd()).join("\n\n")}\n`;
}

const ms = (value: number | undefined): string => (value === undefined ? "not told" : `${value} ms`);

/** With more backquotes than the text has in a row. */
function fenced(language: string, text: string): string[] {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return [`${fence}${language}`, text, fence];
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

function estimates(nodes: readonly PlanNode[]): string[] {
  const rows = nodes.map((node) => [
    `${"· ".repeat(node.depth)}${node.title}`,
    String(node.estimatedRows),
    node.actualRows === undefined ? "-" : String(node.actualRows),
    String(node.loops),
    node.actualRows === undefined ? "never ran" : `${estimateError(node).toFixed(1)} × (${estimateClass(node)})`,
  ]);
  const wrong = nodes.filter((node) => estimateClass(node) === "wrong");
  const verdict =
    wrong.length === 0
      ? "No estimate is wrong by 10 times or more."
      : `Wrong by 10 times or more: ${wrong.map(({ title }) => title).join("; ")}. Statistics that are old, or columns that depend on each other, make such errors: ANALYZE the table first.`;
  return [...table(["node", "estimated rows", "actual rows", "loops", "error"], rows), "", verdict];
}

const SLOWEST = 5;

function slowest(nodes: readonly PlanNode[]): string[] {
  const timed = nodes.map((node, index) => ({ node, ownMs: ownTime(nodes, index) }));
  const rows = timed
    .filter(({ ownMs }) => ownMs > 0)
    .sort((one, other) => other.ownMs - one.ownMs)
    .slice(0, SLOWEST)
    .map(({ node, ownMs }) => [node.title, `${ownMs.toFixed(3)} ms`, node.details.filter(isTelling).join("; ")]);
  return rows.length === 0
    ? ["The server does not time its nodes."]
    : table(["node", "own time", "what it says"], rows);
}

const isTelling = (line: string): boolean =>
  /^(?:Filter|Index Cond|Hash Cond|Join Filter|Rows Removed|Sort Method|Heap)/.test(line);

/** Without the nodes right below it. */
function ownTime(nodes: readonly PlanNode[], index: number): number {
  const node = nodes[index] as PlanNode;
  let own = node.totalMs ?? 0;
  for (const below of nodes.slice(index + 1)) {
    if (below.depth <= node.depth) break;
    if (below.depth === node.depth + 1) own -= below.totalMs ?? 0;
  }
  return own;
}

function evidence({ table: name, estimatedRows, countedRows, indexes, columns }: TableEvidence): string[] {
  const rows = estimatedRows === undefined ? "never analysed" : `${estimatedRows} rows by its statistics`;
  return [
    `### ${name}`,
    "",
    `- ${rows}${countedRows === undefined ? ", not counted" : `, ${countedRows} counted`}`,
    ...(indexes.length === 0 ? ["- no index"] : indexes.map((definition) => `- \`${definition}\``)),
    ...(columns.length === 0
      ? []
      : [
          "",
          ...table(
            ["column", "distinct values", "NULLs", "correlation"],
            columns.map((one) => [one.column, one.distinct, one.nulls, one.correlation]),
          ),
        ]),
    "",
  ];
}

function experiments(tried: readonly Experiment[], executionMs: number | undefined): string[] {
  if (tried.length === 0) return ["None."];
  const rows = tried.map(({ setting, executionMs: other }) => [
    `SET ${setting}`,
    ms(other),
    other === undefined || executionMs === undefined || executionMs === 0
      ? "-"
      : `${(other / executionMs).toFixed(2)} ×`,
  ]);
  return table(["with", "execution time", "of the plan's"], rows);
}
