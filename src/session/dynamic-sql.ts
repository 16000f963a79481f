/**
 * What a session knows about SQL that it runs by name: user variables set to literals, and statements prepared by text.
 * Worst reading: what might have changed unseen is not known any more, and a text that is not known is judged as such.
 */
import { encodeUtf8 } from "../base/bytes.ts";
import { isHarmlessFunction } from "../policy/harmless-functions.ts";
import { PreparedText } from "../policy/prepared-text.ts";
import type { Analysis, DynamicSql, SqlContext, StatementFacts, StatementKind } from "../sql/facts.ts";

const VARIABLES_MAX = 64;
const VARIABLE_BYTES_MAX = 65_536;
const STATEMENTS_MAX = 256;
const STATEMENT_BYTES_MAX = 65_536;
const ALL_BYTES_MAX = 1_048_576;

/** What a statement that succeeds does to what is known. One that fails has done it in part: all of it is forgotten. */
export type DynamicEffect =
  | { readonly kind: "none" | "forget-variables" | "forget-all" }
  | { readonly kind: "set"; readonly values: readonly (readonly [name: string, value: Uint8Array | undefined])[] }
  | { readonly kind: "prepare"; readonly name: string; readonly text: PreparedText | undefined }
  | { readonly kind: "drop"; readonly name: string };

export class SessionDynamicSql {
  readonly #variables = new Map<string, Uint8Array>();
  readonly #statements = new Map<string, PreparedText>();

  get hasVariables(): boolean {
    return this.#variables.size > 0;
  }

  get isEmpty(): boolean {
    return this.#variables.size === 0 && this.#statements.size === 0;
  }

  variable(name: string | undefined): Uint8Array | undefined {
    return name === undefined ? undefined : this.#variables.get(name.toLowerCase());
  }

  statement(name: string | undefined): PreparedText | undefined {
    return name === undefined ? undefined : this.#statements.get(name.toLowerCase());
  }

  forgetVariables(): void {
    this.#variables.clear();
  }

  forgetAll(): void {
    this.#variables.clear();
    this.#statements.clear();
  }

  after(effect: DynamicEffect, isOk: boolean): void {
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
        if (!isOk) this.forgetVariables();
        else for (const [name, value] of effect.values) this.#set(name, value);
        return;
      case "prepare":
        this.#prepare(effect.name, isOk ? effect.text : undefined);
        return;
      case "drop":
        this.#prepare(effect.name, undefined);
        return;
    }
  }

  #set(name: string, value: Uint8Array | undefined): void {
    if (!isPlainName(name)) {
      this.forgetVariables();
      return;
    }
    const key = name.toLowerCase();
    this.#variables.delete(key);
    if (value === undefined || value.length > VARIABLE_BYTES_MAX || this.#variables.size >= VARIABLES_MAX) return;
    if (this.#bytes() + value.length <= ALL_BYTES_MAX) this.#variables.set(key, value);
  }

  #prepare(name: string, text: PreparedText | undefined): void {
    if (!isPlainName(name)) {
      this.#statements.clear();
      return;
    }
    const key = name.toLowerCase();
    this.#statements.delete(key);
    if (text === undefined || text.sql.length > STATEMENT_BYTES_MAX || this.#statements.size >= STATEMENTS_MAX) return;
    if (this.#bytes() + text.sql.length <= ALL_BYTES_MAX) this.#statements.set(key, text);
  }

  #bytes(): number {
    let bytes = 0;
    for (const value of this.#variables.values()) bytes += value.length;
    for (const { sql } of this.#statements.values()) bytes += sql.length;
    return bytes;
  }
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

/**
 * The effect of a text whose top-level statements have these kinds; `kindsRun` are those of the text behind a name.
 * `analyzed` is asked only where the kinds do not tell: for statements about names, and where there is something to lose.
 */
export function effectOn(
  known: SessionDynamicSql,
  sql: Uint8Array,
  { kinds, kindsRun }: { readonly kinds: readonly string[]; readonly kindsRun: readonly string[] },
  analyzed: () => Analysis,
): DynamicEffect {
  const [kind] = kinds;
  if (kinds.length !== 1 || kind === undefined) return forgetting(known, kinds);
  switch (kind) {
    case "set":
      return sql.includes(AT) ? effectOfSet(analyzed()) : NOTHING;
    case "prepare":
      return effectOfPrepare(known, analyzed());
    case "drop-prepare":
      return effectOfDrop(analyzed());
    default:
      if (!known.hasVariables || !IDLE_KINDS.has(kind)) return forgetting(known, kindsRun);
      return isIdle(analyzed()) ? NOTHING : FORGET_VARIABLES;
  }
}

const NOTHING: DynamicEffect = { kind: "none" };
const FORGET_VARIABLES: DynamicEffect = { kind: "forget-variables" };
const FORGET_ALL: DynamicEffect = { kind: "forget-all" };

/** Functions, triggers and views may set variables; only stored procedures and several statements prepare others. */
function forgetting(known: SessionDynamicSql, kinds: readonly string[]): DynamicEffect {
  if (known.isEmpty) return NOTHING;
  const mayPrepare = kinds.length !== 1 || kinds.some((kind) => PREPARING_KINDS.has(kind));
  return mayPrepare ? FORGET_ALL : FORGET_VARIABLES;
}

function onlyStatement(analysis: Analysis): StatementFacts | undefined {
  return analysis.understood && analysis.readings.length === 1 ? analysis.statements[0] : undefined;
}

function isIdle(analysis: Analysis): boolean {
  const statement = onlyStatement(analysis);
  if (statement === undefined || statement.tablesRead.length > 0 || statement.variables.length > 0) return false;
  return callsNothing(statement) && !hasAssignment(analysis.sql);
}

function callsNothing({ functions }: StatementFacts): boolean {
  return functions.every(({ name, schema }) => schema === undefined && isHarmlessFunction(name));
}

const COLON = 0x3a;
const EQUAL = 0x3d;

/** `:=` anywhere, in literals too: then too much is forgotten. */
function hasAssignment(sql: Uint8Array): boolean {
  for (let at = sql.indexOf(COLON); at >= 0; at = sql.indexOf(COLON, at + 1)) if (sql[at + 1] === EQUAL) return true;
  return false;
}

function effectOfSet(analysis: Analysis): DynamicEffect {
  const statement = onlyStatement(analysis);
  if (statement === undefined || statement.variables.some(({ scope }) => scope === "statement")) return FORGET_ALL;
  const { variables, tablesRead } = statement;
  const isSimple = variables.every(({ value }) => value.type !== "expression");
  if (!isSimple && (tablesRead.length > 0 || !callsNothing(statement) || hasAssignment(analysis.sql))) {
    return FORGET_VARIABLES;
  }
  const set = variables.filter(({ scope }) => scope === "user");
  return { kind: "set", values: set.map(({ name, value }) => [name, knownValue(value)] as const) };
}

function knownValue({ type, text }: StatementFacts["variables"][number]["value"]): Uint8Array | undefined {
  if (text === undefined) return undefined;
  if (type === "number" && !/^-?\d+$/.test(text)) return undefined;
  return type === "string" || type === "number" ? exactBytes(text) : undefined;
}

/** The text's bytes, unless some of them were no UTF-8. */
function exactBytes(text: string): Uint8Array | undefined {
  return text.includes("\ufffd") ? undefined : encodeUtf8(text);
}

function effectOfPrepare(known: SessionDynamicSql, analysis: Analysis): DynamicEffect {
  const dynamic = onlyStatement(analysis)?.dynamic;
  if (dynamic?.name === undefined) return FORGET_ALL;
  const { source, text = "" } = dynamic;
  const literal = source === "literal" ? exactBytes(text) : undefined;
  const bytes = source === "user-variable" ? known.variable(text) : literal;
  return { kind: "prepare", name: dynamic.name, text: bytes && preparedText(bytes, analysis.context) };
}

function effectOfDrop(analysis: Analysis): DynamicEffect {
  const object = onlyStatement(analysis)?.objects.find(({ type }) => type === "prepared-statement");
  return object === undefined ? FORGET_ALL : { kind: "drop", name: object.name };
}

function preparedText(sql: Uint8Array, context: SqlContext): PreparedText {
  return new PreparedText(sql, { ...context, multiStatements: false }, undefined);
}

const RESOLVABLE_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "prepare",
  "execute",
  "execute-immediate",
  "call",
]);

/** What a statement runs under a name, where the session knows it. */
export type Resolved =
  /** The statement with the variable's text as a literal. */
  | { readonly kind: "text"; readonly sql: Uint8Array }
  | { readonly kind: "prepared"; readonly text: PreparedText; readonly values: readonly (Uint8Array | undefined)[] };

/** Tells apart what one text runs at different times, so that an approval is of what it was given for. */
export function describeResolved(resolved: Resolved): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  if (resolved.kind === "text") return base64(resolved.sql);
  const { text, values } = resolved;
  const known = values.map((value) => (value === undefined ? null : base64(value)));
  return JSON.stringify([base64(text.sql), text.context.schema ?? null, known]);
}

export function resolveDynamicSql(
  known: SessionDynamicSql,
  kinds: readonly string[],
  analyzed: () => Analysis,
  quote: (bytes: Uint8Array) => Uint8Array,
): Resolved | undefined {
  if (kinds.length !== 1 || !RESOLVABLE_KINDS.has(kinds[0] ?? "")) return undefined;
  const dynamic = onlyStatement(analyzed())?.dynamic;
  if (dynamic === undefined) return undefined;
  if (dynamic.source === "named") {
    const text = known.statement(dynamic.name);
    const values = dynamic.using.map((name) => known.variable(name));
    return text === undefined ? undefined : { kind: "prepared", text, values };
  }
  const bytes = dynamic.source === "user-variable" ? known.variable(dynamic.text) : undefined;
  return bytes === undefined ? undefined : { kind: "text", sql: withLiteral(dynamic, quote(bytes)) };
}

function withLiteral({ type, name = "" }: DynamicSql, literal: Uint8Array): Uint8Array {
  if (type === "executor-procedure")
    return Buffer.concat([Buffer.from(`CALL sys.${name}(`), literal, Buffer.from(")")]);
  const head = type === "prepare" ? `PREPARE \`${name.replaceAll("`", "``")}\` FROM ` : "EXECUTE IMMEDIATE ";
  return Buffer.concat([Buffer.from(head), literal]);
}
