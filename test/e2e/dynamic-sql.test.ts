/** What a real server prepares from a variable is among the texts that querycop judged for it. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { effectOn, SessionDynamicSql } from "../../src/session/mysql/judging/dynamic-sql.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { startQuerycop } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const running: { stop(): Promise<void> }[] = [];

after(async () => {
  for (const one of running.reverse()) await one.stop();
});

const HAS_COLUMN =
  "SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = DATABASE() AND table_name = @t AND column_name = 'note'";

/** Each leaves a text in @s. */
const IDIOMS: readonly (readonly string[])[] = [
  ["SET @s = IF(1 > 0, 'SELECT 1', 'SELECT 2')"],
  ["SET @s := IF(1 < 0, 'SELECT 1', 'SELECT 2')"],
  ["SET @s = IF(NULL, 'SELECT 1', CONCAT('SELECT ', 7))"],
  ["SET @t = 'items'", `SET @s = IF((${HAS_COLUMN}) > 0, 'SELECT 1', 'ALTER TABLE items ADD note INT')`],
  ["SET @t = 'items'", `SET @s = IF((${HAS_COLUMN}) > 0, 'SELECT 1', 'ALTER TABLE items ADD note INT')`],
  [
    "SET @d = DATABASE()",
    'SET @t = "items"',
    'SET @c = "more"',
    "SET @s = (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE (table_name = @t) AND (table_schema = @d) AND " +
      '(column_name = @c)) > 0, "SELECT 1", CONCAT("ALTER TABLE ", @t, " ADD ", @c, " INT(11);")))',
  ],
  ["SET @t = 'items'", "SET @s = CONCAT('SELECT COUNT(*) FROM `', DATABASE(), '`.`', @t, '`')"],
  ["SET @s = CONCAT_WS(' ', 'SELECT', 12, 'AS', 'a')"],
  ["SET @s = CASE WHEN 1 = 2 THEN 'SELECT 1' WHEN (CASE 1 WHEN 1 THEN 1 END) THEN 'SELECT 2' ELSE 'SELECT 3' END"],
  [
    "SET @s = CASE 5 WHEN 1 THEN 'SELECT 1' ELSE CONCAT('SELECT ', IF(1, 'a', 'b'), ' FROM (SELECT 1 AS a, 2 AS b) x') END",
  ],
  ["SET @s = IFNULL((SELECT 'SELECT 1' FROM INFORMATION_SCHEMA.TABLES WHERE 1 = 0 LIMIT 1), 'SELECT 2')"],
  ["SET @s = COALESCE((SELECT 'SELECT 1' FROM DUAL), 'SELECT 2')"],
  ["SET @s = 'SELECT 5'", "SELECT 'SELECT 6' INTO @s"],
  ["SET @s = 'SELECT 5'", "SELECT 'SELECT 6' FROM INFORMATION_SCHEMA.TABLES WHERE 1 = 0 INTO @s"],
  ["SELECT IF(COUNT(*) = 0, 'SELECT 7', 'SELECT 8') INTO @s FROM INFORMATION_SCHEMA.TABLES WHERE table_name = 'items'"],
  ["SET @s = CONCAT('SELECT ''it\\'\\'s'', \"', 'a\\tb', '\" -- \\\\')"],
  ["SET @s = CONCAT('SELECT \"', 'a\\%b\\_c\\\\%\\d', '\"')"],
  ["SET @s = 'SELECT \"a\\%b\\_c\\\\%\\d\"'"],
  ["SET @n = 42, @m = 'x'", "SET @s = CONCAT('SELECT ', @n, ', \"', @m, '\"')"],
  ["SET sql_select_limit = 0", "SET @s = (SELECT 'SELECT 1')", "SET sql_select_limit = DEFAULT"],
  ["SET @s = IF(0, CONCAT('SELECT ', 1), (SELECT CASE 'a' WHEN 'A' THEN 'SELECT 3' ELSE 'SELECT 4' END))"],
];

/** The texts that the product knows for @s after these statements. */
function knownTexts(statements: readonly string[], dialect: "mysql" | "mariadb"): string[] {
  const known = new SessionDynamicSql();
  const context = { ...contextFor({ schema: "appdb" }), dialect };
  for (const text of statements) {
    const sql = Buffer.from(text);
    const analysis = analyze(sql, context);
    const kinds = analysis.statements.filter(({ parent }) => parent === undefined).map(({ kind }) => kind);
    const seen = { known, sql, kinds, kindsRun: kinds, schema: "appdb", analyzed: () => analysis };
    known.after(effectOn(seen), { outcome: "ok", affectedRows: text.includes("1 = 0 INTO") ? 0 : 1 });
  }
  // Servers log what they prepare without the semicolon at its end.
  return (known.variable("s")?.texts ?? []).map((bytes) => Buffer.from(bytes).toString().replace(/;$/, ""));
}

const isError = (packets: readonly { payload: Buffer }[]): string | undefined =>
  packets.find(({ payload }) => payload[0] === 0xff)?.payload.toString("latin1");

for (const kind of ["mysql", "mariadb"] as const) {
  const server = await startServer({ kind });
  const proxy = await startQuerycop({
    ...plaintextBackend(server),
  });
  running.push(server, proxy);
  const { user, password } = server.account("admin");

  describe(`text in variables on ${kind}`, () => {
    e2e("is what the server prepares, and passes", async () => {
      const client = await RawClient.connect("127.0.0.1", proxy.port);
      await client.login({ user, password, database: "appdb" });
      for (const [index, statements] of IDIOMS.entries()) {
        const name = `idiom_${index}`;
        for (const sql of [...statements, `PREPARE ${name} FROM @s`]) {
          assert.equal(isError(await client.query(sql)), undefined, sql);
        }
        const prepared = await eventually(`the server's log of ${name}`, () => {
          const log = server.generalLog();
          const at = log.findIndex(({ argument }) => argument === `PREPARE ${name} FROM @s`);
          return at < 0 ? undefined : log.slice(at).find(({ command }) => command === "Prepare")?.argument;
        });
        const texts = knownTexts(statements, kind);
        assert.ok(texts.includes(prepared), `${statements.at(-1)}: ${prepared} is not in ${JSON.stringify(texts)}`);
        assert.equal(isError(await client.query(`EXECUTE ${name}`)), undefined, prepared);
        await client.query(`DEALLOCATE PREPARE ${name}`);
      }
      client.quit();
    });

    e2e("that is not prepared under a name is refused as the server refuses it", async () => {
      const [client, direct] = await Promise.all(
        [proxy, server].map(({ port }) => RawClient.connect("127.0.0.1", port)),
      );
      assert.ok(client && direct);
      for (const one of [client, direct]) await one.login({ user, password, database: "appdb" });
      for (const sql of [
        "EXECUTE nosuch",
        "PREPARE here FROM 'SELECT 1'",
        "EXECUTE Here",
        "EXECUTE nosuch USING @a",
        "DEALLOCATE PREPARE here",
        "EXECUTE here",
        "DEALLOCATE PREPARE here",
        "EXECUTE HERE",
      ]) {
        assert.equal(isError(await client.query(sql)), isError(await direct.query(sql)), sql);
      }
      assert.equal(isError(await client.query("PREPARE here FROM 'SELECT 1'")), undefined);
      client.writeCommand(0x1f, "");
      assert.equal((await client.readPacket()).payload[0], 0);
      assert.match(isError(await client.query("EXECUTE here")) ?? "", /Unknown prepared statement handler \(here\)/);
      for (const one of [client, direct]) one.quit();
    });

    e2e("is judged by its worst branch, whichever the server would take", async () => {
      const client = await RawClient.connect("127.0.0.1", proxy.port);
      await client.login({ user, password, database: "appdb" });
      for (const condition of ["1", "0"]) {
        await client.query(`SET @s = IF(${condition}, 'SELECT 1', 'DROP DATABASE otherdb')`);
        assert.match(isError(await client.query("PREPARE x FROM @s")) ?? "", /querycop/);
      }
      client.quit();
    });
  });
}
