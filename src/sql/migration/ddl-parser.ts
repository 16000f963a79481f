/** MySQL's CREATE TABLE, ALTER TABLE … ADD and CREATE INDEX into a schema: https://dev.mysql.com/doc/refman/9.7/en/create-table.html */
import { DdlError, DdlReader } from "./ddl-reader.ts";
import { type DdlToken, ddlStatements } from "./ddl-tokens.ts";
import type {
  MysqlColumn,
  MysqlDefault,
  MysqlForeignKey,
  MysqlKey,
  MysqlKeyPart,
  MysqlSchema,
  MysqlTable,
  MysqlType,
  OtherStatement,
} from "./mysql-schema.ts";

type Draft = {
  -readonly [K in keyof MysqlTable]: MysqlTable[K] extends readonly (infer Item)[] ? Item[] : MysqlTable[K];
};

export function parseMysqlSchema(text: string): MysqlSchema {
  const tables = new Map<string, Draft>();
  const others: OtherStatement[] = [];
  const unread: { name: string; why: string }[] = [];
  for (const tokens of ddlStatements(text)) {
    const reader = new DdlReader(tokens);
    try {
      if (!readStatement(reader, tables)) others.push(otherOf(tokens));
    } catch (error) {
      if (!(error instanceof DdlError)) throw error;
      unread.push({ name: otherOf(tokens).name ?? "", why: error.message });
    }
  }
  return { tables: [...tables.values()], others, unread };
}

/** False for a statement that is about no table's definition. */
function readStatement(reader: DdlReader, tables: Map<string, Draft>): boolean {
  if (reader.take("CREATE")) {
    const isTemporary = reader.take("TEMPORARY");
    if (reader.take("TABLE")) {
      const table = readTable(reader, isTemporary);
      tables.set(table.name.toLowerCase(), table);
      return true;
    }
    return readIndex(reader, tables);
  }
  return reader.take("ALTER", "TABLE") && readAlter(reader, tables);
}

function readTable(reader: DdlReader, isTemporary: boolean): Draft {
  reader.take("IF", "NOT", "EXISTS");
  const name = reader.name();
  if (reader.peek() !== "(") throw new DdlError("CREATE TABLE … LIKE and … SELECT have no columns of their own");
  const table: Draft = { name, isTemporary, columns: [], keys: [], foreignKeys: [], checks: [], options: new Map() };
  for (const part of DdlReader.split(reader.parenthesized())) readElement(new DdlReader(part), table);
  readOptions(reader, table.options as Map<string, string>);
  return table;
}

const KEY_WORDS: ReadonlySet<string> = new Set([
  "PRIMARY",
  "UNIQUE",
  "KEY",
  "INDEX",
  "FULLTEXT",
  "SPATIAL",
  "FOREIGN",
  "CHECK",
]);

function readElement(reader: DdlReader, table: Draft): void {
  let name: string | undefined;
  if (reader.take("CONSTRAINT")) name = KEY_WORDS.has(reader.peek()) ? undefined : reader.name();
  const word = reader.peek();
  if (word === "FOREIGN") table.foreignKeys.push(readForeignKey(reader, name));
  else if (word === "CHECK" && reader.peek(1) === "(") {
    reader.at++;
    table.checks.push({ name, tokens: reader.parenthesized() });
  } else if (KEY_WORDS.has(word) && isKey(reader)) table.keys.push(readKey(reader, name));
  else readColumn(reader, table);
}

/** A column may be called key or index where it stands in backticks only, but not everybody writes those. */
function isKey(reader: DdlReader): boolean {
  const next = reader.token(1);
  if (next === undefined) return false;
  return !(next.kind === "word" && TYPES.has(next.text.toUpperCase()));
}

const TYPES: ReadonlySet<string> = new Set(
  (
    "TINYINT SMALLINT MEDIUMINT INT INTEGER BIGINT DECIMAL DEC NUMERIC FIXED FLOAT DOUBLE REAL BIT BOOL BOOLEAN SERIAL " +
    "CHAR VARCHAR NCHAR NVARCHAR CHARACTER BINARY VARBINARY TINYTEXT TEXT MEDIUMTEXT LONGTEXT TINYBLOB BLOB MEDIUMBLOB " +
    "LONGBLOB DATE TIME DATETIME TIMESTAMP YEAR JSON ENUM SET GEOMETRY POINT LINESTRING POLYGON MULTIPOINT " +
    "MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION UUID INET4 INET6 VECTOR NATIONAL"
  ).split(" "),
);

function readKey(reader: DdlReader, constraint: string | undefined): MysqlKey {
  let kind: MysqlKey["kind"] = "index";
  if (reader.take("PRIMARY")) kind = "primary";
  else if (reader.take("UNIQUE")) kind = "unique";
  else if (reader.take("FULLTEXT")) kind = "fulltext";
  else if (reader.take("SPATIAL")) kind = "spatial";
  if (!reader.take("KEY")) reader.take("INDEX");
  let name = constraint;
  if (reader.peek() !== "(" && reader.peek() !== "USING") name = reader.name();
  if (reader.take("USING")) reader.at++;
  return { kind, name, parts: DdlReader.split(reader.parenthesized()).map(keyPart) };
}

function keyPart(tokens: readonly DdlToken[]): MysqlKeyPart {
  const reader = new DdlReader(tokens);
  if (reader.peek() === "(") {
    const expression = reader.parenthesized();
    return { column: undefined, expression, length: undefined, isDescending: reader.take("DESC") };
  }
  const column = reader.name();
  const [length] = reader.peek() === "(" ? reader.parenthesized() : [];
  return {
    column,
    expression: [],
    length: length === undefined ? undefined : Number(length.text),
    isDescending: reader.take("DESC"),
  };
}

function namesIn(tokens: readonly DdlToken[]): string[] {
  return DdlReader.split(tokens).map((part) => new DdlReader(part).name());
}

function readForeignKey(reader: DdlReader, constraint: string | undefined): MysqlForeignKey {
  reader.expect("FOREIGN");
  reader.expect("KEY");
  const name = reader.peek() === "(" ? constraint : reader.name();
  const columns = namesIn(reader.parenthesized());
  return readReferences(reader, constraint ?? name, columns);
}

function readReferences(reader: DdlReader, name: string | undefined, columns: readonly string[]): MysqlForeignKey {
  reader.expect("REFERENCES");
  const table = reader.name();
  const references = reader.peek() === "(" ? namesIn(reader.parenthesized()) : [];
  let onDelete: string | undefined;
  let onUpdate: string | undefined;
  for (;;) {
    if (reader.take("MATCH")) reader.at++;
    else if (reader.take("ON", "DELETE")) onDelete = readAction(reader);
    else if (reader.take("ON", "UPDATE")) onUpdate = readAction(reader);
    else return { name, columns, table, references, onDelete, onUpdate };
  }
}

function readAction(reader: DdlReader): string {
  for (const words of [["SET", "NULL"], ["SET", "DEFAULT"], ["NO", "ACTION"], ["CASCADE"], ["RESTRICT"]]) {
    if (reader.take(...words)) return words.join(" ");
  }
  throw new DdlError("an action of a foreign key that is not known");
}

function readType(reader: DdlReader): MysqlType {
  let word = reader.peek();
  if (!TYPES.has(word)) throw new DdlError(`a type that is not known: ${reader.token()?.text.slice(0, 40) ?? ""}`);
  reader.at++;
  if (word === "NATIONAL") word = reader.name().toUpperCase();
  if (reader.take("VARYING")) word = "VARCHAR";
  reader.take("PRECISION");
  const values =
    reader.peek() === "(" ? DdlReader.split(reader.parenthesized()).map(([token]) => token?.text ?? "") : [];
  let isUnsigned = false;
  for (;;) {
    if (reader.take("UNSIGNED")) isUnsigned = true;
    else if (reader.take("ZEROFILL")) isUnsigned = true;
    else if (!reader.take("SIGNED")) return { word, values, isUnsigned };
  }
}

type ColumnDraft = { -readonly [K in keyof MysqlColumn]: MysqlColumn[K] };

function readColumn(reader: DdlReader, table: Draft): void {
  const name = reader.name();
  const type = readType(reader);
  const column: ColumnDraft = {
    name,
    type,
    isNullable: true,
    isAutoIncrement: type.word === "SERIAL",
    default: undefined,
    updatesToNow: false,
    generated: undefined,
    collation: undefined,
    comment: undefined,
  };
  const own: MysqlKeyPart = { column: name, expression: [], length: undefined, isDescending: false };
  const addKey = (kind: MysqlKey["kind"]): void => void table.keys.push({ kind, name: undefined, parts: [own] });
  while (!reader.isEnd) {
    if (readKeyWord(reader, addKey)) continue;
    if (reader.peek() === "REFERENCES") table.foreignKeys.push(readReferences(reader, undefined, [name]));
    else if (reader.peek() === "CHECK" && reader.peek(1) === "(") {
      reader.at++;
      table.checks.push({ name: undefined, tokens: reader.parenthesized() });
    } else readAttribute(reader, column);
  }
  if (type.word === "SERIAL") addKey("unique");
  table.columns.push(column);
}

function readKeyWord(reader: DdlReader, addKey: (kind: MysqlKey["kind"]) => void): boolean {
  if (reader.take("PRIMARY", "KEY") || reader.take("KEY")) addKey("primary");
  else if (reader.take("UNIQUE", "KEY") || reader.take("UNIQUE")) addKey("unique");
  else return false;
  return true;
}

/** What stands behind a type, one at a time; words that say nothing for another system are passed by. */
function readAttribute(reader: DdlReader, column: ColumnDraft): void {
  if (reader.take("NOT", "NULL")) column.isNullable = false;
  else if (reader.take("AUTO_INCREMENT")) column.isAutoIncrement = true;
  else if (reader.take("DEFAULT")) column.default = readDefault(reader);
  else if (reader.take("ON", "UPDATE")) column.updatesToNow = true;
  else if (reader.take("COMMENT")) column.comment = reader.name();
  else if (reader.take("COLLATE")) column.collation = reader.name();
  else if (reader.take("CHARACTER", "SET") || reader.take("CHARSET")) column.collation ??= reader.name();
  else if (reader.take("GENERATED", "ALWAYS", "AS") || reader.take("AS")) column.generated = reader.parenthesized();
  else if (reader.peek() === "(") reader.parenthesized();
  else reader.at++;
}

const NOW: ReadonlySet<string> = new Set(["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]);

function readDefault(reader: DdlReader): MysqlDefault {
  const token = reader.token();
  const word = reader.peek();
  if (word === "(") return { kind: "expression", tokens: reader.parenthesized() };
  reader.at++;
  if (NOW.has(word)) {
    if (reader.peek() === "(") reader.parenthesized();
    return { kind: "now" };
  }
  if (word === "NULL") return { kind: "null" };
  if (word === "TRUE" || word === "FALSE") return { kind: "number", text: word === "TRUE" ? "1" : "0" };
  if (word === "-") return readNegative(reader);
  if (reader.token()?.kind === "text") {
    // _utf8mb4'text'
    if (word.startsWith("_")) return readDefault(reader);
    if (word === "B" || word === "X") return readBits(reader, word);
  }
  if (token?.kind === "number" || token?.kind === "text") return { kind: token.kind, text: token.text };
  return { kind: "expression", tokens: token === undefined ? [] : [token] };
}

function readNegative(reader: DdlReader): MysqlDefault {
  const digits = reader.peek();
  reader.at++;
  return { kind: "number", text: `-${digits}` };
}

function readBits(reader: DdlReader, base: "B" | "X"): MysqlDefault {
  const digits = reader.token()?.text ?? "";
  reader.at++;
  return { kind: "bit", text: base === "B" ? digits : Number.parseInt(digits, 16).toString(2) };
}

function readOptions(reader: DdlReader, options: Map<string, string>): void {
  while (!reader.isEnd) {
    if (reader.take("PARTITION", "BY")) {
      options.set("PARTITION", reader.peek());
      return;
    }
    const word = reader.peek();
    reader.at++;
    if (!reader.take("=") && reader.token()?.kind === "mark") continue;
    if (word === "DEFAULT" || word === "CHARACTER" || word === "," || reader.isEnd) continue;
    options.set(word, reader.token()?.text ?? "");
    reader.at++;
  }
}

function readIndex(reader: DdlReader, tables: ReadonlyMap<string, Draft>): boolean {
  let kind: MysqlKey["kind"] = "index";
  if (reader.take("UNIQUE")) kind = "unique";
  else if (reader.take("FULLTEXT")) kind = "fulltext";
  else if (reader.take("SPATIAL")) kind = "spatial";
  if (!reader.take("INDEX")) return false;
  const name = reader.name();
  if (reader.take("USING")) reader.at++;
  reader.expect("ON");
  const table = tables.get(reader.name().toLowerCase());
  if (table === undefined) throw new DdlError(`the table of the index ${name} is not in the file`);
  table.keys.push({ kind, name, parts: DdlReader.split(reader.parenthesized()).map(keyPart) });
  return true;
}

/** What dumps and migrations add behind CREATE TABLE; any other ALTER is none of it. */
function readAlter(reader: DdlReader, tables: ReadonlyMap<string, Draft>): boolean {
  const table = tables.get(reader.name().toLowerCase());
  if (table === undefined) return false;
  const rest: DdlToken[] = [];
  for (; !reader.isEnd; reader.at++) rest.push(reader.token() as DdlToken);
  let isWhole = true;
  for (const part of DdlReader.split(rest)) {
    const action = new DdlReader(part);
    if (action.take("ADD")) {
      action.take("COLUMN");
      readElement(action, table);
    } else if (action.take("MODIFY")) {
      action.take("COLUMN");
      replaceColumn(action, table);
    } else isWhole = action.peek() === "AUTO_INCREMENT" || action.take("DISABLE") || action.take("ENABLE");
  }
  return isWhole;
}

/** MODIFY gives a column anew, as phpMyAdmin's exports do for AUTO_INCREMENT. */
function replaceColumn(reader: DdlReader, table: Draft): void {
  const given: Draft = { ...table, columns: [], keys: [], foreignKeys: [], checks: [] };
  readColumn(reader, given);
  const [column] = given.columns;
  if (column === undefined) return;
  const at = table.columns.findIndex(({ name }) => name.toLowerCase() === column.name.toLowerCase());
  if (at >= 0) table.columns[at] = column;
}

const NAMED: ReadonlySet<string> = new Set([
  "TABLE",
  "VIEW",
  "TRIGGER",
  "PROCEDURE",
  "FUNCTION",
  "EVENT",
  "DATABASE",
  "SCHEMA",
  "INTO",
]);
const PASSED: ReadonlySet<string> = new Set(["IF", "NOT", "EXISTS"]);

function otherOf(tokens: readonly DdlToken[]): OtherStatement {
  const words = tokens.slice(0, 16).map((token) => (token.kind === "word" ? token.text.toUpperCase() : ""));
  const at = words.findIndex((word) => NAMED.has(word));
  const [first = ""] = words;
  const object = at > 0 && words[at] !== "INTO" ? ` ${words[at]}` : "";
  let named = at + 1;
  while (PASSED.has(words[named] ?? "")) named++;
  const token = at < 0 ? undefined : tokens[named];
  return { what: `${first}${object}`, name: token === undefined || token.kind === "mark" ? undefined : token.text };
}
