/** The session in the terms of SQL analysis and policy: how the server will read a text, and who asks. */
import { SERVER_STATUS_ANSI_QUOTES, SERVER_STATUS_NO_BACKSLASH_ESCAPES } from "../mysql/constants.ts";
import { type Dialect, SQL_MODE, type SqlContext } from "../sql/facts.ts";
import type { ListenerOptions } from "./listener-options.ts";
import type { SessionState } from "./session-state.ts";
import type { SessionSubject } from "./statement-judge.ts";

/** How the server will read the text, as far as it has told. */
export function sqlContextOf(state: SessionState, command: string): SqlContext {
  const { variables } = state;
  return {
    dialect: state.dialect,
    serverVersion: state.serverVersionNumber,
    sqlMode: variables.sqlMode === "unknown" ? "unknown" : sqlModeBits(variables.sqlMode, state.statusFlags),
    charset: variables.characterSet,
    schema: variables.schema,
    // Servers refuse several statements in one PREPARE.
    multiStatements: command !== "COM_STMT_PREPARE" && state.allowsMultiStatements,
  };
}

const MODE_NAMES = Object.entries(SQL_MODE);
/** The last text and its bits: sessions of one server nearly always share a sql_mode. */
let lastModeText = "";
let lastModeBits = 0;

/** The status flags say two of the modes with every response, also where the variables are not reported. */
function sqlModeBits(sqlMode: string, statusFlags: number): number {
  if (sqlMode !== lastModeText) {
    const names = sqlMode.toUpperCase().split(",");
    lastModeBits = 0;
    for (const [name, bit] of MODE_NAMES) if (names.includes(name)) lastModeBits |= bit;
    lastModeText = sqlMode;
  }
  let bits = lastModeBits;
  if ((statusFlags & SERVER_STATUS_NO_BACKSLASH_ESCAPES) !== 0) bits |= SQL_MODE.NO_BACKSLASH_ESCAPES;
  if ((statusFlags & SERVER_STATUS_ANSI_QUOTES) !== 0) bits |= SQL_MODE.ANSI_QUOTES;
  return bits;
}

/** A role or pooler of another name is a label for people, which the policy does not know. */
export function sessionSubject(
  { name, backend }: ListenerOptions,
  client: Pick<SessionSubject, "clientAddress" | "isTls">,
): SessionSubject {
  const { role, pooler, isAurora } = backend;
  return {
    listener: name,
    clientAddress: client.clientAddress,
    isTls: client.isTls,
    isAurora,
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
