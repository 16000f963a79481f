/** querycop doctor, the executable, for a listener of a real PostgreSQL: what it finds, and what it says to do. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import type { CheckResult } from "../../src/doctor/report.ts";
import { clusterPostgres } from "../support/backend-settings.ts";
import { type CertificateSet, CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { run, runChecked } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { runQuerycop, type Settings } from "../support/querycop.ts";
import { remedyCommands } from "../support/remedies.ts";
import { startServer, type TestServer } from "../support/servers.ts";

let server: PostgresServer;
let plaintext: PostgresServer;
let mariadb: TestServer;
let certificates: CertificateSet;

after(async () => {
  await endStage();
  await Promise.all([server, plaintext, mariadb].map((started) => started?.stop()));
  certificates?.remove();
});

/** As long as a token and without a blank: the server takes it for a password, as RDS takes a token. */
const TOKEN = "only-the-token-command-knows-this-word-0123456789";
const { user } = POSTGRES_ACCOUNTS.cleartext;

const settings = (port = server.port): Settings => ({
  GATEKEEPER_LISTEN_PORT: "0",
  GATEKEEPER_MAX_CONNECTIONS: "20",
  ...clusterPostgres({ host: "127.0.0.1", port }, certificates),
});

function withToken(token: string): Settings {
  const file = join(certificates.folder, `token-${token.length}`);
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  return { GATEKEEPER_BACKEND_TOKEN_CMD: `cat ${file}`, GATEKEEPER_CLIENT_AUTH: "trust" };
}

async function doctor(of: Settings, ...args: string[]) {
  const { code, stdout, stderr } = await runQuerycop(["doctor", "--json", ...args], of);
  assert.equal(stderr, "");
  assert.ok(!stdout.includes(TOKEN), "a token is shown");
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
  const check = (id: string): CheckResult => checks.find((each) => each.id === id) ?? assert.fail(`no ${id}`);
  const failed = checks.filter(({ status }) => status === "fail").map(({ id }) => id);
  return { code, check, failed, text: stdout };
}

const said = ({ status, detail, remedy }: CheckResult): string =>
  [`${status}: ${detail}`, remedy?.text, ...(remedy?.commands ?? [])].join("\n");

async function psql(sql: string) {
  const root = await installServerRoot("psql");
  const args = ["-X", "-A", "-t", "-d", "postgres", "-v", "VERBOSITY=sqlstate", "-c", sql];
  const program = root.command("usr/lib/postgresql/15/bin/psql", args);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "postgres" };
  return await run(program.command, program.args, { env });
}

describe("doctor of a PostgreSQL listener", () => {
  e2e("the servers start", async () => {
    certificates = await makeCertificates();
    server = await startPostgres(certificates.leaves.chain, "hostnossl all refused_user 127.0.0.1/32 reject\n");
    plaintext = await startPostgres(undefined, "host all all 127.0.0.1/32 trust\n");
    mariadb = await startServer({ kind: "mariadb" });
    const { stderr } = await psql(`ALTER ROLE ${user} PASSWORD '${TOKEN}'`);
    assert.equal(stderr, "");
  });

  e2e("finds a set-up in order, from the address to the login with a token and the server's settings", async () => {
    const { code, check, failed, text } = await doctor({ ...settings(), ...withToken(TOKEN) }, "--user", user);
    assert.deepEqual([code, failed], [0, []], text);
    assert.equal(check("backend.tcp").status, "ok");
    assert.equal(said(check("backend.greeting")), "ok: answers an SSLRequest as PostgreSQL does, offers TLS\n");
    assert.match(said(check("backend.tls")), /^ok: TLSv1\.3 .*, certificate /);
    assert.match(said(check("backend.ca-bundle")), /^ok: .*; it covers the server\n$/);
    assert.equal(said(check("backend.login")), `ok: ${user} logged in by password, SELECT 1 answered\n`);
    assert.match(
      said(check("server.settings")),
      /^ok: PostgreSQL 1[578]\.[0-9.]+.*, standard_conforming_strings on, client_encoding UTF8, password_encryption scram-sha-256, [0-9]+ of 100 connections used, takes writes, no role rds_iam\n$/,
    );
    assert.equal(said(check("server.grants")), "skip: no policy.file: the built-in policy is no profile\n");
    assert.ok(!/MySQL|mysql -e|MariaDB/.test(text.replaceAll(/"title":"[^"]*"/g, "")), text);
    assert.ok(!/FATAL|invalid length|unsupported frontend protocol/.test(server.log()), server.log());
  });

  e2e("knows a querycop that runs, and one that listens where another program is", async () => {
    const querycop = await startStaged({ ...settings(), ...withToken(TOKEN) });
    const running = { ...settings(), ...withToken(TOKEN), GATEKEEPER_LISTEN_PORT: String(querycop.port) };
    const there = await doctor(running, "--only", "listener.port");
    assert.match(
      said(there.check("listener.port")),
      /^ok: .* is in use and answers as PostgreSQL: querycop seems to be running/,
    );
    const taken = await doctor({ ...running, GATEKEEPER_LISTEN_PORT: String(mariadb.port) }, "--only", "listener.port");
    assert.match(
      said(taken.check("listener.port")),
      /^fail: .* does not answer as PostgreSQL\nStop it, or set listen\.port\./,
    );
  });

  e2e("says so where a MySQL server is behind the port", async () => {
    const { code, check, failed } = await doctor(settings(mariadb.port));
    assert.deepEqual([code, failed], [1, ["backend.greeting"]]);
    assert.match(
      said(check("backend.greeting")),
      /^fail: 127\.0\.0\.1:[0-9]+ is not PostgreSQL: a MySQL server answers there\nLet backend\.host and backend\.port lead to a PostgreSQL/,
    );
    assert.equal(check("backend.tls").detail, "needs backend.greeting");
  });

  e2e("says so where TLS is wanted and the server has none, or shows another certificate", async () => {
    const off = await doctor(settings(plaintext.port));
    assert.deepEqual([off.code, off.failed], [1, ["backend.tls"]]);
    assert.match(
      said(off.check("backend.tls")),
      /^fail: the server offers no TLS and backend\.tls_mode is verify-full\nGive the server .*ssl_cert_file.*\npsql -c 'SHOW ssl'$/,
    );
    const other = await doctor({
      ...settings(),
      GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.otherCaFile,
      GATEKEEPER_BACKEND_TLS_SERVER_NAME: "localhost",
    });
    assert.deepEqual([other.code, other.failed], [1, ["backend.tls"]]);
    assert.match(
      said(other.check("backend.tls")),
      /the server shows a certificate .*openssl s_client -starttls postgres -connect/s,
    );
  });

  e2e("says what a refused login is refused for", async () => {
    const wrong = await doctor({ ...settings(), ...withToken(`${TOKEN}-which-is-another`) }, "--user", user);
    assert.deepEqual([wrong.code, wrong.failed], [1, ["backend.login"]]);
    assert.match(
      said(wrong.check("backend.login")),
      /^fail: The backend refused the login: 28P01 password authentication failed for user "cleartext_user"\nAny of: .*not for tokens.*\npsql -c 'GRANT rds_iam TO "cleartext_user"'\naws sts get-caller-identity$/,
    );
    const hashed = await doctor({ ...settings(), ...withToken(TOKEN) }, "--user", POSTGRES_ACCOUNTS.scram.user);
    assert.match(
      said(hashed.check("backend.login")),
      /^fail: .*asks for a password hash, which no token answers\n.*rds_iam/,
    );
  });

  e2e("remarks on settings of the server that do not fit", async () => {
    const changes = ["standard_conforming_strings = off", "client_encoding = 'LATIN1'", "password_encryption = 'md5'"];
    for (const change of changes) await psql(`ALTER ROLE ${user} SET ${change}`);
    for (const sql of ["CREATE ROLE rds_iam", `GRANT rds_iam TO ${user}`]) await psql(sql);
    const odd = { GATEKEEPER_MAX_CONNECTIONS: "1000", GATEKEEPER_BACKEND_ROLE: "reader" };
    const { code, check } = await doctor({ ...settings(), ...withToken(TOKEN), ...odd }, "--user", user);
    for (const sql of ["DROP ROLE rds_iam", `ALTER ROLE ${user} RESET ALL`]) await psql(sql);
    assert.equal(code, 0);
    const found = said(check("server.settings"));
    assert.match(found, /^warn: PostgreSQL .*, takes writes, granted rds_iam\n/);
    for (const remark of [
      "standard_conforming_strings is not on",
      "client_encoding is not UTF8",
      "password_encryption is not scram-sha-256",
      "max_connections is 1000 here and 100 at the server",
      "backend.role is reader, but the server takes writes",
    ]) {
      assert.ok(found.includes(`\n${remark}`), `${remark}: ${found}`);
    }
  });

  e2e("logs in with the password of a named connection, and says when it is another", async () => {
    const { user: name, password } = POSTGRES_ACCOUNTS.scram;
    const passwordFile = join(certificates.folder, "held");
    const config = join(certificates.folder, "held.yaml");
    const { caFile } = certificates;
    const backend = {
      login_timeout: "1s",
      engine: "postgresql",
      host: "127.0.0.1",
      port: server.port,
      tls_server_name: CLUSTER_HOST,
    };
    const connection = {
      ...backend,
      tls_mode: "verify-full",
      tls_ca_file: caFile,
      user: name,
      password_file: passwordFile,
    };
    const listeners = [{ name: "held", connection: "orders", listen: { port: 0 } }];
    // JSON is YAML.
    const text = JSON.stringify({
      connections: { orders: connection },
      client_auth: "trust",
      max_connections: 20,
      listeners,
    });
    writeFileSync(config, text, { mode: 0o600 });
    const held = async (word: string) => {
      writeFileSync(passwordFile, `${word}\n`, { mode: 0o600 });
      return await doctor({}, "--config", config);
    };
    const right = await held(password);
    assert.deepEqual([right.code, right.failed], [0, []], right.text);
    assert.equal(
      said(right.check("backend.login")),
      `ok: ${name} logged in by SCRAM-SHA-256-PLUS, SELECT 1 answered\n`,
    );
    const wrong = await held(`not ${password}`);
    assert.deepEqual([wrong.code, wrong.failed], [1, ["backend.login"]]);
    assert.match(
      said(wrong.check("backend.login")),
      /^fail: .*28P01 .*\nThe password that querycop holds is not this user's/,
    );
    assert.ok(!wrong.text.includes(password));
  });

  e2e("tells how the server asks clients for their passwords, and whom it does not ask", async () => {
    const relayed = await doctor(settings());
    assert.equal(relayed.code, 0, relayed.text);
    assert.match(
      said(relayed.check("backend.password")),
      /^warn: logins are asked for by SCRAM-SHA-256-PLUS, SCRAM-SHA-256: .*\nSet client_auth to password/,
    );
    const plain = await doctor(
      { ...settings(), GATEKEEPER_PROXY_TLS_MODE: "off" },
      "--user",
      POSTGRES_ACCOUNTS.md5.user,
    );
    assert.equal(said(plain.check("backend.password")), "ok: logins are asked for by md5\n");
    const trusted = await doctor(settings(), "--user", POSTGRES_ACCOUNTS.trust.user);
    assert.match(said(trusted.check("backend.password")), /^warn: trust_user is let in without a password\n/);
    const open = await doctor({ ...settings(plaintext.port), GATEKEEPER_BACKEND_TLS_MODE: "disable" });
    assert.match(
      said(open.check("backend.password")),
      /^warn: a name no account has is refused without being asked for a password: .*\nLet pg_hba\.conf ask for scram/,
    );
    const rejected = { ...settings(), GATEKEEPER_BACKEND_TLS_MODE: "disable" };
    const { failed, check } = await doctor(rejected, "--user", "refused_user");
    assert.deepEqual(failed, ["backend.password"]);
    assert.match(said(check("backend.password")), /^fail: .*pg_hba\.conf rejects .*\nNo line of pg_hba\.conf is for /);
  });

  e2e("prints how to connect to the listener, and psql takes it", async () => {
    const of = { ...settings(), ...withToken(TOKEN) };
    const querycop = await startStaged(of);
    const { stdout } = await runQuerycop(["doctor", "--snippets", "--user", user], {
      ...of,
      GATEKEEPER_LISTEN_PORT: String(querycop.port),
    });
    assert.doesNotMatch(stdout, /mysql/i);
    const conninfo = /^ {2}psql +psql "(.*)"$/m.exec(stdout)?.[1] ?? assert.fail(stdout);
    const root = await installServerRoot("psql");
    const words = ["-X", "-A", "-t", "-c", "SELECT current_user", conninfo.replace("DATABASE", "postgres")];
    const program = root.command("usr/lib/postgresql/15/bin/psql", words);
    const answer = await runChecked(program.command, program.args);
    assert.equal(answer.stdout, `${user}\n`);
  });
});

describe("the remedies' commands for psql", () => {
  /** Only Amazon's servers have the role, and Aurora DSQL the table; every server has the database that doctor asks for. */
  const EXPECTED: readonly (readonly [RegExp, string])[] = [
    [/^GRANT .*rds_iam/, "42704"],
    [/^CREATE /, "42P04"],
    [/ sys\.iam_pg_role_mappings$/, "42P01"],
  ];
  const statements = remedyCommands().flatMap(({ text }) => {
    if (!text.startsWith("psql ")) return [];
    return [/^psql -c '([^']*)'$/.exec(text)?.[1] ?? assert.fail(`not of the form psql -c '…': ${text}`)];
  });

  for (const sql of new Set(statements)) {
    e2e(`PostgreSQL takes what a remedy says: ${sql}`, async () => {
      const { code, stderr } = await psql(sql);
      const allowed = EXPECTED.find(([pattern]) => pattern.test(sql))?.[1];
      if (code !== 0) assert.equal(stderr, `ERROR:  ${allowed}\n`, sql);
    });
  }
});
