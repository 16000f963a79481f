/**
 * What names of prepared statements and portals stand for. A client writes ahead, and an error discards what stands behind
 * it up to the next Sync: which of two meanings a name has is known once the server has answered.
 *
 * Within a unit (up to a Sync) it is known at once, for what is read at all is read in order: the last meaning given in the
 * unit counts, as whoever gave it has succeeded or this message is discarded too.
 */

export interface NameChange<Meaning> {
  readonly name: string;
  /** Undefined where the name is given up. */
  readonly meaning: Meaning | undefined;
  readonly unit: number;
}

export class Names<Meaning> {
  readonly #settled = new Map<string, Meaning>();
  /** Forwarded and not answered, in order. */
  #pending: NameChange<Meaning>[] = [];
  #first = 0;
  readonly #pendingByName = new Map<string, NameChange<Meaning>[]>();
  readonly #bytesOf: (meaning: Meaning) => number;
  #bytes = 0;

  /** `bytesOf` tells what is held for a meaning. */
  constructor(bytesOf: (meaning: Meaning) => number = () => 0) {
    this.#bytesOf = bytesOf;
  }

  /** Held for all meanings. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#settled.size + this.#pending.length - this.#first;
  }

  /** To be called as the message that changes the name is forwarded. */
  change(name: string, meaning: Meaning | undefined, unit: number): NameChange<Meaning> {
    const change = { name, meaning, unit };
    this.#hold(meaning, 1);
    this.#pending.push(change);
    const ofName = this.#pendingByName.get(name);
    if (ofName === undefined) this.#pendingByName.set(name, [change]);
    else ofName.push(change);
    return change;
  }

  /** All that the name may stand for where a message of this unit names it; none where it stands for nothing. */
  candidates(name: string, unit: number): Meaning[] {
    const pending = this.#pendingByName.get(name);
    const last = pending?.at(-1);
    if (last !== undefined && last.unit === unit) return last.meaning === undefined ? [] : [last.meaning];
    const settled = this.#settled.get(name);
    if (pending === undefined) return settled === undefined ? [] : [settled];
    const meanings = new Set<Meaning>();
    if (settled !== undefined) meanings.add(settled);
    for (const { meaning } of pending) if (meaning !== undefined) meanings.add(meaning);
    return [...meanings];
  }

  /** The server has carried the change out, and whatever stood before it and was not answered it has discarded. */
  confirm(change: NameChange<Meaning>): void {
    const { name, meaning } = change;
    for (let next = this.#shift(); next !== undefined && next !== change; next = this.#shift()) {
      this.#hold(next.meaning, -1);
    }
    this.#hold(this.#settled.get(name), -1);
    if (meaning === undefined) this.#settled.delete(name);
    else this.#settled.set(name, meaning);
  }

  /** The unit is over: what of it was not answered never will be. */
  endUnit(unit: number): void {
    while (this.#first < this.#pending.length && (this.#pending[this.#first]?.unit ?? unit) <= unit) {
      this.#hold(this.#shift()?.meaning, -1);
    }
  }

  /** Of portals, at the end of a transaction. Those under way are not over yet. */
  clearSettled(): void {
    for (const meaning of this.#settled.values()) this.#hold(meaning, -1);
    this.#settled.clear();
  }

  #hold(meaning: Meaning | undefined, sign: 1 | -1): void {
    if (meaning !== undefined) this.#bytes += sign * this.#bytesOf(meaning);
  }

  #shift(): NameChange<Meaning> | undefined {
    const change = this.#pending[this.#first];
    if (change === undefined) return undefined;
    this.#first++;
    if (this.#first === this.#pending.length) {
      this.#pending = [];
      this.#first = 0;
    } else if (this.#first > 1024) {
      this.#pending.splice(0, this.#first);
      this.#first = 0;
    }
    const ofName = this.#pendingByName.get(change.name);
    if (ofName?.[0] === change) ofName.shift();
    if (ofName?.length === 0) this.#pendingByName.delete(change.name);
    return change;
  }
}
