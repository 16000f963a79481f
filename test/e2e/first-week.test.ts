/** What a first week with querycop runs into, on real servers through the executable. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { makeCertificates } from "../support/certificates.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { runQuerycop, type Settings } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const servers = new Map<ServerKind, TestServer>();
const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
servers.set("mysql", await startServer({ kind: "mysql", certificate }));
servers.set("mariadb", await startServer({ kind: "mariadb" }));
const folder = mkdtempSync(join(tmpdir(), "querycop-week-"));
afterEach(endStage);
after(async () => {
  for (const server of servers.values()) await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

const mysql = (): TestServer => servers.get("mysql") as TestServer;
const HOST: Settings = { GATEKEEPER_BACKEND_HOST: "127.0.0.1" };

const messageOf = (payload: Uint8Array | undefined): string => Buffer.from(payload ?? []).toString("latin1");

e2e("without an audit log a block, a hold and a warning are in the log by their decision's id", async () => {
  const policy = join(folder, "hold.yaml");
  writeFileSync(
    policy,
    "version: 1\ndeny: { tables: [{ match: held, action: require-approval }] }\napproval: { mode: immediate }\n",
  );
  const querycop = await startStaged({
    ...plaintextBackend(mysql()),
    GATEKEEPER_AUDIT_FILE: undefined,
    ADMIN_API_KEY: "0123456789abcdef",
    GATEKEEPER_POLICY_FILE: policy,
  });
  assert.ok(querycop.logs().some(({ event }) => event === "nothing is recorded"));
  const client = await connectStaged(querycop.port);
  const { admin } = mysql().accounts;
  assert.ok(admin);
  await client.login({ ...admin, database: "appdb" });
  const told = new Map<string, string>();
  for (const [event, sql] of [
    ["statement blocked", "DROP DATABASE appdb"],
    ["statement held", "SELECT * FROM held"],
    ["statement warned", "DELETE FROM no_such_table"],
  ] as const) {
    told.set(event, messageOf((await client.query(sql)).at(-1)?.payload));
    const line = await eventually(event, () => querycop.logs().find((log) => log.event === event));
    assert.match(String(line["decision"]), /^[0-9a-f]{8}-/);
    if (event === "statement blocked") assert.ok(told.get(event)?.includes(`[decision ${String(line["decision"])}]`));
  }
  for (let count = 0; count < 300; count++) await client.query("DROP DATABASE appdb");
  const lines = querycop.logs().filter(({ event }) => event === "statement blocked").length;
  assert.ok(lines < 200, `${lines} lines for 301 blocks`);
});

for (const kind of ["mysql", "mariadb"] as const) {
  e2e(`a client that would send its password in the clear logs in to ${kind} as it would directly`, async () => {
    const server = servers.get(kind) as TestServer;
    const { admin } = server.accounts;
    assert.ok(admin);
    const querycop = await startStaged({ ...plaintextBackend(server) });
    for (const port of [server.port, querycop.port]) {
      const client = await connectStaged(port);
      const firstResponse = Buffer.from(`${admin.password}\0`);
      await client.login({ ...admin, database: "appdb", plugin: "mysql_clear_password", firstResponse });
      assert.notEqual((await client.query("SELECT 1")).at(-1)?.payload[0], 0xff);
    }
  });
}

const bundle = readFileSync(certificates.caFile, "latin1").trimEnd();
const keys = generateKeyPairSync("x25519");
const PEMS: Readonly<Record<string, string>> = {
  glued: `${bundle}${bundle}\n`,
  cut: `${bundle}\n${bundle.slice(0, bundle.length / 2)}\n`,
  "cut in its first line": `${bundle}\n-----BEGIN CERT`,
  "without its end": `${bundle}\n${bundle.slice(0, bundle.lastIndexOf("\n"))}\n`,
  indented: `${bundle}\n${bundle.replaceAll("-----BEGIN", " -----BEGIN")}\n`,
};

/** Settings with which serve does not start, by what is wrong with them. */
function refused(): Readonly<Record<string, Settings>> {
  const write = (name: string, text: string, mode = 0o600): string => {
    const path = join(folder, name.replaceAll(" ", "-"));
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
    return path;
  };
  const open = join(folder, "open");
  mkdirSync(open, { recursive: true });
  chmodSync(open, 0o777);
  const audit = { GATEKEEPER_AUDIT_FILE: join(folder, "log", "audit.ndjson") };
  const wrongKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
    format: "pem",
    type: "pkcs8",
  });
  const tls = { GATEKEEPER_BACKEND_TLS_MODE: "verify-ca" };
  return {
    "audit folder that others may write": { GATEKEEPER_AUDIT_FILE: join(open, "audit.ndjson") },
    "audit file that is a folder": { GATEKEEPER_AUDIT_FILE: open },
    "seal key that is private": {
      ...audit,
      GATEKEEPER_AUDIT_SEAL_KEY_FILE: write(
        "seal.pem",
        String(keys.privateKey.export({ format: "pem", type: "pkcs8" })),
      ),
    },
    "seal key that is none": { ...audit, GATEKEEPER_AUDIT_SEAL_KEY_FILE: write("none.pem", "hello\n") },
    "audit key of another kind": { ...audit, GATEKEEPER_AUDIT_KEY_FILE: write("rsa.pem", String(wrongKey)) },
    "audit key that others may read": { ...audit, GATEKEEPER_AUDIT_KEY_FILE: write("open.pem", "x", 0o644) },
    "policy that does not load": { GATEKEEPER_POLICY_FILE: write("policy.yaml", "version: 1\nmode: enforced\n") },
    ...Object.fromEntries(
      Object.entries(PEMS).map(([name, pem]) => [
        `CA bundle that is ${name}`,
        { ...tls, GATEKEEPER_BACKEND_TLS_CA_FILE: write(`${name}.pem`, pem) },
      ]),
    ),
  };
}

e2e("a CA bundle that is written half when it is read again changes nothing", async () => {
  const bundle = join(folder, "bundle.pem");
  const whole = readFileSync(certificates.caFile, "utf8");
  writeFileSync(bundle, whole);
  const querycop = await startStaged({
    ...plaintextBackend(mysql()),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-ca",
    GATEKEEPER_BACKEND_TLS_CA_FILE: bundle,
  });
  const { admin } = mysql().accounts;
  assert.ok(admin);
  const served = async (): Promise<void> => {
    const client = await connectStaged(querycop.port);
    await client.login({ ...admin, database: "appdb" });
    assert.notEqual((await client.query("SELECT 1")).at(-1)?.payload[0], 0xff);
  };
  await served();
  const damages = [whole.slice(0, whole.length / 2), `${whole}${whole.slice(0, 200)}`, `${whole.trimEnd()}${whole}`];
  for (const [index, damaged] of damages.entries()) {
    writeFileSync(bundle, damaged);
    querycop.signal("SIGHUP");
    await eventually("the damage is refused", () => {
      const refused = querycop.logs().filter(({ event }) => event.startsWith("change refused"));
      return refused.length > index;
    });
    await served();
  }
  assert.ok(!querycop.logs().some(({ event }) => event === "change in force"));
});

e2e("check-config, doctor and serve refuse the same configurations, with the setting and status 2", async () => {
  for (const [name, settings] of Object.entries(refused())) {
    const env = { ...HOST, GATEKEEPER_LISTEN_PORT: "0", GATEKEEPER_API_PORT: "0", ...settings };
    const setting = Object.keys(settings).findLast((key) => key !== "GATEKEEPER_BACKEND_TLS_MODE") ?? "";
    for (const command of ["check-config", "serve", "doctor"]) {
      const { code, stdout, stderr } = await runQuerycop([command], env);
      assert.equal(code, 2, `${command}: ${name}: ${stdout}${stderr}`);
      const named =
        command === "doctor" ? new RegExp(`${setting}|FAIL +(?:audit.disk|policy.lint)`) : new RegExp(setting);
      assert.match(`${stdout}${stderr}`, named, `${command}: ${name}: ${stdout}${stderr}`);
    }
  }
});

e2e("commands for a running querycop need none of the files that only its process can read", async () => {
  const users = "/run/credentials/querycop.service/users";
  const env: Settings = {
    ...HOST,
    GATEKEEPER_LISTEN_PORT: "1",
    GATEKEEPER_API_PORT: "2",
    ADMIN_API_KEY: "0123456789abcdef",
    GATEKEEPER_BACKEND_TLS_MODE: "require",
    GATEKEEPER_BACKEND_TOKEN_CMD: "echo t",
    GATEKEEPER_CLIENT_AUTH: "password",
    GATEKEEPER_USERS_FILE: users,
  };
  for (const args of [
    ["status"],
    ["sessions"],
    ["reload"],
    ["metrics"],
    ["approvals", "list"],
    ["wait", "--max", "1s"],
  ]) {
    const { stderr } = await runQuerycop(args, env);
    assert.doesNotMatch(stderr, /cannot read/, args.join(" "));
  }
  const audit = await runQuerycop(["audit", "tail"], { ...env, GATEKEEPER_AUDIT_FILE: join(folder, "none.ndjson") });
  assert.doesNotMatch(audit.stderr, /users/);
  const doctor = await runQuerycop(["doctor"], env);
  assert.match(
    doctor.stdout,
    /systemd-run --pipe --wait --collect --property=LoadCredential=users:\/etc\/querycop\/users querycop doctor/,
  );
  const credentials = join(folder, "credentials");
  mkdirSync(credentials);
  const line = await runQuerycop(["hash-password", "--user", "app"], {}, "secret");
  writeFileSync(join(credentials, "users"), line.stdout, { mode: 0o600 });
  const handed = await runQuerycop(["check-config"], { ...env, CREDENTIALS_DIRECTORY: credentials });
  assert.equal(handed.code, 0, handed.stderr);
});

e2e("the advice to relay logins is one that querycop takes", async () => {
  const server = mysql();
  const querycop = await startStaged({
    ...plaintextBackend(server),
    GATEKEEPER_CLIENT_AUTH: "relay",
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  });
  const { admin } = server.accounts;
  assert.ok(admin);
  const client = await connectStaged(querycop.port);
  await client.login({ ...admin, database: "appdb" });
  const login = await eventually("it is recorded", () => querycop.audit().find(({ type }) => type === "login"));
  assert.equal(login["clientAuth"], "relay");
});

e2e("settings say what is wrong with them: service links, keys with line breaks, Chinese endpoints", async () => {
  const check = (settings: Settings) => runQuerycop(["check-config"], { ...HOST, ...settings });
  for (const name of ["GATEKEEPER_BACKEND_PORT", "GATEKEEPER_API_PORT", "GATEKEEPER_BACKEND_SERVICE_HOST"]) {
    const { code, stderr } = await check({ [name]: name.endsWith("HOST") ? "10.0.0.1" : "tcp://10.0.0.1:3306" });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /Kubernetes sets it for a Service named gatekeeper-(?:backend|api): set enableServiceLinks: false/,
    );
  }
  assert.equal((await check({ ADMIN_API_KEY: "0123456789abcdef\n" })).code, 0);
  const inner = await check({ ADMIN_API_KEY: "0123456789abcdef\n0" });
  assert.equal(inner.code, 2);
  assert.match(inner.stderr, /ADMIN_API_KEY: holds a character/);
  for (const host of ["mydb.abc.rds.cn-north-1.amazonaws.com.cn", "mydb.abc.cn-north-1.rds.amazonaws.com.cn"]) {
    const env = {
      GATEKEEPER_BACKEND_HOST: host,
      GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
      GATEKEEPER_BACKEND_TLS_MODE: "require",
    };
    const { stdout } = await runQuerycop(["config"], env);
    assert.match(stdout, /backend\.region +cn-north-1 /);
  }
});
