/**
 * Statements that empty, replace or change a whole table without looking like it: each does so straight on real servers,
 * and none through querycop where the family of kinds, or a missing WHERE, is denied.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { e2e } from "../support/e2e-test.ts";
import { startQuerycop } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const folder = mkdtempSync(join(tmpdir(), "querycop-whole-tables-"));
const policyFile = join(folder, "policy.yaml");
writeFileSync(
  policyFile,
  `version: 1
thresholds: { warn: off, block: off }
rules: { dml.nowhere: block }
deny: { statements: [delete, drop-table, truncate] }
`,
  { mode: 0o600 },
);
after(() => rmSync(folder, { recursive: true, force: true }));

const SETUP = [
  "DROP DATABASE IF EXISTS whole",
  "CREATE DATABASE whole",
  "USE whole",
  "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)",
  "INSERT INTO t VALUES (1, 1), (2, 2)",
  "CREATE TABLE ok (id INT PRIMARY KEY)",
];
const STATE = "SELECT CONCAT_WS(':', COUNT(*), SUM(id), SUM(n)) AS state FROM whole.t";

const WAYS: readonly (readonly [sql: string, on?: ServerKind])[] = [
  // A family of kinds
  ["DELETE a FROM t AS a WHERE a.id = 1"],
  ["DELETE FROM a USING t AS a WHERE a.id = 1"],
  ["WITH c AS (SELECT 1 AS id) DELETE a FROM t AS a JOIN c ON c.id = a.id", "mysql"],
  ["EXECUTE IMMEDIATE 'DELETE FROM t WHERE id = 1'", "mariadb"],
  ["BEGIN NOT ATOMIC DELETE FROM t WHERE id = 1; END", "mariadb"],
  ["DELETE FROM t WHERE id = 1 RETURNING id", "mariadb"],
  ["ALTER TABLE t ENGINE=BLACKHOLE", "mysql"],
  ["CREATE OR REPLACE TABLE t (id INT, n INT)", "mariadb"],
  ["CREATE OR REPLACE TABLE t SELECT 3 AS id, 3 AS n", "mariadb"],
  ["/*!50000 TRUNCATE */ t"],
  // No row is left out
  ["UPDATE t SET n = 0"],
  ["UPDATE t SET n = 0 WHERE id IN (id)"],
  ["UPDATE t SET n = 0 WHERE id = id OR n > 7"],
  ["UPDATE t LEFT JOIN ok ON 0 SET t.n = 0 WHERE ok.id IS NULL"],
  ["REPLACE INTO t SELECT id, 0 FROM t"],
  ["INSERT INTO t SELECT id, 5 FROM t AS s ON DUPLICATE KEY UPDATE n = 0"],
];

for (const kind of ["mysql", "mariadb"] as const) {
  e2e(`${kind}: a whole table is not changed by what does not look like it`, async () => {
    const server = await startServer({ kind });
    const querycop = await startQuerycop({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
    const direct = await RawClient.connect(server.host, server.port);
    await direct.login(server.account("admin"));
    const state = async (): Promise<string> =>
      (await direct.query(STATE)).map(({ payload }) => payload.toString("latin1")).join("|");
    const setUp = async (): Promise<string> => {
      for (const sql of SETUP) await direct.query(sql);
      return await state();
    };
    for (const [sql] of WAYS.filter(([, on = kind]) => on === kind)) {
      const intact = await setUp();
      await direct.query(sql);
      assert.notEqual(await state(), intact, `${sql} changes nothing straight on the server`);
      await setUp();
      const client = await RawClient.connect(querycop.host, querycop.port);
      await client.login({ ...server.account("admin"), database: "whole" });
      const answer = await client.query(sql);
      assert.match(answer[0]?.payload.toString("latin1") ?? "", /querycop/, sql);
      assert.equal(await state(), intact, sql);
      client.quit();
    }
    direct.quit();
    await querycop.stop();
    await server.stop();
  });
}
