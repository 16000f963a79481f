/** Sums by name, of so many names at most: what comes beyond is added up under one name of its own. */

/** Under this name whatever is beyond the bound. */
const OTHERS = "(others)";

export interface Sums<Kind extends string> {
  readonly names: readonly string[];
  readonly sums: Readonly<Record<Kind, number>>;
}

export class BoundedSums<Kind extends string> {
  readonly #namesMax: number;
  readonly #kinds: readonly Kind[];
  readonly #rows = new Map<string, { readonly names: readonly string[]; readonly sums: Record<Kind, number> }>();
  /** Times that something was added under "(others)". */
  overflow = 0;

  constructor(namesMax: number, kinds: readonly Kind[]) {
    this.#namesMax = namesMax;
    this.#kinds = kinds;
  }

  add(names: readonly string[], counts: Readonly<Partial<Record<Kind, number>>>): void {
    const { sums } = this.#rowOf(names);
    for (const kind of this.#kinds) sums[kind] += counts[kind] ?? 0;
  }

  get size(): number {
    return this.#rows.size;
  }

  sumOf(kind: Kind): number {
    let sum = 0;
    for (const { sums } of this.#rows.values()) sum += sums[kind];
    return sum;
  }

  /** Those first of which there are most: the kinds count in the order given. */
  sorted(...byKinds: readonly Kind[]): Sums<Kind>[] {
    const difference = (one: Sums<Kind>, other: Sums<Kind>): number => {
      for (const kind of byKinds) if (one.sums[kind] !== other.sums[kind]) return other.sums[kind] - one.sums[kind];
      return 0;
    };
    return [...this.#rows.values()].sort(difference);
  }

  #rowOf(names: readonly string[]): { readonly sums: Record<Kind, number> } {
    const key = JSON.stringify(names);
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size < this.#namesMax) return this.#made(key, names);
    this.overflow++;
    const others = names.map(() => OTHERS);
    return this.#rows.get("") ?? this.#made("", others);
  }

  #made(key: string, names: readonly string[]): { readonly sums: Record<Kind, number> } {
    const sums = Object.fromEntries(this.#kinds.map((kind) => [kind, 0])) as Record<Kind, number>;
    const row = { names, sums };
    this.#rows.set(key, row);
    return row;
  }
}
