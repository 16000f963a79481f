/** A MySQL schema as statements of Aurora DSQL, each in a transaction of its own, with a decision for everything that was in it. */
import { type TypeChoice, typeFor, type Verdict } from "./column-types.ts";
import { expressionSql, uuidDefault } from "./expressions.ts";
import type { MysqlColumn, MysqlForeignKey, MysqlKey, MysqlSchema, MysqlTable } from "./mysql-schema.ts";
import { foldedName, nameSql, TakenNames, textSql } from "./names.ts";

export interface Decision {
  readonly table: string;
  /** `column a`, `key b`, `option ENGINE`. */
  readonly subject: string;
  readonly from: string;
  /** Undefined for what is left out. */
  readonly to: string | undefined;
  readonly verdict: Verdict;
  readonly why: string;
}

export interface DsqlStatement {
  readonly sql: string;
  /** Undefined for what belongs to no table. */
  readonly table: string | undefined;
  /** It answers with the id of a job that has to end before the next statement about its table counts on it. */
  readonly startsJob: boolean;
}

export interface DsqlSchema {
  readonly statements: readonly DsqlStatement[];
  readonly decisions: readonly Decision[];
}

const INDEXES_MAX = 24;
const INDEX_COLUMNS_MAX = 8;

export function toDsql(schema: MysqlSchema): DsqlSchema {
  return new SchemaWriter(schema).write();
}

class SchemaWriter {
  readonly #schema: MysqlSchema;
  readonly #statements: DsqlStatement[] = [];
  readonly #decisions: Decision[] = [];
  /** Indexes share their names with tables. */
  readonly #names = new TakenNames();
  readonly #written = new Set<string>();
  /** Types of columns, by `table.column`. */
  readonly #types = new Map<string, TypeChoice>();

  constructor(schema: MysqlSchema) {
    this.#schema = schema;
  }

  write(): DsqlSchema {
    const tables = ordered(this.#schema.tables);
    for (const table of tables) this.#names.take(table.name);
    this.#chooseTypes(tables);
    for (const table of tables) this.#writeTable(table);
    for (const table of tables) this.#writeIndexes(table);
    for (const table of tables) this.#writeLateKeys(table);
    for (const other of this.#schema.others) this.#noteOther(other.what, other.name);
    return { statements: this.#statements, decisions: this.#decisions };
  }

  #decide(table: string, subject: string, from: string, to: string | undefined, verdict: Verdict, why: string): void {
    this.#decisions.push({ table, subject, from, to, verdict, why });
  }

  /** A key that refers to an identity is as wide as that. */
  #chooseTypes(tables: readonly MysqlTable[]): void {
    for (const { name, columns } of tables) {
      for (const column of columns) this.#types.set(placeOf(name, column.name), typeFor(column));
    }
    // A chain of keys is as long as there are tables.
    for (let round = 0; round < tables.length && this.#widenKeys(tables); round++);
  }

  #widenKeys(tables: readonly MysqlTable[]): boolean {
    let isChanged = false;
    for (const { name, foreignKeys } of tables) {
      for (const { table, columns, references } of foreignKeys) {
        for (const [index, column] of columns.entries()) {
          const place = placeOf(name, column);
          const [own, other] = [this.#types.get(place), this.#types.get(placeOf(table, references[index] ?? ""))];
          if (own === undefined || other === undefined || own.type === other.type || other.type !== "bigint") continue;
          this.#types.set(place, {
            ...own,
            type: "bigint",
            verdict: "changed",
            why: `as wide as ${table}.${references[index]}`,
          });
          isChanged = true;
        }
      }
    }
    return isChanged;
  }

  #writeTable(table: MysqlTable): void {
    const names = new Set(table.columns.map(({ name }) => name.toLowerCase()));
    const lines = table.columns.map((column) => `  ${this.#columnSql(table, column)}`);
    for (const key of table.keys) {
      const line = this.#keySql(table, key);
      if (line !== undefined) lines.push(`  ${line}`);
    }
    for (const check of table.checks) this.#checkSql(table, check.name, expressionSql(check.tokens, { names }), lines);
    for (const key of table.foreignKeys) {
      if (this.#isWritten(key.table, table.name)) lines.push(`  ${this.#foreignKeySql(table, key)}`);
    }
    this.#noteTable(table);
    this.#written.add(table.name.toLowerCase());
    const sql = `CREATE TABLE ${nameSql(table.name)} (\n${lines.join(",\n")}\n);`;
    this.#statements.push({ sql, table: table.name, startsJob: false });
  }

  #isWritten(table: string, own: string): boolean {
    return this.#written.has(table.toLowerCase()) || table.toLowerCase() === own.toLowerCase();
  }

  #noteTable({ name, isTemporary, keys, options }: MysqlTable): void {
    if (foldedName(name) !== name) {
      this.#decide(
        name,
        "name",
        name,
        foldedName(name),
        "changed",
        "names are in lower case, as PostgreSQL folds them",
      );
    }
    if (isTemporary)
      this.#decide(name, "table", "TEMPORARY", undefined, "lost", "there are no temporary tables: this one stays");
    if (!keys.some(({ kind }) => kind === "primary")) {
      this.#decide(
        name,
        "primary key",
        "none",
        undefined,
        "changed",
        "a table without one gets a hidden key: give it one before there are rows, for it cannot be added later",
      );
    }
    for (const [word, value] of options) {
      if (word === "AUTO_INCREMENT") continue;
      if (word === "PARTITION") {
        this.#decide(
          name,
          "partitions",
          `PARTITION BY ${value}`,
          undefined,
          "lost",
          "tables are spread by the service: delete old rows in batches in place of DROP PARTITION",
        );
      } else {
        this.#decide(name, `option ${word}`, value, undefined, "same", "says nothing there");
      }
    }
  }

  #columnSql(table: MysqlTable, column: MysqlColumn): string {
    const choice = this.#types.get(placeOf(table.name, column.name)) ?? typeFor(column);
    const name = nameSql(column.name);
    const parts = [name, choice.type];
    if (column.isAutoIncrement) {
      const start = table.options.get("AUTO_INCREMENT");
      const from = start !== undefined && /^\d{1,18}$/.test(start) ? `START WITH ${start} ` : "";
      parts.push(`GENERATED BY DEFAULT AS IDENTITY (${from}CACHE 65536)`);
    }
    const isKey = table.keys.some(
      ({ kind, parts: of }) => kind === "primary" && of.some(({ column: part }) => isSame(part, column.name)),
    );
    if (!column.isNullable || column.isAutoIncrement || isKey) parts.push("NOT NULL");
    const value = this.#defaultSql(table, column, choice.type);
    if (value !== undefined) parts.push(`DEFAULT ${value}`);
    if (choice.check !== undefined) parts.push(`CHECK (${choice.check.replaceAll("{column}", name)})`);
    if (choice.values !== undefined) parts.push(`CHECK (${name} IN (${choice.values.map(textSql).join(", ")}))`);
    this.#decide(
      table.name,
      `column ${column.name}`,
      typeText(column),
      parts.slice(1).join(" "),
      choice.verdict,
      choice.why,
    );
    this.#noteColumn(table, column);
    return parts.join(" ");
  }

  #noteColumn({ name: table }: MysqlTable, column: MysqlColumn): void {
    const { name } = column;
    const note = (from: string, why: string, verdict: Verdict = "lost"): void =>
      this.#decide(table, `column ${name}`, from, undefined, verdict, why);
    if (foldedName(name) !== name) note(name, "names are in lower case, as PostgreSQL folds them", "changed");
    if (column.updatesToNow) note("ON UPDATE CURRENT_TIMESTAMP", "there are no triggers: set it in each UPDATE");
    if (column.generated !== undefined)
      note("GENERATED", "a plain column: compute it where rows are written, or in a view");
    if (column.collation !== undefined && /_ci$/.test(column.collation)) {
      note(
        column.collation,
        "compares without case there, and with it here: use lower() on both sides, and an index on lower(…)",
        "changed",
      );
    }
  }

  #defaultSql(table: MysqlTable, column: MysqlColumn, type: string): string | undefined {
    const given = column.default;
    if (given === undefined || column.isAutoIncrement) return undefined;
    if (given.kind === "null") return undefined;
    const lost = (from: string, why: string): undefined => {
      this.#decide(table.name, `column ${column.name}`, `DEFAULT ${from}`, undefined, "lost", why);
      return undefined;
    };
    if (given.kind === "now") return type === "date" ? "CURRENT_DATE" : nowFor(type);
    if (given.kind === "expression") {
      const sql = uuidDefault(given.tokens, type) ?? expressionSql(given.tokens, { names: new Set() });
      return sql === undefined ? lost("(…)", "the expression is MySQL's: set it where rows are written") : `(${sql})`;
    }
    const value = valueSql(given.text, given.kind, type);
    return value ?? lost(given.text, "no value of the new type: leave it out of INSERT for NULL, or write one");
  }

  #checkSql(table: MysqlTable, name: string | undefined, sql: string | undefined, lines: string[]): void {
    const subject = `check ${name ?? ""}`.trimEnd();
    if (sql === undefined) {
      this.#decide(
        table.name,
        subject,
        "CHECK",
        undefined,
        "lost",
        "it has words that only MySQL knows: write it anew",
      );
      return;
    }
    const named = name === undefined ? "" : `CONSTRAINT ${nameSql(name)} `;
    lines.push(`  ${named}CHECK (${sql})`);
    this.#decide(table.name, subject, "CHECK", `CHECK (${sql})`, "same", "means the same");
  }

  /** Primary and unique keys stand in the table: they can hardly be added later. */
  #keySql(table: MysqlTable, key: MysqlKey): string | undefined {
    if (key.kind !== "primary" && key.kind !== "unique") return undefined;
    const columns = key.parts.flatMap(({ column }) => (column === undefined ? [] : [column]));
    const what = key.kind === "primary" ? "PRIMARY KEY" : "UNIQUE";
    // Over an expression, a unique index.
    if (columns.length < key.parts.length) return undefined;
    const subject = key.kind === "primary" ? "primary key" : `key ${key.name ?? columns.join("_")}`;
    const sql = `${what} (${columns.map(nameSql).join(", ")})`;
    const isCut = key.parts.some(({ length }) => length !== undefined);
    const why = isCut ? "unique by its whole text, not by its beginning; a key holds 1 KiB at most" : "means the same";
    this.#decide(table.name, subject, what, sql, isCut ? "changed" : "same", why);
    if (key.kind === "primary" || key.name === undefined) return sql;
    return `CONSTRAINT ${nameSql(this.#names.take(`${table.name}_${key.name}`))} ${sql}`;
  }

  #foreignKeySql(table: MysqlTable, key: MysqlForeignKey): string {
    const named = key.name === undefined ? "" : `CONSTRAINT ${nameSql(key.name)} `;
    const targets = key.references.length === 0 ? "" : ` (${key.references.map(nameSql).join(", ")})`;
    const actions = [
      ...(key.onDelete === undefined ? [] : [` ON DELETE ${key.onDelete}`]),
      ...(key.onUpdate === undefined ? [] : [` ON UPDATE ${key.onUpdate}`]),
    ];
    const sql = `FOREIGN KEY (${key.columns.map(nameSql).join(", ")}) REFERENCES ${nameSql(key.table)}${targets}${actions.join("")}`;
    const why =
      "means the same since 26 August 2026; an index on its columns is not made by itself, and conflicts are found at COMMIT";
    this.#decide(table.name, `foreign key ${key.name ?? key.columns.join("_")}`, "FOREIGN KEY", sql, "same", why);
    return named + sql;
  }

  #writeIndexes(table: MysqlTable): void {
    const names = new Set(table.columns.map(({ name }) => name.toLowerCase()));
    let count = table.keys.filter(({ kind }) => kind === "primary" || kind === "unique").length;
    for (const key of table.keys) {
      const isExpression = key.parts.some(({ column }) => column === undefined);
      if (key.kind === "primary" || (key.kind === "unique" && !isExpression)) continue;
      const subject = `key ${key.name ?? ""}`.trimEnd();
      if (key.kind === "fulltext" || key.kind === "spatial") {
        const why =
          key.kind === "fulltext" ? "there is no text search: use a search service beside it" : "there is no geometry";
        this.#decide(table.name, subject, key.kind.toUpperCase(), undefined, "lost", why);
        continue;
      }
      const parts = key.parts.map((part) =>
        part.column === undefined ? wrapped(expressionSql(part.expression, { names })) : nameSql(part.column),
      );
      if (parts.includes(undefined) || count >= INDEXES_MAX) {
        const why =
          count >= INDEXES_MAX
            ? `a table has ${INDEXES_MAX} indexes at most`
            : "its expression is MySQL's: write it anew";
        this.#decide(table.name, subject, "INDEX", undefined, "lost", why);
        continue;
      }
      count++;
      this.#writeIndex(table, key, parts as string[]);
    }
  }

  #writeIndex(table: MysqlTable, key: MysqlKey, parts: readonly string[]): void {
    const name = this.#names.take(
      `${table.name}_${key.name ?? key.parts.map(({ column }) => column ?? "x").join("_")}`,
    );
    const kept = parts.slice(0, INDEX_COLUMNS_MAX);
    const unique = key.kind === "unique" ? "UNIQUE " : "";
    const sql = `CREATE ${unique}INDEX ASYNC ${nameSql(name)} ON ${nameSql(table.name)} (${kept.join(", ")});`;
    this.#statements.push({ sql, table: table.name, startsJob: true });
    const notes = [
      ...(kept.length < parts.length
        ? [`an index has ${INDEX_COLUMNS_MAX} columns at most: the others are left out`]
        : []),
      ...(key.parts.some(({ length }) => length !== undefined)
        ? ["of the whole text, not of its beginning; a key holds 1 KiB at most"]
        : []),
      ...(key.parts.some(({ isDescending }) => isDescending) ? ["ascending: it is read from both ends"] : []),
    ];
    this.#decide(
      table.name,
      `key ${key.name ?? name}`,
      "INDEX",
      sql,
      notes.length === 0 ? "same" : "changed",
      ["made in the background, with a job", ...notes].join("; "),
    );
  }

  /** Keys to tables that come later, or whose tables refer to each other. */
  #writeLateKeys(table: MysqlTable): void {
    for (const key of table.foreignKeys) {
      const wasWritten = this.#statements.some(
        ({ sql, table: of }) =>
          of === table.name && sql.includes(` REFERENCES ${nameSql(key.table)}`) && sql.startsWith("CREATE TABLE"),
      );
      if (wasWritten) continue;
      if (!this.#written.has(key.table.toLowerCase())) {
        this.#decide(
          table.name,
          `foreign key ${key.name ?? ""}`.trimEnd(),
          "FOREIGN KEY",
          undefined,
          "lost",
          `the table ${key.table} is not in the file`,
        );
        continue;
      }
      const name = nameSql(key.name ?? `${table.name}_${key.columns.join("_")}_fkey`);
      const constraint = this.#foreignKeySql(table, { ...key, name: undefined });
      const of = nameSql(table.name);
      this.#statements.push({
        sql: `ALTER TABLE ${of} ADD CONSTRAINT ${name} ${constraint} NOT VALID;`,
        table: table.name,
        startsJob: false,
      });
      this.#statements.push({
        sql: `ALTER TABLE ASYNC ${of} VALIDATE CONSTRAINT ${name};`,
        table: table.name,
        startsJob: true,
      });
    }
  }

  #noteOther(what: string, name: string | undefined): void {
    const why = OTHERS[what];
    if (why !== undefined) this.#decide(name ?? "", what.toLowerCase(), what, undefined, "lost", why);
  }
}

/** What has no equal, or has to be written anew. Anything else in a file, such as SET and LOCK TABLES, is passed by. */
const OTHERS: Readonly<Record<string, string>> = {
  "CREATE TRIGGER": "there are no triggers: do it in the application, in the same transaction",
  "CREATE PROCEDURE": "there are no procedures: move it into the application",
  "CREATE FUNCTION": "functions are in SQL only: write it anew, or move it into the application",
  "CREATE EVENT": "there are no events: use a scheduler beside the database",
  "CREATE VIEW": "views exist: write its query anew in PostgreSQL's SQL",
  INSERT: "rows are not moved: load them in transactions of less than 3,000 rows",
};

const isSame = (one: string | undefined, other: string): boolean => one?.toLowerCase() === other.toLowerCase();
const placeOf = (table: string, column: string): string => `${table.toLowerCase()}.${column.toLowerCase()}`;
const wrapped = (sql: string | undefined): string | undefined => (sql === undefined ? undefined : `(${sql})`);

/** Tables behind those that they refer to, as far as that goes. */
function ordered(tables: readonly MysqlTable[]): readonly MysqlTable[] {
  const left = new Map(tables.map((table) => [table.name.toLowerCase(), table]));
  const done: MysqlTable[] = [];
  while (left.size > 0) {
    const ready = [...left.values()].filter(({ name, foreignKeys }) =>
      foreignKeys.every(({ table }) => isSame(table, name) || !left.has(table.toLowerCase())),
    );
    // A circle: its first table goes first, and the key that closes it comes last.
    for (const table of ready.length > 0 ? ready : [...left.values()].slice(0, 1)) {
      done.push(table);
      left.delete(table.name.toLowerCase());
    }
  }
  return done;
}

function typeText({ type, default: given, isNullable, isAutoIncrement }: MysqlColumn): string {
  const values =
    type.values.length === 0
      ? ""
      : `(${type.values.map((value) => (/^\d+$/.test(value) ? value : textSql(value))).join(", ")})`;
  const parts = [`${type.word.toLowerCase()}${values}`];
  if (type.isUnsigned) parts.push("unsigned");
  if (!isNullable) parts.push("NOT NULL");
  if (isAutoIncrement) parts.push("AUTO_INCREMENT");
  if (given?.kind === "now") parts.push("DEFAULT CURRENT_TIMESTAMP");
  else if (given?.kind === "text") parts.push(`DEFAULT ${textSql(given.text)}`);
  else if (given?.kind === "number" || given?.kind === "bit") parts.push(`DEFAULT ${given.text}`);
  return parts.join(" ");
}

function nowFor(type: string): string {
  const precision = /\((\d)\)/.exec(type)?.[1];
  const now = precision === undefined || precision === "0" ? "CURRENT_TIMESTAMP" : `CURRENT_TIMESTAMP(${precision})`;
  return now;
}

/** A literal of the new type; undefined where there is none, as of 0000-00-00. */
function valueSql(text: string, kind: "text" | "number" | "bit", type: string): string | undefined {
  if (type === "boolean") return /^0*$/.test(text) ? "false" : "true";
  if (kind === "bit") return /^[01]{1,62}$/.test(text) ? String(Number.parseInt(text, 2)) : undefined;
  const isTime = /^(?:date|time)/.test(type);
  if (isTime) return /^0000-|-00(?:-|$|\s)/.test(text) || kind === "number" ? undefined : textSql(text);
  const isNumber = /^(?:smallint|integer|bigint|numeric|real|double)/.test(type);
  if (isNumber) return /^-?\d+(?:\.\d*)?(?:e[+-]?\d+)?$/i.test(text) ? text : undefined;
  if (type === "jsonb" || type === "uuid") return textSql(text);
  if (type === "bytea") return text === "" ? "''" : undefined;
  return textSql(text);
}
