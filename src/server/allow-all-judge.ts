/** The judge for a policy mode of "off": everything may run, and the record holds the text as it came. */

import { sqlContextOf } from "../session/mysql/judging/sql-context.ts";
import { localFilesOf } from "../session/statement/long-text.ts";
import type { Judgement, StatementJudge, StatementRequest } from "../session/statement/statement-judge.ts";
import { analyze } from "../sql/mysql/analyze.ts";

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
      // SAFETY: what may run is no matter here, but no server gets a file that its client did not name.
      localFiles: localFilesOf(analyze(request.sql, sqlContextOf(request.state, request.command))),
      approval: undefined,
      afterwards: "none",
    };
  }
}
