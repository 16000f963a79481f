import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { readyToParse } from "../../support/postgres-context.ts";
import { decideText } from "../policy-fixture.ts";

before(readyToParse);

/** What drivers, mappers and tools send by themselves, and statements as applications have them: one per line. */
const DRIVERS = `
SELECT 1
SELECT 1 AS ping
SELECT version()
select current_schema()
SELECT current_database()
SHOW server_version
SHOW search_path
show transaction isolation level
SHOW standard_conforming_strings
SET client_encoding TO 'UTF8'
SET application_name = 'psql'
SET extra_float_digits = 3
SET TIME ZONE 'UTC'
SET TimeZone = 'Europe/Berlin'
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
SET datestyle TO 'ISO, MDY'
SET intervalstyle = iso_8601
SET statement_timeout = 0
SET lock_timeout = '5s'
SET idle_in_transaction_session_timeout = 0
SET standard_conforming_strings = on
SET client_min_messages TO warning
SET search_path TO public
SET search_path TO "$user", public
SET LOCAL statement_timeout = 5000
RESET statement_timeout
BEGIN
BEGIN READ WRITE
BEGIN ISOLATION LEVEL REPEATABLE READ
START TRANSACTION
START TRANSACTION READ ONLY
COMMIT
ROLLBACK
SAVEPOINT sp1
SAVEPOINT "active_record_1"
RELEASE SAVEPOINT sp1
ROLLBACK TO SAVEPOINT sp1
DEALLOCATE ALL
DEALLOCATE "a1"
DISCARD ALL
RESET ALL
CLOSE ALL
UNLISTEN *
LISTEN jobs
SELECT pg_catalog.set_config('search_path', '', false)
SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'
SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_namespace pn ON p.oid = pn.pnpubid JOIN pg_catalog.pg_class pc ON pc.relnamespace = pn.pnnspid WHERE pc.oid ='16424' and pg_catalog.pg_relation_is_publishable('16424') UNION SELECT pubname, pg_get_expr(pr.prqual, c.oid), NULL FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel pr ON p.oid = pr.prpubid JOIN pg_catalog.pg_class c ON c.oid = pr.prrelid WHERE pr.prrelid = '16424' UNION SELECT pubname, NULL, NULL FROM pg_catalog.pg_publication p WHERE p.puballtables AND pg_catalog.pg_relation_is_publishable('16424') ORDER BY 1
SELECT set_config('app.user_id', $1, true)
SELECT set_config('request.jwt.claims', '{"sub":"1"}', true)
select current_setting('server_version_num')::int / 100 as version
SELECT oid, typname FROM pg_type WHERE typname IN ('hstore', 'citext')
SELECT t.oid, t.typname FROM pg_type as t WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool', 'timestamp', 'timestamptz')
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typelem IN (16, 17, 20)
select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem where a.typcategory = 'A' group by b.oid, b.typarray order by b.oid
SELECT typinput='array_in'::regproc as is_array, typtype, typname, pg_type.oid FROM pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join (select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s(r)) as r using (nspname)) as sp ON sp.nspoid = typnamespace WHERE typname = $1 ORDER BY sp.r, pg_type.oid DESC LIMIT 1
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'users' AND c.relkind IN ('r','v','m','p','f')
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'public' AND table_name = '_prisma_migrations')
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'
SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid)
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(users)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16411' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
SELECT d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner", pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding" FROM pg_catalog.pg_database d ORDER BY 1
SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner" FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
SELECT pg_try_advisory_lock(72707369)
SELECT pg_advisory_unlock(72707369)
SELECT pg_advisory_xact_lock($1)
`;

const APPLICATIONS = String.raw`
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3
SELECT "public"."Post"."id" FROM "public"."Post" WHERE "public"."Post"."authorId" IN ($1,$2,$3) OFFSET $4
INSERT INTO "public"."User" ("email","name","role") VALUES ($1,$2,CAST($3::text AS "public"."Role")) RETURNING "public"."User"."id"
UPDATE "public"."User" SET "name" = $1 WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id"
DELETE FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1)
SELECT COUNT(*) FROM (SELECT "public"."User"."id" FROM "public"."User" WHERE 1=1 OFFSET $1) AS "sub"
SELECT "users".* FROM "users" WHERE "users"."email" = $1 LIMIT $2
SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 AND "users"."id" != $2 LIMIT $3
INSERT INTO "users" ("email", "created_at", "updated_at") VALUES ($1, $2, $3) RETURNING "id"
UPDATE "users" SET "sign_in_count" = COALESCE("sign_in_count", 0) + 1 WHERE "users"."id" = $1
SELECT COUNT(*) FROM "orders" INNER JOIN "users" ON "users"."id" = "orders"."user_id" WHERE "users"."active" = TRUE
SELECT DISTINCT ON ("orders"."user_id") "orders"."id" FROM "orders" WHERE "orders"."status" = 'open' ORDER BY "orders"."user_id", "orders"."created_at" DESC
SELECT "auth_user"."id", "auth_user"."username" FROM "auth_user" WHERE "auth_user"."username" = 'alice' LIMIT 21
SELECT (1) AS "a" FROM "app_book" WHERE ("app_book"."isbn" = '978-3' AND NOT ("app_book"."id" = 7)) LIMIT 1
SELECT "django_session"."session_key" FROM "django_session" WHERE ("django_session"."expire_date" > '2026-11-30T12:00:00+00:00'::timestamptz AND "django_session"."session_key" = 'k') LIMIT 21
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('app', '0001_initial', now()) RETURNING "django_migrations"."id"
SELECT "app_book"."id", COUNT("app_review"."id") AS "n" FROM "app_book" LEFT OUTER JOIN "app_review" ON ("app_book"."id" = "app_review"."book_id") GROUP BY "app_book"."id" HAVING COUNT("app_review"."id") > 3
UPDATE "app_book" SET "title" = CASE WHEN ("app_book"."id" = 1) THEN 'a' WHEN ("app_book"."id" = 2) THEN 'b' ELSE NULL END WHERE "app_book"."id" IN (1, 2)
SELECT book.id AS book_id, book.title AS book_title FROM book WHERE book.id = %(id)s
SELECT anon_1.book_id FROM (SELECT book.id AS book_id FROM book ORDER BY book.id LIMIT 10) AS anon_1 LEFT OUTER JOIN author AS author_1 ON author_1.book_id = anon_1.book_id
SELECT o.id, o.total, json_agg(json_build_object('sku', i.sku, 'qty', i.qty)) AS items FROM orders o JOIN order_item i ON i.order_id = o.id WHERE o.id = $1 GROUP BY o.id, o.total
SELECT id FROM jobs WHERE state = 'ready' AND run_at <= now() ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
WITH next AS (SELECT id FROM jobs WHERE state = 'ready' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE jobs SET state = 'busy' FROM next WHERE jobs.id = next.id RETURNING jobs.id
INSERT INTO counter (key, n) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = counter.n + 1 RETURNING n
INSERT INTO tag (name) VALUES ($1) ON CONFLICT DO NOTHING
INSERT INTO event (at, what) SELECT now(), unnest($1::text[])
WITH RECURSIVE tree AS (SELECT id, parent_id, 1 AS depth FROM category WHERE id = $1 UNION ALL SELECT c.id, c.parent_id, t.depth + 1 FROM category c JOIN tree t ON c.parent_id = t.id) SELECT * FROM tree LIMIT 100
SELECT date_trunc('day', created_at) AS day, count(*) FROM orders WHERE created_at >= now() - interval '7 days' GROUP BY 1 ORDER BY 1
SELECT id, title, ts_rank(search, q) FROM book, websearch_to_tsquery('english', $1) q WHERE search @@ q ORDER BY 3 DESC LIMIT 20
SELECT data->>'name' AS name FROM profile WHERE data @> '{"active": true}' AND id = $1
SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20 OFFSET 40
SELECT id FROM orders WHERE created_at BETWEEN $1 AND $2 AND status = ANY($3)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders WHERE status = 'paid'
SELECT id, total, sum(total) OVER (PARTITION BY customer_id ORDER BY created_at) FROM orders WHERE customer_id = $1
SELECT coalesce(max(position), 0) + 1 FROM item WHERE list_id = $1
SELECT id FROM member WHERE lower(email) = lower($1)
SELECT to_char(created_at, 'YYYY-MM') AS month, (count(*) FILTER (WHERE status = 'paid'))::int AS paid FROM orders WHERE shop_id = $1 GROUP BY 1
SELECT (SELECT count(*) FROM review r WHERE r.book_id = b.id)::int AS reviews, b.id FROM book b WHERE b.id = $1
SELECT nextval('order_number_seq')
SELECT currval(pg_get_serial_sequence('orders', 'id'))
SELECT lastval()
UPDATE session SET seen_at = now() WHERE token = $1
DELETE FROM session WHERE expires_at < now() - interval '30 days'
DELETE FROM cart_item USING cart WHERE cart_item.cart_id = cart.id AND cart.owner_id = $1
SELECT * FROM generate_series($1::date, $2::date, '1 day') AS day
SELECT id FROM place WHERE point(lon, lat) <@ circle(point($1, $2), $3) LIMIT 10
SELECT array_agg(DISTINCT tag ORDER BY tag) FROM book_tag WHERE book_id = $1
SELECT a.id FROM account a WHERE EXISTS (SELECT 1 FROM grant_row g WHERE g.account_id = a.id AND g.role = 'owner') AND a.id = $1
SELECT CASE WHEN total > 100 THEN 'big' ELSE 'small' END AS size, count(*) FROM orders WHERE shop_id = $1 GROUP BY 1
SELECT extract(epoch FROM now() - created_at)::bigint FROM orders WHERE id = $1
SELECT id, name FROM product WHERE name ILIKE $1 || '%' ORDER BY name LIMIT 10
SELECT substring(code FROM 1 FOR 3), trim(both ' ' FROM name), position('x' IN name), overlay(name placing 'a' from 1) FROM product WHERE id = $1
SELECT id FROM doc WHERE body IS NOT NULL AND (archived IS FALSE OR archived IS NULL) AND id > $1 ORDER BY id LIMIT 500
SELECT gen_random_uuid()
SELECT pg_size_pretty(pg_total_relation_size('orders'))
EXPLAIN SELECT id FROM orders WHERE id = 1
DECLARE c CURSOR FOR SELECT id FROM orders WHERE shop_id = 1
FETCH FORWARD 100 FROM c
CLOSE c
COPY (SELECT id FROM orders WHERE shop_id = 1) TO STDOUT WITH (FORMAT csv)
COPY orders (id, total) FROM STDIN
SELECT E'it\'s', 'it''s', $$it's$$, U&'\0061' FROM product WHERE id = $1
SELECT -- the id
 id FROM product WHERE id = $1
/* traceparent='00-1-2-01' */ SELECT id FROM product WHERE id = $1
SELECT id FROM product WHERE id = $1 /* app=shop */
REFRESH MATERIALIZED VIEW CONCURRENTLY sales_by_day
SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()
`;

const KEY_TABLES = [
  "user",
  "order",
  "invoice",
  "product",
  "cart",
  "session",
  "review",
  "address",
  "payment",
  "shipment",
];

/** The same by table, as mappers write them. */
const GENERATED = KEY_TABLES.flatMap((name) => [
  `SELECT "t0"."id", "t0"."created_at" FROM "${name}s" AS "t0" WHERE "t0"."id" = $1 LIMIT 1`,
  `SELECT "t0".* FROM "${name}s" "t0" INNER JOIN "accounts" "t1" ON "t1"."id" = "t0"."account_id" WHERE "t1"."id" = $1 AND "t0"."deleted_at" IS NULL ORDER BY "t0"."id" ASC LIMIT 25 OFFSET 50`,
  `INSERT INTO "${name}s" ("account_id", "body", "created_at") VALUES ($1, $2, DEFAULT), ($3, $4, DEFAULT) RETURNING "id"`,
  `INSERT INTO "${name}s" ("id", "body") VALUES ($1, $2) ON CONFLICT ("id") DO UPDATE SET "body" = EXCLUDED."body" WHERE "${name}s"."body" IS DISTINCT FROM EXCLUDED."body"`,
  `UPDATE "${name}s" AS "t" SET "body" = "v"."body" FROM (VALUES ($1::int, $2::text)) AS "v" ("id", "body") WHERE "t"."id" = "v"."id"`,
  `UPDATE "${name}s" SET "version" = "version" + 1, "body" = $1 WHERE "id" = $2 AND "version" = $3`,
  `DELETE FROM "${name}s" WHERE "id" = ANY($1::int[])`,
  `SELECT count(*)::int AS "count" FROM "${name}s" WHERE "account_id" = $1`,
  `SELECT "t"."id", (SELECT coalesce(json_agg(row_to_json("i")), '[]') FROM (SELECT "id", "body" FROM "${name}_lines" WHERE "${name}_id" = "t"."id") AS "i") AS "lines" FROM "${name}s" AS "t" WHERE "t"."id" = $1`,
  `SELECT max("updated_at") FROM "${name}s" WHERE "account_id" IN (SELECT "id" FROM "accounts" WHERE "plan" = 'pro')`,
  `SELECT "id" FROM "${name}s" WHERE ("created_at", "id") < ($1, $2) ORDER BY "created_at" DESC, "id" DESC LIMIT 50`,
  `SELECT DISTINCT "account_id" FROM "${name}s" WHERE "body" ~* $1 AND "id" NOT IN (SELECT "${name}_id" FROM "${name}_lines" WHERE "void")`,
  `SELECT "id" FROM "${name}s" WHERE "id" = $1 UNION SELECT "id" FROM "${name}s" WHERE "parent_id" = $1`,
  `SELECT "id", rank() OVER (PARTITION BY "account_id" ORDER BY "total" DESC) FROM "${name}s" WHERE "account_id" = $1`,
  `SELECT EXISTS (SELECT 1 FROM "${name}s" WHERE "id" = $1)`,
  `SELECT "id" FROM "${name}s" WHERE "id" = 42 FOR NO KEY UPDATE`,
  `SELECT "data" #>> '{a,b}', "data" ? 'key', "tags" && ARRAY['x'] FROM "${name}s" WHERE "id" = $1`,
]);

const lines = (text: string): string[] => text.trim().split(/\n(?! )/);
const ALL = [...lines(DRIVERS), ...lines(APPLICATIONS), ...GENERATED].filter((sql) => !sql.includes("%("));

describe("what PostgreSQL's clients send every day", () => {
  test(`raises no warning: ${ALL.length} statements`, () => {
    assert.ok(ALL.length >= 280, String(ALL.length));
    const loud: string[] = [];
    for (const sql of ALL) {
      const { action, rules, understood } = decideText(sql, { engine: "postgresql" });
      if (action !== "allow" || !understood)
        loud.push(`${action} ${rules.map(({ id, points }) => `${id} ${points}`).join()}: ${sql}`);
    }
    assert.deepEqual(loud, []);
  });

  test("shows no sign of an injection", () => {
    const signs: string[] = [];
    for (const sql of ALL) {
      const { rules } = decideText(sql, { engine: "postgresql" });
      const found = rules.filter(
        ({ category, points }) => (category === "injection" || category === "obfuscation") && points > 10,
      );
      if (found.length > 0) signs.push(`${found.map(({ id, reason }) => `${id} ${reason}`).join()}: ${sql}`);
    }
    assert.deepEqual(signs, []);
  });
});
