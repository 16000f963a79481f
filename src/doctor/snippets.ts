/** How to connect to a listener, driver by driver: the very options this configuration asks of a client. */
import type { ListenerConfig } from "../config/schema.ts";

export interface Snippet {
  readonly driver: string;
  readonly text: string;
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly socket: string | undefined;
  /** Whether the listener can do TLS: then the client should ask for it and verify. */
  readonly isTls: boolean;
  readonly user: string;
}

const CA_FILE = "/path/to/ca-of-querycop.pem";

/** PASSWORD stands for the client's own; it is ignored with client_auth trust. */
export function connectionSnippets(listener: ListenerConfig, user = "USER"): Snippet[] {
  const { host, port, socket } = listener.listen;
  const place: Place = {
    host: host === "0.0.0.0" || host === "::" ? "QUERYCOP_HOST" : host,
    port,
    socket,
    isTls: listener.proxy.tlsMode !== "off" && socket === undefined,
    user,
  };
  return [
    { driver: "mysql", text: mysqlCommand(place) },
    { driver: "JDBC", text: jdbc(place) },
    { driver: "mysql2", text: mysql2(place) },
    { driver: "PyMySQL", text: pyMySql(place) },
    { driver: "Go", text: goDriver(place) },
    { driver: "PHP", text: php(place) },
    { driver: "Ruby", text: ruby(place) },
  ];
}

function mysqlCommand({ host, port, socket, isTls, user }: Place): string {
  if (socket !== undefined) return `mysql --socket=${socket} --user=${user} -p`;
  const tls = isTls ? `--ssl-mode=VERIFY_IDENTITY --ssl-ca=${CA_FILE}` : "--ssl-mode=DISABLED";
  return `mysql --protocol=TCP --host=${host} --port=${port} --user=${user} -p ${tls}`;
}

function jdbc({ host, port, socket, isTls, user }: Place): string {
  if (socket !== undefined) return "Connector/J has no unix sockets: give querycop a listen.port";
  const tls = isTls
    ? "sslMode=VERIFY_IDENTITY&trustCertificateKeyStoreUrl=file:/path/to/truststore.p12"
    : "sslMode=DISABLED";
  return `jdbc:mysql://${bracketed(host)}:${port}/SCHEMA?user=${user}&${tls}`;
}

function mysql2({ host, port, socket, isTls, user }: Place): string {
  const place = socket === undefined ? `host: "${host}", port: ${port}` : `socketPath: "${socket}"`;
  const tls = isTls ? `, ssl: { ca: fs.readFileSync("${CA_FILE}") }` : "";
  return `mysql.createConnection({ ${place}, user: "${user}", password: PASSWORD${tls} })`;
}

function pyMySql({ host, port, socket, isTls, user }: Place): string {
  const place = socket === undefined ? `host="${host}", port=${port}` : `unix_socket="${socket}"`;
  const tls = isTls ? `, ssl={"ca": "${CA_FILE}"}` : "";
  return `pymysql.connect(${place}, user="${user}", password=PASSWORD${tls})`;
}

function goDriver({ host, port, socket, isTls, user }: Place): string {
  const place = socket === undefined ? `tcp(${bracketed(host)}:${port})` : `unix(${socket})`;
  // tls=true takes the roots of the system; other roots are registered by mysql.RegisterTLSConfig.
  return `sql.Open("mysql", "${user}:PASSWORD@${place}/SCHEMA${isTls ? "?tls=true" : ""}")`;
}

function php({ host, port, socket, isTls, user }: Place): string {
  const place = socket === undefined ? `host=${host};port=${port}` : `unix_socket=${socket}`;
  const tls = isTls ? `, [PDO::MYSQL_ATTR_SSL_CA => "${CA_FILE}"]` : "";
  return `new PDO("mysql:${place};dbname=SCHEMA;charset=utf8mb4", "${user}", PASSWORD${tls})`;
}

function ruby({ host, port, socket, isTls, user }: Place): string {
  const place = socket === undefined ? `host: "${host}", port: ${port}` : `socket: "${socket}"`;
  const tls = isTls ? `, ssl_mode: :verify_identity, sslca: "${CA_FILE}"` : "";
  return `Mysql2::Client.new(${place}, username: "${user}", password: PASSWORD${tls})`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
