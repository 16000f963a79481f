/** The rules that hold on a day: which of them a text breaks, and which of them an error of the server's is about. */
import { Lexer, MARK } from "../lexing/lexer.ts";
import { type ParseAnswer, type ParsedStatement, parseText } from "../parser/parser.ts";
import { nodeOf } from "../parser/tree.ts";
import { withoutAsync } from "./async-word.ts";
import type { DsqlRule, NodePattern } from "./rule.ts";
import { matchesNode, someNode } from "./rule-match.ts";
import { DSQL_RULES } from "./rules.ts";

/** What a text breaks, and the types of its statements; `unread` where PostgreSQL's grammar does not take it. */
export type RuleCheck =
  | { readonly kind: "read"; readonly types: readonly string[]; readonly broken: readonly DsqlRule[] }
  | { readonly kind: "unread" };

/** Conflicts have a state of the standard's, and may come under names of the service. */
const CONFLICT_STATES: ReadonlySet<string> = new Set(["40001", "OC000", "OC001"]);

export class DsqlRuleSet {
  /** All, with those that have ended. */
  readonly rules: readonly DsqlRule[];
  readonly #holding: readonly DsqlRule[];
  readonly #byNode = new Map<string, { readonly rule: DsqlRule; readonly pattern: NodePattern }[]>();
  readonly #lexer = new Lexer();

  /** `today` as YYYY-MM-DD. */
  constructor(today: string, rules: readonly DsqlRule[] = DSQL_RULES) {
    this.rules = rules;
    this.#holding = rules.filter(({ until }) => until === undefined || today < until);
    for (const rule of this.#holding) {
      for (const pattern of rule.patterns ?? []) {
        const list = this.#byNode.get(pattern.node);
        if (list === undefined) this.#byNode.set(pattern.node, [{ rule, pattern }]);
        else list.push({ rule, pattern });
      }
    }
  }

  holds(id: string): boolean {
    return this.#holding.some((rule) => rule.id === id);
  }

  /** The rule that the error is about. Undefined for errors of PostgreSQL's own. */
  ofError(sqlState: string, message: string): DsqlRule | undefined {
    const isConflict = CONFLICT_STATES.has(sqlState);
    const state = isConflict ? "40001" : sqlState;
    const found = this.#holding.find((rule) => rule.sqlState === state && fits(rule.message, message));
    if (found !== undefined || !isConflict) return found;
    return this.#holding.find(({ id }) => id === (message.includes("OC001") ? "schema-conflict" : "conflict"));
  }

  /**
   * The rule that Aurora DSQL refuses the text by for certain, sent as one Query outside of a transaction: undefined where
   * something else may decide.
   */
  refusesAlone(sql: Uint8Array): DsqlRule | undefined {
    const check = this.check(sql);
    if (check.kind === "unread") return undefined;
    const alone = check.broken.find(({ id }) => ALONE.has(id));
    return alone ?? this.#holding.find(({ id }) => id === brokenByMixing(check.types));
  }

  /** loadParser() must have been called: before that nothing can be read. */
  check(sql: Uint8Array): RuleCheck {
    const lexer = this.#lexer;
    lexer.run(sql, "standard");
    if ((lexer.marks & UNREADABLE) !== 0) return { kind: "unread" };
    const { answer, places } = parseWithAsync(lexer);
    if (answer.kind !== "tree") return { kind: "unread" };
    const broken = new Set<DsqlRule>();
    for (const statement of answer.statements) {
      const isAsync = places.some((place) => isIn(statement, place));
      someNode(statement.stmt, (type, fields) => {
        for (const { rule, pattern } of this.#byNode.get(type) ?? []) {
          if (matchesNode(pattern, type, fields, isAsync)) broken.add(rule);
        }
        return false;
      });
    }
    const types = answer.statements.map(({ stmt }) => nodeOf(stmt)?.type ?? "");
    return { kind: "read", types, broken: [...broken] };
  }
}

/** What certainly is DDL there. */
const DDL: ReadonlySet<string> = new Set(
  "CreateStmt IndexStmt AlterTableStmt DropStmt ViewStmt CreateSchemaStmt CreateSeqStmt CreateFunctionStmt CreateDomainStmt RenameStmt".split(
    " ",
  ),
);
const DML: ReadonlySet<string> = new Set(["InsertStmt", "UpdateStmt", "DeleteStmt"]);
/** Rules that one text can break all by itself. */
const ALONE: ReadonlySet<string> = new Set(["index-async", "values-rows"]);

const UNREADABLE = MARK.NUL | MARK.UNTERMINATED | MARK.ERROR | MARK.OVER_LIMIT;

/** What `lexer` has just read, as Aurora DSQL reads it; as PostgreSQL does where that gives no statement. */
export function parseWithAsync(lexer: Lexer): { readonly answer: ParseAnswer; readonly places: readonly number[] } {
  const { sql } = lexer;
  const own = withoutAsync(lexer);
  if (own !== undefined) {
    const answer = parseText(own.text);
    if (answer.kind === "tree") return { answer, places: own.places };
  }
  return { answer: parseText(sql), places: [] };
}

/** The statements of one Query are one transaction, up to a BEGIN, COMMIT or ROLLBACK in it. */
function brokenByMixing(types: readonly string[]): string | undefined {
  let ddl = 0;
  let hasDml = false;
  for (const type of types) {
    if (type === "TransactionStmt") {
      ddl = 0;
      hasDml = false;
    }
    if (DDL.has(type)) ddl++;
    if (DML.has(type)) hasDml = true;
    if (ddl > 1) return "multiple-ddl";
    if (ddl > 0 && hasDml) return "ddl-and-dml";
  }
  return undefined;
}

function isIn({ stmt_location: start = 0, stmt_len: length }: ParsedStatement, place: number): boolean {
  return place >= start && (length === undefined || place < start + length);
}

/** `*` stands for any text. */
function fits(pattern: string, message: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return message === first;
  if (!message.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = message.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return message.length - last.length >= at && message.endsWith(last);
}
