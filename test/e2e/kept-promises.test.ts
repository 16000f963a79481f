/**
 * What policy and people are promised, by its effect on real servers through the executable: profiles of schemas are not left,
 * nobody is handed what is denied, people see what runs by another name, and neither long texts nor wrong keys keep others
 * waiting. Every statement that must have no effect has it straight on the server.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop, Settings } from "../support/querycop.ts";
import { CAPABILITY, type RawClient, type WirePacket } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const folder = mkdtempSync(join(tmpdir(), "querycop-promises-"));
const running: TestServer[] = [];
after(async () => {
  for (const server of running) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(endStage);

const KEY = "the right key of this test";

/** Each is a way to the wages of another schema, whose profile reads only. */
const AWAY: readonly { readonly on?: "mysql" | "mariadb"; readonly run: readonly string[] }[] = [
  { run: ["DELETE FROM pay.wages"] },
  { run: ["USE app", "DELETE FROM pay.wages"] },
  { run: ["USE app; DELETE FROM pay.wages"] },
  { run: ["USE app", "UPDATE t, pay.wages SET wages.a = 2 WHERE t.a = 1"] },
  { run: ["USE app", "INSERT INTO pay.wages SELECT a FROM t"] },
  { run: ["USE app", "PREPARE s FROM 'DELETE FROM pay.wages'", "EXECUTE s"] },
  { run: ["USE app", "SET @v = 'DELETE FROM pay.wages'", "PREPARE s FROM @v", "EXECUTE s"] },
  { run: ["USE app", "TRUNCATE TABLE pay.wages"] },
  { run: ["USE app", "RENAME TABLE pay.wages TO app.wages"] },
  { run: ["USE app", "CREATE VIEW app.w AS SELECT a FROM pay.wages", "DELETE FROM app.w"] },
  { run: ["USE app", "DROP DATABASE pay"] },
  { on: "mariadb", run: ["EXECUTE IMMEDIATE 'USE app'", "DELETE FROM pay.wages"] },
  { on: "mariadb", run: ["SET STATEMENT session_track_schema=OFF FOR USE app", "DELETE FROM pay.wages"] },
];

/** Each gives the other account, or what it has, the denied table. */
const HANDED: readonly { readonly on?: "mysql" | "mariadb"; readonly run: string }[] = [
  { run: "GRANT SELECT ON pay.secret TO other" },
  { run: "GRANT SELECT ON pay.* TO other" },
  { run: "GRANT SELECT ON `p_y`.* TO other" },
  { run: "GRANT SELECT ON `p%`.* TO other" },
  { run: "GRANT SELECT ON *.* TO other" },
  { run: "GRANT SELECT (word) ON pay.secret TO other" },
  { run: "GRANT ALL ON pay.secret TO other WITH GRANT OPTION" },
  { run: "CREATE DEFINER = CURRENT_USER SQL SECURITY DEFINER VIEW app.shown AS SELECT word FROM pay.secret" },
  { run: "RENAME TABLE pay.secret TO app.shown" },
  { run: "CREATE TABLE app.shown AS SELECT word FROM pay.secret" },
  { on: "mysql", run: "GRANT reader TO other; SET DEFAULT ROLE reader TO other" },
  { on: "mariadb", run: "GRANT reader TO other; SET DEFAULT ROLE reader FOR other" },
];

/** A kind is denied with its whole family; the others are blocked by their points. */
const FORMS: readonly { readonly on?: "mysql" | "mariadb"; readonly run: string; readonly isByPoints?: boolean }[] = [
  { run: "DELETE FROM kept WHERE a = 1" },
  { run: "DELETE kept FROM kept JOIN t ON t.a = kept.a" },
  { run: "DELETE FROM kept USING kept JOIN t ON t.a = kept.a" },
  { run: "WITH x AS (SELECT 1 AS a) DELETE kept FROM kept JOIN x ON x.a = kept.a", on: "mysql" },
  { run: "UPDATE kept JOIN t ON t.a = kept.a SET kept.a = 5" },
  { run: "PREPARE s FROM 'DELETE kept FROM kept JOIN t ON t.a = kept.a'; EXECUTE s" },
  { run: "CREATE TABLE made AS SELECT 1 AS a" },
  { run: "CREATE TABLE made LIKE kept" },
  { run: "CREATE OR REPLACE TABLE kept (a INT)", on: "mariadb" },
  { run: "CREATE OR REPLACE TABLE kept (a INT)", on: "mariadb", isByPoints: true },
  { run: "ALTER TABLE kept ENGINE=BLACKHOLE", on: "mysql", isByPoints: true },
  { run: "DROP TABLE kept", isByPoints: true },
  { run: "TRUNCATE TABLE kept", isByPoints: true },
  { run: "DELETE FROM kept", isByPoints: true },
];

const isErr = (packets: readonly WirePacket[]): boolean => packets.some(({ payload }) => payload[0] === 0xff);
const textOf = (packets: readonly WirePacket[]): string =>
  packets.map(({ payload }) => payload.toString("latin1")).join("\n");

for (const kind of ["mysql", "mariadb"] as const) {
  const server = await startServer({ kind });
  running.push(server);
  await server.rootQuery(`CREATE USER other IDENTIFIED BY 'other'; CREATE ROLE reader; GRANT reader TO admin WITH ADMIN OPTION;
    CREATE DATABASE app; CREATE TABLE app.t (a INT); INSERT INTO app.t VALUES (1), (2)`);

  describe(`promises kept before ${kind}`, () => {
    async function start(policy: string, settings: Settings = {}): Promise<Querycop> {
      const policyFile = join(folder, "policy.yaml");
      writeFileSync(policyFile, `version: 1\nmulti_statements: true\n${policy}`, { mode: 0o600 });
      return await startStaged({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile, ...settings });
    }

    async function logIn(port: number, database: string, name = "admin"): Promise<RawClient> {
      const client = await connectStaged(port);
      const account = name === "admin" ? server.account("admin") : { user: name, password: name };
      await client.login({
        ...account,
        database,
        moreCapabilities: CAPABILITY.MULTI_STATEMENTS | CAPABILITY.SESSION_TRACK,
      });
      return client;
    }

    const here = <Item extends { readonly on?: string }>(items: readonly Item[]): Item[] =>
      items.filter(({ on = kind }) => on === kind);

    e2e("a profile of a schema holds for its tables wherever the session has gone", async () => {
      const reset =
        "DROP DATABASE IF EXISTS pay; CREATE DATABASE pay; CREATE TABLE pay.wages (a INT); INSERT INTO pay.wages VALUES (1), (1)";
      const clean = "DROP VIEW IF EXISTS app.w; DROP TABLE IF EXISTS app.wages";
      const root = await logIn(server.port, "app");
      const isChanged = async (): Promise<boolean> => {
        const rows = await root.query("SELECT CONCAT(COUNT(*), ' rows make ', SUM(a)) FROM pay.wages");
        return !textOf(rows).includes("2 rows make 2");
      };
      const querycop = await start(
        "rule_sets: { injection: off, hygiene: off }\nprofiles:\n  - { name: pay, match: { schemas: [pay] }, read_only: true }",
      );
      for (const { run } of here(AWAY)) {
        const outcomes: boolean[] = [];
        for (const port of [server.port, querycop.port]) {
          await root.query(`${clean}; ${reset}`);
          const client = await logIn(port, "pay");
          for (const sql of run) await client.query(sql);
          outcomes.push(await isChanged());
        }
        assert.deepEqual(outcomes, [true, false], `straight, through querycop: ${run.join("; ")}`);
      }
      const client = await logIn(querycop.port, "app");
      assert.equal(isErr(await client.query("UPDATE t SET a = a + 0 WHERE a = 1")), false, "other schemas go on");
    });

    e2e("nobody is handed what is denied", async () => {
      const reset = `DROP DATABASE IF EXISTS pay; CREATE DATABASE pay; CREATE TABLE pay.secret (word VARCHAR(20));
        INSERT INTO pay.secret VALUES ('QCSECRET'); DROP VIEW IF EXISTS app.shown; DROP TABLE IF EXISTS app.shown;
        DROP USER other; CREATE USER other IDENTIFIED BY 'other'; GRANT SELECT ON app.* TO other; GRANT SELECT ON pay.* TO reader`;
      const root = await logIn(server.port, "app");
      const isShown = async (): Promise<boolean> => {
        const other = await logIn(server.port, "app", "other");
        const answers = [
          await other.query("SELECT word FROM pay.secret"),
          await other.query("SELECT * FROM app.shown"),
        ];
        return textOf(answers.flat()).includes("QCSECRET");
      };
      const querycop = await start("thresholds: { warn: off, block: off }\ndeny: { tables: [pay.secret] }");
      for (const { run } of here(HANDED)) {
        const outcomes: boolean[] = [];
        for (const port of [server.port, querycop.port]) {
          await root.query(reset);
          const client = await logIn(port, "app");
          await client.query(run);
          outcomes.push(await isShown());
        }
        assert.deepEqual(outcomes, [true, false], `straight, through querycop: ${run}`);
      }
      const client = await logIn(querycop.port, "app");
      assert.equal(isErr(await client.query("GRANT INSERT ON app.t TO other")), false, "other tables are given on");
    });

    e2e("what is denied or weighs too much is refused in each of its forms", async () => {
      const reset = `DROP TABLE IF EXISTS app.kept; DROP TABLE IF EXISTS app.made; CREATE TABLE app.kept (a INT);
        INSERT INTO app.kept VALUES (1), (1)`;
      const root = await logIn(server.port, "app");
      const isChanged = async (): Promise<boolean> => {
        const rows = await root.query("SELECT CONCAT(COUNT(*), ' rows make ', SUM(a)) FROM app.kept");
        const made = await root.query("SHOW TABLES FROM app LIKE 'made'");
        return !textOf(rows).includes("2 rows make 2") || textOf(made.slice(2)).includes("made");
      };
      const byKind = await start(
        "thresholds: { warn: off, block: off }\ndeny: { statements: [delete, create-table, update] }",
      );
      const byPoints = await start("thresholds: { block: 60 }");
      for (const { run, on = kind, isByPoints = false } of FORMS) {
        if (on !== kind) continue;
        const outcomes: boolean[] = [];
        for (const { port } of [server, isByPoints ? byPoints : byKind]) {
          await root.query(reset);
          const client = await logIn(port, "app");
          await client.query(run);
          outcomes.push(await isChanged());
        }
        assert.deepEqual(outcomes, [true, false], `straight, through querycop: ${run}`);
      }
    });

    e2e("the record shows what runs by another name", async () => {
      const querycop = await start("thresholds: { warn: off, block: off }\nnot_understood: allow");
      await server.rootQuery("DELETE FROM app.t; INSERT INTO app.t VALUES (1), (2)");
      const client = await logIn(querycop.port, "app");
      const ways = [
        ["CALL sys.execute_prepared_stmt('DELETE FROM app.t WHERE a = 1')", "1"],
        ["PREPARE s FROM 'INSERT INTO app.t VALUES (7)'; EXECUTE s", "2"],
        ...(kind === "mariadb" ? [["EXECUTE IMMEDIATE 'INSERT INTO app.t VALUES (8)'", "3"]] : []),
      ] as const;
      for (const [sql, rows] of ways) {
        assert.equal(isErr(await client.query(sql ?? "")), false, sql);
        assert.deepEqual(await server.rootQuery("SELECT COUNT(*) FROM app.t"), [[rows]], `${sql} has run`);
        const told = querycop.audit().findLast(({ type }) => type === "statement-intent");
        assert.match(String(told?.["text"]), /(?:DELETE FROM|INSERT INTO) `app` \. `t`/, sql);
        assert.deepEqual(told?.["tables"], ["app.t"], sql);
      }
    });

    e2e("a session whose server tells more than it was asked for goes on", async () => {
      const querycop = await start("");
      const client = await logIn(querycop.port, "app");
      const changes = [
        ...[
          "SET session_track_state_change=ON",
          "SET sql_mode='ANSI_QUOTES'",
          "USE app",
          "SET @v = 1",
          "SET NAMES latin1",
        ],
        ...["CREATE TEMPORARY TABLE x (a INT)", "SET session_track_state_change=ON, sql_mode=''", "SET autocommit=0"],
        ...["INSERT INTO app.t VALUES (9)", "COMMIT", "SET session_track_schema=OFF, session_track_state_change=OFF"],
      ];
      for (const sql of changes) assert.equal(isErr(await client.query(sql)), false, sql);
      assert.match(textOf(await client.query("SELECT 'still here'")), /still here/);
    });

    if (kind === "mysql") {
      e2e("sessions are served while a worst text of another is judged", async () => {
        const querycop = await start("tenants: [{ tables: [a, b], column: tenant_id, value: 7 }]");
        const [busy, other] = [await logIn(querycop.port, "app"), await logIn(querycop.port, "app")];
        const unit = "a.tenant_id=b.tenant_id AND b.tenant_id=a.tenant_id AND ";
        const worst = `SELECT 1 FROM a, b WHERE ${unit.repeat(60_000)}1 = 1`;
        await other.query("SELECT 1");
        let isJudged = false;
        const judging = busy.query(worst).then((answer) => {
          isJudged = true;
          return answer;
        });
        let answered = 0;
        while (!isJudged) {
          await other.query(`SELECT ${answered}`);
          if (!isJudged) answered++;
        }
        assert.equal(isErr(await judging), true);
        // A judge that has the session's own thread lets one in between two texts.
        assert.ok(answered >= 5, `${answered} statements were answered meanwhile`);
      });

      e2e("the right key opens while wrong ones come from the same address", async () => {
        const querycop = await start("", { ADMIN_API_KEY: KEY });
        const line = await eventually("the admin API listens", () =>
          querycop.logs().find(({ event }) => event === "admin API listening"),
        );
        const port = Number(String(line["address"]).split(":").at(-1));
        const statusFor = (key: string): Promise<number> =>
          new Promise((resolve, reject) => {
            const headers = { Authorization: `Bearer ${key}` };
            const sent = request({ host: "127.0.0.1", port, path: "/sessions", headers, agent: false }, (response) => {
              response.resume().on("end", () => resolve(response.statusCode ?? 0));
            });
            sent.on("error", reject).end();
          });
        const wrong: number[] = [];
        const right: number[] = [];
        for (let round = 0; round < 5; round++) {
          const answers = await Promise.all([
            ...Array.from({ length: 6 }, (_, guess) => statusFor(`wrong ${round} ${guess}`)),
            statusFor(KEY),
          ]);
          right.push(...answers.splice(-1));
          wrong.push(...answers);
        }
        assert.deepEqual([...new Set(wrong)].sort(), [401, 429], "the address is shut to wrong keys");
        assert.deepEqual(right, [200, 200, 200, 200, 200]);
      });
    }
  });
}
