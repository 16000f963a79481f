/** Facts while they are being gathered: the writable side of facts.ts. */

import type {
  Account,
  Assignment,
  ColumnReference,
  DynamicSql,
  FunctionCall,
  Limit,
  Mention,
  ObjectReference,
  Predicate,
  QueryBlock,
  Reach,
  StatementFacts,
  StatementKind,
  StatementModifier,
  StatementOrigin,
  TableReference,
  VariableAssignment,
  WhereShape,
} from "../../facts.ts";
import { foldName, mayBeSameName } from "../names/names.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type TableDraft = Writable<TableReference>;
export type ColumnDraft = Writable<ColumnReference>;
export type FunctionDraft = Writable<FunctionCall>;
export type PredicateDraft = Writable<Predicate>;
export type LimitDraft = Writable<Limit>;

/** Longer table lists are indexed, so that many columns of many tables stay linear. */
const TABLES_SEARCHED_MAX = 8;
/** Most blocks index none: nothing is ever added to it. */
const NO_TABLES: Map<string, TableDraft> = new Map();

/** What FROM lists: a table, or something else with a name of its own. */
export interface SourceDraft {
  /** Of what is no table. */
  name: string | undefined;
  readonly table: TableDraft | undefined;
}

export const sourceName = ({ name, table }: SourceDraft): string | undefined =>
  table === undefined ? name : (table.alias ?? table.table);

/** A top-level AND term: whose rows pass by it only, as positions among the block's sources. */
export interface HeldDraft {
  readonly predicate: number;
  /** The sources that names in it may mean. */
  readonly scopeFrom: number;
  readonly scopeTo: number;
  /** Those whose rows need it. */
  readonly heldFrom: number;
  readonly heldTo: number;
}

/** A block and what is needed only while it is open. */
export class BlockBuilder implements Omit<QueryBlock, "otherSources"> {
  parent: number | undefined;
  role: QueryBlock["role"];
  start: number;
  end: number;
  where: WhereShape = "absent";
  limit: LimitDraft | undefined = undefined;
  joins = 0;
  joinsWithoutCondition = 0;
  hasWildcard = false;
  hasGroupBy = false;
  hasFrom = false;
  locking: QueryBlock["locking"] = "none";

  /** Tables of this block in order, read or written. */
  readonly tables: TableDraft[] = [];
  /** The tables, and derived tables, table functions and CTEs among them, in order. */
  readonly sources: SourceDraft[] = [];
  /** ON, USING, NATURAL and lateral joins. */
  linkedJoins = 0;
  hasAggregate = false;
  isOrdered = false;
  /** LIMIT asks for one row at a place, of rows in no order. */
  isRowPicked = false;
  firstToken!: number;
  firstPredicate!: number;
  firstColumn!: number;

  constructor(parent: number | undefined, role: QueryBlock["role"], start: number) {
    this.parent = parent;
    this.role = role;
    this.start = start;
    this.end = start;
  }

  /** The table that is called so here: by its alias, or by its name if it has none. */
  tableOf(name: string): TableDraft | undefined {
    const { tables } = this;
    if (tables.length > TABLES_SEARCHED_MAX) {
      this.#indexTables();
      return this.#byName.get(name) ?? this.#byFolded.get(foldName(name));
    }
    for (const table of tables) if ((table.alias ?? table.table) === name) return table;
    for (const table of tables) if (mayBeSameName(table.alias ?? table.table, name)) return table;
    return undefined;
  }

  /** Notes something that is no table: it makes unqualified columns ambiguous. */
  addSource(name: string | undefined): SourceDraft {
    const source: SourceDraft = { name, table: undefined };
    this.sources.push(source);
    return source;
  }

  #byName = NO_TABLES;
  #byFolded = NO_TABLES;
  #indexedTables = 0;

  /** The first of a name is the one that is found, as above. */
  #indexTables(): void {
    if (this.#indexedTables === 0) [this.#byName, this.#byFolded] = [new Map(), new Map()];
    for (; this.#indexedTables < this.tables.length; this.#indexedTables++) {
      const table = this.tables[this.#indexedTables] as TableDraft;
      const name = table.alias ?? table.table;
      const folded = foldName(name);
      if (!this.#byName.has(name)) this.#byName.set(name, table);
      if (!this.#byFolded.has(folded)) this.#byFolded.set(folded, table);
    }
  }

  /** A copy with the declared fields only. */
  facts(): QueryBlock {
    const { parent, role, start, end, where, limit, joins, joinsWithoutCondition } = this;
    const { hasWildcard, hasGroupBy, hasFrom, locking, sources, tables } = this;
    return {
      parent,
      role,
      start,
      end,
      where,
      limit,
      joins,
      joinsWithoutCondition,
      hasWildcard,
      hasGroupBy,
      hasFrom,
      locking,
      otherSources: sources.length === tables.length ? NO_SOURCES : namesOfOthers(sources),
    };
  }
}

const NO_SOURCES: readonly (string | undefined)[] = [];

function namesOfOthers(sources: readonly SourceDraft[]): readonly (string | undefined)[] {
  return sources.filter(({ table }) => table === undefined).map(({ name }) => name);
}

/** One statement under construction. Lists are handed over, not copied. */
export class StatementBuilder {
  kind: StatementKind = "unknown";
  start!: number;
  end!: number;
  within: StatementOrigin = "packet";
  parent: number | undefined = undefined;
  packetIndex!: number;
  readonly tablesRead: TableDraft[] = [];
  readonly tablesWritten: TableDraft[] = [];
  readonly objects: ObjectReference[] = [];
  readonly cteNames: string[] = [];
  readonly columns: ColumnDraft[] = [];
  readonly mentions: Mention[] = [];
  /** Folded names of the variables of stored code around it: they hide columns of the same name. */
  locals: ReadonlySet<string> | undefined = undefined;
  readonly functions: FunctionDraft[] = [];
  readonly predicates: PredicateDraft[] = [];
  readonly held: HeldDraft[] = [];
  readonly blocks: BlockBuilder[] = [];
  inListMax = 0;
  valuesRows = 0;
  unionBranches = 0;
  subqueries = 0;
  subqueryDepthMax = 0;
  readonly modifiers: StatementModifier[] = [];
  readonly variables: VariableAssignment[] = [];
  readonly assignments: Assignment[] = [];
  readonly unlistedColumns: string[] = [];
  readonly accounts: Account[] = [];
  readonly privileges: string[] = [];
  readonly reach: Reach[] = [];
  dynamic: DynamicSql | undefined = undefined;
  detail: string | undefined = undefined;
  /** The literal of CONNECTION = '…', until the engine of the table is known. */
  connectionToken: number | undefined = undefined;
  hasLocalEngine = false;

  begin(start: number, within: StatementOrigin, parent: number | undefined, packetIndex: number): void {
    this.start = start;
    this.end = start;
    this.within = within;
    this.parent = parent;
    this.packetIndex = packetIndex;
  }

  modify(modifier: StatementModifier): void {
    if (!this.modifiers.includes(modifier)) this.modifiers.push(modifier);
  }

  facts(): StatementFacts {
    const main = this.blocks.find((block) => block.role === "main");
    let joins = 0;
    for (const block of this.blocks) joins += block.joins;
    return {
      kind: this.kind,
      start: this.start,
      end: this.end,
      within: this.within,
      parent: this.parent,
      packetIndex: this.packetIndex,
      tablesRead: this.tablesRead,
      tablesWritten: this.tablesWritten,
      objects: this.objects,
      cteNames: this.cteNames,
      columns: this.columns,
      mentions: this.mentions,
      functions: this.functions,
      predicates: this.predicates,
      blocks: this.blocks.map((block) => block.facts()),
      where: main?.where ?? "absent",
      limit: main?.limit,
      inListMax: this.inListMax,
      valuesRows: this.valuesRows,
      unionBranches: this.unionBranches,
      subqueries: this.subqueries,
      joins,
      subqueryDepthMax: this.subqueryDepthMax,
      modifiers: this.modifiers,
      variables: this.variables,
      assignments: this.assignments,
      unlistedColumns: this.unlistedColumns,
      accounts: this.accounts,
      privileges: this.privileges,
      reach: this.reach,
      dynamic: this.dynamic,
      detail: this.detail,
    };
  }
}
