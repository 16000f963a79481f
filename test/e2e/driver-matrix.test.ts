/** Drivers that prepare, through the executable with a policy: what may run runs as it does without querycop. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { runClient } from "../support/clients.ts";
import {
  DRIVERS,
  type Driver,
  type DriverAnswer,
  type DriverStep,
  type DriverTarget,
  runDriver,
  TEXT_DRIVERS,
} from "../support/drivers.ts";
import { e2e } from "../support/e2e-test.ts";
import { type AuditLine, type Querycop, startQuerycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb"];

const POLICY = `
version: 1
tenants: [{ tables: [orders], column: tenant_id, value: 7 }]
deny: { statements: [drop-table] }
`;

const ORDERS = [
  "CREATE TABLE appdb.orders (id INT PRIMARY KEY, tenant_id INT, note VARCHAR(100))",
  "INSERT INTO appdb.orders VALUES (1, 7, 'ours'), (2, 8, 'theirs'), (3, 7, 'grüße 😀')",
];

const folder = mkdtempSync(join(tmpdir(), "querycop-drivers-"));
const policyFile = join(folder, "policy.yaml");
writeFileSync(policyFile, POLICY, { mode: 0o600 });

interface Setup {
  readonly server: TestServer;
  readonly querycop: Querycop;
}

const setups = new Map<ServerKind, Setup>();
for (const kind of KINDS) {
  const server = await startServer({ kind });
  for (const sql of ORDERS) await server.rootQuery(sql);
  const querycop = await startQuerycop({
    ...plaintextBackend(server),
    GATEKEEPER_POLICY_FILE: policyFile,
  });
  setups.set(kind, { server, querycop });
}

after(async () => {
  for (const { server, querycop } of setups.values()) await Promise.all([server.stop(), querycop.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

function setupOf(kind: ServerKind): Setup {
  const setup = setups.get(kind);
  assert.ok(setup);
  return setup;
}

function target(port: number): DriverTarget {
  return { host: "127.0.0.1", port, user: "empty_user", password: "", database: "appdb" };
}

const step = (sql: string, ...values: (string | number)[]): DriverStep => ({ sql, values });

const SECRET = "hunter2-O'Reilly";
const INSERT = "INSERT INTO scratch (text) VALUES (?)";
const TENANT = "SELECT note FROM orders WHERE tenant_id = ?";
const DROP = step("DROP TABLE items");

const ALLOWED: readonly DriverStep[] = [
  step("SELECT id, name, price, made FROM items WHERE id <= ? ORDER BY id", 2),
  step(`${TENANT} ORDER BY id`, 7),
  step(`${TENANT} AND note = ?`, 7, SECRET),
  step("SELECT n FROM numbers WHERE n > ? ORDER BY n LIMIT ?", 5, 3),
  step(INSERT, SECRET),
  step("SELECT COUNT(*) FROM scratch WHERE text = ? AND id > ?", SECRET, 0),
  { ...step(INSERT, "in a batch"), batch: 3 },
  { ...step("SELECT n FROM numbers WHERE n < ? ORDER BY n", 8), cursor: true },
  { ...step("SELECT ?, LENGTH(?)", "short", "sent in many pieces"), long: 1 },
  step("CALL two_results()"),
  step("SELECT nothing FROM no_such_table WHERE id = ?", 1),
  step("DELETE FROM scratch WHERE id > ?", 0),
];

const BLOCKED: readonly DriverStep[] = [DROP, step(TENANT, 8), step(TENANT, `8 ${SECRET}`)];
const BLOCKED_TEXTS = [
  "DROP TABLE `items`",
  "SELECT `note` FROM `orders` WHERE `tenant_id` = ?",
  "SELECT `note` FROM `orders` WHERE `tenant_id` = ?",
];

/** What each driver throws for a statement that fails, and nothing worse. */
const ERRORS: Readonly<Record<Driver, string>> = {
  jdbc: "SQLSyntaxErrorException",
  go: "mysql.MySQLError",
  mysqli: "mysqli_sql_exception",
  pdo: "PDOException",
  mysqlclient: "OperationalError",
  pymysql: "OperationalError",
  mysql2: "ER_NOT_ALLOWED_COMMAND",
  "mariadb-connector": "ER_NOT_ALLOWED_COMMAND",
};

const NOT_ALLOWED = 1148;

/** MariaDB's drivers put the connection's id into their texts. */
function withoutConnectionId(answer: DriverAnswer): DriverAnswer {
  if (!("error" in answer)) return answer;
  return { ...answer, message: answer.message.replace(/conn[=:]\s?\d+/g, "conn") };
}

/** Runs what may run directly and through querycop, and what may not behind it; gives what was recorded of it. */
async function assertGuarded(kind: ServerKind, driver: Driver): Promise<AuditLine[]> {
  const { server, querycop } = setupOf(kind);
  const recordsBefore = querycop.audit().length;
  const direct = await runDriver(driver, target(server.port), ALLOWED);
  const through = await runDriver(driver, target(querycop.port), [...ALLOWED, ...BLOCKED, step("SELECT 'usable'")]);
  assert.deepEqual(through.slice(0, ALLOWED.length).map(withoutConnectionId), direct.map(withoutConnectionId));
  for (const answer of through.slice(ALLOWED.length, -1)) {
    assert.ok("error" in answer, JSON.stringify(answer));
    assert.deepEqual([answer.error, answer.number], [ERRORS[driver], NOT_ALLOWED]);
    assert.match(answer.message, /querycop: blocked by rule (pol\.deny\.statement|acc\.tenant)/);
  }
  assert.deepEqual(through.at(-1), { rows: [["usable"]] });
  assert.deepEqual(await server.rootQuery("SELECT COUNT(*) FROM appdb.items"), [["3"]]);
  return querycop.audit().slice(recordsBefore);
}

for (const kind of KINDS) {
  describe(`drivers that prepare, in front of ${kind}`, () => {
    for (const driver of DRIVERS) {
      e2e(`${driver} runs what it may as it does directly, and is told of what it may not`, async () => {
        const { querycop } = setupOf(kind);
        const records = await assertGuarded(kind, driver);
        const statements = records.filter(({ type }) => type === "statement-intent" || type === "statement-blocked");
        // The driver's own statements are not even warned of.
        const others = statements.filter((record) => record["decision"] !== "allow");
        assert.deepEqual(
          others.map(({ type, text }) => `${type}: ${text}`),
          BLOCKED_TEXTS.map((text) => `statement-blocked: ${text}`),
        );
        const executed = statements.filter((record) => record["command"] === "COM_STMT_EXECUTE");
        assert.equal(executed.length > 0, !TEXT_DRIVERS.has(driver));
        assert.ok(!querycop.auditText().includes("hunter2"), "no value is recorded");
        assert.ok(!querycop.logText().includes("hunter2"), "no value is logged");
      });
    }

    e2e("mysql2 changes the user, and prepares anew as that user", async () => {
      const { server, querycop } = setupOf(kind);
      const account = server.accounts[kind === "mysql" ? "caching_sha2" : "native"];
      assert.ok(account);
      const select = step("SELECT CURRENT_USER(), ? AS a, name FROM items WHERE id = ?", "x", 1);
      const steps = [select, { ...step(""), changeUser: account }, select];
      const direct = await runDriver("mysql2", target(server.port), steps);
      const through = await runDriver("mysql2", target(querycop.port), [...steps, DROP]);
      assert.deepEqual(through.slice(0, -1), direct);
      assert.match(JSON.stringify(direct[2]), new RegExp(account.user));
      const blocked = querycop.audit().findLast(({ type }) => type === "statement-blocked");
      assert.match(JSON.stringify(blocked?.["session"]), new RegExp(`"user":"${account.user}"`));
    });
  });
}

describe("what Oracle's client asks for, in front of mysql", () => {
  e2e("query attributes reach the server, whatever they spell", async () => {
    const { server, querycop } = setupOf("mysql");
    await server.rootQuery("INSTALL COMPONENT 'file://component_query_attributes'");
    const input = [
      "query_attributes a 'DROP TABLE items' b 7\nSELECT mysql_query_attribute_string('a') AS a",
      "SELECT mysql_query_attribute_string('a') AS none",
    ];
    const options = { args: ["--named-commands", "--commands"] };
    const direct = await runClient("mysql", target(server.port), input, options);
    const through = await runClient("mysql", target(querycop.port), input, options);
    assert.deepEqual([through.code, through.stderr, through.stdout], [direct.code, direct.stderr, direct.stdout]);
    assert.equal(through.stdout, "a\nDROP TABLE items\nnone\nNULL\n");
  });

  e2e("compression is not offered: a client that can do without goes on, one that cannot ends by itself", async () => {
    const input = ["SELECT REPEAT('x', 100000) AS long_text", "SHOW STATUS LIKE 'Compression'"];
    const ask = (algorithms: string) => {
      const args = [`--compression-algorithms=${algorithms}`];
      return runClient("mysql", target(setupOf("mysql").querycop.port), input, { args });
    };
    const { code, stdout, stderr } = await ask("zlib,zstd,uncompressed");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Compression\tOFF/);
    assert.match((await ask("zlib")).stderr, /ERROR 2066/);
  });
});
