/** The session in the terms of SQL analysis and policy: how the server will read a text, and who asks. */
import { type Dialect, type MysqlContext, SQL_MODE } from "../../../sql/facts.ts";
import type { ListenerOptions } from "../../listener-options.ts";
import type { SessionSubject } from "../../statement/statement-judge.ts";
import type { SessionState } from "../session-state.ts";

/** How the server will read the text, as far as it has told. */
export function sqlContextOf(state: SessionState, command: string): MysqlContext {
  const { variables } = state;
  return {
    engine: "mysql",
    dialect: state.dialect,
    serverVersion: state.serverVersionNumber,
    sqlMode: variables.sqlMode === "unknown" ? "unknown" : sqlModeBits(variables.sqlMode),
    charset: variables.characterSet,
    connectionCharset: variables.connectionCharacterSet,
    schema: variables.schema,
    // Servers refuse several statements in one PREPARE.
    multiStatements: command !== "COM_STMT_PREPARE" && state.allowsMultiStatements,
  };
}

const MODE_NAMES = Object.entries(SQL_MODE);
/** The last text and its bits: sessions of one server nearly always share a sql_mode. */
let lastModeText = "";
let lastModeBits = 0;

/** SAFETY: by the mode alone: a status flag may be what a stored function has left behind. */
function sqlModeBits(sqlMode: string): number {
  if (sqlMode !== lastModeText) {
    const names = sqlMode.toUpperCase().split(",");
    lastModeBits = 0;
    for (const [name, bit] of MODE_NAMES) if (names.includes(name)) lastModeBits |= bit;
    lastModeText = sqlMode;
  }
  return lastModeBits;
}

/** A role or pooler of another name is a label for people, which the policy does not know. */
export function sessionSubject(
  { name, backend, loads }: Pick<ListenerOptions, "name" | "backend" | "loads">,
  client: Pick<SessionSubject, "clientAddress" | "isTls">,
): SessionSubject {
  const { role, pooler, isAurora } = backend;
  return {
    listener: name,
    clientAddress: client.clientAddress,
    isTls: client.isTls,
    isAurora,
    ...(loads === undefined ? {} : { loads }),
    ...(role === "reader" || role === "writer" ? { backendRole: role } : {}),
    ...(pooler === "vitess" || pooler === "proxysql" || pooler === "rds-proxy" ? { backendPooler: pooler } : {}),
  };
}

/** `5.5.5-10.11.19-MariaDB-1` → mariadb, 101119; `8.0.36-Vitess` → vitess, 80036. */
export function dialectOf(serverVersion: string): { readonly dialect: Dialect; readonly version: number | undefined } {
  const isMariaDb = serverVersion.includes("MariaDB");
  const text = isMariaDb && serverVersion.startsWith("5.5.5-") ? serverVersion.slice(6) : serverVersion;
  const dialect = isMariaDb ? "mariadb" : serverVersion.includes("Vitess") ? "vitess" : "mysql";
  const [major, minor, patch] = text.split(".", 3).map((part) => Number.parseInt(part, 10));
  if (major === undefined || minor === undefined || patch === undefined) return { dialect, version: undefined };
  const version = major * 10_000 + minor * 100 + patch;
  return { dialect, version: Number.isFinite(version) ? version : undefined };
}
