/**
 * The one schema of every setting. The reference page, the example file, the JSON Schema, the option list of --help and
 * the loader are all printed or driven from here; nothing else knows a default.
 */

import * as v from "valibot";
import { isAddressRange } from "../base/address-ranges.ts";
import type { ApiRole } from "../base/api-role.ts";
import type { ConnectionLoads } from "../base/load-rule.ts";
import { isName } from "./approvers-file.ts";
import { loadRulesKind } from "./load-rules.ts";
import {
  basePathKind,
  choiceKind,
  durationKind,
  endpointKind,
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

const BACKEND_ENGINES = ["mysql", "postgresql", "dsql"] as const;
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
  proxyProtocol: setting(listKind("addresses, CIDR ranges or the word unix", isAddressRange), {
    key: "proxy_protocol",
    env: "GATEKEEPER_LISTEN_PROXY_PROTOCOL",
    title: "Load balancers that say who the client is",
    description:
      "From these addresses, and from no others, connections are taken, and each begins with a header of the PROXY protocol, version 1 or 2. The client's address in it then counts in limits, policy, audit and logs. Set it behind a load balancer that is set to send the header, and only then.",
    example: "10.0.1.0/24,10.0.2.7",
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
  engine: setting(choiceKind(BACKEND_ENGINES), {
    key: "engine",
    env: "GATEKEEPER_BACKEND_ENGINE",
    title: "What the database speaks",
    description:
      "mysql: MySQL, MariaDB, RDS and Aurora MySQL, Vitess. postgresql: PostgreSQL, RDS and Aurora PostgreSQL. dsql: Aurora DSQL. Unset means dsql where backend.host or backend.tls_server_name is an endpoint of Aurora DSQL, else mysql.",
    example: "mysql",
  }),
  port: settingWithDefault(integerKind({ min: 1, max: 65_535 }), "3306", {
    key: "port",
    env: "GATEKEEPER_BACKEND_PORT",
    title: "Database port",
    description: "TCP port of the database server. Unset means 5432 where backend.engine is postgresql or dsql.",
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
    description:
      "How long name lookup and TCP connect may take together before the client's connection ends, as with a server that is not there.",
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
  progressTimeoutMs: settingWithDefault(durationKind({ off: true }), "1h", {
    key: "progress_timeout",
    env: "GATEKEEPER_BACKEND_PROGRESS_TIMEOUT",
    title: "Time an answer may stand still once it has begun",
    description:
      "Also for a file of LOAD DATA LOCAL on its way to the server. A server may look for the next rows of a long answer for a while, so keep it above that; one whose host is gone is noticed within a minute or two by TCP keep-alive.",
  }),
  tlsMode: settingWithDefault(choiceKind(BACKEND_TLS_MODES), "prefer", {
    key: "tls_mode",
    env: "GATEKEEPER_BACKEND_TLS_MODE",
    title: "TLS towards the database",
    description:
      "disable: plaintext. prefer: TLS if the server offers it, plaintext otherwise, nothing verified. require: TLS or nothing, nothing verified. verify-ca: the certificate must chain to tls_ca_file. verify-full: and carry the server's name. Use verify-full for every real database. Unset means verify-full where backend.engine is dsql, which takes nothing else.",
  }),
  tlsCaFile: setting(pathKind("path of a PEM file, or system"), {
    key: "tls_ca_file",
    env: "GATEKEEPER_BACKEND_TLS_CA_FILE",
    title: "Certificate authorities for the database",
    description:
      "PEM bundle the server's certificate must chain to. The word system uses the bundle of the operating system. Required for verify-ca and verify-full; unset means system where backend.engine is dsql. Amazon RDS is not in system bundles: download https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem.",
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
  tokenEndpoint: setting(endpointKind, {
    key: "token_endpoint",
    env: "GATEKEEPER_BACKEND_TOKEN_ENDPOINT",
    title: "Server that tokens are for",
    description:
      "Host and port that a login token names, when backend.host and backend.port are those of a tunnel or a forwarded port: the server refuses a token for any other endpoint. Unset: backend.host, or tls_server_name where backend.host is no RDS name, with backend.port.",
    example: "mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com:3306",
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
  tokenSource: setting(choiceKind(["command", "rds-signer", "dsql-signer"]), {
    key: "token_source",
    env: "GATEKEEPER_BACKEND_TOKEN_SOURCE",
    title: "Where login tokens come from",
    example: "rds-signer",
    description:
      "command runs token_cmd; rds-signer makes Amazon RDS tokens inside querycop with the standard AWS credential chain, about a thousand times cheaper than the aws program; dsql-signer does the same for Aurora DSQL, with the permission dsql:DbConnectAdmin for the user admin and dsql:DbConnect for all others. Unset means command if token_cmd is set, else dsql-signer where backend.engine is dsql, else none: the client's own password then goes to the server.",
  }),
  tokenCmd: setting(textKind("shell command line"), {
    key: "token_cmd",
    env: "GATEKEEPER_BACKEND_TOKEN_CMD",
    title: "Command that prints a login token",
    description:
      "Run by sh -c when a login needs a token; the first line of its output is the token. It sees QUERYCOP_BACKEND_HOST, QUERYCOP_BACKEND_PORT, QUERYCOP_BACKEND_USER and QUERYCOP_BACKEND_REGION. What it writes to stderr stands in the log when it fails, without what looks like a token; whatever it leaves running is killed. Needs tls_mode require, verify-ca or verify-full.",
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
      "Read from the host name of an RDS or Aurora DSQL endpoint (backend.host or tls_server_name) when unset. Set it when neither names the region.",
    example: "eu-central-1",
  }),
  role: setting(textKind(), {
    key: "role",
    env: "GATEKEEPER_BACKEND_ROLE",
    title: "What this backend is",
    description:
      "Logged, audited, shown in metrics and held against the server by doctor. writer also keeps clients of MySQL and MariaDB off readers after a failover, see failover_wait; every other word is a label.",
    example: "writer",
  }),
  failoverWaitMs: settingWithDefault(durationKind({ off: true }), "10s", {
    key: "failover_wait",
    env: "GATEKEEPER_BACKEND_FAILOVER_WAIT",
    title: "How long a login looks for the writer",
    description:
      "With role writer, for MySQL and MariaDB without a pooler in front: a server that is read_only or innodb_read_only is left, and the name looked up again for so long before the client's connection ends; sessions on a server that became a reader end between two transactions, so that pools connect anew. off makes role a label.",
  }),
  pooler: setting(textKind(), {
    key: "pooler",
    env: "GATEKEEPER_BACKEND_POOLER",
    title: "Pooler in front of this backend",
    description:
      "Logged, audited, shown in metrics and given to the policy. rds-proxy also keeps session_tracking off where that is auto.",
    example: "vitess",
  }),
  sessionTracking: settingWithDefault(choiceKind(["auto", "on", "off"]), "auto", {
    key: "session_tracking",
    env: "GATEKEEPER_BACKEND_SESSION_TRACKING",
    title: "Whether sessions report their settings",
    description:
      "With a policy querycop must know by which settings a session reads SQL. on sends one SET to each session of a client that can do session tracking: it adds to session_track_system_variables, and settings are then reported as they change. off sends no SET and asks with a SELECT behind every statement that may change one. auto means on, but off where pooler is rds-proxy, which pins a connection that sets a variable to its client.",
  }),
  syntaxCheck: settingWithDefault(choiceKind(["on", "off"]), "on", {
    key: "syntax_check",
    env: "GATEKEEPER_BACKEND_SYNTAX_CHECK",
    title: "Whether the server's parser is asked about text that querycop does not understand",
    description:
      "on: before such a text is refused it is put to the server as COM_STMT_PREPARE, which parses and runs nothing; where the server cannot parse it either, the client gets the server's own syntax error, and no block is recorded. off: it is refused unseen. Not asked where pooler is set, of Vitess, of several statements in one text, and where rules for injection match.",
  }),
});

const proxy = v.strictObject({
  tlsMode: setting(choiceKind(["off", "allow", "require"]), {
    key: "tls_mode",
    env: "GATEKEEPER_PROXY_TLS_MODE",
    title: "TLS towards clients",
    example: "require",
    description:
      "off: plaintext only. allow: TLS for clients that ask for it, with a certificate made at each start where tls_cert is unset: it keeps out who only listens, and clients that verify need tls_cert. require: clients without TLS are refused with ERROR 3159; needs tls_cert. Unset means require if tls_client_ca is set, else allow.",
  }),
  tlsCert: setting(pathKind("path of a PEM file"), {
    key: "tls_cert",
    env: "GATEKEEPER_PROXY_TLS_CERT",
    example: "/etc/querycop/proxy.crt",
    title: "Certificate shown to clients",
    description:
      "PEM certificate chain, leaf first. Goes with tls_key. An EC P-256 key costs the least per connection. Unset: one that no client can verify, made in memory at each start.",
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

const {
  host: _host,
  port: _port,
  tlsMode: _tlsMode,
  tokenSource: _tokenSource,
  tokenCmd: _tokenCmd,
  tokenTimeoutMs: _tokenTimeoutMs,
  ...backendEntriesOfConnections
} = backend.entries;

const PASSWORD_SOURCES = ["iam", "secret", "parameter", "command", "file"] as const;

/** The settings of a named connection. Those of the backend mean what they mean there. */
export const connectionEntries = {
  description: setting(textKind(), {
    key: "description",
    title: "What the connection is for",
    description: "Shown by querycop connections list.",
    example: "nightly reports",
  }),
  enabled: settingWithDefault(switchKind, "on", {
    key: "enabled",
    title: "Whether the connection may be used",
    description: "off refuses whoever wants to use it, by name.",
  }),
  host: setting(hostKind, {
    key: "host",
    title: "Database server",
    description: "DNS name or IP address. Unset: the host in the secret.",
    example: "mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com",
  }),
  port: setting(integerKind({ min: 1, max: 65_535 }), {
    key: "port",
    title: "Database port",
    description:
      "Unset: the port in the secret where the host is from there as well, or else 3306; 5432 for PostgreSQL and Aurora DSQL.",
    example: "3306",
  }),
  user: setting(textKind(), {
    key: "user",
    title: "Database user",
    description:
      "Who querycop logs in as, and the name that policy and audit know the connection by. Unset: the server's user is the one in the secret, which may change with a rotation, and policy and audit go by the connection's name.",
    example: "reporting",
  }),
  database: setting(textKind(), {
    key: "database",
    title: "Default database",
    description: "For querycop exec and querycop connect. Unset: the dbname in the secret, if there is one.",
    example: "shop",
  }),
  passwordSource: setting(choiceKind(PASSWORD_SOURCES), {
    key: "password_source",
    title: "Where the password comes from",
    description:
      "iam: a login token signed by the AWS credential chain. secret: AWS Secrets Manager. parameter: AWS Systems Manager Parameter Store. command: the first line that a command prints. file: the first line of a file. Unset: whichever of secret_id, password_parameter, password_cmd and password_file is set, or else iam. A password itself is never written here.",
    example: "secret",
  }),
  secretId: setting(textKind("name or ARN"), {
    key: "secret_id",
    title: "Secret in AWS Secrets Manager",
    description:
      "Its name or ARN. JSON as Amazon RDS makes it: username and password, and where they are there host, port, dbname and engine for what is unset here.",
    example: "prod/reporting",
  }),
  secretFormat: settingWithDefault(choiceKind(["json", "text"]), "json", {
    key: "secret_format",
    title: "Form of the secret",
    description: "text: the whole secret is the password.",
  }),
  passwordParameter: setting(textKind("name or ARN"), {
    key: "password_parameter",
    title: "Parameter that holds the password",
    description: "Name or ARN of a parameter, a SecureString as a rule; name:version and name:label as well.",
    example: "/prod/reporting/password",
  }),
  passwordCmd: setting(textKind("shell command line"), {
    key: "password_cmd",
    title: "Command that prints the password",
    description:
      "Run by sh -c; the first line of its output is the password. It sees QUERYCOP_CONNECTION, QUERYCOP_BACKEND_HOST, QUERYCOP_BACKEND_PORT and QUERYCOP_BACKEND_USER.",
    example: "vault kv get -field=password secret/reporting",
  }),
  passwordFile: setting(pathKind(), {
    key: "password_file",
    title: "File that holds the password",
    description:
      "Its first line is the password. Read again after five minutes, and at once when the server refuses the password.",
    example: "/run/credentials/querycop.service/reporting",
  }),
  passwordTimeoutMs: settingWithDefault(durationKind(), "10s", {
    key: "password_timeout",
    title: "Time to get the password",
    description: "A command that runs longer is killed; a request to AWS that takes longer is given up.",
  }),
  tlsMode: settingWithDefault(choiceKind(BACKEND_TLS_MODES), "verify-full", {
    key: "tls_mode",
    title: "TLS towards the database",
    description:
      "As backend.tls_mode, but verify-full unless set: whoever a password is sent to must be the right one. With a password the others but verify-ca are for a server on this machine; disable also with public_key_file.",
  }),
  loads: setting(loadRulesKind, {
    key: "loads",
    title: "What may be loaded from S3",
    description:
      "Nothing is loaded that no entry allows: from (s3://bucket/key, or a prefix with * at its end) into tables (schema.table or schema.*, several with commas) by modes (unset: all of append, abort, delete, replace, switch, truncate), objects of max_bytes at most, packed and unpacked (50GiB unless set). From tables into s3://bucket/prefix* allows the way back. It holds for querycop load, and for clients' own LOAD DATA FROM S3 (a mode of append, and no max_bytes, which nobody could hold them to) and SELECT INTO OUTFILE S3: rule file.s3.",
    example: "[{ from: 's3://ingest-prod/sales/*', into: shop.sales, modes: [append, replace], max_bytes: 5GiB }]",
  }),
  ...backendEntriesOfConnections,
};

/** The settings each listener has for itself. Written at the top level they are shared by all listeners. */
export const listenerEntries = {
  name: setting(textKind(), {
    key: "name",
    title: "Name of the listener",
    description: "Stands in log lines, audit records and metrics. Unset means the address it listens on.",
    example: "writer",
  }),
  listen: v.optional(listen, {}),
  connection: setting(textKind("name under connections"), {
    key: "connection",
    title: "Named connection this listener leads to",
    description:
      "In place of backend: an entry of connections, with its host written there. querycop logs in with the connection's password, so client_auth must say who may come; with trust they come under the connection's user or name.",
    example: "reporting",
  }),
  backend,
  proxy: v.optional(proxy, {}),
  clientAuth: setting(choiceKind(["relay", "trust", "password", "certificate"]), {
    key: "client_auth",
    env: "GATEKEEPER_CLIENT_AUTH",
    title: "How clients prove who they are",
    example: "password",
    description:
      "relay: the server checks the client's own login, and a token source is left unused. The others are for a token source, with which the client's password proves nothing to the server. trust: whoever reaches the port may use any user of iam_users. password: querycop checks it against users_file. certificate: the client's TLS certificate names the user. Must be chosen when the listener is reachable from other machines. Unset without a token source: relay.",
  }),
  usersFile: setting(pathKind(), {
    key: "users_file",
    env: "GATEKEEPER_USERS_FILE",
    title: "Users and password hashes",
    description:
      "For client_auth password: one line per user, user:hash, as querycop hash-password prints it. Hashes only: mysql_native_password, caching_sha2_password, or for clients of PostgreSQL a SCRAM-SHA-256 verifier. A user that is taken out is refused from the moment the file is read, in the middle of a login as well; its open sessions go on.",
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
    description: "A session ends when its client has not accepted what was sent to it for this long.",
  }),
  clientLeftTimeoutMs: settingWithDefault(durationKind({ off: true }), "10s", {
    key: "client_left_timeout",
    env: "GATEKEEPER_CLIENT_LEFT_TIMEOUT",
    title: "Time a statement runs on for a client that has closed its side",
    description:
      "Counts while the database sends nothing: that client may still read, but most that close are gone. Then its session ends; with a token source the statement is stopped on the server as well (KILL QUERY), without one the server stops when it notices.",
  }),
  clientPacketTimeoutMs: settingWithDefault(durationKind({ off: true }), "2m", {
    key: "client_packet_timeout",
    env: "GATEKEEPER_CLIENT_PACKET_TIMEOUT",
    title: "Time a client may take for one packet",
    description:
      "From its first byte to its last. A client that begins a statement and does not finish it holds memory. Raise it for large statements over slow links.",
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
      "One line for each person or program, name:hash, where the hash is the SHA-256 of a key of theirs in hexadecimal: printf %s KEY | sha256sum. They may see and answer approvals; name:hash:admin may do everything, name:hash:requester may ask for approvals of loads and nothing else. Their names stand in the audit log.",
    example: "/etc/querycop/approvers",
    reloadable: true,
  }),
  dashboard: settingWithDefault(switchKind, "on", {
    key: "dashboard",
    env: "GATEKEEPER_API_DASHBOARD",
    title: "Dashboard in the browser",
    description:
      "on answers / of the admin API with the dashboard, where there is a key to log in with. It is inside the executable and loads nothing from elsewhere.",
  }),
  basePath: setting(basePathKind, {
    key: "base_path",
    env: "GATEKEEPER_API_BASE_PATH",
    title: "Path before every route of the admin API",
    description:
      "For a reverse proxy that passes on a path of its own, such as /querycop. Health checks are answered without it as well.",
    example: "/querycop",
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
  records: settingWithDefault(choiceKind(["short", "whole"]), "short", {
    key: "records",
    env: "GATEKEEPER_AUDIT_RECORDS",
    title: "How audit.file holds the records of statements",
    description:
      "short: what belongs to the session or to the statement's shape stands once in a file, which querycop audit and the receivers show as whole records. whole: each line has all of it, for programs that read the file themselves; it takes some four times the space.",
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
  judgeTimeoutMs: settingWithDefault(durationKind(), "20s", {
    key: "judge_timeout",
    env: "GATEKEEPER_POLICY_JUDGE_TIMEOUT",
    title: "Time to judge one long statement",
    description:
      "Texts beyond 16 KiB are judged beside the sessions. One that takes longer than this is refused and never sent; one that holds up other clients' texts gets 5 seconds at most. No text should come near it: raise it only on a machine that is slow or crowded.",
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
  webhookUrl: setting(urlKind(["https", "http"]), {
    key: "webhook_url",
    env: "GATEKEEPER_APPROVALS_WEBHOOK_URL",
    title: "Requests for approval to a webhook",
    description:
      "Each request and how it ends is posted here, signed with the first secret of approvals.webhook_secret_file, as Standard Webhooks has it. Nothing waits for the receiver. http only to this machine. See approvals.md.",
    example: "https://chat-bridge.example.com/querycop",
  }),
  webhookSecretFile: setting(pathKind(), {
    key: "webhook_secret_file",
    env: "GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE",
    title: "Secrets of the webhook",
    description:
      "One a line, whsec_ and 24 to 64 bytes in base64; the first signs, each is taken. Read again each time, so that they can be exchanged.",
    example: "/etc/querycop/approvals-webhook-secret",
  }),
  webhookCaFile: setting(pathKind(), {
    key: "webhook_ca_file",
    env: "GATEKEEPER_APPROVALS_WEBHOOK_CA_FILE",
    title: "CA certificates of the webhook",
    description: "Trusted in place of the system's.",
    example: "/etc/querycop/bridge-ca.pem",
  }),
  webhookApprovers: setting(listKind("names of approvers", isName), {
    key: "webhook_approvers",
    env: "GATEKEEPER_APPROVALS_WEBHOOK_APPROVERS",
    title: "Who may answer by the webhook's sender",
    description:
      "Names that a signed POST /approvals/answers may answer as. Who holds the secret says which of them clicked. Unset: nobody answers that way.",
    example: "alice,bob@corp.example",
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
const dsql = v.strictObject({
  rulesFile: setting(pathKind(), {
    key: "rules_file",
    env: "GATEKEEPER_DSQL_RULES_FILE",
    title: "What is known of Aurora DSQL anew",
    description:
      'JSON of the form {"rules": [{"id": "truncate", "until": "2027-01-31"}]}, read at start: rows take the place of the built-in ones that querycop dsql rules --json prints, or are added to them. Aurora DSQL changes every month.',
    example: "/etc/querycop/dsql-rules.json",
  }),
  refuseEarly: settingWithDefault(switchKind, "off", {
    key: "refuse_early",
    env: "GATEKEEPER_DSQL_REFUSE_EARLY",
    title: "Whether what Aurora DSQL is known to refuse is not even sent",
    description:
      "off: everything is sent that the policy allows, and the server's error gets a hint. on: outside of a transaction, texts that break a rule of transactions by themselves are refused before: several DDL statements, or DDL and DML, in one text; more than 3,000 rows in one VALUES; CREATE INDEX without ASYNC.",
  }),
  connectionLimitMs: settingWithDefault(durationKind({ max: 24 * 3_600_000, off: true }), "1h", {
    key: "connection_limit",
    env: "GATEKEEPER_DSQL_CONNECTION_LIMIT",
    title: "Age at which Aurora DSQL ends a connection",
    description:
      "At 55 sixtieths of it the client gets a notice, and from 59 sixtieths on querycop ends the connection between two transactions, so that none is cut by the server. off: nothing is done.",
  }),
});

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
  dsql: v.optional(dsql, {}),
  maxConnections: settingWithDefault(integerKind({ min: 1, max: 1_000_000 }), "1000", {
    key: "max_connections",
    env: "GATEKEEPER_MAX_CONNECTIONS",
    title: "Client connections at a time",
    description: "Further clients are refused with ERROR 1040. Each connection needs two file descriptors.",
  }),
  memoryBudgetBytes: setting(sizeKind({ min: 16 * 1024 ** 2, max: 1024 ** 4 }), {
    key: "memory_budget",
    env: "GATEKEEPER_MEMORY_BUDGET",
    title: "Memory of all sessions together",
    description:
      "What they may hold for their peers: packets that are not whole yet, statements under way, rows not taken, texts of prepared statements. Beyond it large packets wait up to half a minute and are then refused with ERROR 1041, connections that are slow to send or take end, and small statements go on. The process itself needs about 100 MiB besides. Unset: by the limit of the cgroup, a third of what it leaves beside the process; without one a quarter of the machine's memory. See deployment.md.",
    example: "256MiB",
  }),
  connectionsPerAddressMax: setting(integerKind({ min: 1, max: 1_000_000, off: true }), {
    key: "connections_per_address",
    env: "GATEKEEPER_CONNECTIONS_PER_ADDRESS",
    title: "Connections from one address at a time",
    description:
      "Further clients from the same IP address are refused with ERROR 1040. The addresses of one /64 of IPv6 count as one, because a single machine may have them all. Unset: three quarters of max_connections, so that no address can lock the others out. Where all clients come from one address, such as a load balancer's, set it to off. Clients of a unix socket are not counted.",
    example: "100",
  }),
  loginConnectionsMax: settingWithDefault(integerKind({ min: 1, max: 100_000 }), "100", {
    key: "login_connections_max",
    env: "GATEKEEPER_LOGIN_CONNECTIONS_MAX",
    title: "Connections that have not logged in at a time",
    description:
      "From so many on, those end whose client has kept querycop waiting for its login for two seconds. Where the server checks passwords, so many connections to it are open for clients that have not logged in; further clients are greeted without one. Keep it below the server's max_connections.",
  }),
  connectionsPerUserMax: settingWithDefault(integerKind({ min: 1, max: 1_000_000, off: true }), "off", {
    key: "connections_per_user",
    env: "GATEKEEPER_CONNECTIONS_PER_USER",
    title: "Connections of one user at a time",
    description: "Over all listeners. Further logins of the user are refused with ERROR 1203.",
  }),
  drainDelayMs: settingWithDefault(durationKind({ max: 3_600_000, off: true }), "off", {
    key: "drain_delay",
    env: "GATEKEEPER_DRAIN_DELAY",
    title: "Time between SIGTERM and the drain",
    description:
      "/readyz says at once that this process is on its way out, while it goes on to take clients for this long: until load balancers and Kubernetes have taken it off their lists. A second signal ends it all at once.",
  }),
  drainTimeoutMs: settingWithDefault(durationKind({ max: 3_600_000 }), "30s", {
    key: "drain_timeout",
    env: "GATEKEEPER_DRAIN_TIMEOUT",
    title: "Time to finish on SIGTERM",
    description: "Sessions may finish their statement and transaction for this long; then they are closed.",
  }),
};

export const listenerSchema = v.strictObject(listenerEntries);
export const connectionSchema = v.strictObject(connectionEntries);
export const processSchema = v.strictObject(processEntries);

/** The path of the file itself: not a key of the file. */
export const CONFIG_FILE_ENV = "GATEKEEPER_CONFIG";
export const CONFIG_FILE_FLAG = "--config";

export type ListenerSettings = v.InferOutput<typeof listenerSchema>;
export type ProcessSettings = v.InferOutput<typeof processSchema>;

/** relay: the server checks the client's own password. The others as in the description of client_auth. */
export type ClientAuth = "relay" | "trust" | "password" | "certificate";
export type BackendEngine = (typeof BACKEND_ENGINES)[number];
/** `password`: none is minted, a password that querycop holds is used. */
export type TokenSource = "none" | "command" | "rds-signer" | "dsql-signer" | "password";
export type ClientTlsMode = "off" | "allow" | "require";

/** How to reach one database, with everything derived filled in. File names are absolute and were readable. */
export interface BackendConfig extends Omit<ListenerSettings["backend"], "engine" | "tokenSource" | "tlsServerName"> {
  readonly engine: BackendEngine;
  /** tls_server_name, or else the host: the name for SNI and verification. */
  readonly tlsServerName: string;
  readonly tokenSource: TokenSource;
}

export type ConnectionSettings = v.InferOutput<typeof connectionSchema>;

/** Where a password comes from, with what that source needs. */
export type PasswordConfig =
  | { readonly source: "iam" }
  | { readonly source: "secret"; readonly id: string; readonly format: "json" | "text" }
  | { readonly source: "parameter"; readonly name: string }
  | { readonly source: "command"; readonly command: string }
  | { readonly source: "file"; readonly path: string };

/** The account of a named connection. */
export interface AccountConfig {
  /** The connection's name. */
  readonly connection: string;
  readonly user?: string;
  readonly password: PasswordConfig;
  readonly timeoutMs: number;
  /** As written; the region of the host is not meant. */
  readonly region?: string;
  /** What may come from S3 and go there. Without them nobody asks: who loads looks at them by himself. */
  readonly loads?: ConnectionLoads;
}

/** A named connection, checked. */
export interface ConnectionConfig {
  readonly name: string;
  readonly description?: string;
  readonly enabled: boolean;
  readonly database?: string;
  readonly account: AccountConfig;
  /** What must be had from the secret: the listener's backend then has stand-ins. */
  readonly hostFromSecret: boolean;
  /** The same for the port, where the secret says one. */
  readonly portFromSecret: boolean;
  /** A listener with this backend and the settings that all listeners share. */
  readonly listener: ListenerConfig;
}

/** One address to listen on and the backend behind it. */
export interface ListenerConfig extends Omit<ListenerSettings, "name" | "backend" | "proxy" | "clientAuth"> {
  readonly name: string;
  readonly backend: BackendConfig;
  readonly proxy: Omit<ListenerSettings["proxy"], "tlsMode"> & { readonly tlsMode: ClientTlsMode };
  readonly clientAuth: ClientAuth;
  /** Of its named connection, if it leads to one. */
  readonly account?: AccountConfig;
}

/** A line of approvers_file. */
export interface Approver {
  readonly name: string;
  readonly role: ApiRole;
  /** Of the key, in hexadecimal. */
  readonly sha256: string;
}

/** Everything querycop was told, checked, with defaults and derived values filled in. */
export interface Config extends Omit<ProcessSettings, "adminApiKeyFile"> {
  /** At least one, unless the configuration was loaded for its connections. */
  readonly listeners: readonly ListenerConfig[];
  readonly connections: readonly ConnectionConfig[];
  /** Where adminApiKey was read from, if from a file. */
  readonly adminKeyFile?: string;
  /** Whose keys the admin API takes besides adminApiKey. */
  readonly approvers: readonly Approver[];
  /** The file it was read from, if any. */
  readonly file?: string;
}
