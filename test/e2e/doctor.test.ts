/** querycop doctor against real servers: what it says is in order is, and a refused token is told from a wrong account. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe } from "node:test";
import type { CheckResult } from "../../src/doctor/report.ts";
import { run } from "../cli/fake-io.ts";
import type { ServerKind } from "../support/accounts.ts";
import { iamSettings, signToken, TEST_REGION } from "../support/aws-token.ts";
import { clusterBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { e2e } from "../support/e2e-test.ts";
import { startServer, type TestServer } from "../support/servers.ts";
import { TokenCommand } from "../support/token-command.ts";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb", "mariadb11"];
const VERSIONS: Readonly<Record<ServerKind, RegExp>> = { mariadb: /10\.11\./, mariadb11: /^11\./, mysql: /^9\./ };

const certificates = await makeCertificates();
const servers: TestServer[] = [];
for (const kind of KINDS) {
  const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
  servers.push(await startServer({ kind, certificate, options: ["--max-connections=2000"] }));
}

after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  certificates.remove();
});

async function doctor(server: TestServer, user: string, policy?: string): Promise<Map<string, CheckResult>> {
  const token = signToken({ host: CLUSTER_HOST, port: server.port, user });
  const command = new TokenCommand(token);
  const env = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    GATEKEEPER_LISTEN_PORT: "0",
    ...clusterBackend(server, certificates),
    GATEKEEPER_BACKEND_REGION: TEST_REGION,
    GATEKEEPER_BACKEND_TOKEN_CMD: `cat ${command.folder}/token`,
    GATEKEEPER_CLIENT_AUTH: "trust",
    ...(policy === undefined ? {} : { GATEKEEPER_POLICY_FILE: writePolicy(command.folder, policy) }),
  };
  const { stdout } = await run(["doctor", "--json", "--user", user], { env });
  command.remove();
  assert.equal(stdout.includes(token), false);
  const { checks } = JSON.parse(stdout) as { checks: CheckResult[] };
  return new Map(checks.map((check) => [check.id, check]));
}

function writePolicy(folder: string, policy: string): string {
  const file = join(folder, "policy.yaml");
  writeFileSync(file, policy, { mode: 0o600 });
  return file;
}

for (const server of servers) {
  describe(`doctor against ${server.kind}`, () => {
    e2e("finds everything in order", async () => {
      server.setIam(iamSettings(CLUSTER_HOST, server.port));
      const checks = await doctor(server, "iam_user");
      const failed = [...checks.values()].filter(({ status }) => status === "fail");
      assert.deepEqual(failed, []);
      assert.match(checks.get("backend.greeting")?.detail ?? "", VERSIONS[server.kind]);
      assert.equal(checks.get("backend.tls")?.status, "ok", checks.get("backend.tls")?.detail ?? "");
      assert.equal(checks.get("backend.ca-bundle")?.status, "ok");
      assert.match(checks.get("backend.login")?.detail ?? "", /^iam_user logged in/);
      assert.match(
        checks.get("server.bypass")?.detail ?? "",
        /^no session from elsewhere than 127\.0\.0\.1; seen: this account/,
      );
      assert.match(checks.get("server.settings")?.detail ?? "", /plugin AWSAuthenticationPlugin/);
    });

    e2e("tells what the account may do beyond its profile", async () => {
      server.setIam(iamSettings(CLUSTER_HOST, server.port));
      const policy = (settings: string): string =>
        `version: 1\nprofiles: [{ name: reports, match: { users: [iam_user] }, schemas: [appdb], ${settings} }]\n`;
      const beyond = (await doctor(server, "iam_user", policy("read_only: true"))).get("server.grants");
      assert.equal(beyond?.status, "warn", beyond?.detail ?? "");
      assert.match(beyond?.detail ?? "", /^this account may DROP on `appdb`\.\*, profile reports may not/m);
      const writer = (await doctor(server, "iam_user", policy("rules: { perf.star: off }"))).get("server.grants");
      assert.equal(
        `${writer?.status}: ${writer?.detail}`,
        "ok: no privilege beyond profile reports",
        "all of a schema",
      );
      assert.match(beyond?.remedy?.commands[0] ?? "", /^querycop policy grants /);
      await server.rootQuery("REVOKE ALL PRIVILEGES ON appdb.* FROM 'iam_user'@'%'");
      await server.rootQuery("GRANT SELECT, DROP ON appdb.* TO 'iam_user'@'%'");
      const drop = (await doctor(server, "iam_user", policy("read_only: true"))).get("server.grants");
      assert.equal(drop?.detail, "this account may DROP on `appdb`.*, profile reports may not");
      const enough = (await doctor(server, "iam_user", policy("rules: { perf.star: off }"))).get("server.grants");
      assert.equal(`${enough?.status}: ${enough?.detail}`, "ok: no privilege beyond profile reports");
      await server.rootQuery("GRANT ALL ON appdb.* TO 'iam_user'@'%'");
    });

    e2e("tells a refused token from an account that takes none", async () => {
      server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), secretAccessKey: "another" });
      const refused = (await doctor(server, "iam_user")).get("backend.login");
      assert.match(`${refused?.status}: ${refused?.detail}`, /^fail: The backend refused the login: 1045/);
      server.setIam(iamSettings(CLUSTER_HOST, server.port));
      const user = server.kind === "mysql" ? "caching_user" : "ed25519_user";
      const other = (await doctor(server, user)).get("backend.login");
      assert.match(`${other?.status}: ${other?.detail}`, /^fail: .*not made for tokens/);
      assert.match(other?.remedy?.commands[0] ?? "", /ALTER USER/);
    });
  });
}
