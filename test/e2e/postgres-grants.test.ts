/**
 * `querycop policy grants --engine postgresql` on a real server: with what it prints a profile's statements run, and the server
 * refuses others. What a role may beyond its profile, `querycop doctor` finds.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import type { CheckResult } from "../../src/doctor/report.ts";
import { clusterPostgres } from "../support/backend-settings.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient } from "../support/postgres-client.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { query } from "../support/postgres-stage.ts";
import { runQuerycop } from "../support/querycop.ts";

const POLICY = `version: 1
profiles:
  - { name: reader, match: { users: [g_reader] }, read_only: true, schemas: [my_app], allow: { functions: [my_app.f] } }
  - { name: app, match: { users: [g_app] }, schemas: [my_app], allow: { statements: [select, insert, update, delete] } }
  - { name: one table, match: { users: [g_table] }, allow: { tables: [my_app.item], statements: [select] } }
  - { name: migrations, match: { users: [g_migrate] }, schemas: [my_app] }
`;
const ROLES = ["g_reader", "g_app", "g_table", "g_migrate"];

const SETUP = `
CREATE SCHEMA my_app;
CREATE TABLE my_app.item (id serial PRIMARY KEY, a int);
CREATE TABLE my_app.other (id int);
CREATE FUNCTION my_app.f() RETURNS int LANGUAGE sql RETURN 1;
REVOKE EXECUTE ON FUNCTION my_app.f() FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
${ROLES.map((role) => `CREATE ROLE ${role} LOGIN;`).join("\n")}
`;

const READS = ["SELECT * FROM my_app.item WHERE id = 1", "TABLE my_app.other"];
const ROWS = [
  "INSERT INTO my_app.item (a) VALUES (1)",
  "INSERT INTO my_app.item (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = 3",
  "UPDATE my_app.item SET a = 4 WHERE id = 1",
  "DELETE FROM my_app.item WHERE id = 1",
];
const DEFINITIONS = [
  "CREATE TABLE my_app.made (id int PRIMARY KEY)",
  "ALTER TABLE my_app.made ADD a int",
  "CREATE VIEW my_app.w AS SELECT 1 AS a",
  "TRUNCATE my_app.item",
  "DROP VIEW my_app.w",
  "DROP TABLE my_app.made",
];
const NEVER = ["CREATE ROLE g_new", "CREATE DATABASE g_new", "COPY my_app.item TO '/tmp/x'", "DROP TABLE my_app.item"];

const MAY: readonly (readonly [user: string, may: readonly string[], mayNot: readonly string[]])[] = [
  ["g_reader", [...READS, "SELECT my_app.f()"], [...ROWS, ...DEFINITIONS, ...NEVER]],
  ["g_app", [...READS, ...ROWS], [...DEFINITIONS, "SELECT my_app.f()", ...NEVER]],
  ["g_table", ["SELECT * FROM my_app.item"], ["TABLE my_app.other", ...ROWS, ...DEFINITIONS, ...NEVER]],
  ["g_migrate", [...READS, ...ROWS, ...DEFINITIONS], NEVER],
];

const HBA = "host all all 127.0.0.1/32 trust\n";
let server: PostgresServer;
let certificates: CertificateSet;
let file: string;
after(async () => {
  await server?.stop();
  certificates?.remove();
});

async function as<T>(user: string, work: (client: PostgresClient) => Promise<T>): Promise<T> {
  const client = await PostgresClient.logIn({ port: server.port, user });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

async function isRefused(client: PostgresClient, sql: string): Promise<boolean> {
  client.send(query(sql));
  return (await client.untilReady()).some(({ type }) => type === 0x45);
}

const ownerRuns = (sql: string): Promise<unknown> => as("postgres", (client) => client.query(sql));

e2e("the GRANTs of policy grants are enough for what each profile may do, and for nothing else", async () => {
  certificates = await makeCertificates();
  server = await startPostgres(certificates.leaves.chain, HBA, 15);
  file = join(certificates.folder, "grants.yaml");
  writeFileSync(file, POLICY, { mode: 0o600 });
  await ownerRuns(SETUP);
  for (const name of ["reader", "app", "one table", "migrations"]) {
    const { code, stdout, stderr } = await runQuerycop([
      ...["policy", "grants", file, "--profile", name, "--engine", "postgresql"],
    ]);
    assert.equal(code, 0, stderr);
    // What stands in comments is to be decided by whoever reads it; of a function that was taken from everybody it is meant.
    await ownerRuns(stdout.replaceAll(/^-- where it was taken from PUBLIC: /gm, ""));
  }
  for (const [user, may, mayNot] of MAY) {
    await as(user, async (client) => {
      for (const sql of may) assert.equal(await isRefused(client, sql), false, `${user}: ${sql}`);
      for (const sql of mayNot) assert.equal(await isRefused(client, sql), true, `${user}: ${sql}`);
    });
  }
});

async function grantsOf(user: string): Promise<CheckResult> {
  const settings = {
    ...clusterPostgres({ host: "127.0.0.1", port: server.port }, certificates),
    GATEKEEPER_LISTEN_PORT: "0",
    GATEKEEPER_MAX_CONNECTIONS: "20",
    GATEKEEPER_POLICY_FILE: file,
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_BACKEND_TOKEN_CMD: "echo only-a-token-of-a-test-and-long-enough",
  };
  const { stdout, stderr } = await runQuerycop(["doctor", "--json", "--user", user], settings);
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
  return checks.find(({ id }) => id === "server.grants") ?? assert.fail(stderr);
}

e2e("doctor finds nothing where a role has just these, and whatever it has beyond", async () => {
  const good = await grantsOf("g_reader");
  assert.equal(good.status, "ok", JSON.stringify(good));
  assert.match(good.detail, /^nothing beyond profile reader; of tables those in the database postgres alone/);
  await ownerRuns(`
    ALTER ROLE g_reader CREATEROLE BYPASSRLS;
    GRANT pg_read_server_files, pg_execute_server_program TO g_reader;
    GRANT INSERT, DELETE ON my_app.item TO g_reader;
    GRANT UPDATE ON my_app.other TO PUBLIC;
    GRANT CREATE ON SCHEMA my_app TO g_reader;
    CREATE TABLE my_app.own (id int);
    ALTER TABLE my_app.own OWNER TO g_reader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA my_app GRANT SELECT, TRUNCATE ON TABLES TO g_reader;`);
  const found = await grantsOf("g_reader");
  assert.equal(found.status, "warn", JSON.stringify(found));
  for (const line of [
    "this role has CREATEROLE",
    "this role has BYPASSRLS",
    "this role is a member of pg_execute_server_program, pg_read_server_files",
    "this role owns 1 table, such as my_app.own, and may ALTER and DROP them, profile reader may not",
    "this role may INSERT on 2 tables, such as my_app.item, profile reader may not",
    "this role may UPDATE on 2 tables, such as my_app.other, profile reader may not",
    "this role may CREATE in schema my_app, profile reader may not",
    "default privileges give this role TRUNCATE on tables that are made later, profile reader may not",
  ]) {
    assert.ok(
      found.detail.split("\n").some((one) => one.startsWith(line)),
      `${line}: ${found.detail}`,
    );
  }
  const { text = "", commands = [] } = found.remedy ?? {};
  assert.match(text, /ALTER ROLE g_reader NOCREATEROLE; ALTER ROLE g_reader NOBYPASSRLS; REVOKE pg_execute/);
  assert.deepEqual(commands, [`querycop policy grants ${file} --engine postgresql`]);
  // What it says to run takes it back.
  const takenBack = text.slice(text.indexOf(": ") + 2).replace("another role", "postgres");
  await ownerRuns(`${takenBack} REVOKE UPDATE ON my_app.other FROM PUBLIC`);
  const again = await grantsOf("g_reader");
  assert.equal(again.status, "ok", `${again.detail}\n${takenBack}`);
  const owner = await grantsOf("postgres");
  assert.match(owner.detail, /^this role has SUPERUSER\n/);
});
