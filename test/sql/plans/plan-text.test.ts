import assert from "node:assert/strict";
import { test } from "node:test";
import { renderPlanReport } from "../../../src/sql/plans/plan-report.ts";
import { estimateClass, readPlan } from "../../../src/sql/plans/plan-text.ts";

/** As PostgreSQL 15 prints it, with the lines that Aurora DSQL's manual shows. */
const LINES = [
  "Nested Loop  (cost=0.29..16.60 rows=1 width=8) (actual time=0.050..9.500 rows=40 loops=1)",
  "  Output: o.id, c.name",
  "  ->  Seq Scan on public.orders o  (cost=0.00..8.30 rows=2 width=8) (actual time=0.010..2.000 rows=10 loops=1)",
  "        Output: o.id, o.customer",
  "        Filter: (o.total > 5)",
  "        Rows Removed by Filter: 990",
  '  ->  Index Scan using customers_pkey on public."Cust|omers" c  (cost=0.29..8.30 rows=1 width=8) (actual time=0.100..0.500 rows=4 loops=10)',
  "        Index Cond: (c.id = o.customer)",
  "  ->  Result  (cost=0.00..0.01 rows=1 width=4) (never executed)",
  "Query Identifier: -4711",
  "Planning Time: 0.125 ms",
  "Execution Time: 9.750 ms",
  "Statement DPU Estimate:",
  "  Total: 0.01234 DPU",
];

test("nodes, their tables, and the sums of a plan are read", () => {
  const plan = readPlan(LINES);
  assert.deepEqual(
    plan.nodes.map(({ depth, table, estimatedRows, actualRows, loops, totalMs }) => [
      depth,
      table,
      estimatedRows,
      actualRows,
      loops,
      totalMs,
    ]),
    [
      [0, undefined, 1, 40, 1, 9.5],
      [1, "public.orders", 2, 10, 1, 2],
      [1, 'public."Cust|omers"', 1, 4, 10, 5],
      [1, undefined, 1, undefined, 0, undefined],
    ],
  );
  assert.deepEqual(plan.nodes.map(estimateClass), ["wrong", "off", "off", "never ran"]);
  assert.deepEqual([plan.queryId, plan.planningMs, plan.executionMs], ["-4711", 0.125, 9.75]);
  assert.deepEqual(plan.dpu, ["Statement DPU Estimate:", "Total: 0.01234 DPU"]);
  assert.deepEqual(plan.nodes[1]?.details, [
    "Output: o.id, o.customer",
    "Filter: (o.total > 5)",
    "Rows Removed by Filter: 990",
  ]);
});

test("the report holds whatever a text or name says within its own place", () => {
  const report = renderPlanReport({
    connection: "shop",
    given: "SELECT '```\n# not a heading'",
    explained: "SELECT '```\n# not a heading'",
    isRewritten: false,
    lines: LINES,
    plan: readPlan(LINES),
    tables: [
      {
        table: "public.orders",
        estimatedRows: 1000,
        countedRows: 1000,
        indexes: ["CREATE INDEX x ON public.orders USING btree (id)"],
        columns: [{ column: "total", distinct: "-1", nulls: "0", correlation: "1" }],
      },
    ],
    experiments: [{ setting: "enable_seqscan = off", executionMs: 19.5 }],
    notes: [],
  });
  assert.match(report, /^````sql\nSELECT '```\n# not a heading'\n````$/m);
  assert.match(
    report,
    /\| · Index Scan using customers_pkey on public\."Cust\\\|omers" c \| 1 \| 4 \| 10 \| 4\.0 × \(off\) \|/,
  );
  assert.match(
    report,
    /\| Seq Scan on public\.orders o \| 2\.000 ms \| Filter: \(o\.total > 5\); Rows Removed by Filter: 990 \|/,
  );
  assert.match(report, /\| SET enable_seqscan = off \| 19\.5 ms \| 2\.00 × \|/);
  assert.match(
    report,
    /- Query id: -4711\n- Planning time: 0\.125 ms\n- Execution time: 9\.75 ms\n- Statement DPU Estimate:\n- Total: 0\.01234 DPU/,
  );
});
