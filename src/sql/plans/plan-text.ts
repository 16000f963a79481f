/** What EXPLAIN ANALYZE VERBOSE prints → its nodes and its sums. PostgreSQL's text (explain.c), and the lines Aurora DSQL adds. */

export interface PlanNode {
  /** 0 for the outermost. */
  readonly depth: number;
  /** `Index Scan using orders_pkey on public.orders o`. */
  readonly title: string;
  /** As the plan has it, with its schema. */
  readonly table: string | undefined;
  readonly estimatedRows: number;
  /** Of one loop; undefined where it has never run. */
  readonly actualRows: number | undefined;
  readonly loops: number;
  /** Of all loops, with the nodes below it. */
  readonly totalMs: number | undefined;
  /** Lines such as `Index Cond: …`, without their indentation. */
  readonly details: readonly string[];
}

export interface PlanText {
  readonly nodes: readonly PlanNode[];
  readonly queryId: string | undefined;
  readonly planningMs: number | undefined;
  readonly executionMs: number | undefined;
  /** Lines about DPUs, as Aurora DSQL has them. */
  readonly dpu: readonly string[];
}

const NODE =
  /^( *)(?:-> {2})?(\S.*?) {2}\(cost=[\d.]+\.\.[\d.]+ rows=(\d+) width=\d+\) \((?:actual (?:time=[\d.]+\.\.([\d.]+) )?rows=([\d.]+) loops=(\d+)|never executed)\)$/;
const LINES_MAX = 20_000;
const LINE_CHARS_MAX = 10_000;

/** Of one line of EXPLAIN each. What is not understood is left out. */
export function readPlan(lines: readonly string[]): PlanText {
  const nodes: (PlanNode & { readonly details: string[]; readonly indent: number })[] = [];
  const sums = new Map<string, string>();
  const dpu: string[] = [];
  for (const line of lines.slice(0, LINES_MAX)) {
    if (line.length > LINE_CHARS_MAX) continue;
    const match = NODE.exec(line);
    if (match !== null) nodes.push(nodeOf(match, nodes));
    else if (/\bDPU\b/.test(line)) dpu.push(line.trim());
    else if (!line.startsWith(" ") && line.includes(": ")) {
      const at = line.indexOf(": ");
      sums.set(line.slice(0, at).toLowerCase(), line.slice(at + 2));
    } else if (line.startsWith(" ")) nodes.at(-1)?.details.push(line.trim());
  }
  const ms = (name: string): number | undefined => {
    const value = Number.parseFloat(sums.get(name) ?? "");
    return Number.isFinite(value) ? value : undefined;
  };
  return {
    nodes,
    queryId: sums.get("query identifier") ?? sums.get("queryid") ?? sums.get("query id"),
    planningMs: ms("planning time"),
    executionMs: ms("execution time"),
    dpu,
  };
}

function nodeOf(match: RegExpExecArray, before: readonly { readonly indent: number; readonly depth: number }[]) {
  const [, blanks = "", title = "", estimated = "0", time, actual, loops = "0"] = match;
  const parent = before.findLast(({ indent }) => indent < blanks.length);
  const runs = Number(loops);
  return {
    indent: before.length === 0 ? -1 : blanks.length,
    depth: before.length === 0 || parent === undefined ? 0 : parent.depth + 1,
    title,
    table: / on ((?:"(?:[^"]|"")*"|[^\s."]+)\.(?:"(?:[^"]|"")*"|[^\s."]+))/.exec(title)?.[1],
    estimatedRows: Number(estimated),
    actualRows: actual === undefined ? undefined : Number(actual),
    loops: runs,
    totalMs: time === undefined ? undefined : Number(time) * runs,
    details: [] as string[],
  };
}

export type EstimateClass = "near" | "off" | "wrong" | "never ran";

/** By how many times the planner was wrong, either way. A node without rows counts as one with one. */
export function estimateError({ estimatedRows, actualRows }: PlanNode): number {
  const [estimated, actual] = [Math.max(1, estimatedRows), Math.max(1, actualRows ?? estimatedRows)];
  return Math.max(estimated / actual, actual / estimated);
}

const OFF = 3;
const WRONG = 10;

export function estimateClass(node: PlanNode): EstimateClass {
  if (node.actualRows === undefined) return "never ran";
  const error = estimateError(node);
  if (error < OFF) return "near";
  return error < WRONG ? "off" : "wrong";
}
