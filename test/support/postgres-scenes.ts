/** Scenes in which sessions of PostgreSQL play over the real policy, for pages of them. */
import { Judge } from "../../src/policy/judge.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import type { BackendOptions, ListenerOptions } from "../../src/session/listener-options.ts";
import { PostgresPolicyJudge } from "../../src/session/postgres/judging/policy-judge.ts";
import { NOON, policyFrom } from "../policy/policy-fixture.ts";
import type { PostgresModelOptions } from "./postgres-model-server.ts";
import type { StageOptions } from "./postgres-stage.ts";
import { NO_DATA_LIMITS } from "./session-harness.ts";

export interface PostgresScene {
  readonly title: string;
  readonly policy?: string;
  readonly model?: PostgresModelOptions;
  readonly listener?: Partial<ListenerOptions>;
  readonly backend?: Partial<BackendOptions>;
  readonly isDsql?: boolean;
}

const TENANTS = "multi_statements: true\ndeny: { tables: [pay.secret], columns: [word] }";
const PATHS = { server_version: "18.1", search_path: '"$user", public' };

export const POSTGRES_SCENES: readonly PostgresScene[] = [
  { title: "denied tables", policy: TENANTS },
  { title: "denied tables where the path is told", policy: TENANTS, model: { parameters: PATHS } },
  { title: "an encoding that is not UTF-8", policy: TENANTS, model: { parameters: { client_encoding: "LATIN1" } } },
  { title: "a reader", policy: "read_only: true\nmulti_statements: true" },
  { title: "a reader behind a pooler", policy: "read_only: true", backend: { pooler: "pgbouncer" } },
  { title: "a reader of Aurora DSQL", policy: "read_only: true", isDsql: true },
  { title: "few rows, cut", listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2 } } },
  {
    title: "few bytes, warned",
    listener: { dataGuard: { ...NO_DATA_LIMITS, responseBytesMax: 30, limitAction: "warn" } },
  },
  {
    title: "few rows, ended",
    listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2, limitAction: "terminate" } },
  },
  { title: "few bytes a minute", listener: { dataGuard: { ...NO_DATA_LIMITS, windowBytesMax: 200 } } },
  {
    title: "approvals for a later time",
    policy:
      "thresholds: { warn: 5, require_approval: 20, block: 95 }\napproval: { mode: immediate, open_per_user: 2 }\nmulti_statements: true",
  },
  {
    title: "two prepared statements",
    listener: { preparedStatementsMax: 2 },
    policy: "mode: observe\nread_only: true",
  },
  { title: "changes that cannot be counted", policy: "impact: { max_changed_rows: 1 }" },
];

/** A stage with the policy of the scene, at noon for ever. */
export function stageOf({
  policy = "",
  isDsql = false,
  listener = {},
  backend = {},
  model = {},
}: PostgresScene): StageOptions {
  const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
  const options = { policy: policyFrom(policy), clock, idPrefix: "t", cacheBytesMax: 1 << 20 };
  const judge = new Judge({ engines: { postgresql: POSTGRES_ENGINE }, ...options });
  return { judge: new PostgresPolicyJudge({ judge, isDsql }), listener, backend, model };
}
