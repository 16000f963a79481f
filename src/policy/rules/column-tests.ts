/** Columns that a policy denies or watches: every way by which a statement may name them, or reach them without a name. */

import type { ColumnReference, QueryBlock, StatementFacts, TableReference } from "../../sql/facts.ts";
import { NameSet } from "../../sql/mysql/names/names.ts";
import { type ColumnPattern, mayMatchTable, type TablePattern } from "../policy.ts";
import { handedOver, mayBeHandedOver } from "./handed-over.ts";
import { because, type Place, refusal, tablesOf } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";
import { findShownValues } from "./value-catalogs.ts";

/** They read every column without naming one. */
const WHOLE_ROW_KINDS: ReadonlySet<string> = new Set(["handler-open", "handler-read", "checksum-table"]);

/** In these a name may be a column that nothing else in the facts tells. */
const MENTION_KINDS: ReadonlySet<string> = new Set([
  "create-table",
  "alter-table",
  "create-index",
  "drop-index",
  "create-statistics",
  "analyze-table",
  "grant",
  "revoke",
]);

const ROW_ALIASES = ["new", "old"];

export function findDenyColumn(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { denyColumns } = input.settings;
  const opened = denyColumns.length === 0 ? undefined : handedOver(statement, input.subject);
  for (const { column, action, reason } of denyColumns) {
    const isOpened = opened !== undefined && column.table !== undefined && mayBeHandedOver(column.table, opened);
    const place = isOpened ? opened : (findColumn(statement, column, input) ?? shownColumn(statement, column, input));
    if (place !== undefined)
      return refusal(place, because(`the policy denies the column ${column.text}`, reason), action);
  }
  return undefined;
}

function shownColumn(statement: StatementFacts, { table }: ColumnPattern, input: RuleInput): Place | undefined {
  return findShownValues(statement, input, (name) => table === undefined || table.table.mayMatch(name));
}

/**
 * The first place where the statement may name the column, or reach it through `*` or as a whole row. A pattern without a
 * table means names only.
 */
export function findColumn(statement: StatementFacts, pattern: ColumnPattern, input: RuleInput): Place | undefined {
  const { columns, mentions, variables } = statement;
  if (!input.steps.spend(1 + columns.length + mentions.length + variables.length)) return undefined;
  const isNamed = (name: string): boolean => pattern.column.mayMatch(name);
  if (pattern.table === undefined) {
    return columns.find(({ name }) => name !== "*" && isNamed(name)) ?? findMention(statement, isNamed, input);
  }
  const targets = new Targets(statement, pattern.table, input);
  if (targets.isEmpty) return undefined;
  return (
    wholeTable(statement, targets) ??
    columns.find((column) => (column.name === "*" || isNamed(column.name)) && targets.mayHave(column)) ??
    findMention(statement, isNamed, input)
  );
}

/** A name whose meaning only its place tells, or a field of a trigger's row. */
function findMention(
  statement: StatementFacts,
  isNamed: (name: string) => boolean,
  { reading }: RuleInput,
): Place | undefined {
  const { kind, mentions, variables } = statement;
  const mentioned = MENTION_KINDS.has(kind) && mentions.find(({ name }) => name === "*" || isNamed(name));
  if (mentioned) return mentioned;
  if (triggerTable(statement, reading.statements) === undefined) return undefined;
  return variables.find(({ name }) => name.includes(".") && isNamed(name.slice(name.lastIndexOf(".") + 1)));
}

/** The mentions of one table in a statement, and which columns may be theirs. */
class Targets {
  readonly read: readonly TableReference[];
  readonly written: readonly TableReference[];
  readonly #blocks: readonly QueryBlock[];
  /** By block: whether a column without qualifier may belong to a target, there or in a query around it. */
  readonly #isReached: readonly boolean[];
  readonly #isOwn: readonly boolean[];
  readonly #names = new NameSet();
  readonly #others = new Set<string>();
  readonly #isTrigger: boolean;

  constructor(statement: StatementFacts, pattern: TablePattern, { steps, reading }: RuleInput) {
    const matches = (table: TableReference): boolean => mayMatchTable(pattern, table.schema, table.table);
    const { tablesRead, tablesWritten, blocks } = statement;
    steps.spend(tablesRead.length + tablesWritten.length + blocks.length);
    this.read = tablesRead.filter(matches);
    this.written = tablesWritten.filter(matches);
    this.#blocks = blocks;
    const trigger = triggerTable(statement, reading.statements);
    this.#isTrigger = trigger !== undefined && matches(trigger);
    const own: boolean[] = blocks.map(() => false);
    for (const table of [...this.read, ...this.written]) {
      own[table.block] = true;
      this.#names.add(table.alias ?? table.table);
    }
    this.#isOwn = own;
    this.#isReached = reachedBlocks(blocks, own);
    if (this.#isTrigger) for (const alias of ROW_ALIASES) this.#names.add(alias);
    if (this.isEmpty) return;
    for (const table of tablesOf(statement)) if (!matches(table)) this.#others.add(table.alias ?? table.table);
    for (const { otherSources } of blocks)
      for (const name of otherSources) if (name !== undefined) this.#others.add(name);
  }

  get isEmpty(): boolean {
    return this.read.length + this.written.length === 0 && !this.#isTrigger;
  }

  mayHave({ name, qualifier, block, clause }: ColumnReference): boolean {
    // SAFETY: a qualifier that is nobody's here may be anything's.
    if (qualifier !== undefined) return this.#names.mayHave(qualifier) || !this.#others.has(qualifier);
    // What ORDER BY behind a parenthesis sorts, and what RETURNING returns, the block does not tell.
    if (this.#blocks[block] === undefined || clause === "order" || clause === "returning") return true;
    return (name === "*" ? this.#isOwn[block] : this.#isReached[block]) === true;
  }
}

/** Blocks come after those around them. */
function reachedBlocks(blocks: readonly QueryBlock[], own: readonly boolean[]): readonly boolean[] {
  const reached: boolean[] = [];
  blocks.forEach(({ parent }, index) => {
    reached.push(own[index] === true || (parent !== undefined && reached[parent] === true));
  });
  return reached;
}

/** The table whose rows NEW and OLD are, in the body of a trigger. */
function triggerTable(
  { within, parent }: StatementFacts,
  statements: readonly StatementFacts[],
): TableReference | undefined {
  if (within !== "trigger-body" || parent === undefined) return undefined;
  return statements[parent]?.tablesWritten[0];
}

/** What reaches all columns without a name or `*`, or takes the table away from under its name. */
function wholeTable(statement: StatementFacts, { read, written }: Targets): Place | undefined {
  const { kind, modifiers, columns } = statement;
  const has = (modifier: StatementFacts["modifiers"][number]): boolean => modifiers.includes(modifier);
  if (WHOLE_ROW_KINDS.has(kind) || has("like-table") || has("merge-tables")) return read[0] ?? written[0];
  const [target] = written;
  if (target === undefined) return undefined;
  switch (kind) {
    case "insert":
    case "insert-select":
    case "replace":
    case "replace-select":
      return columns.some(({ clause }) => clause === "insert-columns" || clause === "set") ? undefined : target;
    case "load-data":
    case "load-xml":
    case "grant":
      return columns.length === 0 ? target : undefined;
    case "rename-table":
    case "create-view":
    case "alter-view":
      return target;
    case "alter-table":
      // RENAME TO, EXCHANGE PARTITION and the like name a second table.
      return statement.tablesWritten.length > 1 ? target : undefined;
    default:
      return undefined;
  }
}
