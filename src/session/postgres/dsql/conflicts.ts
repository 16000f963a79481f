/** What the conflicts of a process were about, by names of tables or keys: bounded, and told ever more rarely as they go on. */

const NAMES_MAX = 100;
const OTHERS = "(others)";

export class Conflicts {
  readonly #counts = new Map<string, number>();

  /** Counts one about these. Those whose number has just become a power of two, with that number. */
  count(names: readonly string[]): readonly { readonly name: string; readonly conflicts: number }[] {
    const worth: { name: string; conflicts: number }[] = [];
    for (const given of names.length === 0 ? [OTHERS] : names) {
      const name = this.#counts.has(given) || this.#counts.size < NAMES_MAX ? given : OTHERS;
      const conflicts = (this.#counts.get(name) ?? 0) + 1;
      this.#counts.set(name, conflicts);
      if ((conflicts & (conflicts - 1)) === 0) worth.push({ name, conflicts });
    }
    return worth;
  }
}
