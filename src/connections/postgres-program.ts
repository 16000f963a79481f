/** How programs of PostgreSQL learn of the private listener: libpq's variables, and a URL in libpq's form. */
import { basename, dirname } from "node:path";
import type { PrivateTarget } from "./client-program.ts";

/** libpq is told a directory and a port, and looks for this name in it (manual, page runtime-config-connection). */
export const POSTGRES_SOCKET_NAME = ".s.PGSQL.5432";

interface Place {
  readonly host: string;
  readonly port: string;
}

function placeOf({ host, port, socketPath }: PrivateTarget): Place {
  if (socketPath === undefined) return { host, port: String(port) };
  return { host: dirname(socketPath), port: basename(socketPath).slice(basename(socketPath).lastIndexOf(".") + 1) };
}

export function postgresVariables(target: PrivateTarget): Readonly<Record<string, string | undefined>> {
  const { host, port } = placeOf(target);
  return {
    PGHOST: host,
    PGPORT: port,
    PGUSER: target.user,
    PGPASSWORD: target.password,
    PGDATABASE: target.database,
    // Nothing on the way to it can be listened to, and it has no certificate to show.
    PGSSLMODE: "disable",
    PGGSSENCMODE: "disable",
  };
}

export function postgresUrl(target: PrivateTarget): string {
  const { user, password, database = "", socketPath } = target;
  const { host, port } = placeOf(target);
  const account = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const name = encodeURIComponent(database);
  if (socketPath === undefined) return `postgresql://${account}@${host}:${port}/${name}?sslmode=disable`;
  return `postgresql://${account}@/${name}?host=${encodeURIComponent(host)}&port=${port}`;
}
