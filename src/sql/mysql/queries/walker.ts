/** The state that a walk over the tokens of one reading shares between its parts, and the small questions they ask. */
import type { ByteRange, Finding, FindingName, NotUnderstood, Reach, StatementOrigin } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import type { LexRules } from "../lexing/lexer.ts";
import * as T from "../lexing/token-kinds.ts";
import { TokenText } from "../lexing/token-text.ts";
import { CLAUSE_OTHER, ROLE_NONE, ROLE_QUALIFIER, type Tokens } from "../lexing/tokens.ts";
import { NAMES, NAMES_MARIADB, NAMES_OLD } from "../lexing/word-sets.ts";
import { nameKey } from "../names/names.ts";
import { placeColumns } from "./placed-columns.ts";
import {
  BlockBuilder,
  type FunctionDraft,
  type SourceDraft,
  StatementBuilder,
  type TableDraft,
} from "./statement-builder.ts";

/** How many enclosing queries a qualifier is looked up in. */
const ENCLOSING_MAX = 32;

/** Findings of one name beyond this add nothing to a verdict. */
export const FINDINGS_PER_NAME_MAX = 32;

/** What spend() may count: a list is looked through a few times for each statement, and short lists for each name. */
const STEPS_MIN = 20_000;
const STEPS_PER_TOKEN = 128;

/** Deeper parentheses are not followed. */
export const DEPTH_MAX = 1000;

// What the tokens of the current level are
export const MODE_EXPRESSION = 0;
/** Tables: the next token begins one, or follows one. */
export const MODE_TABLES = 1;
/** Names that are neither columns nor tables. */
export const MODE_NAMES = 2;
/** Names of columns, in lists such as USING (a, b). */
export const MODE_COLUMNS = 3;
/** A query expression: SELECT, a parenthesis, UNION, or what may follow them. */
export const MODE_QUERY = 4;

// Truth values of conditions, for the shape of WHERE
export const TRUTH_NONE = 0;
export const TRUTH_FALSE = 1;
/** True, or the same for every row in a way that we do not compute. */
export const TRUTH_TRUE = 2;
export const TRUTH_SELF = 3;
export const TRUTH_PRESENT = 4;

/**
 * One level of parentheses, reused between levels: the outer state to restore and the state of the level itself.
 * resetFrame() and openLevel() set every field.
 */
export class Frame {
  role = ROLE_NONE;
  open!: number;
  // Outer state
  blockIndex!: number;
  clause = CLAUSE_OTHER;
  mode = MODE_EXPRESSION;
  isTableExpected!: boolean;
  ctes!: number;
  joinBase!: number;
  joinFirst!: number;
  // The level itself
  /** What FROM lists in this level's place: a derived table, or the table function whose arguments it holds. */
  source: SourceDraft | undefined = undefined;
  /** A SELECT or other query has begun directly in this level. */
  hasQuery!: boolean;
  /** The first block of the level's query expression. */
  firstBlock!: number;
  queryRole: BlockBuilder["role"] = "main";
  items!: number;
  isEmpty!: boolean;
  hasSubquery!: boolean;
  hasColumn!: boolean;
  function: FunctionDraft | undefined = undefined;
  caseDepth!: number;
  betweens!: number;
  // Condition of the level
  isCondition!: boolean;
  /** The level is one parenthesised term of the condition outside. */
  isConditionLevel!: boolean;
  truthOr = TRUTH_NONE;
  truthAnd = TRUTH_NONE;
  truthTerm = TRUTH_NONE;
  isNegated!: boolean;
  termStart!: number;
  /** First token of the condition that the level is in. */
  conditionStart!: number;
  termHasColumn!: boolean;
  termIsSelf!: boolean;
  hasOr!: boolean;
  pendingStart!: number;
  /** The join whose ON it is. */
  join: PendingJoin | undefined = undefined;
  /** The predicate of `column IN (` whose list is open. */
  listPredicate!: number;
  listStartsTerm!: boolean;
  /** Values of an INSERT row. */
  itemStart!: number;
}

/** A join that waits for its condition: where its operands begin among the block's sources. */
export interface PendingJoin {
  readonly kind: "inner" | "left" | "right";
  readonly left: number;
  readonly right: number;
}

/** A CTE whose query has not ended yet. */
interface OpenCte {
  readonly name: string;
  readonly isRecursive: boolean;
  /** The level of the WITH, and the parenthesis of the query once it is open. */
  readonly depth: number;
  open: number;
}

/** What a walk has to know beside its tokens. */
export interface WalkOptions {
  readonly serverVersion: number | undefined;
  readonly schema: string | undefined;
  readonly statementOffset: number;
  readonly range: ByteRange | undefined;
  readonly packetIndex: number;
}

/** SQL text inside SQL text. */
export interface InnerText {
  readonly sql: Uint8Array;
  readonly within: StatementOrigin;
  readonly parent: number;
  /** Of names without one. */
  readonly schema: string | undefined;
  readonly start: number;
  readonly end: number;
}

/**
 * What the query engine keeps while it walks, reused by every walk: one is over before the next begins, and each walk and
 * each statement begins with it empty.
 */
const SCRATCH = {
  frames: [new Frame()],
  ctes: [] as string[],
  openCtes: [] as OpenCte[],
  pending: [] as number[],
  joins: [] as PendingJoin[],
  deleteTargets: [] as { readonly first: number; readonly last: number }[],
};

/** One walk. Its parts are functions in the files beside this one; none of them calls itself. */
export class Walker {
  readonly tokens: Tokens;
  readonly rules: LexRules;
  readonly text: TokenText;
  readonly kinds: Uint16Array;
  readonly count: number;
  readonly names: Uint8Array;
  /** The schema of names without one: the session's, until USE, or the one that EXPLAIN FOR SCHEMA names. */
  schema: string | undefined;
  /** What `schema` is again at the next statement of the packet. */
  nextSchema: string | undefined;
  readonly statements: StatementBuilder[] = [];
  readonly findings: Finding[] = [];
  notUnderstood: NotUnderstood | undefined = undefined;
  /** Where the statements of the packet begin, with the index of each; bodies and the like lie inside them. */
  readonly tops: { readonly first: number; readonly statement: number }[] = [];
  /** Texts that statements hand to the server as SQL: literals of PREPARE and the like. */
  readonly inner: InnerText[] = [];
  statement: StatementBuilder;
  packetIndex: number;

  // The query engine, as resetEngine() has it at the start of each statement
  at = 0;
  depth!: number;
  readonly frames = SCRATCH.frames;
  blockIndex!: number;
  clause = CLAUSE_OTHER;
  mode = MODE_EXPRESSION;
  isTableExpected!: boolean;
  /** Whether an operand may come next; otherwise a name is an alias or a unit. */
  isOperandExpected!: boolean;
  /** Names of CTEs in scope, and those being defined. */
  readonly ctes = SCRATCH.ctes;
  readonly openCtes = SCRATCH.openCtes;
  /** Indexes of predicates that hold for every row if nothing makes them optional. */
  readonly pending = SCRATCH.pending;
  /** Words at which the walk of a flow statement's condition ends; undefined in ordinary statements. */
  stops: Uint8Array | undefined = undefined;
  /** Joins of the current level whose ON or USING has not come yet begin at `joinBase`. */
  readonly joins = SCRATCH.joins;
  joinBase!: number;
  /** The block's first source that the next join of this level may have on its left. */
  joinFirst!: number;
  /** The table behind which FOR SYSTEM_TIME stands, until its alias comes. */
  timedTable: TableDraft | undefined = undefined;
  timedDepth = 0;
  /** The table that an alias would belong to, or what else FROM lists. */
  lastTable: TableDraft | undefined = undefined;
  lastSource: SourceDraft | undefined = undefined;
  #locals: Set<string> | undefined;
  #steps = 0;
  /** The statement is an INSERT or REPLACE whose rows or query are still to come. */
  isInsert!: boolean;
  /** The rows have been seen, so that it is no INSERT … SELECT. */
  hasRows!: boolean;
  /** The parenthesis that comes next holds the arguments of a table function. */
  isTableFunction!: boolean;
  /** The walk ends when the level that it begins with closes. */
  isSingleLevel!: boolean;
  /** Names before FROM or USING of a DELETE of several tables: first and last token. */
  readonly deleteTargets = SCRATCH.deleteTargets;
  /** The level at which parentheses of VALUES are rows. */
  valuesDepth!: number;
  /** How many queries enclose the walk. */
  queryDepth!: number;
  /** Names of the columns that the rows of an INSERT fill. */
  insertColumns: string[] = [];
  /** By column of a VALUES row: the only token of the value that was listed last, or -1. */
  rowSamples: number[] = [];

  #findingCounts: Map<FindingName, number> | undefined = undefined;
  #runStart = 0;
  #runEnd = 0;
  #parameterToken = 0;
  #parameterCount = 0;

  /** Statements of the texts around this one, which come before its own in the reading. */
  readonly statementOffset: number;
  /** The literal that holds the text, to which all of its facts point. */
  readonly #range: ByteRange | undefined;

  constructor(tokens: Tokens, rules: LexRules, options: WalkOptions) {
    const { serverVersion, schema } = options;
    this.statementOffset = options.statementOffset;
    this.#range = options.range;
    this.packetIndex = options.packetIndex;
    this.tokens = tokens;
    this.rules = rules;
    this.schema = schema;
    this.nextSchema = schema;
    this.text = new TokenText(tokens, rules);
    this.kinds = tokens.kinds;
    this.count = tokens.count;
    const isOld = serverVersion !== undefined && serverVersion < 80000;
    this.names = rules.dialect === "mariadb" ? NAMES_MARIADB : isOld ? NAMES_OLD : NAMES;
    this.statement = new StatementBuilder();
    this.resetEngine();
  }

  /** The kind of a token, 0 past the end. */
  kind(token: number): number {
    return token >= 0 && token < this.count ? (this.kinds[token] as number) : 0;
  }

  isName(token: number): boolean {
    return this.names[this.kind(token)] === 1;
  }

  /** The index of the current statement in the whole reading. */
  statementIndex(): number {
    return this.statementOffset + this.statements.length - 1;
  }

  /** Where the token begins: the end of the text for one past the last. Behind that the columns hold an earlier text's. */
  start(token: number): number {
    if (this.#range !== undefined) return this.#range.start;
    const isThere = token >= 0 && token < this.count;
    return isThere ? (this.tokens.starts[token] as number) : this.tokens.sql.length;
  }

  /** Where the token before `token` ends. */
  endBefore(token: number): number {
    if (this.#range !== undefined) return this.#range.end;
    const before = Math.min(token, this.count) - 1;
    return before >= 0 ? (this.tokens.ends[before] as number) : 0;
  }

  role(token: number, role: number): void {
    this.tokens.roles[token] = role;
  }

  frame(): Frame {
    return this.frames[this.depth] as Frame;
  }

  block(): BlockBuilder | undefined {
    return this.statement.blocks[this.blockIndex];
  }

  /** The last token of the dotted name that begins at `token`; the parts are every second token. */
  chainEnd(token: number): number {
    let last = token;
    while (this.kind(last + 1) === T.DOT && (this.isName(last + 2) || this.kind(last + 2) >= K.KEYWORD_FIRST))
      last += 2;
    return last;
  }

  /** The schema part and the last part of a dotted name. */
  qualified(first: number, last: number): { schema: string | undefined; name: string } {
    for (let token = first; token < last; token += 2) this.role(token, ROLE_QUALIFIER);
    return { schema: last > first ? this.text.name(last - 2) : undefined, name: this.text.name(last) };
  }

  /** The first token at or after `token` that is no "(". Asked for every parenthesis of a run, the run is seen once. */
  parenRunEnd(token: number): number {
    if (token < this.#runStart || token >= this.#runEnd) {
      let at = token;
      while (this.kind(at) === T.LEFT_PAREN) at++;
      this.#runStart = token;
      this.#runEnd = at;
    }
    return Math.max(token, this.#runEnd);
  }

  /** How many `?` stand before the token. */
  parameterOrdinal(token: number): number {
    if (token < this.#parameterToken) {
      this.#parameterToken = 0;
      this.#parameterCount = 0;
    }
    while (this.#parameterToken < token) {
      if (this.kinds[this.#parameterToken] === T.PARAMETER) this.#parameterCount++;
      this.#parameterToken++;
    }
    return this.#parameterCount;
  }

  find(what: FindingName, first: number, last: number, count = 1, detail: string | undefined = undefined): void {
    this.findBytes(what, this.start(first), this.endBefore(last + 1), count, detail);
  }

  /** As find(), for what is known by bytes rather than tokens. */
  findBytes(what: FindingName, start: number, end: number, count = 1, detail: string | undefined = undefined): void {
    this.findIn(this.statementIndex(), what, start, end, count, detail);
  }

  findIn(
    statement: number | undefined,
    what: FindingName,
    start: number,
    end: number,
    count: number,
    detail: string | undefined,
  ): void {
    this.#findingCounts ??= new Map();
    const seen = (this.#findingCounts.get(what) ?? 0) + 1;
    this.#findingCounts.set(what, seen);
    if (seen > FINDINGS_PER_NAME_MAX) return;
    this.findings.push({ what, statement, start, end, count, detail });
  }

  /** Counts work that is not a step from token to token. SAFETY: a text that takes too much of it is not understood. */
  spend(count: number): void {
    this.#steps += count;
    if (this.#steps > STEPS_MIN + STEPS_PER_TOKEN * this.count) this.fail("budget-exceeded", this.at);
  }

  /** Counted by spend() so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Steps over the token if it is of this kind. */
  accept(kind: number): boolean {
    if (this.kind(this.at) !== kind || this.at >= this.count) return false;
    this.at++;
    return true;
  }

  reach(type: Reach["type"], first: number, last: number, target: string | undefined): void {
    this.statement.reach.push({ type, target, start: this.start(first), end: this.endBefore(last + 1) });
  }

  /** Only the first reason is kept. */
  fail(reason: NotUnderstood["reason"], token: number): void {
    if (this.notUnderstood !== undefined) return;
    this.notUnderstood = { reason, start: this.start(token), end: this.endBefore(token + 1) };
  }

  beginStatement(token: number, within: StatementOrigin, parent: number | undefined): StatementBuilder {
    // The one that stands there before the first statement becomes the first: most texts need no other.
    if (this.statements.length > 0) this.statement = new StatementBuilder();
    this.statement.begin(this.start(token), within, parent, this.packetIndex);
    this.statements.push(this.statement);
    this.statement.locals = this.#locals;
    if (parent === undefined) this.schema = this.nextSchema;
    // At the first token nothing has been walked since the walk began.
    if (this.at > 0 || this.statements.length > 1) this.resetEngine();
    return this.statement;
  }

  /** Notes a variable or parameter of stored code; the names of all that a text has count in the whole of it. */
  addLocal(name: string): void {
    this.#locals ??= new Set();
    this.#locals.add(nameKey(name));
    this.statement.locals = this.#locals;
  }

  endStatement(token: number): void {
    this.statement.end = this.endBefore(token);
    placeColumns(this.statement);
  }

  resetEngine(): void {
    this.depth = 0;
    this.blockIndex = -1;
    this.clause = CLAUSE_OTHER;
    this.mode = MODE_EXPRESSION;
    this.isTableExpected = false;
    this.isOperandExpected = true;
    clear(this.ctes);
    clear(this.openCtes);
    clear(this.pending);
    this.stops = undefined;
    if (this.insertColumns.length > 0) this.insertColumns = [];
    if (this.rowSamples.length > 0) this.rowSamples = [];
    this.lastTable = undefined;
    this.lastSource = undefined;
    clear(this.joins);
    this.joinBase = 0;
    this.joinFirst = 0;
    this.timedTable = undefined;
    this.queryDepth = 0;
    this.valuesDepth = -1;
    this.isInsert = false;
    this.hasRows = false;
    this.isTableFunction = false;
    this.isSingleLevel = false;
    clear(this.deleteTargets);
    resetFrame(this.frames[0] as Frame, -1, ROLE_NONE);
  }

  /** Begins a block; its tokens are those until another one takes over. */
  beginBlock(token: number, role: BlockBuilder["role"], parent: number): BlockBuilder {
    const block = new BlockBuilder(parent < 0 ? undefined : parent, role, this.start(token));
    block.firstToken = token;
    block.firstPredicate = this.statement.predicates.length;
    block.firstColumn = this.statement.columns.length;
    this.joins.length = this.joinBase;
    this.joinFirst = 0;
    this.statement.blocks.push(block);
    this.blockIndex = this.statement.blocks.length - 1;
    return block;
  }

  /** The table that a column's qualifier, or the lack of one, points to. Looks outward through few enclosing queries. */
  resolve(qualifier: string | undefined, blockIndex: number): TableDraft | undefined {
    let index: number | undefined = blockIndex;
    for (let steps = 0; steps < ENCLOSING_MAX && index !== undefined && index >= 0; steps++) {
      this.spend(1);
      const block: BlockBuilder | undefined = this.statement.blocks[index];
      if (block === undefined) return undefined;
      if (qualifier === undefined) {
        return block.tables.length === 1 && block.sources.length === 1 ? block.tables[0] : undefined;
      }
      const table = block.tableOf(qualifier);
      if (table !== undefined) return table;
      index = block.parent;
    }
    return undefined;
  }
}

/** To set the length of an array costs, even when it is empty: nearly all are. */
function clear(list: unknown[]) {
  if (list.length > 0) list.length = 0;
}

/** Makes a frame ready for the level that `open` opens. */
export function resetFrame(frame: Frame, open: number, role: number): void {
  frame.role = role;
  frame.open = open;
  frame.blockIndex = -1;
  frame.hasQuery = false;
  frame.firstBlock = -1;
  frame.queryRole = "main";
  frame.items = 1;
  frame.isEmpty = true;
  frame.hasSubquery = false;
  frame.hasColumn = false;
  frame.function = undefined;
  frame.caseDepth = 0;
  frame.betweens = 0;
  frame.ctes = 0;
  frame.source = undefined;
  frame.listPredicate = -1;
  frame.listStartsTerm = false;
  frame.itemStart = open + 1;
  resetCondition(frame, open + 1, 0);
  frame.isCondition = false;
  frame.isConditionLevel = false;
}

export function resetCondition(frame: Frame, firstToken: number, pendingStart: number): void {
  frame.isCondition = true;
  frame.truthOr = TRUTH_NONE;
  frame.truthAnd = TRUTH_NONE;
  frame.truthTerm = TRUTH_NONE;
  frame.isNegated = false;
  frame.termStart = firstToken;
  frame.conditionStart = firstToken;
  frame.termHasColumn = false;
  frame.termIsSelf = false;
  frame.hasOr = false;
  frame.pendingStart = pendingStart;
  frame.join = undefined;
}
