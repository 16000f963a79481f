/** Whose column a name surely is: the proof that a condition holds one mention of a table, not another of that name. */

import type { ColumnName, PlacedColumn } from "../../facts.ts";
import { ANY_NAME, nameKey } from "../names/names.ts";
import {
  type BlockBuilder,
  type HeldDraft,
  type SourceDraft,
  type StatementBuilder,
  sourceName,
  type TableDraft,
} from "./statement-builder.ts";

/** Shorter lists of sources are searched, longer ones indexed. */
const SOURCES_SEARCHED_MAX = 8;

/** A block within more queries than that is not looked at. */
const ENCLOSING_MAX = 32;

/** Places the columns of the top-level `=` terms, each once, when the FROM clauses of all blocks are known. */
export function placeColumns(statement: StatementBuilder): void {
  const { held, predicates } = statement;
  if (held.length === 0) return;
  const finder = new SourceFinder(statement);
  for (const term of held) {
    const predicate = predicates[term.predicate];
    if (predicate === undefined || predicate.operator !== "=") continue;
    const { column, qualifier, schema, block, operand } = predicate;
    predicate.ofColumn = finder.place({ schema, qualifier, name: column }, block, term);
    if (operand.name !== undefined) predicate.ofOperand = finder.place(operand.name, block, term);
    if (predicate.ofColumn?.isHeld === true) predicate.isConjunct = true;
  }
  held.length = 0;
}

/**
 * Finds what names mean.
 * SAFETY: servers differ in whether aliases ignore case, and compare letters beyond ASCII by rules of their own. A name is
 * found only where it is the one that may be meant by any of them.
 */
class SourceFinder {
  readonly #blocks: readonly BlockBuilder[];
  readonly #locals: ReadonlySet<string> | undefined;
  #indexes: Map<BlockBuilder, SourceIndex> | undefined = undefined;

  constructor({ blocks, locals }: StatementBuilder) {
    this.#blocks = blocks;
    this.#locals = locals;
  }

  place(name: ColumnName, blockIndex: number, term: HeldDraft): PlacedColumn | undefined {
    const first = name.qualifier ?? name.name;
    if (this.#locals !== undefined && (this.#locals.has(nameKey(first)) || this.#locals.has(ANY_NAME)))
      return undefined;
    const block = this.#blocks[blockIndex];
    if (block === undefined) return undefined;
    if (name.qualifier === undefined) {
      const only = block.sources.length === 1 ? block.sources[0]?.table : undefined;
      return only === undefined ? undefined : placed(only, name.name, term, 0);
    }
    return this.#placeIn(block, name as QualifiedName, term) ?? this.#placeAround(block, name as QualifiedName);
  }

  /** In the block itself, among the sources that the condition sees. */
  #placeIn(block: BlockBuilder, name: QualifiedName, term: HeldDraft): PlacedColumn | undefined {
    const found = this.#find(block, name);
    if (typeof found !== "number" || found < term.scopeFrom || found >= term.scopeTo) return undefined;
    const source = block.sources[found] as SourceDraft;
    if (source.table === undefined || !this.#isPlain(block, source, name)) return undefined;
    return placed(source.table, name.name, term, found);
  }

  /** In a query around the block: such a column is one value while the block runs, and holds no rows there. */
  #placeAround(block: BlockBuilder, name: QualifiedName): PlacedColumn | undefined {
    let inner = block;
    for (let steps = 0; steps < ENCLOSING_MAX; steps++) {
      if (this.#find(inner, name) !== undefined) return undefined;
      const outer = inner.parent === undefined ? undefined : this.#blocks[inner.parent];
      if (outer === undefined) return undefined;
      const found = this.#find(outer, name);
      if (typeof found === "number") {
        const source = outer.sources[found] as SourceDraft;
        if (source.table === undefined || !this.#isPlain(outer, source, name)) return undefined;
        return { table: source.table, column: name.name, isHeld: false };
      }
      inner = outer;
    }
    return undefined;
  }

  /** Spelled alike to the letter, or at least not like anything in the queries around. */
  #isPlain(block: BlockBuilder, source: SourceDraft, name: QualifiedName): boolean {
    if (name.schema !== undefined && name.schema !== source.table?.schema) return false;
    if (sourceName(source) === name.qualifier) return true;
    let around = block.parent;
    for (let steps = 0; around !== undefined; steps++) {
      const outer = this.#blocks[around];
      if (outer === undefined || steps >= ENCLOSING_MAX || this.#find(outer, name) !== undefined) return false;
      around = outer.parent;
    }
    return true;
  }

  /** The position of the only source that may be meant, "many" where there are several, undefined for none. */
  #find(block: BlockBuilder, name: QualifiedName): number | "many" | undefined {
    const { sources } = block;
    if (sources.length > SOURCES_SEARCHED_MAX) return this.#indexOf(block).find(name);
    let found: number | undefined;
    for (let index = 0; index < sources.length; index++) {
      if (!mayMean(sources[index] as SourceDraft, name)) continue;
      if (found !== undefined) return "many";
      found = index;
    }
    return found;
  }

  #indexOf(block: BlockBuilder): SourceIndex {
    this.#indexes ??= new Map();
    let index = this.#indexes.get(block);
    if (index === undefined) {
      index = new SourceIndex(block.sources);
      this.#indexes.set(block, index);
    }
    return index;
  }
}

type QualifiedName = ColumnName & { readonly qualifier: string };

/** Sources by folded name, so that many columns of many tables stay linear. Schemas are not looked at. */
class SourceIndex {
  readonly #byName = new Map<string, number | "many">();
  readonly #isAnything: boolean;

  constructor(sources: readonly SourceDraft[]) {
    sources.forEach((source, index) => {
      const key = nameKey(sourceName(source));
      this.#byName.set(key, this.#byName.has(key) ? "many" : index);
    });
    this.#isAnything = this.#byName.has(ANY_NAME);
  }

  find({ qualifier }: QualifiedName): number | "many" | undefined {
    const key = nameKey(qualifier);
    return this.#isAnything || key === ANY_NAME ? "many" : this.#byName.get(key);
  }
}

function mayMean(source: SourceDraft, name: QualifiedName): boolean {
  const own = sourceName(source);
  if (own !== name.qualifier) {
    const key = nameKey(own);
    const wanted = nameKey(name.qualifier);
    if (key !== wanted && key !== ANY_NAME && wanted !== ANY_NAME) return false;
  }
  return mayBeInSchema(source, name.schema);
}

/** A name with a schema means no table of another one. */
function mayBeInSchema({ table }: SourceDraft, schema: string | undefined): boolean {
  if (schema === undefined || table?.schema === undefined) return true;
  const key = nameKey(table.schema);
  const wanted = nameKey(schema);
  return key === wanted || key === ANY_NAME || wanted === ANY_NAME;
}

function placed(table: TableDraft, column: string, term: HeldDraft, position: number): PlacedColumn {
  return { table, column, isHeld: position >= term.heldFrom && position < term.heldTo };
}
