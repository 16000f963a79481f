/**
 * Whatever a client does to its session, and by whichever way: a statement is judged as the server reads it. By effect: the
 * denied table's rows and those of other tenants never come back, and the schema that must not be dropped stays.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { e2e } from "../support/e2e-test.ts";
import { startQuerycop } from "../support/querycop.ts";
import { CAPABILITY, RawClient, type WirePacket } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const running: { stop(): Promise<void> }[] = [];
const folder = mkdtempSync(join(tmpdir(), "querycop-certainty-"));
const policyFile = join(folder, "policy.yaml");

after(async () => {
  for (const one of running.reverse()) await one.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Rules about looks are off: what is refused is refused for what it does. */
writeFileSync(
  policyFile,
  `version: 1
rule_sets: { injection: off, obfuscation: off, hygiene: off, recon: off }
multi_statements: true
rules: { adm.setvar: off, ddl.routine: off }
deny: { tables: [qc.secret], statements: [drop-schema] }
tenants: [{ tables: [qc.orders], column: tenant_id, value: "7" }]
`,
  { mode: 0o600 },
);

const SECRET = "TOP-SECRET";
const FOREIGN = "FOREIGN-ROW";

const SETUP = `
CREATE DATABASE qc CHARACTER SET utf8mb4; CREATE DATABASE v; CREATE DATABASE app CHARACTER SET utf8mb4;
CREATE TABLE qc.secret (data VARCHAR(40)); INSERT INTO qc.secret VALUES ('${SECRET}');
CREATE TABLE app.secret (data VARCHAR(40)); CREATE TABLE app.t (a INT);
CREATE TABLE qc.orders (tenant_id INT, note VARCHAR(40)); INSERT INTO qc.orders VALUES (7, 'own'), (8, '${FOREIGN}');
CREATE FUNCTION qc.untracked() RETURNS INT DETERMINISTIC NO SQL BEGIN SET session_track_system_variables=''; RETURN 1; END;
CREATE FUNCTION qc.hushed() RETURNS INT DETERMINISTIC NO SQL BEGIN SET session_track_schema=OFF; RETURN 1; END;
CREATE FUNCTION qc.flagged() RETURNS INT DETERMINISTIC NO SQL BEGIN SET sql_mode='NO_BACKSLASH_ESCAPES'; RETURN 1; END;
CREATE FUNCTION qc.seven() RETURNS INT DETERMINISTIC NO SQL BEGIN SET @t = 8; RETURN 7; END;
CREATE TRIGGER app.flags BEFORE INSERT ON app.t FOR EACH ROW SET sql_mode='NO_BACKSLASH_ESCAPES';
CREATE PROCEDURE qc.flags() BEGIN SET sql_mode='NO_BACKSLASH_ESCAPES'; SELECT 1; END;
CREATE PROCEDURE qc.hush() SET session_track_system_variables='', session_track_schema=OFF;
`;

const MARIADB_SETUP = `CREATE PROCEDURE qc.moves() BEGIN SET session_track_schema=OFF; EXECUTE IMMEDIATE 'USE qc'; END;`;

interface Way {
  readonly on?: "mysql" | "mariadb";
  readonly schema?: string;
  /** Bytes as latin1 spells them. */
  readonly run: readonly string[];
}

const DROP = "SELECT '\\'; DROP DATABASE v; -- '";
/** Shows the secret where a backslash escapes, although a flag may say that it does not. */
const ESCAPED = "SELECT 'a\\' -- ', data FROM qc.secret -- '";
/** The same where it does not escape. */
const UNESCAPED = "SELECT 'a\\', data FROM qc.secret -- '";
const QUOTED = 'SELECT "a\\", data FROM qc.secret -- "';
const BLANK = "SELECT data AS x\xa0FROM qc.secret";
const TENANT = "PREPARE p FROM 'SELECT note FROM qc.orders WHERE tenant_id = ?'";

const PACKETS: readonly Way[] = [
  { run: [`SET sql_mode='NO_BACKSLASH_ESCAPES'; ${DROP}`] },
  { run: [`SET @x='\\'', sql_mode=1048576; ${DROP}`] },
  { run: [`SET LOCAL \`sql_mode\` := UPPER('no_backslash_escapes'); ${UNESCAPED}`] },
  { run: [`SELECT 1; SET/**/@@session.sql_mode='NO_BACKSLASH_ESCAPES'; SELECT 2; ${UNESCAPED}`] },
  { run: [`PREPARE a FROM 'SET sql_mode=1048576'; EXECUTE a; ${DROP}`] },
  { run: [`/*!50000 SET sql_mode='NO_BACKSLASH_ESCAPES' */; ${DROP}`] },
  { run: [`SET sql_mode='ANSI_QUOTES'; SELECT "data\\" AS "x" FROM t; ${QUOTED}`] },
  { run: [`SET sql_mode='ANSI_QUOTES'; SELECT 1 AS "a\\", data FROM qc.secret -- "`] },
  { run: [`SET NAMES latin1; ${BLANK}`] },
  { run: [`SET CHARACTER SET latin1; ${BLANK}`] },
  { run: [`SET @m=@@sql_mode; INSERT INTO app.t VALUES (1); SET @m=1048576; SET sql_mode=@m; ${UNESCAPED}`] },
  { on: "mariadb", run: ["EXECUTE IMMEDIATE 'USE qc'; SELECT * FROM secret"] },
  { on: "mariadb", run: ["PREPARE u FROM 'USE qc'; EXECUTE u; SELECT * FROM secret"] },
  { on: "mariadb", run: ["SET STATEMENT session_track_schema=OFF FOR USE qc; SELECT * FROM secret"] },
  { on: "mariadb", run: ["CALL qc.moves(); SELECT * FROM secret"] },
  { on: "mariadb", run: [`EXECUTE IMMEDIATE 'SET sql_mode=1048576'; ${UNESCAPED}`] },
  { on: "mariadb", run: [`BEGIN NOT ATOMIC SET sql_mode=1048576; END; ${UNESCAPED}`] },
  {
    on: "mariadb",
    run: [
      "BEGIN NOT ATOMIC SET sql_mode=1048576; EXECUTE IMMEDIATE 'SELECT ''a\\\\'', data FROM qc.secret -- '''; END",
      "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE qc'; EXECUTE IMMEDIATE 'SELECT * FROM secret'; END",
    ],
  },
];

const TRACKING: readonly Way[] = [
  { on: "mariadb", run: ["SET STATEMENT session_track_schema=OFF FOR USE qc", "SELECT * FROM secret"] },
  { on: "mariadb", run: ["EXECUTE IMMEDIATE 'USE qc'", "SELECT * FROM secret"] },
  { on: "mariadb", run: ["PREPARE u FROM 'USE qc'", "EXECUTE u", "SELECT * FROM secret"] },
  { on: "mariadb", run: ["SET session_track_schema=OFF", "EXECUTE IMMEDIATE 'USE qc'", "SELECT * FROM secret"] },
  { on: "mariadb", run: ["CALL qc.moves()", "SHOW WARNINGS", "SELECT * FROM secret"] },
  { run: ["SET session_track_schema=OFF", "USE qc", "SELECT * FROM secret"] },
  { run: ["SET session_track_schema=OFF; USE qc", "SELECT * FROM secret"] },
  { run: ["SELECT qc.untracked()", "SET sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { run: ["DO qc.untracked()", "SET NAMES latin1", BLANK] },
  { run: ["SET @a = qc.hushed()", "USE qc", "SELECT * FROM secret"] },
  { run: ["CALL qc.hush()", "SET sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { on: "mysql", run: ["SET session_tr\xe4ck_system_variables=''", "SET sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  {
    on: "mysql",
    run: ["SET NAMES latin1", "SET charact\xebr_set_client=gbk", "SELECT '\xbf\\', data FROM qc.secret -- '"],
  },
  { run: ["SET character_set_results=ucs2", "SET sql_mode='NO_BACKSLASH_ESCAPES'", "CALL qc.flags()", UNESCAPED] },
];

const STALE: readonly Way[] = [
  { run: ["SET sql_mode='ANSI_QUOTES'", "SET @@sql_mode=''", 'SELECT "a", data FROM qc.secret WHERE \'"\' <> "\'"'] },
  { run: ["SET @@character_set_client=latin1", BLANK] },
  { run: ["SET @@sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { run: ["SET sql_mode='NO_BACKSLASH_ESCAPES', @@sql_mode=''", ESCAPED] },
  { run: ["SELECT qc.flagged()", ESCAPED] },
  { run: ["INSERT INTO app.t VALUES (1)", ESCAPED] },
  { run: ["CALL qc.flags()", ESCAPED] },
  { run: ["CALL qc.flags()", "SELECT ROW_COUNT()", ESCAPED] },
  { run: ["SET sql_mode='NO_BACKSLASH_ESCAPES', gtid_next='x'", UNESCAPED] },
  { run: ["SET sql_mode='NO_BACKSLASH_ESCAPES', nosuch_variable=1", UNESCAPED] },
  { run: ["SET sql_mode='NO_BACKSLASH_ESCAPES'; SELECT nosuch()", UNESCAPED] },
  { on: "mariadb", run: ["SET STATEMENT sql_mode='NO_BACKSLASH_ESCAPES' FOR DO 1", ESCAPED] },
  {
    on: "mariadb",
    run: ["SET STATEMENT sql_mode='ANSI_QUOTES' FOR DO 1", 'SELECT "a\\" -- ", data FROM qc.secret -- "'],
  },
  {
    on: "mariadb",
    run: ["FOR i IN 1..1 DO SET @@session.sql_mode := (SELECT 'NO_BACKSLASH_ESCAPES'); END FOR", UNESCAPED],
  },
  { on: "mariadb", run: ["IF 1 THEN SET sql_mode=1048576; END IF", UNESCAPED] },
  { on: "mariadb", run: ["SET PASSWORD FOR nosuch@'%'=PASSWORD('x'), sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { on: "mariadb", run: ["SET ROLE NONE, sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { on: "mariadb", run: ["SET ROLE NONE, @@sql_mode='NO_BACKSLASH_ESCAPES'", UNESCAPED] },
  { on: "mariadb", run: ["SET ROLE NONE, NAMES latin1", BLANK] },
];

const LITERALS: readonly Way[] = [
  { run: ["SET NAMES latin1", "PREPARE p FROM 'SELECT data AS x\xe0FROM qc.secret'", "EXECUTE p"] },
  { run: ["SET NAMES latin1", "SET @s = 'SELECT data AS x\xe0FROM qc.secret'", "PREPARE p FROM @s", "EXECUTE p"] },
  {
    run: [
      "SET character_set_connection=swe7",
      "SET @s='SELECT ''x\\\\'', data FROM qc.secret -- '''",
      "PREPARE p FROM @s",
      "EXECUTE p",
    ],
  },
  {
    run: [
      "SET @s='SELECT ''x\\\\'', data FROM qc.secret -- '''",
      "SET collation_connection=swe7_bin",
      "PREPARE p FROM @s",
      "EXECUTE p",
    ],
  },
  { run: ["SET NAMES euckr", "PREPARE p FROM 'SELECT ''\xa0\\\\'', data FROM qc.secret -- '''", "EXECUTE p"] },
  { run: ["SET NAMES gb2312", "PREPARE p FROM 'SELECT ''\xa0\\\\'', data FROM qc.secret -- '''", "EXECUTE p"] },
  {
    run: [
      "SET sql_mode='NO_BACKSLASH_ESCAPES'",
      "CALL sys.execute_prepared_stmt('SELECT ''a\\'', data FROM qc.secret -- ''')",
    ],
  },
  { schema: "qc", run: ["CALL sys.execute_prepared_stmt('SELECT data FROM qc.secret')"] },
  // The session is not asked about before SHOW WARNINGS, so that what follows is judged for one that nobody knows.
  {
    run: ["SELECT qc.seven()", "SHOW WARNINGS; CALL sys.execute_prep\xc3\xa4red_stmt('SELECT data FROM qc.secret')"],
  },
];

/** Texts of this length are judged beside the sessions, and come back without most of their facts. */
const LONG = `/* ${"x".repeat(20_000)} */`;

const FORGOTTEN: readonly Way[] = [
  {
    run: [
      "SET @v = 'SELECT 1'",
      `SELECT 1 ${LONG}; SELECT 'SELECT data FROM qc.secret' INTO @v`,
      "PREPARE p FROM @v",
      "EXECUTE p",
    ],
  },
  { run: [TENANT, "SET @t = '7'", `SELECT 1; SELECT 8 ${LONG} INTO @t`, "EXECUTE p USING @t"] },
  { run: [TENANT, "SET @t = '7'", `SELECT 1 ${LONG}; SELECT qc.seven()`, "EXECUTE p USING @t"] },
  { run: [TENANT, "SET @t=8", "SELECT 1; SELECT 2", "EXECUTE p USING @t"] },
  { run: [TENANT, "SELECT 8 INTO @t", "EXECUTE p USING @t"] },
  { run: [TENANT, "SELECT @t := 8", "EXECUTE P USING @T"] },
  { run: [TENANT, "SET @t=8, nosuch_variable=1", "EXECUTE p USING @t"] },
  { run: [TENANT, "SET @t=8", "CALL qc.hush()", "EXECUTE p USING @t"] },
  { run: [`${TENANT}; SET @t=8; EXECUTE p USING @t`] },
  { run: [TENANT, "SET @t=8", "/*!50000 EXECUTE p USING @t */"] },
  { run: [TENANT.replace("p FROM", "`p-1` FROM"), "SET @t=8", "EXECUTE `p-1` USING @t"] },
  { run: ["PREPARE p\xe4 FROM 'SELECT data FROM qc.secret'", "EXECUTE p\xe4"] },
  { on: "mariadb", run: ["EXECUTE IMMEDIATE 'SELECT note FROM qc.orders WHERE tenant_id = ?' USING 8"] },
  {
    on: "mariadb",
    run: ["IF 1 THEN EXECUTE IMMEDIATE 'SELECT note FROM qc.orders WHERE tenant_id = ?' USING 8; END IF"],
  },
  { on: "mariadb", run: [TENANT, "SET STATEMENT max_statement_time=9 FOR EXECUTE p USING 8"] },
  {
    on: "mariadb",
    run: [
      "PREPARE p FROM 'SELECT 1'",
      "SET STATEMENT max_statement_time=9 FOR PREPARE p FROM 'SELECT note FROM qc.orders WHERE tenant_id = ?'",
      "EXECUTE p USING 8",
    ],
  },
  { on: "mariadb", run: [TENANT, "BEGIN NOT ATOMIC EXECUTE p USING 8; END"] },
];

/** What applications, drivers and tools do and what must go on working. */
const HARMLESS: readonly Way[] = [
  { run: ["SET NAMES utf8mb4", "SET sql_mode='STRICT_TRANS_TABLES'", "SET autocommit=1", "SELECT 'it\\'s', \"so\""] },
  { run: ["set autocommit=1, session_track_schema=1,session_track_system_variables='auto_increment_increment'"] },
  {
    run: ["SET session_track_state_change=ON", "SET @a=1", "USE app", "CREATE TEMPORARY TABLE tmp (a INT)", "SELECT 1"],
  },
  { run: ["PREPARE p FROM 'SELECT ? + 1'", "SET @t=8", "SELECT 1; SELECT 2", "EXECUTE p USING @t"] },
  { run: ["PREPARE p FROM 'SELECT ''gr\xc3\xbc\xc3\x9fe'', \"x\"'", "EXECUTE p", "DEALLOCATE PREPARE p"] },
  { run: ["PREPARE p FROM 'SELECT 1'; EXECUTE p; DEALLOCATE PREPARE p"] },
  { run: [TENANT, "SET @t='7'", "EXECUTE p USING @t"] },
  {
    run: [
      "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'; SELECT 'a\\'b', \"c\"; SET SQL_MODE=@OLD_SQL_MODE",
    ],
  },
  { run: ["CALL qc.flags()", "SELECT ROW_COUNT()", "SHOW WARNINGS", "SELECT a FROM app.t WHERE a = 1"] },
  { schema: "app", run: ["SELECT * FROM secret", "CALL qc.flags()", "SELECT * FROM secret"] },
  { on: "mariadb", run: ["EXECUTE IMMEDIATE 'SELECT 1'", "SET STATEMENT max_statement_time=9 FOR SELECT 1"] },
];

const textOf = (packets: readonly WirePacket[]): string =>
  packets.map(({ payload }) => payload.toString("latin1")).join("|");
const errorOf = (packets: readonly WirePacket[]): string | undefined =>
  packets.find(({ payload }) => payload[0] === 0xff)?.payload.toString("latin1", 1, 200);

for (const kind of ["mysql", "mariadb"] as const) {
  const server = await startServer({ kind });
  const { user, password } = server.account("admin");
  const proxy = await startQuerycop({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
  running.push(server, proxy);
  const setup = kind === "mariadb" ? SETUP + MARIADB_SETUP : SETUP;
  await server.rootQuery(`DELIMITER //\n${setup.split(";\n").join("//\n")}`);

  const open = async (isTracked: boolean, schema = "app"): Promise<RawClient> => {
    const client = await RawClient.connect("127.0.0.1", proxy.port);
    const moreCapabilities = isTracked ? CAPABILITY.SESSION_TRACK : 0;
    await client.login({ user, password, database: schema, moreCapabilities });
    return client;
  };

  const assertNothingDenied = async ({ run, schema }: Way, isTracked: boolean): Promise<void> => {
    const client = await open(isTracked, schema);
    const answers: string[] = [];
    for (const sql of run) answers.push(textOf(await client.query(Buffer.from(sql, "latin1"))));
    client.quit();
    const said = answers.join("\n");
    assert.ok(
      !said.includes(SECRET) && !said.includes(FOREIGN),
      `${isTracked ? "tracked" : "untracked"} ${run.join(" ⏎ ")}`,
    );
  };

  describe(`certainty on ${kind}`, () => {
    for (const [what, ways] of [
      ["what stands behind a change in the same packet", PACKETS],
      ["what happens where tracking was changed or is not there", TRACKING],
      ["what stands behind reports and flags that are stale", STALE],
      ["literals whose bytes change on their way", LITERALS],
      ["SQL and values that are not known any more", FORGOTTEN],
    ] as const) {
      e2e(`nothing denied happens by ${what}`, async () => {
        for (const way of ways) {
          if (way.on !== undefined && way.on !== kind) continue;
          for (const isTracked of [true, false]) await assertNothingDenied(way, isTracked);
        }
        assert.equal((await server.rootQuery("SHOW DATABASES LIKE 'v'")).length, 1);
      });
    }

    e2e("what applications, drivers and tools do passes", async () => {
      for (const { run, on, schema } of HARMLESS) {
        if (on !== undefined && on !== kind) continue;
        for (const isTracked of [true, false]) {
          const client = await open(isTracked, schema);
          for (const sql of run) assert.equal(errorOf(await client.query(Buffer.from(sql, "latin1"))), undefined, sql);
          client.quit();
        }
      }
    });

    e2e("ordinary statements of a tracked session cost no question", async () => {
      const client = await open(true);
      const ordinary = [
        "SET NAMES utf8mb4",
        "SET sql_mode='STRICT_TRANS_TABLES'",
        "USE app",
        "BEGIN",
        "INSERT INTO qc.orders (tenant_id, note) VALUES ('7', 'x')",
        "SELECT COUNT(*), CONCAT('a', \"b\") FROM qc.orders WHERE tenant_id = '7'",
        "COMMIT",
        "SET @a = 1",
        "PREPARE p FROM 'SELECT 1'",
        "EXECUTE p",
      ];
      const mark = `mark-${process.pid}`;
      await client.query(`SELECT '${mark}'`);
      for (const sql of ordinary) assert.equal(errorOf(await client.query(sql)), undefined, sql);
      await client.query(`SELECT '${mark}'`);
      client.quit();
      const log = server.generalLog();
      const first = log.findIndex(({ argument }) => argument.includes(mark));
      const { threadId } = log[first] ?? {};
      const own = log
        .slice(first)
        .filter((entry) => entry.threadId === threadId && /CAST\(@@sql_mode|=IF\(@@session_track/.test(entry.argument));
      assert.deepEqual(own, []);
    });
  });
}
