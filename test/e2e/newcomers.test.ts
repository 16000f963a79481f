/** The set-up of somebody new: nothing is said of TLS, to querycop or to the client, and clients of every version get in. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { hashCachingSha2Password } from "../../src/mysql/caching-sha2-password.ts";
import { hashNativePassword } from "../../src/mysql/native-password.ts";
import type { ServerKind } from "../support/accounts.ts";
import { awsEnvironment, iamSettings } from "../support/aws-token.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import type { RunResult } from "../support/child.ts";
import { CLIENT_NAMES, type ClientName, type ClientTarget, runClient } from "../support/clients.ts";
import { e2e } from "../support/e2e-test.ts";
import { type Querycop, type Settings, startQuerycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const folder = mkdtempSync(join(tmpdir(), "querycop-newcomers-"));
const stops: (() => Promise<void>)[] = [];

after(async () => {
  for (const stop of stops) await stop();
  rmSync(folder, { recursive: true, force: true });
  certificates.remove();
});

async function start(server: TestServer, settings: Settings = {}, configYaml?: string): Promise<Querycop> {
  const backend = { GATEKEEPER_BACKEND_HOST: server.host, GATEKEEPER_BACKEND_PORT: String(server.port) };
  const querycop = await startQuerycop({ ...backend, ...settings }, configYaml === undefined ? {} : { configYaml });
  stops.push(() => querycop.stop());
  return querycop;
}

const servers = new Map<string, Promise<TestServer>>();

async function serverOf(kind: ServerKind, tls: "TLS" | "plaintext"): Promise<TestServer> {
  const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
  const key = `${kind} ${tls}`;
  const started = servers.get(key) ?? startServer({ kind, certificate: tls === "TLS" ? certificate : undefined });
  servers.set(key, started);
  const server = await started;
  stops.push(() => server.stop());
  return server;
}

const CLI: readonly ClientName[] = ["mysql", "mariadb", "mariadb11"];
const WHO = ["SELECT CURRENT_USER() AS who"];

/** Of the same server where the client says nothing of TLS. MariaDB's client counts only a password it was given itself. */
async function logIn(
  name: ClientName,
  { user, password }: { readonly user: string; readonly password: string },
  place: Pick<ClientTarget, "host" | "port" | "socketPath" | "tls">,
): Promise<RunResult> {
  const target = { tls: { mode: "default" }, ...place, user, password } as const;
  return await runClient(name, target, WHO, { args: [`--password=${password}`] });
}

for (const kind of ["mysql", "mariadb", "mariadb11"] as const) {
  for (const tls of ["TLS", "plaintext"] as const) {
    describe(`a new listener before ${kind} with ${tls}`, () => {
      e2e("takes clients of every version, by TCP and by socket", async () => {
        const server = await serverOf(kind, tls);
        const account = server.account("readOnly");
        const socketPath = join(folder, `${kind}-${tls}.sock`);
        const listener = `listen: { socket: ${socketPath} }\nbackend: { host: 127.0.0.1, port: ${server.port} }\n`;
        const byTcp = await start(server);
        await start(server, {}, listener);
        const ways: readonly (readonly [ClientName, Pick<ClientTarget, "host" | "port" | "socketPath">])[] = [
          ...CLIENT_NAMES.map((name) => [name, { host: "127.0.0.1", port: byTcp.port }] as const),
          ...CLI.map((name) => [name, { host: "localhost", port: 0, socketPath }] as const),
        ];
        for (const [name, place] of ways) {
          // MySQL forgets which passwords it has seen: each login is the first of a fresh account.
          if (kind === "mysql") await server.rootQuery("FLUSH PRIVILEGES");
          const { stdout, stderr } = await logIn(name, account, place);
          assert.ok(stdout.includes(`${account.user}@%`), `${name} ${place.socketPath ?? "TCP"}: ${stderr}`);
        }
        const logins = byTcp.audit().filter(({ type }) => type === "login");
        const versions = logins.map(({ session }) => (session as { clientTls?: string }).clientTls);
        // The drivers ask for TLS only when they are told to; the programs take what is offered.
        assert.deepEqual(versions, ["TLSv1.3", "TLSv1.3", "TLSv1.3", undefined, undefined, undefined]);
      });
    });
  }
}

describe("a certificate that nobody vouches for", () => {
  e2e("is made anew at each start, and never required", async () => {
    const server = await serverOf("mariadb11", "TLS");
    const querycop = await start(server);
    const account = server.account("native");
    const verified = await logIn("mysql", account, {
      host: "127.0.0.1",
      port: querycop.port,
      tls: { mode: "verify-ca", caFile: certificates.caFile },
    });
    assert.match(verified.stderr, /ERROR 2026 .*certificate verify failed/);
    const plain = await runClient("mysql", { host: "127.0.0.1", port: querycop.port, ...account }, WHO);
    assert.ok(plain.stdout.includes("native_user@%"), plain.stderr);
    const off = await start(server, { GATEKEEPER_PROXY_TLS_MODE: "off" });
    const refused = await logIn("mysql", account, { host: "127.0.0.1", port: off.port, tls: { mode: "required" } });
    assert.match(refused.stderr, /ERROR 2026/);
  });

  e2e(
    "is refused by MariaDB's newer clients from elsewhere, whose password only the server can prove to know",
    async () => {
      const server = await serverOf("mariadb11", "TLS");
      const { port } = await start(server);
      for (const purpose of ["native", "ed25519"]) {
        // By this name the client takes it for another host.
        const { stderr } = await logIn("mariadb11", server.account(purpose), { host: "localhost", port });
        assert.match(stderr, /ERROR 2026 .*The certificate is NOT trusted/, purpose);
      }
    },
  );

  e2e("is verified by MariaDB's newer clients where querycop knows their password's hash", async () => {
    const server = await serverOf("mariadb11", "TLS");
    server.setIam(iamSettings(CLUSTER_HOST, server.port));
    const password = Buffer.from("right password");
    const withUsers = async (lines: readonly string[]): Promise<Querycop> => {
      const usersFile = join(folder, `users-${lines.length}-${stops.length}`);
      writeFileSync(usersFile, `${lines.join("\n")}\n`, { mode: 0o600 });
      return await start(server, {
        ...awsEnvironment(),
        GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
        GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
        GATEKEEPER_BACKEND_TLS_SERVER_NAME: CLUSTER_HOST,
        GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
        GATEKEEPER_CLIENT_AUTH: "password",
        GATEKEEPER_USERS_FILE: usersFile,
      });
    };
    const native = `iam_user:${hashNativePassword(password)}`;
    const sha2 = `iam_user:${hashCachingSha2Password(password, Buffer.from("ABCDEFGHIJKLMNOPQRST"))}`;
    const account = { user: "iam_user", password: "right password" };
    const ways: readonly [ClientName, ClientTarget["tls"]][] = [
      ["mariadb11", { mode: "default" }],
      ["mariadb-connector", { mode: "verify-full" }],
      ["mariadb", { mode: "default" }],
    ];
    for (const lines of [[native], [native, sha2]]) {
      const { port } = await withUsers(lines);
      for (const [name, tls] of ways) {
        const { stdout, stderr } = await logIn(name, account, { host: "localhost", port, tls });
        assert.ok(stdout.includes("iam_user@%"), `${name}: ${stderr}`);
      }
      const wrong = await logIn("mariadb11", { ...account, password: "wrong" }, { host: "localhost", port });
      assert.match(wrong.stderr, /ERROR 1045/);
    }
    const { port } = await withUsers([sha2]);
    const unproved = await logIn("mariadb11", account, { host: "localhost", port });
    assert.match(unproved.stderr, /ERROR 2026/);
    const { stdout } = await logIn("mysql", account, { host: "localhost", port });
    assert.ok(stdout.includes("iam_user@%"));
  });
});
