/** Read-only profiles through the executable: what the policy refuses, and what the server refuses behind it. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { FUNCTION_NAMES, isHarmlessCall } from "../../src/policy/rules/harmless-functions.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { contextOf } from "../support/effects-compare.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop } from "../support/querycop.ts";
import { CAPABILITY, type RawClient, type WirePacket } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb"];
const servers = await Promise.all(KINDS.map((kind) => startServer({ kind })));

afterEach(endStage);
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

/** What the policy is told to take for harmless: whatever the server then refuses, it refuses by itself. */
const TRUSTED = "allow: { functions: [writes, opens], routines: [appdb.open_wall] }";
const READ_ONLY = `read_only: true\n${TRUSTED}`;
const WALL = 1792;
const REFUSED = 1148;

const setUps = servers.map((server) => {
  const writes = (name: string, body: string): string =>
    `CREATE FUNCTION appdb.${name}() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN ${body} RETURN 1; END`;
  const insert = "INSERT INTO appdb.journal VALUES (1);";
  const statements = [
    "CREATE TABLE appdb.journal (id INT)",
    "CREATE TABLE appdb.plain (id INT) ENGINE=MyISAM",
    writes("writes", insert),
    writes("opens", "SET SESSION TRANSACTION READ WRITE;"),
    // Named like built-ins of the other server, and like words of the grammar.
    writes(server.kind === "mysql" ? "nvl" : "any_value", insert),
    writes("`if`", insert),
    writes("now ", insert),
    "CREATE PROCEDURE appdb.open_wall() BEGIN SET SESSION TRANSACTION READ WRITE; END",
    ...(server.kind === "mysql" ? [] : ["CREATE SEQUENCE appdb.sq"]),
  ];
  return server.rootQuery(`DELIMITER $$\n${statements.join("$$\n")}$$`);
});
await Promise.all(setUps);

let policies = 0;

async function start(server: TestServer, policy: string): Promise<Querycop & { replace(policy: string): void }> {
  const policyFile = join(server.folder, `policy-${++policies}.yaml`);
  const write = (text: string): void => writeFileSync(policyFile, `version: 1\n${text}\n`, { mode: 0o600 });
  write(policy);
  const querycop = await startStaged({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
  const replace = (text: string): void => {
    write(text);
    querycop.signal("SIGHUP");
  };
  return { ...querycop, replace };
}

async function connect(server: TestServer, port: number, moreCapabilities = 0): Promise<RawClient> {
  const { user, password } = server.account("admin");
  const raw = await connectStaged(port);
  await raw.login({ user, password, database: "appdb", moreCapabilities });
  return raw;
}

/** The number of the error, or 0. */
async function run(raw: RawClient, sql: string): Promise<number> {
  return errorOf(await raw.query(sql));
}

function errorOf(packets: readonly WirePacket[]): number {
  const last = packets.at(-1)?.payload;
  return last?.[0] === 0xff ? last.readUInt16LE(1) : 0;
}

const journal = async (server: TestServer): Promise<string[][]> =>
  await server.rootQuery("SELECT COUNT(*) FROM appdb.journal");

for (const server of servers) {
  describe(`a read-only profile before ${server.kind}`, () => {
    e2e("has the server refuse writes that the policy does not see, on every way to a fresh session", async () => {
      const querycop = await start(server, READ_ONLY);
      for (const capabilities of [0, CAPABILITY.SESSION_TRACK]) {
        const raw = await connect(server, querycop.port, capabilities);
        assert.equal(await run(raw, "SELECT writes()"), WALL, "after the login");
        raw.writeCommand(0x1f);
        assert.equal((await raw.readPacket()).payload[0], 0, "COM_RESET_CONNECTION");
        assert.equal(await run(raw, "SELECT writes()"), WALL, "after COM_RESET_CONNECTION");
        const { user, password } = server.account("admin");
        await raw.changeUser({ user, password, database: "appdb" });
        assert.equal(await run(raw, "SELECT writes()"), WALL, "after COM_CHANGE_USER");
        assert.equal(await run(raw, "BEGIN"), 0);
        assert.equal(await run(raw, "SELECT writes()"), WALL, "in a transaction");
        assert.equal(await run(raw, "COMMIT AND CHAIN"), 0);
        assert.equal(await run(raw, "SELECT writes()"), WALL, "in a chained transaction");
        assert.equal(await run(raw, "ROLLBACK"), 0);
        // MariaDB opens the function's table when it prepares, and refuses then.
        const prepared = await run(raw, "PREPARE p FROM 'SELECT writes()'");
        assert.equal(prepared === 0 ? await run(raw, "EXECUTE p") : prepared, WALL, "prepared by text");
      }
      assert.deepEqual(await journal(server), [["0"]]);
      const own = querycop.audit().filter(({ type }) => type === "own-statement");
      assert.ok(own.length >= 6);
      assert.deepEqual(
        [...new Set(own.map(({ purpose, text }) => `${purpose}: ${text}`))],
        ["read-only: SET SESSION TRANSACTION READ ONLY"],
      );
    });

    e2e("puts the wall up again behind everything that may have taken it down", async () => {
      const querycop = await start(server, READ_ONLY);
      const raw = await connect(server, querycop.port);
      for (const sql of [
        "SET SESSION TRANSACTION READ WRITE",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
        "CALL open_wall()",
      ]) {
        assert.equal(await run(raw, sql), 0, sql);
        assert.equal(await run(raw, "SELECT writes()"), WALL, `behind ${sql}`);
      }
      assert.equal(await run(raw, "CALL open_wall()"), 0);
      assert.equal(await run(raw, "SHOW WARNINGS"), 0);
      assert.equal(await run(raw, "SELECT writes()"), WALL);
      assert.deepEqual(await journal(server), [["0"]]);
    });

    e2e("lets nobody take the wall down, and nothing pass that would write or lock", async () => {
      const querycop = await start(server, `${READ_ONLY}\nmulti_statements: true\nthresholds: { block: off }`);
      const raw = await connect(server, querycop.port);
      const name = server.kind === "mysql" ? "transaction_read_only" : "tx_read_only";
      for (const sql of [
        "START TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        `SET SESSION ${name} = 0`,
        `SET @@${name} = OFF`,
        `SET @@session.\`${name}\` := DEFAULT`,
        `SET @v = 0, LOCAL ${name} = @v`,
        `PREPARE p FROM 'SET ${name} = 0'`,
        "SET SESSION TRANSACTION READ WRITE; INSERT INTO journal VALUES (9)",
        "SELECT 1; SET SESSION TRANSACTION READ WRITE",
        "SET sql_log_bin = 0",
        "SELECT /*+ SET_VAR(sql_log_bin = 0) */ 1",
        "SELECT /*+ SET_VAR(insert_id = 7) */ 1",
        "SELECT * FROM journal FOR UPDATE",
        "SELECT * FROM journal LOCK IN SHARE MODE",
        "SELECT GET_LOCK('querycop', 0)",
        "SELECT SLEEP(100)",
        "DO BENCHMARK(1000, MD5('x'))",
        "SELECT `if`()",
        "SELECT now ()",
        ...(server.kind === "mysql"
          ? ["SELECT nvl()", "SELECT * FROM journal FOR SHARE", "TABLE journal FOR UPDATE"]
          : [
              "SELECT any_value()",
              "SELECT NEXTVAL(sq)",
              "SELECT NEXT VALUE FOR sq",
              "SELECT SETVAL(sq, 100)",
              "SELECT sq.nextval",
              "SET STATEMENT tx_read_only = 0 FOR SELECT writes()",
              "EXECUTE IMMEDIATE 'START TRANSACTION READ WRITE'",
              "BEGIN NOT ATOMIC START TRANSACTION READ WRITE; INSERT INTO journal VALUES (9); COMMIT; END",
            ]),
      ]) {
        assert.equal(await run(raw, sql), REFUSED, sql);
      }
      if (server.kind === "mariadb") {
        assert.equal(await run(raw, "SET sql_mode = 'ORACLE'"), 0);
        assert.equal(await run(raw, "SELECT sq.nextval"), REFUSED);
        assert.deepEqual(await server.rootQuery("SELECT next_not_cached_value FROM appdb.sq"), [["1"]]);
      }
      assert.deepEqual(await journal(server), [["0"]]);
    });

    e2e("is told to the server when the policy changes, and other profiles are left alone", async () => {
      const querycop = await start(server, TRUSTED);
      const raw = await connect(server, querycop.port);
      assert.equal(await run(raw, "INSERT INTO plain VALUES (1)"), 0);
      const sets = () =>
        server.generalLog().filter(({ argument }) => /^SET SESSION TRANSACTION READ/.test(argument)).length;
      const before = sets();
      await eventually("the session is read only", async () => {
        querycop.replace(READ_ONLY);
        return (await run(raw, "SELECT writes()")) === WALL;
      });
      assert.equal(sets(), before + 1, "one SET for the profile that is read-only now");
      await eventually("the session may write again", async () => {
        querycop.replace(TRUSTED);
        return (await run(raw, "SELECT writes()")) === 0;
      });
      assert.equal(sets(), before + 2);
      await server.rootQuery("DELETE FROM appdb.journal");
      await eventually("observe mode refuses nothing", async () => {
        querycop.replace(`mode: observe\n${READ_ONLY}`);
        return (
          (await run(raw, "INSERT INTO journal VALUES (3)")) === 0 && (await run(raw, "DELETE FROM journal")) === 0
        );
      });
    });

    e2e("calls built-in functions of this very server only", async () => {
      const admin = server.account("admin");
      const direct = await connectStaged(server.port);
      await direct.login({ ...admin, database: "otherdb" });
      const spellings = [(name: string) => name, (name: string) => `${name} `, (name: string) => `\`${name}\``];
      const wrong: string[] = [];
      for (const name of FUNCTION_NAMES) {
        for (const spell of spellings) {
          for (const parameters of ["", "1", "1,1"]) {
            const sql = Buffer.from(`SELECT ${spell(name)}(${parameters})`);
            const analysis = analyze(sql, contextOf(server.kind, ""));
            const call = analysis.statements[0]?.functions[0];
            const isStored = STORED_FUNCTION.has(errorOf(await direct.query(sql)));
            if (call !== undefined && analysis.understood && isStored && isHarmlessCall(call, analysis.context)) {
              wrong.push(sql.toString());
            }
          }
        }
      }
      assert.deepEqual(wrong, []);
    });
  });
}

/** "FUNCTION … does not exist": the server has looked for a stored one. */
const STORED_FUNCTION: ReadonlySet<number> = new Set([1305, 1630]);
