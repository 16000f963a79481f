/** A policy learned from what a running querycop recorded: the same application passes, and nothing else does. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { type Querycop, runQuerycop, type Settings } from "../support/querycop.ts";
import type { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const servers = new Map<ServerKind, TestServer>();
for (const kind of ["mysql", "mariadb"] as const) servers.set(kind, await startServer({ kind }));
afterEach(endStage);
after(async () => {
  for (const server of servers.values()) await server.stop();
});

/** What an application, its migrations and its tools send; each is one packet. */
const APPLICATION = `
SELECT 1
SELECT id FROM learned WHERE id IN (1,2,3)
SELECT COUNT(*) FROM learned
SELECT id FROM learned LIMIT 0,2
SELECT id, name FROM learned WHERE id = 1 AND name <> 'x' ORDER BY 1 DESC LIMIT 5 OFFSET 2
SELECT name, COUNT(*), MAX(id) FROM learned GROUP BY name HAVING COUNT(*) > 1
SELECT l.id FROM learned AS l LEFT JOIN learned AS r ON l.id = r.id AND r.name IN ('a','b')
SELECT id FROM learned WHERE (id, name) IN ((1,'a'),(2,'b'))
SELECT SUBSTRING(name, 1, 2), TRIM(name), NOW(), CURDATE(), CAST(id AS CHAR(3)) FROM learned
SELECT id FROM learned WHERE name LIKE 'a%' ESCAPE '|' OR name IS NULL OR name = NULL
SELECT EXISTS(SELECT 1 FROM learned WHERE id = 1) AS found
SELECT -1, +2, 1.5e3, 0x41, b'101', NULL, TRUE, DATE '2026-01-01', _utf8mb4'x'
SELECT @@session.sql_mode, @@version_comment LIMIT 1
SELECT 'a' 'b', "c", CASE WHEN id = 1 THEN 'one' ELSE 'more' END FROM learned
SELECT /* a comment */ id FROM learned -- and one more
SELECT /*!50000 id */ FROM learned
SELECT \`odd name\` FROM (SELECT 1 AS \`odd name\`) AS t
SELECT id FROM learned UNION ALL SELECT id FROM learned WHERE id = 2
WITH c AS (SELECT id FROM learned) SELECT * FROM c
SELECT id FROM learned FOR UPDATE
INSERT INTO learned (id, name) VALUES (1, 'a')
INSERT INTO learned VALUES (2, 'b'), (3, 'c'), (4, NULL)
INSERT INTO learned (id) VALUES (5) ON DUPLICATE KEY UPDATE name = VALUES(name)
INSERT IGNORE INTO learned SET id = 6, name = DEFAULT
REPLACE INTO learned VALUES (7, 'd')
UPDATE learned SET name = CONCAT(name, 'x'), id = id + 0 WHERE id = 1
UPDATE learned SET name = 'all'
DELETE FROM learned WHERE id = 7 LIMIT 1
DELETE FROM learned
TRUNCATE TABLE learned
SET @a = 1
SET @a := 2, @b = 'x'
SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci
SET SESSION time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SET autocommit = 1
START TRANSACTION WITH CONSISTENT SNAPSHOT
SAVEPOINT sp1
ROLLBACK TO SAVEPOINT sp1
COMMIT
BEGIN
ROLLBACK
SHOW TABLES LIKE 'l%'
SHOW FULL COLUMNS FROM learned
SHOW CREATE TABLE learned
SHOW VARIABLES LIKE 'max_allowed_packet'
SHOW WARNINGS
DESCRIBE learned
EXPLAIN SELECT id FROM learned WHERE id = 1
SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('a','b')
CREATE TABLE IF NOT EXISTS learned2 (id INT PRIMARY KEY AUTO_INCREMENT, n VARCHAR(10) DEFAULT 'x' COMMENT 'y', KEY k (n(3)))
ALTER TABLE learned2 ADD COLUMN m DECIMAL(10,2) NOT NULL DEFAULT 0.5, ADD INDEX km (m)
CREATE INDEX kn ON learned2 (n DESC)
LOCK TABLES learned READ, learned2 WRITE
UNLOCK TABLES
DROP TABLE IF EXISTS learned2
PREPARE p FROM 'SELECT name FROM learned WHERE id = ?'
EXECUTE p USING @a
DEALLOCATE PREPARE p
SET @q = 'SELECT id FROM learned WHERE id = 3'
PREPARE v FROM @q
EXECUTE v
DO SLEEP(0)
USE appdb
ANALYZE TABLE learned
`;
const ONLY_ON: Readonly<Record<"mysql" | "mariadb", string>> = {
  mysql:
    "SELECT JSON_EXTRACT('{\"a\": 1}', '$.a'), '{\"a\":1}' -> '$.a'\nTABLE learned\nCALL sys.execute_prepared_stmt('SELECT 1')",
  mariadb:
    "EXECUTE IMMEDIATE 'SELECT id FROM learned WHERE id = 1'\nSELECT JSON_VALUE('{}', '$.a')\nSET STATEMENT max_statement_time = 9 FOR SELECT 1",
};
const statementsFor = (kind: "mysql" | "mariadb"): string[] =>
  `${APPLICATION}${ONLY_ON[kind]}`.split("\n").filter((line) => line !== "");

const isRefusal = (answer: string): boolean => answer.includes("querycop:");

async function start(server: TestServer, settings: Settings = {}): Promise<{ querycop: Querycop; client: RawClient }> {
  const querycop = await startStaged({ ...plaintextBackend(server), ...settings });
  const client = await connectStaged(querycop.port);
  const { admin } = server.accounts;
  assert.ok(admin);
  await client.login({ ...admin, database: "appdb" });
  return { querycop, client };
}

/** The statements that querycop refuses. */
async function run(client: RawClient, statements: readonly string[]): Promise<string[]> {
  const refused: string[] = [];
  for (const sql of statements) {
    const packets = await client.query(sql);
    const message = Buffer.from(packets.at(-1)?.payload ?? []).toString("latin1");
    if (packets.at(-1)?.payload[0] === 0xff && isRefusal(message)) refused.push(`${sql} => ${message.slice(9)}`);
  }
  return refused;
}

async function stop({ querycop, client }: { querycop: Querycop; client: RawClient }): Promise<string> {
  client.quit();
  querycop.signal("SIGTERM");
  assert.equal(await querycop.exited, 0);
  return join(querycop.folder, "audit.ndjson");
}

for (const kind of ["mysql", "mariadb"] as const) {
  e2e(`a policy learned on ${kind} lets the same application pass and stops what it has not seen`, async () => {
    const server = servers.get(kind) as TestServer;
    await server.rootQuery("CREATE TABLE IF NOT EXISTS appdb.learned (id INT PRIMARY KEY, name VARCHAR(40))");
    const statements = statementsFor(kind);
    const recording = await start(server);
    assert.deepEqual(await run(recording.client, statements), []);
    const audit = await stop(recording);

    const own = await runQuerycop(["policy", "replay", audit, "--json"]);
    assert.equal(own.code, 0, own.stdout);

    const learned = await runQuerycop(["policy", "learn", audit]);
    assert.equal(learned.code, 0, learned.stderr);
    const policyFile = join(recording.querycop.folder, "learned.yaml");
    writeFileSync(policyFile, learned.stdout.replace("new_digest: warn", "new_digest: block"));

    const replayed = await runQuerycop(["policy", "replay", audit, "--policy", policyFile]);
    assert.match(replayed.stdout, /newly blocked: 0 shapes/, replayed.stdout);

    const enforced = await start(server, { GATEKEEPER_POLICY_FILE: policyFile });
    assert.deepEqual(await run(enforced.client, statements), [], learned.stdout);
    const attacks = [
      "SELECT name FROM learned WHERE id IN (1,2,3)",
      "SELECT id FROM learned WHERE id IN (1,2,3) OR 1",
      "DROP TABLE learned",
      "PREPARE p FROM 'DROP TABLE learned'",
      "PREPARE p FROM 'SELECT name FROM learned'",
      "SET @q = 'SELECT user FROM mysql.user'; PREPARE v FROM @q",
      kind === "mysql"
        ? "CALL sys.execute_prepared_stmt('SELECT 2 + 2')"
        : "EXECUTE IMMEDIATE 'SELECT name FROM learned'",
    ];
    assert.equal((await run(enforced.client, attacks)).length, attacks.length);
    const second = await stop(enforced);
    const same = await runQuerycop(["policy", "replay", second, "--policy", policyFile]);
    assert.equal(same.code, 0, same.stdout);
    assert.match(same.stdout, /newly blocked: 0 shapes\n\nnewly allowed: 0 shapes\n\nother changes: 0 shapes/);
  });
}

e2e("digests that MySQL has cut are left out, and those that end in dots of their own are not", async () => {
  const server = servers.get("mysql") as TestServer;
  await server.rootQuery("CREATE TABLE IF NOT EXISTS appdb.learned (id INT PRIMARY KEY, name VARCHAR(40))");
  const long = `SELECT id FROM appdb.learned WHERE ${Array.from({ length: 600 }, (_, n) => `id = ${n}`).join(" OR ")}`;
  // Of different lengths, so that some are cut before a name and some before a word.
  const columns = Array.from({ length: 300 }, () => "id").join(",");
  const lists = [1, 2, 3, 4].map((n) => `SELECT 1 AS ${"x".repeat(n)}, ${columns} FROM appdb.learned`);
  const whole = ["SELECT id FROM appdb.learned LIMIT 0,2", "SELECT id, name FROM appdb.learned WHERE name IN ('a')"];
  for (const sql of [long, ...lists, ...whole]) await server.rootQuery(sql);
  const rows = await server.rootQuery(
    "SELECT digest_text FROM performance_schema.events_statements_summary_by_digest WHERE digest_text LIKE '%learned%' OR LENGTH(digest_text) > 800",
  );
  const texts = rows.map(([text]) => String(text)).filter((text) => !/ALTER|CREATE|DROP|EXPLAIN|SHOW/.test(text));
  const dump = ["DIGEST_TEXT", ...texts].join("\n");
  const imported = await runQuerycop(["policy", "import-digests", "-", "--user", "app"], {}, `${dump}\n`);
  const cut = texts.filter((text) => text.length > 800);
  assert.ok(cut.length >= 5, cut.join("\n"));
  assert.match(imported.stderr, new RegExp(`truncated by the server ${cut.length},`), imported.stderr);
  assert.ok(imported.stdout.includes("SELECT `id` FROM `appdb` . `learned` LIMIT ?, ..."), imported.stdout);
  assert.ok(imported.stdout.includes("WHERE NAME IN (...)"), imported.stdout);
  const wider = ["policy", "import-digests", "-", "--user", "app", "--max-digest-length", "65536"];
  assert.match((await runQuerycop(wider, {}, `${dump}\n`)).stderr, /truncated by the server 0,/);
});
