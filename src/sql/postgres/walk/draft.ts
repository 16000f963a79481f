/** The facts of one statement while they are gathered. */
import type {
  Account,
  Assignment,
  ByteRange,
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

type Open<Facts> = { -readonly [Name in keyof Facts]: Facts[Name] };

/** A block while its clauses are read. */
export type OpenBlock = Open<QueryBlock> & {
  otherSources: (string | undefined)[];
  /** Tables whose columns have other names here, and names of joins that stand for their rows. */
  renamed: (TableReference | string)[];
  /** Of a query of the one row of pg_settings with this name. */
  setting: string | undefined;
};

/** Every list may grow, everything else may be set. */
export class Draft implements StatementFacts {
  kind: StatementKind = "unknown";
  start: number;
  end: number;
  readonly within: StatementOrigin;
  readonly parent: number | undefined;
  readonly packetIndex: number;
  readonly tablesRead: TableReference[] = [];
  readonly tablesWritten: TableReference[] = [];
  readonly objects: ObjectReference[] = [];
  readonly cteNames: string[] = [];
  readonly columns: ColumnReference[] = [];
  readonly mentions: Mention[] = [];
  readonly functions: FunctionCall[] = [];
  readonly predicates: Predicate[] = [];
  readonly blocks: OpenBlock[] = [];
  where: WhereShape = "absent";
  limit: Limit | undefined = undefined;
  inListMax = 0;
  valuesRows = 0;
  unionBranches = 0;
  subqueries = 0;
  joins = 0;
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

  constructor(within: StatementOrigin, parent: number | undefined, packetIndex: number, { start, end }: ByteRange) {
    this.within = within;
    this.parent = parent;
    this.packetIndex = packetIndex;
    this.start = start;
    this.end = end;
  }

  get range(): ByteRange {
    return { start: this.start, end: this.end };
  }

  addModifier(modifier: StatementModifier): void {
    if (!this.modifiers.includes(modifier)) this.modifiers.push(modifier);
  }
}
