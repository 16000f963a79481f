/**
 * Queries and changes of rows over a table with a denied column and a table of tenants, in whatever shape names, aliases
 * and joins may give their columns. Most are harmless in most of their parts.
 */

type Random = () => number;

/** What a policy for these tables says: QUERIES_POLICY. Values that must not be seen begin with QUERIES_MARKER. */
export const QUERIES_SETUP = `
CREATE TABLE member (id int PRIMARY KEY, login text, password text);
INSERT INTO member VALUES (1, 'ann', 'DENIED-p1'), (2, 'bob', 'DENIED-p2');
CREATE TABLE orders (id int PRIMARY KEY, tenant_id int, total int, note text);
INSERT INTO orders VALUES (7, 7, 8, 'own'), (8, 8, 7, 'DENIED-o8'), (9, 9, 7, 'DENIED-o9');
CREATE TABLE pub (id int PRIMARY KEY, tenant_id int, name text);
INSERT INTO pub VALUES (1, 7, 'one'), (7, 7, 'seven'), (8, 8, 'eight');
`;

export const QUERIES_POLICY = `
deny: { columns: [member.password] }
tenants: [{ tables: [orders], column: tenant_id, value: 7 }]`;

export const QUERIES_MARKER = "DENIED-";

/** What a change of another tenant's rows, or of what is denied, would leave behind. */
export const QUERIES_STATE = `
SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o WHERE tenant_id IS DISTINCT FROM 7
UNION ALL SELECT count(*)::text FROM orders WHERE id IN (8, 9)`;

interface Source {
  readonly sql: string;
  /** What a column may be reached by. */
  readonly names: readonly string[];
  readonly columns: readonly string[];
}

const TABLES = ["member", "orders", "orders", "pub"] as const;
const COLUMNS: Readonly<Record<(typeof TABLES)[number], readonly string[]>> = {
  member: ["id", "login", "password"],
  orders: ["id", "tenant_id", "total", "note"],
  pub: ["id", "tenant_id", "name"],
};
const LETTERS = ["a", "b", "tenant_id", "login", "o", "id"] as const;

export class QueryMaker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** One statement. */
  statement(): string {
    return this.#chance(0.75) ? this.#query(2) : this.#change();
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item;
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #query(depth: number): string {
    const base = this.#select(depth);
    if (depth > 0 && this.#chance(0.1)) return `${base} UNION ALL ${this.#select(depth - 1)}`;
    if (this.#chance(0.08)) {
      const columns = this.#chance(0.4) ? ` (${this.#letters(3)})` : "";
      return `WITH ${this.#pick(["w", "pub", "o"])}${columns} AS (${base}) ${this.#select(depth - 1)}`;
    }
    return base;
  }

  #select(depth: number): string {
    const first = this.#source(depth);
    const sources = this.#chance(0.35) ? [first, this.#source(depth)] : [first];
    const columns = sources.flatMap((source) => this.#namesOf(source));
    const from = sources.length === 1 ? first.sql : this.#join(sources as [Source, Source], columns);
    const wanted = Array.from({ length: 1 + Math.floor(this.#random() * 2) }, () =>
      this.#term(columns, sources, depth),
    );
    const where = this.#chance(0.75) ? ` WHERE ${this.#condition(columns, depth)}` : "";
    const order = this.#chance(0.1) ? ` ORDER BY ${this.#pick(["1", this.#pick(columns)])}` : "";
    return `SELECT ${wanted.join(", ")} FROM ${from}${where}${order}`;
  }

  #letters(count: number): string {
    return Array.from({ length: count }, (_, at) => this.#pick([...LETTERS, `c${at}`])).join(", ");
  }

  #namesOf({ names, columns }: Source): string[] {
    const plain = columns.map((column) => (this.#chance(0.5) ? column : `${this.#pick(names)}.${column}`));
    return plain.length === 0 ? ["1"] : plain;
  }

  #source(depth: number): Source {
    const turn = this.#random();
    if (depth > 0 && turn < 0.15) return this.#named(`(${this.#query(depth - 1)})`, LETTERS, true);
    if (depth > 0 && turn < 0.25) {
      const [left, right] = [this.#source(0), this.#source(0)];
      return this.#named(`(${left.sql} CROSS JOIN ${right.sql})`, [...left.columns, ...right.columns], false);
    }
    if (turn < 0.3) return this.#named(`(VALUES (7, 'x'))`, ["tenant_id", "a"], true);
    const table = this.#pick(TABLES);
    const written = this.#pick([table, `public.${table}`, `"${table}"`, table.toUpperCase(), `ONLY ${table}`]);
    const source = this.#named(written, COLUMNS[table], false);
    return source.names.length === 0 ? { ...source, names: [table] } : source;
  }

  #named(sql: string, columns: readonly string[], needsName: boolean): Source {
    if (!needsName && this.#chance(0.4)) return { sql, names: [], columns };
    const name = this.#pick(["o", "m", "a", "pub", "orders", "tenant_id"]);
    if (this.#chance(0.6)) return { sql: `${sql} AS ${name}`, names: [name], columns };
    const renamed = this.#letters(1 + Math.floor(this.#random() * 4));
    return { sql: `${sql} ${name} (${renamed})`, names: [name], columns: [...renamed.split(", "), ...columns] };
  }

  #join([left, right]: readonly [Source, Source], columns: readonly string[]): string {
    const kind = this.#pick([
      "JOIN",
      "LEFT JOIN",
      "RIGHT JOIN",
      "FULL JOIN",
      "CROSS JOIN",
      "NATURAL JOIN",
      ",",
      "JOIN LATERAL",
    ]);
    const isPlain = kind === "CROSS JOIN" || kind === "NATURAL JOIN" || kind === ",";
    if (isPlain) return `${left.sql} ${kind} ${right.sql}`;
    if (this.#chance(0.2)) return `${left.sql} ${kind} ${right.sql} USING (${this.#pick(["id", "tenant_id"])})`;
    return `${left.sql} ${kind} ${right.sql} ON ${this.#condition(columns, 0)}`;
  }

  #term(columns: readonly string[], sources: readonly Source[], depth: number): string {
    const name = this.#pick(sources.flatMap(({ names }) => names).concat("o"));
    const column = this.#pick(columns);
    const forms = [column, column, column, "*", `${name}.*`, name, `(${name}).note`, `(${name}).password`];
    forms.push(
      `row_to_json(${name})`,
      `count(${column})`,
      `max(${column}::text)`,
      `${name}::text`,
      `to_jsonb(${name})`,
    );
    forms.push(`array_agg(${column})`, `concat(${column}, 'x')`, `CASE WHEN ${column} IS NULL THEN 1 ELSE 2 END`);
    if (depth > 0) forms.push(`(${this.#select(depth - 1)} LIMIT 1)`, `EXISTS (${this.#select(depth - 1)})`);
    return this.#pick(forms);
  }

  #condition(columns: readonly string[], depth: number): string {
    const one = this.#comparison(columns, depth);
    const turn = this.#random();
    if (turn < 0.6) return one;
    if (turn < 0.8) return `${one} AND ${this.#comparison(columns, depth)}`;
    if (turn < 0.9) return `${one} OR ${this.#comparison(columns, depth)}`;
    return `NOT (${one})`;
  }

  #comparison(columns: readonly string[], depth: number): string {
    const tenants = columns.filter((column) => column.endsWith("tenant_id"));
    const column = this.#chance(0.8) && tenants.length > 0 ? this.#pick(tenants) : this.#pick(columns);
    const value = this.#pick(["7", "7", "7", "'7'", "7::int", "8", this.#pick(columns)]);
    const forms = [`${column} = ${value}`, `${column} = ${value}`, `${value} = ${column}`, `${column} IN (7)`];
    forms.push(
      `${column} IS NOT DISTINCT FROM ${value}`,
      `${column} <> ${value}`,
      `(${column} = ${value}) IS NOT NULL`,
    );
    if (depth > 0) forms.push(`${column} IN (${this.#select(depth - 1)})`);
    return this.#pick(forms);
  }

  #change(): string {
    const table = this.#pick(["orders", "orders AS o", "orders o", "pub", "member"]);
    const name = table.split(" ").at(-1) as string;
    const columns = (table.startsWith("member") ? COLUMNS.member : COLUMNS.orders).map((column) =>
      this.#chance(0.5) ? column : `${name}.${column}`,
    );
    const other = this.#source(0);
    const all = [...columns, ...this.#namesOf(other)];
    const where = ` WHERE ${this.#condition(this.#chance(0.7) ? columns : all, 1)}`;
    const returning = this.#chance(0.3) ? ` RETURNING ${this.#pick(["*", ...columns, name])}` : "";
    const set = this.#pick([
      "total = 5",
      "note = 'x'",
      "tenant_id = 8",
      "(total, note) = (1, 'x')",
      "login = password",
    ]);
    switch (this.#pick(["update", "delete", "from", "using", "merge"])) {
      case "update":
        return `UPDATE ${table} SET ${set}${where}${returning}`;
      case "delete":
        return `DELETE FROM ${table}${where}${returning}`;
      case "from":
        return `UPDATE ${table} SET ${set} FROM ${other.sql}${where}${returning}`;
      case "using":
        return `DELETE FROM ${table} USING ${other.sql}${where}${returning}`;
      default:
        return `MERGE INTO ${table} USING ${other.sql} ON ${this.#condition(all, 0)} WHEN MATCHED THEN ${this.#pick(["UPDATE SET total = 5", "DELETE"])}`;
    }
  }
}
