/** Named connections through the executable: passwords of every plugin and from every place, and rotations under way. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import type { Account } from "../support/accounts.ts";
import { makeCertificates } from "../support/certificates.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Moto, startMoto } from "../support/moto.ts";
import type { AuditLine, Querycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
const [mysql, mariadb, moto] = await Promise.all([
  startServer({ kind: "mysql", certificate }),
  startServer({ kind: "mariadb11", certificate }),
  startMoto(),
]);
const folder = mkdtempSync(join(tmpdir(), "querycop-connections-"));
afterEach(endStage);
after(async () => {
  moto.stop();
  await Promise.all([mysql.stop(), mariadb.stop()]);
  rmSync(folder, { recursive: true });
  certificates.remove();
});

interface Entry {
  readonly name: string;
  readonly server: TestServer;
  readonly tls: boolean;
  /** The keys that say who and with what. */
  readonly keys: Readonly<Record<string, string>>;
}

function yamlOf(entries: readonly Entry[]): string {
  const connections = entries.map(({ name, server, tls, keys }) => {
    const backend = tls ? { tls_mode: "verify-ca", tls_ca_file: certificates.caFile } : { tls_mode: "disable" };
    const all = { host: "127.0.0.1", port: String(server.port), ...backend, ...keys };
    const lines = Object.entries(all).map(([key, value]) => `    ${key}: ${JSON.stringify(value)}`);
    return `  ${name}:\n${lines.join("\n")}\n`;
  });
  const listeners = entries.map(({ name }) => `  - { name: ${name}, connection: ${name}, listen: { port: 0 } }\n`);
  return `connections:\n${connections.join("")}client_auth: trust\nlisteners:\n${listeners.join("")}`;
}

async function start(entries: readonly Entry[], env: Moto["environment"] = {}): Promise<Querycop> {
  return await startStaged({ ...env }, { configYaml: yamlOf(entries), listeners: entries.length });
}

/**
 * As the connection, which needs no password of the client's. The login is on record then: it is written behind the
 * server's OK_Packet, but before the first statement is.
 */
async function logIn(querycop: Querycop, name: string, user: string): Promise<void> {
  const client = await connectStaged(querycop.ports[name] as number);
  await client.login({ user, password: "", plugin: "mysql_native_password" });
  await client.query("DO 1");
  client.reset();
}

/** Who a record says the session is. */
function userOf(line: AuditLine | undefined): unknown {
  return (line?.["session"] as { readonly user?: unknown } | undefined)?.user;
}

function fileOf(name: string, password: string): string {
  const path = join(folder, name);
  writeFileSync(path, `${password}\nnot of the password\n`, { mode: 0o600 });
  return path;
}

const PURPOSES = ["caching_sha2", "sha256", "native", "ed25519", "parsec", "longName"];

function accountsWithPlugins(server: TestServer): (readonly [purpose: string, account: Account])[] {
  return PURPOSES.flatMap((purpose) => {
    const account = server.accounts[purpose];
    return account === undefined ? [] : [[purpose, account] as const];
  });
}

e2e("a password of querycop's opens accounts of every plugin, with and without TLS", async () => {
  const entries = [mysql, mariadb].flatMap((server) =>
    [true, false].flatMap((tls) =>
      accountsWithPlugins(server).map(([purpose, { user, password }]): Entry => {
        const name = `${server.kind}-${purpose.toLowerCase()}-${tls ? "tls" : "plain"}`;
        return { name, server, tls, keys: { user, password_file: fileOf(name, password) } };
      }),
    ),
  );
  const querycop = await start(entries);
  for (const { name, keys } of entries) {
    // The first login of an account tells the server its password; the second may be the short one.
    for (const _ of [1, 2]) await logIn(querycop, name, keys["user"] as string);
  }
  const logins = querycop.audit().filter(({ type }) => type === "login");
  assert.equal(logins.length, 2 * entries.length);
  const plugins = new Set(logins.map(({ authPlugin }) => authPlugin));
  for (const plugin of [
    "caching_sha2_password",
    "sha256_password",
    "mysql_native_password",
    "client_ed25519",
    "parsec",
  ])
    assert.ok(plugins.has(plugin), plugin);
  const told = querycop.logText() + querycop.auditText();
  for (const server of [mysql, mariadb]) {
    for (const [, { password }] of accountsWithPlugins(server)) assert.ok(!told.includes(password), password);
  }
});

e2e("a client cannot choose by whose policy it is judged: the connection's name is the only one", async () => {
  const { user, password } = mysql.account("admin");
  const keys = { user, password_file: fileOf("admin", password) };
  const querycop = await start([{ name: "admin", server: mysql, tls: true, keys }]);
  await assert.rejects(logIn(querycop, "admin", "somebody"), /1045.*log in here as "admin"/);
  await logIn(querycop, "admin", "");
  const login = querycop.audit().find(({ type }) => type === "login");
  assert.equal(userOf(login), user);
});

e2e("passwords come from Secrets Manager, Parameter Store and a command", async () => {
  const { user, password } = mysql.account("admin");
  const secret = { engine: "mysql", host: "elsewhere", port: "3306", username: user, password, dbname: "appdb" };
  await moto.call("secretsmanager.CreateSecret", { Name: "places/json", SecretString: JSON.stringify(secret) });
  await moto.call("secretsmanager.CreateSecret", { Name: "places/text", SecretString: password });
  await moto.call("AmazonSSM.PutParameter", { Name: "/places/admin", Value: password, Type: "SecureString" });
  const command = `[ "$QUERYCOP_CONNECTION" = command ] && [ "$QUERYCOP_BACKEND_USER" = ${user} ] && cat ${fileOf("cmd", password)}`;
  const places: Readonly<Record<string, Entry["keys"]>> = {
    json: { secret_id: "places/json" },
    text: { secret_id: "places/text", secret_format: "text", user },
    parameter: { password_parameter: "/places/admin", user },
    command: { password_cmd: command, user },
  };
  const entries = Object.entries(places).map(([name, keys]) => ({ name, server: mysql, tls: true, keys }));
  const querycop = await start(entries, moto.environment);
  for (const { name, keys } of entries) await logIn(querycop, name, keys["user"] ?? name);
  const logins = querycop.audit().filter(({ type }) => type === "login");
  assert.deepEqual(
    logins.map(({ backendUser }) => backendUser),
    [user, undefined, undefined, undefined],
  );
  assert.ok(!(querycop.logText() + querycop.auditText()).includes(password));
});

/** A scale for a quiet machine: 1000. */
const LOGINS = Number(process.env["QUERYCOP_TEST_LOGINS"] ?? "30");

e2e("no login fails while a password is rotated, by whichever of the two changes first", async () => {
  await mysql.rootQuery("CREATE USER turning@'%' IDENTIFIED BY 'first:Passw0rd'");
  const version = async (stages: readonly string[], password: string, user = "turning"): Promise<string> => {
    const input = {
      SecretId: "turning",
      SecretString: JSON.stringify({ username: user, password }),
      VersionStages: stages,
    };
    return String((await moto.call("secretsmanager.PutSecretValue", input))["VersionId"]);
  };
  const initial = JSON.stringify({ username: "turning", password: "first:Passw0rd" });
  const created = await moto.call("secretsmanager.CreateSecret", { Name: "turning", SecretString: initial });
  const entry = { name: "turning", server: mysql, tls: true, keys: { secret_id: "turning" } };
  const querycop = await start([entry], moto.environment);
  await logIn(querycop, "turning", "turning");
  // Single user: the server has the new password before it is current.
  const second = await version(["AWSPENDING"], "second:Passw0rd");
  await mysql.rootQuery("ALTER USER turning@'%' IDENTIFIED BY 'second:Passw0rd'");
  for (const _ of [1, 2, 3]) await logIn(querycop, "turning", "turning");
  // Moto moves the stage with this call alone: a put version that claims it leaves it to the one before as well.
  const makeCurrent = (to: string, from: unknown): Promise<unknown> =>
    moto.call("secretsmanager.UpdateSecretVersionStage", {
      SecretId: "turning",
      VersionStage: "AWSCURRENT",
      MoveToVersionId: to,
      RemoveFromVersionId: from,
    });
  await makeCurrent(second, created["VersionId"]);
  await logIn(querycop, "turning", "turning");
  // Alternating users: another account, whose name is new as well.
  await mysql.rootQuery("CREATE USER turning_clone@'%' IDENTIFIED BY 'third:Passw0rd'");
  const third = await version(["AWSPENDING"], "third:Passw0rd", "turning_clone");
  await makeCurrent(third, second);
  await mysql.rootQuery("DROP USER turning@'%'");
  await logIn(querycop, "turning", "turning");
  // And both in the middle of many logins, some of which are under way.
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun++ < LOGINS) await logIn(querycop, "turning", "turning");
  };
  const turn = async (): Promise<void> => {
    await eventually("a third of them has begun", () => begun > LOGINS / 3, 300_000);
    const fourth = await version(["AWSPENDING"], "fourth:Passw0rd", "turning_clone");
    await mysql.rootQuery("ALTER USER turning_clone@'%' IDENTIFIED BY 'fourth:Passw0rd'");
    await makeCurrent(fourth, third);
    await eventually("two thirds of them have begun", () => begun > (2 * LOGINS) / 3, 300_000);
    await mysql.rootQuery("CREATE USER turning_third@'%' IDENTIFIED BY 'fifth:Passw0rd'");
    await makeCurrent(await version(["AWSPENDING"], "fifth:Passw0rd", "turning_third"), fourth);
    await mysql.rootQuery("DROP USER turning_clone@'%'");
  };
  await Promise.all([...Array.from({ length: 10 }, lane), turn()]);
  await logIn(querycop, "turning", "turning");
  const logins = querycop.audit().filter(({ type }) => type === "login");
  assert.equal(logins.at(-1)?.["backendUser"], "turning_third");
  assert.deepEqual(new Set(logins.map(userOf)), new Set(["turning"]));
  assert.equal(querycop.audit().filter(({ type }) => type === "refuse").length, 0);
});
