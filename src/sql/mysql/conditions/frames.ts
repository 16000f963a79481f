/** What is open while conditions are scanned: one frame per parenthesis, call, CASE and statement. */

export const FRAME_STATEMENT = 0;
export const FRAME_PARENTHESIS = 1;
export const FRAME_CALL = 2;
export const FRAME_SUBQUERY = 3;
export const FRAME_CASE = 4;

/** Reused from a pool: open() sets every field. */
export class Frame {
  kind!: number;
  /** The opening token; for a call, the name's token is the one before. */
  token!: number;
  functionClasses!: number;
  /** Depth of the frame of the statement or subquery it belongs to, its own if it is one. */
  blockDepth!: number;
  valueBase!: number;
  operatorBase!: number;
  /** The expression so far ends in an operand, so that an operator may follow. */
  hasOperand!: boolean;
  /** BETWEENs that wait for their AND. */
  betweens!: number;
  isInterval!: boolean;

  // Items between commas
  items!: number;
  constantItems!: number;
  /** Constant items with a name for the column behind them. */
  namedConstants!: number;
  /** Items that are NULL or a bare number, without a name. */
  paddingItems!: number;
  /** Items that are a bare number, without a name. */
  numberedItems!: number;
  hexItems!: number;
  literalItems!: number;
  /** Attributes of all items together, and of the first one. */
  itemAttributes!: number;
  firstItem!: number;
  firstItemToken!: number;

  // Query block
  branch!: number;
  /** Statement or subquery whose list of values is being selected. */
  isSelecting!: boolean;
  hasFrom!: boolean;
  /** Between FROM and what follows the tables. */
  isInFrom!: boolean;
  hasWhere!: boolean;
  tables!: number;
  catalogTables!: number;
  /** Derived tables of one literal that has no name: (SELECT 1) a. */
  literalTables!: number;
  commas!: number;
  hasCount!: boolean;
  firstHasTable!: boolean;
  firstHasWhere!: boolean;
  /** A query in parentheses within this one, such as a branch of its UNION, has conditions. */
  isOperandWithWhere!: boolean;
  /** The first branch has a constant among its values, as reports have that fill up columns. */
  firstHasConstant!: boolean;
  /** The first branch only numbers the columns: SELECT 1, 2, 3. */
  firstIsNumbered!: boolean;
  branchToken!: number;
  isAfterLiteral!: boolean;
  /** A column is compared with a column: what ties a subquery to the row around it. */
  hasColumnPair!: boolean;
  /** `*` or `t.*` in the select list. */
  hasWildcard!: boolean;
  /** A parenthesised branch of the UNION in the frame around it. */
  isBranchOperand!: boolean;

  open(kind: number, token: number, classes: number, valueBase: number, operatorBase: number): void {
    this.kind = kind;
    this.token = token;
    this.functionClasses = classes;
    this.valueBase = valueBase;
    this.operatorBase = operatorBase;
    this.hasOperand = false;
    this.betweens = 0;
    this.isInterval = false;
    this.branch = 0;
    this.firstHasTable = false;
    this.firstIsNumbered = false;
    this.firstHasConstant = false;
    this.firstHasWhere = false;
    this.isOperandWithWhere = false;
    this.isBranchOperand = false;
    this.hasColumnPair = false;
    this.startItems();
    this.startBranch(token);
  }

  startItems(): void {
    this.items = 0;
    this.constantItems = 0;
    this.namedConstants = 0;
    this.paddingItems = 0;
    this.numberedItems = 0;
    this.hexItems = 0;
    this.literalItems = 0;
    this.itemAttributes = 0;
    this.firstItem = 0;
    this.firstItemToken = 0;
  }

  startBranch(token: number): void {
    this.isSelecting = false;
    this.hasFrom = false;
    this.isInFrom = false;
    this.hasWhere = false;
    this.tables = 0;
    this.catalogTables = 0;
    this.literalTables = 0;
    this.commas = 0;
    this.hasCount = false;
    this.hasWildcard = false;
    this.branchToken = token;
    this.isAfterLiteral = false;
  }

  /** Parentheses around a query hold what the query holds. */
  takeBranch(inner: Frame): void {
    this.items = inner.items;
    this.constantItems = inner.constantItems;
    this.namedConstants = inner.namedConstants;
    this.paddingItems = inner.paddingItems;
    this.hasFrom = inner.hasFrom;
    this.hasWhere = inner.hasWhere;
    this.tables = inner.tables;
    this.literalTables = inner.literalTables;
    this.hasWildcard = inner.hasWildcard;
  }
}
