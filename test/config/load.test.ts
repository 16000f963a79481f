import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EffectiveSetting } from "../../src/config/effective.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { SETTING_BY_ENV } from "../../src/config/settings.ts";
import { inFolder, load, makeDirectory, withoutFolder, writeFile } from "./folder.ts";
import { rsaPublicKey, selfSigned } from "./self-signed.ts";

const HOST = { GATEKEEPER_BACKEND_HOST: "db.example.com" };

async function loaded(
  given: Parameters<typeof load>[0],
): Promise<{ config: Config; effective: readonly EffectiveSetting[]; warnings: readonly string[] }> {
  const result = await load(given);
  assert.ok(result.ok, result.ok ? "" : result.problems.join("\n"));
  return result;
}

async function problemsOf(given: Parameters<typeof load>[0]): Promise<readonly string[]> {
  const result = await load(given);
  assert.equal(result.ok, false);
  return result.ok ? [] : result.problems;
}

test("loadConfig() needs nothing but the backend's host", async () => {
  const { config, warnings } = await loaded({ env: HOST });
  assert.equal(config.listeners.length, 1);
  const [listener] = config.listeners;
  assert.deepEqual(listener?.listen, { host: "127.0.0.1", port: 15336 });
  assert.equal(listener?.backend.port, 3306);
  assert.equal(listener?.backend.tlsMode, "prefer");
  assert.equal(listener?.backend.tlsMinVersion, "TLSv1.2");
  assert.equal(listener?.clientAuth, "relay");
  assert.equal(listener?.localInfile, false);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^GATEKEEPER_BACKEND_TLS_MODE: prefer .*verify-full/);
});

const alpha = selfSigned("alpha");
const cert = writeFile("env.crt", alpha.cert);
const key = writeFile("env.key", alpha.key);
const users = writeFile("env-users", `app:*${"A".repeat(40)}\n`);
const policyFile = writeFile("policy.yaml", "");
const adminKeyFile = writeFile("admin-key", "0123456789abcdef0123\n");
const approversFile = writeFile("env-approvers", `ann:${"AB".repeat(32)}\n`);
const rsaKey = writeFile("rsa.pem", rsaPublicKey());
const socketPath = `${makeDirectory("run")}/q.sock`;

interface EnvCase {
  readonly value: string;
  /** Further variables without which this one would be refused. */
  readonly beside?: Readonly<Record<string, string>>;
  readonly read: (config: Config) => unknown;
  readonly expected: unknown;
}

const one = (config: Config) => {
  const [listener] = config.listeners;
  assert.ok(listener);
  return listener;
};
const SIGNER = {
  GATEKEEPER_BACKEND_TLS_MODE: "require",
  GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  GATEKEEPER_BACKEND_REGION: "eu-west-1",
};
const PROXY_TLS = { GATEKEEPER_PROXY_TLS_CERT: cert, GATEKEEPER_PROXY_TLS_KEY: key };
const BACKEND_TLS = { GATEKEEPER_BACKEND_TLS_CLIENT_CERT: cert, GATEKEEPER_BACKEND_TLS_CLIENT_KEY: key };

const ENV_CASES: Readonly<Record<string, EnvCase>> = {
  GATEKEEPER_LISTEN_HOST: { value: "::1", read: (config) => one(config).listen.host, expected: "::1" },
  GATEKEEPER_LISTEN_PORT: { value: "0", read: (config) => one(config).listen.port, expected: 0 },
  GATEKEEPER_LISTEN_PROXY_PROTOCOL: {
    value: "10.0.0.0/8,::1",
    read: (config) => one(config).listen.proxyProtocol,
    expected: ["10.0.0.0/8", "::1"],
  },
  GATEKEEPER_LISTEN_SOCKET: { value: socketPath, read: (config) => one(config).listen.socket, expected: socketPath },
  GATEKEEPER_BACKEND_HOST: { value: "10.1.2.3", read: (config) => one(config).backend.host, expected: "10.1.2.3" },
  GATEKEEPER_BACKEND_PORT: { value: "3307", read: (config) => one(config).backend.port, expected: 3307 },
  GATEKEEPER_BACKEND_ADDRESS_FAMILY: {
    value: "ipv6",
    read: (config) => one(config).backend.addressFamily,
    expected: "ipv6",
  },
  GATEKEEPER_BACKEND_ENGINE: { value: "mysql", read: (config) => one(config).backend.engine, expected: "mysql" },
  GATEKEEPER_BACKEND_CONNECT_TIMEOUT: {
    value: "1s",
    read: (config) => one(config).backend.connectTimeoutMs,
    expected: 1000,
  },
  GATEKEEPER_BACKEND_LOGIN_TIMEOUT: {
    value: "2s",
    read: (config) => one(config).backend.loginTimeoutMs,
    expected: 2000,
  },
  GATEKEEPER_BACKEND_WRITE_TIMEOUT: { value: "off", read: (config) => one(config).backend.writeTimeoutMs, expected: 0 },
  GATEKEEPER_BACKEND_RESPONSE_TIMEOUT: {
    value: "3m",
    read: (config) => one(config).backend.responseTimeoutMs,
    expected: 180_000,
  },
  GATEKEEPER_BACKEND_FAILOVER_WAIT: {
    value: "30s",
    read: (config) => one(config).backend.failoverWaitMs,
    expected: 30_000,
  },
  GATEKEEPER_BACKEND_PROGRESS_TIMEOUT: {
    value: "off",
    read: (config) => one(config).backend.progressTimeoutMs,
    expected: 0,
  },
  GATEKEEPER_BACKEND_TLS_MODE: { value: "require", read: (config) => one(config).backend.tlsMode, expected: "require" },
  GATEKEEPER_BACKEND_TLS_CA_FILE: { value: cert, read: (config) => one(config).backend.tlsCaFile, expected: cert },
  GATEKEEPER_BACKEND_TLS_SERVER_NAME: {
    value: "a.example",
    read: (config) => one(config).backend.tlsServerName,
    expected: "a.example",
  },
  GATEKEEPER_BACKEND_TLS_MIN_VERSION: {
    value: "TLSv1.3",
    read: (config) => one(config).backend.tlsMinVersion,
    expected: "TLSv1.3",
  },
  GATEKEEPER_BACKEND_TLS_CLIENT_CERT: {
    value: cert,
    beside: BACKEND_TLS,
    read: (config) => one(config).backend.tlsClientCert,
    expected: cert,
  },
  GATEKEEPER_BACKEND_TLS_CLIENT_KEY: {
    value: key,
    beside: BACKEND_TLS,
    read: (config) => one(config).backend.tlsClientKey,
    expected: key,
  },
  GATEKEEPER_BACKEND_PUBLIC_KEY_FILE: {
    value: rsaKey,
    read: (config) => one(config).backend.publicKeyFile,
    expected: rsaKey,
  },
  GATEKEEPER_BACKEND_TOKEN_SOURCE: {
    value: "rds-signer",
    beside: SIGNER,
    read: (config) => one(config).backend.tokenSource,
    expected: "rds-signer",
  },
  GATEKEEPER_BACKEND_TOKEN_CMD: {
    value: "echo t",
    beside: { GATEKEEPER_BACKEND_TLS_MODE: "require" },
    read: (config) => [one(config).backend.tokenCmd, one(config).backend.tokenSource],
    expected: ["echo t", "command"],
  },
  GATEKEEPER_BACKEND_TOKEN_ENDPOINT: {
    value: "mydb.example:3307",
    read: (config) => one(config).backend.tokenEndpoint,
    expected: "mydb.example:3307",
  },
  GATEKEEPER_BACKEND_TOKEN_TIMEOUT: {
    value: "4s",
    read: (config) => one(config).backend.tokenTimeoutMs,
    expected: 4000,
  },
  GATEKEEPER_BACKEND_REGION: {
    value: "eu-west-3",
    read: (config) => one(config).backend.region,
    expected: "eu-west-3",
  },
  GATEKEEPER_BACKEND_ROLE: { value: "reader", read: (config) => one(config).backend.role, expected: "reader" },
  GATEKEEPER_BACKEND_SESSION_TRACKING: {
    value: "off",
    read: (config) => one(config).backend.sessionTracking,
    expected: "off",
  },
  GATEKEEPER_BACKEND_SYNTAX_CHECK: {
    value: "off",
    read: (config) => one(config).backend.syntaxCheck,
    expected: "off",
  },
  GATEKEEPER_BACKEND_POOLER: { value: "vitess", read: (config) => one(config).backend.pooler, expected: "vitess" },
  GATEKEEPER_PROXY_TLS_MODE: {
    value: "require",
    beside: PROXY_TLS,
    read: (config) => one(config).proxy.tlsMode,
    expected: "require",
  },
  GATEKEEPER_PROXY_TLS_CERT: {
    value: cert,
    beside: PROXY_TLS,
    read: (config) => [one(config).proxy.tlsCert, one(config).proxy.tlsMode],
    expected: [cert, "allow"],
  },
  GATEKEEPER_PROXY_TLS_KEY: {
    value: key,
    beside: PROXY_TLS,
    read: (config) => one(config).proxy.tlsKey,
    expected: key,
  },
  GATEKEEPER_PROXY_TLS_CLIENT_CA: {
    value: cert,
    beside: PROXY_TLS,
    read: (config) => [one(config).proxy.tlsClientCa, one(config).proxy.tlsMode],
    expected: [cert, "require"],
  },
  GATEKEEPER_CLIENT_AUTH: {
    value: "trust",
    beside: SIGNER,
    read: (config) => one(config).clientAuth,
    expected: "trust",
  },
  GATEKEEPER_USERS_FILE: {
    value: users,
    beside: { ...SIGNER, GATEKEEPER_CLIENT_AUTH: "password" },
    read: (config) => [one(config).usersFile, one(config).clientAuth],
    expected: [users, "password"],
  },
  GATEKEEPER_IAM_USERS: {
    value: "app_*, bi",
    beside: SIGNER,
    read: (config) => one(config).iamUsers,
    expected: ["app_*", "bi"],
  },
  GATEKEEPER_HANDSHAKE_TIMEOUT: { value: "7s", read: (config) => one(config).handshakeTimeoutMs, expected: 7000 },
  GATEKEEPER_CLIENT_IDLE_TIMEOUT: {
    value: "8h",
    read: (config) => one(config).clientIdleTimeoutMs,
    expected: 28_800_000,
  },
  GATEKEEPER_CLIENT_PACKET_TIMEOUT: {
    value: "5m",
    read: (config) => one(config).clientPacketTimeoutMs,
    expected: 300_000,
  },
  GATEKEEPER_MEMORY_BUDGET: { value: "64MiB", read: (config) => config.memoryBudgetBytes, expected: 64 * 1024 ** 2 },
  GATEKEEPER_CLIENT_WRITE_TIMEOUT: {
    value: "9m",
    read: (config) => one(config).clientWriteTimeoutMs,
    expected: 540_000,
  },
  GATEKEEPER_PREPARED_STATEMENTS_MAX: { value: "5", read: (config) => one(config).preparedStatementsMax, expected: 5 },
  GATEKEEPER_PACKET_SIZE_MAX: { value: "16MiB", read: (config) => one(config).packetBytesMax, expected: 16_777_216 },
  GATEKEEPER_MAX_RESPONSE_MB: { value: "200", read: (config) => one(config).responseBytesMax, expected: 200_000_000 },
  GATEKEEPER_MAX_WINDOW_MB: { value: "off", read: (config) => one(config).windowBytesMax, expected: 0 },
  GATEKEEPER_MAX_RESPONSE_ROWS: { value: "1000", read: (config) => one(config).responseRowsMax, expected: 1000 },
  GATEKEEPER_MAX_USER_WINDOW_MB: { value: "2", read: (config) => one(config).userWindowBytesMax, expected: 2_000_000 },
  GATEKEEPER_MAX_USER_WINDOW_ROWS: { value: "off", read: (config) => one(config).userWindowRowsMax, expected: 0 },
  GATEKEEPER_DATA_GUARD_ACTION: { value: "warn", read: (config) => one(config).limitAction, expected: "warn" },
  GATEKEEPER_LOCAL_INFILE: { value: "on", read: (config) => one(config).localInfile, expected: true },
  GATEKEEPER_LOCAL_INFILE_MAX_MB: {
    value: "5",
    read: (config) => one(config).localInfileBytesMax,
    expected: 5_000_000,
  },
  GATEKEEPER_API_HOST: { value: "localhost", read: (config) => config.api.host, expected: "localhost" },
  GATEKEEPER_API_PORT: { value: "9090", read: (config) => config.api.port, expected: 9090 },
  GATEKEEPER_API_SOCKET: { value: socketPath, read: (config) => config.api.socket, expected: socketPath },
  GATEKEEPER_API_TLS_CERT: {
    value: cert,
    beside: { GATEKEEPER_API_TLS_KEY: key },
    read: (config) => config.api.tlsCert,
    expected: cert,
  },
  GATEKEEPER_API_TLS_KEY: {
    value: key,
    beside: { GATEKEEPER_API_TLS_CERT: cert },
    read: (config) => config.api.tlsKey,
    expected: key,
  },
  GATEKEEPER_API_PUBLIC_METRICS: { value: "on", read: (config) => config.api.publicMetrics, expected: true },
  GATEKEEPER_API_DASHBOARD: { value: "off", read: (config) => config.api.dashboard, expected: false },
  GATEKEEPER_API_BASE_PATH: { value: "/query/cop", read: (config) => config.api.basePath, expected: "/query/cop" },
  GATEKEEPER_API_APPROVERS_FILE: {
    value: approversFile,
    read: (config) => config.approvers,
    expected: [{ name: "ann", role: "approver", sha256: "ab".repeat(32) }],
  },
  ADMIN_API_KEY: { value: "k".repeat(32), read: (config) => config.adminApiKey, expected: "k".repeat(32) },
  GATEKEEPER_ADMIN_API_KEY_FILE: {
    value: adminKeyFile,
    read: (config) => config.adminApiKey,
    expected: "0123456789abcdef0123",
  },
  GATEKEEPER_LOG_LEVEL: { value: "debug", read: (config) => config.log.level, expected: "debug" },
  GATEKEEPER_LOG_FORMAT: { value: "json", read: (config) => config.log.format, expected: "json" },
  GATEKEEPER_AUDIT_FILE: {
    value: inFolder("audit.ndjson"),
    read: (config) => config.audit.file,
    expected: inFolder("audit.ndjson"),
  },
  GATEKEEPER_AUDIT_STDOUT: { value: "on", read: (config) => config.audit.stdout, expected: true },
  GATEKEEPER_AUDIT_KEY_FILE: {
    value: inFolder("audit.key"),
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.keyFile,
    expected: inFolder("audit.key"),
  },
  GATEKEEPER_AUDIT_CHECKPOINT_FILE: {
    value: inFolder("checkpoints"),
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.checkpointFile,
    expected: inFolder("checkpoints"),
  },
  GATEKEEPER_AUDIT_SEAL_KEY_FILE: {
    value: policyFile,
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.sealKeyFile,
    expected: policyFile,
  },
  GATEKEEPER_APPROVALS_WEBHOOK_URL: {
    value: "https://bridge.test/in",
    beside: { GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: policyFile },
    read: (config) => config.approvals.webhookUrl,
    expected: "https://bridge.test/in",
  },
  GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: {
    value: policyFile,
    beside: { GATEKEEPER_APPROVALS_WEBHOOK_APPROVERS: "ann" },
    read: (config) => config.approvals.webhookSecretFile,
    expected: policyFile,
  },
  GATEKEEPER_APPROVALS_WEBHOOK_CA_FILE: {
    value: policyFile,
    beside: {
      GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: policyFile,
      GATEKEEPER_APPROVALS_WEBHOOK_URL: "https://bridge.test/in",
    },
    read: (config) => config.approvals.webhookCaFile,
    expected: policyFile,
  },
  GATEKEEPER_APPROVALS_WEBHOOK_APPROVERS: {
    value: "ann,bob@corp",
    beside: { GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: policyFile },
    read: (config) => config.approvals.webhookApprovers,
    expected: ["ann", "bob@corp"],
  },
  GATEKEEPER_AUDIT_WEBHOOK_URL: {
    value: "https://siem.test/in",
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.webhookUrl,
    expected: "https://siem.test/in",
  },
  GATEKEEPER_AUDIT_WEBHOOK_HEADERS_FILE: {
    value: policyFile,
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log"), GATEKEEPER_AUDIT_WEBHOOK_URL: "http://[::1]:80/" },
    read: (config) => config.audit.webhookHeadersFile,
    expected: policyFile,
  },
  GATEKEEPER_AUDIT_OTLP_URL: {
    value: "http://127.0.0.1:4318/v1/logs",
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.otlpUrl,
    expected: "http://127.0.0.1:4318/v1/logs",
  },
  GATEKEEPER_AUDIT_OTLP_HEADERS_FILE: {
    value: policyFile,
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log"), GATEKEEPER_AUDIT_OTLP_URL: "https://otel.test/v1/logs" },
    read: (config) => config.audit.otlpHeadersFile,
    expected: policyFile,
  },
  GATEKEEPER_AUDIT_SYSLOG_URL: {
    value: "tls://logs.test",
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log") },
    read: (config) => config.audit.syslogUrl,
    expected: "tls://logs.test",
  },
  GATEKEEPER_AUDIT_FORWARD_CA_FILE: {
    value: policyFile,
    beside: { GATEKEEPER_AUDIT_FILE: inFolder("audit.log"), GATEKEEPER_AUDIT_SYSLOG_URL: "tls://logs.test" },
    read: (config) => config.audit.forwardCaFile,
    expected: policyFile,
  },
  GATEKEEPER_AUDIT_SEGMENT_SIZE: { value: "1GiB", read: (config) => config.audit.segmentBytes, expected: 1024 ** 3 },
  GATEKEEPER_AUDIT_SEGMENT_AGE: { value: "7d", read: (config) => config.audit.segmentAgeMs, expected: 604_800_000 },
  GATEKEEPER_AUDIT_KEEP_SIZE: { value: "1TiB", read: (config) => config.audit.keepBytes, expected: 1024 ** 4 },
  GATEKEEPER_AUDIT_KEEP_FILES: { value: "30", read: (config) => config.audit.keepFiles, expected: 30 },
  GATEKEEPER_AUDIT_KEEP_AGE: { value: "400d", read: (config) => config.audit.keepAgeMs, expected: 400 * 86_400_000 },
  GATEKEEPER_AUDIT_RECORDS: { value: "whole", read: (config) => config.audit.records, expected: "whole" },
  GATEKEEPER_AUDIT_DURABILITY: { value: "durable", read: (config) => config.audit.durability, expected: "durable" },
  GATEKEEPER_APPROVALS_OPEN_MAX: { value: "7", read: (config) => config.approvals.openMax, expected: 7 },
  GATEKEEPER_DSQL_RULES_FILE: { value: policyFile, read: (config) => config.dsql.rulesFile, expected: policyFile },
  GATEKEEPER_DSQL_REFUSE_EARLY: { value: "on", read: (config) => config.dsql.refuseEarly, expected: true },
  GATEKEEPER_DSQL_CONNECTION_LIMIT: {
    value: "2h",
    read: (config) => config.dsql.connectionLimitMs,
    expected: 7_200_000,
  },
  GATEKEEPER_POLICY_FILE: { value: policyFile, read: (config) => config.policy.file, expected: policyFile },
  GATEKEEPER_TOKEN_CHILDREN_MAX: { value: "3", read: (config) => config.token.childrenMax, expected: 3 },
  GATEKEEPER_TOKEN_CACHE_ENTRIES_MAX: { value: "5", read: (config) => config.token.cacheEntriesMax, expected: 5 },
  GATEKEEPER_TOKEN_EXPIRY_MARGIN: { value: "2m", read: (config) => config.token.expiryMarginMs, expected: 120_000 },
  GATEKEEPER_TOKEN_FAILURE_CACHE: { value: "off", read: (config) => config.token.failureCacheMs, expected: 0 },
  GATEKEEPER_TOKEN_LOGINS_PER_SECOND_MAX: {
    value: "off",
    read: (config) => config.token.loginsPerSecondMax,
    expected: 0,
  },
  GATEKEEPER_MAX_CONNECTIONS: { value: "77", read: (config) => config.maxConnections, expected: 77 },
  GATEKEEPER_LOGIN_CONNECTIONS_MAX: { value: "9", read: (config) => config.loginConnectionsMax, expected: 9 },
  GATEKEEPER_CONNECTIONS_PER_USER: { value: "5", read: (config) => config.connectionsPerUserMax, expected: 5 },
  GATEKEEPER_CONNECTIONS_PER_ADDRESS: { value: "6", read: (config) => config.connectionsPerAddressMax, expected: 6 },
  GATEKEEPER_POLICY_JUDGE_TIMEOUT: { value: "3s", read: (config) => config.policy.judgeTimeoutMs, expected: 3000 },
  GATEKEEPER_CLIENT_LEFT_TIMEOUT: { value: "9s", read: (config) => one(config).clientLeftTimeoutMs, expected: 9000 },
  GATEKEEPER_DRAIN_DELAY: { value: "15s", read: (config) => config.drainDelayMs, expected: 15_000 },
  GATEKEEPER_DRAIN_TIMEOUT: { value: "90s", read: (config) => config.drainTimeoutMs, expected: 90_000 },
};

test("every environment variable has its case here", () => {
  assert.deepEqual(Object.keys(ENV_CASES).sort(), [...SETTING_BY_ENV.keys()].sort());
});

for (const [name, { value, beside = {}, read, expected }] of Object.entries(ENV_CASES)) {
  test(`loadConfig() takes ${name}`, async () => {
    const { config, effective } = await loaded({ env: { ...HOST, ...beside, [name]: value } });
    assert.deepEqual(read(config), expected);
    const row = effective.find((setting) => setting.env === name);
    assert.equal(row?.source, "env");
    assert.equal(row?.where, name);
  });
}

test("loadConfig() takes every setting but secrets as an option", async () => {
  for (const [name, { value, beside = {}, read, expected }] of Object.entries(ENV_CASES)) {
    const flag = SETTING_BY_ENV.get(name)?.metadata.flag;
    if (flag === undefined) continue;
    const { config } = await loaded({ env: { ...HOST, ...beside }, flags: { [flag]: value } });
    assert.deepEqual(read(config), expected, flag);
  }
});

test("loadConfig() takes every setting but secrets from the file", async () => {
  for (const [name, { value, beside = {}, read, expected }] of Object.entries(ENV_CASES)) {
    const setting = SETTING_BY_ENV.get(name);
    assert.ok(setting);
    if (setting.metadata.secret) continue;
    const [group = "", leaf] = setting.key.split(".");
    const text = JSON.stringify(value);
    const yaml = leaf === undefined ? `${group}: ${text}\n` : `${group}:\n  ${leaf}: ${text}\n`;
    const { [name]: _, ...others } = { ...HOST, ...beside } as Record<string, string>;
    const { config } = await loaded({ env: others, yaml });
    assert.deepEqual(read(config), expected, setting.key);
  }
});

const LAYERED = [
  {
    key: "backend.role",
    env: "GATEKEEPER_BACKEND_ROLE",
    flag: "--backend-role",
    fallback: undefined,
    values: ["a", "b", "c"],
  },
  {
    key: "listen.port",
    env: "GATEKEEPER_LISTEN_PORT",
    flag: "--listen-port",
    fallback: "15336",
    values: ["1", "2", "3"],
  },
  {
    key: "drain_timeout",
    env: "GATEKEEPER_DRAIN_TIMEOUT",
    flag: "--drain-timeout",
    fallback: "30s",
    values: ["1s", "2s", "3s"],
  },
  {
    key: "log.level",
    env: "GATEKEEPER_LOG_LEVEL",
    flag: "--log-level",
    fallback: "info",
    values: ["debug", "warn", "error"],
  },
  { key: "iam_users", env: "GATEKEEPER_IAM_USERS", flag: "--iam-users", fallback: "*", values: ["x", "y", "z*"] },
] as const;

test("an option outranks a variable, a variable the file, the file the default", async () => {
  const layer = fc.tuple(fc.boolean(), fc.boolean(), fc.boolean());
  await fc.assert(
    fc.asyncProperty(fc.tuple(layer, layer, layer, layer, layer), async (layers) => {
      const env: Record<string, string> = { ...HOST };
      const flags: Record<string, string> = {};
      const file: string[] = [];
      for (const [index, [isFlag, isEnv, isFile]] of layers.entries()) {
        const setting = LAYERED[index];
        assert.ok(setting);
        if (isFlag) flags[setting.flag] = setting.values[0];
        if (isEnv) env[setting.env] = setting.values[1];
        if (isFile)
          file.push(
            `${setting.key.replace(".", ": { ")}: ${setting.values[2]}${setting.key.includes(".") ? " }" : ""}`,
          );
      }
      const { effective } = await loaded({ env, flags, yaml: file.join("\n") });
      for (const [index, [isFlag, isEnv, isFile]] of layers.entries()) {
        const setting = LAYERED[index];
        assert.ok(setting);
        const row = effective.find((candidate) => candidate.key === setting.key);
        const rank = isFlag ? 0 : isEnv ? 1 : isFile ? 2 : 3;
        assert.equal(row?.value, [...setting.values, setting.fallback][rank], setting.key);
        const fallbackSource = setting.fallback === undefined ? "unset" : "default";
        assert.equal(row?.source, ["flag", "env", "file", fallbackSource][rank]);
      }
    }),
    { numRuns: 60 },
  );
});

test("an empty variable counts as not set and is mentioned", async () => {
  const { config, warnings } = await loaded({ env: { ...HOST, GATEKEEPER_LISTEN_PORT: "" } });
  assert.equal(config.listeners[0]?.listen.port, 15336);
  assert.ok(warnings.includes("GATEKEEPER_LISTEN_PORT: is empty and counts as not set"));
});

test("the configuration file is named by variable or option, the option first", async () => {
  const first = writeFile("first.yaml", "backend: { host: first }\n");
  const second = writeFile("second.yaml", "backend: { host: second }\n");
  const byEnv = await loadConfig({ env: { GATEKEEPER_CONFIG: first }, flags: new Map() });
  assert.equal(byEnv.ok && byEnv.config.listeners[0]?.backend.host, "first");
  assert.equal(byEnv.ok && byEnv.config.file, first);
  const byFlag = await loadConfig({ env: { GATEKEEPER_CONFIG: first }, flags: new Map(), file: second });
  assert.equal(byFlag.ok && byFlag.config.listeners[0]?.backend.host, "second");
});

const WRITER = "w.cluster-abc.eu-west-1.rds.amazonaws.com";
const READER = "r.cluster-ro-abc.eu-west-1.rds.amazonaws.com";

test("listeners: describes several listeners that share what stands at the top level", async () => {
  const { config, effective } = await loaded({
    yaml: `
backend: { tls_mode: require, token_source: rds-signer, role: shared }
client_auth: trust
drain_timeout: 5s
listeners:
  - name: writer
    listen: { port: 15336 }
    backend: { host: ${WRITER} }
  - listen: { port: 15337 }
    backend:
      host: ${READER}
      role: reader
    iam_users: [app_ro, "bi_*"]
`,
  });
  const [writer, reader] = config.listeners;
  assert.equal(config.drainTimeoutMs, 5000);
  assert.equal(writer?.name, "writer");
  assert.equal(writer?.backend.role, "shared");
  assert.equal(writer?.backend.region, "eu-west-1");
  assert.equal(reader?.name, "127.0.0.1:15337");
  assert.equal(reader?.backend.host, READER);
  assert.equal(reader?.backend.role, "reader");
  assert.equal(reader?.backend.tokenSource, "rds-signer");
  assert.deepEqual(reader?.iamUsers, ["app_ro", "bi_*"]);
  const row = effective.find((setting) => setting.key === "listeners[1].backend.host");
  assert.equal(row?.where, "querycop.yaml:11 listeners[1].backend.host");
});

test("a file with one listener still takes variables for it, a file with several refuses them", async () => {
  const single = await loaded({
    yaml: "listeners: [{ backend: { host: a } }]\n",
    env: { GATEKEEPER_LISTEN_PORT: "4" },
  });
  assert.equal(single.config.listeners[0]?.listen.port, 4);
  const problems = await problemsOf({
    yaml: "listeners: [{ backend: { host: a } }, { listen: { port: 2 }, backend: { host: b } }]\n",
    env: { GATEKEEPER_BACKEND_HOST: "c", GATEKEEPER_LOG_LEVEL: "warn" },
  });
  assert.deepEqual(problems, [
    "GATEKEEPER_BACKEND_HOST: describes a single listener, but the file has 2: set backend.host in their entries of listeners: instead",
  ]);
});

test("paths in the file are relative to the file", async () => {
  const { config } = await loaded({
    yaml: "backend: { host: a, tls_mode: verify-ca, tls_ca_file: env.crt }\naudit: { file: ./audit.log }\n",
  });
  assert.equal(config.listeners[0]?.backend.tlsCaFile, cert);
  assert.equal(config.audit.file, inFolder("audit.log"));
});

test("values in the file stay the text that was written", async () => {
  const { config } = await loaded({
    yaml: "backend: { host: 10.0.0.1, role: 0123, pooler: no }\ncertificate_users: { a.example: 007 }\n",
  });
  const [listener] = config.listeners;
  assert.equal(listener?.backend.role, "0123");
  assert.equal(listener?.backend.pooler, "no");
  assert.deepEqual(listener?.certificateUsers, { "a.example": "007" });
});

test("anchors and aliases work, and an avalanche of them is refused", async () => {
  const { config } = await loaded({ yaml: "backend: { host: &h db.example, tls_server_name: *h }\n" });
  assert.equal(config.listeners[0]?.backend.tlsServerName, "db.example");
  const levels = Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}]`);
  const problems = await problemsOf({ env: HOST, yaml: `a0: &a0 [x, x]\n${levels.join("\n")}\n` });
  assert.ok(problems.every((problem) => problem.includes("unknown key")));
});

test("the word system stands for the operating system's bundle", async () => {
  const env = { ...HOST, GATEKEEPER_BACKEND_TLS_MODE: "verify-full", GATEKEEPER_BACKEND_TLS_CA_FILE: "system" };
  const { config, effective } = await loaded({ env: { ...env, SSL_CERT_FILE: cert } });
  assert.equal(config.listeners[0]?.backend.tlsCaFile, cert);
  const row = effective.find((setting) => setting.key === "backend.tls_ca_file");
  assert.deepEqual([row?.value, row?.source, row?.where], [cert, "derived", "system"]);
  const problems = await problemsOf({ env: { ...env, SSL_CERT_FILE: inFolder("none.pem") } });
  assert.match(
    withoutFolder(problems.join()),
    /^GATEKEEPER_BACKEND_TLS_CA_FILE: system finds no bundle .* at <folder>\/none\.pem/,
  );
});

test("a backend that speaks PostgreSQL has another port, unless one is given", async () => {
  // For a querycop that runs already: start-up refuses the engine.
  const portWith = async (env: Readonly<Record<string, string>>) => {
    const engine = { GATEKEEPER_BACKEND_ENGINE: "postgresql" };
    const read = await loadConfig({ env: { ...HOST, ...engine, ...env }, flags: new Map(), use: "listeners" });
    assert.ok(read.ok);
    const row = read.effective.find((setting) => setting.key === "backend.port");
    return [read.config.listeners[0]?.backend.port, row?.value, row?.source];
  };
  assert.deepEqual(await portWith({}), [5432, "5432", "derived"]);
  assert.deepEqual(await portWith({ GATEKEEPER_BACKEND_PORT: "6432" }), [6432, "6432", "env"]);
});

test("the region is read from the host, or from the name behind a CNAME", async () => {
  const direct = await loaded({ env: { GATEKEEPER_BACKEND_HOST: WRITER } });
  assert.equal(direct.config.listeners[0]?.backend.region, "eu-west-1");
  const behind = await loaded({ env: { ...HOST, GATEKEEPER_BACKEND_TLS_SERVER_NAME: READER } });
  assert.equal(behind.config.listeners[0]?.backend.region, "eu-west-1");
  const row = behind.effective.find((setting) => setting.key === "backend.region");
  assert.deepEqual([row?.value, row?.source], ["eu-west-1", "derived"]);
  const none = await loaded({ env: HOST });
  assert.equal(none.config.listeners[0]?.backend.region, undefined);
});

test("systemd's credential admin-api-key is the key where no setting names one", async () => {
  const folder = makeDirectory("credentials");
  writeFile("credentials/admin-api-key", "from-the-service-manager\n");
  const byCredential = await loaded({ env: { ...HOST, CREDENTIALS_DIRECTORY: folder } });
  assert.equal(byCredential.config.adminApiKey, "from-the-service-manager");
  const named = { GATEKEEPER_ADMIN_API_KEY_FILE: adminKeyFile, CREDENTIALS_DIRECTORY: folder };
  assert.equal((await loaded({ env: { ...HOST, ...named } })).config.adminApiKey, "0123456789abcdef0123");
  const byVariable = { ADMIN_API_KEY: "k".repeat(32), CREDENTIALS_DIRECTORY: folder };
  assert.equal((await loaded({ env: { ...HOST, ...byVariable } })).config.adminApiKey, "k".repeat(32));
  const none = await loaded({ env: { ...HOST, CREDENTIALS_DIRECTORY: makeDirectory("no-credentials") } });
  assert.equal(none.config.adminApiKey, undefined);
});

test("secrets are never among the effective values", async () => {
  const secret = "a-very-secret-admin-key";
  const byEnv = await loaded({ env: { ...HOST, ADMIN_API_KEY: secret } });
  const byFile = await loaded({ env: { ...HOST, GATEKEEPER_ADMIN_API_KEY_FILE: writeFile("secret", `${secret}\n`) } });
  assert.equal(byEnv.config.adminApiKey, secret);
  assert.equal(byFile.config.adminApiKey, secret);
  for (const { effective, warnings } of [byEnv, byFile]) {
    assert.equal(JSON.stringify([effective, warnings]).includes(secret), false);
  }
  assert.equal(byEnv.effective.find((setting) => setting.key === "admin_api_key")?.value, "<set>");
});

test("loadConfig() answers any file with a configuration or problems, each of one line", async () => {
  const fragment = fc.constantFrom(
    "backend",
    "listen",
    "listeners",
    "host",
    "port",
    ":",
    " ",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "a",
    "1",
    "*x",
    "&x",
    "|",
    ">",
    "#",
    "---",
    "!!str",
    "\t",
    "%",
    "<<",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fragment, { maxLength: 40 }), async (parts) => {
      const result = await load({ env: HOST, yaml: parts.join("") });
      const lines = result.ok ? result.warnings : result.problems;
      return lines.every((line) => !line.includes("\n") && line.length < 1000) && (result.ok || lines.length > 0);
    }),
    { numRuns: 400 },
  );
});
