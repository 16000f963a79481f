/**
 * Rows of other tenants and denied columns, through the executable, on real servers: every attempt has its effect straight
 * on the server, or it would prove nothing, and none through querycop.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { createConnection } from "mysql2/promise";
import { plaintextBackend } from "../support/backend-settings.ts";
import { e2e } from "../support/e2e-test.ts";
import { startQuerycop } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const running: { stop(): Promise<void> }[] = [];
after(async () => {
  for (const one of running.reverse()) await one.stop();
});

const TIMEOUT_MS = 10 * 60_000;

/** Rows of tenant 8, words of tenants that 7 is equal to as a number, a password; and that as a histogram spells it. */
const SECRETS = ["8675309", "QCSECRET", Buffer.from("QCSECRETPW").toString("base64")];

const SETUP = [
  "DROP DATABASE IF EXISTS qc",
  "DROP DATABASE IF EXISTS qc2",
  "CREATE DATABASE qc CHARACTER SET utf8mb4",
  "CREATE DATABASE qc2 CHARACTER SET utf8mb4",
  "CREATE TABLE qc.orders (id INT PRIMARY KEY, tenant_id INT, total INT)",
  "INSERT INTO qc.orders VALUES (1, 7, 100), (2, 7, 200), (3, 8, 8675309)",
  "CREATE TABLE qc2.orders (id INT PRIMARY KEY, tenant_id INT)",
  "INSERT INTO qc2.orders VALUES (1, 7)",
  "CREATE TABLE qc.texts (id INT PRIMARY KEY, tenant_id VARCHAR(10), word VARCHAR(20))",
  "INSERT INTO qc.texts VALUES (1, '7', 'own'), (2, '7-eu', 'QCSECRETEU'), (3, '07', 'QCSECRET07')",
  "CREATE TABLE qc.member (id INT PRIMARY KEY, login VARCHAR(20), password VARCHAR(20))",
  "INSERT INTO qc.member VALUES (1, 'ann', 'QCSECRETPW')",
  "CREATE TABLE qc.own (id INT, a VARCHAR(20), tenant_id INT)",
  "INSERT INTO qc.own VALUES (1, 'x', 7)",
  "CREATE TABLE qc.parts (id INT PRIMARY KEY, login VARCHAR(20), password VARCHAR(20)) PARTITION BY HASH (id) PARTITIONS 1",
];

const POLICY = `version: 1
thresholds: { warn: off, block: off }
multi_statements: true
tenants:
  - { tables: [qc.orders], column: tenant_id, value: 7 }
  - { tables: [qc.texts], column: tenant_id, value: "7" }
deny:
  columns: [qc.member.password]
`;

interface Attempt {
  readonly run: readonly string[];
  readonly on?: "mysql" | "mariadb";
  /** It leaves something behind that the next attempt must not find. */
  readonly changes?: true;
}

/** What comes back holds a secret. */
const READS: readonly Attempt[] = [
  // Which table the condition is about
  { run: ["SELECT A.* FROM orders AS A JOIN (SELECT 7 AS tenant_id) AS a WHERE a.tenant_id = 7"], on: "mysql" },
  { run: ["SELECT A.total FROM orders AS A, LATERAL (SELECT 7 AS tenant_id) AS a WHERE a.tenant_id = 7"], on: "mysql" },
  { run: ["WITH a AS (SELECT 7 AS tenant_id) SELECT A.total FROM orders A JOIN a WHERE a.tenant_id = 7"], on: "mysql" },
  { run: ["SELECT qc.orders.total FROM qc.orders JOIN qc2.orders WHERE qc2.orders.tenant_id = 7"] },
  { run: ["SELECT o.total FROM orders o WHERE EXISTS (SELECT 1 FROM own o WHERE o.tenant_id = 7)"] },
  { run: ["SELECT total FROM orders o LEFT JOIN (own x JOIN own y ON x.id = y.id) ON o.tenant_id = 7"] },
  { run: ["SELECT total FROM orders o LEFT JOIN own x JOIN own y ON x.id = y.id ON o.tenant_id = 7"] },
  { run: ["SELECT total FROM orders o LEFT JOIN (SELECT 1 AS n FROM own x JOIN own y) d ON o.tenant_id = 7"] },
  { run: ["SELECT total FROM own x RIGHT JOIN orders o ON o.tenant_id = 7"] },
  { run: ["SELECT total FROM orders WHERE NOT (tenant_id = 7)"] },
  { run: ["SELECT total FROM orders WHERE tenant_id = 7 XOR 1"] },
  { run: ["SELECT total FROM orders WHERE tenant_id IN (7, 8)"] },
  {
    run: ["SELECT total FROM orders WHERE tenant_id = 7 UNION ALL TABLE orders"].map((sql) =>
      sql.replace("TABLE orders", "SELECT total FROM orders"),
    ),
  },
  { run: ["SET @v = (SELECT MAX(total) FROM orders)", "SELECT @v"] },
  { run: ["DO @v := (SELECT MAX(total) FROM orders)", "SELECT @v"] },
  // Plans
  { run: ["EXPLAIN FORMAT=JSON SELECT total FROM orders WHERE id = 3", "SHOW WARNINGS"], on: "mysql" },
  { run: ["EXPLAIN EXTENDED SELECT total FROM orders WHERE id = 3", "SHOW WARNINGS"], on: "mariadb" },
  // Names that hide the column
  {
    run: ["BEGIN NOT ATOMIC DECLARE tenant_id INT DEFAULT 7; SELECT total FROM orders WHERE tenant_id = 7; END"],
    on: "mariadb",
  },
  {
    run: ["CREATE PROCEDURE p(tenant_id INT) BEGIN SELECT total FROM orders WHERE tenant_id = 7; END", "CALL p(7)"],
    changes: true,
  },
  {
    run: [
      "BEGIN NOT ATOMIC FOR o IN (SELECT 7 AS tenant_id) DO SELECT total FROM orders WHERE o.tenant_id = 7; END FOR; END",
    ],
    on: "mariadb",
  },
  // A number is equal to many texts
  { run: ["SELECT word FROM texts WHERE tenant_id = 7"] },
  { run: ["SELECT word FROM texts WHERE 7 = tenant_id"] },
  { run: ["PREPARE p FROM 'SELECT word FROM texts WHERE tenant_id = ?'", "SET @t = 7", "EXECUTE p USING @t"] },
  {
    run: ["SELECT t.word FROM texts t JOIN own o ON o.tenant_id = t.tenant_id WHERE o.tenant_id = 7"],
  },
  // Columns
  { run: ["TABLE member"], on: "mysql" },
  { run: ["SELECT c FROM (SELECT 1 a, 2 b, 3 c UNION TABLE member) x"], on: "mysql" },
  { run: ["WITH x (a, b, c) AS (SELECT * FROM member) SELECT c FROM x"] },
  { run: ["SELECT x.c FROM (SELECT 1 a, 2 b, 3 c UNION SELECT * FROM member) x"] },
  { run: ["HANDLER member OPEN AS h", "HANDLER h READ FIRST"] },
  { run: ["DELETE FROM member WHERE id = 1 RETURNING *"], on: "mariadb", changes: true },
  { run: ["INSERT INTO member (id) VALUES (1) ON DUPLICATE KEY UPDATE login = login RETURNING *"], on: "mariadb" },
  {
    run: [
      "SELECT id FROM own WHERE id = (SELECT password FROM own LIMIT 1)",
      "SELECT (SELECT password FROM own LIMIT 1) FROM member",
    ],
  },
  {
    run: ["UPDATE own, member SET own.a = member.password WHERE own.id = member.id", "SELECT a FROM own"],
    changes: true,
  },
  { run: ["INSERT INTO own (a) SELECT password FROM member", "SELECT a FROM own"], changes: true },
  {
    run: ["INSERT INTO member (id) VALUES (1) ON DUPLICATE KEY UPDATE login = password", "SELECT login FROM member"],
    changes: true,
  },
  { run: ["REPLACE INTO parts TABLE member", "TABLE parts"], on: "mysql", changes: true },
  // Names that move away
  { run: ["ALTER TABLE member RENAME COLUMN password TO p2", "SELECT p2 FROM member"], changes: true },
  { run: ["ALTER TABLE member CHANGE `password` p2 VARCHAR(20)", "SELECT p2 FROM member"], changes: true },
  { run: ["ALTER TABLE member ADD p2 VARCHAR(20) AS (password)", "SELECT p2 FROM member"], changes: true },
  { run: ["ALTER TABLE member RENAME TO m2", "SELECT * FROM m2"], changes: true },
  { run: ["RENAME TABLE member TO m2", "SELECT * FROM m2"], changes: true },
  { run: ["ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE member", "SELECT * FROM parts"], changes: true },
  {
    run: [
      "CREATE TRIGGER t BEFORE UPDATE ON member FOR EACH ROW SET NEW.login = OLD.password",
      "UPDATE member SET login = 'x' WHERE id = 1",
      "SELECT login FROM member",
    ],
    changes: true,
  },
  {
    run: [
      "CREATE TRIGGER t AFTER UPDATE ON member FOR EACH ROW BEGIN INSERT INTO own (a) VALUES (OLD.password); END",
      "UPDATE member SET login = 'x' WHERE id = 1",
      "SELECT a FROM own",
    ],
    changes: true,
  },
  { run: ["CREATE VIEW v AS SELECT password AS p FROM member", "SELECT p FROM v"], changes: true },
  { run: ["CREATE TABLE copy SELECT * FROM member", "SELECT * FROM copy"], changes: true },
  { run: ["ALTER TABLE orders RENAME TO o2", "SELECT * FROM o2"], changes: true },
  { run: ["RENAME TABLE orders TO o2", "SELECT * FROM o2"], changes: true },
  {
    run: [
      "ALTER TABLE orders RENAME COLUMN tenant_id TO t, ADD tenant_id INT DEFAULT 7",
      "SELECT * FROM orders WHERE tenant_id = 7",
    ],
    changes: true,
  },
  {
    run: [
      "CREATE TRIGGER t AFTER UPDATE ON orders FOR EACH ROW INSERT INTO own (id) VALUES (OLD.total)",
      "UPDATE orders SET id = id WHERE tenant_id = 8",
      "SELECT id FROM own",
    ],
    changes: true,
  },
  // Statistics
  {
    run: [
      "ANALYZE TABLE member UPDATE HISTOGRAM ON password",
      "SELECT histogram FROM information_schema.column_statistics WHERE table_name = 'member'",
    ],
    on: "mysql",
    changes: true,
  },
  {
    run: [
      "ANALYZE TABLE orders UPDATE HISTOGRAM ON total",
      "SELECT histogram FROM information_schema.column_statistics",
    ],
    on: "mysql",
    changes: true,
  },
  {
    run: [
      "ANALYZE TABLE member PERSISTENT FOR COLUMNS (password) INDEXES ()",
      "SELECT min_value FROM mysql.column_stats WHERE db_name = 'qc'",
    ],
    on: "mariadb",
    changes: true,
  },
  {
    run: ["ANALYZE TABLE orders PERSISTENT FOR ALL", "SELECT max_value FROM mysql.column_stats WHERE db_name = 'qc'"],
    on: "mariadb",
    changes: true,
  },
];

/** Rows of another tenant, or the table itself, are not as they were. */
const WRITES: readonly Attempt[] = [
  { run: ["UPDATE orders AS A JOIN (SELECT 7 AS tenant_id) AS a SET A.total = 0 WHERE a.tenant_id = 7"], on: "mysql" },
  { run: ["DELETE A FROM orders AS A JOIN (SELECT 7 AS tenant_id) AS a WHERE a.tenant_id = 7"], on: "mysql" },
  { run: ["DELETE qc.orders FROM qc.orders JOIN qc2.orders WHERE qc2.orders.tenant_id = 7"] },
  { run: ["UPDATE orders o LEFT JOIN (own x JOIN own y ON 1 = 1) ON o.tenant_id = 7 SET o.total = 0"] },
  {
    run: ["BEGIN NOT ATOMIC DECLARE tenant_id INT DEFAULT 7; DELETE FROM orders WHERE tenant_id = 7; END"],
    on: "mariadb",
  },
  { run: ["UPDATE orders SET tenant_id = 8 WHERE tenant_id = 7"] },
  { run: ["UPDATE orders SET tenant_İd = 8 WHERE tenant_id = 7"], on: "mysql" },
  { run: ["REPLACE INTO orders SELECT 3, 7, 1"] },
  { run: ["TRUNCATE orders"] },
  { run: ["DROP TABLE orders"] },
  { run: ["ALTER TABLE orders DROP COLUMN tenant_id"] },
  { run: ["CREATE OR REPLACE TABLE orders (id INT, tenant_id INT, total INT)"], on: "mariadb" },
  { run: ["RENAME TABLE orders TO o2"] },
  { run: ["DROP DATABASE qc"] },
];

/** What a tenant does all day. */
const KEPT: readonly (readonly [sql: string, answer: string])[] = [
  ["SELECT total FROM orders WHERE tenant_id = 7 AND id = 2", "200"],
  ["SELECT o.total FROM orders o JOIN own x ON x.id = o.id WHERE o.tenant_id = '7'", "100"],
  ["SELECT o.total FROM own x LEFT JOIN orders o ON o.id = x.id AND o.tenant_id = 7", "100"],
  [
    "SELECT qc.orders.total FROM qc.orders JOIN qc2.orders ON qc2.orders.id = qc.orders.id WHERE qc.orders.tenant_id = 7",
    "100",
  ],
  ["SELECT word FROM texts WHERE tenant_id = '7'", "own"],
  ["SELECT login FROM member WHERE id = 1", "ann"],
  ["SHOW COLUMNS FROM orders", "tenant_id"],
  ["EXPLAIN SELECT total FROM orders WHERE tenant_id = 7", ""],
  ["UPDATE orders SET total = 100 WHERE tenant_id = 7 AND id = 1", ""],
  ["INSERT INTO orders (id, tenant_id, total) VALUES (9, 7, 1)", ""],
  ["DELETE FROM orders WHERE tenant_id = 7 AND id = 9", ""],
  ["ALTER TABLE orders ADD COLUMN note INT", ""],
];

const STATE =
  "SELECT CONCAT_WS('|', (SELECT GROUP_CONCAT(CONCAT_WS(',', id, tenant_id, total) ORDER BY id) FROM qc.orders)," +
  " (SELECT COUNT(*) FROM qc.orders WHERE tenant_id = 8))";

/** All that comes back, up to the first refusal. */
async function answersTo(port: number, login: { user: string; password: string }, run: readonly string[]) {
  const client = await RawClient.connect("127.0.0.1", port);
  await client.login({ ...login, database: "qc" });
  let text = "";
  let refusals = 0;
  for (const sql of run) {
    const packets = await client.query(sql);
    const answer = packets.map(({ payload }) => payload.toString("latin1")).join("\n");
    if (packets.at(-1)?.payload[0] === 0xff) refusals++;
    else text += answer;
  }
  client.quit();
  return { text, refusals };
}

const hasSecret = (text: string): boolean => SECRETS.some((secret) => text.includes(secret));

for (const kind of ["mysql", "mariadb"] as const) {
  const server = await startServer({ kind });
  const policyFile = join(server.folder, "policy.yaml");
  writeFileSync(policyFile, POLICY, { mode: 0o600 });
  const proxy = await startQuerycop({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
  running.push(server, proxy);
  const login = server.account("admin");
  const isOf = ({ on }: Attempt): boolean => on === undefined || on === kind;
  const reset = (one: TestServer) => one.rootQuery(SETUP.join("; "));
  const state = async (): Promise<string> =>
    await server.rootQuery(STATE).then(
      (rows) => rows.join(),
      (error: unknown) => `gone: ${String(error)}`,
    );

  describe(`protected data on ${kind}`, () => {
    e2e(
      "no attempt to read other tenants' rows or a denied column gets anything",
      async () => {
        await reset(server);
        const wrong: string[] = [];
        for (const { run, changes } of READS.filter(isOf)) {
          const through = await answersTo(proxy.port, login, run);
          if (hasSecret(through.text)) wrong.push(`shown: ${run.join("; ")}`);
          if (through.refusals === 0) wrong.push(`not refused: ${run.join("; ")}`);
          if (!hasSecret((await answersTo(server.port, login, run)).text)) wrong.push(`no attempt: ${run.join("; ")}`);
          if (changes) await reset(server);
        }
        assert.deepEqual(wrong, []);
      },
      TIMEOUT_MS,
    );

    e2e(
      "no attempt to change other tenants' rows changes any",
      async () => {
        await reset(server);
        const before = await state();
        const wrong: string[] = [];
        for (const { run } of WRITES.filter(isOf)) {
          await answersTo(proxy.port, login, run);
          if ((await state()) !== before) wrong.push(`changed: ${run.join("; ")}`);
          await answersTo(server.port, login, run);
          if ((await state()) === before) wrong.push(`no attempt: ${run.join("; ")}`);
          await reset(server);
        }
        assert.deepEqual(wrong, []);
      },
      TIMEOUT_MS,
    );

    e2e("a bound number is no string, and a bound string is", async () => {
      await reset(server);
      const { user, password } = login;
      const connection = await createConnection({
        host: "127.0.0.1",
        port: proxy.port,
        user,
        password,
        database: "qc",
      });
      const sql = "SELECT word FROM texts WHERE tenant_id = ?";
      await assert.rejects(connection.execute(sql, [7]), /acc\.tenant/);
      const [rows] = await connection.execute(sql, ["7"]);
      assert.deepEqual(rows, [{ word: "own" }]);
      await connection.end();
    });

    e2e("what a tenant does all day passes", async () => {
      await reset(server);
      for (const [sql, answer] of KEPT) {
        const { text, refusals } = await answersTo(proxy.port, login, [sql]);
        assert.equal(refusals, 0, sql);
        assert.ok(text.includes(answer), sql);
        assert.ok(!hasSecret(text), sql);
      }
    });
  });
}
