/** `querycop exec` and `connect` to PostgreSQL, and to what looks like Aurora DSQL at a login, through the executable. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { awsEnvironment, isDsqlTokenFor } from "../support/aws-token.ts";
import { type CertificateSet, CLUSTER_HOST, DSQL_HOST, makeCertificates } from "../support/certificates.ts";
import { type RunResult, run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot, type RootName } from "../support/install.ts";
import { type LdapResponder, startLdapResponder } from "../support/ldap-responder.ts";
import { PostgresClient } from "../support/postgres-client.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { cleanEnvironment, querycopBinary } from "../support/querycop.ts";

const querycop = await querycopBinary();
const { scram, md5 } = POSTGRES_ACCOUNTS;
let certificates: CertificateSet;
let directory: LdapResponder;
let server: PostgresServer;
let cluster: PostgresServer;
let folder: string;
let runtime: string;

after(async () => {
  await endStage();
  await server?.stop();
  await cluster?.stop();
  directory?.close();
  certificates?.remove();
});

const PROGRAMS: readonly (readonly [RootName, ...string[]])[] = [
  ["psql", "psql", "pg_dump"],
  ["postgresql", "pgbench"],
];

/** A folder of PostgreSQL's programs, for PATH. */
async function programs(): Promise<string> {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  for (const [kind, ...names] of PROGRAMS) {
    const root = await installServerRoot(kind);
    for (const name of names) {
      const { command, args } = root.command(`usr/lib/postgresql/15/bin/${name}`, []);
      const words = [command, ...args].map((word) => `'${word}'`).join(" ");
      writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words} "$@"\n`);
      chmodSync(join(bin, name), 0o755);
    }
  }
  return bin;
}

function connections(): string {
  const secret = (name: string, text: string): string => {
    const file = join(folder, `${name}.password`);
    writeFileSync(file, `${text}\n`, { mode: 0o600 });
    return file;
  };
  const entry = (name: string, keys: Readonly<Record<string, string>>): string =>
    `  ${name}:\n${Object.entries(keys)
      .map(([key, value]) => `    ${key}: ${JSON.stringify(value)}\n`)
      .join("")}`;
  const tls = { tls_ca_file: certificates.caFile };
  const there = { engine: "postgresql", host: "127.0.0.1", port: String(server.port), tls_server_name: CLUSTER_HOST };
  const dsql = { host: "127.0.0.1", port: String(cluster.port), tls_server_name: DSQL_HOST, region: "us-east-1" };
  return [
    "connections:\n",
    entry("shop", {
      ...there,
      ...tls,
      user: scram.user,
      database: "postgres",
      password_file: secret("shop", scram.password),
    }),
    entry("old", { ...there, ...tls, user: md5.user, password_file: secret("old", md5.password) }),
    entry("cluster", { ...dsql, ...tls, user: "app_role" }),
    entry("chief", { ...dsql, ...tls, user: "admin" }),
  ].join("");
}

let bin: string;
let config: string;
let auditFile: string;

async function querycopRun(
  words: readonly string[],
  input = "",
  more: Record<string, string> = {},
): Promise<RunResult> {
  const env = cleanEnvironment({
    ...awsEnvironment(),
    PATH: `${bin}:/usr/bin:/bin`,
    HOME: folder,
    XDG_RUNTIME_DIR: runtime,
    GATEKEEPER_CONFIG: config,
    // What would send libpq elsewhere.
    PGHOST: "192.0.2.1",
    PGSERVICE: "nowhere",
    PGSSLMODE: "verify-full",
    PGREQUIREAUTH: "none",
    ...more,
  });
  return await run(querycop, words, { env, cwd: "/", timeoutMs: 60_000, input });
}

const records = (): string =>
  readdirSync(join(folder, "audit"))
    .map((name) => readFileSync(join(folder, "audit", name), "utf8"))
    .join("");

describe("connections to PostgreSQL and Aurora DSQL", () => {
  e2e("stand: one server with passwords, one whose logins a token decides", async () => {
    certificates = await makeCertificates();
    folder = certificates.folder;
    runtime = join(folder, "run");
    mkdirSync(runtime, { mode: 0o700 });
    directory = await startLdapResponder((user, token) => isDsqlTokenFor(token, { host: DSQL_HOST, user }));
    const ldap = `ldap ldapserver=127.0.0.1 ldapport=${directory.port} ldapprefix=""`;
    [server, cluster] = await Promise.all([
      startPostgres(certificates.leaves.chain),
      startPostgres(certificates.leaves.dsql, `hostssl postgres admin,app_role all ${ldap}\n`),
    ]);
    const owner = await PostgresClient.logIn({ port: cluster.port, user: "postgres", database: "postgres" });
    await owner.query("CREATE ROLE admin LOGIN; CREATE ROLE app_role LOGIN");
    owner.close();
    bin = await programs();
    auditFile = join(folder, "audit", "audit.ndjson");
    config = join(folder, "querycop.yaml");
    writeFileSync(config, `audit: { file: ${auditFile} }\n${connections()}`, { mode: 0o600 });
    // A home that sends psql elsewhere, and shows where its passwords go.
    writeFileSync(join(folder, ".pgpass"), "*:*:*:*:wrong\n", { mode: 0o600 });
  });

  e2e("psql, pg_dump and pgbench get through without an option", async () => {
    const who = ["-X", "-A", "-t", "-c", "SELECT current_user, current_database()"];
    assert.equal((await querycopRun(["exec", "shop", "--", "psql", ...who])).stdout, `${scram.user}|postgres\n`);
    const connected = await querycopRun(["connect", "shop", "--", "-XAt"], "SELECT 40 + 2;\n\\q\n");
    assert.deepEqual([connected.stdout, connected.code], ["42\n", 0], connected.stderr);
    const overTcp = await querycopRun(["exec", "shop", "--tcp", "--", "psql", ...who]);
    assert.equal(overTcp.stdout, `${scram.user}|postgres\n`, overTcp.stderr);
    const make = "CREATE TABLE kept (id int PRIMARY KEY, word text); INSERT INTO kept VALUES (1, 'one')";
    const made = await querycopRun(["exec", "shop", "--several-statements", "--", "psql", "-X", "-c", make]);
    assert.equal(made.code, 0, made.stderr);
    const dump = await querycopRun(["exec", "shop", "--", "pg_dump", "--table=kept", "--inserts"]);
    assert.match(dump.stdout, /INSERT INTO public\.kept VALUES \(1, 'one'\);/, dump.stderr);
    const script = join(folder, "bench.sql");
    writeFileSync(script, "SELECT word FROM kept WHERE id = 1;\n");
    const bench = ["pgbench", "-n", "-t", "20", "-M", "prepared", "-f", script];
    const benched = await querycopRun(["exec", "shop", "--", ...bench]);
    assert.match(benched.stdout, /actually processed: 20\/20/, benched.stderr);
  });

  e2e("a program that asks for a URL gets one in any variable, by socket and by TCP", async () => {
    for (const more of [[], ["--tcp"]]) {
      const command = ["sh", "-c", 'psql -XAt -c "SELECT count(*) FROM kept" "$DATABASE_URL"'];
      const words = ["exec", "shop", ...more, "--pristine", "--env", "DATABASE_URL={url}", "--", ...command];
      const { stdout, stderr } = await querycopRun(words);
      assert.equal(stdout, "1\n", stderr);
    }
  });

  e2e("a -c holds one statement, by the grammar and not by its semicolons", async () => {
    const psql = (...words: readonly string[]) => querycopRun(["exec", "shop", "--", "psql", "-X", ...words]);
    const several = await psql("-Atc", "SELECT 1; DROP TABLE kept");
    assert.equal(several.code, 2);
    assert.match(several.stderr, /a -c holds 2 statements, and one is let through/);
    assert.equal((await psql("-c", "SELECT ';', $$;$$ /* ; */;")).code, 0);
    const each = await psql("-At", "-c", "SELECT 1", "-c", "SELECT count(*) FROM kept");
    assert.equal(each.stdout, "1\n1\n", each.stderr);
    const ddl = ["-c", "CREATE INDEX ASYNC ON kept (word); CREATE INDEX ASYNC ON kept (id)"];
    const refused = await querycopRun(["connect", "cluster", "--", ...ddl]);
    assert.deepEqual([refused.code, /2 statements.*one DDL/.test(refused.stderr)], [2, true], refused.stderr);
  });

  e2e("ends as the program does, in its exit code and by its signals", async () => {
    const ends: readonly (readonly [words: readonly string[], code: number])[] = [
      [["psql", "-X", "-v", "ON_ERROR_STOP=1"], 3],
      [["psql", "-X", "-c", "SELECT no_such_column"], 1],
      [["psql", "-X", "-d", "no_such_database", "-c", "SELECT 1"], 2],
      [["sh", "-c", "kill -QUIT $$"], 131],
      [["no-such-program"], 127],
    ];
    for (const [words, code] of ends) {
      const ended = await querycopRun(["exec", "shop", "--", ...words], "SELECT 1/0;\nSELECT 2;\n");
      assert.equal(ended.code, code, words.join(" ") + ended.stderr);
    }
    assert.deepEqual(readdirSync(runtime), [], "no socket is left");
  });

  e2e("the server's password is in no argument, environment or file of the program, nor on record", async () => {
    const look = "cat /proc/self/environ /proc/$PPID/cmdline /proc/self/cmdline | tr '\\0' '\\n'; env";
    const { stdout } = await querycopRun(["exec", "shop", "--", "sh", "-c", look]);
    assert.ok(!stdout.includes(scram.password));
    assert.match(stdout, /^PGPASSWORD=[0-9a-f]{64}$/m);
    assert.doesNotMatch(stdout, /GATEKEEPER_|PGSERVICE|PGREQUIREAUTH|192\.0\.2\.1/);
    assert.ok(!records().includes(scram.password));
  });

  e2e("an account with md5 is reached as well, and both are checked to the end of a login", async () => {
    const query = ["psql", "-XAt", "-d", "postgres", "-c", "SELECT current_user"];
    const old = await querycopRun(["exec", "old", "--", ...query]);
    assert.equal(old.stdout, `${md5.user}\n`, old.stderr);
    for (const [name, login] of [
      ["shop", /ok +backend\.login +scram_user logged in by SCRAM-SHA-256-PLUS/],
      ["cluster", /ok +backend\.login +app_role logged in by password/],
    ] as const) {
      const { code, stdout, stderr } = await querycopRun(["connections", "check", name]);
      assert.match(stdout, login, stderr);
      assert.equal(code, 0, stdout);
    }
  });

  e2e("Aurora DSQL is entered in a role of its own, and as admin where that is said", async () => {
    const query = ["-XAt", "-c", "SELECT current_user, current_database()"];
    const scoped = await querycopRun(["connect", "cluster", "--", ...query]);
    assert.equal(scoped.stdout, "app_role|postgres\n", scoped.stderr);
    const unsaid = await querycopRun(["connect", "chief", "--", ...query]);
    assert.equal(unsaid.code, 2);
    assert.match(unsaid.stderr, /logs in as admin: say --admin/);
    for (const name of ["chief", "cluster"]) {
      const chief = await querycopRun(["connect", name, "--admin", "--", ...query]);
      assert.equal(chief.stdout, "admin|postgres\n", chief.stderr);
    }
    const elsewhere = await querycopRun(["connect", "shop", "--admin", "--", ...query]);
    assert.match(elsewhere.stderr, /--admin is for Aurora DSQL/);
    const actions = directory.binds.map(({ name, isTaken }) => `${name} ${isTaken}`);
    assert.deepEqual([...new Set(actions)].sort(), ["admin true", "app_role true"]);
    const dry = await querycopRun(["connect", "cluster", "--dry-run"]);
    assert.match(dry.stdout, /user +app_role\n[\s\S]*database +postgres\n/);
  });

  e2e("a plan is explained with its run, nothing is changed by it, and the report says what was found", async () => {
    const owner = await PostgresClient.logIn({ port: server.port, user: "postgres", database: "postgres" });
    await owner.query("CREATE TABLE orders (id int PRIMARY KEY, customer int, total int)");
    await owner.query("CREATE INDEX ON orders (customer); GRANT ALL ON orders TO PUBLIC");
    await owner.query("INSERT INTO orders SELECT n, n % 10, n FROM generate_series(1, 1000) AS n");
    await owner.query("ANALYZE orders");
    await owner.query(
      "CREATE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE AS 'DELETE FROM orders WHERE id > 0 RETURNING 1'",
    );
    owner.close();
    const change = "UPDATE orders SET total = 2 WHERE customer = 3 AND total > 500";
    const planned = (...words: readonly string[]) => querycopRun(["plan", ...words, "--connection", "shop"]);
    const report = await planned(change);
    assert.equal(report.code, 0, report.stderr);
    assert.match(report.stdout, /SELECT \* FROM orders WHERE customer = 3 AND total > 500/);
    assert.match(report.stdout, /- Planning time: [\d.]+ ms\n- Execution time: [\d.]+ ms\n/);
    assert.match(report.stdout, /### public\.orders\n\n- 1000 rows by its statistics, 1000 counted\n/);
    assert.match(report.stdout, /- `CREATE INDEX orders_customer_idx ON public\.orders USING btree \(customer\)`/);
    assert.match(report.stdout, /\| customer \| 10 \| 0 \|/);
    assert.match(report.stdout, /\| SET enable_\w+ = off \| [\d.]+ ms \|/);
    const writing = await planned("SELECT writes()", "--once");
    assert.equal(writing.code, 1);
    assert.match(writing.stderr, /25006 cannot execute DELETE in a read-only transaction/);
    const wrong = await planned("SELECT no_such_column FROM orders");
    assert.match(wrong.stderr, /^querycop: plan: 42703 column "no_such_column" does not exist$/m);
    const insert = await planned("INSERT INTO orders VALUES (0)");
    assert.deepEqual([insert.code, /only SELECT, UPDATE and DELETE/.test(insert.stderr)], [2, true], insert.stderr);
    const count = await querycopRun(["exec", "shop", "--", "psql", "-XAtc", "SELECT count(*), sum(total) FROM orders"]);
    assert.equal(count.stdout, "1000|500500\n");
    assert.match(records(), /"program":"querycop plan"/);
  });

  e2e("a client of a listener cannot choose by whose policy it is judged", async () => {
    const listeners = "client_auth: trust\nlisteners:\n  - { name: shop, connection: shop, listen: { port: 0 } }\n";
    const serving = await startStaged({}, { configYaml: `${listeners}${connections()}`, listeners: 1 });
    const logIn = (user: string) =>
      PostgresClient.logIn({ port: serving.ports["shop"] as number, user, database: "postgres" });
    await assert.rejects(logIn("somebody"), /log in here as "scram_user"/);
    const client = await logIn(scram.user);
    assert.deepEqual(await client.query("SELECT current_user"), [[scram.user]]);
    client.close();
  });
});
