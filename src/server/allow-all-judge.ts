/** The judge for a policy mode of "off": everything may run, and the record holds the text as it came. */
import type { Judgement, StatementJudge, StatementRequest } from "../session/statement-judge.ts";

export class AllowAllJudge implements StatementJudge {
  readonly readsSql = false;
  #lastId = 0;

  judge(request: StatementRequest): Judgement {
    return {
      action: "allow",
      decisionId: `a${++this.#lastId}`,
      clientMessage: undefined,
      errorNumber: 0,
      sqlState: "HY000",
      score: undefined,
      level: undefined,
      rules: [],
      ruleId: undefined,
      notUnderstood: undefined,
      policyVersion: undefined,
      text: Buffer.from(request.sql).toString("utf8"),
      textForm: "raw",
      statementKind: undefined,
      localFiles: undefined,
      approval: undefined,
      afterwards: "nothing",
    };
  }
}
