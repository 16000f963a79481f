/** The test servers, accounts, clients and the IAM plugin themselves: a fixture that lies proves nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import type { ServerKind } from "../support/accounts.ts";
import { iamSettings, mintWithAws, mintWithSigner, type SignedTokenRequest, signToken } from "../support/aws-token.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { type ClientName, type ClientTarget, runClient, runDump } from "../support/clients.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mariadb", "mariadb11", "mysql"];
const VERSIONS: Readonly<Record<ServerKind, string>> = { mariadb: "10.11.", mariadb11: "11.", mysql: "9." };

// Not in a before() hook: the first start on a machine downloads servers, and hooks have little time.
const certificates = await makeCertificates();
const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
const servers = new Map<ServerKind, TestServer>();
for (const kind of KINDS) servers.set(kind, await startServer({ kind, certificate }));

after(async () => {
  for (const server of servers.values()) await server.stop();
  certificates.remove();
});

function serverOf(kind: ServerKind): TestServer {
  const server = servers.get(kind);
  assert.ok(server, `${kind} runs`);
  return server;
}

function target(kind: ServerKind, purpose: string, changes: Partial<ClientTarget> = {}): ClientTarget {
  const { host, port, accounts } = serverOf(kind);
  const account = accounts[purpose];
  assert.ok(account, `${kind} has an account for ${purpose}`);
  return { host, port, user: account.user, password: account.password, ...changes };
}

const trusting = { ca: readFileSync(certificates.caFile), servername: CLUSTER_HOST };
const required = { mode: "required" } as const;
const verified = (): ClientTarget["tls"] => ({ mode: "verify-full", caFile: certificates.caFile });

e2e("a test server ends and leaves no files when the process that started it is killed", async () => {
  const script = fileURLToPath(new URL("../support/servers.ts", import.meta.url));
  const args = "Deno" in globalThis ? ["run", "--allow-all", "--no-check", script, "mariadb"] : [script, "mariadb"];
  const owner = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  let printed = "";
  for await (const chunk of owner.stdout) {
    printed += String(chunk);
    if (printed.includes("admin ")) break;
  }
  const folder = /^folder (.*)$/m.exec(printed)?.[1] ?? "";
  const pid = Number(readFileSync(join(folder, "server.pid"), "utf8"));
  assert.ok(process.kill(pid, 0), "runs");
  owner.kill("SIGKILL");
  await eventually("the server's folder is gone", () => !existsSync(folder));
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

for (const kind of KINDS) {
  describe(`${kind} test server`, () => {
    e2e("has the promised version and data", async () => {
      const rows = await serverOf(kind).rootQuery("SELECT VERSION(); SELECT COUNT(*) FROM appdb.numbers");
      assert.ok(rows[0]?.[0]?.startsWith(VERSIONS[kind]), String(rows));
      assert.deepEqual(rows[1], ["300"]);
    });

    e2e("logs in every account with a password, over plaintext and over verified TLS", async () => {
      const client: ClientName = kind;
      for (const [purpose, { user, requires, plugin }] of Object.entries(serverOf(kind).accounts)) {
        if (plugin === "AWSAuthenticationPlugin" || purpose === "mfa" || purpose === "expired" || requires === "x509")
          continue;
        for (const tls of requires === "ssl" ? [verified()] : [undefined, verified()]) {
          const { stdout, stderr } = await runClient(client, target(kind, purpose, { tls }), ["SELECT USER() AS who"]);
          assert.equal(stdout, `who\n${user}@127.0.0.1\n`, `${purpose} ${stderr}`);
        }
      }
    });

    e2e("refuses a wrong password, REQUIRE SSL in plaintext and REQUIRE X509 without certificate", async () => {
      const attempts: [string, Partial<ClientTarget>][] = [
        ["admin", { password: "wrong" }],
        ["ssl", {}],
        ["x509", { tls: required }],
      ];
      for (const [purpose, changes] of attempts) {
        const { code, stderr } = await runClient(kind, target(kind, purpose, changes), ["SELECT 1"]);
        assert.equal(code, 1);
        assert.match(stderr, /ERROR 1045 \(28000\): Access denied for user/, purpose);
      }
    });

    e2e("takes REQUIRE X509 with a client certificate", async () => {
      const { certFile, keyFile } = certificates.leaves.client;
      const tls = { mode: "verify-full", caFile: certificates.caFile, certFile, keyFile } as const;
      const { stdout, stderr } = await runClient(kind, target(kind, "x509", { tls }), ["SELECT 1 AS one"]);
      assert.equal(stdout, "one\n1\n", stderr);
    });

    e2e("lets the expired password do nothing and the read-only account write nothing", async () => {
      const expired = await runClient(kind, target(kind, "expired"), ["SELECT 1"]);
      assert.deepEqual([expired.code, expired.stdout.includes("1\n1")], [1, false]);
      const readOnly = await runClient(kind, target(kind, "readOnly"), ["DELETE FROM appdb.items"]);
      assert.match(readOnly.stderr, /ERROR 1142 \(42000\)/);
    });

    e2e("records in the general log what each connection asked, line breaks included", async () => {
      await runClient(kind, target(kind, "admin"), ["SELECT 'first\nsecond', 'canary-4711'"]);
      const entry = serverOf(kind)
        .generalLog()
        .find(({ argument }) => argument.includes("canary-4711"));
      assert.deepEqual([entry?.command, entry?.argument], ["Query", "SELECT 'first\nsecond', 'canary-4711'"]);
    });

    e2e("answers every kind of client", async () => {
      const sql = ["SELECT id, name FROM appdb.items ORDER BY id"];
      const names: ClientName[] = ["mysql", "mariadb", "mariadb11", "pymysql", "mysql2", "mariadb-connector"];
      for (const name of names) {
        for (const tls of [undefined, required, verified()]) {
          const { stdout, stderr } = await runClient(name, target(kind, "admin", { tls }), sql);
          assert.ok(stdout.includes("apple") && stdout.includes("gr"), `${name} ${tls?.mode}: ${stderr}`);
        }
      }
      for (const name of ["mysql", "mariadb", "mariadb11"] as const) {
        const dump = await runDump(name, target(kind, "admin", { tls: verified() }), ["appdb", "items"]);
        assert.match(dump.stdout, /INSERT INTO `items` VALUES/, dump.stderr);
      }
    });

    e2e("speaks plaintext only when it has no certificate", async () => {
      const plain = await startServer({ kind });
      const at = { ...target(kind, "admin"), port: plain.port };
      try {
        assert.equal((await runClient(kind, at, ["SELECT 1 AS one"])).stdout, "one\n1\n");
        // MariaDB's clients fall back to plaintext unless they verify; Oracle's keeps its word.
        const { stderr } = await runClient("mysql", { ...at, tls: required }, ["SELECT 1"]);
        assert.match(stderr, /ERROR 2026 \(HY000\)/);
      } finally {
        await plain.stop();
      }
    });
  });

  describe(`${kind} with AWSAuthenticationPlugin`, () => {
    const endpoint = (): { host: string; port: number; user: string } => ({
      host: CLUSTER_HOST,
      port: 3306,
      user: "iam_user",
    });

    async function login(token: string, purpose = "iam", client: ClientName = kind, leg: "tls" | "plaintext" = "tls") {
      const tls = leg === "tls" ? verified() : undefined;
      const at = target(kind, purpose, { password: token, tls, cleartext: true });
      const result = await runClient(client, at, ["SELECT CURRENT_USER() AS who"]);
      return { result, attempt: serverOf(kind).iamAttempts().at(-1) };
    }

    before(() => serverOf(kind).setIam(iamSettings(CLUSTER_HOST, 3306)));

    e2e("takes tokens of the aws program and of rds-signer, with every client that sends clear passwords", async () => {
      for (const token of [await mintWithAws(endpoint()), await mintWithSigner(endpoint()), signToken(endpoint())]) {
        const { result, attempt } = await login(token);
        assert.equal(result.stdout, "who\niam_user@%\n", `${result.stderr} ${JSON.stringify(attempt)}`);
        assert.deepEqual([attempt?.accepted, attempt?.tls, attempt?.user], [true, true, "iam_user"]);
        assert.equal(attempt?.tokenBytes, token.length);
      }
      for (const client of ["mysql", "mariadb", "mariadb11", "pymysql", "mysql2", "mariadb-connector"] as const) {
        const { result, attempt } = await login(signToken(endpoint()), "iam", client);
        assert.equal(result.code, 0, `${client}: ${result.stderr}`);
        assert.equal(attempt?.accepted, true, client);
      }
    });

    const refusals: readonly (readonly [string, Partial<SignedTokenRequest>])[] = [
      ["wrong signature", { secretAccessKey: "another/secret" }],
      ["wrong credential scope", { accessKeyId: "AKIAANOTHERKEYEXAMPL" }],
      ["wrong credential scope", { region: "eu-west-1" }],
      ["wrong credential scope", { service: "rds" }],
      ["expired", { signedAt: new Date(Date.now() - 901_000) }],
      ["expired", { signedAt: new Date(Date.now() - 61_000), expiresS: 60 }],
      ["expired", { signedAt: new Date(Date.now() - 901_000), expiresS: 3600 }],
      ["signed in the future", { signedAt: new Date(Date.now() + 3_600_000) }],
      ["wrong user", { user: "iam_nossl" }],
      ["wrong endpoint", { host: "127.0.0.1" }],
      ["wrong endpoint", { port: 3307 }],
      ["wrong action", { action: "disconnect" }],
      ["wrong session token", { sessionToken: "unexpected" }],
    ];
    for (const [reason, changes] of refusals) {
      e2e(`refuses a token with ${reason} (${Object.keys(changes).join(", ")})`, async () => {
        const { result, attempt } = await login(signToken({ ...endpoint(), ...changes }));
        assert.match(
          result.stderr,
          /ERROR 1045 \(28000\): Access denied for user 'iam_user'@'127\.0\.0\.1' \(using password: YES\)/,
        );
        assert.deepEqual([attempt?.accepted, attempt?.reason], [false, reason]);
      });
    }

    e2e("refuses what is no token at all", async () => {
      const expected = {
        "": "empty token",
        password: "not a presigned URL",
        [`${CLUSTER_HOST}:3306/?Action`]: "parameter without value",
      };
      for (const [password, reason] of Object.entries(expected)) {
        const { attempt } = await login(password);
        assert.deepEqual([attempt?.accepted, attempt?.reason], [false, reason]);
      }
    });

    e2e("wants the session token it was told of", async () => {
      const sessionToken = "FwoGZXIvYXdzE/+=";
      serverOf(kind).setIam({ ...iamSettings(CLUSTER_HOST, 3306), sessionToken });
      try {
        for (const token of [
          signToken({ ...endpoint(), sessionToken }),
          await mintWithSigner({ ...endpoint(), sessionToken }),
        ]) {
          const { attempt } = await login(token);
          assert.equal(attempt?.accepted, true, attempt?.reason ?? "no attempt");
        }
        const without = await login(signToken(endpoint()));
        assert.equal(without.attempt?.reason, "wrong session token");
      } finally {
        serverOf(kind).setIam(iamSettings(CLUSTER_HOST, 3306));
      }
    });

    e2e("follows a clock that is told to run ahead", async () => {
      serverOf(kind).setIam({ ...iamSettings(CLUSTER_HOST, 3306), clockOffsetS: 1000 });
      try {
        assert.equal((await login(signToken(endpoint()))).attempt?.reason, "expired");
      } finally {
        serverOf(kind).setIam(iamSettings(CLUSTER_HOST, 3306));
      }
    });

    e2e("refuses a good token on a plaintext leg even where the account does not require TLS", async () => {
      const token = signToken({ ...endpoint(), user: "iam_nossl" });
      assert.equal((await login(token, "iamNoSsl")).attempt?.accepted, true);
      for (const client of ["mysql", "mariadb"] as const) {
        const { result, attempt } = await login(token, "iamNoSsl", client, "plaintext");
        assert.match(result.stderr, /ERROR 1045/);
        assert.deepEqual([attempt?.accepted, attempt?.tls, attempt?.reason], [false, false, "plaintext leg"]);
      }
    });

    e2e("takes the token in the handshake response itself", async () => {
      const token = signToken(endpoint());
      const raw = await RawClient.connect("127.0.0.1", serverOf(kind).port);
      const shortCut = { plugin: "mysql_clear_password", firstResponse: Buffer.from(`${token}\0`) };
      await raw.login({ user: "iam_user", password: "not asked for", ...shortCut }, trusting);
      assert.equal(serverOf(kind).iamAttempts().at(-1)?.tokenBytes, token.length);
      raw.quit();
    });

    if (kind === "mysql") {
      e2e("serves as a second factor", async () => {
        const { user, password } = target(kind, "mfa");
        const login = async (secondPassword: string): Promise<void> => {
          const raw = await RawClient.connect("127.0.0.1", serverOf(kind).port);
          await raw.login({ user, password: password ?? "", secondPassword }, trusting);
          raw.quit();
        };
        await login(signToken({ ...endpoint(), user }));
        await assert.rejects(login(signToken(endpoint())), { errorNumber: 1045 });
        assert.equal(serverOf(kind).iamAttempts().at(-1)?.reason, "wrong user");
      });
    }

    e2e("is refused by Oracle's client without its cleartext switch, error 2059", async () => {
      const at = target(kind, "iam", { password: signToken(endpoint()), tls: verified(), cleartext: false });
      const { stderr } = await runClient("mysql", at, ["SELECT 1"]);
      assert.match(stderr, /ERROR 2059 \(HY000\): Authentication plugin 'mysql_clear_password' cannot be loaded/);
    });
  });
}
