/** What the policy did, in the operational log: there whether or not an audit log is kept. */
import type { Clock } from "../../base/clock.ts";
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { Pace } from "../../base/pace.ts";
import type { Judgement } from "./statement-judge.ts";

/** Clients could make more lines than anybody reads. */
const LINES_PER_SECOND = 10;
const LINES_AT_ONCE = 50;
const DIGEST_CHARACTERS_MAX = 200;

type Told = "statement blocked" | "statement held" | "statement warned";

/** Whose statement it is. */
interface Teller {
  readonly services: { readonly logger: Logger };
  logFields(): Record<string, unknown>;
}

/** One for the process. Beyond its pace lines are counted, and the next one says how many are missing. */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #pace = new Pace({ perSecond: LINES_PER_SECOND, burst: LINES_AT_ONCE, waitMsMax: 0 });
  #missing = 0;

  constructor(clock: Clock = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  tell(what: Told, context: Teller, judgement: Judgement): void {
    if (this.#pace.reserve(this.#clock.monotonicMs()) === undefined) {
      this.#missing++;
      return;
    }
    const { decisionId, ruleId, score, text, textForm } = judgement;
    const digest = textForm === "digest" ? text.slice(0, DIGEST_CHARACTERS_MAX) : undefined;
    const missing = this.#missing === 0 ? undefined : this.#missing;
    this.#missing = 0;
    const decision = { decision: decisionId, rule: ruleId, score, digest, missing };
    context.services.logger.warn(what, { ...context.logFields(), ...decision });
  }
}
