/** The commands of the documents that are marked to be run, page by page, with the executable, a real MariaDB and PostgreSQL. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { BESIDE, codeBlocks, documents, isRun, PROJECT } from "../support/document-commands.ts";
import { installServerRoot } from "../support/install.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { pickPort, startServer, type TestServer } from "../support/servers.ts";

const PAGES = documents()
  .map((file) => ({ file, blocks: codeBlocks(file).filter(isRun) }))
  .filter(({ blocks }) => blocks.length > 0);

const certificates = await makeCertificates();
let folder: string;
let server: TestServer;
let postgres: PostgresServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "querycop-documents-"));
  const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
  server = await startServer({ kind: "mariadb", certificate });
  await server.rootQuery(`
    CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); CREATE TABLE shop.salaries (id INT);
    INSERT INTO shop.orders VALUES (1), (2);
    CREATE USER app IDENTIFIED BY 'correct-horse'; GRANT ALL ON shop.* TO app`);
  mkdirSync(join(folder, "bin"));
  // What a page starts ends by itself, even if this process cannot see to it.
  program("querycop", `exec timeout 300 ${join(PROJECT, "dist/querycop")} "$@"`);
  const root = await installServerRoot("mariadb");
  const client = root.command("usr/bin/mariadb", []);
  const plain = `${client.command} ${client.args.join(" ")} --no-defaults --skip-ssl`;
  program("mariadb", `exec ${plain} "$@"`);
  const { user, password } = server.account("admin");
  const administrator = `${plain} --host=127.0.0.1 --port=${server.port} --user=${user} --password=${password}`;
  postgres = await startPostgres(certificates.leaves.goodRsa);
  const psql = (await installServerRoot("psql")).command("usr/lib/postgresql/15/bin/psql", ["-X"]);
  program("psql", `exec ${psql.command} ${psql.args.join(" ")} "$@"`);
  const asOwner = ["--host=127.0.0.1", `--port=${postgres.port}`, "--username=postgres", "postgres"];
  const input =
    "CREATE TABLE orders (id int); CREATE TABLE salaries (id int); INSERT INTO orders VALUES (1); CREATE ROLE app LOGIN; GRANT ALL ON orders, salaries TO app;";
  const made = await run(psql.command, [...psql.args, ...asOwner], { input });
  assert.equal(made.code, 0, made.stderr);
  program("mysql", `case "$*" in *--user=*) exec ${plain} "$@" ;; *) exec ${administrator} "$@" ;; esac`);
});

after(async () => {
  await server.stop();
  await postgres.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

function program(name: string, body: string): void {
  const file = join(folder, "bin", name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

/**
 * What the pages about a running querycop take for granted: one that serves, with a key, a policy, a log with something in
 * it, a session that runs a statement and two statements that wait for somebody's word.
 */
const BESIDE_QUERYCOP = `
cat > policy.yaml <<'END'
version: 1
rules: { dml.nowhere: block }
profiles:
  - name: reports
    match: { users: [reports] }
    read_only: true
  - name: app
    match: { users: [app] }
    deny: { statements: [{ match: replace, action: require-approval }] }
END
cat > cases.yaml <<'END'
cases:
  - { sql: "DELETE FROM orders", user: app, schema: shop, expect: block, rule: dml.nowhere }
END
printf 'schema_name\tdigest_text\nshop\tSELECT * FROM orders WHERE id = ?\n' > digests.tsv
printf 'a-key-of-sixteen-characters' > admin-api-key
: > approvers
cat > querycop.yaml <<'END'
backend: { host: mariadb.example.com, port: 3306, tls_mode: verify-full, tls_ca_file: /etc/ssl/mariadb-ca.pem }
listen: { port: 15336 }
api: { port: 8080, approvers_file: approvers }
admin_api_key_file: admin-api-key
policy: { file: policy.yaml }
audit: { file: audit.ndjson }
END
export GATEKEEPER_CONFIG=$PWD/querycop.yaml
querycop serve 2> querycop.log &
querycop wait --max 60s
as_app() { MYSQL_PWD=correct-horse mariadb --host=127.0.0.1 --port=15336 --user=app --execute="$1"; }
as_app 'SELECT id FROM shop.orders WHERE id = 1'
as_app 'DELETE FROM shop.orders' || true
as_app 'SELECT SLEEP(90)' > /dev/null 2>&1 &
until querycop sessions list | grep -q 'busy.*SLEEP'; do :; done
SESSION=$(querycop sessions list | awk '/SLEEP/ { print $1 }')
BLOCKED=$(querycop audit tail --type statement-blocked --limit 1 --json | sed -n 's/.*"decisionId":"\\([^"]*\\)".*/\\1/p')
`;
const HELD_STATEMENTS = `
for id in 7 8; do as_app "REPLACE INTO shop.orders VALUES ($id)" > /dev/null 2>&1 & done
until [ "$(querycop approvals list | grep -c pending)" = 2 ]; do :; done
set -- $(querycop approvals list | awk '{ print $1 }')
APPROVED=$1 DENIED=$2
until curl -fs -H "Authorization: Bearer $(head -n 1 ~/.querycop-key)" http://127.0.0.1:8080/approvals > /dev/null; do :; done
`;

/** The places that are different here. */
async function atHome(text: string): Promise<string> {
  const [listenPort, second, api] = [await pickPort(), await pickPort(), await pickPort()];
  return (
    text
      .replaceAll("/etc/querycop/", "")
      .replaceAll("https://db-proxy.example:8080", "http://127.0.0.1:8080")
      .replaceAll("8080", String(api))
      .replaceAll("sessions kill ID", 'sessions kill "$SESSION"')
      .replaceAll("audit show 1f3a9c02-7", 'audit show "$BLOCKED"')
      .replaceAll("apr-3f9a-1", '"$APPROVED"')
      .replaceAll("apr-3f9a-2", '"$DENIED"')
      // It goes on until somebody stops it.
      .replaceAll(
        /^querycop (audit tail --follow.*)$/gm,
        `timeout 5 ${join(PROJECT, "dist/querycop")} $1 || [ $? = 124 ]`,
      )
      .replaceAll("mariadb.example.com", "localhost")
      .replaceAll("port: 3306", `port: ${server.port}`)
      .replaceAll("postgres.example.com", "localhost")
      .replaceAll(/port(:\s|=)5432/g, `port$1${postgres.port}`)
      .replaceAll("15432", String(listenPort))
      .replaceAll("15336", String(listenPort))
      .replaceAll("15337", String(second))
      .replaceAll(/\/etc\/ssl\/[a-z/-]+\.(pem|crt)/g, certificates.caFile)
  );
}

test("there are commands to run on several pages", () => {
  assert.ok(PAGES.length >= 5, PAGES.map(({ file }) => file).join(" "));
});

for (const { file, blocks } of PAGES) {
  test(`the commands of ${file} do what they should`, { timeout: 400_000 }, async () => {
    const home = mkdtempSync(join(folder, "page-"));
    const isBeside = blocks.some(({ marker }) => marker === BESIDE);
    const texts = blocks.map(({ text }) => (text.includes("apr-3f9a-1") ? HELD_STATEMENTS + text : text));
    const script = await atHome([...(isBeside ? [BESIDE_QUERYCOP] : []), ...texts].join("\n"));
    // What a page leaves running ends with it.
    const whole = `set -eu; umask 022; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${script}\n`;
    const env = {
      PATH: `${folder}/bin:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
      HOME: home,
      GATEKEEPER_API_PORT: isBeside ? undefined : "0",
      GATEKEEPER_LISTEN_PORT: isBeside || blocks.some(({ text }) => /15336|15432/.test(text)) ? undefined : "0",
      GATEKEEPER_BACKEND_PORT: file === "README.md" ? String(server.port) : undefined,
    };
    const port = /^listen:/m.test(script) ? undefined : /--port=(\d+)/.exec(script)?.[1];
    const listening = port === undefined ? {} : { GATEKEEPER_LISTEN_PORT: port };
    const { code, stdout, stderr } = await run("bash", ["-c", whole], { cwd: home, env: { ...env, ...listening } });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    if (file === "docs/cookbook-mariadb.md") checkRefusals(stdout, stderr, /ERROR 1148 .*/);
    if (file === "docs/cookbook-postgresql.md") checkRefusals(stdout, stderr, /ERROR: {2}querycop: .*/);
  });
}

function checkRefusals(stdout: string, stderr: string, error: RegExp): void {
  assert.match(stdout, /^\s*1$/m);
  assert.equal(stdout.split("\n").filter((line) => line === "refused").length, 2);
  assert.match(stderr, new RegExp(`${error.source}dml\\.nowhere`));
  assert.match(stderr, new RegExp(`${error.source}pol\\.deny`));
}
