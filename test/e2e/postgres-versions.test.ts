/** PostgreSQL's own client of two versions in front of servers of two versions, through the executable: as directly. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { clusterPostgres } from "../support/backend-settings.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import { PostgresClient, rowsIn } from "../support/postgres-client.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import type { Querycop } from "../support/querycop.ts";
import { makeScramUser } from "../support/scram-user.ts";

const CLIENTS = [15, 18] as const;
const SCRIPT = `SELECT current_user, 'text', NULL;
SELECT 1/0;
SELECT nowhere FROM nothing;
BEGIN; SELECT 1/0; SELECT 2; ROLLBACK;
\\d pg_catalog.pg_class
\\df pg_catalog.now
\\copy (SELECT g FROM generate_series(1, 300) g) TO STDOUT
SELECT $1 + 1 \\bind 41 \\g
`;

interface Login {
  readonly user: string;
  readonly password: string;
  readonly more?: Readonly<Record<string, string>>;
}

async function psql(client: 15 | 18, port: number, { user, password, more = {} }: Login, input: string) {
  const root = await installServerRoot(client === 15 ? "psql" : "psql18");
  const program = root.command(`usr/lib/postgresql/${client}/bin/psql`, ["-X", "-A", "-t", "-d", "postgres"]);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGSSLMODE: "require" };
  const { stdout, stderr } = await run(program.command, program.args, { env: { ...env, ...more }, input });
  return { stdout, stderr };
}

for (const version of [15, 18] as const) {
  describe(`PostgreSQL ${version} through the executable`, () => {
    let certificates: CertificateSet;
    let server: PostgresServer;
    let querycop: Querycop;

    after(async () => {
      await endStage();
      await server?.stop();
      certificates?.remove();
    });

    const settings = () => ({
      ...clusterPostgres(server, certificates),
      GATEKEEPER_PROXY_TLS_CERT: certificates.leaves.goodEc.certFile,
      GATEKEEPER_PROXY_TLS_KEY: certificates.leaves.goodEc.keyFile,
      GATEKEEPER_POLICY_FILE: join(certificates.folder, "policy.yaml"),
    });

    e2e("the server starts, with TLS", async () => {
      certificates = await makeCertificates();
      writeFileSync(join(certificates.folder, "policy.yaml"), "version: 1\nmode: observe\n", { mode: 0o600 });
      server = await startPostgres(certificates.leaves.chain, "", version);
      querycop = await startStaged(settings());
    });

    e2e("psql 15 and 18 say the same as directly, whatever password the server asks for", async () => {
      const { trust, md5, cleartext } = POSTGRES_ACCOUNTS;
      for (const client of CLIENTS) {
        for (const account of [trust, md5, cleartext]) {
          const wanted = await psql(client, server.port, account, SCRIPT);
          assert.deepEqual(await psql(client, querycop.port, account, SCRIPT), wanted, `${client} ${account.user}`);
          assert.ok(wanted.stdout.startsWith(`${account.user}|text|\n`), wanted.stderr);
        }
      }
    });

    e2e("psql 18 begins with TLS at once", async () => {
      const { cleartext } = POSTGRES_ACCOUNTS;
      const login = { ...cleartext, more: { PGSSLNEGOTIATION: "direct" } };
      const answer = await psql(18, querycop.port, login, SCRIPT);
      // Servers know it from 17 on.
      const wanted = await psql(18, server.port, version < 17 ? cleartext : login, SCRIPT);
      assert.deepEqual(answer, wanted);
      assert.ok(answer.stdout.startsWith(`${cleartext.user}|text|\n`), answer.stderr);
    });

    e2e("psql 15 and 18 prove their password by SCRAM with channel binding", async () => {
      const password = "only the client knows it";
      const { usersFile, alterRole } = await makeScramUser("scram_user", password, certificates.folder);
      await psql(15, server.port, { user: "postgres", password: "" }, alterRole);
      const proving = await startStaged({
        ...settings(),
        GATEKEEPER_CLIENT_AUTH: "password",
        GATEKEEPER_USERS_FILE: usersFile,
      });
      const login = { user: "scram_user", password, more: { PGCHANNELBINDING: "require" } };
      for (const client of CLIENTS) {
        const wanted = await psql(client, server.port, login, SCRIPT);
        assert.deepEqual(await psql(client, proving.port, login, SCRIPT), wanted, String(client));
        assert.ok(wanted.stdout.startsWith("scram_user|"), wanted.stderr);
      }
    });

    e2e(
      "a name behind a write in one pipeline is not taken for one of a search_path that a trigger may have left",
      async () => {
        const owner = { user: "postgres", password: "" };
        const made = await psql(
          15,
          server.port,
          owner,
          `CREATE SCHEMA hidden; CREATE TABLE hidden.pay (x int); INSERT INTO hidden.pay VALUES (42);
        CREATE TABLE public.pay (x int); CREATE TABLE public.note (x int);
        GRANT USAGE ON SCHEMA hidden TO PUBLIC; GRANT ALL ON hidden.pay, public.pay, public.note TO PUBLIC;
        CREATE FUNCTION turn() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM set_config('search_path', 'hidden', false); RETURN NEW; END $$;
        CREATE TRIGGER turning BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION turn();`,
        );
        assert.equal(made.stderr, "");
        const file = join(certificates.folder, "denying.yaml");
        writeFileSync(file, "version: 1\nmode: enforce\ndeny: { tables: [hidden.pay] }\n", { mode: 0o600 });
        const denying = await startStaged({ ...settings(), GATEKEEPER_POLICY_FILE: file });
        const client = await PostgresClient.logIn({ port: denying.port, isTls: true, ...POSTGRES_ACCOUNTS.trust });
        try {
          await client.query("SET search_path = public");
          const read = "SELECT x FROM pay";
          // Before PostgreSQL 18 no path is reported, and each name may be one of any schema.
          if (version < 18) await assert.rejects(client.query(read), /acc\.table|pay/);
          else assert.deepEqual(await client.query(read), []);
          const queries = ["INSERT INTO public.note (x) VALUES (1)", read].map((sql) => encodeUtf8(sql));
          client.send(...queries.map((sql) => ({ name: "Query", sql }) as const));
          const pieces = await client.untilReady(2);
          const rows = pieces.flatMap((piece) => (piece.type === 0x44 ? rowsIn(piece.wire) : []));
          const isRefused = pieces.some(({ type }) => type === 0x45);
          assert.deepEqual([rows, isRefused], [[], true]);
        } finally {
          client.close();
        }
      },
    );

    e2e("a client that speaks protocol 3.2 alone is spoken to in it, whatever the server speaks", async () => {
      const more = { PGMINPROTOCOLVERSION: "3.2", PGMAXPROTOCOLVERSION: "latest" };
      const login = { ...POSTGRES_ACCOUNTS.trust, more };
      const direct = await psql(18, server.port, login, "SELECT 1;\n");
      assert.equal(direct.stdout, version < 18 ? "" : "1\n", direct.stderr);
      const { stdout, stderr } = await psql(18, querycop.port, login, "SELECT 1;\n");
      assert.equal(stdout, "1\n", stderr);
    });
  });
}
