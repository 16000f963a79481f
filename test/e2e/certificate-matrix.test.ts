/** Certificates × TLS modes through the executable: what connects, what is refused, and in which words. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { clusterBackend, plaintextBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, type LeafName, makeCertificates } from "../support/certificates.ts";
import type { RunResult } from "../support/child.ts";
import { type ClientTarget, runClient } from "../support/clients.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type LogLine, type Querycop, runQuerycop, startQuerycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";
import { startTlsStripper } from "../support/tls-stripper.ts";

const certificates = await makeCertificates();
after(() => certificates.remove());

/** The four modes that may use TLS; `by-ip` is verify-full for the address, `alias` verify-full without the right name. */
const LISTENERS = ["prefer", "require", "verify-ca", "verify-full", "by-ip", "alias"] as const;
type ListenerName = (typeof LISTENERS)[number];

function listenerYaml(name: ListenerName, port: number, caFile: string): string[] {
  const mode = name === "by-ip" || name === "alias" ? "verify-full" : name;
  const serverName = name === "alias" ? undefined : name === "by-ip" ? "127.0.0.1" : CLUSTER_HOST;
  return [
    `  - name: ${name}`,
    "    listen: { port: 0 }",
    "    backend:",
    // The alias stands for a CNAME: a name that leads to the server but is not in every certificate.
    `      host: ${name === "alias" ? "localhost" : "127.0.0.1"}`,
    "      address_family: ipv4",
    `      port: ${port}`,
    `      tls_mode: ${mode}`,
    ...(mode.startsWith("verify") ? [`      tls_ca_file: ${caFile}`] : []),
    ...(serverName === undefined ? [] : [`      tls_server_name: ${serverName}`]),
  ];
}

/** One querycop with a listener for each mode, all to the same server. */
async function startAllModes(backendPort: number, caFile: string): Promise<Querycop> {
  const yaml = ["listeners:", ...LISTENERS.flatMap((name) => listenerYaml(name, backendPort, caFile))];
  return await startQuerycop({}, { listeners: LISTENERS.length, configYaml: `${yaml.join("\n")}\n` });
}

const SQL = ["SHOW STATUS LIKE 'Ssl_version'"];

function admin(server: TestServer, port: number): ClientTarget {
  const account = server.accounts["admin"];
  return { host: "127.0.0.1", port, user: "admin", password: account?.password ?? "" };
}

/** What one listener did: "TLS" or "plaintext" when the login went through, else the reason from the log. */
async function outcome(server: TestServer, querycop: Querycop, name: ListenerName): Promise<string> {
  const seen = failures(querycop, name).length;
  const result = await runClient("mariadb", admin(server, querycop.ports[name] ?? 0), SQL);
  if (result.code === 0) return result.stdout.includes("TLSv1") ? "TLS" : "plaintext";
  const line = await eventually("the failure is logged", () => failures(querycop, name)[seen]);
  assert.equal(line.level, "warn");
  assertClientIsTold(result, line);
  return String(line["error"]);
}

function failures(querycop: Querycop, listener: string): LogLine[] {
  return querycop.logs().filter((line) => line.event === "session failed" && line["listener"] === listener);
}

async function nextFailure(querycop: Querycop, work: () => Promise<unknown>): Promise<LogLine> {
  const all = (): LogLine[] => querycop.logs().filter(({ event }) => event === "session failed");
  const seen = all().length;
  await work();
  return await eventually("the failure is logged", () => all()[seen]);
}

/** The client learns that it is the proxy's TLS with the backend, but no host name or certificate detail. */
function assertClientIsTold({ stderr }: RunResult, line: LogLine): void {
  assert.match(stderr, /ERROR 1429 \(HY000\): querycop: (TLS with the backend failed|the backend offers no TLS)/);
  assert.doesNotMatch(stderr, /amazonaws|127\.0\.0\.1|\.pem/);
  assert.match(String(line["code"]), /^QC_BACKEND_TLS/);
}

const NO_CA = /the certificate is not signed by a CA in GATEKEEPER_BACKEND_TLS_CA_FILE/;
const EXPIRED = /the certificate has expired/;
const TOO_EARLY = /the certificate is not yet valid, check the clock of this host/;
const OTHER_NAME =
  /the certificate is for another name; set GATEKEEPER_BACKEND_TLS_SERVER_NAME if the host is an alias/;

type Expected = Readonly<Record<ListenerName, "TLS" | "plaintext" | RegExp>>;
const all = (value: "TLS" | RegExp): Pick<Expected, "verify-ca" | "verify-full" | "by-ip" | "alias"> => ({
  "verify-ca": value,
  "verify-full": value,
  "by-ip": value,
  alias: value,
});
const unverified = { prefer: "TLS", require: "TLS" } as const;

const EXPECTED: readonly (readonly [LeafName, Expected])[] = [
  ["goodRsa", { ...unverified, ...all("TLS") }],
  ["goodEc", { ...unverified, ...all("TLS") }],
  ["chain", { ...unverified, ...all("TLS") }],
  ["expired", { ...unverified, ...all(EXPIRED) }],
  ["notYetValid", { ...unverified, ...all(TOO_EARLY) }],
  ["otherCa", { ...unverified, ...all(NO_CA) }],
  ["wrongHost", { ...unverified, ...all(OTHER_NAME), "verify-ca": "TLS" }],
  ["cnOnly", { ...unverified, ...all(OTHER_NAME), "verify-ca": "TLS", "verify-full": "TLS" }],
  ["wildcard", { ...unverified, ...all(OTHER_NAME), "verify-ca": "TLS", "verify-full": "TLS" }],
  ["wildcardTooHigh", { ...unverified, ...all(OTHER_NAME), "verify-ca": "TLS" }],
  ["ipSan", { ...unverified, ...all(OTHER_NAME), "verify-ca": "TLS", "by-ip": "TLS" }],
];

async function assertOutcomes(server: TestServer, querycop: Querycop, expected: Expected): Promise<void> {
  for (const name of LISTENERS) {
    const got = await outcome(server, querycop, name);
    const wanted = expected[name];
    if (typeof wanted === "string") assert.equal(got, wanted, name);
    else assert.match(got, wanted, name);
  }
}

describe("certificates of the backend", () => {
  for (const [leaf, expected] of EXPECTED) {
    e2e(`${leaf}: each mode connects or refuses as it promises`, async () => {
      const certificate = { ...certificates.leaves[leaf], clientCaFile: certificates.caFile };
      const server = await startServer({ kind: "mariadb", certificate });
      const querycop = await startAllModes(server.port, certificates.caFile);
      try {
        await assertOutcomes(server, querycop, expected);
      } finally {
        await Promise.all([querycop.stop(), server.stop()]);
      }
    });
  }

  e2e("a bundle works wherever the right root stands in it, and not without it", async () => {
    const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
    const server = await startServer({ kind: "mysql", certificate });
    const withRoot = await startAllModes(server.port, certificates.bundleFile);
    const without = await startAllModes(server.port, certificates.bundleWithoutRightFile);
    try {
      await assertOutcomes(server, withRoot, { ...unverified, ...all("TLS") });
      await assertOutcomes(server, without, { ...unverified, ...all(NO_CA) });
    } finally {
      await Promise.all([withRoot.stop(), without.stop(), server.stop()]);
    }
  });

  const noTls = /The backend offers no TLS and GATEKEEPER_BACKEND_TLS_MODE is (require|verify-ca|verify-full)/;

  e2e("a server without TLS is reached by prefer only", async () => {
    const server = await startServer({ kind: "mysql" });
    const querycop = await startAllModes(server.port, certificates.caFile);
    try {
      await assertOutcomes(server, querycop, { prefer: "plaintext", require: noTls, ...all(noTls) });
    } finally {
      await Promise.all([querycop.stop(), server.stop()]);
    }
  });

  e2e("somebody in the middle who hides the server's TLS is refused by all but prefer", async () => {
    const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
    const server = await startServer({ kind: "mysql", certificate });
    const stripper = await startTlsStripper(server.port);
    const querycop = await startAllModes(stripper.port, certificates.caFile);
    try {
      await assertOutcomes(server, querycop, { prefer: "plaintext", require: noTls, ...all(noTls) });
    } finally {
      await stripper.close();
      await Promise.all([querycop.stop(), server.stop()]);
    }
  });

  e2e("a server that only speaks an older TLS version is told from one that speaks none", async () => {
    const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
    const server = await startServer({ kind: "mysql", certificate, options: ["--tls-version=TLSv1.2"] });
    const settings = {
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_PORT: String(server.port),
      GATEKEEPER_BACKEND_TLS_MODE: "require",
    };
    const modern = await startQuerycop({ ...settings, GATEKEEPER_BACKEND_TLS_MIN_VERSION: "TLSv1.3" });
    const usual = await startQuerycop(settings);
    try {
      assert.match((await runClient("mysql", admin(server, usual.port), SQL)).stdout, /TLSv1\.2/);
      const failure = await nextFailure(modern, async () => {
        assert.match((await runClient("mysql", admin(server, modern.port), SQL)).stderr, /ERROR 1429/);
      });
      assert.match(String(failure["error"]), /speaks only TLS versions below GATEKEEPER_BACKEND_TLS_MIN_VERSION/);
    } finally {
      await Promise.all([modern.stop(), usual.stop(), server.stop()]);
    }
  });

  e2e("shows its own certificate to a server that demands one", async () => {
    const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
    const server = await startServer({ kind: "mysql", certificate });
    const settings = {
      ...clusterBackend(server, certificates),
    };
    const pair = (leaf: LeafName): Record<string, string> => ({
      GATEKEEPER_BACKEND_TLS_CLIENT_CERT: certificates.leaves[leaf].certFile,
      GATEKEEPER_BACKEND_TLS_CLIENT_KEY: certificates.leaves[leaf].keyFile,
    });
    const x509: ClientTarget = {
      ...admin(server, 0),
      user: "x509_user",
      password: server.accounts["x509"]?.password ?? "",
    };
    const login = async (extra: Record<string, string>): Promise<RunResult> => {
      const querycop = await startQuerycop({ ...settings, ...extra });
      try {
        return await runClient("mysql", { ...x509, port: querycop.port }, ["SELECT 1 AS one"]);
      } finally {
        await querycop.stop();
      }
    };
    try {
      assert.equal((await login(pair("client"))).stdout, "one\n1\n");
      assert.match((await login({})).stderr, /ERROR 1045 \(28000\): Access denied for user 'x509_user'/);
      const refused =
        /ERROR 1429 .*querycop: the backend refused the proxy's client certificate \(GATEKEEPER_BACKEND_TLS_CLIENT_CERT\)/;
      assert.match((await login(pair("clientOtherCa"))).stderr, refused);
    } finally {
      await server.stop();
    }
  });
});

const plainServer = await startServer({ kind: "mariadb" });
after(() => plainServer.stop());

describe("certificates on the client's leg", () => {
  const server = plainServer;

  async function startWithClientTls(leaf: LeafName, extra: Record<string, string> = {}): Promise<Querycop> {
    return await startQuerycop({
      ...plaintextBackend(server),
      GATEKEEPER_PROXY_TLS_CERT: certificates.leaves[leaf].certFile,
      GATEKEEPER_PROXY_TLS_KEY: certificates.leaves[leaf].keyFile,
      ...extra,
    });
  }

  async function connect(querycop: Querycop, tls: ClientTarget["tls"], host = "localhost"): Promise<RunResult> {
    return await runClient("mysql", { ...admin(server, querycop.port), host, tls }, ["SELECT 1 AS one"]);
  }

  const verified = { mode: "verify-full", caFile: certificates.caFile } as const;

  e2e("clients that verify accept a good chain and refuse an expired or foreign certificate", async () => {
    const expected: readonly (readonly [LeafName, RegExp])[] = [
      ["chain", /^one\n1\n$/],
      ["goodEc", /^one\n1\n$/],
      ["expired", /ERROR 2026 \(HY000\): SSL connection error: .*certificate verify failed/],
      ["otherCa", /ERROR 2026 \(HY000\): SSL connection error: .*certificate verify failed/],
      ["wrongHost", /ERROR 2026 \(HY000\): SSL connection error: .*certificate verify failed/],
    ];
    for (const [leaf, wanted] of expected) {
      const querycop = await startWithClientTls(leaf);
      const result = await connect(querycop, verified);
      assert.match(result.stdout + result.stderr, wanted, leaf);
      await querycop.stop();
    }
  });

  e2e("mode require refuses plaintext with error 3159, mode allow does not", async () => {
    const require_ = await startWithClientTls("goodEc", { GATEKEEPER_PROXY_TLS_MODE: "require" });
    const allow = await startWithClientTls("goodEc", { GATEKEEPER_PROXY_TLS_MODE: "allow" });
    const refused = await connect(require_, undefined, "127.0.0.1");
    assert.match(refused.stderr, /ERROR 3159 \(HY000\)/);
    assert.equal((await connect(require_, verified)).stdout, "one\n1\n");
    assert.equal((await connect(allow, undefined, "127.0.0.1")).stdout, "one\n1\n");
    await Promise.all([require_.stop(), allow.stop()]);
  });

  e2e("a client CA lets in clients with a good certificate only", async () => {
    const querycop = await startWithClientTls("goodEc", { GATEKEEPER_PROXY_TLS_CLIENT_CA: certificates.caFile });
    const withCertificate = (leaf: LeafName): ClientTarget["tls"] => ({ ...verified, ...certificates.leaves[leaf] });
    assert.equal((await connect(querycop, withCertificate("client"))).stdout, "one\n1\n");
    for (const tls of [verified, withCertificate("clientOtherCa"), withCertificate("clientExpired")]) {
      const failure = await nextFailure(querycop, async () => {
        const refused = await connect(querycop, tls);
        assert.equal(refused.code, 1);
        assert.match(refused.stderr, /ERROR 20(13|26)|ERROR 1043/);
      });
      assert.equal(failure["code"], "QC_CLIENT_TLS");
    }
    assert.match((await connect(querycop, undefined, "127.0.0.1")).stderr, /ERROR 3159/);
    await querycop.stop();
  });
});

describe("start-up refuses TLS settings that cannot hold", () => {
  const base = { GATEKEEPER_BACKEND_HOST: "db.example.com", GATEKEEPER_BACKEND_TLS_MODE: "verify-full" };
  const { goodEc, goodRsa } = certificates.leaves;
  const refusals: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ["verify-full without CA file", {}, /GATEKEEPER_BACKEND_TLS_CA_FILE/],
    ["verify-ca without CA file", { GATEKEEPER_BACKEND_TLS_MODE: "verify-ca" }, /GATEKEEPER_BACKEND_TLS_CA_FILE/],
    [
      "a CA file that is not there",
      { GATEKEEPER_BACKEND_TLS_CA_FILE: "/no/such.pem" },
      /GATEKEEPER_BACKEND_TLS_CA_FILE.*\/no\/such\.pem/,
    ],
    ["an empty CA file", { GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.emptyFile }, /GATEKEEPER_BACKEND_TLS_CA_FILE/],
    [
      "a CA file of garbage",
      { GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.garbageFile },
      /GATEKEEPER_BACKEND_TLS_CA_FILE/,
    ],
    [
      "verify-full for an IP address without server name",
      { GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile },
      /GATEKEEPER_BACKEND_TLS_SERVER_NAME/,
    ],
    [
      "half a client certificate",
      { GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile, GATEKEEPER_BACKEND_TLS_CLIENT_CERT: goodEc.certFile },
      /GATEKEEPER_BACKEND_TLS_CLIENT_KEY/,
    ],
    [
      "a key of another certificate",
      {
        GATEKEEPER_BACKEND_TLS_MODE: "disable",
        GATEKEEPER_PROXY_TLS_CERT: goodEc.certFile,
        GATEKEEPER_PROXY_TLS_KEY: goodRsa.keyFile,
      },
      /GATEKEEPER_PROXY_TLS_(KEY|CERT)/,
    ],
  ];
  for (const [title, settings, text] of refusals) {
    e2e(title, async () => {
      for (const command of ["serve", "check-config"]) {
        const { code, stderr } = await runQuerycop([command], { ...base, ...settings });
        assert.equal(code, 2, stderr);
        assert.match(stderr, text);
      }
    });
  }
});
