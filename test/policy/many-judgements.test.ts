/**
 * What judges say, remember, hand on and forget, over statements that come again in other sessions, with other values, at
 * other times and under another policy: too much to be read. test/golden/many-judgements.txt holds a sum for each run;
 * `MANY_JUDGEMENTS='mysql 3'` prints what is behind it, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { asksForEstimates } from "../../src/policy/impact.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import type { Policy, Subject } from "../../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import { strictestOf } from "../../src/policy/schema-profiles.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { BoundValue, SqlContext } from "../../src/sql/facts.ts";
import { assertGoldenPart } from "../config/golden.ts";
import { Dice } from "../support/digest-oracle.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";
import { POSTGRES_TEXTS } from "../support/postgres-texts.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";
import { NOON, policyFrom, SUBJECT } from "./policy-fixture.ts";

const TIMEOUT_MS = 120_000;
const RUNS = 24;
const STEPS = 60;
before(readyToParse);

const EXPIRES = "reason: x, expires: 2026-11-22";
const POLICIES = [
  "",
  "read_only: true\nmulti_statements: true\nallow: { tables: [t, shop.u], functions: [f] }",
  "multi_statements: true\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]\nlimits: { max_response_rows: 7 }",
  "tenants: [{ tables: [orders, t], column: tenant_id, value: -12 }, { tables: [u], column: a, value: ab-c }]",
  "tenants: [{ tables: [orders], column: tenant_id }]\nthresholds: { warn: 10, require_approval: 30, block: 90 }",
  "impact: { estimated_rows: { warn: 10, require_approval: 50, block: 1000 }, no_estimate: block, max_changed_rows: 5 }",
  "impact: { estimated_rows: { block: 1000 } }\nrule_sets: { injection: observe, dml: off }",
  "profiles:\n  - { name: i, match: { users: [bob] }, impact: { estimated_rows: { warn: 5 }, no_estimate: warn } }",
  `exceptions:\n  - { id: a, rules: [dml.nowhere], users: [app], schemas: [shop], ${EXPIRES} }\n  - { id: b, rules: ["ddl.*"], addresses: [10.0.0.0/8], tables: [t], ${EXPIRES} }`,
  `exceptions:\n  - { id: c, rules: ["*"], schemas: ["s*"], ${EXPIRES} }\nmode: observe`,
  "profiles:\n  - { name: p, match: { schemas: [pay, s] }, read_only: true, limits: { max_response_rows: 5, max_response_mb: off }, impact: { max_changed_rows: 3 } }\n  - { name: q, match: { schemas: [shop] }, limits: { max_response_rows: 9, data_guard_action: warn }, tenants: [{ tables: [orders], column: tenant_id, value: 7 }] }\n  - { name: r, match: { users: [bob] }, mode: observe, deny: { statements: [delete] } }",
  "mode: off\nread_only: true\nlimits: { max_window_mb: 1 }",
] as const;

/** Statements whose values rules look at, beside those of every form. */
const VALUED = [
  ..."SELECT a FROM orders WHERE tenant_id = ?|SELECT a FROM orders WHERE tenant_id = ? AND b = ? LIMIT ?|SELECT a FROM t WHERE a = ?".split(
    "|",
  ),
  ..."UPDATE orders SET a = ? WHERE tenant_id = ? AND b IN (?, ?)|INSERT INTO orders (tenant_id, a) VALUES (?, ?), (?, ?)".split(
    "|",
  ),
  ..."DELETE FROM t WHERE a = ?|SELECT SLEEP(?)|SELECT * FROM t WHERE ? OR a = ?|SELECT ? FROM u WHERE a > ?|CALL f(?, ?)".split(
    "|",
  ),
  ..."SELECT a FROM t WHERE a = ? AND b = 'x\\'y'|REPLACE INTO u (a) VALUES (?)|SELECT a FROM pay.t WHERE b = ?|SET @a = ?".split(
    "|",
  ),
];

const bytes = (text: string): Uint8Array => Buffer.from(text);
const VALUES: readonly BoundValue[] = [
  ...[
    "7",
    "12",
    "ab-c",
    "x' OR 1=1 -- ",
    "",
    "a;b",
    "é",
    "2026-01-01 10:00:00",
    "a@b.c:1+2/3_",
    "x".repeat(200),
    "x".repeat(201),
  ],
  ...[null, undefined, 0, 1, -1, 2, -2, 7, 12, -12, 1.5, 2 ** 53, 7n, -12n, 1n, 10n ** 20n],
  ...[
    bytes("7"),
    bytes("ab-c"),
    bytes("y".repeat(200)),
    bytes("y".repeat(201)),
    new Uint8Array([0xe9]),
    new Uint8Array([]),
  ],
];

type Engine = "mysql" | "postgresql";

const TEXTS: Readonly<Record<Engine, readonly string[]>> = {
  mysql: [...STATEMENT_TEXTS.flatMap(({ texts }) => texts), ...VALUED, ...VALUED, ...VALUED, ...VALUED],
  postgresql: [
    ...Object.values(POSTGRES_TEXTS).flat(),
    ...[...VALUED, ...VALUED, ...VALUED].map((text) => {
      let count = 0;
      return text.replace(/\?/g, () => `$${++count}`);
    }),
  ],
};

function contextOf(engine: Engine, dice: Dice, schema: string | undefined): SqlContext {
  if (engine === "mysql") {
    const dialect = dice.pick(["mysql", "mysql", "mariadb", "vitess"] as const);
    return { ...contextFor({ schema, dialect, sqlMode: dice.pick(["", "", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"]) }) };
  }
  const searchPath = dice.pick([["public"], ["public"], ["pay"], "unknown"] as const);
  return { ...POSTGRES_CONTEXT, schema, searchPath, standardConformingStrings: dice.pick(["on", "on", "off"]) };
}

function subjectOf(dice: Dice, schema: string | undefined): Subject {
  const often = dice.below(3) > 0;
  return {
    ...SUBJECT,
    user: dice.pick(["app", "app", "bob"]),
    schema,
    ...(often
      ? {}
      : {
          clientAddress: dice.pick(["10.1.2.3", "192.0.2.1", "unix"]),
          isTls: dice.below(2) === 0,
          isInTransaction: dice.below(2) === 0,
          backendRole: dice.pick(["writer", "reader", undefined]),
          backendPooler: dice.pick(["vitess", "proxysql", undefined]),
          isAurora: dice.pick([true, undefined]),
          knowsNamed: dice.pick([true, false]),
          ignoresTableCase: dice.pick([true, false]),
        }),
    ...(dice.below(4) === 0 ? { estimatedRows: dice.pick([4, 5, 10, 999, 1000, "unknown"] as const) } : {}),
    ...(dice.below(6) === 0 ? { canTakeBack: false } : {}),
    ...(dice.below(6) === 0 ? { boundRows: dice.pick([1, 5, 6]) } : {}),
  };
}

/** What only a debugger would look at is left out, and versions, which are sums of the policy's text. */
function plain(key: string, value: unknown): unknown {
  if (key === "analysis" || key === "policyVersion") return undefined;
  return typeof value === "bigint" ? `${value}n` : value;
}

function run(engine: Engine, seed: number): string[] {
  const dice = new Dice(seed);
  let nowMs = NOON;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const engines = { mysql: MYSQL_ENGINE, postgresql: POSTGRES_ENGINE };
  let policy: Policy = policyFrom(POLICIES[seed % POLICIES.length] ?? "");
  const judges = [1 << 20, 1 << 20, 0].map(
    (cacheBytesMax, index) => new Judge({ engines, policy, clock, idPrefix: `j${index}`, cacheBytesMax }),
  );
  const shapes = Array.from({ length: 8 }, () => {
    const schema = dice.pick(["shop", "pay", undefined]);
    return { sql: bytes(dice.pick(TEXTS[engine])), schema, context: contextOf(engine, dice, schema) };
  });
  const lines: string[] = [String(asksForEstimates(policy))];
  const say = (...what: readonly unknown[]): void => void lines.push(JSON.stringify(what, plain));
  for (let step = 0; step < STEPS; step++) {
    const { sql, schema, context } = dice.pick(shapes);
    const subject = subjectOf(dice, schema);
    const judge = dice.pick(judges);
    const other = dice.pick(judges);
    switch (dice.below(8)) {
      case 0:
      case 1:
        say("judge", judge.judge(sql, context, subject));
        break;
      case 2: {
        const judged = judge.judge(sql, context, subject);
        other.retain({ sql, context, subject }, judged);
        say("retain", other.recall(sql, context, subject), judged);
        break;
      }
      case 3:
        say("recall", judge.recall(sql, context, subject));
        break;
      case 4:
      case 5: {
        const count = (sql.toString().match(/[?]|\$\d/g) ?? []).length;
        const prepared = judge.prepare(sql, context, dice.pick([count, count, undefined, count + 1]));
        const values = Array.from({ length: dice.pick([count, count, count, count + 1]) }, () => dice.pick(VALUES));
        say("execute", prepared.key, prepared.places, judge.classOf(prepared, values));
        say(judge.dependsOnValues(prepared, subject), judge.judgeExecution(prepared, values, subject));
        const later = prepared.inSession(contextOf(engine, dice, dice.pick([schema, "pay"])));
        say("later", later === prepared, later.context, other.judgeExecution(later, values, subject));
        break;
      }
      case 6: {
        const one = judge.judge(sql, context, subject).decision;
        const two = judge.judge(dice.pick(shapes).sql, context, subjectOf(dice, dice.pick(["shop", "pay"]))).decision;
        say("strictest", strictestOf(one, two), strictestOf(two, one));
        break;
      }
      default:
        if (dice.below(3) === 0) nowMs += dice.pick([1, 59_999, 12 * 3_600_000]);
        else if (dice.below(4) === 0) {
          policy = policyFrom(dice.pick(POLICIES));
          for (const each of judges) each.replacePolicy(policy);
        } else {
          // Keys count the policies of the process, which makes them longer or shorter.
          say(judges.map((each) => [{ ...each.cacheCounts(), bytes: 0 }, each.permitsByTable]));
        }
    }
  }
  return lines;
}

for (const engine of ["mysql", "postgresql"] as const) {
  for (let from = 0; from < RUNS; from += RUNS / 4) {
    const title = `${engine} from ${from}`;
    test(`judges go on as test/golden/many-judgements.txt holds: ${title}`, { timeout: TIMEOUT_MS }, () => {
      const sums = Array.from({ length: RUNS / 4 }, (_, index) => {
        const name = `${engine} ${from + index}`;
        const lines = run(engine, from + index);
        if (process.env["MANY_JUDGEMENTS"] === name) console.log(lines.join("\n"));
        return `${createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 12)} ${name}`;
      });
      assertGoldenPart("many-judgements.txt", title, sums);
    });
  }
}
