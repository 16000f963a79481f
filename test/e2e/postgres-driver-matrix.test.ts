/** Drivers of PostgreSQL, through the executable with a policy: what may run runs as it does without querycop. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import { clusterPostgres } from "../support/backend-settings.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import {
  POSTGRES_DRIVERS,
  type PostgresAnswer,
  type PostgresDriver,
  type PostgresStep,
  type PostgresTarget,
  runPostgresDriver,
} from "../support/postgres-drivers.ts";
import { POSTGRES_ACCOUNTS, type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import type { Querycop, Settings } from "../support/querycop.ts";
import { makeScramUser } from "../support/scram-user.ts";

const POLICY = `
version: 1
tenants: [{ tables: [public.orders], column: tenant_id, value: 7 }]
deny: { statements: [drop-table] }
`;

const SETUP = `
CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(8, 2), made timestamptz, tags text[], extra jsonb, raw bytea);
INSERT INTO items VALUES
  (1, 'first', 1.50, '2026-01-02 03:04:05+00', '{a,b}', '{"k": [1, null]}', '\\x00ff'),
  (2, 'größe 😀', 20, '1999-12-31 23:59:59.123456+00', '{}', 'null', ''),
  (3, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE orders (id int PRIMARY KEY, tenant_id int, note text);
INSERT INTO orders VALUES (1, 7, 'ours'), (2, 8, 'theirs'), (3, 7, 'grüße 😀');
CREATE TABLE scratch (id serial PRIMARY KEY, text text NOT NULL UNIQUE);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
`;

const { scram, trust } = POSTGRES_ACCOUNTS;
let certificates: CertificateSet;
let server: PostgresServer;
let plain: Querycop;
let guarded: Querycop;

after(async () => {
  await endStage();
  await server?.stop();
  certificates?.remove();
});

async function ownerRuns(sql: string): Promise<string> {
  const root = await installServerRoot("psql");
  const options = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"];
  const { command, args } = root.command("usr/lib/postgresql/15/bin/psql", options);
  const env = { PGHOST: "127.0.0.1", PGPORT: String(server.port), PGUSER: "postgres" };
  const { code, stdout, stderr } = await run(command, args, { env, input: sql });
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

const step = (sql: string, ...values: (string | number)[]): PostgresStep => ({ sql, values });

const SECRET = "hunter2-O'Reilly";
const TENANT = "SELECT note FROM orders WHERE tenant_id = $1";
const COPIED = { table: "scratch", columns: ["text"], copy: "from a copy\nfrom another\n" };

const ALLOWED: readonly PostgresStep[] = [
  step("SELECT * FROM items WHERE id <= $1 ORDER BY id", 3),
  step("SELECT count(*), sum(price), array_agg(name ORDER BY id) FROM items"),
  step(`${TENANT} ORDER BY id`, 7),
  step(`${TENANT} AND note = $2`, 7, SECRET),
  step("INSERT INTO scratch (text) VALUES ($1) RETURNING text", SECRET),
  step("INSERT INTO scratch (text) VALUES ($1)", SECRET),
  step("SELECT count(*) FROM scratch WHERE text = $1 AND id > $2", SECRET, 0),
  { ...step("UPDATE scratch SET text = text WHERE text = $1", SECRET), batch: 3 },
  { ...step("SELECT g FROM generate_series(1, $1::int) g", 7), cursor: true },
  step("SELECT nothing FROM no_such_table WHERE id = $1", 1),
  step("SELECT 1 / ($1::int - 1)", 1),
  step("DELETE FROM scratch WHERE text = $1", SECRET),
  step("SELECT 'still usable'"),
];

/** Drivers that can, by functions of their own. */
const COPYING: ReadonlySet<PostgresDriver> = new Set<PostgresDriver>([
  "pgsql",
  "pdo_pgsql",
  "psycopg2",
  "psycopg",
  "asyncpg",
  "postgres.js",
]);
const COPY: readonly PostgresStep[] = [
  { ...step("COPY scratch (text) FROM STDIN"), ...COPIED, table: "scratch (text)" },
  step("SELECT text FROM scratch ORDER BY text"),
  step("DELETE FROM scratch WHERE text LIKE 'from a%'"),
];

const BLOCKED: readonly PostgresStep[] = [step("DROP TABLE items"), step(TENANT, 8), step("SELECT note FROM orders")];

const stepsOf = (driver: PostgresDriver): readonly PostgresStep[] => {
  if (!COPYING.has(driver)) return ALLOWED;
  const named = COPY.map((one) =>
    one.copy !== undefined && driver === "asyncpg" ? { ...one, table: "scratch" } : one,
  );
  return [...ALLOWED, ...named];
};

const backend = (): Settings => clusterPostgres(server, certificates);

/** Runs what may run directly and through querycop, and what may not behind it. */
async function assertGuarded(driver: PostgresDriver, direct: PostgresTarget, through: PostgresTarget): Promise<void> {
  const steps = stepsOf(driver);
  const wanted = await runPostgresDriver(driver, direct, steps);
  const got = await runPostgresDriver(driver, through, [...steps, ...BLOCKED, step("SELECT 'usable'")]);
  assert.deepEqual(got.slice(0, steps.length), wanted);
  assert.deepEqual(codesOf(wanted), ["23505", "42P01", "22012"], JSON.stringify(wanted));
  for (const answer of got.slice(steps.length, -1)) {
    assert.ok("error" in answer, JSON.stringify(answer));
    assert.equal(answer.code, "42501");
    assert.match(answer.message, /querycop: blocked by rule (pol\.deny\.statement|acc\.tenant)/);
  }
  assert.deepEqual(got.at(-1), { rows: [["usable"]] });
  assert.equal(await ownerRuns("SELECT count(*) FROM items"), "3");
}

const codesOf = (answers: readonly PostgresAnswer[]): string[] =>
  answers.flatMap((answer) => ("error" in answer ? [answer.code] : []));

describe("drivers of PostgreSQL", () => {
  e2e("the server and both listeners start", async () => {
    certificates = await makeCertificates();
    server = await startPostgres(certificates.leaves.chain);
    await ownerRuns(SETUP);
    const policyFile = join(certificates.folder, "policy.yaml");
    writeFileSync(policyFile, POLICY, { mode: 0o600 });
    plain = await startStaged({ ...backend(), GATEKEEPER_POLICY_FILE: policyFile, GATEKEEPER_PROXY_TLS_MODE: "off" });
    const { usersFile, alterRole } = await makeScramUser(scram.user, scram.password, certificates.folder);
    await ownerRuns(alterRole);
    guarded = await startStaged({
      ...backend(),
      GATEKEEPER_POLICY_FILE: policyFile,
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: usersFile,
      GATEKEEPER_PROXY_TLS_MODE: "require",
      GATEKEEPER_PROXY_TLS_CERT: certificates.leaves.goodEc.certFile,
      GATEKEEPER_PROXY_TLS_KEY: certificates.leaves.goodEc.keyFile,
    });
  });

  for (const driver of POSTGRES_DRIVERS) {
    e2e(`${driver} runs what it may as it does directly, and is told of what it may not`, async () => {
      const target = { host: "127.0.0.1", database: "postgres", ...trust, sslMode: "disable" } as const;
      const before = plain.audit().length;
      await assertGuarded(driver, { ...target, port: server.port }, { ...target, port: plain.port });
      const records = plain.audit().slice(before);
      const statements = records.filter(({ type }) => type === "statement-intent" || type === "statement-blocked");
      // The driver's own statements are not even warned of.
      const others = statements.filter((record) => record["decision"] !== "allow");
      assert.deepEqual(
        others.map(({ type }) => type),
        BLOCKED.map(() => "statement-blocked"),
        JSON.stringify(others),
      );
      assert.ok(!plain.auditText().includes("hunter2"), "no value is recorded");
      assert.ok(!plain.logText().includes("hunter2"), "no value is logged");
    });

    e2e(`${driver} proves its password over TLS`, async () => {
      const target = { host: "127.0.0.1", database: "postgres", ...scram, sslMode: "require" } as const;
      await assertGuarded(driver, { ...target, port: server.port }, { ...target, port: guarded.port });
    });
  }
});
