/** Shared by the policy tests: a policy from a few lines, a subject, one decision. */

import assert from "node:assert/strict";
import { type Decision, decide } from "../../src/policy/decide.ts";
import type { Policy, Subject } from "../../src/policy/policy.ts";
import { parsePolicy, renderProblems } from "../../src/policy/policy-file.ts";
import { contextFor } from "../../src/policy/tool-context.ts";
import { adviceWithout, type Disagreement, withAdvice } from "../../src/sql/advice.ts";
import { analyze } from "../../src/sql/analyze.ts";
import { type BoundValue, bindValues } from "../../src/sql/bound-text.ts";
import type { SqlContext } from "../../src/sql/facts.ts";
import { findParameterPlaces } from "../../src/sql/parameter-places.ts";

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
  readonly context?: Partial<SqlContext>;
  readonly wallMs?: number;
  /** The statement runs with these. */
  readonly values?: readonly BoundValue[];
  readonly disagreements?: readonly Disagreement[];
}

export function decideText(sql: string | Uint8Array, fixture: DecideFixture = {}): Decision {
  const { policy = "", subject = {}, context = {}, wallMs = NOON, values, disagreements = [] } = fixture;
  const whole: Subject = { ...SUBJECT, ...subject };
  const bytes = typeof sql === "string" ? new TextEncoder().encode(sql) : sql;
  const sqlContext = { ...contextFor({ schema: whole.schema }), ...context };
  const analysis = withAdvice(analyze(bytes, sqlContext), { ...adviceWithout("disagrees"), disagreements });
  const resolved = typeof policy === "string" ? policyFrom(policy) : policy;
  const options = { wallMs };
  if (values !== undefined) {
    const places = findParameterPlaces(bytes, sqlContext);
    const bound =
      places === undefined ? "unplaced" : analyze(bindValues(bytes, places, values, sqlContext, true), sqlContext);
    return decide(analysis, whole, resolved, { ...options, bound });
  }
  return decide(analysis, whole, resolved, options);
}

export const ruleIds = (decision: Decision): string[] => decision.rules.map(({ id }) => id);
