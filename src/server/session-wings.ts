/** Which protocol's sessions a listener gets. */
import type { BackendEngine, Config } from "../config/schema.ts";
import type { Judge } from "../policy/judge.ts";
import type { SessionWing } from "../session/live-session.ts";
import { MYSQL_WING } from "../session/mysql/mysql-wing.ts";
import { CancelKeys } from "../session/postgres/cancel-keys.ts";
import { Conflicts } from "../session/postgres/dsql/conflicts.ts";
import type { DsqlServing } from "../session/postgres/dsql/dsql-watch.ts";
import { PostgresPolicyJudge } from "../session/postgres/judging/policy-judge.ts";
import { postgresWing } from "../session/postgres/postgres-wing.ts";
import type { LongTextJudge } from "../session/statement/long-text.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { loadDsqlRules } from "./dsql-rules.ts";

export class SessionWings {
  readonly #policy: { readonly judge: Judge; readonly longTexts: LongTextJudge };
  /** A client may send its cancel to any listener of the process. */
  readonly #cancelKeys = new CancelKeys();

  readonly #dsql: Config["dsql"];
  /** Of all listeners. */
  readonly #conflicts = new Conflicts();
  readonly #hotKeys = new Conflicts();

  constructor(policy: { readonly judge: Judge; readonly longTexts: LongTextJudge }, dsql: Config["dsql"]) {
    this.#policy = policy;
    this.#dsql = dsql;
  }

  /** SAFETY: throws where the policy cannot read what clients of this engine would send. */
  async of(engine: BackendEngine): Promise<SessionWing> {
    if (engine === "mysql") return MYSQL_WING;
    const { judge, longTexts } = this.#policy;
    if (!judge.reads("postgresql")) throw new TypeError(`Cannot serve a backend that speaks ${engine}`);
    await loadParser();
    const dsql = engine === "dsql" ? this.#serveDsql() : undefined;
    const earlyRules = dsql?.refusesEarly === true ? dsql.rules : undefined;
    const postgresJudge = new PostgresPolicyJudge({ judge, longTexts, isDsql: dsql !== undefined, earlyRules });
    return postgresWing(postgresJudge, this.#cancelKeys, dsql);
  }

  #serveDsql(): DsqlServing {
    const { rulesFile, refuseEarly: refusesEarly, connectionLimitMs } = this.#dsql;
    const rules = loadDsqlRules(rulesFile, Date.now());
    const limit = connectionLimitMs ?? 0;
    return { rules, refusesEarly, conflicts: this.#conflicts, hotKeys: this.#hotKeys, connectionLimitMs: limit };
  }
}
