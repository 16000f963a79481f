/**
 * What is certain about the session behind each statement of a text. Servers read the statements of a packet one after
 * the other, each by the settings that the one before has left, and prepare literals by those of that moment: so do we.
 */
import type { MysqlContext, StatementFacts, StatementKind, VariableAssignment } from "../../facts.ts";
import { SQL_MODE } from "../../facts.ts";
import { foldName, isAscii, lowerAscii, upperAscii } from "../names/names.ts";

/** A value that a user variable holds: what a setting was when the packet saved it. */
type SavedSetting = Pick<MysqlContext, "sqlMode"> | Pick<MysqlContext, "charset">;

/** What holds where a statement of the packet begins. */
export interface Certainty {
  readonly context: MysqlContext;
  /** By the variable's name in lower case. Dump tools save a setting and give it back later. */
  readonly saved: ReadonlyMap<string, SavedSetting>;
}

const NOTHING_SAVED: ReadonlyMap<string, SavedSetting> = new Map();

export function certaintyOf(context: MysqlContext): Certainty {
  return { context, saved: NOTHING_SAVED };
}

/** Statements that can change anything of the session without naming it. */
const OPAQUE_KINDS: ReadonlySet<string> = new Set<StatementKind>(["call", "execute", "compound", "flow", "unknown"]);

/** Statements that run no trigger, no function and no query, so that user variables keep what they hold. */
const QUIET_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "set",
  "set-names",
  "empty",
  "use",
  "create-table",
  "create-view",
  "create-trigger",
  "create-procedure",
  "create-function",
  "create-event",
  "create-schema",
  "drop-table",
  "drop-view",
  "drop-trigger",
  "drop-procedure",
  "drop-function",
  "drop-event",
  "lock-tables",
  "unlock-tables",
]);

/** Scopes of assignments that leave the session's own settings as they are. */
const OTHER_SCOPES: ReadonlySet<string> = new Set(["local", "hint", "statement", "global", "persist", "persist-only"]);

/** Settings that decide how servers read a text, by the names that set them. */
export const READING_VARIABLES: ReadonlyMap<string, readonly ("sql_mode" | "charset" | "connection")[]> = new Map([
  ["sql_mode", ["sql_mode"]],
  ["names", ["charset", "connection"]],
  ["character set", ["charset", "connection"]],
  ["character_set_client", ["charset"]],
  ["character_set_connection", ["connection"]],
  ["collation_connection", ["connection"]],
]);

/**
 * What holds behind the statements of one packet index. `sql` is the whole text. The same object where nothing that
 * matters has changed.
 */
export function certaintyAfter(before: Certainty, statements: readonly StatementFacts[], sql: Uint8Array): Certainty {
  const running = statements.filter((statement) => runsWithPacket(statement, statements));
  if (running.some(isOpaque)) return opaque(before);
  let after = before;
  for (const statement of running) after = afterStatement(after, statement, sql);
  // SET STATEMENT … FOR gives back what it has set, whatever the statement behind it sets.
  const isGivenBack = after.context !== before.context && running.some(({ within }) => within === "set-statement");
  return isGivenBack ? opaque(before) : after;
}

function opaque({ context }: Certainty): Certainty {
  const isUnknownAlready =
    context.sqlMode === "unknown" &&
    context.charset === "unknown" &&
    context.connectionCharset === "unknown" &&
    context.schema === undefined;
  return certaintyOf(
    isUnknownAlready
      ? context
      : { ...context, sqlMode: "unknown", charset: "unknown", connectionCharset: "unknown", schema: undefined },
  );
}

/** Bodies of stored code, literals to prepare and plans do not run with the text; what EXECUTE IMMEDIATE is given does. */
export function runsWithPacket({ within, parent }: StatementFacts, statements: readonly StatementFacts[]): boolean {
  switch (within) {
    case "packet":
    case "executor-argument":
    case "explain-analyze":
    case "set-statement":
      return true;
    case "prepared-literal":
      return statements.some(({ dynamic }) => dynamic?.type === "execute-immediate") && parent !== undefined;
    default:
      return false;
  }
}

/** Whether the statement runs what is not in the text. */
export function isOpaque({ kind, dynamic }: StatementFacts): boolean {
  if (kind === "execute-immediate") return dynamic?.source !== "literal";
  return OPAQUE_KINDS.has(kind);
}

function afterStatement(before: Certainty, statement: StatementFacts, sql: Uint8Array): Certainty {
  const { kind, variables } = statement;
  let { context, saved } = before;
  if (saved.size > 0 && !(QUIET_KINDS.has(kind) && statement.functions.length === 0 && statement.blocks.length === 0)) {
    saved = NOTHING_SAVED;
  }
  if (kind === "use") context = changed(context, { schema: statement.objects.find(isSchema)?.name });
  else if (kind === "drop-schema") context = changed(context, { schema: undefined });
  for (const assignment of variables) {
    // SAFETY: servers do not agree on whether a value sees what the same statement sets before it.
    if (assignment.scope === "user") {
      saved = withSaved(saved, before.context === context ? context : undefined, assignment, sql);
      continue;
    }
    if (!OTHER_SCOPES.has(assignment.scope)) context = afterAssignment(context, before.saved, assignment, sql);
    // SAFETY: what could not be folded into ASCII may name anything.
    if (!isAscii(assignment.name)) context = opaque({ context, saved }).context;
  }
  return context === before.context && saved === before.saved ? before : { context, saved };
}

const isSchema = ({ type }: StatementFacts["objects"][number]): boolean => type === "schema";

function afterAssignment(
  context: MysqlContext,
  saved: Certainty["saved"],
  assignment: VariableAssignment,
  sql: Uint8Array,
): MysqlContext {
  const given = saved.get(userVariableOf(assignment, sql) ?? "");
  switch (assignment.name) {
    case "sql_mode":
      return changed(context, {
        sqlMode: given !== undefined && "sqlMode" in given ? given.sqlMode : modeOf(assignment.value),
      });
    case "names": {
      const charset = charsetOf(assignment.value);
      return changed(context, { charset, connectionCharset: charset });
    }
    case "character set":
      return changed(context, { charset: charsetOf(assignment.value), connectionCharset: "unknown" });
    case "character_set_client":
      return changed(context, {
        charset: given !== undefined && "charset" in given ? given.charset : charsetOf(assignment.value),
      });
    case "character_set_connection":
      return changed(context, { connectionCharset: charsetOf(assignment.value) });
    case "collation_connection":
      return changed(context, { connectionCharset: charsetOfCollation(charsetOf(assignment.value)) });
    default:
      return context;
  }
}

type Change = Partial<Pick<MysqlContext, "sqlMode" | "charset" | "connectionCharset" | "schema">>;

function changed(context: MysqlContext, change: Change): MysqlContext {
  const next: MysqlContext = { ...context, ...change };
  const isSame =
    next.sqlMode === context.sqlMode &&
    next.schema === context.schema &&
    familyOf(next.charset) === familyOf(context.charset) &&
    familyOf(connectionCharsetOf(next)) === familyOf(connectionCharsetOf(context));
  return isSame ? context : next;
}

/** As the session's, or as that of the client where nobody has told otherwise. */
export function connectionCharsetOf({ charset, connectionCharset }: MysqlContext): string {
  return connectionCharset ?? charset;
}

function withSaved(
  saved: Certainty["saved"],
  context: MysqlContext | undefined,
  assignment: VariableAssignment,
  sql: Uint8Array,
): Certainty["saved"] {
  const name = foldName(assignment.name);
  const value = context && savedSetting(systemVariableOf(assignment, sql), context);
  if (value === undefined && !saved.has(name)) return saved;
  const next = new Map(saved);
  // SAFETY: names beyond ASCII may be one name in two spellings.
  if (value === undefined || !isAscii(name)) next.delete(name);
  else if (next.size < SAVED_MAX) next.set(name, value);
  return isAscii(name) ? next : NOTHING_SAVED;
}

function savedSetting(variable: string | undefined, { sqlMode, charset }: MysqlContext): SavedSetting | undefined {
  if (variable === "sql_mode") return { sqlMode };
  return variable === "character_set_client" ? { charset } : undefined;
}

const SAVED_MAX = 64;
const SETTING_BYTES_MAX = 128;

/** The right side of an assignment, where it is short and ASCII: `@@sql_mode`, `@old`. */
function valueText({ start, end }: VariableAssignment, sql: Uint8Array): string {
  if (end - start > SETTING_BYTES_MAX) return "";
  const text = Buffer.from(sql.buffer, sql.byteOffset + start, end - start).toString("latin1");
  return lowerAscii(text.slice(text.indexOf("=") + 1).trim());
}

function systemVariableOf(assignment: VariableAssignment, sql: Uint8Array): string | undefined {
  const text = valueText(assignment, sql);
  if (!text.startsWith("@@")) return undefined;
  const name = text.slice(2);
  return name.startsWith("session.") ? name.slice("session.".length) : name;
}

function userVariableOf(assignment: VariableAssignment, sql: Uint8Array): string | undefined {
  const text = valueText(assignment, sql);
  return text.startsWith("@") && !text.startsWith("@@") ? text.slice(1) : undefined;
}

/** Modes that stand for several, some of which change how text is read. */
const COMBINED_MODES: ReadonlySet<string> = new Set(
  "ANSI ORACLE MSSQL DB2 MAXDB POSTGRESQL MYSQL323 MYSQL40".split(" "),
);
const DIGITS_MAX = 9;

/** The bits of a literal sql_mode that change how a text is read. */
function modeOf({ type, text }: VariableAssignment["value"]): MysqlContext["sqlMode"] {
  if (text === undefined) return "unknown";
  if (type === "number") {
    return isDigits(text) && (Number(text) & COMBINED_BITS) === 0 ? Number(text) & LEXING_BITS : "unknown";
  }
  if (type !== "string" && type !== "keyword") return "unknown";
  let bits = 0;
  for (const part of text.split(",")) {
    const name = upperAscii(part.trim());
    if (COMBINED_MODES.has(name) || isDigits(name) || !isAscii(name)) return "unknown";
    bits |= SQL_MODE[name as keyof typeof SQL_MODE] ?? 0;
  }
  return bits;
}

/** The bits of those modes in the numeric form. */
const COMBINED_BITS = 0x71f00;
const LEXING_BITS = Object.values(SQL_MODE).reduce((all, bit) => all | bit, 0);

function isDigits(text: string): boolean {
  if (text === "" || text.length > DIGITS_MAX) return false;
  for (const c of text) if (c < "0" || c > "9") return false;
  return true;
}

function charsetOf({ type, text }: VariableAssignment["value"]): string {
  if ((type !== "string" && type !== "keyword") || text === undefined || text === "") return "unknown";
  return isAscii(text) && !isDigits(text) ? lowerAscii(text) : "unknown";
}

/** `utf8mb4_0900_ai_ci` → utf8mb4. */
export function charsetOfCollation(collation: string): string {
  const end = collation.indexOf("_");
  return end < 0 ? collation : collation.slice(0, end);
}

const UTF8: ReadonlySet<string> = new Set(["utf8mb4", "utf8mb3", "utf8"]);

/** Charsets that read and convert every text of UTF-8 alike are one. */
function familyOf(charset: string): string {
  return UTF8.has(charset) ? "utf8" : charset;
}

/** Charsets in which a conversion leaves ASCII bytes what they are, measured on MySQL 9.7 and MariaDB 10.11 for all 127. */
const ASCII_ALIKE: ReadonlySet<string> = new Set(
  (
    "utf8mb4 utf8mb3 utf8 armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms " +
    "euckr gb18030 gb2312 gbk geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman " +
    "tis620 ujis"
  ).split(" "),
);

/** Bytes that some charset takes for a letter of its own: `@ [ \\ ] ^ \` { | } ~` and all beyond ASCII. */
function isNational(byte: number): boolean {
  return byte >= 0x7b || byte === 0x40 || byte === 0x60 || (byte >= 0x5b && byte <= 0x5e);
}

/** Whether the bytes that the server prepares from a literal are those that the literal shows. */
export function isPreparedAsWritten(bytes: Uint8Array, context: MysqlContext): boolean {
  const connection = connectionCharsetOf(context);
  const isAlike = ASCII_ALIKE.has(context.charset) && ASCII_ALIKE.has(connection);
  if (!isAlike) return !bytes.some(isNational);
  return (UTF8.has(context.charset) && UTF8.has(connection)) || bytes.every((byte) => byte < 0x80);
}

/**
 * Whether a literal that a statement of this packet index prepares is read by the settings that held before it: false
 * in compound statements and behind settings for one statement.
 */
export function isReadAsBefore(statements: readonly StatementFacts[]): boolean {
  return statements.every(
    ({ kind, variables }) =>
      kind !== "compound" &&
      kind !== "flow" &&
      variables.every(({ name, scope }) => scope === "user" || (isAscii(name) && !READING_VARIABLES.has(name))),
  );
}
