/** querycop doctor, the executable, against set-ups that are broken for real: what it finds, and what it says to do. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { assertGolden } from "../config/golden.ts";
import { iamSettings, signToken, TEST_REGION } from "../support/aws-token.ts";
import { clusterBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { run as runProgram } from "../support/child.ts";
import { startNameServer } from "../support/name-server.ts";
import { querycopBinary, runQuerycop, type Settings } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { pickPort, startServer, type TestServer } from "../support/servers.ts";

const TIMEOUT_MS = 60_000;
const NAME_SERVER = "127.83.0.53";

const folder = mkdtempSync(join(tmpdir(), "querycop-matrix-"));
const certificates = await makeCertificates();
const { caFile: clientCaFile, leaves } = certificates;
const good = await startServer({ kind: "mariadb", certificate: { ...leaves.chain, clientCaFile } });
const expired = await startServer({ kind: "mariadb", certificate: { ...leaves.expired, clientCaFile } });
const plaintext = await startServer({ kind: "mariadb" });
good.setIam(iamSettings(CLUSTER_HOST, good.port));

after(async () => {
  await Promise.all([good, expired, plaintext].map((server) => server.stop()));
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

const token = signToken({ host: CLUSTER_HOST, port: good.port, user: "iam_user" });
writeFileSync(join(folder, "token"), `${token}\n`);
const signature = /X-Amz-Signature=([0-9a-f]+)/.exec(token)?.[1] ?? "";
assert.equal(signature.length, 64);

const settingsFor = (server: TestServer): Settings => ({
  GATEKEEPER_LISTEN_PORT: "0",
  ...clusterBackend(server, certificates),
  GATEKEEPER_BACKEND_REGION: TEST_REGION,
  // Behind a name that is not the address, doctor asks for what the token is to name.
  GATEKEEPER_BACKEND_TOKEN_ENDPOINT: `${CLUSTER_HOST}:${server.port}`,
  GATEKEEPER_BACKEND_TOKEN_CMD: `cat ${folder}/token`,
  GATEKEEPER_CLIENT_AUTH: "trust",
  GATEKEEPER_MAX_CONNECTIONS: "20",
});
const settings = settingsFor(good);
const passwords: Settings = {
  GATEKEEPER_BACKEND_TOKEN_CMD: undefined,
  GATEKEEPER_BACKEND_TOKEN_ENDPOINT: undefined,
  GATEKEEPER_CLIENT_AUTH: undefined,
};

/** The findings that are no "ok" and no "skip", with their remedies, as a terminal shows them. */
function complaints(report: string): string {
  const blocks = report.split(/^(?=(?:ok|warn|FAIL|skip) )/m);
  // The clock is this machine's own matter.
  const kept = blocks
    .filter((block) => /^(?:warn|FAIL) +(?!host\.clock)/.test(block))
    .map((block) => block.split("\n\n", 1)[0]);
  return kept.map((block) => block?.trimEnd()).join("\n");
}

/** What differs from run to run and from machine to machine. */
function stable(text: string): string {
  let plain = text.replaceAll(certificates.folder, "<certificates>").replaceAll(folder, "<folder>");
  for (const [index, server] of [good, expired, plaintext].entries()) {
    plain = plain.replaceAll(String(server.port), `<port${index}>`);
  }
  return plain
    .replaceAll(/\b\d+ days\b/g, "<n> days")
    .replaceAll(/\b\d+ min left\b/g, "<n> min left")
    .replaceAll(/\bin \d+ ms\b/g, "in <n> ms")
    .replaceAll(/\b\d+ characters\b/g, "<n> characters")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/(\/usr)?\/bin\/(cat|sh)\b/g, "<$2>");
}

/** Ids of what failed or warned, and the same in words. */
function read(stdout: string): { readonly ids: string; readonly text: string } {
  assert.equal(stdout.includes(signature), false, "a signature is shown");
  const found = complaints(stdout);
  const ids = [...found.matchAll(/^(warn|FAIL) +(\S+)/gm)].map(([, status, id]) => `${status} ${id}`);
  return { ids: ids.join(", "), text: stable(found) };
}

async function doctor(changes: Settings, ...args: string[]): Promise<{ readonly ids: string; readonly text: string }> {
  const { stdout, stderr } = await runQuerycop(["doctor", ...args], { ...settings, ...changes });
  assert.equal(stderr, "");
  return read(stdout);
}

interface Setup {
  readonly name: string;
  readonly wanted: string;
  readonly run: () => Promise<{ readonly ids: string; readonly text: string }>;
}

const closedPort = String(await pickPort());
const asUser = ["--user", "iam_user"];

const SETUPS: readonly Setup[] = [
  { name: "everything in order", wanted: "", run: () => doctor({}, ...asUser) },
  {
    name: "wrong CA",
    wanted: "FAIL backend.tls",
    run: () => doctor({ GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.otherCaFile }, ...asUser),
  },
  {
    name: "expired certificate",
    wanted: "FAIL backend.tls",
    run: () => doctor({ ...settingsFor(expired), ...passwords }),
  },
  {
    name: "wrong name",
    wanted: "FAIL backend.tls",
    run: () => doctor({ ...passwords, GATEKEEPER_BACKEND_TLS_SERVER_NAME: "elsewhere.example.com" }),
  },
  { name: "no TLS", wanted: "FAIL backend.tls", run: () => doctor({ ...settingsFor(plaintext), ...passwords }) },
  {
    name: "port closed",
    wanted: "FAIL backend.tcp",
    run: async () => {
      const { ids, text } = await doctor({ ...passwords, GATEKEEPER_BACKEND_PORT: closedPort });
      return { ids, text: text.replaceAll(closedPort, "<closed>") };
    },
  },
  {
    name: "an SSH server",
    wanted: "FAIL backend.greeting",
    run: async () => {
      const ssh = createServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"));
      await new Promise<void>((resolve) => ssh.listen(0, "127.0.0.1", resolve));
      const { port } = ssh.address() as { readonly port: number };
      const { ids, text } = await doctor({ ...passwords, GATEKEEPER_BACKEND_PORT: String(port) });
      ssh.close();
      return { ids, text: text.replaceAll(String(port), "<ssh>") };
    },
  },
  {
    name: "token with https:// before it",
    wanted: "FAIL token.command",
    run: () => doctor({ GATEKEEPER_BACKEND_TOKEN_CMD: `printf https://; cat ${folder}/token` }, ...asUser),
  },
  {
    name: "token cut off",
    wanted: "FAIL token.command",
    run: () => doctor({ GATEKEEPER_BACKEND_TOKEN_CMD: `head -c 300 ${folder}/token` }, ...asUser),
  },
  {
    name: "token command is slow",
    wanted: "FAIL token.command",
    run: () =>
      doctor({ GATEKEEPER_BACKEND_TOKEN_CMD: `sleep 30; cat ${folder}/token`, GATEKEEPER_BACKEND_TOKEN_TIMEOUT: "1s" }),
  },
  {
    name: "token command is not there",
    wanted: "FAIL token.command",
    run: () => doctor({ GATEKEEPER_BACKEND_TOKEN_CMD: "querycop-no-such-program --token" }),
  },
  {
    name: "token refused by the server",
    wanted: "FAIL backend.login",
    run: async () => {
      good.setIam({ ...iamSettings(CLUSTER_HOST, good.port), secretAccessKey: "another" });
      const found = await doctor({}, ...asUser);
      good.setIam(iamSettings(CLUSTER_HOST, good.port));
      return found;
    },
  },
  {
    name: "account is not for tokens",
    wanted: "FAIL backend.login",
    run: () => {
      const other = signToken({ host: CLUSTER_HOST, port: good.port, user: "ed25519_user" });
      writeFileSync(join(folder, "other-token"), `${other}\n`);
      return doctor({ GATEKEEPER_BACKEND_TOKEN_CMD: `cat ${folder}/other-token` }, "--user", "ed25519_user");
    },
  },
  {
    name: "server with an anonymous account",
    wanted: "FAIL backend.password",
    run: async () => {
      await plaintext.rootQuery("CREATE USER ''@'%'");
      const found = await doctor({
        ...settingsFor(plaintext),
        ...passwords,
        GATEKEEPER_BACKEND_TLS_MODE: "disable",
        GATEKEEPER_BACKEND_TLS_CA_FILE: undefined,
      });
      await plaintext.rootQuery("DROP USER ''@'%'");
      return found;
    },
  },
  { name: "password logins in order", wanted: "", run: () => doctor(passwords) },
  {
    name: "somebody goes around querycop",
    wanted: "warn server.bypass",
    run: async () => {
      await good.rootQuery("GRANT PROCESS ON *.* TO 'iam_user'@'%'");
      const bypass = await connectFrom("127.0.0.2", good);
      const found = await doctor({}, ...asUser);
      bypass.quit();
      return found;
    },
  },
];

async function connectFrom(localAddress: string, server: TestServer): Promise<RawClient> {
  const account = server.account("admin");
  const client = await RawClient.over(connect({ host: server.host, port: server.port, localAddress, noDelay: true }));
  await client.login(account);
  return client;
}

const texts = new Map<string, string>();

describe("doctor finds what is broken", () => {
  for (const { name, wanted, run } of SETUPS) {
    it(name, { timeout: TIMEOUT_MS }, async () => {
      const { ids, text } = await run();
      texts.set(name, text);
      assert.equal(ids, wanted, text);
    });
  }

  it("and says it as committed", () => {
    const sections = SETUPS.map(({ name }) => `## ${name}\n${texts.get(name) ?? "did not run"}\n`);
    assertGolden("doctor-matrix.txt", sections.join("\n"));
  });
});

/** A name server of one's own needs port 53 and another /etc/resolv.conf. */
const mayMount = await runProgram("unshare", ["--mount", "true"]).then(
  ({ code }) => code === 0,
  () => false,
);
const skip = mayMount ? false : "needs root with the right to mount, for a resolv.conf of its own";

describe("doctor finds what is wrong with a name", { skip }, () => {
  it("an alias, an address without route and a family that is missing", { timeout: TIMEOUT_MS }, async () => {
    const zone = {
      "db.querycop.example": CLUSTER_HOST,
      [CLUSTER_HOST]: ["127.0.0.1"],
      "dead6.querycop.example": ["127.0.0.1", "::1"],
      "only4.querycop.example": ["127.0.0.1"],
    };
    const names = await startNameServer(NAME_SERVER, zone);
    try {
      const looked = async (host: string, changes: Settings = {}): Promise<string> => {
        const resolver = join(folder, "resolv.conf");
        writeFileSync(resolver, `nameserver ${names.address}\noptions timeout:2 attempts:1\n`);
        const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
        const env = { ...settings, ...passwords, GATEKEEPER_BACKEND_HOST: host, ...changes };
        const command = ["--mount", "sh", "-c", script, "sh", resolver, await querycopBinary(), "doctor"];
        const { stdout } = await runProgram("unshare", command, { env, cwd: "/" });
        const { ids, text } = read(stdout);
        return `${ids}\n${text}`;
      };
      const alias = await looked("db.querycop.example", { GATEKEEPER_BACKEND_TLS_SERVER_NAME: undefined });
      assert.match(alias, /^warn backend\.dns, FAIL backend\.tls\n/);
      assert.match(alias, new RegExp(`CNAME ${CLUSTER_HOST}: the certificate and the token must be for the name`));
      assert.match(alias, new RegExp(`export GATEKEEPER_BACKEND_TLS_SERVER_NAME=${CLUSTER_HOST}`));
      const dead = await looked("dead6.querycop.example");
      assert.match(dead, /^warn backend\.tcp\n/);
      assert.match(dead, /\[::1\]:<port0> E[A-Z]+.*querycop goes on with the addresses that answer/);
      assert.match(dead, /set backend\.address_family/);
      const missing = await looked("only4.querycop.example", { GATEKEEPER_BACKEND_ADDRESS_FAMILY: "ipv6" });
      assert.match(
        missing,
        /^FAIL backend\.dns\n.*A 127\.0\.0\.1, AAAA none: no address of backend\.address_family ipv6/,
      );
      const unknown = await looked("nobody.querycop.example");
      assert.match(unknown, /^FAIL backend\.dns\n.*cannot be looked up: ENOTFOUND/);
    } finally {
      names.close();
    }
  });
});
