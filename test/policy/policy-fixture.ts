/** Shared by the policy tests: a policy from a few lines, a subject, one decision. */

import assert from "node:assert/strict";
import { type Decision, decide } from "../../src/policy/decide.ts";
import { parsePolicy, renderProblems } from "../../src/policy/file/policy-file.ts";
import type { Policy, Subject } from "../../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { BoundValue, MysqlContext, SqlEngineName } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { bindValues } from "../../src/sql/mysql/dynamic/bound-text.ts";
import { findParameterPlaces } from "../../src/sql/mysql/dynamic/parameter-places.ts";
import { adviceWithout, type Disagreement, withAdvice } from "../../src/sql/second-opinion/advice.ts";
import { POSTGRES_CONTEXT } from "../support/postgres-context.ts";

export const NOON = Date.UTC(2026, 10, 21, 12, 0);

export const SUBJECT: Subject = {
  user: "app",
  clientAddress: "10.1.2.3",
  isTls: true,
  listener: "writer",
  isInTransaction: false,
};

/** A policy from the lines of a policy file below `version`. */
export function policyFrom(lines: string): Policy {
  const result = parsePolicy(`version: 1\n${lines}`);
  assert.equal(result.kind, "loaded", result.kind === "refused" ? renderProblems("policy", result.problems) : "");
  return (result as { policy: Policy }).policy;
}

export interface DecideFixture {
  readonly policy?: string | Policy;
  readonly subject?: Partial<Subject>;
  readonly context?: Partial<MysqlContext>;
  readonly wallMs?: number;
  /** The statement runs with these. */
  readonly values?: readonly BoundValue[];
  readonly disagreements?: readonly Disagreement[];
  readonly stepsMax?: number;
  /** Whose SQL it is; readyToParse() must have been called for PostgreSQL's. */
  readonly engine?: SqlEngineName;
}

export function decideText(sql: string | Uint8Array, fixture: DecideFixture = {}): Decision {
  const { policy = "", subject = {}, context = {}, wallMs = NOON, values, disagreements = [], stepsMax } = fixture;
  const whole: Subject = { ...SUBJECT, ...subject };
  const bytes = typeof sql === "string" ? new TextEncoder().encode(sql) : sql;
  if (fixture.engine === "postgresql") return decideInPostgres(bytes, fixture, whole);
  const sqlContext = { ...contextFor({ schema: whole.schema }), ...context };
  const analysis = withAdvice(analyze(bytes, sqlContext), { ...adviceWithout("disagrees"), disagreements });
  const resolved = typeof policy === "string" ? policyFrom(policy) : policy;
  const options = { wallMs, ...(stepsMax === undefined ? {} : { stepsMax }) };
  if (values !== undefined) {
    const places = findParameterPlaces(bytes, sqlContext);
    const bound =
      places === undefined ? "unplaced" : analyze(bindValues(bytes, places, values, sqlContext, true), sqlContext);
    return decide(analysis, whole, resolved, { ...options, bound });
  }
  return decide(analysis, whole, resolved, options);
}

function decideInPostgres(
  sql: Uint8Array,
  { policy = "", wallMs = NOON, values }: DecideFixture,
  subject: Subject,
): Decision {
  const prepared = POSTGRES_ENGINE.prepare(sql, POSTGRES_CONTEXT, values?.length);
  const resolved = typeof policy === "string" ? policyFrom(policy) : policy;
  const analysis = POSTGRES_ENGINE.analyze(sql, POSTGRES_CONTEXT);
  if (values === undefined) return decide(analysis, subject, resolved, { wallMs });
  const bound =
    prepared.places === "unplaced"
      ? "unplaced"
      : POSTGRES_ENGINE.analyze(prepared.bind(values, true), POSTGRES_CONTEXT);
  return decide(analysis, subject, resolved, { wallMs, bound });
}

export const ruleIds = (decision: Decision): string[] => decision.rules.map(({ id }) => id);
