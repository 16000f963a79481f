/** Reports of plans of many kinds, as test/golden/plan-reports.txt shows them, and how much of a plan is read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PlanReport, renderPlanReport } from "../../../src/sql/plans/plan-report.ts";
import { estimateClass, readPlan } from "../../../src/sql/plans/plan-text.ts";
import { assertGolden } from "../../config/golden.ts";

function node(indent: number, title: string, estimated: number, ran: string): string {
  const arrow = indent === 0 ? "" : `${" ".repeat(indent)}->  `;
  return `${arrow}${title}  (cost=0.00..8.30 rows=${estimated} width=8) (${ran})`;
}

const ran = (ms: number | undefined, rows: number, loops: number): string =>
  `actual ${ms === undefined ? "" : `time=0.001..${ms.toFixed(3)} `}rows=${rows} loops=${loops}`;

const LINES: Readonly<Record<string, readonly string[]>> = {
  "nothing at all": [],
  "one node that has run": [node(0, "Result", 1, ran(0.5, 1, 1)), "Planning Time: 0.1 ms", "Execution Time: 0 ms"],
  "no times": [node(0, "Seq Scan on public.t", 9, ran(undefined, 3, 1)), "QueryId: 12", "Execution Time: often"],
  "estimates around three and ten times": [
    node(0, "Append", 100, ran(9, 34, 1)),
    node(2, "Seq Scan on public.a", 100, ran(1, 33.34, 1)),
    node(2, "Seq Scan on public.b", 30, ran(1, 90, 1)),
    node(2, "Seq Scan on public.c", 100, ran(1, 10.01, 1)),
    node(2, "Seq Scan on public.d", 10, ran(1, 100, 1)),
    node(2, "Seq Scan on public.e", 0, ran(1, 0, 1)),
    node(2, "Seq Scan on public.f", 7, "never executed"),
  ],
  "levels and details": [
    node(0, "Sort", 5, ran(20, 5, 1)),
    "  Output: a",
    "  Sort Method: quicksort  Memory: 25kB",
    node(2, "Hash Join", 5, ran(18, 5, 1)),
    "        Hash Cond: (a.x = b.y)",
    "        Join Filter: (a.z > b.z)",
    node(8, "Seq Scan on public.a a_1", 10, ran(4, 10, 1)),
    "              Filter: ((w)::text = 'a|b'::text)",
    "              Rows Removed by Filter: 3",
    node(8, "Hash", 10, ran(5, 10, 1)),
    "              Buckets: 1024",
    node(14, 'Bitmap Heap Scan on "S p"."T""b" c', 10, ran(0.25, 10, 8)),
    "                    Heap Blocks: exact=3",
    node(14, "Index Only Scan using i on public.d", 10, ran(1, 10, 3)),
    "                    Index Cond: (k = 1)",
    node(2, "Materialize", 1, ran(0, 1, 1)),
    "Query ID: -9",
    "Planning Time: 1 ms",
    "Execution Time: 21.5 ms",
    "Statement DPU Estimate:",
    "  Compute: 0.5 DPU",
    " a line of nothing",
    "a line of nothing: ",
  ],
};

const base: Omit<PlanReport, "lines" | "plan"> = {
  connection: "shop",
  given: "SELECT 1",
  explained: "SELECT 2",
  isRewritten: false,
  tables: [],
  experiments: [],
  notes: [],
};

const TABLES: PlanReport["tables"] = [
  { table: "public.a", estimatedRows: undefined, countedRows: undefined, indexes: [], columns: [] },
  {
    table: "public.b",
    estimatedRows: 0,
    countedRows: 0,
    indexes: ["CREATE INDEX i", "CREATE INDEX j"],
    columns: [
      { column: "x|y", distinct: "-0.5", nulls: "0 %", correlation: "1" },
      { column: "z", distinct: "7", nulls: "12 %", correlation: "not told" },
    ],
  },
];

const EXPERIMENTS: PlanReport["experiments"] = [
  { setting: "enable_seqscan = off", executionMs: 43 },
  { setting: "enable_hashjoin = off", executionMs: undefined },
];

const MORE: Readonly<Record<string, Partial<PlanReport>>> = {
  "and no more": {},
  "tables, experiments and notes": { tables: TABLES, experiments: EXPERIMENTS, notes: ["One.", "Two."] },
  "another statement run": { isRewritten: true, given: "DELETE FROM t -- ```` `", explained: "SELECT `a`" },
};

test("reports are as test/golden/plan-reports.txt shows them", () => {
  const pages = Object.entries(LINES).flatMap(([plan, lines]) =>
    Object.entries(MORE).map(
      ([more, parts]) =>
        `=== ${plan}, ${more}\n${renderPlanReport({ ...base, lines, plan: readPlan(lines), ...parts })}`,
    ),
  );
  assertGolden("plan-reports.txt", pages.join("\n"));
});

test("20,000 lines of 10,000 characters are read", () => {
  const lines = [node(0, "Result", 1, ran(1, 1, 1)), ...Array(20_000).fill("  Output: a")];
  assert.equal(readPlan(lines).nodes[0]?.details.length, 19_999);
  assert.equal(readPlan([`planning time: 1${" ".repeat(9_984)}`]).planningMs, 1);
  assert.equal(readPlan([`planning time: 1${" ".repeat(9_985)}`]).planningMs, undefined);
});

test("an estimate is off by three times and wrong by ten", () => {
  const classOf = (estimated: number, actual: string): string =>
    estimateClass(readPlan([node(0, "Result", estimated, actual)]).nodes[0] as never);
  assert.deepEqual(
    [ran(1, 1, 1), ran(1, 2.99, 1), ran(1, 3, 1), ran(1, 9.99, 1), ran(1, 10, 1), "never executed"].map((actual) =>
      classOf(1, actual),
    ),
    ["near", "near", "off", "off", "wrong", "never ran"],
  );
});
