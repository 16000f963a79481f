/** Where the parameters of a prepared text stand, and whether a verdict may depend on what is bound to them. */
import { decodeCharacters } from "../../../base/characters.ts";
import type { MysqlContext } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import { Lexer } from "../lexing/lexer.ts";
import { planReadings, primaryRules } from "../lexing/readings.ts";
import * as T from "../lexing/token-kinds.ts";
import { COMPARISONS, NAMES, TERM_ENDS } from "../lexing/word-sets.ts";
import { possibleName } from "../names/names.ts";
import { lexText } from "../queries/literal-rows.ts";

/** A whole value compared with a column or stored in one: no rule asks for it, but one that names the value. */
export const PLAIN = 0;
export const WEIGHTY = 1;
/** LIMIT and OFFSET, where servers read text as a number too. */
export const COUNT = 2;

export interface ParameterPlaces {
  /** Where the parameters stand, in order. */
  readonly offsets: readonly number[];
  readonly roles: readonly number[];
  /** True when rules that name no value may still depend on one. */
  readonly areWeighty: boolean;
  /** Whether literals may be cut: nothing in the statement runs them as text of its own. */
  readonly areRows: boolean;
}

const TOKENS_MAX = 200_000;

const lexer = new Lexer();

/** The places of the parameters, or undefined where the readings of the text do not agree on them. */
export function findParameterPlaces(sql: Uint8Array, context: MysqlContext): ParameterPlaces | undefined {
  const primary = primaryRules(context);
  lexText(lexer, sql, primary, TOKENS_MAX);
  const plan = planReadings(sql, context, primary, lexer);
  const places = placesOfTokens(context.schema);
  for (const rules of plan.rules.slice(1)) {
    lexText(lexer, sql, rules, TOKENS_MAX);
    const offsets = parameterTokens().map((token) => lexer.starts[token]);
    if (offsets.length !== places.offsets.length) return undefined;
    if (offsets.some((offset, index) => offset !== places.offsets[index])) return undefined;
  }
  lexer.shrink();
  return places;
}

function parameterTokens(): number[] {
  const found: number[] = [];
  for (let token = 0; token < lexer.count; token++) if (lexer.kinds[token] === T.PARAMETER) found.push(token);
  return found;
}

function placesOfTokens(schema: string | undefined): ParameterPlaces {
  const tokens = parameterTokens();
  const offsets = tokens.map((token) => lexer.starts[token] as number);
  const first = kindAt(0);
  const areRows = ROW_STARTS.has(first);
  const fixed = first === K.CALL && !mayExecuteArguments(schema) ? PLAIN : WEIGHTY;
  const listed = areRows ? listedParameters() : NO_TOKENS;
  const roles = tokens.map((token) => (areRows ? roleOf(token, listed) : fixed));
  return { offsets, roles, areWeighty: roles.some((role) => role !== PLAIN), areRows };
}

const NO_TOKENS: ReadonlySet<number> = new Set();

const ROW_STARTS: ReadonlySet<number> = new Set([
  K.SELECT,
  K.INSERT,
  K.UPDATE,
  K.DELETE,
  K.REPLACE,
  K.WITH,
  T.LEFT_PAREN,
]);

function kindAt(token: number): number {
  return token >= 0 && token < lexer.count ? (lexer.kinds[token] as number) : 0;
}

/** CALL of anything in sys and mysql, or in a schema that is not known. */
function mayExecuteArguments(currentSchema: string | undefined): boolean {
  const schema = kindAt(2) === T.DOT ? nameAt(1) : currentSchema;
  return schema === undefined || possibleName(EXECUTING_SCHEMAS, schema) !== undefined;
}

const EXECUTING_SCHEMAS: ReadonlySet<string> = new Set(["sys", "mysql"]);

/** SAFETY: in a character set that nobody knows here, so that letters beyond ASCII might be any. */
function nameAt(token: number): string {
  const bytes = lexer.sql.subarray(lexer.starts[token], lexer.ends[token]);
  return decodeCharacters(bytes, "unknown").replaceAll(/[`"]/g, "");
}

function roleOf(token: number, listed: ReadonlySet<number>): number {
  const before = kindAt(token - 1);
  if (before === K.LIMIT || before === K.OFFSET) return COUNT;
  if (before === T.COMMA && kindAt(token - 3) === K.LIMIT) return COUNT;
  if ((before === K.FIRST || before === K.NEXT) && kindAt(token - 2) === K.FETCH) return COUNT;
  if (listed.has(token)) return PLAIN;
  if (COMPARISONS[before] === 1 && endsColumn(token - 2) && TERM_ENDS[kindAt(token + 1)] === 1) return PLAIN;
  if (before === K.BETWEEN && endsColumn(token - 2) && kindAt(token + 1) === K.AND) return PLAIN;
  const isUpper = before === K.AND && kindAt(token - 2) === T.PARAMETER && kindAt(token - 3) === K.BETWEEN;
  return isUpper && endsColumn(token - 4) && TERM_ENDS[kindAt(token + 1)] === 1 ? PLAIN : WEIGHTY;
}

/** Whether a column's name ends there, and not a variable's. */
function endsColumn(token: number): boolean {
  let first = token;
  while (NAMES[kindAt(first)] === 1 && kindAt(first - 1) === T.DOT) first -= 2;
  return NAMES[kindAt(first)] === 1 && kindAt(first - 1) !== T.AT && kindAt(first - 1) !== T.AT_AT;
}

/** Parameters that are whole items of `column IN (…)` or of a row after VALUES. */
function listedParameters(): Set<number> {
  const listed = new Set<number>();
  let depth = 0;
  /** The depth inside the list, 0 outside of one. */
  let listDepth = 0;
  for (let token = 0; token < lexer.count; token++) {
    const kind = kindAt(token);
    if (kind === T.LEFT_PAREN) {
      depth++;
      if (listDepth === 0 && (opensRow(token, depth) || opensInList(token))) listDepth = depth;
    } else if (kind === T.RIGHT_PAREN) {
      if (depth === listDepth) listDepth = 0;
      depth--;
    } else if (kind === T.PARAMETER && depth === listDepth && isWholeItem(token)) listed.add(token);
  }
  return listed;
}

/** `VALUES (` of an INSERT, and the rows after the first. */
function opensRow(token: number, depth: number): boolean {
  if (depth !== 1 || (kindAt(0) !== K.INSERT && kindAt(0) !== K.REPLACE)) return false;
  const before = kindAt(token - 1);
  if (before === K.VALUES || before === K.VALUE) return true;
  return before === T.COMMA && kindAt(token - 2) === T.RIGHT_PAREN;
}

function opensInList(token: number): boolean {
  if (kindAt(token - 1) !== K.IN) return false;
  return endsColumn(kindAt(token - 2) === K.NOT ? token - 3 : token - 2);
}

function isWholeItem(token: number): boolean {
  const before = kindAt(token - 1);
  const after = kindAt(token + 1);
  return (before === T.LEFT_PAREN || before === T.COMMA) && (after === T.COMMA || after === T.RIGHT_PAREN);
}
