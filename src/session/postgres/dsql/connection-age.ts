/**
 * Aurora DSQL ends connections that are an hour old; a transaction under way may finish. So that no statement runs into that,
 * the client is told before, and the connection ends between two transactions.
 * https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html
 */

/** Parts of the limit: of an hour, at 55 and at 59 minutes. */
const NOTICE_AT = 55 / 60;
const END_AT = 59 / 60;

export class ConnectionAge {
  readonly #limitMs: number;
  #isTold = false;

  /** 0 for no limit. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** What is due at this age. Told once; a connection in a transaction is not ended. */
  due(ageMs: number, isAtRest: boolean): "notice" | "end" | undefined {
    if (this.#limitMs === 0 || ageMs < this.#limitMs * NOTICE_AT) return undefined;
    if (ageMs >= this.#limitMs * END_AT && isAtRest) return "end";
    if (this.#isTold) return undefined;
    this.#isTold = true;
    return "notice";
  }
}
