/** The product's own judge under a policy given as YAML lines, which a test may replace. */

import assert from "node:assert/strict";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { parsePolicy } from "../../src/policy/file/policy-file.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import type { StatementJudge } from "../../src/session/statement/statement-judge.ts";

function policyOf(yaml: string): Policy {
  const result = parsePolicy(`version: 1\n${yaml}`);
  assert.ok(result.kind === "loaded", JSON.stringify(result));
  return result.policy;
}

export interface RealPolicy {
  readonly judge: StatementJudge;
  replace(yaml: string): void;
}

/** `asksServer: false` is for scripted backends that cannot answer the session probe. */
export function realPolicy(yaml: string, asksServer: boolean): RealPolicy {
  const core = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyOf(yaml),
    clock: SYSTEM_CLOCK,
    idPrefix: "test",
    cacheBytesMax: 1 << 20,
  });
  const judge = new PolicyJudge(core);
  return {
    judge: { readsSql: asksServer, judge: (request) => judge.judge(request) },
    replace: (changed) => core.replacePolicy(policyOf(changed)),
  };
}
