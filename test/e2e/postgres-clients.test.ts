/** The executable in front of a real PostgreSQL, with PostgreSQL's own programs as its clients. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { clusterPostgres } from "../support/backend-settings.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { installServerRoot } from "../support/install.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { type Querycop, runQuerycop, type Settings } from "../support/querycop.ts";
import { makeScramUser } from "../support/scram-user.ts";

let server: PostgresServer;
let certificates: CertificateSet;

after(async () => {
  await endStage();
  await server?.stop();
  certificates?.remove();
});

const verified = (): Settings => clusterPostgres(server, certificates);

const policy = (text: string): Settings => {
  const file = join(certificates.folder, `policy-${text.length}.yaml`);
  writeFileSync(file, `version: 1\n${text}\n`, { mode: 0o600 });
  return { GATEKEEPER_POLICY_FILE: file };
};

interface Login {
  readonly user: string;
  readonly password: string;
  readonly more?: Readonly<Record<string, string>>;
}

/** As people run it: what it prints, and what it says went wrong. */
async function psql(port: number, { user, password, more = {} }: Login, input: string) {
  const root = await installServerRoot("psql");
  const program = root.command("usr/lib/postgresql/15/bin/psql", ["-X", "-A", "-t", "-d", "postgres"]);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: user, PGPASSWORD: password, ...more };
  return await run(program.command, program.args, { env, input });
}

async function both(querycop: Querycop, login: Login, input: string): Promise<void> {
  const [wanted, got] = [await psql(server.port, login, input), await psql(querycop.port, login, input)];
  assert.deepEqual([got.stdout, got.stderr], [wanted.stdout, wanted.stderr], input);
}

describe("PostgreSQL's own programs through the executable", () => {
  e2e("the server starts, with TLS", async () => {
    certificates = await makeCertificates();
    server = await startPostgres(certificates.leaves.chain);
  });

  e2e("psql says the same as directly, its own questions and the server's errors included", async () => {
    const querycop = await startStaged({ ...verified(), ...policy("mode: observe"), GATEKEEPER_PROXY_TLS_MODE: "off" });
    const { trust } = POSTGRES_ACCOUNTS;
    await psql(server.port, { user: "postgres", password: "" }, "CREATE TABLE shown (id int PRIMARY KEY, name text);");
    await psql(
      server.port,
      { user: "postgres", password: "" },
      "GRANT ALL ON shown TO PUBLIC; INSERT INTO shown VALUES (1);",
    );
    const script = [
      "SELECT 1, NULL, 'text';\nSELECT * FROM no_such_table;\nSELECT 1/0;\n",
      "\\d shown\n\\dt\n\\du\n\\l\n\\df pg_catalog.now\n",
      "INSERT INTO shown VALUES (1, 'a') ON CONFLICT DO NOTHING;\nUPDATE shown SET name = 'b' WHERE id = 1;\n",
      "BEGIN;\nSELECT 1/0;\nSELECT 1;\nROLLBACK;\n\\echo :SQLSTATE\n",
      "\\copy (SELECT g FROM generate_series(1, 1000) g) TO STDOUT\n",
    ];
    await both(querycop, trust, script.join(""));
  });

  e2e("a policy refuses with the server's own kind of error, and every statement is on record", async () => {
    const settings = { ...verified(), ...policy("deny: { tables: [public.denied] }") };
    const querycop = await startStaged({ ...settings, GATEKEEPER_PROXY_TLS_MODE: "off" });
    const superuser = { user: "postgres", password: "" };
    await psql(server.port, superuser, "CREATE TABLE denied (x int); GRANT ALL ON denied TO PUBLIC;");
    const { trust } = POSTGRES_ACCOUNTS;
    const { stdout, stderr } = await psql(
      querycop.port,
      trust,
      "BEGIN;\nINSERT INTO shown VALUES (2, 'lost');\nSELECT x FROM denied;\nCOMMIT;\nSELECT max(id) FROM shown;\n",
    );
    assert.match(stderr, /ERROR: {2}querycop.*\[decision /);
    // The server's COMMIT of a failed transaction is a ROLLBACK, and the client hears so.
    assert.match(stdout, /ROLLBACK\n1\n$/);
    assert.ok(!server.log().includes("FROM denied"));
    const typing = await psql(querycop.port, { ...trust, more: {} }, "\\set VERBOSITY sqlstate\nSELEC 1;\n");
    assert.equal(typing.stderr, "ERROR:  42601\n");
    await eventually(
      "both sessions have ended",
      () => querycop.audit().filter(({ type }) => type === "disconnect").length === 2,
    );
    const statements = querycop
      .audit()
      .filter(({ type }) => type === "statement-intent" || type === "statement-blocked");
    assert.deepEqual(
      statements.map(({ type, decision, text }) => [type, decision, text]),
      [
        ["statement-intent", "allow", "begin"],
        ["statement-intent", "allow", "insert into shown values ( ... )"],
        ["statement-blocked", "block", "select x from denied"],
        ["statement-intent", "allow", "commit"],
        ["statement-intent", "allow", "select max ( id ) from shown"],
        ["statement-blocked", "block", "selec ?"],
      ],
    );
  });

  e2e("statements as sent can be read with the sealing key's other half alone, and passwords with none", async () => {
    const keys = generateKeyPairSync("x25519");
    const publicFile = join(certificates.folder, "reading.pub");
    const privateFile = join(certificates.folder, "reading.key");
    writeFileSync(publicFile, keys.publicKey.export({ type: "spki", format: "pem" }));
    writeFileSync(privateFile, keys.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const querycop = await startStaged({
      ...verified(),
      ...policy("mode: observe"),
      GATEKEEPER_PROXY_TLS_MODE: "off",
      GATEKEEPER_AUDIT_SEAL_KEY_FILE: publicFile,
    });
    // Judged and hashed beside the main thread, and hashed as any other.
    const long = `SELECT length('${"long ".repeat(8_000)}');`;
    const sent = [
      "SELECT 'open sesame';",
      "ALTER ROLE md5_user PASSWORD 'secret of md5';",
      "PREPARE p AS SELECT 'hunter2';",
      "SELECT set_config('app.key', 'hunter2', false);",
      "SELECT 'hunter2' FROM WHERE;",
      long,
      long,
    ];
    await psql(querycop.port, { user: "postgres", password: "" }, sent.join("\n"));
    await eventually("the session has ended", () => querycop.audit().some(({ type }) => type === "disconnect"));
    for (const word of ["sesame", "hunter2", "secret of"]) assert.ok(!querycop.auditText().includes(word), word);
    const path = join(querycop.folder, "audit.ndjson");
    const exported = await runQuerycop(["audit", "export", path, "--decrypt-key-file", privateFile]);
    const texts = exported.stdout.split("\n").flatMap((line) => (line.includes("rawText") ? [JSON.parse(line)] : []));
    assert.deepEqual(
      texts.map((record: { rawText: string }) => record.rawText),
      [sent[0], long, long],
    );
    const hashes = texts.map((record: { textHash: string }) => record.textHash);
    assert.match(hashes[1] ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual([hashes[1] === hashes[2], hashes[0] === hashes[1]], [true, false]);
  });

  e2e("libpq proves its password by SCRAM with channel binding, and the key of its proof logs in", async () => {
    const password = "only the client knows it";
    const { usersFile, alterRole } = await makeScramUser("scram_user", password, certificates.folder);
    await psql(server.port, { user: "postgres", password: "" }, alterRole);
    const querycop = await startStaged({
      ...verified(),
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: usersFile,
      GATEKEEPER_PROXY_TLS_CERT: certificates.leaves.goodEc.certFile,
      GATEKEEPER_PROXY_TLS_KEY: certificates.leaves.goodEc.keyFile,
    });
    const more = { PGSSLMODE: "require", PGCHANNELBINDING: "require" };
    const right = await psql(querycop.port, { user: "scram_user", password, more }, "SELECT current_user, 1;\n");
    assert.deepEqual([right.stdout, right.stderr], ["scram_user|1\n", ""]);
    const wrong = await psql(querycop.port, { user: "scram_user", password: "wrong", more }, "SELECT 1;\n");
    assert.match(wrong.stderr, /FATAL: {2}querycop: password authentication failed for user "scram_user"/);
    assert.ok(!querycop.logText().includes(password));
  });
});
