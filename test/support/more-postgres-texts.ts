/** Statements of PostgreSQL's whose neighbours are looked at densely: what is changed but tables, odd names, and functions in SQL. */

const lines = (text: string): readonly string[] => text.trim().split("\n");

const ALTERED = lines(`
AGGREGATE s.g(int)
COLLATION s.c
CONVERSION s.c
DATABASE d
DOMAIN s.d
EVENT TRIGGER e
EXTENSION x
FOREIGN DATA WRAPPER w
FOREIGN TABLE s.f
FUNCTION s.f(int)
INDEX s.i
LANGUAGE l
LARGE OBJECT 7
MATERIALIZED VIEW s.v
OPERATOR s.+ (int, int)
OPERATOR CLASS s.o USING btree
OPERATOR FAMILY s.o USING btree
POLICY p ON s.t
PROCEDURE s.p(int)
PUBLICATION p
ROLE bob
ROUTINE s.r
RULE r ON s.t
SCHEMA s
SEQUENCE s.q
SERVER x
STATISTICS s.z
SUBSCRIPTION u
TABLE s.t
TABLESPACE b
TEXT SEARCH CONFIGURATION s.c
TEXT SEARCH DICTIONARY s.d
TRIGGER g ON s.t
TYPE s.e
USER MAPPING FOR bob SERVER x
VIEW s.v`);

const CHANGES = lines(`
RENAME TO other
OWNER TO bob
SET SCHEMA pay
RENAME COLUMN a TO b
RENAME ATTRIBUTE a TO b
RENAME VALUE 'a' TO 'b'
RENAME CONSTRAINT a TO b
ADD VALUE 'x' BEFORE 'y'
ADD CHECK (value > 1)
ADD ATTRIBUTE a int
ADD TABLE s.u
DROP CONSTRAINT c
SET (a = 1)
SET TABLESPACE b
OPTIONS (SET host 'x', ADD password 'y')
CONNECTION 'host=x password=y'
RESTART WITH 5 OWNED BY s.t.a
DEPENDS ON EXTENSION x
ATTACH PARTITION s.j
ENABLE ALWAYS
UPDATE TO '2'
USING (true) WITH CHECK (a = 1)
ALTER COLUMN a SET DEFAULT f()
SET search_path = pay
RESET ALL`);

/** Each kind of object with every change, whether the server's grammar has it or not. */
export const ALTERS: readonly string[] = ALTERED.flatMap((what) =>
  CHANGES.flatMap((change) => [`ALTER ${what} ${change}`]),
).concat(ALTERED.flatMap((what) => [`DROP ${what}`, `COMMENT ON ${what} IS 'x'`, `DROP ${what} CASCADE`]));

/** Text of a client in UTF-8, with what is no ASCII, and NUL, in every place. */
export const ODD_TEXTS: readonly string[] = lines(`
SELECT é FROM t WHERE b = 1
SELECT tÉxt, "tÉxt", "İ" FROM naïve.tàble AS ü WHERE ü.é = 'é'
SELECT U&"d\\0061t\\+000061", U&'\\0441' FROM U&"t" UESCAPE '!'
SELECT N'x', B'101', X'1F', E'\\x41\\101\\u0041', e'it\\'s' FROM t
SELECT $é$ x $é$, $a$ $b$ $a$, $$ ' $$ FROM t
SELECT 'a' 'b', 'a'
'b', E'a'
'b' FROM t WHERE c = 'x\\' OR 1=1 -- '
SELECT 1.5e10, .5, 1., 0x1F, 0b11, 0o7, 1_000, 1e, 12a, $1a, 9223372036854775808 FROM t
SELECT a::int, a :: text, a:b, :a, a := 1, @a, #a, a ## b, a <-> b, a <@ b, a !~* b FROM t
SELECT a--b
SELECT a /* x /* y */ z */ FROM t
SELECT a FROM "t" WHERE "a""b" = 'it''s' AND "" = ''
SELECT only, "only" FROM ONLY t, "only" u, only (v)
SELECT a FROM ${"n".repeat(64)} WHERE ${"é".repeat(32)} = 1
SELECT abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl FROM t`).concat(
  ["SELECT a\u0000b FROM t", "SELECT 'a\u0000b' FROM t", "SELECT a FROM t\u0000", "SELECT\u00a0a FROM\u3000t"],
  ["SELECT a\ffrom\vt", "SELECT a FROM t;\u0000DROP TABLE t", 'SELECT "a\u0000b" FROM t', "SELECT $a\u0000$x$a\u0000$"],
);

export const FUNCTION_TEXTS: readonly string[] = lines(`
CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT a FROM t; DELETE FROM u WHERE b = a; END
CREATE OR REPLACE FUNCTION f() RETURNS SETOF int BEGIN ATOMIC INSERT INTO u VALUES (1) RETURNING a; UPDATE secret SET a = 1; END
CREATE FUNCTION f(a int DEFAULT (SELECT 1)) RETURNS int RETURN (SELECT b FROM u WHERE c = a) + current_setting('x')::int
CREATE PROCEDURE p() BEGIN ATOMIC END
CREATE PROCEDURE p() BEGIN ATOMIC TRUNCATE t; CALL q(); END
SELECT a FROM t UNION SELECT current_user
SELECT a FROM t WHERE b = version() OR b = current_schema OR current_database() = 'x'
SELECT a FROM t WHERE a IN (SELECT session_user UNION ALL SELECT inet_server_addr()::text)
SELECT current_role, current_catalog, user, getpgusername(), pg_postmaster_start_time()
CREATE VIEW v AS SELECT current_user FROM pg_class UNION SELECT version()
SELECT a FROM t WHERE current_date > b AND localtime < c`);
