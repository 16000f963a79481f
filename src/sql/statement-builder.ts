/** Facts while they are being gathered: the writable side of facts.ts. */
import type {
  Account,
  Assignment,
  ColumnReference,
  DynamicSql,
  FunctionCall,
  Limit,
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
} from "./facts.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type TableDraft = Writable<TableReference>;
export type ColumnDraft = Writable<ColumnReference>;
export type FunctionDraft = Writable<FunctionCall>;
export type PredicateDraft = Writable<Predicate>;
export type LimitDraft = Writable<Limit>;

/** Longer table lists are indexed, so that many columns of many tables stay linear. */
const TABLES_SEARCHED_MAX = 8;

/** A block and what is needed only while it is open. */
export class BlockBuilder implements QueryBlock {
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
  /** Derived tables, table functions and CTE names: they make unqualified columns ambiguous. */
  otherSources = 0;
  /** ON, USING, NATURAL and lateral joins. */
  linkedJoins = 0;
  hasAggregate = false;
  isOrdered = false;
  /** LIMIT asks for one row at a place, of rows in no order. */
  isRowPicked = false;
  firstPredicate = 0;
  firstColumn = 0;

  constructor(parent: number | undefined, role: QueryBlock["role"], start: number) {
    this.parent = parent;
    this.role = role;
    this.start = start;
    this.end = start;
  }

  /** The table that is called so here: by its alias, or by its name if it has none. */
  tableOf(name: string): TableDraft | undefined {
    const { tables } = this;
    if (tables.length > TABLES_SEARCHED_MAX) return this.#indexed().get(name.toLowerCase());
    for (const table of tables) if ((table.alias ?? table.table) === name) return table;
    const lower = name.toLowerCase();
    for (const table of tables) if ((table.alias ?? table.table).toLowerCase() === lower) return table;
    return undefined;
  }

  #index: Map<string, TableDraft> | undefined = undefined;
  #indexedTables = 0;

  #indexed(): Map<string, TableDraft> {
    this.#index ??= new Map();
    for (; this.#indexedTables < this.tables.length; this.#indexedTables++) {
      const table = this.tables[this.#indexedTables];
      if (table !== undefined) this.#index.set((table.alias ?? table.table).toLowerCase(), table);
    }
    return this.#index;
  }

  /** A copy with the declared fields only. */
  facts(): QueryBlock {
    const { parent, role, start, end, where, limit, joins, joinsWithoutCondition } = this;
    const { hasWildcard, hasGroupBy, hasFrom, locking } = this;
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
    };
  }
}

/** One statement under construction. Lists are handed over, not copied. */
export class StatementBuilder {
  kind: StatementKind = "unknown";
  start: number;
  end: number;
  readonly within: StatementOrigin;
  readonly parent: number | undefined;
  readonly packetIndex: number;
  readonly tablesRead: TableDraft[] = [];
  readonly tablesWritten: TableDraft[] = [];
  readonly objects: ObjectReference[] = [];
  readonly cteNames: string[] = [];
  readonly columns: ColumnDraft[] = [];
  readonly functions: FunctionDraft[] = [];
  readonly predicates: PredicateDraft[] = [];
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

  constructor(start: number, within: StatementOrigin, parent: number | undefined, packetIndex: number) {
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
