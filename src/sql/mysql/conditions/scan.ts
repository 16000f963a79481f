/**
 * Finds conditions that no row can change, queries that were added, and values that are read out through conditions.
 * One pass with operator precedence over the tokens of a statement; the depth of the text costs no stack.
 */

import type { FindingName } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import {
  CLAUSE_ON_DUPLICATE,
  CLAUSE_OTHER,
  CLAUSE_SELECT,
  CLAUSE_SET,
  CLAUSE_VALUES,
  ROLE_COLUMN,
  ROLE_DEFINITION,
  ROLE_FUNCTION,
  ROLE_LIST_PAREN,
  ROLE_NAME,
  ROLE_OTHER_PAREN,
  ROLE_QUALIFIER,
  ROLE_SUBQUERY_PAREN,
  ROLE_TABLE,
  ROLE_TABLES_PAREN,
  ROLE_VARIABLE,
  type Tokens,
} from "../lexing/tokens.ts";
import { FRAME_CALL, FRAME_CASE, FRAME_PARENTHESIS, FRAME_STATEMENT, FRAME_SUBQUERY, Frame } from "./frames.ts";
import { FN_COUNT, functionClasses } from "./function-classes.ts";
import { judgeBranch, judgeCall, judgeItem, judgeSubquery } from "./judge.ts";
import { judgeHexLiteral, judgeTextLiteral } from "./literals.ts";
import { applyBinary, applyPrefix } from "./operators.ts";
import * as V from "./values.ts";
import {
  OPERATORS,
  WORD_BOUNDARY,
  WORD_LITERAL,
  WORD_MOMENT,
  WORD_NOTHING,
  WORD_OPEN,
  WORD_OPERATOR,
  WORDS,
} from "./words.ts";

/** Reports a finding over a range of tokens, both ends included. */
export type EmitFinding = (
  what: FindingName,
  firstToken: number,
  lastToken: number,
  count: number,
  detail: string | undefined,
) => void;

/** Boundaries after which more tables may come. */
const FROM_WORDS: ReadonlySet<number> = new Set([K.FROM, K.JOIN, K.ON, K.USING, K.PARTITION, K.FOR]);

const PARENTHESES_MAX = 200;
const FRAMES_KEPT_MAX = 256;
const VALUES_FIRST = 256;
const VALUES_KEPT_MAX = 8192;
const NAME_BYTES_MAX = 64;
const NOTED_USERS: ReadonlySet<string> = new Set(["user", "current_user", "session_user"]);

/** One statement being scanned. The arrays grow and are kept for the next statement. */
export class ConditionScan {
  tokens: Tokens = EMPTY_TOKENS;
  emit: EmitFinding = () => undefined;
  /** Open frames; the innermost one is `frames[depth]`. */
  readonly frames: Frame[] = [];
  depth!: number;
  /** Subqueries around the current token. */
  subqueries!: number;
  /** Values: attributes, first and last token. */
  attributes = new Int32Array(VALUES_FIRST);
  firsts = new Int32Array(VALUES_FIRST);
  lasts = new Int32Array(VALUES_FIRST);
  valueCount!: number;
  #operators = new Uint8Array(VALUES_FIRST);
  #operatorTokens = new Int32Array(VALUES_FIRST);
  #operatorCount!: number;
  #pipesAsConcat!: boolean;
  #end!: number;

  run(tokens: Tokens, from: number, to: number, emit: EmitFinding, pipesAsConcat: boolean): void {
    this.tokens = tokens;
    this.emit = emit;
    this.#pipesAsConcat = pipesAsConcat;
    this.#end = to;
    this.depth = -1;
    this.subqueries = 0;
    this.valueCount = 0;
    this.#operatorCount = 0;
    this.#push(FRAME_STATEMENT, from, 0);
    let at = from;
    while (at < to) at = this.#step(at);
    while (this.depth > 0) this.#close(to - 1);
    this.#endItem(to);
    const frame = this.frame;
    judgeBranch(this, frame, frame, to - 1);
    this.tokens = EMPTY_TOKENS;
    if (this.frames.length > FRAMES_KEPT_MAX) this.frames.length = FRAMES_KEPT_MAX;
    if (this.attributes.length > VALUES_KEPT_MAX) this.#shrink();
  }

  /** One huge statement must not hold its memory for ever. */
  #shrink(): void {
    this.attributes = new Int32Array(VALUES_FIRST);
    this.firsts = new Int32Array(VALUES_FIRST);
    this.lasts = new Int32Array(VALUES_FIRST);
    this.#operators = new Uint8Array(VALUES_FIRST);
    this.#operatorTokens = new Int32Array(VALUES_FIRST);
  }

  get frame(): Frame {
    return this.frames[this.depth] as Frame;
  }

  /** The token before `at` and after the start of the statement, skipping nothing; -1 when there is none. */
  kindAt(at: number): number {
    return at >= 0 && at < this.#end ? (this.tokens.kinds[at] as number) : -1;
  }

  #step(at: number): number {
    const kind = this.tokens.kinds[at] as number;
    if (kind >= T.INTEGER_NUMBER && kind <= T.DOLLAR_STRING) this.#literal(at, kind);
    else if (kind === T.LEFT_PAREN) this.#open(at);
    else if (kind === T.RIGHT_PAREN) this.#closeParenthesis(at);
    else if (kind === T.COMMA) this.#comma(at);
    else if (kind === T.SEMICOLON) this.#boundary(at, kind);
    else if (kind === T.AT || kind === T.AT_AT) return this.#variable(at, kind);
    else if (kind >= T.STAR && kind <= T.ARROW_UNQUOTE) this.#symbol(at, kind);
    else if (kind === T.HINT_START) return this.#behindHint(at);
    else if (kind === T.LEFT_BRACE) this.emit("odbc-escape", at, at, 1, undefined);
    else if (kind === T.IDENTIFIER || kind === T.QUOTED_IDENTIFIER || kind >= K.KEYWORD_FIRST) this.#word(at, kind);
    return at + 1;
  }

  #behindHint(at: number): number {
    let next = at + 1;
    while (next < this.#end && this.tokens.kinds[next] !== T.HINT_END) next++;
    return next + 1;
  }

  #literal(at: number, kind: number): void {
    const frame = this.frame;
    if (kind === T.HEX_LITERAL) judgeHexLiteral(this, at);
    else if (kind === T.STRING) judgeTextLiteral(this, at);
    if (frame.hasOperand) {
      this.#adjacent(at, kind);
      return;
    }
    if (kind === T.PARAMETER) this.pushValue(V.HAS_OPEN, at, at);
    else if (kind === T.HEX_LITERAL || kind === T.BIT_LITERAL) {
      this.pushValue(V.IS_CONSTANT | V.IS_LITERAL | V.IS_HEX | V.HAS_HEX, at, at);
    } else if (kind >= T.STRING && kind !== T.NULL_ESCAPE) this.#string(at);
    else if (kind === T.NULL_ESCAPE) this.pushValue(V.IS_CONSTANT | V.IS_LITERAL | V.IS_NULL, at, at);
    else this.pushValue(V.IS_CONSTANT | V.IS_LITERAL | V.IS_NUMBER, at, at);
  }

  /** DATE '…' is a date, not a text that somebody could have closed. */
  #string(at: number): void {
    const before = this.kindAt(at - 1);
    const isTyped = before === K.DATE || before === K.TIME || before === K.TIMESTAMP;
    this.pushValue(V.IS_CONSTANT | V.IS_LITERAL | (isTyped ? 0 : V.IS_STRING), at, at);
  }

  /** Two literals side by side are one text to the server; after anything else a string is a name for the column. */
  #adjacent(at: number, kind: number): void {
    const top = this.valueCount - 1;
    const isText = kind === T.STRING || kind === T.NATIONAL_STRING;
    if (!isText || this.lasts[top] !== at - 1 || ((this.attributes[top] as number) & V.IS_STRING) === 0) return;
    if (this.tokens.clauses[at] !== CLAUSE_SELECT) this.emit("adjacent-strings", at - 1, at, 1, undefined);
    this.lasts[top] = at;
  }

  #symbol(at: number, kind: number): void {
    const frame = this.frame;
    if (kind === T.ARROW || kind === T.ARROW_UNQUOTE) {
      this.#operator(at, V.OP_ARROW);
      return;
    }
    if (kind === T.STAR && !frame.hasOperand) {
      frame.hasWildcard = true;
      this.pushValue(V.HAS_COLUMN, at, at);
      return;
    }
    if (kind === T.BANG) this.#prefix(at, V.OP_BANG);
    else if (kind === T.TILDE) this.#prefix(at, V.OP_INVERT);
    else if (kind === T.OR_OR && this.#pipesAsConcat) this.#operator(at, V.OP_BITS);
    else this.#operator(at, OPERATORS[kind] as number);
  }

  #prefix(at: number, operator: number): void {
    if (!this.frame.hasOperand) this.#pushOperator(at, operator);
  }

  #word(at: number, kind: number): void {
    const role = this.tokens.roles[at] as number;
    if (role === ROLE_FUNCTION && this.kindAt(at + 1) === T.LEFT_PAREN) return;
    if (role === ROLE_COLUMN) this.#column(at);
    else if (role === ROLE_TABLE) this.#table(at);
    else if (role !== ROLE_QUALIFIER && role !== ROLE_DEFINITION && role !== ROLE_NAME && role !== ROLE_VARIABLE) {
      this.#keyword(at, kind);
    } else if (role === ROLE_VARIABLE && !this.frame.hasOperand) this.pushValue(V.HAS_OPEN, at, at);
    else if (role === ROLE_NAME) this.#name(at);
  }

  /** Outside of queries a word such as COMMENT begins another option; within them it is a unit, a type or a charset. */
  #name(at: number): void {
    const { clauses } = this.tokens;
    if (clauses[at] === CLAUSE_OTHER && this.frame.kind === FRAME_STATEMENT) this.#endItem(at);
  }

  #column(at: number): void {
    if (!this.frame.hasOperand) {
      let first = at;
      while (this.kindAt(first - 1) === T.DOT) first -= 2;
      this.pushValue(V.HAS_COLUMN | V.IS_COLUMN, Math.max(first, this.frame.token), at);
    }
  }

  #table(at: number): void {
    const frame = this.block();
    if (!frame.isInFrom) return;
    frame.tables++;
    if (this.kindAt(at - 1) === T.DOT && isCatalog(this.tokens, at - 2)) frame.catalogTables++;
  }

  #keyword(at: number, kind: number): void {
    const word = WORDS[kind] as number;
    if (word === WORD_OPERATOR) this.#operatorWord(at, kind);
    else if (word === WORD_BOUNDARY) this.#boundary(at, kind);
    else if (word === WORD_NOTHING) this.#otherWord(at, kind);
    else if (!this.frame.hasOperand) {
      if (word === WORD_LITERAL) this.#wordLiteral(at, kind);
      else if (word === WORD_OPEN) this.pushValue(V.HAS_OPEN, at, at);
      else if (word === WORD_MOMENT) this.pushValue(V.HAS_MOMENT, at, at);
      else this.session(at, at, true);
    }
  }

  #wordLiteral(at: number, kind: number): void {
    const truth = kind === K.NULL || kind === K.UNKNOWN ? V.IS_NULL : V.IS_TRUTH;
    this.pushValue(V.IS_CONSTANT | V.IS_LITERAL | truth, at, at);
  }

  #otherWord(at: number, kind: number): void {
    if (kind === K.CASE && this.kindAt(at - 1) !== K.END) this.#push(FRAME_CASE, at, 0);
    else if (kind === K.END && this.frame.kind === FRAME_CASE) this.#close(at);
    else if (kind === K.INTERVAL) this.frame.isInterval = true;
  }

  /** @@variable tells something about the server, @variable whatever the session put there. */
  #variable(at: number, kind: number): number {
    let next = at + 1;
    if (kind === T.AT_AT) while (this.kindAt(next + 1) === T.DOT) next += 2;
    const last = Math.min(next, this.#end - 1);
    if (!this.frame.hasOperand) {
      if (kind === T.AT || this.#isGtidArgument(last)) this.pushValue(V.HAS_OPEN, at, last);
      else this.session(at, last, false);
    }
    return last + 1;
  }

  /** GTID_SUBTRACT(@@GLOBAL.gtid_executed, …) is what replication tools ask: a set of GTIDs is never a wrong one. */
  #isGtidArgument(last: number): boolean {
    const { kind, token } = this.frame;
    return kind === FRAME_CALL && this.#nameAt(token - 1).startsWith("gtid_") && this.#nameAt(last).startsWith("gtid_");
  }

  /** A value of the session. In a condition, a subquery or a UNION it is something that is asked for. */
  session(first: number, last: number, isFunction: boolean): void {
    this.pushValue(V.HAS_SESSION, first, last);
    const isPlain =
      (this.tokens.clauses[first] as number) <= CLAUSE_SELECT && this.subqueries === 0 && this.block().branch === 0;
    if (isPlain || this.tokens.clauses[first] === CLAUSE_SET || this.#isNoted(first, last)) return;
    if (isFunction) this.emit("session-function-nested", first, last, 1, undefined);
    else this.emit("system-variable-nested", first, last, 1, this.#nameAt(last));
  }

  /** INSERT … VALUES (USER(), …): who did it, for the record. */
  #isNoted(first: number, last: number): boolean {
    if (this.tokens.clauses[first] !== CLAUSE_VALUES || this.subqueries > 0) return false;
    const before = this.kindAt(first - 1);
    const after = this.kindAt(last + 1);
    const isWhole = (before === T.LEFT_PAREN || before === T.COMMA) && (after === T.RIGHT_PAREN || after === T.COMMA);
    return isWhole && NOTED_USERS.has(this.#nameAt(first));
  }

  /** Whether the token is a number of this one digit. */
  isDigit(token: number, digit: number): boolean {
    const { sql, starts, ends, kinds } = this.tokens;
    if (kinds[token] !== T.INTEGER_NUMBER) return false;
    const start = starts[token] as number;
    return (ends[token] as number) - start === 1 && sql[start] === 0x30 + digit;
  }

  #nameAt(token: number): string {
    const { sql, starts, ends } = this.tokens;
    const bytes = sql.subarray(
      starts[token],
      Math.min(ends[token] as number, (starts[token] as number) + NAME_BYTES_MAX),
    );
    return String.fromCharCode(...bytes).toLowerCase();
  }

  /** Whether the token stands in the select list of the first branch of a top-level statement. */
  isPlainSelect(token: number): boolean {
    return (
      (this.tokens.clauses[token] as number) <= CLAUSE_SELECT && this.subqueries === 0 && this.block().branch === 0
    );
  }

  #operatorWord(at: number, kind: number): void {
    const frame = this.frame;
    const operator = OPERATORS[kind] as number;
    if (operator === V.OP_NOT || operator === V.OP_EXISTS || operator === V.OP_PREFIX) {
      if (!this.#isClauseOfExistence(at, kind)) this.#prefix(at, operator);
    } else if (operator === V.OP_AND && kind === K.AND && frame.betweens > 0) this.#betweenHigh(at);
    else if (operator === V.OP_IS) this.#operator(at, operator);
    else this.#operator(at, operator);
    if (operator === V.OP_BETWEEN) frame.betweens++;
  }

  /** IF [NOT] EXISTS before a name or a text asks about no row; the operator has a subquery behind it. */
  #isClauseOfExistence(at: number, kind: number): boolean {
    const exists = kind === K.NOT ? at + 1 : at;
    return this.kindAt(exists) === K.EXISTS && this.kindAt(exists + 1) !== T.LEFT_PAREN;
  }

  /** The AND of a BETWEEN: what stands before it is the lower bound. */
  #betweenHigh(at: number): void {
    const frame = this.frame;
    frame.betweens--;
    while (this.#operatorCount > frame.operatorBase) {
      const top = this.#operators[this.#operatorCount - 1] as number;
      this.#reduce();
      if (top === V.OP_BETWEEN) break;
    }
    this.#pushOperator(at, V.OP_BETWEEN_HIGH);
  }

  #operator(at: number, operator: number): void {
    const frame = this.frame;
    if (!frame.hasOperand) {
      if (operator === V.OP_ADD) this.#pushOperator(at, V.OP_SIGN);
      return;
    }
    if (operator === V.OP_COMPARE && this.#isAssignment(at)) {
      this.#forgetExpression();
      return;
    }
    const precedence = V.PRECEDENCE[operator] as number;
    while (this.#operatorCount > frame.operatorBase) {
      const top = this.#operators[this.#operatorCount - 1] as number;
      if ((V.PRECEDENCE[top] as number) < precedence) break;
      this.#reduce();
    }
    this.#pushOperator(at, operator);
  }

  /** The first = after a name in SET stores; it compares nothing. */
  #isAssignment(at: number): boolean {
    const frame = this.frame;
    const clause = this.tokens.clauses[this.firsts[this.valueCount - 1] as number];
    return (
      (clause === CLAUSE_SET || clause === CLAUSE_ON_DUPLICATE) &&
      frame.kind === FRAME_STATEMENT &&
      this.#operatorCount === frame.operatorBase &&
      this.kindAt(at) === T.EQUAL &&
      ((this.attributes[this.valueCount - 1] as number) & V.IS_COLUMN) !== 0
    );
  }

  #pushOperator(at: number, operator: number): void {
    if (this.#operatorCount === this.#operators.length) {
      this.#operators = grown(this.#operators, new Uint8Array(this.#operatorCount * 2));
      this.#operatorTokens = grown(this.#operatorTokens, new Int32Array(this.#operatorCount * 2));
    }
    this.#operators[this.#operatorCount] = operator;
    this.#operatorTokens[this.#operatorCount] = at;
    this.#operatorCount++;
    this.frame.hasOperand = false;
  }

  pushValue(attributes: number, first: number, last: number): void {
    const frame = this.frame;
    if (this.valueCount === this.attributes.length) {
      this.attributes = grown(this.attributes, new Int32Array(this.valueCount * 2));
      this.firsts = grown(this.firsts, new Int32Array(this.valueCount * 2));
      this.lasts = grown(this.lasts, new Int32Array(this.valueCount * 2));
    }
    this.attributes[this.valueCount] = frame.isInterval ? V.IS_INTERVAL | V.HAS_OPEN : attributes;
    frame.isInterval = false;
    this.firsts[this.valueCount] = first;
    this.lasts[this.valueCount] = last;
    this.valueCount++;
    frame.hasOperand = true;
  }

  #reduce(): void {
    this.#operatorCount--;
    const operator = this.#operators[this.#operatorCount] as number;
    const token = this.#operatorTokens[this.#operatorCount] as number;
    const available = this.valueCount - this.frame.valueBase;
    if (V.isPrefix(operator)) {
      if (available >= 1) applyPrefix(this, operator, token);
    } else if (available >= 2) applyBinary(this, operator, token);
  }

  /** Drops the name that an assignment stores to. */
  #forgetExpression(): void {
    this.valueCount = this.frame.valueBase;
    this.frame.hasOperand = false;
  }

  /** Ends an item of a list, a clause or an argument. */
  #endItem(at: number): void {
    const frame = this.frame;
    while (this.#operatorCount > frame.operatorBase) this.#reduce();
    if (this.valueCount > frame.valueBase) judgeItem(this, frame, at);
    this.valueCount = frame.valueBase;
    frame.hasOperand = false;
    frame.betweens = 0;
    frame.isInterval = false;
  }

  #comma(at: number): void {
    this.#endItem(at);
    // Not those between arguments and items of parentheses.
    if (this.frame === this.block() && this.frame.isInFrom) this.frame.commas++;
  }

  #boundary(at: number, kind: number): void {
    this.#endItem(at);
    const frame = this.frame;
    if (kind === K.SELECT || (kind === K.VALUES && this.#isAfterUnion(at))) {
      if (frame.kind !== FRAME_SUBQUERY && frame.kind !== FRAME_STATEMENT) return;
      frame.startItems();
      frame.isSelecting = true;
    } else if (kind === K.FROM) {
      frame.isSelecting = false;
      frame.hasFrom = this.kindAt(at + 1) !== K.DUAL;
      frame.isInFrom = true;
    } else if (kind === K.WHERE || kind === K.ON || kind === K.USING) frame.hasWhere = true;
    else if (kind === K.UNION || kind === K.EXCEPT || kind === K.INTERSECT) this.#union(at);
    else if (kind === T.SEMICOLON) this.#endStatement(at);
    else if (kind === K.PROCEDURE && frame.hasFrom && this.kindAt(at + 2) === T.LEFT_PAREN) {
      this.emit("procedure-analyse", at, at + 1, 1, undefined);
    }
    if (kind !== K.SELECT && kind !== K.BY && kind !== K.VALUES) frame.isSelecting = false;
    if (!FROM_WORDS.has(kind)) frame.isInFrom = false;
  }

  #isAfterUnion(at: number): boolean {
    const before = this.kindAt(at - 1);
    return before === K.UNION || ((before === K.ALL || before === K.DISTINCT) && this.kindAt(at - 2) === K.UNION);
  }

  /** Whether the parenthesis, or those around it, hold a branch of a UNION. */
  #isUnionOperand(at: number): boolean {
    return this.#isAfterUnion(this.beforeParentheses(at) + 1);
  }

  /** The token before `at` that is no opening parenthesis; looks past PARENTHESES_MAX of them, so that the cost is bounded. */
  beforeParentheses(at: number): number {
    let before = at - 1;
    const stop = Math.max(-1, before - PARENTHESES_MAX);
    while (before > stop && this.tokens.kinds[before] === T.LEFT_PAREN) before--;
    return before;
  }

  #union(at: number): void {
    const frame = this.frame;
    judgeBranch(this, frame, frame, at - 1);
    if (frame.branch === 0) frame.firstHasWhere = frame.hasWhere || frame.isOperandWithWhere;
    if (frame.branch === 0) frame.firstHasTable = frame.firstHasTable || (frame.hasFrom && frame.tables > 0);
    if (frame.branch === 0) frame.firstHasConstant = frame.firstHasConstant || frame.constantItems > 0;
    if (frame.branch === 0)
      frame.firstIsNumbered = frame.items > 0 && frame.numberedItems === frame.items && !frame.hasFrom;
    frame.branch++;
    frame.startItems();
    frame.startBranch(at);
    frame.isAfterLiteral = isLiteralBefore(this, at);
    if (frame.isAfterLiteral && this.#isTableBranch(at)) {
      this.emit("union-branch", at, at + 1, 1, undefined);
      this.emit("union-after-literal", at, at + 1, 1, undefined);
    }
  }

  /** UNION TABLE t, which applications do not write. */
  #isTableBranch(at: number): boolean {
    const next = this.kindAt(at + 1);
    return next === K.TABLE || ((next === K.ALL || next === K.DISTINCT) && this.kindAt(at + 2) === K.TABLE);
  }

  /** Stored code holds several statements in one range. */
  #endStatement(at: number): void {
    const frame = this.frame;
    judgeBranch(this, frame, frame, at - 1);
    frame.branch = 0;
    frame.firstHasTable = false;
    frame.firstHasConstant = false;
    frame.firstIsNumbered = false;
    frame.startItems();
    frame.startBranch(at);
  }

  #push(kind: number, token: number, classes: number): void {
    this.depth++;
    if (this.depth === this.frames.length) this.frames.push(new Frame());
    const frame = this.frame;
    frame.open(kind, token, classes, this.valueCount, this.#operatorCount);
    const isBlock = kind === FRAME_SUBQUERY || kind === FRAME_STATEMENT;
    frame.blockDepth = isBlock ? this.depth : (this.frames[this.depth - 1] as Frame).blockDepth;
    if (kind === FRAME_SUBQUERY) this.subqueries++;
  }

  #open(at: number): void {
    const { roles, sql, starts, ends } = this.tokens;
    const role = roles[at] as number;
    const next = this.kindAt(at + 1);
    if (role === ROLE_SUBQUERY_PAREN || (role === ROLE_LIST_PAREN && (next === K.SELECT || next === K.WITH))) {
      this.#push(FRAME_SUBQUERY, at, 0);
      this.frame.isBranchOperand = this.#isUnionOperand(at);
    } else if (roles[at - 1] === ROLE_FUNCTION && at > 0) {
      const classes = functionClasses(sql, starts[at - 1] as number, ends[at - 1] as number);
      this.#push(FRAME_CALL, at, classes);
    } else this.#push(FRAME_PARENTHESIS, at, 0);
  }

  /** A CASE without END must not swallow the parenthesis around it. */
  #closeParenthesis(at: number): void {
    while (this.frame.kind === FRAME_CASE) this.#close(at);
    this.#close(at);
  }

  #close(at: number): void {
    if (this.depth === 0) return;
    this.#endItem(at);
    const frame = this.frame;
    this.depth--;
    const parent = this.frame;
    if (frame.kind === FRAME_SUBQUERY) {
      this.subqueries--;
      const block = this.block();
      // Whatever ties an inner subquery may be a row around both.
      if (frame.hasColumnPair) block.hasColumnPair = true;
      if (frame.isBranchOperand && block.isBranchOperand && block.items === 0) block.takeBranch(frame);
      else if (frame.isBranchOperand) judgeBranch(this, frame, block, at);
      else judgeBranch(this, frame, frame, at);
      judgeSubquery(this, frame, at);
      if (parent.branch === 0 && frame.hasFrom && frame.tables > 0) parent.firstHasTable = true;
      if (frame.hasWhere) parent.isOperandWithWhere = true;
      if (parent.branch === 0 && frame.isBranchOperand && frame.constantItems > 0) parent.firstHasConstant = true;
    }
    const role = this.tokens.roles[frame.token] as number;
    if (role === ROLE_OTHER_PAREN || role === ROLE_TABLES_PAREN || parent.hasOperand) return;
    this.#closedValue(frame, at);
  }

  #closedValue(frame: Frame, at: number): void {
    const first = frame.kind === FRAME_CALL ? frame.token - 1 : frame.token;
    const inherited = frame.itemAttributes & V.INHERITED;
    const isConstant = frame.items > 0 && frame.constantItems === frame.items ? V.IS_CONSTANT : 0;
    if (frame.kind === FRAME_SUBQUERY) {
      const foreign = frame.hasColumnPair ? 0 : V.HAS_FOREIGN;
      this.pushValue(V.HAS_SUBQUERY | V.IS_SUBQUERY | foreign, first, at);
    } else if (frame.kind === FRAME_CALL) judgeCall(this, frame, at);
    else if (frame.kind === FRAME_CASE) this.#closedCase(frame, inherited | isConstant | V.IS_FUNCTION, at);
    else if (frame.items === 1) this.pushValue(frame.firstItem | V.IS_PARENTHESISED, first, at);
    else if (frame.items > 1) this.pushValue(inherited | isConstant | V.IS_LIST, first, at);
    if (frame.kind === FRAME_CALL && (frame.functionClasses & FN_COUNT) !== 0) this.block().hasCount = true;
  }

  #closedCase(frame: Frame, attributes: number, at: number): void {
    this.pushValue(attributes, frame.token, at);
    if ((attributes & V.IS_CONSTANT) !== 0 && !this.isPlainSelect(frame.token)) {
      this.emit("case-constant", frame.token, at, 1, undefined);
    }
  }

  /** The statement or subquery that the current token belongs to. */
  block(): Frame {
    return this.frames[this.frame.blockDepth] as Frame;
  }
}

const EMPTY_TOKENS: Tokens = {
  sql: new Uint8Array(0),
  kinds: new Uint16Array(0),
  starts: new Int32Array(0),
  ends: new Int32Array(0),
  flags: new Uint8Array(0),
  roles: new Uint8Array(0),
  clauses: new Uint8Array(0),
  count: 0,
  forgottenRows: new Map(),
};

function grown<Column extends Uint8Array | Int32Array>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}

/** A literal directly before, or behind closing parentheses only. */
function isLiteralBefore(scan: ConditionScan, at: number): boolean {
  let before = at - 1;
  while (scan.kindAt(before) === T.RIGHT_PAREN) before--;
  const kind = scan.kindAt(before);
  return kind >= T.INTEGER_NUMBER && kind <= T.NATIONAL_STRING;
}

const CATALOG_NAMES = ["information_schema", "performance_schema", "mysql", "sys"];

/** Whether the qualifier at this token names one of the server's own schemas. */
function isCatalog({ sql, starts, ends, kinds }: Tokens, at: number): boolean {
  if (at < 0) return false;
  const quote = kinds[at] === T.QUOTED_IDENTIFIER ? 1 : 0;
  const start = (starts[at] as number) + quote;
  const length = (ends[at] as number) - quote - start;
  return CATALOG_NAMES.some((name) => {
    if (name.length !== length) return false;
    for (let index = 0; index < length; index++) {
      if (((sql[start + index] as number) | 0x20) !== (name.charCodeAt(index) | 0x20)) return false;
    }
    return true;
  });
}

const scan = new ConditionScan();

/**
 * Scans tokens [from, to) of one top-level statement whose roles and clauses are filled in.
 * Findings come in no particular order; `emit` must not call back. Linear in the number of tokens.
 */
export function scanConditions(
  tokens: Tokens,
  from: number,
  to: number,
  emit: EmitFinding,
  pipesAsConcat = false,
): void {
  scan.run(tokens, from, to, emit, pipesAsConcat);
}
