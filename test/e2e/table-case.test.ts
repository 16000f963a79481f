/**
 * Where the case of tables' names counts, a permission for `orders` is none for `Orders`, and what denies means both; where
 * the server says that it does not count, applications may write names as they like.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { CAPABILITY, type RawClient } from "../support/raw-client.ts";
import { LOWER_CASE_TABLES, startServer, type TestServer } from "../support/servers.ts";

const MARKER = "OTHER-TABLE";

const POLICY = `version: 1
thresholds: { warn: off, block: off }
multi_statements: true
allow:
  tables: [qc.orders, qc.secret, information_schema.*]
  functions: [qc.harmless]
  routines: [qc.harmless_too]
deny: { tables: [qc.secret] }
read_only: true
`;

const SCHEMAS_POLICY = "version: 1\nthresholds: { warn: off, block: off }\nschemas: [qc]\n";

const EXCEPTED_POLICY = `version: 1
deny: { tables: ["qc.*"] }
exceptions: [{ id: e, reason: own, expires: 2099-01-01, rules: [pol.deny.table], tables: [qc.orders] }]
`;

/** Two tables and two schemas that differ in nothing but case. */
const SETUP = `
CREATE DATABASE qc; CREATE DATABASE QC;
CREATE TABLE qc.orders (a VARCHAR(20)); INSERT INTO qc.orders VALUES ('mine');
CREATE TABLE qc.Orders (a VARCHAR(20)); INSERT INTO qc.Orders VALUES ('${MARKER}');
CREATE TABLE QC.orders (a VARCHAR(20)); INSERT INTO QC.orders VALUES ('${MARKER}');
CREATE TABLE qc.Secret (a VARCHAR(20)); INSERT INTO qc.Secret VALUES ('${MARKER}');
CREATE FUNCTION qc.harmless() RETURNS VARCHAR(20) DETERMINISTIC RETURN 'mine';
CREATE FUNCTION QC.harmless() RETURNS VARCHAR(20) DETERMINISTIC RETURN '${MARKER}';
CREATE PROCEDURE qc.harmless_too() SELECT 'mine';
CREATE PROCEDURE QC.harmless_too() SELECT '${MARKER}';
`;

const OTHERS = [
  "SELECT a FROM qc.Orders",
  "SELECT a FROM QC.orders",
  "SELECT o.a FROM qc.orders m JOIN qc.ORDERS x RIGHT JOIN qc.Orders o ON 1",
  "USE qc; SELECT a FROM Orders",
  "USE QC; SELECT a FROM orders",
  "PREPARE p FROM 'SELECT a FROM qc.Orders'; EXECUTE p",
  "SELECT (SELECT a FROM QC.orders)",
  "SELECT a FROM qc.Secret",
  "SELECT QC.harmless()",
  "CALL QC.harmless_too()",
];

const OWN = [
  "SELECT a FROM qc.orders",
  "SELECT qc.harmless()",
  "SELECT table_name FROM INFORMATION_SCHEMA.Tables LIMIT 1",
];

afterEach(endStage);
const servers: TestServer[] = [];
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

async function open(server: TestServer, policy: string, schema = "qc", isTracked = true): Promise<RawClient> {
  const policyFile = join(server.folder, "policy.yaml");
  writeFileSync(policyFile, policy, { mode: 0o600 });
  const proxy = await startStaged({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
  const client = await connectStaged(proxy.port);
  const moreCapabilities = isTracked ? CAPABILITY.SESSION_TRACK : 0;
  await client.login({ ...server.account("admin"), database: schema, moreCapabilities });
  return client;
}

async function ask(client: RawClient, sql: string): Promise<string> {
  return (await client.query(sql)).map(({ payload }) => payload.toString("latin1")).join("\n");
}

for (const kind of ["mysql", "mariadb"] as const) {
  const exact = await startServer({ kind });
  const folding = await startServer({ kind, options: [LOWER_CASE_TABLES] });
  servers.push(exact, folding);
  await exact.rootQuery(SETUP);
  await folding.rootQuery(
    "CREATE DATABASE qc; CREATE TABLE qc.orders (a VARCHAR(20)); INSERT INTO qc.orders VALUES ('mine'); CREATE TABLE qc.secret (a INT)",
  );

  describe(`the case of tables on ${kind}`, () => {
    e2e("counts in what permits, and not in what denies, where the server tells names by it", async () => {
      for (const isTracked of [true, false]) {
        const client = await open(exact, POLICY, "qc", isTracked);
        for (const sql of OTHERS) assert.ok(!(await ask(client, sql)).includes(MARKER), sql);
        await ask(client, "USE qc");
        for (const sql of OWN) assert.doesNotMatch(await ask(client, sql), /querycop/, sql);
        assert.match(await ask(client, "SELECT a FROM qc.orders"), /mine/);
        const direct = await connectStaged(exact.port);
        await direct.login({ ...exact.account("admin"), database: "qc" });
        const shown = await Promise.all([ask(direct, "SELECT a FROM qc.Orders")]);
        assert.match(shown.join(), new RegExp(MARKER), "there is something to be kept from");
      }
    });

    e2e("counts in lists of schemas and in exceptions", async () => {
      const listed = await open(exact, SCHEMAS_POLICY);
      assert.match(await ask(listed, "SELECT a FROM QC.orders"), /pol\.schema/);
      assert.match(await ask(listed, "USE QC"), /pol\.schema/);
      assert.match(await ask(listed, "SELECT a FROM qc.orders"), /mine/);
      const excepted = await open(exact, EXCEPTED_POLICY);
      assert.match(await ask(excepted, "SELECT a FROM qc.Orders"), /pol\.deny\.table/);
      assert.match(await ask(excepted, "SELECT a FROM qc.orders"), /mine/);
    });

    e2e("does not count where the server says so", async () => {
      for (const isTracked of [true, false]) {
        const client = await open(folding, POLICY, "qc", isTracked);
        for (const sql of ["SELECT a FROM qc.Orders", "SELECT A FROM QC.ORDERS", "SELECT a FROM orders"]) {
          assert.match(await ask(client, sql), /mine/, sql);
        }
        assert.match(await ask(client, "SELECT a FROM QC.SECRET"), /pol\.deny\.table/);
      }
      assert.match(await ask(await open(folding, SCHEMAS_POLICY), "SELECT a FROM QC.ORDERS"), /mine/);
    });
  });
}
