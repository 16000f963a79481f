/**
 * The walk over the parser's tree: every node is visited, whatever stands around it, because what runs may stand anywhere.
 * A type of node that is not known makes the text one that is not understood.
 */
import type {
  ByteRange,
  Clause,
  Finding,
  FindingName,
  NotUnderstood,
  PostgresqlContext,
  StatementOrigin,
} from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { nodeOf, type TreeNode } from "../parser/tree.ts";
import { Draft } from "./draft.ts";
import { KNOWN_NODES } from "./known-nodes.ts";
import { schemaOf } from "./names.ts";
import type { Source } from "./source.ts";

/** Where a node stands. */
export interface Place {
  readonly draft: Draft;
  /** Of the draft among the statements of the text. */
  readonly index: number;
  readonly block: number;
  readonly clause: Clause;
  /** Names that WITH defines here and around. */
  readonly ctes: ReadonlySet<string>;
  /** Queries around. */
  readonly depth: number;
  /**
   * Inside of what is kept and runs when something else calls it: under the search_path of that moment, and with values of the
   * call, which nobody judges.
   */
  readonly runsLater: boolean;
  /** A table named here is written, or changed in its definition. */
  readonly isWriting?: boolean;
}

const KEPT: ReadonlySet<StatementOrigin> = new Set(["prepared-literal", "body", "rule-body"]);

export type Handler = (walk: Walk, fields: TreeFields, place: Place) => void;

/** SQL that a literal of the text holds and that runs. */
export interface InnerText {
  readonly sql: string;
  readonly within: StatementOrigin;
  readonly parent: number;
  readonly range: ByteRange;
  /** Whether the text is a body in PL/pgSQL, or one in SQL. */
  readonly language: "sql" | "plpgsql";
}

const NO_CTES: ReadonlySet<string> = new Set();

export class Walk {
  readonly source: Source;
  readonly context: PostgresqlContext;
  readonly statements: Draft[];
  readonly findings: Finding[];
  readonly inner: InnerText[] = [];
  notUnderstood: NotUnderstood | undefined = undefined;
  steps = 0;
  readonly #handlers: ReadonlyMap<string, Handler>;

  constructor(
    source: Source,
    context: PostgresqlContext,
    handlers: ReadonlyMap<string, Handler>,
    statements: Draft[],
    findings: Finding[],
  ) {
    this.source = source;
    this.context = context;
    this.#handlers = handlers;
    this.statements = statements;
    this.findings = findings;
  }

  /** A new statement and the place of its first words. */
  begin(within: StatementOrigin, parent: number | undefined, packetIndex: number, range: ByteRange): Place {
    const draft = new Draft(within, parent, packetIndex, range);
    const index = this.statements.push(draft) - 1;
    const runsLater = KEPT.has(within);
    return { draft, index, block: -1, clause: "other", ctes: NO_CTES, depth: 0, runsLater };
  }

  /** A statement inside another one, with the names of WITH that it sees. */
  beginWithin({ draft, index, ctes, depth, runsLater }: Place, within: StatementOrigin): Place {
    const inside = this.begin(within, index, draft.packetIndex, draft.range);
    return { ...inside, ctes, depth, runsLater: runsLater || inside.runsLater };
  }

  /** The schema of a table that is named without one, where there is no doubt. */
  schemaOf(table: string, { runsLater }: Place): string | undefined {
    return runsLater ? undefined : schemaOf(table, this.context);
  }

  /** Anything that a field may hold. */
  value(value: unknown, place: Place): void {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) this.value(item, place);
      return;
    }
    const node = nodeOf(value);
    if (node !== undefined) this.node(node, place);
    else this.bare(value as TreeFields, place);
  }

  node({ type, fields }: TreeNode, place: Place): void {
    this.steps++;
    const handler = this.#handlers.get(type);
    if (handler !== undefined) handler(this, fields, place);
    else {
      if (!KNOWN_NODES.has(type)) this.fail("unknown-statement", place.draft.range);
      this.fields(fields, place);
    }
  }

  /** As a type that its field tells, without a wrapper. */
  typed(type: string, fields: TreeFields | undefined, place: Place): void {
    if (fields !== undefined) this.node({ type, fields }, place);
  }

  /** All fields but those named. */
  fields(fields: TreeFields, place: Place, but: ReadonlySet<string> = NO_FIELDS): void {
    for (const field in fields) if (!but.has(field)) this.value(fields[field], place);
  }

  /** A node without a wrapper, of a type that only its fields tell. */
  bare(fields: TreeFields, place: Place): void {
    if ("relname" in fields) this.typed("RangeVar", fields, place);
    else if ("roletype" in fields) this.typed("RoleSpec", fields, place);
    else if ("ctes" in fields) this.typed("WithClause", fields, place);
    else if ("typemod" in fields && "names" in fields) this.typed("TypeName", fields, place);
    else if ("funcname" in fields) this.typed("FuncCall", fields, place);
    else if ("targetList" in fields || "valuesLists" in fields || "larg" in fields) {
      this.typed("SelectStmt", fields, place);
    } else this.fields(fields, place);
  }

  find(what: FindingName, { index }: Pick<Place, "index">, range: ByteRange, count = 1, detail?: string): void {
    const { start, end } = range;
    this.findings.push({ what, statement: index, start, end, count, detail });
  }

  /** The first reason counts. */
  fail(reason: NotUnderstood["reason"], { start, end }: ByteRange): void {
    this.notUnderstood ??= { reason, start, end };
  }
}

const NO_FIELDS: ReadonlySet<string> = new Set();
