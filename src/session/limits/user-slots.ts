/** How many connections each user has, over all listeners. Counts who has logged in: names that were only claimed take no place. */
import { QuerycopError } from "../../base/errors.ts";
import { Tally } from "../../base/tally.ts";

export class UserSlots {
  readonly #perUserMax: number;
  readonly #taken = new Tally();

  /** 0 for no limit. */
  constructor(perUserMax: number) {
    this.#perUserMax = perUserMax;
  }

  /** Throws QC_TOO_MANY_USER_CONNECTIONS when the user has as many as it may. */
  requireRoom(user: string): void {
    const taken = this.#taken.countOf(user);
    if (this.#perUserMax === 0 || taken < this.#perUserMax) return;
    const text = `${taken} connections of user "${user}" are open`;
    throw new QuerycopError("QC_TOO_MANY_USER_CONNECTIONS", `${text}, see GATEKEEPER_CONNECTIONS_PER_USER`, {
      clientMessage: `querycop: ${taken} connections of this user are open (GATEKEEPER_CONNECTIONS_PER_USER)`,
    });
  }

  take(user: string): void {
    this.requireRoom(user);
    this.#taken.add(user);
  }

  release(user: string): void {
    this.#taken.remove(user);
  }
}
