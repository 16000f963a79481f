/** What the lists of postgres-differential.ts are made of: changes of a session's state, and what they make of a text. */

/**
 * Paragraphs, each a Query. `free` looks like `guarded`, and anybody may have what is in it. Its functions change the session
 * alone: what a function reads stands in no text.
 */
export const SETUP = `
SET client_min_messages = warning; DROP SCHEMA IF EXISTS free, guarded, canary, evil CASCADE;

DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY ARRAY['app', 'reader', 'guarded', 'free'] LOOP
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN EXECUTE 'CREATE ROLE ' || name || ' LOGIN PASSWORD ''x'''; END IF;
  END LOOP; END $$; GRANT guarded, free TO app, reader;

CREATE SCHEMA free; CREATE SCHEMA guarded; CREATE SCHEMA canary; CREATE SCHEMA evil;

CREATE TABLE free.secret (data text); CREATE TABLE free.member (login text, password text);
CREATE TABLE free.orders (tenant_id int, total int, note text); CREATE TABLE free.c (n int);
CREATE TABLE free.pub (id int, name text); CREATE SEQUENCE free.numbers;
INSERT INTO free.secret VALUES ('free'); INSERT INTO free.member VALUES ('ann', 'free'); INSERT INTO free.pub VALUES (1, 'public');
INSERT INTO free.orders VALUES (7, 1, 'free'), (8, 1, 'free'); INSERT INTO free.c VALUES (1);

CREATE TABLE guarded.secret (data text); CREATE TABLE guarded.member (login text, password text);
CREATE TABLE guarded.orders (tenant_id int, total int, note text); CREATE TABLE canary.c (n int);
INSERT INTO guarded.secret VALUES ('MARK-secret'); INSERT INTO guarded.member VALUES ('ann', 'MARK-password');
INSERT INTO guarded.orders VALUES (7, 1, 'own'), (8, 1, 'MARK-tenant'), (0, 0, 'MARK-tenant'); INSERT INTO canary.c VALUES (1), (2);

CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS
  'BEGIN UPDATE canary.c SET n = 9; RETURN (SELECT data FROM guarded.secret); END';
CREATE FUNCTION evil.plus(int, int) RETURNS text LANGUAGE plpgsql AS
  'BEGIN UPDATE canary.c SET n = 9; RETURN (SELECT data FROM guarded.secret); END';
CREATE OPERATOR evil.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.plus);

CREATE FUNCTION free.path() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'guarded', false) $$;
CREATE FUNCTION free.hide() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'evil, pg_catalog', false) $$;
CREATE FUNCTION free.become() RETURNS text LANGUAGE sql AS $$ SELECT set_config('role', 'guarded', false) $$;
CREATE FUNCTION free.strings() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$;
CREATE FUNCTION free.scoped() RETURNS int LANGUAGE sql SET search_path = guarded AS $$ SELECT 1 $$;
CREATE PROCEDURE free.path_too() LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('search_path', 'guarded', false); COMMIT; END $$;

GRANT ALL ON SCHEMA free, guarded, canary, evil TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA free, guarded, canary, evil TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA free TO PUBLIC;
ALTER ROLE app RESET ALL; ALTER ROLE reader RESET ALL; ALTER ROLE app SET search_path = free; ALTER ROLE reader SET search_path = free;
`.trim();

/** What sessions may begin with. */
export const STARTS: readonly Readonly<Record<string, string>>[] = [
  { search_path: "guarded" },
  { options: "-c search_path=guarded" },
  { options: "-csearch_path=guarded,free" },
  { options: "--search-path=guarded" },
  { search_path: "evil, pg_catalog, free" },
  { search_path: '"$user"', options: "-c role=guarded" },
  { role: "guarded" },
  { session_authorization: "guarded" },
  { options: "-c standard_conforming_strings=off" },
  { options: "-c default_transaction_read_only=off" },
  { client_encoding: "SJIS" },
  { client_encoding: "LATIN1" },
  { search_path: "" },
  { DateStyle: "German", application_name: "search_path=guarded" },
];

export const CHANGES: readonly string[] = [
  "SET search_path = guarded",
  "SET search_path TO guarded, free",
  "SET search_path = free, guarded",
  "SET search_path = free",
  "SET search_path = 'guarded'",
  `SET search_path = "guarded"`,
  `SET search_path = U&"\\0067uarded"`,
  "SET SESSION search_path = guarded",
  "SET LOCAL search_path = guarded",
  "BEGIN; SET LOCAL search_path = guarded",
  "BEGIN; SET search_path = guarded; ROLLBACK",
  "BEGIN; SET search_path = free; SAVEPOINT s; SET search_path = guarded; RELEASE s",
  "SET search_path = guarded; BEGIN; SET LOCAL search_path = free; COMMIT",
  "SET search_path = guarded; BEGIN; SET search_path = free; ROLLBACK",
  "BEGIN; SET search_path = guarded; SAVEPOINT s; SET search_path = free; ROLLBACK TO s",
  "SET SCHEMA 'guarded'",
  'SET search_path = "$user"',
  'SET search_path = "$user", free',
  "SET search_path = evil, pg_catalog",
  "SET search_path = evil, free",
  "SET search_path = DEFAULT",
  "SET search_path = ''",
  "SET search_path = pg_temp, guarded",
  "RESET search_path",
  "RESET ALL",
  "DISCARD ALL",
  "DISCARD PLANS",
  "DISCARD TEMP",
  "SELECT set_config('search_path', 'guarded', false)",
  "SELECT set_config('search_path', 'guarded', true)",
  "SELECT pg_catalog.set_config('search_path', $$guarded$$, 'f')",
  "SELECT set_config(name, 'guarded', false) FROM pg_settings WHERE name = 'search_path'",
  "SELECT set_config('Search_Path', 'guarded', false)",
  "UPDATE pg_settings SET setting = 'guarded' WHERE name = 'search_path'",
  "SELECT 1 WHERE set_config('search_path', 'guarded', false) IS NULL",
  "WITH w AS (SELECT set_config('search_path', 'guarded', false)) SELECT * FROM w",
  "VALUES (set_config('search_path', 'guarded', false))",
  "EXPLAIN ANALYZE SELECT set_config('search_path', 'guarded', false)",
  "COPY (SELECT set_config('search_path', 'guarded', false)) TO STDOUT",
  "DO $$ BEGIN PERFORM set_config('search_path', 'guarded', false); END $$",
  "DO $$ BEGIN SET search_path = guarded; END $$",
  "DO $$ BEGIN EXECUTE 'SET search_path = ' || 'guarded'; END $$",
  "DO $$ BEGIN EXECUTE 'PREPARE n AS SELECT data FROM guarded.secret'; END $$",
  "SELECT free.path()",
  "SELECT free.hide()",
  "SELECT free.become()",
  "SELECT free.strings()",
  "SELECT free.scoped()",
  "CALL free.path_too()",
  "SET ROLE guarded",
  'SET search_path = "$user"; SET ROLE guarded',
  "SET SESSION AUTHORIZATION guarded",
  "RESET ROLE",
  "SET ROLE NONE",
  "RESET SESSION AUTHORIZATION",
  "SELECT set_config('role', 'guarded', false)",
  "SELECT set_config('session_authorization', 'guarded', false)",
  "SET standard_conforming_strings = off",
  "SET standard_conforming_strings = on",
  "SELECT set_config('standard_conforming_strings', 'off', false)",
  "SET backslash_quote = on",
  "SET client_encoding = 'SJIS'",
  "SET client_encoding = 'LATIN1'",
  "SET NAMES 'GBK'",
  "RESET client_encoding",
  "SET transaction_read_only = off",
  "SET default_transaction_read_only = off",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
  "BEGIN READ WRITE",
  "BEGIN; SET TRANSACTION READ WRITE",
  "START TRANSACTION READ ONLY",
  "SELECT set_config('transaction_read_only', 'off', false)",
  "ALTER ROLE app SET search_path = guarded",
  "ALTER ROLE CURRENT_USER IN DATABASE postgres SET search_path = guarded",
  "ALTER TABLE guarded.secret RENAME TO pub",
  "ALTER TABLE guarded.secret SET SCHEMA free",
  "CREATE TEMP TABLE pub (id int, name text)",
  "CREATE TEMP VIEW secret AS SELECT 'x'::text AS data",
  "CREATE TEMP VIEW orders AS SELECT 7 AS tenant_id, 1 AS total, note FROM guarded.orders",
  "CREATE TABLE free.made AS SELECT note AS data FROM guarded.orders",
  "CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT data FROM guarded.secret'",
  "CREATE SCHEMA made CREATE VIEW v AS SELECT data FROM guarded.secret",
  "PREPARE n AS SELECT 1",
  "PREPARE m AS DELETE FROM canary.c",
  "DEALLOCATE n",
  "DEALLOCATE ALL",
  "CLOSE ALL",
  "BEGIN",
  "COMMIT",
  "ROLLBACK",
  "ROLLBACK AND CHAIN",
  "SAVEPOINT s",
  "ROLLBACK TO s",
  "SELECT 1/0",
  "SELEC 1",
  "LISTEN x",
  "SET application_name = 'search_path=guarded'",
];

export interface Probe {
  readonly sql: string;
  /** Of its parameters; the text then has them in its own place too. */
  readonly values?: readonly string[];
  /** The same without parameters. */
  readonly literal?: string;
}

export const PROBES: readonly Probe[] = [
  { sql: "SELECT data FROM secret" },
  { sql: "SELECT data FROM guarded.secret" },
  { sql: 'SELECT s.* FROM "secret" s' },
  { sql: "TABLE secret" },
  { sql: "SELECT data::int FROM secret" },
  { sql: "SELECT (SELECT data FROM secret) FROM pub" },
  { sql: "SELECT secret FROM secret" },
  { sql: "WITH pub AS (SELECT data FROM secret) SELECT * FROM pub" },
  { sql: "WITH secret AS (SELECT 1 AS data) SELECT data FROM secret" },
  { sql: "SELECT password FROM member" },
  { sql: "SELECT m FROM member m" },
  { sql: "SELECT login FROM member ORDER BY password" },
  { sql: "SELECT * FROM guarded.member" },
  { sql: "SELECT note FROM orders" },
  { sql: "SELECT note FROM orders WHERE tenant_id = 7" },
  {
    sql: "SELECT note FROM orders WHERE tenant_id = $1",
    values: ["8"],
    literal: "SELECT note FROM orders WHERE tenant_id = 8",
  },
  {
    sql: "SELECT note FROM guarded.orders WHERE tenant_id = $1",
    values: ["8"],
    literal: "SELECT note FROM guarded.orders WHERE tenant_id = 8",
  },
  {
    sql: "SELECT note FROM guarded.orders WHERE tenant_id = $1",
    values: ["7"],
    literal: "SELECT note FROM guarded.orders WHERE tenant_id = 7",
  },
  { sql: "SELECT note FROM guarded.orders WHERE tenant_id = 7 OR tenant_id = 0" },
  { sql: "SELECT name FROM pub" },
  { sql: "SELECT lower('X')" },
  { sql: "SELECT 1 + 1" },
  { sql: "SELECT 'a\\', (SELECT data FROM guarded.secret) --'" },
  { sql: "SELECT 'a\\'' || (SELECT data FROM guarded.secret) || ''" },
  { sql: "SELECT '\\', ' || (SELECT data FROM secret) || '" },
  { sql: "UPDATE canary.c SET n = 9" },
  { sql: "UPDATE c SET n = 9" },
  { sql: "DELETE FROM canary.c" },
  { sql: "INSERT INTO canary.c VALUES (9)" },
  { sql: "COPY canary.c FROM STDIN" },
  { sql: "COPY guarded.secret TO STDOUT" },
  { sql: "COPY secret TO STDOUT" },
  { sql: "UPDATE orders SET note = 'x' WHERE tenant_id = 8" },
  { sql: "DELETE FROM orders WHERE tenant_id = $1", values: ["8"], literal: "DELETE FROM orders WHERE tenant_id = 8" },
  { sql: "INSERT INTO orders VALUES (8, 1, 'x')" },
  { sql: "TRUNCATE secret" },
  { sql: "WITH w AS (DELETE FROM c RETURNING n) SELECT * FROM w" },
  { sql: "SELECT nextval('numbers')" },
  { sql: "INSERT INTO pub VALUES (2, 'x')" },
  { sql: "MERGE INTO c USING pub ON c.n = pub.id WHEN MATCHED THEN DELETE" },
  { sql: "SELECT data INTO TEMP kept FROM secret" },
  { sql: "FETCH ALL FROM c" },
  { sql: "EXECUTE n" },
  { sql: "EXECUTE m" },
  { sql: "SELECT * FROM made" },
];
