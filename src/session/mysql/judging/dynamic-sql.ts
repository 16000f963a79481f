/**
 * What a session knows about SQL that it runs by name: the few texts that a user variable may hold, and statements
 * prepared from them. Every one of them is judged. What might have changed unseen is not known any more, and a text that
 * is not known is judged as such.
 */

import { encodeUtf8 } from "../../../base/bytes.ts";
import type { ResponseEnd } from "../../../mysql/response.ts";
import { MysqlPreparedText } from "../../../policy/mysql/prepared-text.ts";
import { isHarmlessCall } from "../../../policy/rules/harmless-functions.ts";
import type { DynamicSql, MysqlContext, StatementFacts, StatementKind } from "../../../sql/facts.ts";
import type { MysqlAnalysis } from "../../../sql/mysql/analyze.ts";
import { isPreparedAsWritten } from "../../../sql/mysql/dynamic/certainty.ts";
import {
  ExpressionTexts,
  eitherOf,
  type PossibleTexts,
  TEXTS_BYTES_MAX,
} from "../../../sql/mysql/dynamic/possible-texts.ts";
import { isSameName } from "../../../sql/mysql/names/names.ts";

const VARIABLES_MAX = 64;
const STATEMENTS_MAX = 256;
const ALL_BYTES_MAX = 1_048_576;

/** What a statement that succeeds does to what is known. One that fails has done it in part: all of it is forgotten. */
export type DynamicEffect =
  | { readonly kind: "none" | "forget-variables" | "forget-all" }
  | { readonly kind: "set"; readonly values: readonly NamedValue[]; readonly forgetsOthers: boolean }
  /** A query that may find no row: then the variable keeps its value. */
  | { readonly kind: "select-into"; readonly value: NamedValue }
  | { readonly kind: "prepare"; readonly name: string; readonly texts: readonly MysqlPreparedText[] | undefined }
  | { readonly kind: "drop"; readonly name: string }
  /** What several statements leave. */
  | { readonly kind: "become"; readonly known: SessionDynamicSql };

type NamedValue = readonly [name: string, value: PossibleTexts | undefined];

export class SessionDynamicSql {
  readonly #variables = new Map<string, PossibleTexts>();
  /** Undefined for the text of one that is prepared, but nobody knows as what. */
  readonly #statements = new Map<string, readonly MysqlPreparedText[] | undefined>();
  /** False once there may be statements under names that are not in #statements. */
  #hasAllNames = true;

  get hasVariables(): boolean {
    return this.#variables.size > 0;
  }

  get isEmpty(): boolean {
    return this.#variables.size === 0 && this.#statements.size === 0;
  }

  get hasAllNames(): boolean {
    return this.#hasAllNames;
  }

  variable(name: string | undefined): PossibleTexts | undefined {
    return name === undefined || !isPlainName(name) ? undefined : this.#variables.get(name.toLowerCase());
  }

  statement(name: string | undefined): readonly MysqlPreparedText[] | undefined {
    return name === undefined || !isPlainName(name) ? undefined : this.#statements.get(name.toLowerCase());
  }

  /** Whether nothing is prepared under the name, so that the server has nothing to run. */
  lacksStatement(name: string | undefined): boolean {
    return this.#hasAllNames && name !== undefined && isPlainName(name) && !this.#statements.has(name.toLowerCase());
  }

  copy(): SessionDynamicSql {
    const copy = new SessionDynamicSql();
    copy.#become(this);
    return copy;
  }

  #become(other: SessionDynamicSql): void {
    this.forgetAll();
    for (const [name, value] of other.#variables) this.#variables.set(name, value);
    for (const [name, texts] of other.#statements) this.#statements.set(name, texts);
    this.#hasAllNames = other.#hasAllNames;
  }

  /** A session in which nothing is prepared and no variable set. */
  begin(): void {
    this.forgetAll();
    this.#hasAllNames = true;
  }

  forgetVariables(): void {
    this.#variables.clear();
  }

  forgetAll(): void {
    this.#variables.clear();
    this.#statements.clear();
    this.#hasAllNames = false;
  }

  after(effect: DynamicEffect, { outcome, affectedRows }: Pick<ResponseEnd, "outcome" | "affectedRows">): void {
    const isOk = outcome !== "err";
    switch (effect.kind) {
      case "none":
        return;
      case "forget-variables":
        this.forgetVariables();
        return;
      case "forget-all":
        this.forgetAll();
        return;
      case "set":
        if (!isOk || effect.forgetsOthers) this.forgetVariables();
        if (isOk) for (const [name, value] of effect.values) this.#set(name, value);
        return;
      case "select-into": {
        const [name, value] = effect.value;
        if (!isOk) this.forgetVariables();
        else this.#set(name, affectedRows === 1 ? value : eitherOf([this.variable(name), value]));
        return;
      }
      case "prepare":
        this.#prepare(effect.name, isOk ? effect.texts : undefined);
        return;
      case "drop":
        if (!this.lacksStatement(effect.name)) this.#prepare(effect.name, undefined);
        if (isOk) this.#statements.delete(effect.name.toLowerCase());
        return;
      case "become":
        if (isOk) this.#become(effect.known);
        else this.forgetAll();
        return;
    }
  }

  #set(name: string, value: PossibleTexts | undefined): void {
    if (!isPlainName(name)) {
      this.forgetVariables();
      return;
    }
    const key = name.toLowerCase();
    this.#variables.delete(key);
    if (value === undefined || this.#variables.size >= VARIABLES_MAX) return;
    if (this.#hasRoomFor(value.texts)) this.#variables.set(key, value);
  }

  #prepare(name: string, texts: readonly MysqlPreparedText[] | undefined): void {
    if (!isPlainName(name)) {
      this.#statements.clear();
      this.#hasAllNames = false;
      return;
    }
    const key = name.toLowerCase();
    this.#statements.delete(key);
    if (this.#statements.size >= STATEMENTS_MAX) this.#hasAllNames = false;
    else this.#statements.set(key, texts && this.#hasRoomFor(texts.map(({ sql }) => sql)) ? texts : undefined);
  }

  #hasRoomFor(added: readonly Uint8Array[]): boolean {
    const addedBytes = bytesOf(added);
    let bytes = 0;
    for (const { texts } of this.#variables.values()) bytes += bytesOf(texts);
    for (const texts of this.#statements.values()) bytes += bytesOf(texts?.map(({ sql }) => sql) ?? []);
    return addedBytes <= TEXTS_BYTES_MAX && bytes + addedBytes <= ALL_BYTES_MAX;
  }
}

function bytesOf(texts: readonly Uint8Array[]): number {
  return texts.reduce((bytes, { length }) => bytes + length, 0);
}

/** SAFETY: servers compare other names by a collation, so that two spellings may be one name. */
function isPlainName(name: string): boolean {
  return /^[\w$]+$/.test(name);
}

const PREPARING_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "call",
  "compound",
  "unknown",
  "execute",
  "execute-immediate",
]);

/** Kinds that call nothing and assign nothing, as long as they have no expression that does. */
const IDLE_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "empty",
  "use",
  "show",
  "help",
  "begin",
  "commit",
  "rollback",
  "savepoint",
  "rollback-to-savepoint",
  "release-savepoint",
  "set-names",
  "set-transaction",
  "unlock-tables",
  "select",
]);

const AT = 0x40;

/** What is known before a statement, and what it is. */
export interface StatementSeen {
  readonly known: SessionDynamicSql;
  readonly sql: Uint8Array;
  /** Of its top-level statements, and of those that may run behind a name. */
  readonly kinds: readonly string[];
  readonly kindsRun: readonly string[];
  /** What DATABASE() gives; undefined where that is not certain. */
  readonly schema: string | undefined;
  /** Asked only where the kinds do not tell: for statements about names, and where there is something to lose. */
  readonly analyzed: () => MysqlAnalysis;
}

export function effectOn(seen: StatementSeen): DynamicEffect {
  const { known, sql, kinds, kindsRun, analyzed } = seen;
  const [kind] = kinds;
  if (kinds.length !== 1 || kind === undefined) return effectOfPacket(seen);
  switch (kind) {
    case "set":
      return sql.includes(AT) || !known.isEmpty ? effectOfSet(seen, analyzed()) : NOTHING;
    case "select":
      return sql.includes(AT) ? effectOfSelect(seen, analyzed()) : effectOfOthers(seen);
    case "prepare":
      return effectOfPrepare(known, analyzed());
    case "drop-prepare":
      return effectOfDrop(analyzed());
    default:
      return IDLE_KINDS.has(kind) ? effectOfOthers(seen) : forgetting(known, kindsRun);
  }
}

/** A record lists no more kinds than that. */
const KINDS_LISTED_MAX = 64;

/** Several statements: what is prepared stays known as long as none of them can prepare another under its name. */
function effectOfPacket({ known, kinds, analyzed }: StatementSeen): DynamicEffect {
  if (known.isEmpty && !known.hasAllNames) return NOTHING;
  const isPreparing = kinds.some((kind) => PREPARING_KINDS.has(kind) || kind === "prepare" || kind === "drop-prepare");
  if (isPreparing || kinds.length === 0 || kinds.length >= KINDS_LISTED_MAX) return FORGET_ALL;
  if (!known.hasVariables) return NOTHING;
  const { understood, readings, statements, context, sql } = analyzed();
  const isQuietPacket = understood && readings.length === 1 && statements.every((each) => setsNothing(each, context));
  return isQuietPacket && kinds.every((kind) => IDLE_KINDS.has(kind)) && !hasAssignment(sql)
    ? NOTHING
    : FORGET_VARIABLES;
}

function setsNothing(statement: StatementFacts, context: MysqlContext): boolean {
  return statement.variables.length === 0 && isQuiet(statement, context);
}

function effectOfOthers({ known, analyzed }: StatementSeen): DynamicEffect {
  if (!known.hasVariables) return NOTHING;
  const statement = onlyStatement(analyzed());
  const isIdle = statement !== undefined && statement.variables.length === 0 && isQuiet(statement, analyzed().context);
  return isIdle && !hasAssignment(analyzed().sql) ? NOTHING : FORGET_VARIABLES;
}

const NOTHING: DynamicEffect = { kind: "none" };
const FORGET_VARIABLES: DynamicEffect = { kind: "forget-variables" };
const FORGET_ALL: DynamicEffect = { kind: "forget-all" };

/** Functions, triggers and views may set variables; only stored procedures and several statements prepare others. */
function forgetting(known: SessionDynamicSql, kinds: readonly string[]): DynamicEffect {
  if (known.isEmpty && !known.hasAllNames) return NOTHING;
  return kinds.some((kind) => PREPARING_KINDS.has(kind)) ? FORGET_ALL : FORGET_VARIABLES;
}

function onlyStatement(analysis: MysqlAnalysis): StatementFacts | undefined {
  return analysis.understood && analysis.readings.length === 1 ? analysis.statements[0] : undefined;
}

/** Whether nothing that the statement reads or calls can set a variable. */
function isQuiet({ tablesRead, functions }: StatementFacts, context: MysqlContext): boolean {
  const isOfCatalog = tablesRead.every(({ schema }) => isSameName(schema ?? "", CATALOG));
  return isOfCatalog && functions.every((call) => isHarmlessCall(call, context));
}

/** Its views are the server's own, and nobody can add one. */
const CATALOG = "information_schema";

const COLON = 0x3a;
const EQUAL = 0x3d;

/** `:=` anywhere, in literals too: then too much is forgotten. */
function hasAssignment(sql: Uint8Array): boolean {
  for (let at = sql.indexOf(COLON); at >= 0; at = sql.indexOf(COLON, at + 1)) if (sql[at + 1] === EQUAL) return true;
  return false;
}

function effectOfSet(seen: StatementSeen, analysis: MysqlAnalysis): DynamicEffect {
  const statement = onlyStatement(analysis);
  if (statement === undefined || statement.variables.some(({ scope }) => scope === "statement")) return FORGET_ALL;
  const { variables } = statement;
  const set = variables.filter(({ scope }) => scope === "user");
  if (variables.every(({ value }) => value.type !== "expression")) {
    const values = set.map(({ name, value }): NamedValue => [name, knownValue(value, analysis.context)]);
    return { kind: "set", values, forgetsOthers: false };
  }
  const expressions = new ExpressionTexts(analysis.sql, analysis.context, valuesKnownTo(seen));
  const starts = set.map(({ start }) => start);
  const isAlone = isQuiet(statement, analysis.context) && !expressions.hasAssignmentBeside(starts);
  // What runs beside it may set variables before they are read, or those of the statement after they are set.
  if (!isAlone && (variables.length > 1 || expressions.readsVariables(1))) return FORGET_VARIABLES;
  // SAFETY: servers do not agree on whether a value sees those that the same statement sets before it.
  const isKnown = variables.length === 1 || !expressions.readsVariables(set.length);
  const readValue = (assignment: (typeof set)[number]) =>
    assignment.value.type === "expression" && isKnown
      ? expressions.ofAssignment(assignment)
      : knownValue(assignment.value, analysis.context);
  return {
    kind: "set",
    values: set.map((assignment) => [assignment.name, readValue(assignment)]),
    forgetsOthers: !isAlone,
  };
}

/** SELECT … INTO @name, when nothing else can set the variable meanwhile. */
function effectOfSelect(seen: StatementSeen, analysis: MysqlAnalysis): DynamicEffect {
  const statement = onlyStatement(analysis);
  const [into, ...more] = statement?.variables ?? [];
  if (statement === undefined || into === undefined) return effectOfOthers(seen);
  if (
    more.length > 0 ||
    into.scope !== "user" ||
    !isQuiet(statement, analysis.context) ||
    hasAssignment(analysis.sql)
  ) {
    return seen.known.hasVariables ? FORGET_VARIABLES : NOTHING;
  }
  const value = new ExpressionTexts(analysis.sql, analysis.context, valuesKnownTo(seen)).ofSelectInto();
  return { kind: "select-into", value: [into.name, value] };
}

function valuesKnownTo({ known, schema }: StatementSeen) {
  return { schema, variable: (name: string) => known.variable(name) };
}

function knownValue(
  { type, text }: StatementFacts["variables"][number]["value"],
  context: MysqlContext,
): PossibleTexts | undefined {
  if (text === undefined) return undefined;
  if (type === "number" && !/^(?:0|-?[1-9]\d*)$/.test(text)) return undefined;
  const bytes = type === "string" || type === "number" ? exactBytes(text, context) : undefined;
  return bytes && { texts: [bytes], mayBeNull: false, ...(type === "number" ? { numbers: "all" } : {}) };
}

/** The bytes of a literal's text, unless the server may come to others. */
function exactBytes(text: string, context: MysqlContext): Uint8Array | undefined {
  const bytes = text.includes("\ufffd") ? undefined : encodeUtf8(text);
  return bytes !== undefined && isPreparedAsWritten(bytes, context) ? bytes : undefined;
}

function effectOfPrepare(known: SessionDynamicSql, analysis: MysqlAnalysis): DynamicEffect {
  const dynamic = onlyStatement(analysis)?.dynamic;
  if (dynamic?.name === undefined) return FORGET_ALL;
  const { source, text = "" } = dynamic;
  const { context } = analysis;
  const literal = source === "literal" ? exactBytes(text, context) : undefined;
  const sqls = source === "user-variable" ? known.variable(text)?.texts : literal && [literal];
  const areCertain = sqls?.every((sql) => isPreparedAsWritten(sql, context)) === true;
  const texts = areCertain ? sqls?.map((sql) => preparedText(sql, context)) : undefined;
  return { kind: "prepare", name: dynamic.name, texts };
}

function effectOfDrop(analysis: MysqlAnalysis): DynamicEffect {
  const object = onlyStatement(analysis)?.objects.find(({ type }) => type === "prepared-statement");
  return object === undefined ? FORGET_ALL : { kind: "drop", name: object.name };
}

function preparedText(sql: Uint8Array, context: MysqlContext): MysqlPreparedText {
  return new MysqlPreparedText(sql, { ...context, multiStatements: false }, undefined);
}

const RESOLVABLE_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "prepare",
  "execute",
  "execute-immediate",
  "call",
]);

/** What a statement may run under a name, where the session knows it: one of these. */
export type Resolved =
  /** The statement with each text of the variable as a literal. */
  | { readonly kind: "texts"; readonly sqls: readonly Uint8Array[] }
  | Prepared
  /** A packet: its text with what its variables hold, and what its statements run. */
  | { readonly kind: "several"; readonly sqls: readonly Uint8Array[]; readonly executions: readonly Prepared[] };

export interface Prepared {
  readonly kind: "prepared";
  readonly texts: readonly MysqlPreparedText[];
  readonly values: readonly KnownValue[];
}

/** Of a variable: a bigint where it holds a number, undefined where that or its text is not certain. */
type KnownValue = Uint8Array | bigint | undefined;

/** Tells apart what one text runs at different times, so that an approval is of what it was given for. */
export function describeResolved(resolved: Resolved): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  if (resolved.kind === "texts") return resolved.sqls.map(base64).join();
  if (resolved.kind === "several") {
    return JSON.stringify([resolved.sqls.map(base64), resolved.executions.map(describeResolved)]);
  }
  const known = resolved.values.map((value) =>
    typeof value === "object" ? base64(value) : value === undefined ? null : `number ${value}`,
  );
  return JSON.stringify(resolved.texts.map(({ sql, context }) => [base64(sql), context.schema ?? null, known]));
}

export function resolveDynamicSql(
  known: SessionDynamicSql,
  kinds: readonly string[],
  analyzed: () => MysqlAnalysis,
  quote: (bytes: Uint8Array) => Uint8Array,
): Exclude<Resolved, { readonly kind: "several" }> | undefined {
  if (kinds.length !== 1 || !RESOLVABLE_KINDS.has(kinds[0] ?? "")) return undefined;
  const dynamic = onlyStatement(analyzed())?.dynamic;
  if (dynamic === undefined) return undefined;
  if (dynamic.source === "named") {
    const texts = known.statement(dynamic.name);
    const values = dynamic.using.map((name) => onlyValue(known.variable(name)));
    return texts === undefined ? undefined : { kind: "prepared", texts, values };
  }
  const possible = dynamic.source === "user-variable" ? known.variable(dynamic.text) : undefined;
  return possible && { kind: "texts", sqls: possible.texts.map((text) => withLiteral(dynamic, quote(text))) };
}

/** The name of an EXECUTE under which the session has surely prepared nothing. */
export function missingStatement(
  known: SessionDynamicSql,
  kinds: readonly string[],
  analyzed: () => MysqlAnalysis,
): string | undefined {
  if (kinds.length !== 1 || kinds[0] !== "execute" || !known.hasAllNames) return undefined;
  const name = onlyStatement(analyzed())?.dynamic?.name;
  return known.lacksStatement(name) ? name : undefined;
}

function onlyValue(possible: PossibleTexts | undefined): KnownValue {
  if (possible === undefined || possible.texts.length > 1 || possible.mayBeNull || possible.numbers === "some") {
    return undefined;
  }
  const [text] = possible.texts;
  return possible.numbers === undefined || text === undefined ? text : BigInt(Buffer.from(text).toString("latin1"));
}

function withLiteral({ type, name = "" }: DynamicSql, literal: Uint8Array): Uint8Array {
  if (type === "executor-procedure")
    return Buffer.concat([Buffer.from(`CALL sys.${name}(`), literal, Buffer.from(")")]);
  const head = type === "prepare" ? `PREPARE \`${name.replaceAll("`", "``")}\` FROM ` : "EXECUTE IMMEDIATE ";
  return Buffer.concat([Buffer.from(head), literal]);
}
