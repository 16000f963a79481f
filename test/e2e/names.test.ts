/** Names through the executable: what servers take for one name is one name to a policy, in whichever bytes it is sent. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe } from "node:test";
import { SAME_LETTERS } from "../../src/sql/mysql/names/name-table.ts";
import { foldName, mayBeSameName } from "../../src/sql/mysql/names/names.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { askAll, GIVEN_NAMES, NAMES_SCHEMA, OWN_NAMES } from "../support/name-oracle.ts";
import { randomFrom } from "../support/random.ts";
import { RawClient, type RawLogin } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

/** Code points asked about; all of the basic plane are 63,000. */
const SAMPLE = Number(process.env["QUERYCOP_NAMES_SAMPLE"] ?? 1500);
const SEED = Number(process.env["QUERYCOP_NAMES_SEED"] ?? 10);

const folder = mkdtempSync(join(tmpdir(), "querycop-names-"));
const policyFile = join(folder, "policy.yaml");
writeFileSync(
  policyFile,
  `version: 1
deny:
  tables: [secret, größe, 客户]
  columns: [account.iban]
  functions: [danger]
rules: { adm.setvar: block }
tenants: [{ tables: [orders], column: tenant_id, value: 7 }]
`,
  { mode: 0o600 },
);

const SETUP = `
CREATE DATABASE qcn; CREATE DATABASE \`schön\`; USE qcn;
CREATE TABLE secret (data VARCHAR(20)); INSERT INTO secret VALUES ('MARKER');
CREATE TABLE \`größe\` (data VARCHAR(20)); INSERT INTO \`größe\` VALUES ('MARKER');
CREATE TABLE \`客户\` (data VARCHAR(20)); INSERT INTO \`客户\` VALUES ('MARKER');
CREATE TABLE \`öffentlich\` (data VARCHAR(20)); INSERT INTO \`öffentlich\` VALUES ('hello');
CREATE TABLE account (id INT, iban VARCHAR(20)); INSERT INTO account VALUES (1, 'MARKER');
CREATE TABLE orders (id INT, tenant_id INT, total INT); INSERT INTO orders VALUES (1, 7, 10), (2, 8, 20);
CREATE FUNCTION danger() RETURNS VARCHAR(20) DETERMINISTIC RETURN 'MARKER';
CREATE TABLE victim (id INT);
CREATE USER 'jürgen'@'%' IDENTIFIED BY 'jp'; GRANT ALL ON *.* TO 'jürgen'@'%';
`;

/** Each would show the marker, change another tenant's rows or run what nobody judged. */
const HIDDEN_NAMES = [
  "SELECT dänger()",
  "SELECT qcn.DÁNGER()",
  "SELECT `dangêr` ()",
  "SELECT İban FROM account",
  "SELECT a.`İBAN` FROM account a",
  "UPDATE orders SET tenant_İd = 8 WHERE tenant_id = 7",
  "INSERT INTO orders SET id = 3, tenant_id = 7 ON DUPLICATE KEY UPDATE tenant_İd = 8",
  "CALL sys.execute_prepäred_stmt('DROP TABLE qcn.victim')",
  "CALL sys.`EXÉCUTE_PREPARED_STMT`('SELECT * FROM qcn.secret')",
  "SET sql_lög_bin = 0",
  "SET session_träck_system_variables = ''",
  "SET charäcter_set_client = gbk",
  "SET SESSION `sql_log_bin ` = 0",
  "SET @@session.şql_ľog_bin = 0",
  "SELECT /*+ SET_VAR(sql_lög_bin = 0) */ 1; SELECT * FROM secrét, secret",
];

/** Collation ids of the character sets whose characters may hold a quote or a backslash, and of swe7. */
const ODD_SETS = { big5: 1, swe7: 10, sjis: 13, gbk: 28, cp932: 95, gb18030: 248 } as const;
const LATIN1 = 8;

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

const servers = new Map<string, TestServer>();
before(async () => {
  for (const kind of ["mysql", "mariadb"] as const) {
    const server = await startServer({ kind });
    servers.set(kind, server);
    await server.rootQuery(SETUP);
  }
});
afterEach(endStage);
after(async () => {
  await Promise.all([...servers.values()].map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function serverOf(kind: string): TestServer {
  const server = servers.get(kind);
  assert.ok(server !== undefined);
  return server;
}

async function logIn(kind: string, login: Partial<RawLogin> = {}): Promise<RawClient> {
  const server = serverOf(kind);
  const proxy = await startStaged({ ...plaintextBackend(server), GATEKEEPER_POLICY_FILE: policyFile });
  const client = await connectStaged(proxy.port);
  const { user, password } = server.account("admin");
  await client.login({ user, password, database: "qcn", ...login });
  return client;
}

/** All that came back, as text. */
async function ask(client: RawClient, sql: string | Uint8Array): Promise<string> {
  const packets = await client.query(sql);
  return packets.map(({ payload }) => payload.toString("latin1")).join("\n");
}

/** The answer to a command of one packet. */
async function command(client: RawClient, code: number, body: string | Uint8Array): Promise<string> {
  client.writeCommand(code, body);
  return (await client.readPacket()).payload.toString("latin1");
}

/** Choices that come again with the seed. */
class Choices {
  readonly #next = randomFrom(SEED);

  between(first: number, last: number): number {
    return first + Math.floor(this.#next() * (last - first + 1));
  }

  pick<T>(some: readonly T[]): T {
    const picked = some[this.between(0, some.length - 1)];
    assert.ok(picked !== undefined);
    return picked;
  }
}

/** Pairs of which some server takes some for one name, and as many that have nothing to do with each other. */
function pairs(random: Choices, count: number): [string, string][] {
  const words = SAME_LETTERS.flatMap((line) => line.split(" ").map((word) => [...word]));
  const some: [string, string][] = [];
  while (some.length < count) {
    const word = random.pick(words);
    some.push([random.pick(word), random.pick(word)], [random.pick(word), random.pick(random.pick(words))]);
  }
  return some;
}

for (const kind of ["mysql", "mariadb"] as const) {
  describe(`names on ${kind}`, () => {
    e2e("fold at least as far as the server folds them", async () => {
      const server = serverOf(kind);
      const client = await RawClient.connect("127.0.0.1", server.port);
      await client.login({ ...server.account("admin") });
      await askAll(client, [`CREATE DATABASE ${NAMES_SCHEMA}`]);
      const random = new Choices();
      let same = 0;
      for (const [name, question] of Object.entries(GIVEN_NAMES)) {
        const asked = pairs(random, name === "routine" || name === "table" ? SAMPLE / 30 : SAMPLE / 5);
        const statements = asked.map(([a, b], mark) => question(a, b, mark + 1));
        const replies = await askAll(client, statements.flat());
        let at = -1;
        asked.forEach(([a, b], mark) => {
          at += statements[mark]?.length ?? 0;
          if (replies[at]?.cells[0] !== String(mark + 1) || a === b) return;
          same++;
          assert.ok(mayBeSameName(a, b), `${name}: ${a} is ${b}`);
        });
      }
      for (const [name, question] of Object.entries(OWN_NAMES)) {
        const asked: [string, string][] = Array.from({ length: SAMPLE / 5 }, () => {
          return [random.pick([..."abcdefghijklmnopqrstuvwxyz"]), String.fromCodePoint(random.between(0xa1, 0x24ff))];
        });
        const letters = SAME_LETTERS.flatMap((line) => line.split(" ")).filter((word) => /^[a-z]/.test(word));
        for (const word of letters) asked.push([word[0] ?? "", random.pick([...word])]);
        const known = asked.filter(([letter]) => question(letter, letter) !== undefined);
        const replies = await askAll(
          client,
          known.map(([letter, spelled]) => question(letter, spelled) ?? ""),
        );
        known.forEach(([letter, spelled], index) => {
          if (replies[index]?.errorNumber !== 0) return;
          if (letter !== spelled) same++;
          assert.ok(mayBeSameName(letter, spelled), `${name}: ${spelled} is ${letter}`);
        });
      }
      assert.ok(same > 100, `${same} pairs were one name`);
      await askAll(client, [`DROP DATABASE ${NAMES_SCHEMA}`]);
      client.quit();
    });

    e2e("fold by the server's own weights and cases", async () => {
      const server = serverOf(kind);
      const client = await RawClient.connect("127.0.0.1", server.port);
      await client.login({ ...server.account("admin") });
      const random = new Choices();
      const codes = Array.from({ length: SAMPLE }, () => random.between(0xa1, 0xd7ff));
      const text = (code: number): string =>
        `CONVERT(0x${Buffer.from(String.fromCodePoint(code)).toString("hex")} USING utf8mb3)`;
      const cells = async (make: (text: string) => string): Promise<string[]> =>
        (
          await askAll(
            client,
            codes.map((code) => `SELECT ${make(text(code))}`),
          )
        ).map((reply) => reply.cells[0] ?? "");
      const weights = await cells((value) => `HEX(WEIGHT_STRING(${value} COLLATE utf8mb3_general_ci))`);
      const first = new Map<string, number>();
      weights.forEach((weight, index) => {
        const code = codes[index] ?? 0;
        const other = first.get(weight) ?? code;
        first.set(weight, other);
        assert.equal(foldName(String.fromCodePoint(code)), foldName(String.fromCodePoint(other)));
      });
      for (const make of ["LOWER", "UPPER"]) {
        const changed = await cells((value) => `${make}(${value})`);
        changed.forEach((letter, index) => {
          const own = String.fromCodePoint(codes[index] ?? 0);
          if (letter !== "") assert.ok(mayBeSameName(letter, own), `${make} of ${own} is ${letter}`);
        });
      }
      client.quit();
    });

    e2e("are denied in every spelling that the server takes for them", async () => {
      const client = await logIn(kind);
      for (const sql of HIDDEN_NAMES) {
        const answer = await ask(client, sql);
        assert.match(answer, /querycop/, sql);
        assert.doesNotMatch(answer, /MARKER/, sql);
      }
      const kept = await serverOf(kind).rootQuery(
        "SELECT COUNT(*) FROM qcn.victim; SELECT COUNT(*) FROM qcn.orders WHERE tenant_id = 7; SELECT COUNT(*) FROM qcn.orders",
      );
      assert.deepEqual(kept, [["0"], ["1"], ["2"]]);
      assert.match(await ask(client, "SELECT data FROM `öffentlich`"), /hello/);
    });

    e2e("are denied in the bytes of the client's character set, and work in them", async () => {
      const client = await logIn(kind, { characterSet: LATIN1, database: latin1("schön") });
      assert.match(await ask(client, "SELECT HEX(DATABASE())"), /736368C3B66E/);
      const statements = ["SELECT * FROM qcn.größe", "SELECT data AS x FROM qcn.`größe`", "SELECT qcn.dänger()"];
      for (const sql of statements) assert.match(await ask(client, latin1(sql)), /querycop/, sql);
      assert.equal((await command(client, 0x02, "qcn"))[0], "\0");
      assert.match(await ask(client, latin1("SELECT data FROM öffentlich")), /hello/);
      assert.match(await command(client, 0x04, latin1("größe\0")), /querycop/);
      client.writeCommand(0x04, latin1("öffentlich\0"));
      assert.match((await client.readPacket()).payload.toString("latin1"), /data/);
      assert.equal((await client.readPacket()).payload[0], 0xfe);
      assert.equal((await command(client, 0x02, latin1("schön")))[0], "\0");
      assert.match(await ask(client, "SELECT HEX(DATABASE())"), /736368C3B66E/);
    });

    e2e("of users and schemas go on as they were sent, at login and by COM_CHANGE_USER", async () => {
      const jürgen = { user: latin1("jürgen"), password: "jp", characterSet: LATIN1, database: latin1("schön") };
      const client = await logIn(kind, jürgen);
      assert.match(await ask(client, "SELECT HEX(CURRENT_USER()), HEX(DATABASE())"), /6AC3BC7267656E.*736368C3B66E/s);
      const admin = serverOf(kind).account("admin");
      await client.changeUser({ user: admin.user, password: admin.password });
      assert.match(await ask(client, "SELECT CURRENT_USER()"), /admin/);
      await client.changeUser(jürgen);
      assert.match(await ask(client, "SELECT HEX(CURRENT_USER()), HEX(DATABASE())"), /6AC3BC7267656E.*736368C3B66E/s);
    });

    e2e("are denied to clients of character sets in which a letter may hold a quote", async () => {
      for (const [name, characterSet] of Object.entries(ODD_SETS)) {
        if (kind === "mariadb" && name === "gb18030") continue;
        const client = await logIn(kind, { characterSet });
        assert.match(await ask(client, "SELECT @@character_set_client"), new RegExp(name));
        assert.match(await ask(client, "SELECT data FROM secret"), /querycop/, name);
        const admin = serverOf(kind).account("admin");
        await client.changeUser({ user: admin.user, password: admin.password, characterSet, database: "qcn" });
        assert.match(await ask(client, "SELECT data FROM secret"), /querycop/, name);
        assert.match(await ask(client, "SELECT id FROM orders WHERE tenant_id = 7"), /1/);
        client.reset();
      }
      const client = await logIn(kind, { characterSet: ODD_SETS.gbk });
      const customers = Buffer.concat([
        Buffer.from("SELECT data FROM `"),
        Buffer.from("bfcdbba7", "hex"),
        Buffer.from("`"),
      ]);
      assert.match(await ask(client, customers), /querycop/);
    });

    e2e("leave the session with its old user where a change of user is refused and the server keeps it", async () => {
      const client = await logIn(kind);
      const { user } = serverOf(kind).account("admin");
      for (let attempt = 0; attempt < 3; attempt++) {
        await assert.rejects(client.changeUser({ user, password: "wrong" }), /1045/);
        if (kind === "mysql") {
          await client.readEnd();
          return;
        }
        assert.match(await ask(client, "SELECT CURRENT_USER(), DATABASE()"), /admin/);
        assert.match(await ask(client, "SELECT data FROM qcn.secret"), /querycop/);
      }
    });
  });
}

e2e("connection attributes arrive as they were sent", async () => {
  const attributes = [Buffer.from("k"), latin1("größe"), Buffer.from("raw"), Buffer.from([0xff, 0x80, 0x41])];
  const client = await logIn("mysql", { attributes, characterSet: LATIN1 });
  const answer = await ask(
    client,
    "SELECT GROUP_CONCAT(ATTR_NAME, HEX(ATTR_VALUE)) FROM performance_schema.session_connect_attrs WHERE PROCESSLIST_ID = CONNECTION_ID()",
  );
  assert.match(answer, /k6772C3B6C39F65/);
});
