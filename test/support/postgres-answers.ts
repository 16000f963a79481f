/** What judges say of a text in front of PostgreSQL and Aurora DSQL, under some policies, in sessions that read it in this way or that. */
import { Judge } from "../../src/policy/judge.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import type { BoundValue, PostgresqlContext } from "../../src/sql/facts.ts";
import { keyOf } from "../../src/sql/postgres/digest.ts";
import { DsqlRuleSet } from "../../src/sql/postgres/dsql/rule-set.ts";
import { mayHoldSecret } from "../../src/sql/postgres/secrets.ts";
import { statementsIn } from "../../src/sql/postgres/statement-count.ts";
import { NOON, policyFrom, SUBJECT } from "../policy/policy-fixture.ts";
import { POSTGRES_CONTEXT } from "./postgres-context.ts";

const POLICIES = [
  "multi_statements: true",
  "read_only: true\nmulti_statements: true\nallow: { tables: [t, public.u], functions: [f] }",
  "multi_statements: true\ntenants: [{ tables: [orders, t], column: tenant_id, value: 7 }]\ndeny: { columns: [word, member.password], tables: [pay.secret, secret] }",
  'deny: { statements: [delete, "drop-*"], functions: [f] }\nimpact: { estimated_rows: { block: 10 } }\nmulti_statements: true',
];

const CONTEXTS: readonly Partial<PostgresqlContext>[] = [
  {},
  { searchPath: ["pay"] },
  { searchPath: "unknown", serverVersion: 180001 },
  { standardConformingStrings: "off" },
  { isDsql: true, serverVersion: 160001 },
  { clientEncoding: "LATIN1", standardConformingStrings: "unknown" },
  { schema: "shop", serverVersion: undefined },
];

const VALUES: readonly BoundValue[] = ["7", "x' OR 1=1", null, undefined, "é", "", 7, new Uint8Array([0x41, 0x27])];
const dsqlRules = new DsqlRuleSet("2026-11-30");

/** Facts without what only a debugger would look at. */
const plain = (key: string, value: unknown): unknown => {
  if (key === "sql" || key === "steps" || key === "policyVersion" || key === "context") return undefined;
  return typeof value === "bigint" ? `${value}n` : value;
};

/** The number chooses policy, session and values. */
export function postgresAnswer(text: string, index: number): string {
  const sql = Buffer.from(text);
  const context: PostgresqlContext = { ...POSTGRES_CONTEXT, ...CONTEXTS[index % CONTEXTS.length] };
  const policy = policyFrom(POLICIES[(index >> 1) % POLICIES.length] ?? "");
  const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
  const options = { policy, clock, idPrefix: "t", cacheBytesMax: 1 << 16 };
  const judge = new Judge({ engines: { postgresql: POSTGRES_ENGINE }, ...options });
  const judged = judge.judge(sql, context, SUBJECT);
  const { summary } = judged;
  const parameters = judge.prepare(sql, context, undefined);
  const bound = text.includes("$") ? judge.judgeExecution(parameters, VALUES.slice(index % 3), SUBJECT) : undefined;
  const more = [
    keyOf(sql, context),
    statementsIn(text, context.isDsql),
    mayHoldSecret(summary.digest, summary.kinds, summary.isUnderstood),
    context.isDsql ? dsqlRules.check(sql) : undefined,
    context.isDsql || text.includes(";") ? dsqlRules.refusesAlone(sql)?.id : undefined,
    POSTGRES_ENGINE.sessionEffectOf(judged.analysis ?? POSTGRES_ENGINE.analyze(sql, context)),
  ];
  return JSON.stringify([judged, bound?.decision, more], plain);
}
