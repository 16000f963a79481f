/** MariaDB's bulk execution through the executable: one command, many rows of values, each of them held to the policy. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe } from "node:test";
import { type Connection, createConnection, type SqlError } from "mariadb";
import { plaintextBackend } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

/** The later one tells the outcome of each row, where the client asks for it. */
const servers = await Promise.all([startServer({ kind: "mariadb" }), startServer({ kind: "mariadb11" })]);
const folder = mkdtempSync(join(tmpdir(), "querycop-bulk-"));
const open: Connection[] = [];

afterEach(async () => {
  for (const connection of open.splice(0)) connection.destroy();
  await endStage();
});
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});
before(async () => {
  for (const server of servers) {
    await server.rootQuery(
      "CREATE TABLE appdb.orders (id INT PRIMARY KEY, tenant_id INT DEFAULT 8, note VARCHAR(40)); " +
        "CREATE TABLE appdb.free (id INT PRIMARY KEY, note VARCHAR(40), price DOUBLE)",
    );
  }
});

const TENANT = "version: 1\ntenants: [{ tables: [appdb.orders], column: tenant_id, value: 7 }]\n";

async function start(server: TestServer, policy: string): Promise<Querycop> {
  const file = join(folder, `policy-${server.kind}.yaml`);
  writeFileSync(file, policy, { mode: 0o600 });
  return await startStaged({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: file });
}

async function connect(server: TestServer, port = server.port): Promise<Connection> {
  const { user, password } = server.account("admin");
  const connection = await createConnection({ host: "127.0.0.1", port, user, password, database: "appdb", ssl: false });
  open.push(connection);
  return connection;
}

/** Every third without a note. The first has one: values of another type than its own come in a packet of their own. */
function rowsOf(count: number): unknown[][] {
  return Array.from({ length: count }, (_, id) => [id, (id + 1) % 3 === 0 ? null : `note ${id}`, id / 7 + 0.5]);
}

async function failureOf(work: Promise<unknown>): Promise<SqlError> {
  const thrown = await work.then(
    () => assert.fail("it went through"),
    (error: unknown) => error as SqlError,
  );
  return thrown;
}

const tellBulk = ({ command, boundRows }: Record<string, unknown>): unknown => ({ command, boundRows });

for (const server of servers) {
  describe(`bulk execution on ${server.kind}`, () => {
    e2e("writes what it writes without querycop, tells the same, and is one record with its rows", async () => {
      const querycop = await start(server, TENANT);
      const told: unknown[] = [];
      const found: unknown[] = [];
      for (const port of [server.port, querycop.port]) {
        const connection = await connect(server, port);
        await connection.query("DELETE FROM free WHERE id >= 0");
        const inserted = await connection.batch("INSERT INTO free VALUES (?, ?, ?)", rowsOf(2_000));
        const changes = Array.from({ length: 50 }, (_, id) => [`changed ${id}`, id * 2]);
        const updated = await connection.batch("UPDATE free SET note = ? WHERE id = ?", changes);
        const removed = await connection.batch("DELETE FROM free WHERE id = ?", [[1], [3], [5], [99_999]]);
        const twice = await failureOf(
          connection.batch("INSERT INTO free VALUES (?, 'x', NULL)", [[70_000], [8], [70_001]]),
        );
        told.push([inserted, updated, removed, twice.errno]);
        found.push(await connection.query("SELECT * FROM free ORDER BY id"));
      }
      assert.deepEqual(told[1], told[0]);
      assert.deepEqual(found[1], found[0]);
      const records = await eventually("all are on record", () => {
        const bulk = querycop.audit().filter(({ type, command }) => {
          return type === "statement-intent" && command === "COM_STMT_BULK_EXECUTE";
        });
        return bulk.length === 4 ? bulk : undefined;
      });
      assert.deepEqual(
        records.map(tellBulk),
        [2_000, 50, 4, 3].map((boundRows) => ({ command: "COM_STMT_BULK_EXECUTE", boundRows })),
      );
    });

    e2e("is refused as a whole for one row of another tenant, wherever it stands", async () => {
      const querycop = await start(server, TENANT);
      const connection = await connect(server, querycop.port);
      const insert = "INSERT INTO orders (id, tenant_id) VALUES (?, ?)";
      const own = (from: number) => Array.from({ length: 600 }, (_, at) => [from + at, 7]);
      await connection.batch(insert, own(0));
      const count = async () => (await server.rootQuery("SELECT COUNT(*), SUM(tenant_id = 7) FROM appdb.orders"))[0];
      assert.deepEqual(await count(), ["600", "600"]);
      for (const at of [0, 1, 300, 599]) {
        // A NULL in the first row leaves its type open, and the client sends the rows of another type in a packet of their own.
        for (const stranger of at === 0 ? [8] : [8, null]) {
          const rows = own(1_000);
          rows[at] = [1_000 + at, stranger as number];
          assert.equal((await failureOf(connection.batch(insert, rows))).errno, 1148, `${stranger} at ${at}`);
        }
      }
      const update = "UPDATE orders SET note = ? WHERE tenant_id = ? AND id = ?";
      const strange = await failureOf(
        connection.batch(update, [
          ["a", 7, 1],
          ["b", 8, 2],
          ["c", 7, 3],
        ]),
      );
      assert.equal(strange.errno, 1148);
      assert.deepEqual(await count(), ["600", "600"]);
      await connection.batch(update, [
        ["a", 7, 1],
        ["c", 7, 3],
      ]);
      assert.equal((await server.rootQuery("SELECT COUNT(note) FROM appdb.orders"))[0]?.[0], "2");
      const blocked = querycop.audit().filter(({ type }) => type === "statement-blocked");
      assert.ok(blocked.every(({ boundRows }) => boundRows === 600 || boundRows === 3));
    });

    e2e("is counted and taken back as one change by max_changed_rows", async () => {
      const querycop = await start(server, "version: 1\nimpact: { max_changed_rows: 350 }\n");
      const connection = await connect(server, querycop.port);
      await server.rootQuery("DELETE FROM appdb.free WHERE id >= 10000");
      const insert = "INSERT INTO free (id) VALUES (?)";
      const rows = (from: number, count: number) => Array.from({ length: count }, (_, at) => [from + at]);
      await connection.batch(insert, rows(10_000, 350));
      const tooMany = await failureOf(connection.batch(insert, rows(20_000, 351)));
      assert.match(tooMany.message, /351 rows changed, max_changed_rows is 350: rolled back/);
      const [left] = await server.rootQuery("SELECT COUNT(*) FROM appdb.free WHERE id >= 10000");
      assert.deepEqual(left, ["350"]);
      await connection.query("SELECT 1");
    });
  });
}
