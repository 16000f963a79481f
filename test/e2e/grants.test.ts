/** `querycop policy grants` on real servers: with what it prints a profile's statements run, and the server refuses others. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { connectStaged, endStage } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { runQuerycop } from "../support/querycop.ts";
import type { WirePacket } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb"];
const servers = await Promise.all(KINDS.map((kind) => startServer({ kind })));
afterEach(endStage);
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

const POLICY = `version: 1
profiles:
  - { name: reader, match: { users: [g_reader] }, read_only: true, schemas: [my_app], allow: { routines: [my_app.p] } }
  - { name: app, match: { users: [g_app] }, schemas: [my_app], allow: { statements: [select, insert, update, delete] } }
  - { name: one table, match: { users: [g_table] }, allow: { tables: [my_app.item], statements: [select] } }
  - { name: migrations, match: { users: [g_migrate] }, schemas: [my_app] }
`;

const READS = ["SELECT * FROM my_app.item", "SHOW CREATE VIEW my_app.v"];
const ROWS = [
  "INSERT INTO my_app.item VALUES (1, 1)",
  "INSERT INTO my_app.item VALUES (1, 2) ON DUPLICATE KEY UPDATE a = 3",
  "UPDATE my_app.item SET a = 4 WHERE id = 1",
  "DELETE FROM my_app.item WHERE id = 1",
];
const DEFINITIONS = [
  "CREATE TABLE my_app.made (id INT PRIMARY KEY)",
  "ALTER TABLE my_app.made ADD a INT",
  "CREATE INDEX i ON my_app.made (a)",
  "CREATE VIEW my_app.w AS SELECT 1 AS a",
  "CREATE PROCEDURE my_app.q() SELECT 1",
  "CALL my_app.q()",
  "DROP PROCEDURE my_app.q",
  "DROP VIEW my_app.w",
  "TRUNCATE my_app.made",
  "RENAME TABLE my_app.made TO my_app.made2",
  "DROP TABLE my_app.made2",
];
const NEVER = [
  "SELECT * FROM otherdb.t1",
  "CREATE USER g_new",
  "CREATE DATABASE g_new",
  "SET GLOBAL max_connections = 99",
];

const MAY: readonly (readonly [user: string, may: readonly string[], mayNot: readonly string[]])[] = [
  [
    "g_reader",
    [...READS, "CALL my_app.p()"],
    [...ROWS, "CREATE TABLE my_app.x (a INT)", "DROP TABLE my_app.item", ...NEVER],
  ],
  ["g_app", [...READS, ...ROWS], ["DROP TABLE my_app.item", "TRUNCATE my_app.item", "CALL my_app.p()", ...NEVER]],
  ["g_table", ["SELECT * FROM my_app.item"], ["SELECT * FROM my_app.other", ...ROWS, ...NEVER]],
  ["g_migrate", [...READS, ...ROWS, ...DEFINITIONS], NEVER],
];

function errorOf(packets: readonly WirePacket[]): number {
  const last = packets.at(-1)?.payload;
  return last?.[0] === 0xff ? last.readUInt16LE(1) : 0;
}

for (const server of servers) {
  describe(`the GRANTs of policy grants on ${server.kind}`, () => {
    e2e("are enough for what each profile may do, and for nothing else", async () => {
      const file = join(server.folder, "grants.yaml");
      writeFileSync(file, POLICY, { mode: 0o600 });
      const printed: string[] = [];
      for (const name of ["reader", "app", "one table", "migrations"]) {
        const result = await runQuerycop(["policy", "grants", file, "--profile", name]);
        assert.equal(result.code, 0, result.stderr);
        printed.push(result.stdout);
      }
      const plugin = server.kind === "mysql" ? "caching_sha2_password" : "mysql_native_password";
      const password = "Gr4nts:Passw0rd";
      const identified =
        server.kind === "mysql"
          ? `IDENTIFIED WITH ${plugin} BY '${password}'`
          : `IDENTIFIED VIA ${plugin} USING PASSWORD('${password}')`;
      await server.rootQuery(
        [
          "CREATE DATABASE my_app",
          "CREATE DATABASE myxapp",
          "CREATE TABLE my_app.item (id INT PRIMARY KEY, a INT)",
          "CREATE TABLE my_app.other (id INT PRIMARY KEY)",
          "CREATE TABLE myxapp.item (id INT PRIMARY KEY)",
          "CREATE VIEW my_app.v AS SELECT 1 AS a",
          "CREATE PROCEDURE my_app.p() SELECT 1",
          ...MAY.map(([user]) => `CREATE USER '${user}'@'%' ${identified}`),
          ...MAY.map(([user]) => `GRANT USAGE ON *.* TO '${user}'@'%'`),
        ].join(";\n"),
      );
      await server.rootQuery(printed.join("\n"));
      for (const [user, may, mayNot] of MAY) {
        const raw = await connectStaged(server.port);
        await raw.login({ user, password });
        for (const sql of may) assert.equal(errorOf(await raw.query(sql)), 0, `${user}: ${sql}`);
        for (const sql of [...mayNot, "SELECT * FROM myxapp.item"]) {
          assert.ok(REFUSALS.has(errorOf(await raw.query(sql))), `${user}: ${sql}`);
        }
      }
    });
  });
}

/** Access denied to a schema, a table, a routine, an account statement, or a privilege of the server. */
const REFUSALS: ReadonlySet<number> = new Set([1044, 1142, 1143, 1227, 1370]);
