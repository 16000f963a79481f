/**
 * The one schema of every setting. The reference page, the example file, the JSON Schema, the option list of --help and
 * the loader are all printed or driven from here; nothing else knows a default.
 */
import * as v from "valibot";
import {
  choiceKind,
  durationKind,
  hostKind,
  integerKind,
  listKind,
  megabyteKind,
  pathKind,
  sizeKind,
  switchKind,
  textKind,
  urlKind,
  type ValueKind,
} from "./values.ts";

/** What a setting is besides its type. Read back with v.getMetadata(). */
export interface SettingMetadata {
  /** The last part of its key in the file. */
  readonly key: string;
  readonly env?: string;
  /** The command-line option, with its dashes. Secrets have none: other users can read a process's arguments. */
  readonly flag?: string;
  readonly kind: ValueKind<unknown>;
  /** Taken over by a running process, or read again where it names a file; anything else needs a restart. */
  readonly reloadable: boolean;
  readonly secret: boolean;
  readonly since: string;
  /** Accepted and checked, but nothing acts on it in this version: whoever sets it is told so. */
  readonly isPlanned: boolean;
  readonly example?: string;
  readonly [other: string]: unknown;
}

interface SettingText {
  readonly title: string;
  readonly description: string;
  readonly key: string;
  readonly env?: string;
  readonly reloadable?: boolean;
  readonly secret?: boolean;
  readonly since?: string;
  readonly isPlanned?: boolean;
  readonly example?: string;
}

const ENV_PREFIX = "GATEKEEPER_";

/** GATEKEEPER_BACKEND_TLS_MODE → --backend-tls-mode */
function flagOf(env: string): string {
  const name = env.startsWith(ENV_PREFIX) ? env.slice(ENV_PREFIX.length) : env;
  return `--${name.toLowerCase().replaceAll("_", "-")}`;
}

function metadataOf<T>(kind: ValueKind<T>, text: SettingText): SettingMetadata {
  const secret = text.secret ?? false;
  return {
    key: text.key,
    ...(text.env === undefined ? {} : { env: text.env }),
    ...(text.env === undefined || secret ? {} : { flag: flagOf(text.env) }),
    kind,
    reloadable: text.reloadable ?? false,
    secret,
    since: text.since ?? "0.1.0",
    isPlanned: text.isPlanned ?? false,
    ...(text.example === undefined ? {} : { example: text.example }),
  };
}

/** A setting without a default: absent unless given. */
function setting<T>(kind: ValueKind<T>, text: SettingText) {
  return v.exactOptional(required(kind, text));
}

/** A setting with a default, written as an operator would write it. */
function settingWithDefault<T>(kind: ValueKind<T>, fallback: string, text: SettingText) {
  return v.optional(required(kind, text), fallback);
}

/** A setting the proxy cannot start without. */
function required<T>(kind: ValueKind<T>, text: SettingText) {
  return v.pipe(
    v.string(),
    v.title(text.title),
    v.description(text.description),
    v.metadata(metadataOf(kind, text)),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = kind.parse(dataset.value);
      if ("value" in parsed) return parsed.value;
      addIssue({ message: parsed.problem });
      return NEVER;
    }),
  );
}

const BACKEND_TLS_MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const;
const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const;

function isUserPattern(text: string): boolean {
  return text.length > 0 && text.length <= 80 && !text.includes(" ");
}

const listen = v.strictObject({
  host: settingWithDefault(hostKind, "127.0.0.1", {
    key: "host",
    env: "GATEKEEPER_LISTEN_HOST",
    title: "Address clients connect to",
    description:
      "The local address the proxy listens on. Change it to 0.0.0.0 or :: to accept clients from other machines; then also set proxy.tls_cert and, with a token source, client_auth.",
  }),
  port: settingWithDefault(integerKind({ min: 0, max: 65_535 }), "15336", {
    key: "port",
    env: "GATEKEEPER_LISTEN_PORT",
    title: "Port clients connect to",
    description: "The TCP port the proxy listens on. 0 lets the system choose a free one, which the log then names.",
  }),
  socket: setting(pathKind("path of a unix socket"), {
    key: "socket",
    env: "GATEKEEPER_LISTEN_SOCKET",
    title: "Unix socket clients connect to",
    description:
      "Listen on this unix socket instead of a TCP port. Use it when all clients run on this machine: the directory's permissions then decide who may connect. At most 107 bytes long.",
    example: "/run/querycop/mysql.sock",
  }),
});

const backend = v.strictObject({
  host: required(hostKind, {
    key: "host",
    env: "GATEKEEPER_BACKEND_HOST",
    title: "Database server",
    description: "DNS name or IP address of the MySQL server this listener leads to. Required.",
    example: "mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com",
  }),
  port: settingWithDefault(integerKind({ min: 1, max: 65_535 }), "3306", {
    key: "port",
    env: "GATEKEEPER_BACKEND_PORT",
    title: "Database port",
    description: "TCP port of the MySQL server.",
  }),
  addressFamily: settingWithDefault(choiceKind(["auto", "ipv4", "ipv6"]), "auto", {
    key: "address_family",
    env: "GATEKEEPER_BACKEND_ADDRESS_FAMILY",
    title: "IP version towards the database",
    description:
      "auto tries all addresses of the name, both families interleaved, and keeps the first that answers. Change it when one family is published in DNS but does not work from here.",
  }),
  connectTimeoutMs: settingWithDefault(durationKind(), "5s", {
    key: "connect_timeout",
    env: "GATEKEEPER_BACKEND_CONNECT_TIMEOUT",
    title: "Time to connect to the database",
    description: "How long name lookup and TCP connect may take together before the client is told ERROR 2003.",
  }),
  loginTimeoutMs: settingWithDefault(durationKind(), "10s", {
    key: "login_timeout",
    env: "GATEKEEPER_BACKEND_LOGIN_TIMEOUT",
    title: "Time for the database's part of a login",
    description:
      "How long the server may take for greeting, TLS and authentication answers, without the time the client or the token needs.",
  }),
  writeTimeoutMs: settingWithDefault(durationKind({ off: true }), "10m", {
    key: "write_timeout",
    env: "GATEKEEPER_BACKEND_WRITE_TIMEOUT",
    title: "Time the database may refuse to take bytes",
    description: "A session ends when the server has not accepted what was sent to it for this long.",
  }),
  responseTimeoutMs: settingWithDefault(durationKind({ off: true }), "off", {
    key: "response_timeout",
    env: "GATEKEEPER_BACKEND_RESPONSE_TIMEOUT",
    title: "Time a statement may take to begin its answer",
    description:
      "off leaves it to the server's own limits, such as max_execution_time. Set it to free clients of a database that hangs.",
  }),
  tlsMode: settingWithDefault(choiceKind(BACKEND_TLS_MODES), "prefer", {
    key: "tls_mode",
    env: "GATEKEEPER_BACKEND_TLS_MODE",
    title: "TLS towards the database",
    description:
      "disable: plaintext. prefer: TLS if the server offers it, plaintext otherwise, nothing verified. require: TLS or nothing, nothing verified. verify-ca: the certificate must chain to tls_ca_file. verify-full: and carry the server's name. Use verify-full for every real database.",
  }),
  tlsCaFile: setting(pathKind("path of a PEM file, or system"), {
    key: "tls_ca_file",
    env: "GATEKEEPER_BACKEND_TLS_CA_FILE",
    title: "Certificate authorities for the database",
    description:
      "PEM bundle the server's certificate must chain to. The word system uses the bundle of the operating system. Required for verify-ca and verify-full. Amazon RDS is not in system bundles: download https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem.",
    example: "/etc/ssl/certs/rds-global-bundle.pem",
    reloadable: true,
  }),
  tlsServerName: setting(hostKind, {
    key: "tls_server_name",
    env: "GATEKEEPER_BACKEND_TLS_SERVER_NAME",
    title: "Name in the database's certificate",
    description:
      "The name to send as SNI and to verify, when it is not backend.host: behind a CNAME, a tunnel or an IP address.",
    example: "mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com",
  }),
  tlsMinVersion: settingWithDefault(choiceKind(TLS_VERSIONS), "TLSv1.2", {
    key: "tls_min_version",
    env: "GATEKEEPER_BACKEND_TLS_MIN_VERSION",
    title: "Oldest TLS version towards the database",
    description: "Lower it only for a server that cannot do TLS 1.2; the ciphers of older versions are broken.",
  }),
  tlsClientCert: setting(pathKind("path of a PEM file"), {
    key: "tls_client_cert",
    env: "GATEKEEPER_BACKEND_TLS_CLIENT_CERT",
    example: "/etc/querycop/backend-client.crt",
    title: "Certificate querycop shows to the database",
    description: "Needed when the server demands a client certificate (REQUIRE X509). Goes with tls_client_key.",
    reloadable: true,
  }),
  tlsClientKey: setting(pathKind("path of a PEM file"), {
    key: "tls_client_key",
    env: "GATEKEEPER_BACKEND_TLS_CLIENT_KEY",
    example: "/etc/querycop/backend-client.key",
    title: "Private key for tls_client_cert",
    description: "PEM private key without passphrase.",
    reloadable: true,
  }),
  publicKeyFile: setting(pathKind("path of a PEM file"), {
    key: "public_key_file",
    env: "GATEKEEPER_BACKEND_PUBLIC_KEY_FILE",
    example: "/etc/querycop/backend-public-key.pem",
    title: "RSA public key of the database",
    description:
      "The server's public key (caching_sha2_password_public_key_path). Pinning it lets a client that came over TLS log in over a plaintext backend leg; a key the server merely sends is not trusted.",
    reloadable: true,
  }),
  tokenSource: setting(choiceKind(["command", "rds-signer"]), {
    key: "token_source",
    env: "GATEKEEPER_BACKEND_TOKEN_SOURCE",
    title: "Where login tokens come from",
    example: "rds-signer",
    description:
      "command runs token_cmd; rds-signer makes Amazon RDS tokens inside querycop with the standard AWS credential chain, about a thousand times cheaper than the aws program. Unset means command if token_cmd is set, else none: the client's own password then goes to the server.",
  }),
  tokenCmd: setting(textKind("shell command line"), {
    key: "token_cmd",
    env: "GATEKEEPER_BACKEND_TOKEN_CMD",
    title: "Command that prints a login token",
    description:
      "Run by sh -c when a login needs a token; the first line of its output is the token. It sees QUERYCOP_BACKEND_HOST, QUERYCOP_BACKEND_PORT, QUERYCOP_BACKEND_USER and QUERYCOP_BACKEND_REGION. Needs tls_mode require, verify-ca or verify-full.",
    example:
      'aws rds generate-db-auth-token --hostname "$QUERYCOP_BACKEND_HOST" --port "$QUERYCOP_BACKEND_PORT" --region "$QUERYCOP_BACKEND_REGION" --username "$QUERYCOP_BACKEND_USER"',
  }),
  tokenTimeoutMs: settingWithDefault(durationKind(), "10s", {
    key: "token_timeout",
    env: "GATEKEEPER_BACKEND_TOKEN_TIMEOUT",
    title: "Time to make a token",
    description: "A token command that runs longer is killed with all its children, and the login fails.",
  }),
  region: setting(textKind("AWS region"), {
    key: "region",
    env: "GATEKEEPER_BACKEND_REGION",
    title: "AWS region of the database",
    description:
      "Read from an RDS host name (backend.host or tls_server_name) when unset. Set it when neither names the region.",
    example: "eu-central-1",
  }),
  role: setting(textKind(), {
    key: "role",
    env: "GATEKEEPER_BACKEND_ROLE",
    title: "What this backend is",
    description:
      "Advisory: logged, audited and shown in metrics, with no effect on the wire. For example writer or reader.",
    example: "writer",
  }),
  pooler: setting(textKind(), {
    key: "pooler",
    env: "GATEKEEPER_BACKEND_POOLER",
    title: "Pooler in front of this backend",
    description: "Advisory: logged, audited and shown in metrics, with no effect on the wire. For example vitess.",
    example: "vitess",
  }),
});

const proxy = v.strictObject({
  tlsMode: setting(choiceKind(["off", "allow", "require"]), {
    key: "tls_mode",
    env: "GATEKEEPER_PROXY_TLS_MODE",
    title: "TLS towards clients",
    example: "require",
    description:
      "off: plaintext only. allow: TLS for clients that ask for it. require: clients without TLS are refused with ERROR 3159. Unset means require if tls_client_ca is set, allow if only tls_cert is, else off.",
  }),
  tlsCert: setting(pathKind("path of a PEM file"), {
    key: "tls_cert",
    env: "GATEKEEPER_PROXY_TLS_CERT",
    example: "/etc/querycop/proxy.crt",
    title: "Certificate shown to clients",
    description:
      "PEM certificate chain, leaf first. Goes with tls_key. An EC P-256 key costs the least per connection.",
    reloadable: true,
  }),
  tlsKey: setting(pathKind("path of a PEM file"), {
    key: "tls_key",
    env: "GATEKEEPER_PROXY_TLS_KEY",
    example: "/etc/querycop/proxy.key",
    title: "Private key for tls_cert",
    description: "PEM private key without passphrase.",
    reloadable: true,
  }),
  tlsClientCa: setting(pathKind("path of a PEM file"), {
    key: "tls_client_ca",
    env: "GATEKEEPER_PROXY_TLS_CLIENT_CA",
    example: "/etc/querycop/client-ca.pem",
    title: "Certificate authorities for clients",
    description: "PEM bundle. When set, every TLS client must show a certificate that chains to it.",
    reloadable: true,
  }),
});

/** The settings each listener has for itself. Written at the top level they are shared by all listeners. */
export const listenerEntries = {
  name: setting(textKind(), {
    key: "name",
    title: "Name of the listener",
    description: "Stands in log lines, audit records and metrics. Unset means the address it listens on.",
    example: "writer",
  }),
  listen: v.optional(listen, {}),
  backend,
  proxy: v.optional(proxy, {}),
  clientAuth: setting(choiceKind(["trust", "password", "certificate"]), {
    key: "client_auth",
    env: "GATEKEEPER_CLIENT_AUTH",
    title: "How clients prove who they are",
    example: "password",
    description:
      "Matters when a token source is set, because the client's password then proves nothing to the server. trust: whoever reaches the port may use any user of iam_users. password: querycop checks it against users_file. certificate: the client's TLS certificate names the user. Must be chosen when the listener is reachable from other machines. Unset without a token source: the server checks the client's own password.",
  }),
  usersFile: setting(pathKind(), {
    key: "users_file",
    env: "GATEKEEPER_USERS_FILE",
    title: "Users and password hashes",
    description:
      "For client_auth password: one line per user, user:hash, as querycop hash-password prints it. Hashes only, mysql_native_password or caching_sha2_password.",
    example: "/etc/querycop/users",
    reloadable: true,
  }),
  certificateUsers: v.exactOptional(
    v.pipe(
      v.record(v.string(), v.string()),
      v.title("Users of client certificates"),
      v.description(
        "For client_auth certificate: maps a subjectAltName of the client's certificate (DNS name, URI or e-mail address) to the one user it may log in as. Unset: the name itself is the user.",
      ),
      v.metadata(
        metadataOf<unknown>(
          {
            describe: "mapping of subjectAltName to user",
            shape: "map",
            json: { type: "object", additionalProperties: { type: "string" } },
            parse: (text) => ({ value: text }),
          },
          {
            key: "certificate_users",
            title: "",
            description: "",
            example: "{ billing.internal.example.com: billing }",
          },
        ),
      ),
    ),
  ),
  iamUsers: settingWithDefault(listKind("user names or patterns with *", isUserPattern), "*", {
    key: "iam_users",
    env: "GATEKEEPER_IAM_USERS",
    title: "Users tokens may be made for",
    description: "Names, or patterns with *. A login as any other user is refused before a token is made.",
    example: "app_*,reporting",
  }),
  handshakeTimeoutMs: settingWithDefault(durationKind(), "10s", {
    key: "handshake_timeout",
    env: "GATEKEEPER_HANDSHAKE_TIMEOUT",
    title: "Time for the client's part of a login",
    description: "All packets of the client together, TLS included, without the time the server or the token needs.",
  }),
  clientIdleTimeoutMs: settingWithDefault(durationKind({ off: true }), "off", {
    key: "client_idle_timeout",
    env: "GATEKEEPER_CLIENT_IDLE_TIMEOUT",
    title: "Time a client may stay silent",
    description: "off leaves it to the server's wait_timeout. Set it to close forgotten connections earlier.",
  }),
  clientWriteTimeoutMs: settingWithDefault(durationKind({ off: true }), "10m", {
    key: "client_write_timeout",
    env: "GATEKEEPER_CLIENT_WRITE_TIMEOUT",
    title: "Time a client may refuse to take bytes",
    description:
      "A session ends when its client has not accepted what was sent to it for this long, and when it has closed its side of the connection and the database has sent nothing for it for so long.",
  }),
  packetBytesMax: settingWithDefault(sizeKind({ min: 16 * 1024, max: 1024 ** 3 }), "64MiB", {
    key: "packet_size_max",
    env: "GATEKEEPER_PACKET_SIZE_MAX",
    title: "Largest packet a client may send",
    description:
      "A statement must fit in it, and is held in memory while it is judged. Larger ones are refused with ERROR 1153. The server's max_allowed_packet applies as well.",
  }),
  preparedStatementsMax: settingWithDefault(integerKind({ min: 1, max: 65_536 }), "4096", {
    key: "prepared_statements_max",
    env: "GATEKEEPER_PREPARED_STATEMENTS_MAX",
    title: "Most prepared statements of one connection",
    description:
      "Those a client holds open at one time. One more is refused with ERROR 1461. The server's max_prepared_stmt_count, 16382 for all clients together, applies as well.",
  }),
  responseBytesMax: settingWithDefault(megabyteKind({ min: 1, max: 1_000_000 }), "100", {
    key: "max_response_mb",
    env: "GATEKEEPER_MAX_RESPONSE_MB",
    title: "Most data one statement may return",
    description:
      "In units of 1,000,000 bytes. A larger response is cut off with an error; off switches the limit off. See data-guard.md.",
  }),
  windowBytesMax: settingWithDefault(megabyteKind({ min: 1, max: 1_000_000 }), "500", {
    key: "max_window_mb",
    env: "GATEKEEPER_MAX_WINDOW_MB",
    title: "Most data one connection may get in 60 seconds",
    description:
      "In units of 1,000,000 bytes, over a window that moves along; off switches the limit off. See data-guard.md.",
  }),
  responseRowsMax: settingWithDefault(integerKind({ min: 1, max: 1_000_000_000, off: true }), "off", {
    key: "max_response_rows",
    env: "GATEKEEPER_MAX_RESPONSE_ROWS",
    title: "Most rows one statement may return",
    description: "A larger response is cut off behind this many rows with an error. See data-guard.md.",
  }),
  userWindowBytesMax: settingWithDefault(megabyteKind({ min: 1, max: 1_000_000 }), "off", {
    key: "max_user_window_mb",
    env: "GATEKEEPER_MAX_USER_WINDOW_MB",
    title: "Most data one user may get in 60 seconds",
    description: "As GATEKEEPER_MAX_WINDOW_MB, but over all connections of the user.",
  }),
  userWindowRowsMax: settingWithDefault(integerKind({ min: 1, max: 1_000_000_000, off: true }), "off", {
    key: "max_user_window_rows",
    env: "GATEKEEPER_MAX_USER_WINDOW_ROWS",
    title: "Most rows one user may get in 60 seconds",
    description: "Over all connections of the user.",
  }),
  limitAction: settingWithDefault(choiceKind(["warn", "cut", "terminate"]), "cut", {
    key: "data_guard_action",
    env: "GATEKEEPER_DATA_GUARD_ACTION",
    title: "What happens at a limit on data",
    description:
      "warn only logs and records it, to find limits that fit. cut ends the response with an error and leaves the connection usable. terminate ends the connection as well.",
  }),
  localInfile: settingWithDefault(switchKind, "off", {
    key: "local_infile",
    env: "GATEKEEPER_LOCAL_INFILE",
    title: "LOAD DATA LOCAL INFILE",
    description:
      "off hides the capability from both sides: a server cannot ask a client for its files. Switch it on for clients that load local files.",
  }),
  localInfileBytesMax: settingWithDefault(megabyteKind({ min: 1, max: 1_000_000 }), "1000", {
    key: "local_infile_max_mb",
    env: "GATEKEEPER_LOCAL_INFILE_MAX_MB",
    title: "Largest file of a LOAD DATA LOCAL INFILE",
    description:
      "In units of 1,000,000 bytes. A larger file is refused with an error, nothing of it is loaded, and the connection ends; off switches the limit off.",
  }),
};

const api = v.strictObject({
  host: settingWithDefault(hostKind, "127.0.0.1", {
    key: "host",
    env: "GATEKEEPER_API_HOST",
    title: "Address of the admin API",
    description:
      "The local address of health checks, metrics, sessions, approvals. One that other machines reach needs a key and api.tls_cert.",
  }),
  port: settingWithDefault(integerKind({ min: 0, max: 65_535 }), "8080", {
    key: "port",
    env: "GATEKEEPER_API_PORT",
    title: "Port of the admin API",
    description: "TCP port of the admin API. 0 lets the system choose a free one, which the log then names.",
  }),
  socket: setting(pathKind("path of a unix socket"), {
    key: "socket",
    env: "GATEKEEPER_API_SOCKET",
    title: "Unix socket of the admin API",
    description:
      "Listen on this unix socket instead of a TCP port; owner and group may connect. A key is needed as well.",
    example: "/run/querycop/admin.sock",
  }),
  tlsCert: setting(pathKind("path of a PEM file"), {
    key: "tls_cert",
    env: "GATEKEEPER_API_TLS_CERT",
    reloadable: true,
    title: "Certificate of the admin API",
    description: "PEM certificate chain, leaf first. With it the admin API speaks HTTPS only. Goes with api.tls_key.",
    example: "/etc/querycop/api.crt",
  }),
  tlsKey: setting(pathKind("path of a PEM file"), {
    key: "tls_key",
    env: "GATEKEEPER_API_TLS_KEY",
    reloadable: true,
    title: "Private key for api.tls_cert",
    description: "PEM private key without passphrase.",
    example: "/etc/querycop/api.key",
  }),
  publicMetrics: settingWithDefault(switchKind, "off", {
    key: "public_metrics",
    env: "GATEKEEPER_API_PUBLIC_METRICS",
    title: "Metrics without a key",
    description: "on lets everyone who reaches the admin API read /metrics, for a Prometheus that sends no key.",
  }),
  approversFile: setting(pathKind(), {
    key: "approvers_file",
    env: "GATEKEEPER_API_APPROVERS_FILE",
    title: "Keys of approvers",
    description:
      "One line for each person or program, name:hash, where the hash is the SHA-256 of a key of theirs in hexadecimal: printf %s KEY | sha256sum. They may see and answer approvals; name:hash:admin may do everything. Their names stand in the audit log.",
    example: "/etc/querycop/approvers",
    reloadable: true,
  }),
});

const log = v.strictObject({
  level: settingWithDefault(choiceKind(["debug", "info", "warn", "error"]), "info", {
    key: "level",
    env: "GATEKEEPER_LOG_LEVEL",
    reloadable: true,
    title: "Least important log line",
    description: "Lines below this level are not written.",
  }),
  format: settingWithDefault(choiceKind(["text", "json", "pretty"]), "text", {
    key: "format",
    env: "GATEKEEPER_LOG_FORMAT",
    title: "Form of log lines",
    description: "text is key=value, json one object per line, pretty for people at a terminal. All go to stderr.",
  }),
});

const DAY_MS = 86_400_000;

const audit = v.strictObject({
  file: setting(pathKind(), {
    key: "file",
    env: "GATEKEEPER_AUDIT_FILE",
    title: "Audit log",
    description:
      "Append-only NDJSON file of connects and statements. Finished segments lie beside it. Unset, and without audit.stdout, means no audit log.",
    example: "/var/lib/querycop/audit.ndjson",
  }),
  stdout: settingWithDefault(switchKind, "off", {
    key: "stdout",
    env: "GATEKEEPER_AUDIT_STDOUT",
    title: "Audit log on standard output",
    description:
      "For containers and journald, in place of audit.file. Each run is a chain of its own, and a reader that stops reading stops statements.",
  }),
  durability: settingWithDefault(choiceKind(["kernel", "durable"]), "kernel", {
    key: "durability",
    env: "GATEKEEPER_AUDIT_DURABILITY",
    title: "When an audit record counts as written",
    description:
      "kernel: when the operating system has it, so it outlives a crash of querycop. durable: when the disk has it, so it outlives a power cut; statements wait for the disk.",
  }),
  keyFile: setting(pathKind("path of a PEM file"), {
    key: "key_file",
    env: "GATEKEEPER_AUDIT_KEY_FILE",
    title: "Key that signs the audit log",
    description:
      "Ed25519 private key, mode 0600; made at the first start where there is none. Unset means audit.file with .key behind it, or a new key at each start with audit.stdout.",
    example: "/etc/querycop/audit.key",
  }),
  checkpointFile: setting(pathKind(), {
    key: "checkpoint_file",
    env: "GATEKEEPER_AUDIT_CHECKPOINT_FILE",
    title: "Copy of the signed checkpoints",
    description:
      "Each checkpoint is appended here too. Name a file that whoever may write the log may not: another machine's share, a pipe. querycop audit verify --checkpoints then finds a log whose end was cut off.",
    example: "/mnt/audit-checkpoints/querycop.ndjson",
  }),
  sealKeyFile: setting(pathKind("path of a PEM file"), {
    key: "seal_key_file",
    env: "GATEKEEPER_AUDIT_SEAL_KEY_FILE",
    title: "Key that statements as sent are sealed for",
    description:
      "X25519 public key. With it records also hold each statement with its literals, readable only with the private key, which belongs on another machine: querycop audit export --decrypt-key-file. Statements that may hold passwords are left out. Unset means no literal is kept.",
    example: "/etc/querycop/audit-reading.pub",
  }),
  segmentBytes: settingWithDefault(sizeKind({ min: 1024 ** 2, max: 64 * 1024 ** 3 }), "64MiB", {
    key: "segment_size",
    env: "GATEKEEPER_AUDIT_SEGMENT_SIZE",
    title: "Size at which a new segment begins",
    description: "The finished segment is renamed and never written again.",
  }),
  segmentAgeMs: settingWithDefault(durationKind({ min: 60_000, max: 366 * DAY_MS }), "24h", {
    key: "segment_age",
    env: "GATEKEEPER_AUDIT_SEGMENT_AGE",
    title: "Age at which a new segment begins",
    description: "Whichever comes first, size or age.",
  }),
  keepBytes: settingWithDefault(sizeKind({ min: 1024 ** 2, max: 1024 ** 5, off: true }), "off", {
    key: "keep_size",
    env: "GATEKEEPER_AUDIT_KEEP_SIZE",
    title: "Finished segments kept, by size",
    description: "The oldest beyond this size together are deleted. off: none are deleted for their size.",
  }),
  keepFiles: settingWithDefault(integerKind({ min: 1, max: 1_000_000, off: true }), "off", {
    key: "keep_files",
    env: "GATEKEEPER_AUDIT_KEEP_FILES",
    title: "Finished segments kept, by number",
    description: "The oldest beyond this number are deleted. off: none are deleted for their number.",
  }),
  keepAgeMs: settingWithDefault(durationKind({ min: 3_600_000, max: 36_600 * DAY_MS, off: true }), "off", {
    key: "keep_age",
    env: "GATEKEEPER_AUDIT_KEEP_AGE",
    title: "Finished segments kept, by age",
    description: "Segments begun longer ago are deleted when a new one begins. off: none are deleted for their age.",
  }),
  webhookUrl: setting(urlKind(["https", "http"]), {
    key: "webhook_url",
    env: "GATEKEEPER_AUDIT_WEBHOOK_URL",
    title: "Audit records to a webhook",
    description:
      "Each batch of records is posted here as NDJSON until the answer is 2xx. Follows audit.file, so nothing is lost while the receiver is away; records may come twice. http only to this machine.",
    example: "https://siem.example.com/querycop",
  }),
  webhookHeadersFile: setting(pathKind(), {
    key: "webhook_headers_file",
    env: "GATEKEEPER_AUDIT_WEBHOOK_HEADERS_FILE",
    title: "Headers for the webhook",
    description: "Lines of the form Name: value, such as Authorization: Bearer …; read again for each request.",
    example: "/etc/querycop/webhook-headers",
  }),
  otlpUrl: setting(urlKind(["https", "http"]), {
    key: "otlp_url",
    env: "GATEKEEPER_AUDIT_OTLP_URL",
    title: "Audit records to an OpenTelemetry collector",
    description:
      "Records become log records, sent by OTLP/HTTP in JSON to this very address. As for the webhook: nothing is lost, http only to this machine.",
    example: "http://127.0.0.1:4318/v1/logs",
  }),
  otlpHeadersFile: setting(pathKind(), {
    key: "otlp_headers_file",
    env: "GATEKEEPER_AUDIT_OTLP_HEADERS_FILE",
    title: "Headers for the OpenTelemetry collector",
    description: "As audit.webhook_headers_file.",
    example: "/etc/querycop/otlp-headers",
  }),
  syslogUrl: setting(urlKind(["tls", "tcp"]), {
    key: "syslog_url",
    env: "GATEKEEPER_AUDIT_SYSLOG_URL",
    title: "Audit records to a syslog server",
    description:
      "tls://host:6514 or, to this machine only, tcp://host:514. RFC 5424 messages counted in octets. Syslog confirms nothing: what was under way when a connection breaks comes twice or not at all.",
    example: "tls://logs.example.com:6514",
  }),
  forwardCaFile: setting(pathKind("path of a PEM file"), {
    key: "forward_ca_file",
    env: "GATEKEEPER_AUDIT_FORWARD_CA_FILE",
    title: "Certificates the receivers of audit records are checked against",
    description: "Unset means those the runtime brings along.",
    example: "/etc/querycop/logs-ca.pem",
  }),
});

const policy = v.strictObject({
  file: setting(pathKind(), {
    key: "file",
    env: "GATEKEEPER_POLICY_FILE",
    title: "Policy",
    description: "YAML file with rules, thresholds and exceptions. Unset means the built-in policy.",
    example: "/etc/querycop/policy.yaml",
    reloadable: true,
  }),
});

const approvals = v.strictObject({
  openMax: settingWithDefault(integerKind({ min: 1, max: 1000 }), "50", {
    key: "open_max",
    env: "GATEKEEPER_APPROVALS_OPEN_MAX",
    title: "Approval requests at a time",
    description:
      "Of all users together: those that wait, and those approved that are not used yet. Further statements that need an approval are refused. See approvals.md.",
  }),
});

const token = v.strictObject({
  childrenMax: settingWithDefault(integerKind({ min: 1, max: 256 }), "8", {
    key: "children_max",
    env: "GATEKEEPER_TOKEN_CHILDREN_MAX",
    title: "Token commands at a time",
    description: "Further logins wait for a free place within their token_timeout.",
  }),
  cacheEntriesMax: settingWithDefault(integerKind({ min: 1, max: 100_000 }), "1000", {
    key: "cache_entries_max",
    env: "GATEKEEPER_TOKEN_CACHE_ENTRIES_MAX",
    title: "Tokens kept for reuse",
    description: "One per server, port, region and user; the least recently used goes first.",
  }),
  expiryMarginMs: settingWithDefault(durationKind({ min: 1000, max: 14 * 60 * 1000 }), "1m", {
    key: "expiry_margin",
    env: "GATEKEEPER_TOKEN_EXPIRY_MARGIN",
    title: "How long before its end a token is replaced",
    description: "RDS tokens live 15 minutes, and never longer than the credentials behind them.",
  }),
  failureCacheMs: settingWithDefault(durationKind({ off: true }), "2s", {
    key: "failure_cache",
    env: "GATEKEEPER_TOKEN_FAILURE_CACHE",
    title: "How long a failure is remembered",
    description:
      "Logins in this time get the same failure at once, so that a broken token command is not run for each.",
  }),
  loginsPerSecondMax: settingWithDefault(integerKind({ min: 1, max: 10_000, off: true }), "150", {
    key: "logins_per_second_max",
    env: "GATEKEEPER_TOKEN_LOGINS_PER_SECOND_MAX",
    title: "Pace of token logins to one server",
    description: "Amazon RDS throttles at 200 new IAM connections per second. Logins beyond the pace wait their turn.",
  }),
});

/** The settings of the process as a whole. */
export const processEntries = {
  api: v.optional(api, {}),
  adminApiKey: setting(textKind(), {
    key: "admin_api_key",
    env: "ADMIN_API_KEY",
    title: "Key of the admin API",
    description:
      "Bearer key that every route except the health checks demands; without one only those answer. An environment variable only; admin_api_key_file keeps it out of the environment altogether. Make one with openssl rand -hex 16.",
    secret: true,
  }),
  adminApiKeyFile: setting(pathKind(), {
    key: "admin_api_key_file",
    env: "GATEKEEPER_ADMIN_API_KEY_FILE",
    title: "File with the key of the admin API",
    description:
      "Its first line is the key. For mounted secrets. A systemd credential named admin-api-key is found without this setting.",
    reloadable: true,
    example: "/run/credentials/querycop.service/admin-api-key",
  }),
  log: v.optional(log, {}),
  audit: v.optional(audit, {}),
  policy: v.optional(policy, {}),
  approvals: v.optional(approvals, {}),
  token: v.optional(token, {}),
  maxConnections: settingWithDefault(integerKind({ min: 1, max: 1_000_000 }), "1000", {
    key: "max_connections",
    env: "GATEKEEPER_MAX_CONNECTIONS",
    title: "Client connections at a time",
    description: "Further clients are refused with ERROR 1040. Each connection needs two file descriptors.",
  }),
  connectionsPerAddressMax: settingWithDefault(integerKind({ min: 1, max: 1_000_000, off: true }), "off", {
    key: "connections_per_address",
    env: "GATEKEEPER_CONNECTIONS_PER_ADDRESS",
    title: "Connections from one address at a time",
    description: "Further clients from the same IP address are refused with ERROR 1040.",
  }),
  connectionsPerUserMax: settingWithDefault(integerKind({ min: 1, max: 1_000_000, off: true }), "off", {
    key: "connections_per_user",
    env: "GATEKEEPER_CONNECTIONS_PER_USER",
    title: "Connections of one user at a time",
    description: "Over all listeners. Further logins of the user are refused with ERROR 1203.",
  }),
  drainTimeoutMs: settingWithDefault(durationKind({ max: 3_600_000 }), "30s", {
    key: "drain_timeout",
    env: "GATEKEEPER_DRAIN_TIMEOUT",
    title: "Time to finish on SIGTERM",
    description: "Sessions may finish their statement and transaction for this long; then they are closed.",
  }),
};

export const listenerSchema = v.strictObject(listenerEntries);
export const processSchema = v.strictObject(processEntries);

/** The path of the file itself: not a key of the file. */
export const CONFIG_FILE_ENV = "GATEKEEPER_CONFIG";
export const CONFIG_FILE_FLAG = "--config";

export type ListenerSettings = v.InferOutput<typeof listenerSchema>;
export type ProcessSettings = v.InferOutput<typeof processSchema>;

/** relay: the server checks the client's own password. The others as in the description of client_auth. */
export type ClientAuth = "relay" | "trust" | "password" | "certificate";
export type TokenSource = "none" | "command" | "rds-signer";
export type ClientTlsMode = "off" | "allow" | "require";

/** How to reach one database, with everything derived filled in. File names are absolute and were readable. */
export interface BackendConfig extends Omit<ListenerSettings["backend"], "tokenSource" | "tlsServerName"> {
  /** tls_server_name, or else the host: the name for SNI and verification. */
  readonly tlsServerName: string;
  readonly tokenSource: TokenSource;
}

/** One address to listen on and the backend behind it. */
export interface ListenerConfig extends Omit<ListenerSettings, "name" | "backend" | "proxy" | "clientAuth"> {
  readonly name: string;
  readonly backend: BackendConfig;
  readonly proxy: Omit<ListenerSettings["proxy"], "tlsMode"> & { readonly tlsMode: ClientTlsMode };
  readonly clientAuth: ClientAuth;
}

/** A line of approvers_file. */
export interface Approver {
  readonly name: string;
  readonly role: "admin" | "approver";
  /** Of the key, in hexadecimal. */
  readonly sha256: string;
}

/** Everything querycop was told, checked, with defaults and derived values filled in. */
export interface Config extends Omit<ProcessSettings, "adminApiKeyFile"> {
  /** At least one. */
  readonly listeners: readonly ListenerConfig[];
  /** Where adminApiKey was read from, if from a file. */
  readonly adminKeyFile?: string;
  /** Whose keys the admin API takes besides adminApiKey. */
  readonly approvers: readonly Approver[];
  /** The file it was read from, if any. */
  readonly file?: string;
}
