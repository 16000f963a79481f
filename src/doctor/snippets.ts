/** How to connect to a listener, driver by driver: the very options this configuration asks of a client. */
import type { ListenerConfig } from "../config/schema.ts";

import { postgresSnippets } from "./postgres/snippets.ts";
import { bracketed, CA_FILE, type Place, type Snippet, type Tls } from "./snippet.ts";

/** PASSWORD stands for the client's own; it is ignored with client_auth trust. */
export function connectionSnippets(listener: ListenerConfig, user = "USER"): Snippet[] {
  const { host, port, socket } = listener.listen;
  const place: Place = {
    host: host === "0.0.0.0" || host === "::" ? "QUERYCOP_HOST" : host,
    port,
    socket,
    tls: tlsOf(listener),
    user,
  };
  if (listener.backend.engine !== "mysql") return postgresSnippets(place);
  return [
    { driver: "mysql", text: mysqlCommand(place) },
    { driver: "mariadb", text: mariadbCommand(place) },
    { driver: "JDBC", text: jdbc(place) },
    { driver: "mysql2", text: mysql2(place) },
    { driver: "PyMySQL", text: pyMySql(place) },
    { driver: "Go", text: goDriver(place) },
    { driver: "PHP", text: php(place) },
    { driver: "Ruby", text: ruby(place) },
  ];
}

/** On a unix socket there is nothing to encrypt. */
function tlsOf({ proxy, listen }: ListenerConfig): Tls {
  if (proxy.tlsMode === "off" || listen.socket !== undefined) return "off";
  return proxy.tlsCert === undefined ? "self-made" : "certificate";
}

/** The key that a caching_sha2_password login asks for without TLS is fetched by itself where no option stands. */
function mysqlCommand({ host, port, socket, tls, user }: Place): string {
  if (socket !== undefined) return `mysql --socket=${socket} --user=${user} -p`;
  const options: Readonly<Record<Tls, string>> = {
    off: " --ssl-mode=DISABLED --get-server-public-key",
    "self-made": " --ssl-mode=REQUIRED",
    certificate: ` --ssl-mode=VERIFY_IDENTITY --ssl-ca=${CA_FILE}`,
  };
  return `mysql --protocol=TCP --host=${host} --port=${port} --user=${user} -p${options[tls]}`;
}

/** Clients of 11.4 and newer verify unless they are told not to; older ones take TLS only where an option says so. */
function mariadbCommand({ host, port, socket, tls, user }: Place): string {
  if (socket !== undefined) return `mariadb --socket=${socket} --user=${user} -p`;
  const options: Readonly<Record<Tls, string>> = {
    off: " --skip-ssl",
    "self-made": " --ssl --disable-ssl-verify-server-cert",
    certificate: ` --ssl --ssl-verify-server-cert --ssl-ca=${CA_FILE}`,
  };
  return `mariadb --protocol=TCP --host=${host} --port=${port} --user=${user} -p${options[tls]}`;
}

function jdbc({ host, port, socket, tls, user }: Place): string {
  if (socket !== undefined) return "Connector/J has no unix sockets: give querycop a listen.port";
  const options: Readonly<Record<Tls, string>> = {
    off: "sslMode=DISABLED&allowPublicKeyRetrieval=true",
    "self-made": "sslMode=REQUIRED",
    certificate: "sslMode=VERIFY_IDENTITY&trustCertificateKeyStoreUrl=file:/path/to/truststore.p12",
  };
  return `jdbc:mysql://${bracketed(host)}:${port}/SCHEMA?user=${user}&${options[tls]}`;
}

function mysql2({ host, port, socket, tls, user }: Place): string {
  const place = socket === undefined ? `host: "${host}", port: ${port}` : `socketPath: "${socket}"`;
  const options: Readonly<Record<Tls, string>> = {
    off: "",
    "self-made": ", ssl: { rejectUnauthorized: false }",
    certificate: `, ssl: { ca: fs.readFileSync("${CA_FILE}") }`,
  };
  return `mysql.createConnection({ ${place}, user: "${user}", password: PASSWORD${options[tls]} })`;
}

function pyMySql({ host, port, socket, tls, user }: Place): string {
  const place = socket === undefined ? `host="${host}", port=${port}` : `unix_socket="${socket}"`;
  const options: Readonly<Record<Tls, string>> = {
    off: "",
    "self-made": ', ssl={"check_hostname": False}',
    certificate: `, ssl={"ca": "${CA_FILE}"}`,
  };
  return `pymysql.connect(${place}, user="${user}", password=PASSWORD${options[tls]})`;
}

function goDriver({ host, port, socket, tls, user }: Place): string {
  const place = socket === undefined ? `tcp(${bracketed(host)}:${port})` : `unix(${socket})`;
  // tls=true takes the roots of the system; other roots are registered by mysql.RegisterTLSConfig.
  const options: Readonly<Record<Tls, string>> = { off: "", "self-made": "?tls=skip-verify", certificate: "?tls=true" };
  return `sql.Open("mysql", "${user}:PASSWORD@${place}/SCHEMA${options[tls]}")`;
}

function php({ host, port, socket, tls, user }: Place): string {
  const place = socket === undefined ? `host=${host};port=${port}` : `unix_socket=${socket}`;
  const ssl = tls === "certificate" ? `, [PDO::MYSQL_ATTR_SSL_CA => "${CA_FILE}"]` : "";
  return `new PDO("mysql:${place};dbname=SCHEMA;charset=utf8mb4", "${user}", PASSWORD${ssl})`;
}

function ruby({ host, port, socket, tls, user }: Place): string {
  const place = socket === undefined ? `host: "${host}", port: ${port}` : `socket: "${socket}"`;
  const options: Readonly<Record<Tls, string>> = {
    off: "",
    "self-made": ", ssl_mode: :required",
    certificate: `, ssl_mode: :verify_identity, sslca: "${CA_FILE}"`,
  };
  return `Mysql2::Client.new(${place}, username: "${user}", password: PASSWORD${options[tls]})`;
}
