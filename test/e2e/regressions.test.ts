/** What broke in other proxies, by the numbers of the project's list: the part that takes a real server. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { startQuerycop } from "../support/querycop.ts";
import { assertSamePackets, CAPABILITY, RawClient, type RawCommand, type WirePacket } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const COM_QUERY = 0x03;
const COM_STMT_PREPARE = 0x16;
const COM_STMT_EXECUTE = 0x17;
const MB = 1_000_000;
const LONG_BLOB = 0xfc;

const running: { stop(): Promise<void> }[] = [];

after(async () => {
  for (const one of running.reverse()) await one.stop();
});

/** MySQL numbers the statements of a connection from 1; MariaDB has a number for the one prepared last. */
const STATEMENT_ID = { mysql: [1, 0, 0, 0], mariadb: [0xff, 0xff, 0xff, 0xff] } as const;

const ER_UNKNOWN_STMT_HANDLER = Buffer.from([0xff, 0xdb, 0x04]);

const PREPARE_OK_BYTES = 12;

/** MariaDB's numbers depend on what its thread did before. */
function withoutStatementIds(packets: readonly WirePacket[]): WirePacket[] {
  return packets.map(({ sequenceId, payload }) => {
    if (payload.length !== PREPARE_OK_BYTES || payload[0] !== 0) return { sequenceId, payload };
    return { sequenceId, payload: Buffer.concat([Buffer.alloc(5), payload.subarray(5)]) };
  });
}

const query = (sql: string): RawCommand => ({ command: COM_QUERY, body: sql });
const prepare = (sql: string): RawCommand => ({ command: COM_STMT_PREPARE, body: sql });

for (const kind of ["mysql", "mariadb"] as const) {
  const server = await startServer({ kind, options: ["--max-allowed-packet=128M"] });
  const proxy = await startQuerycop({
    ...plaintextBackend(server),
  });
  running.push(server, proxy);
  const { user, password } = server.account("admin");

  const logIn = async (port: number, database = "appdb"): Promise<RawClient> => {
    const client = await RawClient.connect("127.0.0.1", port);
    await client.login({ user, password, database });
    return client;
  };

  const execute = (rest: readonly number[] = []): RawCommand => ({
    command: COM_STMT_EXECUTE,
    body: Buffer.from([...STATEMENT_ID[kind], 0, 1, 0, 0, 0, ...rest]),
  });

  /** The same pipeline through querycop and straight to the server gives the same packets. */
  const assertAlike = async (commands: readonly RawCommand[]): Promise<void> => {
    const [through, direct] = [await logIn(proxy.port), await logIn(server.port)];
    const packets = withoutStatementIds(await through.pipeline(commands));
    assertSamePackets(packets, withoutStatementIds(await direct.pipeline(commands)), kind);
    const unknown = packets.filter(({ payload }) => payload.subarray(0, 3).equals(ER_UNKNOWN_STMT_HANDLER));
    assert.equal(unknown.length, 0, "the statement was executed under a wrong number");
    through.quit();
    direct.quit();
  };

  describe(`regressions with ${kind}`, () => {
    e2e("regression 1: values of 17 and 33 MB pass both ways", async () => {
      const client = await logIn(proxy.port);
      for (const size of [17 * MB, 33 * MB]) {
        const [, , row] = await client.query(`select repeat('a', ${size})`);
        assert.equal(row?.payload.length, 0xffffff);
        const counted = await client.query(`select length('${"b".repeat(size)}')`);
        assert.ok(counted[2]?.payload.includes(String(size)));
      }
      client.quit();
    });

    e2e("regression 9: prepared COMMIT, CALL and failing statements are answered", async () => {
      for (const sql of ["commit", "call two_results()", "select * from items", "insert into numbers values (1)"]) {
        await assertAlike([prepare(sql), execute(), query("select 'after'")]);
      }
    });

    e2e("a datetime with its displacement from UTC is the server's to understand", async () => {
      const datetime = [0, 1, 0x0c, 0, 13, 0xe4, 7, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0x4a, 1];
      await assertAlike([prepare("select cast(? as char)"), execute(datetime), query("select 'after'")]);
    });

    e2e("a result of more columns than 16 bits count passes", async () => {
      const wide = `select ${Array.from({ length: 65_537 }, () => "1").join()}`;
      await assertAlike([query(wide), query("select 'after'")]);
    });

    e2e("regression 20: a batch stops at its error", async () => {
      await assertAlike([query("select 1; select * from nowhere; select 3"), query("select 'after'")]);
    });

    e2e("regression 22: NO_BACKSLASH_ESCAPES shows in the status flags as it does directly", async () => {
      await assertAlike([
        query("set sql_mode='NO_BACKSLASH_ESCAPES'"),
        query("select 'a\\\\'"),
        query("set @@session.sql_mode=''"),
        query("select 1"),
      ]);
    });

    for (const isTracked of [true, false]) {
      const how = isTracked ? "reported by the server" : "asked for";
      e2e(`regression 23: a comment in front hides no USE and no SET, ${how}`, async () => {
        const client = await RawClient.connect("127.0.0.1", proxy.port);
        const moreCapabilities = isTracked ? CAPABILITY.SESSION_TRACK : 0;
        await client.login({ user, password, database: "appdb", moreCapabilities });
        const stateAfter = async (sql: string): Promise<unknown[]> => {
          await client.query(sql);
          await client.query("select 'look'");
          const lines = proxy.audit().filter(({ type }) => type === "statement-intent");
          const session = lines.at(-1)?.["session"] as Record<string, string> | undefined;
          return [session?.["schema"], session?.["sqlMode"]];
        };
        assert.equal((await stateAfter("/* a */ -- b\n# c\nuse otherdb"))[0], "otherdb");
        assert.equal((await stateAfter("/*!40101 use appdb */"))[0], "appdb");
        assert.equal((await stateAfter("/**/set/**/sql_mode='NO_BACKSLASH_ESCAPES'"))[1], "NO_BACKSLASH_ESCAPES");
        assert.equal((await stateAfter("/*!50000 set sql_mode='ANSI_QUOTES' */"))[1], "ANSI_QUOTES");
        await client.query("/**/set/**/session_track_schema=0");
        assert.equal((await stateAfter("/**/use/**/otherdb"))[0], "otherdb", "also where reporting was switched off");
        client.writeCommand(0x02, "appdb");
        assert.equal((await client.readPacket()).payload[0], 0);
        assert.equal((await stateAfter("select 1"))[0], "appdb");
        client.quit();
      });
    }

    if (kind === "mysql") {
      e2e("a session that has turned column definitions off is still asked how its server reads SQL", async () => {
        const client = await RawClient.connect("127.0.0.1", proxy.port);
        const moreCapabilities = CAPABILITY.OPTIONAL_RESULTSET_METADATA;
        await client.login({ user, password, database: "appdb", moreCapabilities });
        for (const sql of ["set resultset_metadata=none", "set sql_mode='ANSI_QUOTES'", "set @a = 'x'"]) {
          assert.equal((await client.query(sql))[0]?.payload[0], 0, sql);
        }
        const lines = proxy.audit().filter(({ type }) => type === "statement-intent");
        const session = lines.at(-1)?.["session"] as Record<string, string> | undefined;
        assert.equal(session?.["sqlMode"], "ANSI_QUOTES");
        client.quit();
      });
    }

    e2e(
      "regression 25: COM_CHANGE_USER goes through with each plugin, by its scramble or the whole password",
      async () => {
        const purposes = kind === "mysql" ? ["caching_sha2", "admin", "empty"] : ["native", "admin", "empty"];
        const client = await logIn(proxy.port);
        for (const purpose of [...purposes, ...purposes]) {
          const account = server.accounts[purpose];
          assert.ok(account, purpose);
          await client.changeUser({ ...account, database: "appdb" });
          const packets = await client.query(
            "select concat('<', substring_index(current_user(), '@', 1), '>', database())",
          );
          assert.ok(
            packets.some(({ payload }) => payload.includes(`<${account.user}>appdb`)),
            purpose,
          );
        }
        client.quit();
      },
    );

    e2e("regression 28: an execute without types behind one with types uses those", async () => {
      const bound = (types: readonly number[]): number[] => [0, ...types, 3, 0x61, 0x62, 0x63];
      await assertAlike([
        prepare("select length(?)"),
        execute(bound([1, LONG_BLOB, 0])),
        execute(bound([0])),
        execute([1, 0]),
      ]);
    });

    e2e("regression 29: a table altered between two executes shows its new columns", async () => {
      await assertAlike([
        query("create temporary table altered (a int)"),
        prepare("select * from altered"),
        execute(),
        query("alter table altered add b int"),
        execute(),
      ]);
    });

    e2e("regression 39: sessions that kill each other end, and the rest go on", async () => {
      const victims = await Promise.all(Array.from({ length: 8 }, () => logIn(proxy.port)));
      const killers = await Promise.all(victims.map(() => logIn(proxy.port)));
      await Promise.all(killers.map((killer, index) => killer.query(`kill ${victims[index]?.greeting?.connectionId}`)));
      for (const victim of victims) await victim.readEnd().catch(() => undefined);
      for (const killer of killers) {
        assert.equal((await killer.query("select 1"))[0]?.payload[0], 1);
        killer.quit();
      }
    });

    e2e("regression 38: a session that the server ends for its silence is ended for the client", async () => {
      const client = await logIn(proxy.port);
      await client.query("set session wait_timeout = 1");
      await eventually(
        "the client is told",
        () =>
          client.isAtEnd ||
          client.readBytes(1).then(
            () => false,
            () => true,
          ),
      );
      await eventually("the record says who closed", () =>
        proxy.audit().some(({ type, reason }) => type === "disconnect" && reason === "backend-closed"),
      );
    });

    e2e("regression 40: ten inserts of 2 MB of four-byte characters arrive whole", async () => {
      const client = await logIn(proxy.port);
      await client.query("set names utf8mb4");
      await client.query("create temporary table emoji (t longtext character set utf8mb4)");
      const text = "😀".repeat(500_000);
      for (let count = 0; count < 10; count++) await client.query(`insert into emoji values ('${text}')`);
      const packets = await client.query("select count(*), sum(char_length(t)) from emoji");
      const row = packets[3]?.payload.toString("latin1") ?? "";
      assert.ok(row.includes("10") && row.includes("5000000"), row);
      client.quit();
    });
  });
}
