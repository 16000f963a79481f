/**
 * A policy learned from what a running querycop recorded in front of a real PostgreSQL: the same application passes, nothing else
 * does, and what is replayed is decided as it was.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import { decodeErrorFields } from "../../src/postgres/backend-message.ts";
import { plaintextPostgres } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient } from "../support/postgres-client.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { bind, describing, execute, parse, query, SYNC } from "../support/postgres-stage.ts";
import { type Querycop, runQuerycop, type Settings } from "../support/querycop.ts";

const SETUP = `
CREATE TABLE learned (id int PRIMARY KEY, name text, data jsonb DEFAULT '{}', made date DEFAULT '2026-01-01');
CREATE TABLE "order" (id int PRIMARY KEY, "user" text);
CREATE TABLE member (id int PRIMARY KEY, password text);
INSERT INTO learned (id, name) VALUES (1, 'a'), (2, 'b');
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC;
`;

/** What an application, its migrations and its tools send, each in a message of its own. */
const APPLICATION = String.raw`
SELECT 1
SELECT id, name FROM learned WHERE id = 1 AND name <> 'x' ORDER BY 1 DESC LIMIT 5 OFFSET 0
SELECT id FROM learned WHERE id IN (1, 2, 3) OR name LIKE 'a%' ESCAPE '!'
SELECT name, count(*), max(id) FROM learned GROUP BY name HAVING count(*) > 1
SELECT l.id FROM learned AS l LEFT JOIN learned AS r ON l.id = r.id AND r.name IN ('a', 'b')
SELECT "order"."id", "order"."user" FROM "order" WHERE "order"."user" = 'x'
SELECT data ? 'k', data -> 'a' ->> 'b', data @> '{"a": 1}' FROM learned
SELECT date '2026-01-01' + interval '1 day', now() AT TIME ZONE 'UTC', E'a\nb', $q$it's$q$, B'01', 1.5e3, -1
SELECT coalesce(name, 'none'), CASE WHEN id = 1 THEN 'one' ELSE 'more' END, id::text, ARRAY[1, 2] FROM learned
SELECT /* a comment */ id FROM learned -- and one more
WITH c AS (SELECT id FROM learned WHERE id > 0) SELECT * FROM c
SELECT id FROM learned UNION ALL SELECT id FROM learned WHERE id = 2
SELECT EXISTS (SELECT 1 FROM learned WHERE id = 1)
SELECT g FROM generate_series(1, 3) AS g
INSERT INTO learned (id, name) VALUES (10, 'a'), (11, 'b') RETURNING id
INSERT INTO learned (id, name) VALUES (10, 'c') ON CONFLICT (id) DO UPDATE SET name = excluded.name
UPDATE learned SET name = name || 'x' WHERE id = 10
DELETE FROM learned WHERE id > 9
BEGIN ISOLATION LEVEL READ COMMITTED
SAVEPOINT s1
ROLLBACK TO SAVEPOINT s1
COMMIT
SET application_name = 'learned'
SET statement_timeout TO '5s'
SHOW search_path
RESET statement_timeout
PREPARE p (int) AS SELECT name FROM learned WHERE id = $1
EXECUTE p (1)
DEALLOCATE p
SELECT set_config('app.user', '7', false)
DO $$ BEGIN PERFORM 1; END $$
CREATE TABLE IF NOT EXISTS learned2 (id int PRIMARY KEY, n varchar(10) DEFAULT 'x')
ALTER TABLE learned2 ADD COLUMN m numeric(10, 2) NOT NULL DEFAULT 0.5
CREATE INDEX learned2_n ON learned2 (n)
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name IN ('learned', 'order')
EXPLAIN SELECT id FROM learned WHERE id = 1
DROP TABLE learned2
`
  .split("\n")
  .filter((line) => line !== "");

/** By the extended protocol, with values. */
const PREPARED: readonly (readonly [sql: string, ...values: string[]])[] = [
  ["SELECT name FROM learned WHERE id = $1", "1"],
  ["INSERT INTO learned (id, name) VALUES ($1, $2), ($3, 'fixed')", "20", "x", "21"],
  ["DELETE FROM learned WHERE id = $1 OR id = $2", "20", "21"],
];

const ATTACKS: readonly string[] = [
  "SELECT password FROM member WHERE id = 1",
  "SELECT id, name FROM learned WHERE id = 1 OR true",
  "SELECT name FROM learned WHERE id = 1 UNION SELECT password FROM member",
  "DO $$ BEGIN DELETE FROM learned; END $$",
  "PREPARE p (int) AS SELECT password FROM member WHERE id = $1",
  "DELETE FROM learned",
];

const { user } = POSTGRES_ACCOUNTS.trust;
const server: PostgresServer = await startPostgres(undefined, "", 15);
const newer: PostgresServer = await startPostgres(undefined, "", 18);
afterEach(endStage);
after(async () => {
  await server.stop();
  await newer.stop();
});

interface Running {
  readonly querycop: Querycop;
  readonly client: PostgresClient;
}

async function start(backend: PostgresServer, settings: Settings = {}): Promise<Running> {
  const querycop = await startStaged({ ...plaintextPostgres(backend), ...settings });
  return { querycop, client: await PostgresClient.logIn({ port: querycop.port, user }) };
}

/** The audit log of it, which is over. */
async function stop({ querycop, client }: Running): Promise<string> {
  client.close();
  querycop.signal("SIGTERM");
  assert.equal(await querycop.exited, 0);
  return join(querycop.folder, "audit.ndjson");
}

/** The errors that the client gets, of whomever. */
async function errorsOf(client: PostgresClient, sql: string, values?: readonly string[]): Promise<string[]> {
  if (values === undefined) client.send(query(sql));
  else client.send(parse("", sql), bind("", "", values), describing("portal", ""), execute(), SYNC);
  const pieces = await client.untilReady();
  return pieces.flatMap((piece) =>
    piece.kind === "message" && piece.type === 0x45 ? [`${sql}: ${decodeErrorFields(piece.body).message}`] : [],
  );
}

async function run(client: PostgresClient, texts: readonly string[]): Promise<string[]> {
  const errors: string[] = [];
  for (const sql of texts) errors.push(...(await errorsOf(client, sql)));
  return errors;
}

async function runPrepared(client: PostgresClient): Promise<string[]> {
  const errors: string[] = [];
  for (const [sql, ...values] of PREPARED) errors.push(...(await errorsOf(client, sql, values)));
  return errors;
}

for (const backend of [server, newer]) {
  const { version } = backend;
  e2e(
    `a policy learned on PostgreSQL ${version} lets the same application pass and stops what it has not seen`,
    async () => {
      const owner = await PostgresClient.logIn({ port: backend.port, user: "postgres" });
      await owner.query(SETUP);
      owner.close();
      const recording = await start(backend);
      assert.deepEqual(await run(recording.client, APPLICATION), []);
      assert.deepEqual(await runPrepared(recording.client), []);
      const audit = await stop(recording);

      const own = await runQuerycop(["policy", "replay", audit, "--json"]);
      assert.equal(own.code, 0, own.stdout);
      const { statements, unchanged, withoutText } = JSON.parse(own.stdout);
      assert.deepEqual([unchanged, withoutText], [statements, 0]);
      assert.ok(statements >= APPLICATION.length, own.stdout);

      const learned = await runQuerycop(["policy", "learn", audit]);
      assert.equal(learned.code, 0, learned.stderr);
      assert.match(learned.stderr, /left out 0 /);
      const policyFile = join(recording.querycop.folder, "learned.yaml");
      writeFileSync(policyFile, learned.stdout.replace("new_digest: warn", "new_digest: block"));
      const linted = await runQuerycop(["policy", "lint", "--engine", "postgresql", policyFile]);
      assert.equal(linted.code, 0, linted.stdout);

      // Under a policy that has decided none of it: by the digests, but for those that do not tell what they do.
      const replayed = await runQuerycop(["policy", "replay", audit, "--policy", policyFile, "--json"]);
      assert.equal(replayed.code, 0, replayed.stdout);
      const { notJudged, newlyBlocked, newlyAllowed, otherChanges } = JSON.parse(replayed.stdout);
      assert.deepEqual([newlyBlocked, newlyAllowed, otherChanges], [[], [], []]);
      assert.deepEqual(notJudged.map(({ digest }: { readonly digest: string }) => digest).toSorted(), [
        "do ? /* select ? */",
        "execute p ( ? ) /* prepare p ( int ) as select name from learned where id = $1 */",
        "select set_config ( ... , false )",
      ]);
      const denying = join(recording.querycop.folder, "denying.yaml");
      writeFileSync(denying, 'version: 1\ndeny: { tables: ["public.order"] }\n');
      const denied = await runQuerycop(["policy", "replay", audit, "--policy", denying, "--json"]);
      assert.equal(denied.code, 1, denied.stdout);
      const shapes = JSON.parse(denied.stdout).newlyBlocked as readonly { readonly digest: string }[];
      assert.deepEqual(
        shapes.map(({ digest }) => digest),
        ['select "order" . id , "order" . "user" from "order" where "order" . "user" = ?'],
      );

      const enforced = await start(backend, { GATEKEEPER_POLICY_FILE: policyFile });
      assert.deepEqual(await run(enforced.client, APPLICATION), [], learned.stdout);
      assert.deepEqual(await runPrepared(enforced.client), []);
      const refused = await run(enforced.client, ATTACKS);
      assert.equal(refused.length, ATTACKS.length, refused.join("\n"));
      for (const line of refused) assert.match(line, /querycop:/);
      const second = await stop(enforced);
      const same = await runQuerycop(["policy", "replay", second, "--policy", policyFile]);
      assert.equal(same.code, 0, same.stdout);
      assert.match(same.stdout, /newly blocked: 0 shapes\n\nnewly allowed: 0 shapes\n\nother changes: 0 shapes\n$/);
    },
  );
}

e2e("cases of a policy are PostgreSQL's where --engine says so", async () => {
  const { querycop, client } = await start(server);
  const cases = join(querycop.folder, "cases.yaml");
  writeFileSync(
    cases,
    "cases:\n  - { sql: \"SELECT data ->> 'a' FROM learned LIMIT 1\", user: app, expect: allow }\n" +
      '  - { sql: "DELETE FROM learned RETURNING *", user: app, expect: block, rule: dml.nowhere }\n',
  );
  const policyFile = join(querycop.folder, "policy.yaml");
  writeFileSync(policyFile, "version: 1\nrules: { dml.nowhere: block }\n");
  const test = await runQuerycop(["policy", "test", cases, "--policy", policyFile, "--engine", "dsql"]);
  assert.equal(test.stdout, "2 passed, 0 failed\n");
  const unknown = await runQuerycop(["policy", "test", cases, "--engine", "oracle"]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /--engine: expected one of mysql, postgresql, dsql, got "oracle"/);
  const dump = await runQuerycop(["policy", "import-digests", "-", "--engine", "postgresql"], {}, "DIGEST_TEXT\n");
  assert.equal(dump.code, 2);
  assert.match(dump.stderr, /learn from the audit instead/);
  await stop({ querycop, client });
});
