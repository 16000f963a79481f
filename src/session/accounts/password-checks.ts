/**
 * Checks of whole passwords, one at a time and in steps: however many wrong ones come, other sessions are served between
 * two steps, and other addresses and users are checked in turn.
 */
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { QuerycopError } from "../../base/errors.ts";
import type { Metrics } from "../../base/metrics.ts";
import { Turns } from "../../base/turns.ts";

/** Each is a client whose password has come, with a connection of its own. */
const WAITING_MAX = 1024;
/**
 * A refusal comes so long after the password at the earliest. What was to be computed for it does not show in the time it
 * took: whether there is such a user, whether it was here before.
 */
const REFUSAL_MS = 100;

/** Whose password is checked, and whether anybody still waits for the outcome. */
export interface Claimant {
  readonly clientAddress: string;
  readonly user: string;
  readonly isGone: () => boolean;
}

/** Steps of less than a millisecond each. */
export type PasswordCheck = Generator<void, boolean, void>;

export class PasswordChecks {
  readonly #turns = new Turns(WAITING_MAX);
  readonly #counts: Metrics["passwordChecks"];

  constructor({ passwordChecks }: Metrics) {
    this.#counts = passwordChecks;
  }

  /** What the check comes to, which begins when its turn is. Throws QC_LOGIN_BUSY when too many wait. */
  async run({ clientAddress, user, isGone }: Claimant, check: () => PasswordCheck): Promise<boolean> {
    const beganMs = performance.now();
    const isRight = await this.#turns.take(clientAddress, user, async () => {
      const steps = isGone() ? nothing() : check();
      for (;;) {
        const { done, value } = steps.next();
        if (done === true) return { value };
        await nextTurn();
      }
    });
    if (isRight === false) {
      this.#counts.of("refused").value++;
      const text = `Cannot check the password of user "${user}" from ${clientAddress}: ${WAITING_MAX} others wait for that`;
      throw new QuerycopError("QC_LOGIN_BUSY", text, {
        clientMessage: "querycop: too many logins wait for the check of their password, try again",
      });
    }
    this.#counts.of(isRight.value ? "right" : "wrong").value++;
    if (!isRight.value) await pause(Math.max(0, beganMs + REFUSAL_MS - performance.now()));
    return isRight.value;
  }
}

// biome-ignore lint/correctness/useYield: a check of nothing has no steps.
function* nothing(): PasswordCheck {
  return false;
}
