/** Each configuration that start-up refuses or warns about, with the very text: test/golden/config-findings.txt. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { inFolder, load, makeDirectory, withoutFolder, writeFile } from "./folder.ts";
import { assertGolden } from "./golden.ts";
import { rsaPublicKey, selfSigned } from "./self-signed.ts";

const alpha = selfSigned("alpha");
const beta = selfSigned("beta");
const cert = writeFile("alpha.crt", alpha.cert);
const key = writeFile("alpha.key", alpha.key);
const otherKey = writeFile("beta.key", beta.key);
const bundle = writeFile("bundle.pem", `# two roots\n${alpha.cert}${beta.cert}`);
const users = writeFile("users", `app:*${"A".repeat(40)}\n`);

const HASH = "ab".repeat(32);

const HOST = { GATEKEEPER_BACKEND_HOST: "db.example.com" };
const DSQL_HOST = "abcdefghijkl.dsql.eu-central-1.on.aws";
const VERIFY = { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "verify-full", GATEKEEPER_BACKEND_TLS_CA_FILE: bundle };
const TOKEN = { ...VERIFY, GATEKEEPER_BACKEND_TOKEN_CMD: "echo token" };
const PUBLIC = { GATEKEEPER_LISTEN_HOST: "0.0.0.0" };
const PROXY_TLS = { GATEKEEPER_PROXY_TLS_CERT: cert, GATEKEEPER_PROXY_TLS_KEY: key };

const encryptedKey = (): string => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" }).toString();
};

interface Case {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
  readonly yaml?: string;
}

const REFUSED: Readonly<Record<string, Case>> = {
  "nothing at all": {},
  "settings under the product's name": {
    env: {
      QUERYCOP_BACKEND_HOST: "db.example.com",
      QUERYCOP_CONFIG: "querycop.yaml",
      QUERYCOP_ADMIN_API_KEY: "0123456789abcdef",
      QUERYCOP_BACKEND_PORT: "tcp://10.0.0.7:3306",
      QUERYCOP_LOG_LEVEL: "debug",
      GATEKEEPER_LOG_LEVEL: "info",
      QUERYCOP_OF_SOMEBODY: "x",
    },
  },
  "webhooks of approvals that nothing signs, or in plaintext": {
    env: {
      ...HOST,
      GATEKEEPER_APPROVALS_WEBHOOK_URL: "http://bridge.example.com/hook",
      GATEKEEPER_APPROVALS_WEBHOOK_APPROVERS: "ann",
    },
  },
  "a secret and a CA of no webhook": {
    env: {
      ...HOST,
      GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: users,
      GATEKEEPER_APPROVALS_WEBHOOK_CA_FILE: bundle,
    },
  },
  "several mistakes at once": {
    env: {
      GATEKEEPER_BACKEND_HOTS: "a",
      GATEKEEPER_LISTEN_PORT: "99999",
      GATEKEEPER_BACKEND_TLS_MODE: "verify",
      GATEKEEPER_DRAIN_TIMEOUT: "30",
    },
  },
  "Aurora DSQL without a region": { env: { ...VERIFY, GATEKEEPER_BACKEND_ENGINE: "dsql" } },
  "an endpoint of Aurora DSQL without verification": {
    env: { GATEKEEPER_BACKEND_HOST: DSQL_HOST, GATEKEEPER_BACKEND_TLS_MODE: "require" },
  },
  "tokens of RDS for Aurora DSQL": {
    env: { GATEKEEPER_BACKEND_HOST: DSQL_HOST, GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" },
  },
  "tokens of Aurora DSQL for RDS": {
    env: { ...VERIFY, GATEKEEPER_BACKEND_TOKEN_SOURCE: "dsql-signer", GATEKEEPER_BACKEND_REGION: "eu-west-1" },
  },
  "MySQL to an endpoint of Aurora DSQL": {
    env: { ...HOST, GATEKEEPER_BACKEND_TLS_SERVER_NAME: DSQL_HOST, GATEKEEPER_BACKEND_ENGINE: "mysql" },
  },
  "an engine that there is not": { env: { ...HOST, GATEKEEPER_BACKEND_ENGINE: "postgres" } },
  "verify-full without CA file": { env: { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "verify-full" } },
  "verify-ca without CA file": { env: { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "verify-ca" } },
  "empty CA file variable": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CA_FILE: "" } },
  "CA file that does not exist": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CA_FILE: inFolder("none.pem") } },
  "CA file that is a directory": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CA_FILE: makeDirectory("folder") } },
  "CA file without certificate": {
    env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CA_FILE: writeFile("empty.pem", "hello\n") },
  },
  "CA file with a damaged certificate": {
    env: {
      ...VERIFY,
      GATEKEEPER_BACKEND_TLS_CA_FILE: writeFile("damaged.pem", `${alpha.cert}${beta.cert.replace("\nM", "\nA")}`),
    },
  },
  "verify-full with an IP address": { env: { ...VERIFY, GATEKEEPER_BACKEND_HOST: "10.0.0.1" } },
  "verify-full with an IPv6 address": { env: { ...VERIFY, GATEKEEPER_BACKEND_HOST: "fd00::1" } },
  "token command with prefer": { env: { ...HOST, GATEKEEPER_BACKEND_TOKEN_CMD: "echo token" } },
  "token command with disable": { env: { ...TOKEN, GATEKEEPER_BACKEND_TLS_MODE: "disable" } },
  "rds-signer with prefer": {
    env: { ...HOST, GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer", GATEKEEPER_BACKEND_REGION: "eu-west-1" },
  },
  "token on a public listener without client_auth": { env: { ...TOKEN, ...PUBLIC } },
  "rds-signer without region": { env: { ...VERIFY, GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" } },
  "token source command without command": { env: { ...VERIFY, GATEKEEPER_BACKEND_TOKEN_SOURCE: "command" } },
  "both token sources": {
    env: { ...TOKEN, GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer", GATEKEEPER_BACKEND_REGION: "eu-west-1" },
  },
  "client certificate without key": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CLIENT_CERT: cert } },
  "client key without certificate": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_CLIENT_KEY: key } },
  "proxy certificate without key": { env: { ...HOST, GATEKEEPER_PROXY_TLS_CERT: cert } },
  "proxy key without certificate": { env: { ...HOST, GATEKEEPER_PROXY_TLS_KEY: key } },
  "key of another certificate": { env: { ...HOST, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_KEY: otherKey } },
  "key with a passphrase": {
    env: { ...HOST, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_KEY: writeFile("encrypted.key", encryptedKey()) },
  },
  "key file without a key": { env: { ...HOST, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_KEY: cert } },
  "key and certificate that do not exist": {
    env: { ...HOST, GATEKEEPER_PROXY_TLS_CERT: inFolder("none.crt"), GATEKEEPER_PROXY_TLS_KEY: inFolder("none.key") },
  },
  "proxy TLS without certificate": { env: { ...HOST, GATEKEEPER_PROXY_TLS_MODE: "require" } },
  "client CA that plaintext passes by": {
    env: { ...HOST, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_CLIENT_CA: bundle, GATEKEEPER_PROXY_TLS_MODE: "allow" },
  },
  "public key file that is none": { env: { ...HOST, GATEKEEPER_BACKEND_PUBLIC_KEY_FILE: cert } },
  "public key that is not RSA": {
    env: {
      ...HOST,
      GATEKEEPER_BACKEND_PUBLIC_KEY_FILE: writeFile(
        "ec-public.pem",
        generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" }).toString(),
      ),
    },
  },
  "password authentication without users file": { env: { ...TOKEN, GATEKEEPER_CLIENT_AUTH: "password" } },
  "password authentication without token": {
    env: { ...HOST, GATEKEEPER_CLIENT_AUTH: "password", GATEKEEPER_USERS_FILE: users },
  },
  "certificate authentication without client CA": {
    env: { ...TOKEN, ...PROXY_TLS, GATEKEEPER_CLIENT_AUTH: "certificate" },
  },
  "users file with a plaintext password": {
    env: {
      ...TOKEN,
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: writeFile("plain", "# users\napp:hunter2\n"),
    },
  },
  "users file that others may write": {
    env: {
      ...TOKEN,
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: writeFile("writable-users", "", 0o620),
    },
  },
  "socket path that is too long": { env: { ...HOST, GATEKEEPER_LISTEN_SOCKET: `/tmp/${"x".repeat(103)}` } },
  "socket in a missing directory": { env: { ...HOST, GATEKEEPER_LISTEN_SOCKET: inFolder("missing/q.sock") } },
  "socket and port": { env: { ...HOST, GATEKEEPER_LISTEN_SOCKET: inFolder("q.sock"), GATEKEEPER_LISTEN_PORT: "1" } },
  "admin API in public without key": { env: { ...HOST, GATEKEEPER_API_HOST: "0.0.0.0" } },
  "admin API in public without certificate": {
    env: { ...HOST, GATEKEEPER_API_HOST: "::", ADMIN_API_KEY: "k".repeat(32) },
  },
  "certificate of the admin API without its key": { env: { ...HOST, GATEKEEPER_API_TLS_CERT: cert } },
  "key of the admin API of another certificate": {
    env: { ...HOST, GATEKEEPER_API_TLS_CERT: cert, GATEKEEPER_API_TLS_KEY: otherKey },
  },
  "socket of the admin API in a missing directory": {
    env: { ...HOST, GATEKEEPER_API_SOCKET: inFolder("missing/api.sock") },
  },
  "approvers file with everything wrong": {
    env: {
      ...HOST,
      GATEKEEPER_API_APPROVERS_FILE: writeFile(
        "bad-approvers",
        `ann:hunter2\n:${HASH}\nadmin:${HASH}\nbob:${HASH}:root\neve:${HASH}\neve:${HASH}\na b:${HASH}\n`,
      ),
    },
  },
  "approvers file that others may write": {
    env: { ...HOST, GATEKEEPER_API_APPROVERS_FILE: writeFile("open-approvers", `ann:${HASH}\n`, 0o622) },
  },
  "admin key given twice": {
    env: {
      ...HOST,
      ADMIN_API_KEY: "k".repeat(32),
      GATEKEEPER_ADMIN_API_KEY_FILE: writeFile("key-file", "k".repeat(32)),
    },
  },
  "empty admin key file": { env: { ...HOST, GATEKEEPER_ADMIN_API_KEY_FILE: writeFile("empty-key", "\n") } },
  "admin key file that others may write": {
    env: { ...HOST, GATEKEEPER_ADMIN_API_KEY_FILE: writeFile("open-key", "k", 0o602) },
  },
  "policy file that does not exist": { env: { ...HOST, GATEKEEPER_POLICY_FILE: inFolder("no-policy.yaml") } },
  "receivers of audit records that cannot be": {
    env: {
      ...HOST,
      GATEKEEPER_AUDIT_FILE: inFolder("audit.log"),
      GATEKEEPER_AUDIT_WEBHOOK_URL: "http://siem.example.com/in",
      GATEKEEPER_AUDIT_SYSLOG_URL: "tcp://logs.example.com",
      GATEKEEPER_AUDIT_OTLP_HEADERS_FILE: inFolder("none"),
    },
  },
  "receivers of audit records with other URLs": {
    env: {
      ...HOST,
      GATEKEEPER_AUDIT_WEBHOOK_URL: "https://user:secret@siem.example.com/in",
      GATEKEEPER_AUDIT_OTLP_URL: "ftp://otel.example.com",
      GATEKEEPER_AUDIT_SYSLOG_URL: "logs.example.com:514",
    },
  },
  "a receiver of audit records without a log": {
    env: { ...HOST, GATEKEEPER_AUDIT_WEBHOOK_URL: "https://siem.example.com/in" },
  },
  "audit file beside standard output": {
    env: { ...HOST, GATEKEEPER_AUDIT_FILE: inFolder("audit.log"), GATEKEEPER_AUDIT_STDOUT: "on" },
  },
  "audit key and checkpoints without a log": {
    env: { ...HOST, GATEKEEPER_AUDIT_KEY_FILE: inFolder("k"), GATEKEEPER_AUDIT_CHECKPOINT_FILE: inFolder("c") },
  },
  "audit file in a missing directory": {
    env: { ...HOST, GATEKEEPER_AUDIT_FILE: inFolder("missing/deeper/audit.log") },
  },
  "admin API on the listener's port": { env: { ...HOST, GATEKEEPER_API_PORT: "15336" } },
  "host with port": { env: { GATEKEEPER_BACKEND_HOST: "db.example.com:3306" } },
  "Kubernetes service links": {
    env: { ...HOST, GATEKEEPER_SERVICE_HOST: "10.0.0.1", GATEKEEPER_PORT_8080_TCP: "tcp://10.0.0.1:8080" },
  },
  "admin key under the wrong name": { env: { ...HOST, GATEKEEPER_ADMIN_API_KEY: "x" } },
  "empty option": { env: HOST, flags: { "--listen-port": "" } },
  "file with unknown keys": {
    yaml: "backend:\n  hst: a\n  host: b\nlisen: {port: 1}\ntls_mode: prefer\nlog:\n  audit: 1\n",
  },
  "file with wrong values": {
    yaml: "backend:\n  host: [a]\n  port: lots\nlisten: 1\niam_users: [[a]]\ncertificate_users: a\nlocal_infile: perhaps\n",
  },
  "file with a secret": { yaml: "backend: { host: a }\nadmin_api_key: x\n" },
  "file that is not YAML": { yaml: "backend: { host: a\nlisten: }\n" },
  "file with a key twice": { yaml: "backend: { host: a }\nbackend: { host: b }\n" },
  "file that is a list": { yaml: "- backend\n" },
  "listeners that is no list": { yaml: "listeners: { backend: a }\n" },
  "listeners without entries": { yaml: "listeners: []\n" },
  "listeners with faults": {
    yaml: "listeners:\n  - 5\n  - name: a\n    backend: { host: x }\n    log: { level: info }\n  - name: a\n    listen: { port: 2 }\n    backend: { host: x, tls_mode: verify-full }\n  - backend: { port: 3 }\n",
  },
  "two listeners on one address": { yaml: "listeners:\n  - backend: { host: a }\n  - backend: { host: b }\n" },
  "two listeners of one name": {
    yaml: "listeners:\n  - { name: x, backend: { host: a } }\n  - { name: x, listen: { port: 2 }, backend: { host: b } }\n",
  },
};

const WARNED: Readonly<Record<string, Case>> = {
  prefer: { env: HOST },
  require: { env: { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "require" } },
  "require with a token": {
    env: {
      ...TOKEN,
      GATEKEEPER_BACKEND_TLS_MODE: "require",
      GATEKEEPER_BACKEND_TLS_CA_FILE: "",
      GATEKEEPER_CLIENT_AUTH: "trust",
    },
  },
  disable: { env: { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "disable" } },
  "CA file that is not used": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_MODE: "require" } },
  "old TLS version": { env: { ...VERIFY, GATEKEEPER_BACKEND_TLS_MIN_VERSION: "TLSv1" } },
  "token on a local listener without client_auth": { env: TOKEN },
  "trust in public": {
    env: { ...TOKEN, ...PUBLIC, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_MODE: "require", GATEKEEPER_CLIENT_AUTH: "trust" },
  },
  "plaintext in public": { env: { ...VERIFY, ...PUBLIC } },
  "optional TLS in public": { env: { ...VERIFY, ...PUBLIC, ...PROXY_TLS } },
  "unused certificate": { env: { ...VERIFY, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_MODE: "off" } },
  "key that everyone may read": {
    env: { ...VERIFY, ...PROXY_TLS, GATEKEEPER_PROXY_TLS_KEY: writeFile("open.key", alpha.key, 0o644) },
  },
  "settings that need a token source": {
    env: { ...VERIFY, GATEKEEPER_CLIENT_AUTH: "trust", GATEKEEPER_IAM_USERS: "a", GATEKEEPER_USERS_FILE: users },
  },
  "mapping without certificate authentication": { env: VERIFY, yaml: "certificate_users: { a: b }\n" },
  "users file that everyone may read": {
    env: {
      ...TOKEN,
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: writeFile("open-users", `app:*${"A".repeat(40)}\n`, 0o644),
    },
  },
  "region that is not the host's": {
    env: {
      ...VERIFY,
      GATEKEEPER_BACKEND_HOST: "a.b.eu-west-1.rds.amazonaws.com",
      GATEKEEPER_BACKEND_REGION: "us-east-1",
    },
  },
  "short admin key": { env: { ...VERIFY, ADMIN_API_KEY: "abc" } },
  "admin key file that everyone may read": {
    env: { ...VERIFY, GATEKEEPER_ADMIN_API_KEY_FILE: writeFile("read-key", "k".repeat(32), 0o644) },
  },
  "empty key in the file": { env: VERIFY, yaml: "listen:\n  port:\n" },
};

const FINE: Readonly<Record<string, Case>> = {
  "verify-full": { env: VERIFY },
  "verify-full with an IP address and a name": {
    env: { ...VERIFY, GATEKEEPER_BACKEND_HOST: "10.0.0.1", GATEKEEPER_BACKEND_TLS_SERVER_NAME: "db.example.com" },
  },
  "verify-full with an IP address that the certificate holds": {
    env: { ...VERIFY, GATEKEEPER_BACKEND_HOST: "10.0.0.1", GATEKEEPER_BACKEND_TLS_SERVER_NAME: "10.0.0.1" },
  },
  "disable to this machine": { env: { GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_BACKEND_TLS_MODE: "disable" } },
  "token on a local listener with a choice": { env: { ...TOKEN, GATEKEEPER_CLIENT_AUTH: "trust" } },
  "token on a socket with a choice": {
    env: { ...TOKEN, GATEKEEPER_CLIENT_AUTH: "trust", GATEKEEPER_LISTEN_SOCKET: inFolder("q.sock") },
  },
  "token with passwords in public": {
    env: {
      ...TOKEN,
      ...PUBLIC,
      ...PROXY_TLS,
      GATEKEEPER_PROXY_TLS_MODE: "require",
      GATEKEEPER_CLIENT_AUTH: "password",
      GATEKEEPER_USERS_FILE: users,
    },
  },
  "token with certificates in public": {
    env: {
      ...TOKEN,
      ...PUBLIC,
      ...PROXY_TLS,
      GATEKEEPER_PROXY_TLS_CLIENT_CA: bundle,
      GATEKEEPER_CLIENT_AUTH: "certificate",
    },
    yaml: "certificate_users: { app.example: app }\n",
  },
  "an endpoint of Aurora DSQL": {
    env: { GATEKEEPER_BACKEND_HOST: DSQL_HOST, GATEKEEPER_CLIENT_AUTH: "trust", SSL_CERT_FILE: bundle },
  },
  "an endpoint of Aurora DSQL whose clients bring their tokens": {
    env: { GATEKEEPER_BACKEND_HOST: DSQL_HOST, GATEKEEPER_CLIENT_AUTH: "relay", SSL_CERT_FILE: bundle },
  },
  "rds-signer with an RDS host": {
    env: {
      ...VERIFY,
      GATEKEEPER_BACKEND_HOST: "a.b.eu-west-1.rds.amazonaws.com",
      GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
      GATEKEEPER_CLIENT_AUTH: "trust",
    },
  },
  "mutual TLS on both legs": {
    env: { ...VERIFY, ...PROXY_TLS, GATEKEEPER_BACKEND_TLS_CLIENT_CERT: cert, GATEKEEPER_BACKEND_TLS_CLIENT_KEY: key },
  },
  "pinned public key": { env: { ...VERIFY, GATEKEEPER_BACKEND_PUBLIC_KEY_FILE: writeFile("rsa.pem", rsaPublicKey()) } },
  "admin API in public with key and certificate": {
    env: {
      ...VERIFY,
      GATEKEEPER_API_HOST: "0.0.0.0",
      ADMIN_API_KEY: "k".repeat(32),
      GATEKEEPER_API_TLS_CERT: cert,
      GATEKEEPER_API_TLS_KEY: key,
    },
  },
  "admin API on a socket": {
    env: { ...VERIFY, GATEKEEPER_API_HOST: "0.0.0.0", GATEKEEPER_API_SOCKET: inFolder("api.sock") },
  },
  "approvers file": {
    env: {
      ...VERIFY,
      GATEKEEPER_API_APPROVERS_FILE: writeFile("approvers", `# who\nann:${HASH}\n\nbob:${HASH}:admin\n`),
    },
  },
  "two listeners the system chooses ports for": {
    yaml: `backend: { tls_mode: verify-full, tls_ca_file: bundle.pem }\nlisten: { port: 0 }\nlisteners:\n  - { name: a, backend: { host: a } }\n  - { name: b, backend: { host: b } }\n`,
  },
};

async function findings(given: Case): Promise<{ problems: readonly string[]; warnings: readonly string[] }> {
  const result = await load(given);
  // Which settings are still without effect is settings.test.ts's business.
  const warnings = result.warnings.filter((warning) => !warning.endsWith("has no effect in this version of querycop"));
  return { problems: result.ok ? [] : result.problems, warnings };
}

test("start-up refuses and warns with these texts", async () => {
  const lines: string[] = [];
  for (const [title, given] of Object.entries(REFUSED)) {
    const { problems } = await findings(given);
    assert.notEqual(problems.length, 0, `"${title}" is not refused`);
    lines.push(`## refused: ${title}`, ...problems, "");
  }
  for (const [title, given] of Object.entries(WARNED)) {
    const { problems, warnings } = await findings(given);
    assert.deepEqual(problems, [], title);
    assert.notEqual(warnings.length, 0, `"${title}" causes no warning`);
    lines.push(`## warned: ${title}`, ...warnings, "");
  }
  assertGolden("config-findings.txt", withoutFolder(`${lines.join("\n")}`));
});

for (const [title, given] of Object.entries(FINE)) {
  test(`start-up has nothing against ${title}`, async () => {
    assert.deepEqual(await findings(given), { problems: [], warnings: [] });
  });
}

test("a configuration file that its group or others may write is refused, whatever it says", async () => {
  for (const mode of [0o620, 0o602, 0o666]) {
    const path = writeFile("shared.yaml", "backend: { host: a }\n", mode);
    const { problems } = await findings({ env: { ...HOST, GATEKEEPER_CONFIG: path } });
    const octal = mode.toString(8);
    assert.deepEqual(problems.map(withoutFolder), [
      `<folder>/shared.yaml is writable by group or others (mode ${octal}): run chmod go-w <folder>/shared.yaml`,
    ]);
  }
});

test("a configuration file that is absent, huge or a directory is refused", async () => {
  const paths = [inFolder("absent.yaml"), makeDirectory("folder"), writeFile("huge.yaml", "#".repeat(1024 * 1024 + 1))];
  const found: string[] = [];
  for (const path of paths) found.push(...(await findings({ env: { ...HOST, GATEKEEPER_CONFIG: path } })).problems);
  assert.deepEqual(found.map(withoutFolder), [
    "cannot read <folder>/absent.yaml: no such file",
    "cannot read <folder>/folder: it is not a regular file",
    "cannot read <folder>/huge.yaml: 1048577 bytes, at most 1048576 are allowed",
  ]);
});
