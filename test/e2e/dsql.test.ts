/**
 * The executable in front of what looks like Aurora DSQL at a login: a PostgreSQL with TLS that asks for a password in clear
 * and leaves the verdict to a directory that checks the token as DSQL does.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { DsqlSigner } from "@aws-sdk/dsql-signer";
import { decodeErrorFields } from "../../src/postgres/backend-message.ts";
import { parseMysqlSchema } from "../../src/sql/migration/ddl-parser.ts";
import { toDsql } from "../../src/sql/migration/dsql-schema.ts";
import { awsEnvironment, isDsqlTokenFor, TEST_KEYS, TEST_REGION } from "../support/aws-token.ts";
import { type CertificateSet, DSQL_HOST, makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { installServerRoot } from "../support/install.ts";
import { type LdapResponder, startLdapResponder } from "../support/ldap-responder.ts";
import { PostgresClient, PostgresError } from "../support/postgres-client.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { runQuerycop, type Settings } from "../support/querycop.ts";

let server: PostgresServer;
let certificates: CertificateSet;
let directory: LdapResponder;
const opened: PostgresClient[] = [];

after(async () => {
  for (const client of opened) client.close();
  await endStage();
  await server?.stop();
  directory?.close();
  certificates?.remove();
});

/** As behind a tunnel: the name stands in the certificate and in the token. Everything else follows from it. */
const backend = (): Settings => ({
  ...awsEnvironment(),
  GATEKEEPER_BACKEND_HOST: "127.0.0.1",
  GATEKEEPER_BACKEND_PORT: String(server.port),
  GATEKEEPER_BACKEND_TLS_SERVER_NAME: DSQL_HOST,
  GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
  GATEKEEPER_CLIENT_AUTH: "trust",
});

async function logIn(port: number, user: string, password = ""): Promise<PostgresClient> {
  const client = await PostgresClient.logIn({ port, user, password, database: "postgres" });
  opened.push(client);
  return client;
}

const observing = (): Settings => {
  const file = join(certificates.folder, "observe.yaml");
  writeFileSync(file, "version: 1\nmode: observe\n", { mode: 0o600 });
  return { GATEKEEPER_POLICY_FILE: file };
};

/** As people run it: what it prints, and what it says went wrong. */
async function psql(port: number, input: string, user = "app_role") {
  const root = await installServerRoot("psql");
  const { command, args } = root.command("usr/lib/postgresql/15/bin/psql", ["-X", "-A", "-t", "-d", "postgres"]);
  return await run(command, args, { env: { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: user }, input });
}

describe("a cluster of Aurora DSQL", () => {
  e2e("stands: TLS, and logins that a token decides", async () => {
    certificates = await makeCertificates();
    directory = await startLdapResponder((user, token) => isDsqlTokenFor(token, { host: DSQL_HOST, user }));
    const ldap = `ldap ldapserver=127.0.0.1 ldapport=${directory.port} ldapprefix=""`;
    const hba = `hostssl postgres admin,app_role,other_role all ${ldap}\nhostnossl all admin,app_role all reject\n`;
    server = await startPostgres(certificates.leaves.dsql, hba);
    const owner = await logIn(server.port, "postgres");
    await owner.query("CREATE ROLE admin LOGIN; CREATE ROLE app_role LOGIN; CREATE ROLE other_role LOGIN");
    // Says what Aurora DSQL says.
    await owner.query(
      "CREATE FUNCTION says(state text, words text) RETURNS int LANGUAGE plpgsql AS " +
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = words; END $$",
    );
  });

  e2e("takes admin with DbConnectAdmin and every other role with DbConnect, whose token they share", async () => {
    const querycop = await startStaged(backend());
    for (const user of ["admin", "app_role", "other_role"]) {
      const client = await logIn(querycop.port, user);
      assert.deepEqual(await client.query("SELECT current_user"), [[user]]);
    }
    assert.deepEqual(
      directory.binds.map(({ name, isTaken }) => [name, isTaken]),
      [
        ["admin", true],
        ["app_role", true],
        ["other_role", true],
      ],
    );
    const minted = querycop.audit().filter(({ type }) => type === "token-mint");
    assert.deepEqual(
      minted.map(({ user, source }) => [user, source]),
      [
        ["admin", "dsql-signer"],
        ["app_role", "dsql-signer"],
      ],
    );
    assert.ok(!querycop.auditText().includes("X-Amz"));
  });

  e2e("refuses the token of another cluster, and so does querycop's client hear", async () => {
    const other = DSQL_HOST.replace("abc", "xyz");
    const querycop = await startStaged({ ...backend(), GATEKEEPER_BACKEND_TOKEN_ENDPOINT: `${other}:5432` });
    await assert.rejects(logIn(querycop.port, "admin"), (error) => {
      assert.ok(error instanceof PostgresError);
      assert.equal(error.fields.code, "28000");
      return true;
    });
  });

  e2e("takes the token of a command, which is told for whom it is", async () => {
    const signer = new DsqlSigner({ hostname: DSQL_HOST, region: TEST_REGION, credentials: TEST_KEYS });
    const file = join(certificates.folder, "token");
    writeFileSync(file, await signer.getDbConnectAuthToken(), { mode: 0o600 });
    const command = [
      `test "$QUERYCOP_BACKEND_HOST" = ${DSQL_HOST}`,
      `test "$QUERYCOP_BACKEND_USER" = app_role`,
      `test "$QUERYCOP_BACKEND_REGION" = us-east-1`,
      `cat ${file}`,
    ].join(" && ");
    const querycop = await startStaged({ ...backend(), GATEKEEPER_BACKEND_TOKEN_CMD: command });
    const client = await logIn(querycop.port, "app_role");
    assert.deepEqual(await client.query("SELECT current_user"), [["app_role"]]);
    await assert.rejects(logIn(querycop.port, "other_role"), /exit-status/);
  });

  e2e("an error of Aurora DSQL's comes with what to do instead, any other as it came", async () => {
    const querycop = await startStaged({ ...backend(), ...observing() });
    const says = (state: string, words: string): string => `SELECT says('${state}', '${words}');\n`;
    const script = [
      says("0A000", "unsupported mode. please use CREATE INDEX ASYNC."),
      says("42704", 'type "serial" does not exist'),
      says("54000", "transaction row limit exceeded"),
      says("40001", "change conflicts with another transaction, please retry: (OC000)"),
      says("0A000", "something else"),
    ];
    const { stderr } = await psql(querycop.port, script.join(""));
    const hints = stderr.split("\n").filter((line) => line.startsWith("HINT"));
    assert.equal(hints.length, 4, stderr);
    for (const [index, word] of ["ASYNC", "IDENTITY", "3,000", "again"].entries())
      assert.match(hints[index] ?? "", new RegExp(word));
    assert.equal(stderr.split("\n").filter((line) => line.startsWith("ERROR")).length, 5);
  });

  e2e("a transaction is told what may not follow, and its results are as they came", async () => {
    const querycop = await startStaged({ ...backend(), ...observing() });
    const { stdout, stderr } = await psql(
      querycop.port,
      "CREATE TABLE told (id int);\nBEGIN;\nINSERT INTO told SELECT generate_series(1, 2500);\nINSERT INTO told VALUES (1);\nCOMMIT;\n" +
        "BEGIN;\nDROP TABLE told;\nCOMMIT;\n",
    );
    const notices = stderr.split("\n").map((line) => line.split(/[:,] /, 2)[1] ?? "");
    assert.deepEqual(notices, [
      " No DDL may follow in this transaction",
      " This transaction has changed 2500 rows of 3000",
      " Nothing but COMMIT may follow in this transaction",
      "",
    ]);
    assert.equal(stdout, "CREATE TABLE\nBEGIN\nINSERT 0 2500\nINSERT 0 1\nCOMMIT\nBEGIN\nDROP TABLE\nCOMMIT\n");
  });

  e2e("what one text alone breaks is not even sent, where that is wanted, until a file ends the rule", async () => {
    const settings = { ...backend(), ...observing(), GATEKEEPER_DSQL_REFUSE_EARLY: "on" };
    const querycop = await startStaged(settings);
    const twoTables = "CREATE TABLE e1 (id int)\\; CREATE TABLE e2 (id int);\n";
    const early = await psql(querycop.port, `${twoTables}CREATE INDEX ON pg_class (oid);\nSELECT 1;\n`);
    assert.match(early.stderr, /multiple-ddl[\s\S]*index-async/);
    assert.equal(early.stdout, "1\n");
    const file = join(certificates.folder, "rules.json");
    writeFileSync(file, JSON.stringify({ rules: [{ id: "multiple-ddl", until: "2026-10-01" }] }), { mode: 0o600 });
    const changed = await startStaged({ ...settings, GATEKEEPER_DSQL_RULES_FILE: file });
    assert.equal((await psql(changed.port, `${twoTables}DROP TABLE e1, e2;\n`)).stderr, "");
    const listed = await runQuerycop(["dsql", "rules", "--rules", file]);
    assert.match(listed.stdout, /not any more:[\s\S]*2026-10-01 multiple-ddl/);
  });

  e2e("ends a connection at the age that is set, between two transactions", async () => {
    const querycop = await startStaged({ ...backend(), GATEKEEPER_DSQL_CONNECTION_LIMIT: "6s" });
    const client = await logIn(querycop.port, "app_role");
    await client.query("BEGIN");
    await eventually("the client is told", async () => {
      client.send({ name: "Query", sql: new TextEncoder().encode("SELECT 1") });
      return (await client.untilReady()).some(({ type }) => type === 0x4e);
    });
    assert.deepEqual(await client.query("SELECT pg_sleep(1)"), [[""]]);
    await client.query("COMMIT");
    const farewell = await client.next();
    assert.ok(farewell?.kind === "message");
    assert.match(decodeErrorFields(farewell.body).message, /please reconnect/);
    assert.equal(await client.next(), undefined);
  });

  e2e("what dsql migrate writes runs on a PostgreSQL, but for the word ASYNC", async () => {
    const folder = join(import.meta.dirname, "../sql/migration/schemas");
    const scripts = readdirSync(folder)
      .sort()
      .map((file, index) => {
        const { statements } = toDsql(parseMysqlSchema(readFileSync(join(folder, file), "utf8")));
        const sql = statements.map((one) => one.sql.replace(/(INDEX|TABLE) ASYNC/, "$1")).join("\n");
        return `CREATE SCHEMA m${index}; SET search_path = m${index};\n${sql}`;
      });
    const { stdout, stderr } = await psql(server.port, scripts.join("\n"), "postgres");
    assert.equal(stderr, "");
    assert.ok((stdout.match(/^CREATE TABLE$/gm) ?? []).length > 60, stdout.slice(-500));
  });
});
