/** Lists of PostgreSQL statements that try to change something, or to read the table `secret`, in one way or another. */

type Random = () => number;

const pick = <Item>(random: Random, items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;

/** What the server has before the first list: STATE_QUERY says the same after every list that was let through. */
export const LISTS_SETUP = `
CREATE TABLE book (id int PRIMARY KEY, title text, price numeric);
INSERT INTO book SELECT n, 'book ' || n, n * 1.5 FROM generate_series(1, 20) n;
CREATE TABLE secret (id int, word text);
INSERT INTO secret VALUES (1, 'MARKER-7f3a'), (2, 'MARKER-9c1d');
CREATE TABLE journal (id serial, what text);
CREATE SEQUENCE ticket;
CREATE FUNCTION note(text) RETURNS int LANGUAGE sql AS 'INSERT INTO journal (what) VALUES ($1); SELECT 1';
CREATE FUNCTION spell(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT word FROM secret WHERE id = $1';
CREATE FUNCTION peek(secret) RETURNS text LANGUAGE sql AS 'SELECT $1.word';
CREATE SCHEMA evil;
CREATE FUNCTION evil.upper(text) RETURNS text LANGUAGE sql AS 'INSERT INTO journal (what) VALUES (''upper''); SELECT $1';
CREATE FUNCTION evil.plus(int, int) RETURNS int LANGUAGE sql AS 'INSERT INTO journal (what) VALUES (''plus''); SELECT 1';
CREATE OPERATOR evil.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.plus);
CREATE OPERATOR public.<~~> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.plus);
`;

export const STATE_QUERY = `
SELECT md5(string_agg(b::text, ',' ORDER BY id)) FROM public.book b
UNION ALL SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM public.secret s
UNION ALL SELECT count(*)::text FROM public.journal
UNION ALL SELECT last_value::text || is_called::text FROM public.ticket
UNION ALL SELECT count(*)::text FROM pg_catalog.pg_class UNION ALL SELECT count(*)::text FROM pg_catalog.pg_proc
UNION ALL SELECT count(*)::text FROM pg_catalog.pg_authid UNION ALL SELECT count(*)::text FROM pg_catalog.pg_namespace
UNION ALL SELECT count(*)::text FROM pg_catalog.pg_largeobject_metadata
UNION ALL SELECT count(*)::text FROM pg_catalog.pg_db_role_setting
UNION ALL SELECT count(*)::text FROM pg_catalog.pg_locks WHERE locktype = 'advisory'`;

export const MARKER = "MARKER-";

const BOOK: readonly string[] = ["book", "public.book", "BOOK", '"book"', "book AS b", "ONLY book", "book b (i, t, p)"];
const SECRET: readonly string[] = [
  "secret",
  "public.secret",
  "SeCrEt",
  '"secret"',
  'U&"\\0073ecret"',
  "U&\"!0073ecret\" UESCAPE '!'",
  "secret AS s (a, b)",
  "secret TABLESAMPLE system (100)",
  "ONLY (secret)",
  "/* book */ secret",
  "postgres.public.secret",
];
const QUOTES: readonly ((text: string) => string)[] = [
  (text) => `'${text.replaceAll("'", "''")}'`,
  (text) => `$q$${text}$q$`,
  (text) => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`,
  (text) => `'${text.slice(0, 3).replaceAll("'", "''")}'\n'${text.slice(3).replaceAll("'", "''")}'`,
];

/** Most lists are harmless in most of their parts, so that what is not has to be found among what is let through. */
export class ListMaker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  list(): string {
    const count = this.#random() < 0.6 ? 1 : 2 + Math.floor(this.#random() * 2);
    const statements = Array.from({ length: count }, () => this.#statement());
    return statements.join(this.#one([";", "; ", ";\n-- x\n", "; /* ; */ "]));
  }

  #one<Item>(items: readonly Item[]): Item {
    return pick(this.#random, items);
  }

  #isRare(): boolean {
    return this.#random() < 0.12;
  }

  #statement(): string {
    if (this.#random() < 0.55) return this.#query(2);
    const change = this.#change();
    const query = this.#query(1);
    const any = this.#one([change, query, query]);
    const forms: readonly (() => string)[] = [
      () => `EXPLAIN ${this.#one(["", "ANALYZE ", "(ANALYZE false) ", "(VERBOSE) "])}${any}`,
      () => `WITH w AS (${change} RETURNING *) SELECT 1 FROM w`,
      () => `WITH w AS ${this.#one(["", "MATERIALIZED "])}(${query}) SELECT * FROM w`,
      () => `COPY (${any}) TO STDOUT`,
      () => `COPY ${this.#source(1).replace(/ .*/s, "")} TO STDOUT`,
      () => `PREPARE p AS ${any}; EXECUTE p; DEALLOCATE p`,
      () => `BEGIN; DECLARE c CURSOR FOR ${query}; FETCH ALL FROM c; COMMIT`,
      () => `DO $x$ BEGIN ${this.#one([change, "PERFORM 1", `PERFORM ${this.#value(1)}`])}; END $x$`,
      () => change,
      () => `BEGIN READ ONLY; ${query}; COMMIT`,
      () => `BEGIN; SET TRANSACTION READ WRITE; ${any}; COMMIT`,
      () => `SET ${this.#setting()}`,
      () =>
        `SELECT set_config(${this.#setting().replace(/^(\S+)\s*=\s*(.*)$/s, (_, name, value) => `'${name}', ${this.#quoted(String(value).replaceAll("'", ""))}`)}, false)`,
      () => `SET ${this.#setting()}; ${query}`,
      () => `SELECT * INTO kept FROM ${this.#source(1)}`,
      () => `CREATE TEMP TABLE kept AS ${query}`,
      () => `CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT pg_temp.f()`,
      () => `TABLE ${this.#one(["book", "secret", "public.secret"])}`,
      () => `VALUES (${this.#value(2)}), (${this.#value(1)})`,
    ];
    return this.#one(forms)();
  }

  #setting(): string {
    return this.#one([
      "search_path = public",
      "search_path = evil, pg_catalog",
      "search_path = evil, pg_catalog, public",
      "search_path = pg_catalog, public",
      "search_path = 'evil,pg_catalog'",
      "default_transaction_read_only = off",
      "transaction_read_only = off",
      "statement_timeout = '5s'",
      "app.tenant = '4'",
      "standard_conforming_strings = off",
      "client_encoding = 'SQL_ASCII'",
      "role = postgres",
      "backslash_quote = on",
    ]);
  }

  #change(): string {
    return this.#one([
      "INSERT INTO journal (what) VALUES ('x')",
      "INSERT INTO book SELECT 100 + id, title, 1 FROM book WHERE id = 1",
      "UPDATE book SET price = 0 WHERE id = 3",
      "DELETE FROM book WHERE id = 2",
      "MERGE INTO book USING secret ON book.id = secret.id WHEN MATCHED THEN DELETE",
      "TRUNCATE journal",
      "CREATE TABLE made (a int)",
      "DROP FUNCTION note(text)",
      "ALTER TABLE book ADD COLUMN x int",
      "GRANT SELECT ON secret TO PUBLIC",
      "ALTER ROLE postgres SET search_path = evil",
    ]);
  }

  #query(depth: number): string {
    const where = this.#random() < 0.5 ? ` WHERE ${this.#condition(depth)}` : "";
    const tail = this.#one([
      "",
      "",
      " ORDER BY 1",
      ` ORDER BY ${this.#value(depth - 1)}`,
      " LIMIT 3",
      ` GROUP BY ${this.#one(["1", "(1)"])}`,
      " FOR UPDATE",
    ]);
    const from = this.#random() < 0.8 ? ` FROM ${this.#source(depth)}` : "";
    const body = `SELECT ${this.#value(depth)}${this.#isRare() ? `, ${this.#value(depth)}` : ""}${from}${where}`;
    const union = this.#isRare() ? ` UNION ALL ${this.#query(0)}` : tail;
    return `${body}${union}`;
  }

  #source(depth: number): string {
    if (this.#isRare()) return this.#one(SECRET);
    if (depth > 0 && this.#isRare()) return `(${this.#query(depth - 1)}) AS q`;
    if (this.#isRare()) return `${this.#call(depth)} AS f`;
    if (this.#isRare())
      return `${this.#one(BOOK)} LEFT JOIN ${this.#one([...BOOK.slice(0, 3), "secret z", "journal j"])} ON true`;
    return this.#one(BOOK);
  }

  #condition(depth: number): string {
    return this.#one([
      "1 = 1",
      `${this.#value(depth - 1)} IS NOT NULL`,
      depth > 0 ? `EXISTS (${this.#query(depth - 1)})` : "true",
      depth > 0 ? `1 IN (SELECT 1 FROM ${this.#source(depth - 1)})` : "true",
    ]);
  }

  #value(depth: number): string {
    const roll = this.#random();
    if (depth <= 0 || roll < 0.3)
      return this.#one(["1", "'a'", "NULL", "*".replace("*", "count(*)"), "true", "$$x$$", "2.5"]);
    if (roll < 0.55) return this.#call(depth);
    if (roll < 0.65) return `(SELECT ${this.#value(depth - 1)} FROM ${this.#source(depth - 1)} LIMIT 1)`;
    return this.#one([
      `(${this.#value(depth - 1)})::text`,
      `1 ${this.#one(["+", "OPERATOR(pg_catalog.+)", "OPERATOR(evil.+)", "<~~>", "*"])} 2`,
      `CASE WHEN ${this.#condition(depth - 1)} THEN ${this.#value(depth - 1)} END`,
      `ARRAY[${this.#value(depth - 1)}]`,
      `coalesce(NULL, ${this.#value(depth - 1)})`,
      `(ARRAY(${this.#query(depth - 1)}))[1]`,
      `row_to_json(ROW(1, ${this.#value(depth - 1)}))`,
    ]);
  }

  #quoted(text: string): string {
    return this.#one(QUOTES)(text);
  }

  #call(depth: number): string {
    if (this.#random() < 0.55) {
      return this.#one([
        "lower('A')",
        "upper('a')",
        "pg_catalog.upper('a')",
        "now()",
        "length('abc')",
        "max(1)",
        "current_user",
        "version()",
        "abs(-1)",
        "generate_series(1, 2)",
        "md5('a')",
        "concat('a', 1)",
        "current_setting('TimeZone')",
      ]);
    }
    const inner = this.#one([
      this.#query(0),
      "SELECT * FROM secret",
      "SELECT note('x')",
      "INSERT INTO journal (what) VALUES ('q')",
    ]);
    return this.#one([
      "note('x')",
      "spell(1)",
      "public.spell(2)",
      "evil.upper('a')",
      "pg_catalog.\"upper\"('a')",
      "nextval('ticket')",
      "setval('ticket', 9)",
      "pg_advisory_lock(1)",
      "pg_notify('a', 'b')",
      "lo_create(0)",
      "txid_current()",
      "pg_read_file('PG_VERSION')",
      `query_to_xml(${this.#quoted(inner)}, true, true, '')`,
      `query_to_xml(${this.#quoted(inner)} || ' ', true, true, '')`,
      "table_to_xml('secret', true, true, '')",
      "table_to_xml('public.secret'::regclass, true, true, '')",
      "schema_to_xml('public', true, true, '')",
      "database_to_xml(true, true, '')",
      `ts_stat(${this.#quoted("SELECT to_tsvector(word) FROM secret")})`,
      "cursor_to_xml('c', 10, true, true, '')",
      "pg_get_functiondef(1)",
      "set_config('search_path', 'evil,pg_catalog', false)",
      `(SELECT ${this.#one(["s", "s.word", "s.peek", "(s).word", "s::text", "row_to_json(s)", "count(*)"])} FROM ${this.#one(["secret s", "book s"])} LIMIT 1)`,
      depth > 0 ? `(${this.#query(depth - 1)} LIMIT 1)`.replace(/ LIMIT 3 LIMIT 1/, " LIMIT 1") : "1",
    ]);
  }
}
