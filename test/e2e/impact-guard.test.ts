/** The impact guard through the executable: estimates by EXPLAIN on a side login, and statements taken back on real servers. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe } from "node:test";
import { createConnection } from "mysql2/promise";
import { awsEnvironment, iamSettings } from "../support/aws-token.ts";
import { clusterBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { AuditLine, Querycop, Settings } from "../support/querycop.ts";
import type { RawClient, WirePacket } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
const servers = await Promise.all([
  startServer({ kind: "mysql", certificate }),
  startServer({ kind: "mariadb11", certificate }),
]);
for (const server of servers) server.setIam(iamSettings(CLUSTER_HOST, server.port));

afterEach(endStage);
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  certificates.remove();
});
before(async () => {
  for (const server of servers) {
    await server.rootQuery(
      "CREATE TABLE appdb.stock (id INT PRIMARY KEY AUTO_INCREMENT, kind INT, name VARCHAR(20) NOT NULL, KEY (kind)); " +
        "INSERT INTO appdb.stock (kind, name) SELECT a.n % 10, 'x' FROM appdb.numbers a JOIN appdb.numbers b WHERE b.n <= 10; " +
        "ANALYZE TABLE appdb.stock; CREATE TABLE appdb.plain (id INT) ENGINE=MyISAM; " +
        "INSERT INTO appdb.plain SELECT n FROM appdb.numbers",
    );
  }
});

const POLICY = `
version: 1
multi_statements: true
impact:
  estimated_rows: { warn: 400, block: 2500 }
  no_estimate: block
  max_changed_rows: 350
`;
const GUARD_ONLY = "version: 1\nimpact: { max_changed_rows: 350 }\n";

let policies = 0;

async function start(server: TestServer, policy: string, settings: Settings = {}): Promise<Querycop> {
  const policyFile = join(certificates.folder, `policy-${++policies}.yaml`);
  writeFileSync(policyFile, policy, { mode: 0o600 });
  return await startStaged({
    ...awsEnvironment(),
    ...clusterBackend(server, certificates),
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
    GATEKEEPER_POLICY_FILE: policyFile,
    ...settings,
  });
}

async function connect(port: number, user = "iam_user", password = ""): Promise<RawClient> {
  const raw = await connectStaged(port);
  await raw.login({ user, password, database: "appdb" });
  return raw;
}

const textOf = (packets: readonly WirePacket[]): string => String(packets.at(-1)?.payload.toString("latin1"));
const isOk = (packets: readonly WirePacket[]): boolean => packets[0]?.payload[0] === 0;

async function countOf(server: TestServer, where: string): Promise<string | undefined> {
  return (await server.rootQuery(`SELECT COUNT(*) FROM appdb.stock WHERE ${where}`))[0]?.[0];
}

function ownTexts(querycop: Querycop): unknown[] {
  return querycop.audit().flatMap((line) => (line.type === "own-statement" ? [line["text"]] : []));
}

function outcomes(querycop: Querycop): AuditLine[] {
  return querycop.audit().filter(({ type }) => type === "statement-outcome");
}

for (const server of servers) {
  describe(`the impact guard before ${server.kind}`, () => {
    e2e("asks EXPLAIN with the session's schema and sql_mode, and blocks by the answer", async () => {
      const querycop = await start(server, POLICY);
      const raw = await connect(querycop.port);
      assert.ok(isOk(await raw.query("SET SESSION sql_mode='ANSI_QUOTES'")));
      const blocked = await raw.query("DELETE FROM \"stock\" WHERE name LIKE '%y'");
      assert.match(
        textOf(blocked),
        /blocked by rule pol\.impact\.rows \(risk \d+\): the server expects to go through about \d+ rows, block is set from 2500/,
      );
      assert.match(textOf(await raw.query("SELECT id FROM stock")), /pol\.impact\.rows/);
      assert.ok((await raw.query("SELECT id FROM stock WHERE id = 7")).length > 2, "a key finds one row");
      assert.ok((await raw.query("SELECT id FROM stock LIMIT 10")).length > 2, "LIMIT bounds it: nothing is asked");
      const asked = server.generalLog().filter(({ argument }) => argument.startsWith("EXPLAIN FORMAT"));
      assert.deepEqual(
        asked.slice(-3).map(({ argument }) => argument.slice(27)),
        ["DELETE FROM \"stock\" WHERE name LIKE '%y'", "SELECT id FROM stock", "SELECT id FROM stock WHERE id = 7"],
      );
      assert.ok(ownTexts(querycop).some((text) => String(text).startsWith("EXPLAIN FORMAT=TRADITIONAL SELECT `id`")));
      assert.ok(
        querycop.audit().every((line) => !JSON.stringify(line).includes("'%y'")),
        "no literal is recorded",
      );
      const intent = querycop.audit().find((line) => line.type === "statement-intent" && line["estimatedRows"] === 1);
      assert.ok(intent !== undefined);
      await eventually("side logins are gone", async () => {
        const left = await server.rootQuery("SELECT id FROM information_schema.processlist WHERE user='iam_user'");
        return left.length === 1;
      });
    });

    e2e("estimates a prepared statement by the values of each execution", async () => {
      const querycop = await start(server, POLICY);
      const options = { host: "127.0.0.1", port: querycop.port, user: "iam_user", database: "appdb" };
      const connection = await createConnection(options);
      const sql = "SELECT id FROM stock WHERE id > ? AND name <> ?";
      await assert.rejects(connection.execute(sql, [0, "it's none"]), /pol\.impact\.rows/);
      const [rows] = await connection.execute(sql, [1_000_000, "it's none"]);
      assert.deepEqual(rows, []);
      await connection.end();
      assert.ok(!querycop.auditText().includes("none"), "no value is recorded");
    });

    e2e("says when no estimate can be had", async () => {
      const querycop = await start(server, POLICY);
      const raw = await connect(querycop.port);
      assert.ok(isOk(await raw.query("CREATE TEMPORARY TABLE mine (id INT)")));
      assert.match(textOf(await raw.query("DELETE FROM mine WHERE id > 1")), /rule pol\.impact\.unknown/);
      assert.ok(
        querycop
          .logs()
          .some(({ event, error }) => event === "impact guard has no estimate" && String(error).includes("1146")),
      );
      assert.match(
        textOf(await raw.query("DELETE FROM mine WHERE id > 1; DELETE FROM mine WHERE id > 2")),
        /pol\.impact\.uncounted/,
      );
    });

    e2e("takes back what changed too many rows, and commits the rest byte for byte", async () => {
      const querycop = await start(server, GUARD_ONLY);
      const admin = server.account("admin");
      const direct = await connect(server.port, admin.user, admin.password);
      const raw = await connect(querycop.port);
      const refused = await raw.query("UPDATE stock SET name = 'gone' WHERE kind < 5");
      assert.match(
        textOf(refused),
        /^\xff.{2}#42000querycop: impact guard: 1500 rows changed, max_changed_rows is 350: rolled back/s,
      );
      assert.equal(await countOf(server, "name = 'gone'"), "0");
      assert.deepEqual(
        refused.map(({ sequenceId }) => sequenceId),
        [1],
      );
      // The same statement on the same data, with and without the guard: the same packets.
      await server.rootQuery(
        "CREATE TABLE appdb.twin LIKE appdb.stock; INSERT INTO appdb.twin SELECT * FROM appdb.stock",
      );
      await server.rootQuery("ALTER TABLE appdb.stock AUTO_INCREMENT=9000; ALTER TABLE appdb.twin AUTO_INCREMENT=9000");
      for (const sql of [
        "UPDATE stock SET name = 'kept' WHERE kind = 3",
        "UPDATE stock SET name = 'kept' WHERE kind = 3",
        "INSERT INTO stock (kind, name) SELECT 20, 'new' FROM numbers WHERE n <= 5",
        "SELECT LAST_INSERT_ID()",
        "UPDATE IGNORE stock SET name = 'a far too long name that is cut with a warning' WHERE kind = 3",
        // MySQL's COMMIT forgets them, and the count in the OK_Packet is what is left: docs/impact-guard.md.
        ...(server.kind === "mysql" ? [] : ["SHOW WARNINGS LIMIT 3"]),
        "DELETE FROM stock WHERE name = 'new'",
        "DELETE FROM stock WHERE nosuch = 1",
      ]) {
        assert.deepEqual(await raw.query(sql), await direct.query(sql.replaceAll("stock", "twin")), sql);
      }
      assert.equal(await countOf(server, "name = 'new'"), "0");
      const log = server.generalLog().filter(({ argument }) => argument.includes("NO CHAIN"));
      assert.ok(log.some(({ argument }) => argument.startsWith("ROLLBACK")));
      const [first] = outcomes(querycop).filter(({ outcome }) => outcome === "rolled-back");
      assert.deepEqual([first?.["affectedRows"], first?.["errorNumber"]], [1500, 1148]);
      assert.deepEqual(ownTexts(querycop).slice(0, 2), ["START TRANSACTION", "ROLLBACK AND NO CHAIN NO RELEASE"]);
    });

    e2e("guards prepared statements, and leaves locks and tables without transactions as they are", async () => {
      const querycop = await start(server, GUARD_ONLY);
      const raw = await connect(querycop.port);
      raw.writeCommand(0x16, "DELETE FROM stock WHERE kind < 5");
      const prepared = await raw.readPacket();
      assert.equal(prepared.payload[0], 0);
      const execute = Buffer.concat([prepared.payload.subarray(1, 5), Buffer.from([0, 1, 0, 0, 0])]);
      raw.writeCommand(0x17, execute);
      assert.match(String((await raw.readPacket()).payload.toString("latin1")), /1500 rows changed, .* rolled back/);
      assert.equal(await countOf(server, "kind < 5"), "1500");
      for (const sql of ["LOCK TABLES stock WRITE", "UPDATE stock SET name = 'lock' WHERE kind < 5", "UNLOCK TABLES"]) {
        assert.ok(isOk(await raw.query(sql)), sql);
      }
      assert.equal(await countOf(server, "name = 'lock'"), "1500", "under LOCK TABLES nothing is guarded");
      const half = await raw.query("DELETE FROM plain WHERE id < 400");
      assert.ok(isOk(half), "300 rows are within the limit");
      await server.rootQuery(
        "INSERT INTO appdb.plain SELECT a.n FROM appdb.numbers a JOIN appdb.numbers b WHERE b.n < 3",
      );
      assert.match(
        textOf(await raw.query("DELETE FROM plain WHERE id < 400")),
        /600 rows changed, .* could not take back all of it/,
      );
      assert.ok((await raw.query("SELECT 'still here'")).some(({ payload }) => payload.includes("still here")));
    });

    e2e("takes back in the client's own transaction what changed too many rows, and nothing else of it", async () => {
      const querycop = await start(server, GUARD_ONLY);
      const raw = await connect(querycop.port);
      const ok = async (sql: string): Promise<void> => assert.ok(isOk(await raw.query(sql)), sql);
      const tooMany = "UPDATE stock SET name = 'much' WHERE kind < 5";
      for (const [begin, end] of [
        ["BEGIN", "COMMIT"],
        ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT"],
        ["SET autocommit = 0", "SET autocommit = 1"],
        ["SET autocommit = 0", "COMMIT; SET autocommit = 1"],
        ["XA START 'guarded'", "XA END 'guarded'; XA COMMIT 'guarded' ONE PHASE"],
      ] as const) {
        await ok("UPDATE stock SET name = 'none' WHERE id BETWEEN 100 AND 120");
        await ok(begin);
        assert.match(textOf(await raw.query(tooMany)), /1500 rows changed, .* rolled back/, begin);
        await ok("SAVEPOINT mine");
        await ok("UPDATE stock SET name = 'part' WHERE id BETWEEN 100 AND 120");
        assert.match(textOf(await raw.query(tooMany)), /rolled back/, begin);
        assert.match(textOf(await raw.query("DELETE FROM stock WHERE nosuch = 1")), /Unknown column/);
        await ok("ROLLBACK TO SAVEPOINT mine");
        await ok("UPDATE stock SET name = 'part' WHERE id BETWEEN 105 AND 110");
        for (const sql of end.split("; ")) await ok(sql);
        assert.equal(await countOf(server, "name = 'part'"), "6", begin);
        assert.equal(await countOf(server, "name = 'much'"), "0", begin);
      }
      const strict = await start(server, GUARD_ONLY.replace("{ max", "{ no_estimate: block, max"));
      const other = await connect(strict.port);
      assert.ok(isOk(await other.query("LOCK TABLES stock WRITE")));
      assert.match(textOf(await other.query(tooMany)), /rule pol\.impact\.uncounted .* LOCK TABLES/);
      assert.ok(isOk(await other.query("SET autocommit = 0")));
      assert.match(textOf(await other.query(tooMany)), /1500 rows changed, .* rolled back/);
    });

    e2e("applies to what runs behind names and words, and refuses what nobody counts", async () => {
      const querycop = await start(server, `${GUARD_ONLY}multi_statements: true\nthresholds: { block: off }\n`);
      const raw = await connect(querycop.port);
      const change = "UPDATE stock SET name = 'deep' WHERE kind < 5";
      assert.ok(isOk(await raw.query(`PREPARE p FROM "${change}"`)));
      const isMariaDb = server.kind !== "mysql";
      for (const sql of [
        "EXECUTE p",
        ...(isMariaDb ? [`EXECUTE IMMEDIATE "${change}"`, `SET STATEMENT max_statement_time = 60 FOR ${change}`] : []),
      ]) {
        assert.match(textOf(await raw.query(sql)), /1500 rows changed, .* rolled back/, sql);
      }
      for (const sql of [
        `DO 1; ${change}`,
        ...(isMariaDb
          ? [`ANALYZE ${change}`, `BEGIN NOT ATOMIC ${change}; END`, "DELETE FROM stock WHERE kind < 5 RETURNING id"]
          : []),
      ]) {
        assert.match(textOf(await raw.query(sql)), /blocked by rule pol\.impact\.uncounted/, sql);
      }
      assert.equal(await countOf(server, "name = 'deep'"), "0");
      assert.ok(isOk(await raw.query("PREPARE few FROM \"UPDATE stock SET name = 'few' WHERE id < 9\"")));
      assert.ok(isOk(await raw.query("EXECUTE few")));
      assert.equal(await countOf(server, "name = 'few'"), "8");
      const estimating = await start(server, POLICY);
      const other = await connect(estimating.port);
      assert.ok(isOk(await other.query("PREPARE p FROM \"DELETE FROM stock WHERE name = 'x'\"")));
      assert.match(textOf(await other.query("EXECUTE p")), /blocked by rule pol\.impact\.unknown/);
    });

    e2e("treats a listener without a token source as one without estimates, and still guards", async () => {
      const account = server.account("admin");
      const querycop = await start(server, `${POLICY.replace("no_estimate: block", "no_estimate: warn")}`, {
        GATEKEEPER_BACKEND_TOKEN_SOURCE: undefined,
        GATEKEEPER_CLIENT_AUTH: undefined,
      });
      const raw = await connect(querycop.port, account.user, account.password);
      assert.match(textOf(await raw.query("UPDATE stock SET name = 'gone' WHERE kind < 5")), /1500 rows changed/);
      const intent = querycop.audit().find((line) => line.type === "statement-intent" && line["decision"] === "warn");
      assert.deepEqual(intent?.["rules"], ["pol.impact.unknown"]);
      const why = querycop.logs().filter(({ event }) => event === "impact guard has no estimate");
      assert.match(String(why[0]?.["why"]), /no token source/);
      assert.ok(querycop.logs().some(({ event }) => event === "impact guard cannot estimate"));
    });
  });
}
