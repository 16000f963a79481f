/** Texts that do not parse: the server says so itself, and what its parser is asked runs nothing, whatever it is asked. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { e2e } from "../support/e2e-test.ts";
import { type Querycop, type Settings, startQuerycop } from "../support/querycop.ts";
import { assertSamePackets, CAPABILITY, RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb", "mariadb11"];
const servers = new Map<ServerKind, TestServer>();
const proxies: Querycop[] = [];
for (const kind of KINDS) {
  const server = await startServer({ kind });
  // Of no use to a parser: whatever runs one of these leaves a row, whose number says which.
  await server.rootQuery(`
    CREATE TABLE appdb.trace (what INT) ENGINE=MyISAM;
    CREATE TABLE appdb.victim (id INT PRIMARY KEY AUTO_INCREMENT, n INT);
    INSERT INTO appdb.victim (n) VALUES (1), (2);
    CREATE PROCEDURE appdb.leave_trace() INSERT INTO appdb.trace VALUES (1);
    DELIMITER //
    CREATE FUNCTION appdb.trace_it(what INT) RETURNS INT DETERMINISTIC
      BEGIN INSERT INTO appdb.trace VALUES (what); RETURN what; END//
    DELIMITER ;
    CREATE VIEW appdb.tracing AS SELECT appdb.trace_it(2) AS n;`);
  servers.set(kind, server);
}

after(async () => {
  for (const proxy of proxies) await proxy.stop();
  for (const server of servers.values()) await server.stop();
});

function serverOf(kind: ServerKind): TestServer {
  const server = servers.get(kind);
  assert.ok(server);
  return server;
}

async function connect(kind: ServerKind, port: number): Promise<RawClient> {
  const { user, password } = serverOf(kind).account("admin");
  const client = await RawClient.connect("127.0.0.1", port);
  await client.login({ user, password, database: "appdb" });
  return client;
}

/** Whatever could be evaluated, locked, committed, written or stopped by a server that does more than parse and resolve. */
const HARMFUL: readonly string[] = [
  "DROP TABLE victim",
  "TRUNCATE victim",
  "DELETE FROM victim",
  "UPDATE victim SET n = trace_it(3)",
  "INSERT INTO victim (n) VALUES (trace_it(4))",
  "INSERT INTO victim (n) SELECT trace_it(5)",
  "REPLACE INTO victim VALUES (1, trace_it(6))",
  "CALL leave_trace()",
  "DO trace_it(7)",
  "SET @left = trace_it(8)",
  "SET @kept = trace_it(8)",
  "SELECT @kept := 10, trace_it(10) INTO @kept, @left",
  "SET GLOBAL max_connections = 77",
  "SET SESSION sql_mode = 'ANSI_QUOTES'",
  "SELECT trace_it(9)",
  "SELECT @left := 10",
  "SELECT 1 FROM victim WHERE n = trace_it(11)",
  "SELECT 1 FROM victim WHERE id = (SELECT trace_it(12))",
  "SELECT 1 FROM victim WHERE trace_it(13)",
  "SELECT 1 FROM (SELECT trace_it(14) AS a) AS derived WHERE a = 14",
  "WITH c AS (SELECT trace_it(15) AS a) SELECT a FROM c WHERE a = 15",
  "SELECT * FROM tracing WHERE n = 2",
  "SELECT n FROM victim GROUP BY trace_it(16) ORDER BY trace_it(17)",
  "SELECT n FROM victim HAVING trace_it(18) = 18",
  "SELECT 1 IN (SELECT trace_it(19) UNION SELECT trace_it(20))",
  "SELECT CASE WHEN trace_it(21) THEN 1 END, IF(trace_it(22), 1, 2), COALESCE(trace_it(23))",
  "SELECT SLEEP(30)",
  "SELECT 1 FROM victim WHERE SLEEP(30) = n",
  "SELECT BENCHMARK(1000000000, MD5('a'))",
  "SELECT GET_LOCK('querycop_syntax', 0)",
  "SELECT 1 FROM victim WHERE id = GET_LOCK('querycop_syntax', 0)",
  "SELECT n INTO OUTFILE 'querycop-made' FROM victim",
  "CREATE TABLE made (id INT)",
  "CREATE TABLE made AS SELECT trace_it(24) AS a",
  "CREATE TABLE made LIKE victim",
  "CREATE TEMPORARY TABLE made (id INT)",
  "CREATE VIEW made AS SELECT trace_it(25) AS a",
  "CREATE PROCEDURE made() SELECT 1",
  "CREATE USER made@localhost",
  "CREATE DATABASE made",
  "GRANT ALL ON *.* TO readonly_user",
  "SET PASSWORD = 'x'",
  "ALTER TABLE victim ADD made INT",
  "RENAME TABLE victim TO made",
  "LOCK TABLES victim WRITE",
  "FLUSH TABLES WITH READ LOCK",
  "HANDLER victim OPEN",
  "ANALYZE TABLE victim",
  "OPTIMIZE TABLE victim",
  "EXPLAIN SELECT trace_it(26)",
  "EXPLAIN FORMAT=JSON SELECT 1 FROM victim WHERE id = (SELECT trace_it(27))",
  "ANALYZE SELECT trace_it(28)",
  "EXPLAIN ANALYZE SELECT trace_it(28)",
  "COMMIT",
  "ROLLBACK",
  "START TRANSACTION",
  "XA START 'x'",
  "SAVEPOINT s",
  "USE otherdb",
  "KILL CONNECTION_ID()",
  "SHUTDOWN",
  "PREPARE inner_one FROM 'SELECT 1'",
  "EXECUTE IMMEDIATE 'INSERT INTO trace VALUES (29)'",
  "BEGIN NOT ATOMIC INSERT INTO trace VALUES (30); END",
  "SET STATEMENT max_statement_time = 1 FOR SELECT trace_it(31)",
  "CREATE SEQUENCE made_sequence",
  "LOAD DATA INFILE '/etc/passwd' INTO TABLE victim",
  "INSTALL PLUGIN made SONAME 'auth_socket.so'",
  "SIGNAL SQLSTATE '45000'",
  "VALUES ROW(trace_it(32))",
  "VALUES (trace_it(33))",
  "TABLE tracing",
  "SELECT JSON_EXTRACT(trace_it(34), '$')",
  "SELECT trace_it(35) LIMIT 1",
  "SELECT * FROM JSON_TABLE(trace_it(36), '$' COLUMNS (a INT PATH '$')) AS j",
  "SELECT 1 FROM victim JOIN victim AS other ON other.id = trace_it(37)",
  "SELECT LAST_INSERT_ID(99)",
];

/** What the statements above would have changed. */
const STATE = `
  SELECT COUNT(*) FROM trace; SELECT COUNT(*), MAX(id), SUM(n) FROM victim; SELECT @left, @kept, @@max_connections, @@sql_mode;
  SELECT IS_USED_LOCK('querycop_syntax'), LAST_INSERT_ID(), DATABASE();
  SELECT COUNT(*) FROM information_schema.tables WHERE table_name LIKE 'made%';
  SELECT COUNT(*) FROM information_schema.routines WHERE routine_name = 'made';
  SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'made';
  SELECT COUNT(*) FROM information_schema.columns WHERE column_name = 'made';
  SELECT COUNT(*) FROM mysql.user WHERE user = 'made';
  SELECT COUNT(*) FROM information_schema.user_privileges WHERE grantee LIKE '%readonly_user%'`
  .split(";")
  .map((sql) => sql.trim());

async function stateOf(client: RawClient): Promise<string> {
  const texts: string[] = [];
  for (const sql of STATE) {
    // The one row, before the packet that ends the result: MariaDB gives a variable that is prepared a type, and no value.
    const row = (await client.query(sql)).at(-2);
    texts.push(row?.payload.toString("latin1") ?? "");
  }
  return texts.join("\n");
}

for (const kind of KINDS) {
  describe(`COM_STMT_PREPARE on ${kind}`, () => {
    e2e("runs nothing of any statement", async () => {
      const client = await connect(kind, serverOf(kind).port);
      await client.query("SET @kept = 'kept'");
      const before = await stateOf(client);
      const uncommitted = "SELECT COUNT(*) FROM numbers WHERE n = 100002";
      for (const sql of HARMFUL) {
        await client.query("START TRANSACTION");
        await client.query("INSERT INTO numbers VALUES (100002)");
        const beganMs = performance.now();
        const answer = await client.prepare(sql);
        assert.ok(performance.now() - beganMs < 15_000, `${sql}: waited`);
        assert.ok(answer.length > 0);
        await client.query("ROLLBACK");
        const [, , row] = await client.query(uncommitted);
        assert.equal(row?.payload.toString("latin1"), "\u00010", `${sql}: committed`);
        assert.equal(await stateOf(client), before, sql);
      }
      assert.ok(!existsSync(join(serverOf(kind).folder, "data/appdb/querycop-made")));
      client.end();
    });
  });
}

/** Of kinds that were refused unseen: words that begin no statement, and what is not closed. */
const TYPOS: readonly string[] = [
  "SELEC 1",
  "frobnicate items",
  "DROP TABL victim",
  "UPDATE victim n = 1 WHERE id = 2",
  "DELETE FROM victim WHER id = 1",
  "SELECT COUNT(* FROM victim",
  "SELECT (1",
  "INSERT INTO victim VALUES (1, 2",
  "SELECT IF(1, 2 FROM victim",
  "SELECT 'not closed",
  "SELECT * FROM victim WHERE id == 3",
  "SELECT * FROM victim\nWHER id = 3\nAND n = 4",
  "SELEC 'größe', `id` FROM victim;\n",
];

/** Refused by querycop, which the server hears nothing of. */
const NOT_ASKED: readonly string[] = [
  "SELECT 1; FROBNICATE",
  "FROBNICATE; DROP TABLE victim",
  "SELEC 1; -- a remark",
  "SELECT * FROM victim WHERE id = 1 OR 1 = 1 UNION SELECT user, (password FROM mysql.user",
];

async function start(kind: ServerKind, settings: Settings = {}): Promise<Querycop> {
  const { host, port } = serverOf(kind);
  const backend = { GATEKEEPER_BACKEND_HOST: host, GATEKEEPER_BACKEND_PORT: String(port) };
  const querycop = await startQuerycop({ ...backend, ...settings });
  proxies.push(querycop);
  return querycop;
}

const STATEMENT_RECORDS: ReadonlySet<string> = new Set(["syntax-check", "statement-blocked", "statement-intent"]);

/** What is on record of each command, by its number in the session. */
function recordsOf(querycop: Querycop): Map<number, string[]> {
  const records = new Map<number, string[]>();
  for (const { type, ordinal } of querycop.audit()) {
    if (!STATEMENT_RECORDS.has(type)) continue;
    records.set(Number(ordinal), [...(records.get(Number(ordinal)) ?? []), type]);
  }
  return records;
}

/** What reached the server of texts like this, as its log names the commands. */
function commandsAt(server: TestServer, sql: string): string[] {
  return server.generalLog().flatMap(({ command, argument }) => (argument.trim() === sql.trim() ? [command] : []));
}

for (const kind of KINDS) {
  describe(`typing errors on their way to ${kind}`, () => {
    e2e("get the server's own error, and one record that is no block", async () => {
      const querycop = await start(kind);
      const through = await connect(kind, querycop.port);
      const direct = await connect(kind, serverOf(kind).port);
      for (const [index, sql] of TYPOS.entries()) {
        assertSamePackets(await through.query(sql), await direct.query(sql), sql);
        assert.deepEqual([...recordsOf(querycop).values()].slice(index), [["syntax-check"]], sql);
      }
      assertSamePackets(await through.prepare(TYPOS[0] ?? ""), await direct.prepare(TYPOS[0] ?? ""));
      // The session goes on, and shows what the server has to say of the error.
      for (const sql of ["SHOW WARNINGS", "SELECT COUNT(*) FROM victim"]) {
        assertSamePackets(await through.query(sql), await direct.query(sql), sql);
      }
      assert.doesNotMatch(querycop.logText(), /statement blocked/);
      through.end();
      direct.end();
    });

    e2e(
      "are querycop's to refuse where the server could run a part of them, where they look like an attack, or by the setting",
      async () => {
        const asking = await start(kind);
        const silent = await start(kind, { GATEKEEPER_BACKEND_SYNTAX_CHECK: "off" });
        for (const [querycop, texts] of [
          [asking, NOT_ASKED],
          [silent, [...NOT_ASKED, "SELEC 'of the silent one'"]],
        ] as const) {
          const { user, password } = serverOf(kind).account("admin");
          const client = await RawClient.connect("127.0.0.1", querycop.port);
          const moreCapabilities = CAPABILITY.MULTI_STATEMENTS | CAPABILITY.MULTI_RESULTS;
          await client.login({ user, password, database: "appdb", moreCapabilities });
          for (const sql of texts) {
            const answer = (await client.query(sql)).at(-1)?.payload.toString("latin1") ?? "";
            assert.match(answer, /querycop: blocked by rule/, sql);
            assert.deepEqual(commandsAt(serverOf(kind), sql), [], sql);
          }
          assert.deepEqual(
            [...recordsOf(querycop).values()],
            texts.map(() => ["statement-blocked"]),
          );
          client.end();
        }
      },
    );
  });
}
