/** Statements of every form of PostgreSQL's, and texts a small step from them. */

import { CHANGES, PROBES } from "./postgres-differential-texts.ts";
import { ListMaker } from "./postgres-lists.ts";
import { QueryMaker } from "./postgres-queries.ts";
import { randomFrom } from "./random.ts";

const lines = (text: string): readonly string[] => text.trim().split("\n");

/** By what they are about. */
export const POSTGRES_TEXTS: Readonly<Record<string, readonly string[]>> = {
  queries: lines(`
SELECT a.x, b.*, count(*) AS n FROM s.t AS a LEFT JOIN u b ON a.i = b.i AND b.k > 3 WHERE a.x IN (1, 2) GROUP BY a.x HAVING count(*) > 1 ORDER BY n DESC LIMIT 10 OFFSET 5
SELECT DISTINCT ON (a) a, b FROM t NATURAL JOIN u CROSS JOIN v FULL JOIN w USING (a, b) AS j WHERE j.a = v.c FETCH FIRST 3 ROWS WITH TIES
WITH RECURSIVE w (a, b) AS (SELECT 1, 2 UNION ALL SELECT a + 1, b FROM w WHERE a < 9), x AS MATERIALIZED (SELECT * FROM w) SELECT w.a FROM x, w WHERE EXISTS (SELECT 1 FROM t WHERE t.a = w.a)
SELECT * FROM t, LATERAL (SELECT t.a AS b FROM u LIMIT 1) AS l, generate_series(1, t.a) WITH ORDINALITY AS g (n, o) WHERE l.b = g.n
SELECT CASE a WHEN 1 THEN 'x' ELSE b END, COALESCE(a, b, 'c'), NULLIF(a, b), GREATEST(a, 1), ARRAY[a, b], ROW(a, b), (t).c, a[1:2], a::text, CAST(b AS int) FROM t
SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t WINDOW w AS (ORDER BY a)
SELECT a FROM t WHERE a = ANY (ARRAY[1, 2]) OR a > ALL (SELECT b FROM u) OR (a, b) = (SELECT 1, 2) OR a IS DISTINCT FROM b OR a BETWEEN SYMMETRIC 1 AND 2 OR NOT (b LIKE 'x%' ESCAPE '!')
SELECT a FROM t WHERE 1 = 1 AND a = a OR 'x' = 'x' AND NOT false AND true IS NOT NULL AND b IS NULL AND c ~ '^x' AND d ILIKE '%y' AND e SIMILAR TO 'z'
TABLE t
VALUES (1, 'a'), (2, DEFAULT)
SELECT * INTO TEMP x FROM t WHERE a = 7
SELECT a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED
(SELECT a FROM t ORDER BY a) UNION (SELECT b FROM u) INTERSECT SELECT 1 EXCEPT ALL SELECT 2 ORDER BY 1 LIMIT ALL
SELECT word, t.word AS w, s.t.word, count(DISTINCT word ORDER BY word) FROM s.t AS t (word, other) GROUP BY GROUPING SETS ((word), ROLLUP (other), CUBE (a, b))
SELECT current_user, session_user, current_date, localtimestamp(3), now() AT TIME ZONE 'UTC', interval '1' day, date '2020-01-01', B'01', X'4F', E'a\\nb', $q$it's$q$, U&'\\0041'
SELECT a OPERATOR(pg_catalog.+) b, -a, @ a, a || b, a -> 'x' ->> 'y', a @> b, a COLLATE "C", xmlelement(name x, a), json_object('a': 1), extract(year FROM a), substring(a FROM 1 FOR 2), trim(both 'x' FROM a), position('a' in b), overlay(a placing b from 1) FROM t
SELECT * FROM ROWS FROM (f(1), g(2) AS (a int, b text)) AS r, XMLTABLE('/a' PASSING x COLUMNS c int PATH 'c') AS z, t TABLESAMPLE bernoulli (10) REPEATABLE (1)
SELECT pg_sleep(10), pg_read_file('/etc/passwd'), lo_import('/x'), pg_terminate_backend(1), set_config('search_path', 'pay', false), nextval('s'), pg_advisory_lock(1), query_to_xml('DELETE FROM t', true, false, ''), dblink('x', 'y')
SELECT a FROM orders WHERE tenant_id = 7 AND (a = $1 OR b = $2) LIMIT $3`),
  writes: lines(`
INSERT INTO t (a, b) VALUES (1, $1), ($2, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.a > 1 RETURNING *, a AS x
INSERT INTO s.t AS x OVERRIDING SYSTEM VALUE SELECT a, b FROM u WHERE c = 1 ON CONFLICT ON CONSTRAINT k DO NOTHING
INSERT INTO t DEFAULT VALUES RETURNING word
UPDATE ONLY t AS x SET a = 1, (b, c) = (SELECT d, e FROM u), d[1] = DEFAULT FROM v WHERE x.a = v.a AND tenant_id = 7 RETURNING x.*
UPDATE t SET a = a + 1
DELETE FROM t USING u, v WHERE t.a = u.a AND CURRENT_DATE > '2020-01-01' RETURNING a
DELETE FROM t WHERE CURRENT OF c
DELETE FROM orders WHERE tenant_id = $1 AND true
MERGE INTO t AS x USING (SELECT * FROM u) AS y ON x.a = y.a WHEN MATCHED AND y.b > 1 THEN UPDATE SET b = y.b WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (a) VALUES (y.a)
WITH gone AS (DELETE FROM t WHERE a = 1 RETURNING *), w AS (INSERT INTO u SELECT * FROM gone RETURNING a) UPDATE v SET a = 2 FROM w WHERE v.a = w.a
COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER true) WHERE a > 1
COPY (SELECT word FROM t) TO '/tmp/x' WITH CSV
COPY t FROM PROGRAM 'id'
TRUNCATE a, ONLY s.b RESTART IDENTITY CASCADE
LOCK TABLE t, u IN ACCESS EXCLUSIVE MODE NOWAIT
REFRESH MATERIALIZED VIEW CONCURRENTLY v WITH NO DATA`),
  definitions: lines(`
CREATE TABLE IF NOT EXISTS s.t (a int PRIMARY KEY DEFAULT nextval('s'), b text NOT NULL CHECK (b <> ''), c numeric(3, 2) REFERENCES u (x) ON DELETE CASCADE, CONSTRAINT k UNIQUE (a, b), EXCLUDE USING gist (c WITH &&)) PARTITION BY RANGE (a)
CREATE TEMP TABLE x (LIKE t INCLUDING ALL) INHERITS (p) ON COMMIT DROP
CREATE UNLOGGED TABLE x AS SELECT * FROM t WITH NO DATA
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (2)
ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a + 1) STORED, DROP COLUMN b CASCADE, ALTER COLUMN a TYPE bigint USING a::bigint, ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u, OWNER TO bob, ENABLE ROW LEVEL SECURITY
ALTER TABLE t RENAME COLUMN a TO b
ALTER TABLE s.t RENAME TO u
ALTER TABLE t SET SCHEMA pay
DROP TABLE IF EXISTS s.t, u CASCADE
CREATE UNIQUE INDEX CONCURRENTLY i ON s.t USING btree (lower(a) DESC NULLS LAST) INCLUDE (b) WHERE c > 1
CREATE INDEX ASYNC i ON t (a)
DROP INDEX CONCURRENTLY i
CREATE OR REPLACE VIEW v (a, b) AS SELECT a, word FROM t WITH CHECK OPTION
CREATE MATERIALIZED VIEW v AS SELECT 1
CREATE SCHEMA s AUTHORIZATION bob CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1
CREATE SEQUENCE s INCREMENT 2 OWNED BY t.a
CREATE TYPE e AS ENUM ('a', 'b')
CREATE DOMAIN d AS text CHECK (value <> '')
CREATE FUNCTION f(a int, OUT b text) RETURNS SETOF record LANGUAGE sql SECURITY DEFINER SET search_path = pay AS $$ DELETE FROM t WHERE a = $1; SELECT 1 $$
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a; DELETE FROM t; END
CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN EXECUTE ''x''; END'
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF a ON t REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION f('x')
CREATE RULE r AS ON INSERT TO t WHERE a > 1 DO INSTEAD (DELETE FROM u; SELECT 1)
CREATE POLICY p ON t FOR SELECT TO bob USING (tenant_id = 7) WITH CHECK (true)
CREATE STATISTICS st (ndistinct) ON a, b FROM t
CREATE EXTENSION IF NOT EXISTS dblink SCHEMA s
CREATE FOREIGN TABLE ft (a int) SERVER s OPTIONS (table_name 'x')
CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'x', password 'y')
CREATE AGGREGATE g (int) (SFUNC = f, STYPE = int)
CREATE OPERATOR s.+ (LEFTARG = int, FUNCTION = f)
CREATE PUBLICATION p FOR TABLE t
CREATE SUBSCRIPTION s CONNECTION 'host=x password=y' PUBLICATION p
DROP SCHEMA s CASCADE
DROP FUNCTION f(int), g
DROP OWNED BY bob
COMMENT ON COLUMN t.a IS 'x'
SECURITY LABEL ON TABLE t IS 'x'`),
  sessions: lines(`
SET search_path = 'pay', "$user", public
SET LOCAL TIME ZONE 'UTC'
SET SESSION default_transaction_read_only TO off
SET ROLE bob
SET SESSION AUTHORIZATION DEFAULT
SET standard_conforming_strings = off
SET client_encoding TO 'LATIN1'
RESET ALL
RESET search_path
DISCARD ALL
SHOW ALL
BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE
START TRANSACTION READ ONLY
SET TRANSACTION SNAPSHOT 'x'
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
SAVEPOINT a
ROLLBACK TO SAVEPOINT a
RELEASE a
COMMIT AND CHAIN
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'
PREPARE p (int, text) AS SELECT a FROM orders WHERE tenant_id = $1 AND b = $2
EXECUTE p (7, 'x')
DEALLOCATE PREPARE ALL
DECLARE c BINARY SCROLL CURSOR WITH HOLD FOR SELECT word FROM t
FETCH BACKWARD 3 FROM c
MOVE ABSOLUTE -1 IN c
CLOSE ALL
EXPLAIN (ANALYZE, BUFFERS false, FORMAT json) DELETE FROM t WHERE a = 1
EXPLAIN VERBOSE SELECT 1
ANALYZE VERBOSE t (a, b)
VACUUM (FULL, ANALYZE) t
REINDEX (VERBOSE) TABLE CONCURRENTLY t
CLUSTER t USING i
CHECKPOINT
LOAD 'x'
LISTEN c
NOTIFY c, 'x'
UNLISTEN *
DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; DELETE FROM t; END $$
CALL s.p(1, b => 'x')
ALTER SYSTEM SET work_mem = '4MB'
ALTER DATABASE d SET search_path = pay
ALTER ROLE bob IN DATABASE d SET role = 'app'
CREATE ROLE bob LOGIN SUPERUSER PASSWORD 'x' VALID UNTIL '2030-01-01' IN ROLE a, b
ALTER ROLE bob WITH PASSWORD NULL NOBYPASSRLS
ALTER USER CURRENT_USER RENAME TO x
DROP ROLE IF EXISTS bob, CURRENT_USER
GRANT SELECT (a), INSERT ON t, s.u TO bob, PUBLIC WITH GRANT OPTION
GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA s TO bob
REVOKE GRANT OPTION FOR USAGE ON SCHEMA s FROM bob CASCADE
GRANT a, b TO bob WITH ADMIN OPTION
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC
REASSIGN OWNED BY a TO b
CREATE DATABASE d TEMPLATE x
CREATE TABLESPACE s LOCATION '/x'
IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y
CREATE USER MAPPING FOR bob SERVER s OPTIONS (password 'x')`),
  "rare forms": lines(`
SELECT table_to_xml('t', true, false, ''), table_to_xml('Odd name', true, false, ''), table_to_xml('pay.secret', true, true, 'x'), schema_to_xml('s', true, false, ''), cursor_to_xml('c', 5, true, false, ''), table_to_xml(a, true, false, '') FROM t
SELECT a FROM t WHERE (SELECT b FROM u LIMIT 1) = 'x' AND (SELECT b FROM u WHERE c = 1 LIMIT 1) = 'x' AND (SELECT b FROM u) > 5 AND 1 < (SELECT 2 LIMIT 1)
SELECT a FROM t WHERE ascii(substr((SELECT b FROM u LIMIT 1), 1, 1)) > 64 OR length((SELECT current_user)::text) = 3 OR strpos(b, 'x') = 1 OR encode(get_byte((SELECT b FROM u)::bytea, 0)::text::bytea, 'hex') = '41'
SELECT a FROM t GROUP BY a HAVING left((SELECT b FROM u LIMIT 1), 1) = 'x' AND right(a, 1) = 'y'
SELECT CAST('~' || (SELECT b FROM u LIMIT 1) || '~' AS int), ('x' || version())::numeric, (current_user || 'x')::int4, (SELECT 'x' || b FROM u)::bool, (SELECT b FROM u)::int, ('a' || b)::date, ('a' || (SELECT b FROM u)::text)::xml, (b || (c || current_database()))::float8 FROM t
SELECT a FROM t ORDER BY random(), (SELECT b FROM u LIMIT 1), CASE WHEN (SELECT 1) = 1 THEN a ELSE b END, CASE WHEN true THEN 1 ELSE 2 END, 3, 'x' DESC USING < NULLS FIRST
SELECT a FROM t ORDER BY a USING OPERATOR(pay.<), b USING >
SELECT a FROM t TABLESAMPLE pay.mine (10), u TABLESAMPLE system (1)
SELECT a::mine, b::pay.mine, c::pg_catalog.int4, d::numeric(3, 2), e::mine[], '1'::int4, DATE '2020-01-01', mine 'x', ROW(1)::t FROM t
SELECT a FROM t WHERE NOT (a <> a) AND NOT NOT (b = 1) OR NOT NULL
SELECT a FROM t WHERE NOT (a IS NULL AND a IS NOT NULL) OR NOT EXISTS (SELECT 1) OR NOT false
SELECT a FROM t WHERE a < 5 OR a >= 5
DELETE FROM t WHERE a > b OR a <= b OR NOT c
DELETE FROM t WHERE a OR NOT a
DELETE FROM t WHERE EXISTS (SELECT 1) AND a IN (SELECT a) OR a = ANY (SELECT 1)
DELETE FROM t WHERE a LIKE '%' OR a ~ '' OR a ~ '.*' OR a ILIKE '%%'
DELETE FROM t WHERE a BETWEEN a AND a OR a IN (1, a) OR a NOT IN (a)
DELETE FROM t WHERE a IS NOT DISTINCT FROM a AND coalesce(a, 1) = coalesce(a, 1)
UPDATE t SET a = 1 WHERE (SELECT count(*) FROM u) > 0
UPDATE t SET a = 1 WHERE a = (SELECT max(a) FROM u WHERE u.b = t.b)
CREATE FUNCTION n(int) RETURNS int LANGUAGE c AS '$libdir/x', 'y'
CREATE FUNCTION n(int) RETURNS int LANGUAGE internal AS 'int4pl'
CREATE FUNCTION n(int) RETURNS int LANGUAGE plpython3u AS 'return 1'
CREATE FUNCTION n(int) RETURNS int LANGUAGE sql SUPPORT s.helper SET ROLE bob RETURN a + 1
ALTER FUNCTION s.n(int) RENAME TO m
ALTER FUNCTION s.n(int) SECURITY DEFINER SET search_path = pay SUPPORT helper
ALTER PROCEDURE p() RESET ALL
ALTER ROUTINE p OWNER TO bob
CREATE TABLE x AS EXECUTE p (1, 2)
CREATE TEMP TABLE IF NOT EXISTS x ON COMMIT DROP AS TABLE secret
REINDEX INDEX s.i
REINDEX SCHEMA s
REINDEX DATABASE d
CLUSTER
VACUUM
DO $$ DECLARE a int := (SELECT 1); b text = 'x'; BEGIN a := a + 1; b := (SELECT word FROM t); IF a > 1 THEN RETURN; END IF; FOR a IN SELECT 1 LOOP NULL; END LOOP; END $$
DO $$ BEGIN EXECUTE 'DROP TABLE ' || 't'; END $$
DO $$ BEGIN FOR i IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; PERFORM f(1); RAISE NOTICE '%', (SELECT 1); RETURN QUERY SELECT word FROM t; END $$
DO LANGUAGE plperl $$ system('x') $$
DO 'BEGIN NULL' 'END'
CREATE FUNCTION n() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 1; INSERT INTO u VALUES (NEW.a); RETURN NEW; END $$
(SELECT 1 UNION SELECT 2) UNION ALL (SELECT 3 INTERSECT (SELECT 4 EXCEPT SELECT 5)) ORDER BY 1
WITH a AS (SELECT 1) (SELECT * FROM a LIMIT 1) UNION (WITH b AS (SELECT * FROM t) SELECT * FROM b)
VALUES ((SELECT word FROM t), f(1)) ORDER BY 1 LIMIT 1
COPY t (a) TO PROGRAM 'x' WITH (FORMAT binary)
COPY t FROM '/x' WHERE f(a)
ALTER TABLE ONLY s.t ALTER a SET DEFAULT f(), ALTER b DROP NOT NULL, ATTACH PARTITION x FOR VALUES IN (1), NO FORCE ROW LEVEL SECURITY
CREATE TABLE a (b int); CREATE TABLE c (d int)
CREATE TABLE a (b int); INSERT INTO a VALUES (1)
BEGIN; CREATE TABLE a (b int); COMMIT; INSERT INTO a VALUES (1); COMMIT
INSERT INTO a VALUES (1); SELECT 1; DROP TABLE b
CREATE INDEX i ON t (a); SELECT 1`),
  "changes and probes": [
    ...CHANGES,
    ...PROBES.map((probe) => Object.values(probe).find((value) => typeof value === "string") ?? ""),
  ],
  lists: made((random) => new ListMaker(random).list()),
  "made queries": made((random) => new QueryMaker(random).statement()),
};

function made(make: (random: () => number) => string): readonly string[] {
  return Array.from({ length: 60 }, (_, seed) => make(randomFrom(seed)));
}

const PIECE = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$\d+|\$(\w*)\$.*?\$\1\$|\w+|\s+|[<>=|&~@#!+*/%^-]+|./gsu;

const VALUES = [
  ..."NULL $1 $9 -1 1.5 007 true DEFAULT b t.c pay.t.c f() sum(1) 1=1 a=a * tenant_id word current_user ARRAY[1]".split(
    " ",
  ),
  ...[
    "'a''b'",
    '"q"',
    "E'x\\'y'",
    "$$z$$",
    "(SELECT 1)",
    "(SELECT word FROM secret)",
    "'x'::text",
    "a OR true",
    "NOT a",
  ],
];

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const AROUND: readonly ((text: string) => string)[] = [
  (text) => `EXPLAIN ${text}`,
  (text) => `EXPLAIN ANALYZE ${text}`,
  (text) => `WITH w AS (${text}) SELECT * FROM w`,
  (text) => `PREPARE p AS ${text}`,
  (text) => `DECLARE c CURSOR FOR ${text}`,
  (text) => `COPY (${text}) TO STDOUT`,
  (text) => `CREATE VIEW v AS ${text}`,
  (text) => `SELECT * FROM (${text}) AS x`,
  (text) => `INSERT INTO u ${text}`,
  (text) => `DO ${quoted(`BEGIN ${text}; END`)}`,
  (text) => `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ${quoted(text)}`,
  (text) => `SET search_path = pay; ${text}`,
  (text) => `${text}; ROLLBACK; ${text}`,
  (text) => `/* ${text} */ SELECT 1`,
  (text) => `SET standard_conforming_strings = off; ${text}`,
];

/** Texts that are a small step from this one; of all steps every `each`th is taken. */
export function* postgresNeighbours(text: string, each: number): Generator<string> {
  const pieces: string[] = text.match(PIECE) ?? [];
  const words = pieces.flatMap((piece, at) => (/^\s+$/.test(piece) ? [] : [at]));
  const withPiece = (at: number, piece: string): string => pieces.with(at, piece).join("");
  const steps: (() => string)[] = [];
  for (const [index, at] of words.entries()) {
    const piece = pieces[at] ?? "";
    const next = words[index + 1];
    steps.push(() => withPiece(at, ""));
    if (next !== undefined)
      steps.push(() =>
        pieces
          .with(at, pieces[next] ?? "")
          .with(next, piece)
          .join(""),
      );
    steps.push(() => withPiece(at, VALUES[(at * 7 + text.length) % VALUES.length] ?? ""));
    if (/^[a-z_]\w*$/.test(piece)) {
      const names = [
        `pay.${piece}`,
        `"${piece}"`,
        piece.toUpperCase(),
        `${piece} AS other`,
        `${piece}(1)`,
        "secret",
        "orders",
      ];
      steps.push(() => withPiece(at, names[(at + text.length) % names.length] ?? ""));
    }
  }
  for (const around of AROUND) steps.push(() => around(text));
  yield text;
  for (let at = text.length % each; at < steps.length; at += each) yield steps[at]?.() ?? "";
}
