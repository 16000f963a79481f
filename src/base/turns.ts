/**
 * One at a time, in turns: groups take them one after the other, and so do the members of each. However many come for one
 * of them, the others wait as long as there are groups.
 */

type Waiter = (hasTurn: boolean) => void;

export class Turns {
  readonly #waitersMax: number;
  /** In the order of their next turn. */
  readonly #groups = new Map<string, Map<string, Waiter[]>>();
  #waiting = 0;
  #isTaken = false;

  /** When more than `waitersMax` wait, one of those of which there are most is sent away. */
  constructor(waitersMax: number) {
    this.#waitersMax = waitersMax;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Does `work` when it is the turn of this member of the group; false when it was sent away instead. */
  async take<Value>(group: string, member: string, work: () => Promise<Value>): Promise<Value | false> {
    if (!(await this.#turnOf(group, member))) return false;
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #turnOf(group: string, member: string): Promise<boolean> {
    if (!this.#isTaken) {
      this.#isTaken = true;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const members = this.#groups.get(group) ?? new Map<string, Waiter[]>();
      const waiters = members.get(member) ?? [];
      waiters.push(resolve);
      this.#groups.set(group, members.set(member, waiters));
      this.#waiting++;
      if (this.#waiting > this.#waitersMax) this.#sendAway();
    });
  }

  #passOn(): void {
    const [group] = this.#groups.keys();
    const [member] = (group !== undefined && this.#groups.get(group)?.keys()) || [];
    if (group === undefined || member === undefined) this.#isTaken = false;
    else this.#remove(group, member)?.(true);
  }

  /** The latest of the largest crowd. */
  #sendAway(): void {
    const group = largest(this.#groups, (members) => sum(members));
    const members = this.#groups.get(group);
    if (members === undefined) return;
    const member = largest(members, (waiters) => waiters.length);
    const waiter = members.get(member)?.pop();
    this.#waiting--;
    forgetEmpty(this.#groups, group, member);
    waiter?.(false);
  }

  /** The first of them, and puts the others behind everybody else. */
  #remove(group: string, member: string): Waiter | undefined {
    const members = this.#groups.get(group);
    const waiters = members?.get(member);
    if (members === undefined || waiters === undefined) return undefined;
    const waiter = waiters.shift();
    this.#waiting--;
    members.delete(member);
    this.#groups.delete(group);
    if (waiters.length > 0) members.set(member, waiters);
    if (members.size > 0) this.#groups.set(group, members);
    return waiter;
  }
}

function forgetEmpty(groups: Map<string, Map<string, Waiter[]>>, group: string, member: string): void {
  const members = groups.get(group);
  if (members?.get(member)?.length === 0) members.delete(member);
  if (members?.size === 0) groups.delete(group);
}

function sum(members: ReadonlyMap<string, readonly Waiter[]>): number {
  let count = 0;
  for (const waiters of members.values()) count += waiters.length;
  return count;
}

function largest<Value>(all: ReadonlyMap<string, Value>, sizeOf: (value: Value) => number): string {
  let found = "";
  let most = -1;
  for (const [key, value] of all) {
    const size = sizeOf(value);
    if (size <= most) continue;
    most = size;
    found = key;
  }
  return found;
}
