/** The same for drivers of PostgreSQL. */
import { basename, dirname } from "node:path";
import { bracketed, CA_FILE, type Place, type Snippet, type Tls } from "../snippet.ts";

/** PASSWORD stands for the client's own. */
export function postgresSnippets(place: Place): Snippet[] {
  return [
    { driver: "psql", text: `psql "${keywords(place)} dbname=DATABASE"` },
    { driver: "JDBC", text: jdbc(place) },
    { driver: "pg", text: nodePostgres(place) },
    { driver: "psycopg", text: `psycopg.connect("${keywords(place)} dbname=DATABASE", password=PASSWORD)` },
    { driver: "pgx", text: `pgx.Connect(ctx, "${keywords(place)} dbname=DATABASE password=PASSWORD")` },
  ];
}

/** Verified where there is something to verify: libpq's own default takes any certificate, and plaintext too. */
const SSL_MODES: Readonly<Record<Tls, string>> = {
  off: "sslmode=disable",
  "self-made": "sslmode=require",
  certificate: `sslmode=verify-full sslrootcert=${CA_FILE}`,
};

/** Clients are told a directory and a port; the name of the socket follows from these (manual, page libpq-connect). */
function socketPlace(socket: string): { readonly folder: string; readonly port: string } {
  const port = /^\.s\.PGSQL\.([0-9]+)$/.exec(basename(socket))?.[1];
  return { folder: dirname(socket), port: port ?? "PORT_OF_THE_NAME_.s.PGSQL.PORT" };
}

function keywords({ host, port, socket, tls, user }: Place): string {
  if (socket === undefined) return `host=${host} port=${port} user=${user} ${SSL_MODES[tls]}`;
  const place = socketPlace(socket);
  return `host=${place.folder} port=${place.port} user=${user}`;
}

function jdbc({ host, port, socket, tls, user }: Place): string {
  if (socket !== undefined) return "pgJDBC has no unix sockets: give querycop a listen.port";
  return `jdbc:postgresql://${bracketed(host)}:${port}/DATABASE?user=${user}&${SSL_MODES[tls].replace(" ", "&")}`;
}

function nodePostgres({ host, port, socket, tls, user }: Place): string {
  const { folder, port: name } = socketPlace(socket ?? "");
  const place = socket === undefined ? `host: "${host}", port: ${port}` : `host: "${folder}", port: ${name}`;
  const options: Readonly<Record<Tls, string>> = {
    off: "",
    "self-made": ", ssl: { rejectUnauthorized: false }",
    certificate: `, ssl: { ca: fs.readFileSync("${CA_FILE}") }`,
  };
  return `new pg.Client({ ${place}, user: "${user}", password: PASSWORD, database: "DATABASE"${options[tls]} })`;
}
