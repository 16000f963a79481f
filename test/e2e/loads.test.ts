/** `querycop load` through the executable: objects of S3 into tables of real servers, whole or not at all. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { LOAD_MODES } from "../../src/base/load-rule.ts";
import { loadStatement, type StatementShape } from "../../src/loads/load-statement.ts";
import { s3Literal } from "../../src/loads/server-load.ts";
import { TEXT_FORMATS } from "../../src/loads/text-format.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { type RunResult, run } from "../support/child.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { HOSTILE_KEYS } from "../support/hostile-keys.ts";
import { installServerRoot } from "../support/install.ts";
import { startMoto } from "../support/moto.ts";
import { cleanEnvironment, type LogLine, querycopBinary, runQuerycop, startQuerycop } from "../support/querycop.ts";
import { startS3Gate } from "../support/s3-gate.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const querycop = await querycopBinary();
const [mysql, mariadb, moto] = await Promise.all([
  startServer({ kind: "mysql" }),
  startServer({ kind: "mariadb11" }),
  startMoto(),
]);
const gate = await startS3Gate(moto.url, moto.keys);
const folder = mkdtempSync(join(tmpdir(), "querycop-loads-"));
after(async () => {
  gate.stop();
  moto.stop();
  await Promise.all([mysql.stop(), mariadb.stop()]);
  rmSync(folder, { recursive: true });
});
beforeEach(() => gate.reset());

/** The matrix of faults on the other server too, and the server killed at each of its phases. */
const isLarge = process.env["QUERYCOP_TEST_LOADS"] === "large";

/** For what takes minutes: the matrices of refusals and faults. */
const large = isLarge ? e2e : (): void => undefined;

/** Dozens of processes one after the other. */
const TIMEOUT_MS = 600_000;

/** Cases take turns on the servers, but in the large form, where each has all. */
function serversFor(index: number): readonly (readonly [name: string, server: TestServer])[] {
  const all = Object.entries(servers);
  return isLarge ? all : all.filter((_, at) => at === index % all.length);
}

const LOADS = [
  "{ from: 's3://ingest/*', into: appdb.*, max_bytes: 1GiB }",
  "{ from: 's3://narrow/in/*', into: appdb.sales, modes: append, max_bytes: 30B }",
];
/** Listed for clients' own statements as well. */
const RAW_LOADS = ["{ from: 's3://ingest/*', into: appdb.sales }", "{ from: appdb.sales, into: 's3://exports/*' }"];

function connection(name: string, server: TestServer, user: string, password: string, rules = LOADS): string {
  const file = join(folder, `${name}.password`);
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  const keys = [`host: 127.0.0.1`, `port: ${server.port}`, `user: ${user}`, "tls_mode: disable"];
  return `  ${name}:\n    ${[...keys, `password_file: ${file}`].join("\n    ")}\n    loads:\n      - ${rules.join("\n      - ")}\n`;
}

const config = join(folder, "querycop.yaml");
const auditFile = join(folder, "audit", "audit.ndjson");
const servers: Readonly<Record<string, TestServer>> = { mysql, mariadb };
const policyFile = join(folder, "policy.yaml");
writeFileSync(
  policyFile,
  `version: 1
multi_statements: true
profiles:
  - { name: open, match: { listeners: [mysql-open] }, rules: { file.s3: off } }
  - { name: watched, match: { listeners: [mysql-watched] }, mode: observe }
  - { name: asked, match: { listeners: [mysql-asked] }, thresholds: { warn: 20, require_approval: 30 } }
`,
);
const rawConnections = ["raw", "open", "watched"].map((suffix) =>
  connection(`mysql-${suffix}`, mysql, "admin", mysql.account("admin").password, RAW_LOADS),
);
const askedConnection = connection("mysql-asked", mysql, "admin", mysql.account("admin").password);
writeFileSync(
  config,
  `audit: { file: ${auditFile} }\npolicy: { file: ${policyFile} }\nconnections:\n${askedConnection}${rawConnections.join("")}${Object.entries(
    servers,
  )
    .flatMap(([name, server]) => [
      connection(name, server, "admin", server.account("admin").password),
      connection(`${name}-narrow`, server, "loader", "loads of rows"),
    ])
    .join("")}`,
  { mode: 0o600 },
);
for (const server of [mysql, mariadb]) {
  await server.rootQuery(
    "CREATE USER loader@'%' IDENTIFIED BY 'loads of rows'; GRANT ALL ON appdb.* TO loader@'%'; REVOKE TRIGGER ON appdb.* FROM loader@'%'",
  );
}
const environment = cleanEnvironment({ ...moto.environment, AWS_ENDPOINT_URL: gate.url, GATEKEEPER_CONFIG: config });

async function load(source: string, name: string, ...words: readonly string[]): Promise<RunResult> {
  const args = ["load", source, name, "appdb.sales", ...words];
  return await run(querycop, args, { env: environment, cwd: "/", timeoutMs: 100_000 });
}

/** Statements of a client's own, each after the last whatever becomes of it. Resolves with the errors of all. */
async function raw(name: string, sql: readonly string[]): Promise<readonly string[]> {
  const root = await installServerRoot("mysql");
  const { command, args } = root.command("usr/bin/mysql", []);
  const script = join(folder, "mysql");
  writeFileSync(script, `#!/bin/sh\nexec ${[command, ...args].map((word) => `'${word}'`).join(" ")} "$@"\n`);
  chmodSync(script, 0o755);
  const { stderr } = await run(querycop, ["exec", name, "--", script, "--force", "--comments"], {
    env: environment,
    cwd: "/",
    timeoutMs: 100_000,
    input: `${sql.join(";\n")};\n`,
  });
  return stderr.split("\n").filter((line) => line.startsWith("ERROR"));
}

const OLD =
  "CREATE TABLE appdb.sales (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET utf8mb4, twice INT AS (id * 2));";

async function fresh(server: TestServer, more = ""): Promise<void> {
  await server.rootQuery(
    `SET FOREIGN_KEY_CHECKS = 0; DROP TABLE IF EXISTS appdb.sales, appdb.child, appdb.parent, appdb.sales_a, appdb.sales_b, appdb.querycop_loads; SET FOREIGN_KEY_CHECKS = 1; ${OLD} INSERT INTO appdb.sales (id, name) VALUES (1, 'old'); ${more}`,
  );
}

async function rows(server: TestServer, table = "sales"): Promise<string> {
  const found = await server.rootQuery(`SELECT id, name FROM appdb.${table} ORDER BY id`);
  return found.map((row) => row.join("=")).join(" ");
}

/** Nothing of a load is left beside its table. */
async function leftovers(server: TestServer): Promise<string> {
  return (await server.rootQuery("SHOW TABLES FROM appdb LIKE '\\\\_\\\\_qc\\\\_%'")).join(" ");
}

e2e(
  "objects of every packing and form are loaded by every mode",
  async () => {
    const tsv = "10\tten\n11\televen\n";
    const objects: readonly (readonly [key: string, content: Uint8Array | string, ...words: string[]])[] = [
      ["plain.csv", 'id,name\n10,ten\n11,"eleven"\n'],
      ["crlf.csv", '\ufeffid,name\r\n10,"ten"\r\n11,eleven\r\n'],
      ["last-line-open.tsv", tsv.slice(0, -1)],
      ["packed.tsv.gz", gzipSync(tsv)],
      ["members.tsv.gz", Buffer.concat([gzipSync("10\tten\n"), gzipSync("11\televen\n")])],
      ["packed.tsv.zst", zstdCompressSync(Buffer.from(tsv))],
      ["frames.tsv", Buffer.concat(["10\tten\n", "11\televen\n"].map((text) => zstdCompressSync(Buffer.from(text))))],
      [
        "by-command.tsv",
        Buffer.from(tsv).reverse(),
        "--decompress",
        "cat >/dev/null; printf '10\\tten\\n11\\televen\\n'",
      ],
      ["columns.csv", "name,id\nten,10\neleven,11\n", "--columns", "header"],
      [
        "spelled-out.txt",
        "10;'ten'|11;eleven|",
        "--fields-terminated",
        ";",
        "--lines-terminated",
        "|",
        "--enclosed",
        "'",
      ],
      ["set.tsv", "ten\t9\neleven\t10\n", "--columns", "name,@before", "--set", "id = @before + 1"],
    ];
    for (const [index, [key, content, ...words]] of objects.entries()) {
      for (const [name, server] of serversFor(index)) {
        await fresh(server);
        await moto.putObject("ingest", key, content);
        const mode = ["delete", "replace", "truncate"][index % 3] as string;
        const { code, stdout, stderr } = await load(`s3://ingest/${key}`, name, "--mode", mode, ...words);
        assert.equal(code, 0, `${name} ${key}: ${stdout}${stderr}`);
        assert.equal(await rows(server), "10=ten 11=eleven", `${name} ${key}`);
      }
    }
    for (const [name, server] of serversFor(0)) {
      const append = await load("s3://ingest/plain.csv", name, "--if-empty");
      assert.equal(append.code, 1, append.stdout);
      assert.match(append.stderr, /has rows, and --mode abort loads into an empty table only/);
      await server.rootQuery("DELETE FROM appdb.sales");
      assert.equal((await load("s3://ingest/plain.csv", name, "--mode", "abort")).code, 0);
      assert.equal(await rows(server), "10=ten 11=eleven");
      assert.equal(await leftovers(server), "");
    }
  },
  TIMEOUT_MS,
);

e2e(
  "how rows are written, and what becomes of those whose key is there, is as the options say",
  async () => {
    const cases: readonly (readonly [key: string, content: Uint8Array | string, found: string, ...words: string[]])[] =
      [
        ["escaped.tsv", "10\tt^en\n", "1=old 10=ten", "--escaped", "^"],
        ["header.tsv", "one\ntwo\n10\tten\n", "1=old 10=ten", "--header", "2"],
        ["latin1.csv", Buffer.from("id,name\n10,caf\xe9\n", "latin1"), "1=old 10=café", "--charset", "latin1"],
        ["null.csv", "id,name\n10,\n", "1=old 10=NULL", "--null", "none"],
        ["again.tsv", "1\tnew\n10\tten\n", "1=old 10=ten", "--duplicates", "ignore"],
        ["again.tsv", "1\tnew\n10\tten\n", "1=new 10=ten", "--duplicates", "replace"],
        ["warned.tsv", "10\tten of them all in all\n", "1=old 10=ten of them all in a", "--warnings-max", "1"],
        ["part.tsv", "10\tten\n", "1=old 10=ten", "--partition", "p0"],
        ["ledger.tsv", "10\tten\n", "1=old 10=ten", "--once", "--ledger", "appdb.sales_b"],
      ];
    for (const [key, content, found, ...words] of cases) {
      await fresh(
        mysql,
        words[0] === "--partition" ? "ALTER TABLE appdb.sales PARTITION BY HASH (id) PARTITIONS 2;" : "",
      );
      await moto.putObject("ingest", key, content);
      const { code, stdout, stderr } = await load(`s3://ingest/${key}`, "mysql", ...words);
      assert.equal(code, 0, `${key}: ${stdout}${stderr}`);
      assert.equal(await rows(mysql), found, `${key} ${words.join(" ")}`);
    }
    assert.equal((await mysql.rootQuery("SELECT COUNT(*) FROM appdb.sales_b"))[0]?.[0], "1", "the ledger's row");
    // Neither folded nor taken for a word of SQL.
    await fresh(mysql, "DROP TABLE IF EXISTS appdb.`Order`; CREATE TABLE appdb.`Order` LIKE appdb.sales;");
    const words = ["load", "s3://ingest/part.tsv", "mysql", "appdb.Order", "--mode", "replace"];
    const named = await run(querycop, words, { env: environment, cwd: "/", timeoutMs: 60_000 });
    assert.equal(named.code, 0, named.stdout + named.stderr);
    assert.equal(await rows(mysql, "`Order`"), "10=ten");
  },
  TIMEOUT_MS,
);

large(
  "what is cut, damaged, of another form or not the row it should be changes nothing, and is named",
  async () => {
    const packed = gzipSync("10\tten\n11\televen\n");
    const zstd = zstdCompressSync(Buffer.from("10\tten\n".repeat(400)));
    const objects: readonly (readonly [key: string, content: Uint8Array | string, told: RegExp, ...words: string[]])[] =
      [
        ["cut.tsv.gz", packed.subarray(0, -1), /cut off: gzip/],
        ["sum.tsv.gz", Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8, 1)]), /damaged: gzip/],
        ["behind.tsv.gz", Buffer.concat([packed, Buffer.from("12\tlost\n")]), /damaged: gzip/],
        ["cut.tsv.zst", zstd.subarray(0, -1), /cut off inside a Zstandard frame/],
        ["behind.tsv.zst", Buffer.concat([zstd, Buffer.from("12\tlost\n")]), /behind a Zstandard frame/],
        ["table.csv", "PAR1\u0015\u0004", /is Parquet/],
        ["command.tsv", "10\tten\n", /--decompress ended with 3/, "--decompress", "cat; exit 3"],
        ["number.csv", "id,name\n10,ten\nx11,eleven\n", /row 2, column id/],
        ["long.csv", `id,name\n10,${"x".repeat(21)}\n`, /row 1, column name/],
        ["short.csv", "id,name\n10\n", /row 1/],
        ["key.csv", "id,name\n10,ten\n10,again\n", /skipped 1 rows/],
        ["latin1.csv", Buffer.from("id,name\n10,caf\xe9\n", "latin1"), /not UTF-8, somewhere in bytes 0 to 16/],
        ["utf16.csv", Buffer.from("\ufeffid,name\n10,ten\n", "utf16le"), /the mark of UTF-16/],
        ["mixed.tsv", "10\tten\n11\televen\r\n", /some of its lines end with CR LF/],
        ["small.csv", "id,name\n", /has 8 bytes, where --min-size wants 9/, "--min-size", "9"],
        ["names.csv", "id,nome\n10,ten\n", /its header names "nome"/, "--columns", "header"],
      ];
    await Promise.all([fresh(mysql), fresh(mariadb)]);
    for (const [index, [key, content, told, ...words]] of objects.entries()) {
      for (const [name, server] of serversFor(index)) {
        await moto.putObject("ingest", key, content);
        const mode = ["delete", "replace", "append"][index % 3] as string;
        const { code, stdout, stderr } = await load(`s3://ingest/${key}`, name, "--mode", mode, ...words);
        assert.equal(code, 1, `${name} ${key}: ${stdout}${stderr}`);
        assert.match(stderr, told, `${name} ${key}`);
        assert.equal(await rows(server), "1=old", `${name} ${key}`);
        assert.equal(await leftovers(server), "");
      }
    }
  },
  TIMEOUT_MS,
);

e2e(
  "hostile keys load the object that they name, alone and by their prefix, and nothing else",
  async () => {
    const keys = HOSTILE_KEYS.map((key, index) => `keys/${index}/${key}.tsv`);
    for (const [index, key] of keys.entries()) await moto.putObject("ingest", key, `${100 + index}\tk\n`);
    await fresh(mysql);
    const all = await load("s3://ingest/keys/*", "mysql", "--format", "tsv", "--mode", "delete");
    assert.equal(all.code, 0, all.stdout + all.stderr);
    assert.equal((await rows(mysql)).split(" ").length, keys.length);
    const some = ["''; DROP TABLE x; --", "\\'", "?versionId=1", "%27", "a//b", "*", "💾"];
    for (const index of isLarge ? keys.keys() : some.map((key) => HOSTILE_KEYS.indexOf(key))) {
      const one = await load(`s3://ingest/${keys[index]}`, "mysql", "--mode", "delete");
      assert.equal(one.code, 0, `${keys[index]}: ${one.stdout}${one.stderr}`);
      assert.equal(await rows(mysql), `${100 + index}=k`, String(keys[index]));
    }
    for (const bad of [
      "s3://ingest/../x.tsv",
      "s3://ingest/a/./x.tsv",
      "s3://INGEST/x.tsv",
      "s3://ingest/a\nb.tsv",
      "/etc/passwd",
    ]) {
      assert.equal((await load(bad, "mysql")).code, 2, bad);
    }
    assert.deepEqual(gate.refused, [], "all was signed as S3 wants it");
    const AWS_SECRET_ACCESS_KEY = "another-secret-access-key-of-somebody";
    const args = ["load", `s3://ingest/${keys[0]}`, "mysql", "appdb.sales", "--mode", "delete"];
    const env = { ...environment, AWS_SECRET_ACCESS_KEY };
    const wrong = await run(querycop, args, { env, cwd: "/", timeoutMs: 60_000 });
    assert.equal(wrong.code, 1, wrong.stdout + wrong.stderr);
    assert.match(wrong.stderr, /S3 denies it/);
    assert.ok(gate.refused.length > 0 && gate.refused.every((problem) => problem === "SignatureDoesNotMatch"));
  },
  TIMEOUT_MS,
);

e2e(
  "only what the connection's loads allow is loaded, an object that is missing is told apart, a ledger passes over",
  async () => {
    await fresh(mysql);
    await moto.putObject("narrow", "in/a.tsv", "20\ttwenty\n");
    await moto.putObject("narrow", "in/large.tsv", "21\ttwenty-one\n22\ttwenty-two\n23\tx\n");
    const refusals: readonly (readonly [source: string, told: RegExp, code: number, ...words: string[]])[] = [
      ["s3://narrow/out/a.tsv", /allow no load from there/, 1],
      ["s3://elsewhere/a.tsv", /allow no load from there/, 1],
      ["s3://narrow/in/a.tsv", /allow no load by --mode delete/, 1, "--mode", "delete"],
      ["s3://narrow/in/large.tsv", /where max_bytes of the connection's loads allows 30/, 1],
      ["s3://narrow/in/none.tsv", /there is no such object/, 3],
      ["s3://narrow/in/none.tsv", /^$/, 0, "--skip-missing"],
    ];
    for (const [source, told, code, ...words] of refusals) {
      const result = await load(source, "mysql", ...words);
      assert.equal(result.code, code, `${source}: ${result.stdout}${result.stderr}`);
      assert.match(result.stderr, told);
    }
    const entries = (...urls: readonly string[]): string =>
      JSON.stringify({ entries: urls.map((url) => ({ url, mandatory: false })) });
    const manifests: readonly (readonly [content: string, told: RegExp, code: number])[] = [
      [entries("s3://narrow/in/a.tsv", "s3://narrow/out/a.tsv"), /allow no load from there/, 1],
      [entries("s3://narrow/in/a.tsv", "s3://narrow/in/none.tsv"), /there is no such object/, 3],
      [entries("s3://narrow/in/a.tsv", "s3://narrow/in/a.tsv"), /names it twice/, 1],
      [entries("s3://narrow/in/a.tsv", "/etc/passwd"), /entry 2 is not/, 1],
      ['{"entries":[]}', /expected JSON as/, 1],
      ["a.tsv", /expected JSON as/, 1],
    ];
    const asManifest = ["--manifest", "--format", "tsv", "--dry-run"];
    for (const [content, told, code] of manifests) {
      await moto.putObject("ingest", "list.json", content);
      const result = await load("s3://ingest/list.json", "mysql", ...asManifest);
      assert.equal(result.code, code, `${content}: ${result.stdout}${result.stderr}`);
      assert.match(result.stderr, told);
    }
    await moto.putObject("ingest", "second.tsv", "21\ttwenty-one\n");
    await moto.putObject("ingest", "list.json", entries("s3://narrow/in/a.tsv", "s3://ingest/second.tsv"));
    const listed = await load("s3://ingest/list.json", "mysql", ...asManifest);
    assert.match(listed.stdout, /in\/a\.tsv {2}10 bytes\ns3:\/\/ingest\/second\.tsv {2}14 bytes\n/);
    const dry = await load("s3://narrow/in/a.tsv", "mysql", "--dry-run");
    assert.match(dry.stdout, /^s3:\/\/narrow\/in\/a\.tsv {2}10 bytes\ninto appdb\.sales \(append, stream\)\n$/);
    assert.equal(await rows(mysql), "1=old");
    for (const outcome of ["loaded", "seen"]) {
      const { code, stdout } = await load("s3://narrow/in/a.tsv", "mysql", "--once", "--json");
      assert.equal(code, 0, stdout);
      assert.equal(JSON.parse(stdout).objects[0].outcome, outcome);
      assert.equal(await rows(mysql), "1=old 20=twenty");
    }
    await moto.putObject("narrow", "in/a.tsv", "30\tthirty\n");
    assert.equal((await load("s3://narrow/in/a.tsv", "mysql", "--once")).code, 0, "another version is another object");
    assert.equal(await rows(mysql), "1=old 20=twenty 30=thirty");
    const records = readdirSync(join(folder, "audit")).flatMap((name) =>
      readFileSync(join(folder, "audit", name), "utf8")
        .split("\n")
        .filter((line) => line.includes('"load-object"')),
    );
    const last = records
      .map((line) => JSON.parse(line))
      .find(({ object, records: count }) => object === "s3://narrow/in/a.tsv" && count === 1);
    assert.equal(last?.connection, "mysql");
    assert.match(last?.etag, /^"[0-9a-f]{32}"$/);
    assert.match(last?.contentHash, /^[0-9a-f]{64}$/);
  },
  TIMEOUT_MS,
);

large(
  "a table on which more hangs than its rows is refused where a mode would harm it, and loaded where not",
  async () => {
    await moto.putObject("ingest", "plain.csv", "id,name\n10,ten\n11,eleven\n");
    const child = (rule: string): string =>
      `CREATE TABLE appdb.child (id INT, FOREIGN KEY (id) REFERENCES appdb.sales (id) ${rule}); INSERT INTO appdb.child VALUES (1);`;
    const trigger = "CREATE TRIGGER appdb.t BEFORE INSERT ON appdb.sales FOR EACH ROW SET NEW.name = 'x';";
    const cases: readonly (readonly [
      made: string,
      name: string,
      mode: string,
      told: RegExp | undefined,
      ...words: string[],
    ])[] = [
      [child("ON DELETE CASCADE"), "", "delete", /ON DELETE CASCADE/],
      [child(""), "", "delete", /error 1451/],
      [child(""), "", "replace", /foreign keys of other tables/],
      [child(""), "", "append", undefined],
      [trigger, "", "replace", /has triggers, which would stay/],
      [trigger, "", "append", /has triggers, which would run/],
      [trigger, "", "append", undefined, "--accept", "triggers"],
      ["", "-narrow", "replace", /may have foreign keys .* and triggers/],
      ["", "-narrow", "replace", undefined, "--accept", "unseen"],
      ["", "-narrow", "append", undefined],
      [
        "CREATE TABLE appdb.parent (id INT PRIMARY KEY); INSERT INTO appdb.parent VALUES (1); ALTER TABLE appdb.sales ADD FOREIGN KEY (id) REFERENCES appdb.parent (id);",
        "",
        "replace",
        /has foreign keys/,
      ],
      ["ALTER TABLE appdb.sales PARTITION BY HASH (id) PARTITIONS 3;", "", "replace", undefined],
      ["ALTER TABLE appdb.sales DROP COLUMN twice, ENGINE=MyISAM;", "", "append", /has the engine MyISAM/],
    ];
    for (const [index, [made, suffix, mode, told, ...words]] of cases.entries()) {
      for (const [name, server] of serversFor(index)) {
        await fresh(server);
        if (made !== "") await server.rootQuery(made);
        const { code, stdout, stderr } = await load(
          "s3://ingest/plain.csv",
          `${name}${suffix}`,
          "--mode",
          mode,
          ...words,
        );
        assert.equal(code, told === undefined ? 0 : 1, `${name} ${made} ${mode}: ${stdout}${stderr}`);
        if (told === undefined) continue;
        assert.match(stderr, told, `${name} ${made} ${mode}`);
        assert.equal(await rows(server), "1=old", `${name} ${made} ${mode}`);
      }
    }
    for (const [name, server] of serversFor(1)) {
      await fresh(server, "CREATE OR REPLACE VIEW appdb.seen AS SELECT id, name FROM appdb.sales;");
      const args = ["load", "s3://ingest/plain.csv", name, "appdb.seen"];
      const onView = await run(querycop, args, { env: environment, cwd: "/", timeoutMs: 60_000 });
      assert.match(onView.stderr, /is a view/);
      assert.equal((await load("s3://ingest/plain.csv", name, "--mode", "replace", "--keep-old")).code, 0);
      assert.equal(await rows(server, "seen"), "10=ten 11=eleven", "a view follows the name");
      const kept = await leftovers(server);
      assert.match(kept, /^__qc_kept_/);
      await server.rootQuery(`DROP VIEW appdb.seen; DROP TABLE appdb.${kept}`);
    }
  },
);

e2e(
  "a server that is no Aurora reads no file of its own for an address that loads list, however the statement is written",
  async () => {
    // Where MySQL 9 looks for it: the same statement, without querycop or with the rule off, loads this file.
    for (const scheme of ["s3:", "s3-eu-central-1:"]) {
      const place = join(mysql.folder, "data", scheme, "ingest");
      mkdirSync(place, { recursive: true });
      for (const name of ["raw.tsv", "raw.xml"]) writeFileSync(join(place, name), "100\town\n");
    }
    const file = "'s3://ingest/raw.tsv'";
    const into = "INTO TABLE appdb.sales (id, name)";
    const plain = `LOAD DATA FROM S3 ${file} ${into}`;
    await fresh(mysql);
    assert.deepEqual(await raw("mysql-open", [plain]), []);
    assert.equal(await rows(mysql), "1=old 100=own", "the door is there");
    await fresh(mysql);
    assert.deepEqual(await raw("mysql-watched", [plain]), []);
    assert.equal(await rows(mysql), "1=old 100=own", "observing blocks nothing");
    const spellings = [
      plain,
      `load data s3 ${file} ${into}`,
      `LOAD DATA FROM S3 "s3://ingest/raw.tsv" REPLACE ${into}`,
      `LOAD DATA FROM S3 's3-eu-central-1://ingest/raw.tsv' ${into}`,
      `LOAD DATA /*!80000 FROM */ /*!S3*/ ${file} ${into}`,
      `LOAD/**/DATA/**/FROM/**/S3${file}${into}`,
      `LOAD DATA FROM S3 FILE ${file} ${into}`,
      `LOAD DATA FROM S3 PREFIX 's3://ingest/raw' ${into}`,
      `LOAD DATA FROM S3 MANIFEST ${file} ${into}`,
      `LOAD DATA FROM URL ${file} ${into}`,
      `LOAD DATA FROM S3 's3://ingest/raw' COUNT 1 ${into}`,
      `LOAD XML FROM S3 's3://ingest/raw.xml' INTO TABLE appdb.sales`,
      `LOAD DATA FROM S3 's3://ingest/../../s3:/ingest/raw.tsv' ${into}`,
      `SELECT 1; ${plain}`,
      `PREPARE p FROM "${plain}"`,
      "SELECT id FROM appdb.sales INTO OUTFILE S3 's3://exports/out'",
      "SELECT id FROM appdb.sales INTO OUTFILE S3 's3-eu-central-1://elsewhere/out'",
    ];
    await fresh(mysql);
    const errors = await raw("mysql-raw", spellings);
    assert.equal(errors.length, spellings.length, errors.join("\n"));
    for (const error of errors) assert.match(error, /^ERROR 1148 .*blocked by rule file\.s3 /);
    assert.match(errors[0] ?? "", /has not said that it is an Aurora/);
    assert.equal(await rows(mysql), "1=old");
    assert.deepEqual(await raw("mysql-raw", ["SELECT COUNT(*) FROM appdb.sales"]), []);
  },
  TIMEOUT_MS,
);

e2e(
  "Aurora's statement is sent to no other server, and is what the grammar of one takes, whatever the key",
  async () => {
    await moto.putObject("ingest", "plain.csv", "id,name\n10,ten\n11,eleven\n");
    await fresh(mysql);
    const refused = await load("s3://ingest/plain.csv", "mysql", "--via", "server");
    assert.equal(refused.code, 1, refused.stdout);
    assert.match(refused.stderr, /the server is no Aurora, and would read files of its own/);
    // MySQL 9 runs the same grammar against its own files: they lie where such an address leads to as a path.
    const place = join(mysql.folder, "data", "s3-eu-central-1:", "bucket");
    mkdirSync(place, { recursive: true });
    const shape: StatementShape = {
      format: TEXT_FORMATS.csv,
      charset: "utf8mb4",
      duplicates: "error",
      partitions: [],
      columns: ["id", "name"],
      nullText: "",
      assignments: undefined,
    };
    const keys = ["plain", "it's", 'say "x"', "back\\slash", "'; DROP TABLE x; --", "a  b", "ü%27"];
    for (const [index, key] of keys.entries()) {
      writeFileSync(join(place, key), `id,name\n${100 + index},k\n`);
      for (const mode of ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"]) {
        await fresh(mysql);
        const source = `FROM S3 ${s3Literal({ bucket: "bucket", key, region: "eu-central-1" }, mode !== "")}`;
        const sql = loadStatement(source, { schema: "appdb", table: "sales" }, shape, "\n");
        await mysql.rootQuery(`SET SESSION sql_mode = '${mode}'; ${sql};`);
        assert.equal(await rows(mysql), `1=old ${100 + index}=k`, `${mode} ${key}`);
      }
    }
  },
  TIMEOUT_MS,
);

const KEYS = { alice: "the-key-of-alice-0123456789", jobs: "the-key-of-jobs-0123456789" };

/** A querycop that serves, and its approvals on the command line. */
async function startApprovals() {
  const files = Object.entries(KEYS).map(([name, key]) => {
    const path = join(folder, `${name}.key`);
    writeFileSync(path, `${key}\n`, { mode: 0o600 });
    return [name, path] as const;
  });
  const hash = (key: string): string => createHash("sha256").update(key).digest("hex");
  const approvers = join(folder, "approvers");
  writeFileSync(approvers, `alice:${hash(KEYS.alice)}\njobs:${hash(KEYS.jobs)}:requester\n`, { mode: 0o600 });
  const serving = await startQuerycop({ ...plaintextBackend(mysql), GATEKEEPER_API_APPROVERS_FILE: approvers });
  const listening = (): LogLine | undefined => serving.logs().find(({ event }) => event === "admin API listening");
  const port = /\d+$/.exec(String((await eventually("the admin API listens", listening))["address"]));
  const targetOf = (name: string): string[] => [
    "--url",
    `http://127.0.0.1:${port}`,
    "--key-file",
    String(files.find(([each]) => each === name)?.[1]),
  ];
  const approvals = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runQuerycop(["approvals", ...words, ...targetOf("alice")]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const waiting = async (): Promise<string> =>
    await eventually("a load waits", async () => /^(apr-\S+) pending/m.exec(await approvals("list"))?.[1], 60_000);
  return { serving, targetOf, approvals, waiting };
}

e2e(
  "a load that needs an approval runs once another person has seen its objects, and only with these versions of them",
  async () => {
    const { serving, targetOf, approvals, waiting } = await startApprovals();
    try {
      await fresh(mysql);
      const etag = await moto.putObject("ingest", "asked.tsv", "10\tten\n");
      const source = "s3://ingest/asked.tsv";
      const words = ["--mode", "delete", "--approval", ...targetOf("jobs")];
      const alone = await load(source, "mysql-asked", "--mode", "delete");
      assert.equal(alone.code, 1, alone.stdout);
      assert.match(alone.stderr, /needs approval, which querycop load --approval asks for before it begins/);
      assert.equal(await rows(mysql), "1=old");

      const approved = load(source, "mysql-asked", ...words);
      const id = await waiting();
      const shown = await approvals("show", id);
      for (const part of [source, "7 bytes", `etag ${etag}`, '"appdb.sales" BY delete', "ON mysql-asked", "key jobs"])
        assert.ok(shown.includes(part), `${part} in ${shown}`);
      assert.equal(await rows(mysql), "1=old", "nothing has changed meanwhile");
      const own = await runQuerycop(["approvals", "approve", id, ...targetOf("jobs")]);
      assert.equal(own.code, 1, own.stdout);
      await approvals("approve", id);
      const { code, stdout, stderr } = await approved;
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, new RegExp(`approved by alice \\(${id}\\)`));
      assert.equal(await rows(mysql), "10=ten");
      const records = readdirSync(join(folder, "audit")).flatMap((name) =>
        readFileSync(join(folder, "audit", name), "utf8").split("\n"),
      );
      const ended = records.find((line) => line.includes('"type":"load"') && line.includes(id));
      assert.match(ended ?? "", /"approver":"alice"/);

      // The same again is another load, and what changed since it was shown is not what was approved.
      const stale = load(source, "mysql-asked", ...words);
      const second = await waiting();
      assert.notEqual(second, id);
      await moto.putObject("ingest", "asked.tsv", "11\televen\n");
      await approvals("approve", second);
      const changed = await stale;
      assert.equal(changed.code, 1, changed.stdout);
      assert.match(changed.stderr, /the objects are not those any more that the approval is for/);
      assert.equal(await rows(mysql), "10=ten");

      const refused = load(source, "mysql-asked", ...words);
      await approvals("deny", await waiting(), "--reason", "not on a Friday");
      const denied = await refused;
      assert.equal(denied.code, 1, denied.stdout);
      assert.match(denied.stderr, /denied by alice: not on a Friday/);
      assert.equal(await rows(mysql), "10=ten");
    } finally {
      await serving.stop();
    }
    const unheard = await load("s3://ingest/asked.tsv", "mysql-asked", "--approval", ...targetOf("jobs"));
    assert.equal(unheard.code, 1, unheard.stdout);
    assert.match(unheard.stderr, /No answer from the admin API/);
  },
  TIMEOUT_MS,
);

e2e(
  "switch loads the half without rows, and empties the other with it",
  async () => {
    await moto.putObject("ingest", "plain.csv", "id,name\n10,ten\n11,eleven\n");
    await fresh(mysql, `${HALVES} INSERT INTO appdb.sales_a (id, name) VALUES (1, 'old');`);
    for (const [full, empty] of [
      ["sales_b", "sales_a"],
      ["sales_a", "sales_b"],
    ] as const) {
      const { code, stdout } = await load("s3://ingest/plain.csv", "mysql", "--mode", "switch");
      assert.equal(code, 0, stdout);
      assert.equal(await rows(mysql, full), "10=ten 11=eleven");
      assert.equal(await rows(mysql, empty), "");
    }
    await mysql.rootQuery("INSERT INTO appdb.sales_b (id, name) VALUES (1, 'old')");
    const both = await load("s3://ingest/plain.csv", "mysql", "--mode", "switch");
    assert.equal(both.code, 1);
    assert.match(both.stderr, /both sales_a and sales_b have rows/);
  },
  TIMEOUT_MS,
);

/** More than a part of an object: the second is asked for while the first is sent. */
const BIG_ROWS = 600_000;

async function putBig(): Promise<void> {
  const lines: string[] = [];
  for (let id = 1; id <= BIG_ROWS; id++) lines.push(`${id + 1000}\t${"n".repeat(10)}`);
  await moto.putObject("ingest", "big.tsv", `${lines.join("\n")}\n`);
}

const HALVES = "CREATE TABLE appdb.sales_a LIKE appdb.sales; CREATE TABLE appdb.sales_b LIKE appdb.sales;";

/** With one old row, where the mode takes a table that has any; from here on what is committed outlives a kill of the server. */
async function freshFor(mode: string, server: TestServer): Promise<void> {
  // Servers of tests leave it in their memory for a second, and a table could come back from before this.
  await server.rootQuery("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  await fresh(server, `${HALVES} INSERT INTO appdb.sales_a (id, name) VALUES (1, 'old');`);
  if (mode === "abort") await server.rootQuery("DELETE FROM appdb.sales");
}

async function countIn(server: TestServer, table: string): Promise<string> {
  const sql = `SELECT COUNT(*), COALESCE(SUM(id = 1), 0) FROM appdb.${table}`;
  return ((await server.rootQuery(sql))[0] ?? []).join();
}

/** What a load of big.tsv has left where freshFor() began: all of it or nothing, or what may never be. */
async function stateAfter(mode: string, server: TestServer): Promise<"old" | "new" | "broken"> {
  const found =
    mode === "switch"
      ? [await countIn(server, "sales_a"), await countIn(server, "sales_b")].join(" and ")
      : await countIn(server, "sales");
  const empty = "0,0";
  const old = "1,1";
  const all = `${BIG_ROWS},0`;
  const ends: Readonly<Record<string, readonly [before: string, after: string]>> = {
    append: [old, `${BIG_ROWS + 1},1`],
    abort: [empty, all],
    switch: [`${old} and ${empty}`, `${empty} and ${all}`],
  };
  const [before, after] = ends[mode] ?? [old, all];
  return found === before ? "old" : found === after ? "new" : "broken";
}

large(
  "parts that break off, fail or come late are asked for again; another version of the object is not taken",
  async () => {
    await putBig();
    await freshFor("delete", mysql);
    gate.fateOf = (part) => (part === 0 || part === 2 ? "cut" : part === 1 ? "busy" : "pass");
    const { code, stdout, stderr } = await load("s3://ingest/big.tsv", "mysql", "--mode", "delete", "--json");
    assert.equal(code, 0, stdout + stderr);
    // Of the two that broke off; the AWS client asks again by itself where the store is busy.
    assert.equal(JSON.parse(stdout).retries, 2);
    assert.equal(await stateAfter("delete", mysql), "new");
    await freshFor("delete", mysql);
    gate.reset();
    gate.fateOf = (part) => (part === 1 ? "changed" : "pass");
    const changed = await load("s3://ingest/big.tsv", "mysql", "--mode", "delete");
    assert.equal(changed.code, 1, changed.stdout);
    assert.match(changed.stderr, /it is not the object any more that was found at first/);
    assert.equal(await stateAfter("delete", mysql), "old");
  },
);

const FAULTS = ["kill querycop", "stop querycop", "end the session", "kill the server", "cut S3 off"] as const;
type Fault = (typeof FAULTS)[number];

/** Starts a load whose second part does not come, and with the fault done to it when it waits there. */
async function faultInPart(name: string, server: TestServer, mode: string, fault: Fault): Promise<void> {
  gate.reset();
  gate.fateOf = (part) => (part === 1 ? "hold" : "pass");
  const child = spawn(querycop, ["load", "s3://ingest/big.tsv", name, "appdb.sales", "--mode", mode], {
    env: environment,
    stdio: "ignore",
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  await gate.held;
  const session = async (): Promise<string | undefined> =>
    (
      await server.rootQuery("SELECT id FROM information_schema.processlist WHERE user = 'admin' AND info LIKE 'LOAD%'")
    )[0]?.[0];
  const id = await eventually("the load runs", session, 60_000);
  if (fault === "kill querycop") child.kill("SIGKILL");
  if (fault === "stop querycop") child.kill("SIGTERM");
  if (fault === "end the session") await server.rootQuery(`KILL ${id}`);
  if (fault === "kill the server") await server.crash();
  // All that is asked for again as well, until nobody asks any more.
  if (fault === "cut S3 off") gate.fateOf = () => "cut";
  if (fault === "cut S3 off") gate.breakHeld();
  else gate.release();
  const code = await ended;
  assert.equal(code, fault === "kill querycop" ? null : 1, `${name} ${mode} ${fault}`);
  // The rows of the first part are taken back one by one.
  const what = `the session is gone: ${name} ${mode} ${fault}`;
  await eventually(what, async () => (await session()) === undefined, 240_000);
  assert.equal(await stateAfter(mode, server), "old", `${name} ${mode} ${fault}`);
}

for (const [name, server] of Object.entries(servers)) {
  large(
    `whoever is killed in the middle of an object, the table of ${name} has its old rows, and the next load finds nothing in its way`,
    async () => {
      await putBig();
      for (const mode of LOAD_MODES) {
        for (const fault of FAULTS) {
          await freshFor(mode, server);
          await faultInPart(name, server, mode, fault);
        }
      }
      gate.reset();
      await freshFor("replace", server);
      assert.equal((await load("s3://ingest/big.tsv", name, "--mode", "replace")).code, 0);
      assert.equal(await stateAfter("replace", server), "new");
      assert.equal(await leftovers(server), "");
    },
    3_600_000,
  );
}

/** Ends one of the two when the load says that it has come to this step. Resolves when its session is over. */
async function killedAt(step: string, victim: "querycop" | "server", name: string, mode: string): Promise<void> {
  const server = servers[name] as TestServer;
  const words = ["load", "s3://ingest/big.tsv", name, "appdb.sales", "--mode", mode, "--progress", "json"];
  const child = spawn(querycop, words, { env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let crashed: Promise<unknown> | undefined;
  child.stderr.on("data", (text: Buffer) => {
    if (!text.includes(`"phase":"${step}"`)) return;
    if (victim === "querycop") child.kill("SIGKILL");
    else crashed ??= server.crash();
  });
  await ended;
  await crashed;
  const busy = "SELECT id FROM information_schema.processlist WHERE user = 'admin'";
  await eventually("its session is gone", async () => (await server.rootQuery(busy)).length === 0, 60_000);
}

for (const [name, server] of Object.entries(servers).slice(0, isLarge ? undefined : 1)) {
  e2e(
    `killed at any step, a load leaves the old rows or the new in ${name}`,
    async () => {
      await putBig();
      const steps = isLarge ? ["checking", "begun", "loaded", "ending"] : ["loaded", "ending"];
      const victims = isLarge ? (["querycop", "server"] as const) : (["querycop"] as const);
      for (const mode of isLarge ? LOAD_MODES : ["delete", "replace", "switch"]) {
        for (const step of steps) {
          for (const victim of victims) {
            await freshFor(mode, server);
            await killedAt(step, victim, name, mode);
            const found = await stateAfter(mode, server);
            assert.notEqual(found, "broken", `${name} ${mode} ${step}: ${victim} killed`);
          }
        }
      }
    },
    isLarge ? 3_600_000 : TIMEOUT_MS,
  );
}
