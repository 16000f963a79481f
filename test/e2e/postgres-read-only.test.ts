/** The second wall of read-only profiles: what a real PostgreSQL refuses by itself, through the executable. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import type { Querycop, Settings } from "../support/querycop.ts";

const READER = POSTGRES_ACCOUNTS.trust;
const OWNER = { user: "postgres", password: "" } as const;
const folder = mkdtempSync(join(tmpdir(), "querycop-wall-"));
let server: PostgresServer;
let querycop: Querycop;

after(async () => {
  await endStage();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

interface Run {
  readonly user?: string;
  readonly port?: number;
  readonly options?: string;
}

async function psql(input: string, { user = READER.user, port = querycop.port, options = "" }: Run = {}) {
  const root = await installServerRoot("psql");
  const words = ["-X", "-A", "-t", "-d", "postgres", "-v", "VERBOSITY=verbose"];
  const program = root.command("usr/lib/postgresql/15/bin/psql", words);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: user, PGPASSWORD: "", PGOPTIONS: options };
  return await run(program.command, program.args, { env, input });
}

const asOwner = (input: string) => psql(input, { user: OWNER.user, port: server.port });

async function notes(): Promise<string> {
  return (await asOwner("SELECT count(*) FROM note;")).stdout.trim();
}

function settings(policy: string, more: Settings = {}): Settings {
  const file = join(folder, `policy-${policy.length}.yaml`);
  writeFileSync(file, policy, { mode: 0o600 });
  return {
    GATEKEEPER_BACKEND_ENGINE: "postgresql",
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_PROXY_TLS_MODE: "off",
    GATEKEEPER_POLICY_FILE: file,
    ...more,
  };
}

const POLICY = `version: 1
profiles:
  - name: reader
    match: { users: [${READER.user}] }
    read_only: true
`;

describe("a read-only profile in front of a real PostgreSQL", () => {
  e2e("the server starts, with functions that a call of a built-in one means", async () => {
    server = await startPostgres();
    const made = await asOwner(`
      CREATE TABLE note (x int); CREATE INDEX ON note (x); GRANT ALL ON note TO PUBLIC;
      CREATE FUNCTION public.lower(integer) RETURNS int LANGUAGE plpgsql AS
        'BEGIN INSERT INTO note VALUES ($1); RETURN $1; END';
      CREATE FUNCTION public.upper(integer) RETURNS text LANGUAGE sql AS
        $$ SELECT set_config('default_transaction_read_only', 'off', false) $$;
    `);
    assert.equal(made.stderr, "");
    querycop = await startStaged(settings(POLICY));
  });

  e2e("the server refuses what a function writes that the policy took for a built-in one", async () => {
    const read = await psql("SELECT lower(1);\nSELECT lower('A');\nSHOW default_transaction_read_only;\n");
    assert.match(read.stderr, /ERROR: {2}25006: cannot execute INSERT in a read-only transaction/);
    assert.equal(read.stdout, "a\non\n");
    assert.equal(await notes(), "0");
  });

  e2e("a user of another profile writes, and its session is as it was", async () => {
    const written = await psql("SELECT lower(1);\nSHOW default_transaction_read_only;\n", { user: OWNER.user });
    assert.deepEqual([written.stdout, written.stderr], ["1\noff\n", ""]);
    assert.equal(await notes(), "1");
  });

  e2e("no reset and no transaction takes it down", async () => {
    const read = await psql(
      "DISCARD ALL;\nSELECT lower(1);\nBEGIN;\nSELECT lower(1);\nCOMMIT AND CHAIN;\nSELECT lower(1);\nROLLBACK;\n" +
        "SET ROLE NONE;\nSELECT lower(1);\n",
    );
    assert.equal(read.stderr.match(/25006/g)?.length, 4, read.stderr);
    assert.equal(await notes(), "1");
  });

  e2e("neither what a client starts with nor what its role has stored comes before it", async () => {
    for (const name of ["default_transaction_read_only", "transaction_read_only", "Default-Transaction-Read-Only"]) {
      const refused = await psql("SELECT 1;\n", { options: `-c ${name}=off` });
      assert.match(refused.stderr, /FATAL: {2}querycop.*startup parameter/, name);
    }
    await asOwner(`ALTER ROLE ${READER.user} SET default_transaction_read_only = off;`);
    const read = await psql("SELECT lower(1);\n", { options: "-c default_transaction_read_only=on" });
    assert.match(read.stderr, /25006/);
    assert.equal(await notes(), "1");
  });

  e2e("a session that a function has set back gets no further statement to the server", async () => {
    const read = await psql("SELECT upper(1);\nSELECT lower(1);\n");
    assert.match(read.stderr, /FATAL: {2}25006: .*read_only/);
    assert.equal(read.stdout, "off\n");
    assert.equal(await notes(), "1");
  });

  e2e("a server that a pooler hides is left as it is", async () => {
    const pooled = await startStaged(settings(POLICY, { GATEKEEPER_BACKEND_POOLER: "pgbouncer" }));
    const read = await psql("SHOW default_transaction_read_only;\n", { port: pooled.port });
    assert.deepEqual([read.stdout, read.stderr], ["off\n", ""]);
  });

  e2e("observe mode has the server refuse nothing", async () => {
    const watching = await startStaged(settings(`${POLICY}    mode: observe\n`));
    const read = await psql("SELECT lower(1);\n", { port: watching.port });
    assert.deepEqual([read.stdout, read.stderr], ["1\n", ""]);
  });

  e2e("the server refuses what docs/security-model.md says, and does not look at the rest", async () => {
    const refused = [
      "INSERT INTO note VALUES (1)",
      "UPDATE note SET x = 2",
      "TRUNCATE note",
      "CREATE TABLE n2 (x int)",
      "CREATE TEMP TABLE n3 (x int)",
      "DROP TABLE note",
      "ALTER TABLE note ADD y int",
      "CREATE ROLE somebody",
      "GRANT SELECT ON note TO PUBLIC",
      "CREATE SEQUENCE s",
      "PERFORM nextval('numbers')",
      "PERFORM 1 FROM note FOR UPDATE",
      "COPY note FROM '/dev/null'",
      "REFRESH MATERIALIZED VIEW seen",
      "COMMENT ON TABLE note IS 'x'",
    ];
    const sinceSixteen = "PERFORM lo_create(0)";
    if (server.version >= 16) refused.push(sinceSixteen);
    const seen = await asOwner(`
      CREATE SEQUENCE numbers; CREATE MATERIALIZED VIEW seen AS SELECT 1;
      CREATE FUNCTION public.holds(text) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN EXECUTE 'DO ' || quote_literal('BEGIN ' || $1 || '; END'); RETURN 'done';
      EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
    `);
    assert.equal(seen.stderr, "");
    const passing = [
      "PERFORM pg_advisory_lock(1)",
      "NOTIFY a",
      "PERFORM pg_notify('a', 'b')",
      "COPY note TO '/dev/null'",
      "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
      "PERFORM pg_read_file('PG_VERSION')",
      "ANALYZE note",
      "REINDEX TABLE note",
      "LOCK TABLE note IN EXCLUSIVE MODE",
      "INSERT INTO mine VALUES (1)",
      "PERFORM pg_reload_conf()",
    ];
    if (server.version < 16) passing.push(sinceSixteen);
    const of = async (texts: readonly string[]) => {
      const input = texts.map((text) => `SELECT public.holds('${text.replaceAll("'", "''")}');`).join("\n");
      const said = await psql(`CREATE TEMP TABLE mine (x int);\nSET default_transaction_read_only = on;\n${input}\n`, {
        user: OWNER.user,
        port: server.port,
      });
      assert.equal(said.stderr, "");
      return said.stdout
        .trim()
        .split("\n")
        .slice(2)
        .map((state, at) => `${texts[at]}: ${state}`);
    };
    assert.deepEqual(
      await of(refused),
      refused.map((text) => `${text}: 25006`),
    );
    assert.deepEqual(
      await of(passing),
      passing.map((text) => `${text}: done`),
    );
  });
});
