/** What later commands of a session depend on. Taken from the server's own words wherever it says them. */

import type { Capabilities } from "../../mysql/constants.ts";
import {
  SERVER_STATUS_ANSI_QUOTES,
  SERVER_STATUS_AUTOCOMMIT,
  SERVER_STATUS_IN_TRANS,
  SERVER_STATUS_NO_BACKSLASH_ESCAPES,
} from "../../mysql/constants.ts";
import type { ResponseEnd } from "../../mysql/response.ts";
import { type ReadingSetting, reportsOf } from "../../policy/mysql/reading-effect.ts";
import type { SessionEffect } from "../../policy/session-effect.ts";
import type { Dialect } from "../../sql/facts.ts";
import { charsetOfCollation } from "../../sql/mysql/dynamic/certainty.ts";
import { foldName, lowerAscii } from "../../sql/mysql/names/names.ts";
import { SessionDynamicSql } from "./judging/dynamic-sql.ts";
import { PreparedStatements } from "./statements/prepared-statements.ts";
import type { Wall } from "./statements/read-only-wall.ts";

/** What has to be reported so that no change of how the server reads SQL goes unseen. */
export const TRACKED_VARIABLES = [
  "session_track_system_variables",
  "sql_mode",
  "character_set_client",
  "character_set_connection",
  "collation_connection",
];

const READING_FLAGS = SERVER_STATUS_NO_BACKSLASH_ESCAPES | SERVER_STATUS_ANSI_QUOTES;

export interface SessionVariables {
  /** The default schema; undefined when none is chosen, or when it is not known: a policy takes any for it then. */
  schema: string | undefined;
  /** The sql_mode as the server reports it, "unknown" until it does. */
  sqlMode: string;
  /** character_set_client as the server reports it, "unknown" until it does. */
  characterSet: string;
  /** character_set_connection, likewise. */
  connectionCharacterSet: string;
}

const NOTHING_KNOWN: SessionVariables = {
  schema: undefined,
  sqlMode: "unknown",
  characterSet: "unknown",
  connectionCharacterSet: "unknown",
};

export class SessionState {
  user = "";
  capabilities: Capabilities = { flags: 0, mariadb: 0 };
  /** Whether the server runs more than the first statement of a text: a capability, or COM_SET_OPTION later. */
  allowsMultiStatements = false;
  dialect: Dialect = "mysql";
  /** 90704 for 9.7.4; undefined when the server's version text has no number. */
  serverVersionNumber: number | undefined;
  statusFlags = 0;
  variables: SessionVariables = { ...NOTHING_KNOWN };
  readonly prepared = new PreparedStatements();
  readonly dynamicSql = new SessionDynamicSql();
  /** Grows with every change of what an audit record says about the session. */
  version = 1;
  /** True until the server has been asked how it reads SQL; again after everything that may have changed it unseen. */
  needsProbe = true;
  /** True while the server reports every change of what is in TRACKED_VARIABLES by itself. */
  isTracked = false;
  /** Whether it has done so since the login or the last reset. */
  wasTracked = false;
  /** False after a statement that may have changed the default schema, or whether the server reports that. */
  isSchemaKnown = true;
  /** The flags of `READING_FLAGS` when the settings were known last: they may be stale, but do not change by themselves. */
  #knownFlags: number | undefined;
  /** What the server has said of names of tables and schemas: of all its sessions, for as long as it runs. */
  tableCase: "unasked" | "unknown" | "counts" | "ignored" = "unasked";
  /** Whether the server has said that it is an Aurora: as lasting. */
  aurora: "unasked" | "yes" | "no" = "unasked";
  /** After LOCK TABLES: to begin a transaction would let go of them. */
  hasLockedTables = false;
  /** Whether the server holds the session's transactions read only, because querycop has told it to. */
  wall: Wall = "down";
  /** Counts the client's commands from 1; pairs an audit record of intent with its outcome. */
  ordinal = 0;

  get isInTransaction(): boolean {
    return (this.statusFlags & SERVER_STATUS_IN_TRANS) !== 0;
  }

  /** Whether a statement is a transaction of its own. */
  get isAutocommitted(): boolean {
    return (this.statusFlags & (SERVER_STATUS_AUTOCOMMIT | SERVER_STATUS_IN_TRANS)) === SERVER_STATUS_AUTOCOMMIT;
  }

  /** Whether a transaction or savepoint of ours can hold a statement: after LOCK TABLES a transaction would let go of them. */
  get canTakeBack(): boolean {
    return !this.hasLockedTables || !this.isAutocommitted;
  }

  /** What the server says at the end of a response. */
  afterResponse(end: ResponseEnd): void {
    if (end.statusFlags !== undefined) this.#afterFlags(end.statusFlags, isReported("sql_mode", end));
    const changes = end.sessionState;
    if (changes === undefined) return;
    this.version++;
    if (changes.schema !== undefined) this.variables.schema = changes.schema;
    if (changes.systemVariables.size === 0) return;
    const tracked = reportedValue(end, "session_track_system_variables");
    if (tracked !== undefined && !reportsReading(tracked)) this.doubt();
    const { variables } = this;
    variables.sqlMode = reportedValue(end, "sql_mode") ?? variables.sqlMode;
    variables.characterSet = reportedValue(end, "character_set_client") ?? variables.characterSet;
    const connection = reportedConnection(end);
    if (connection === "differs") this.doubt();
    else variables.connectionCharacterSet = connection ?? variables.connectionCharacterSet;
  }

  /**
   * The same at the end of a statement that may have changed how later ones are read. SAFETY: a report may be of what held
   * within the statement, and a statement that failed has perhaps set what it does not report.
   */
  afterStatement(end: ResponseEnd, effect: SessionEffect): void {
    this.afterResponse(end);
    if (effect === "none") return;
    const isKnown = effect !== "opaque" && this.isTracked && end.outcome === "ok";
    if (!isKnown || !reportsOf(effect).every((setting) => isReported(setting, end))) this.doubt();
  }

  /** SAFETY: a trigger may leave a flag that does not fit the mode. What changes unreported is a reason to ask, no more. */
  #afterFlags(statusFlags: number, isModeReported: boolean): void {
    this.statusFlags = statusFlags;
    const flags = statusFlags & READING_FLAGS;
    const isUnexplained = this.#knownFlags !== undefined && this.#knownFlags !== flags && !isModeReported;
    this.#knownFlags = flags;
    if (isUnexplained) this.doubt();
  }

  /** What servers do not report of a text, told by the kinds of its statements. */
  afterKinds(statementKind = "", isOk = true): void {
    if (TELLING_NOTHING.has(statementKind)) return;
    const kinds = statementKind.split(",");
    const lastLock = kinds.findLast((kind) => kind === "lock-tables" || kind === "unlock-tables");
    // SAFETY: locks that were refused must not keep the impact guard away.
    if (lastLock !== undefined && isOk) this.hasLockedTables = lastLock === "lock-tables";
  }

  /** Whether the server has told how it reads SQL. */
  get isReadingKnown(): boolean {
    const { sqlMode, characterSet, connectionCharacterSet } = this.variables;
    return sqlMode !== "unknown" && characterSet !== "unknown" && connectionCharacterSet !== "unknown";
  }

  setSchema(schema: string | undefined): void {
    this.version++;
    this.variables.schema = schema;
    this.isSchemaKnown = true;
  }

  /** What the server answered when asked. */
  setVariables({ sqlMode, characterSet, connectionCharacterSet }: Omit<SessionVariables, "schema">): void {
    this.version++;
    this.variables = { ...this.variables, sqlMode, characterSet, connectionCharacterSet };
  }

  /**
   * After a statement that may have changed what the server reports, or what it does not report. Nothing is believed
   * until the server has been asked again. SAFETY: replacing what is reported is itself not reported.
   */
  doubt(): void {
    this.obscure();
    this.variables.schema = undefined;
    this.isTracked = false;
    this.isSchemaKnown = false;
    this.needsProbe = true;
  }

  /** How the server reads SQL is not known. */
  obscure(): void {
    this.version++;
    this.variables = { ...NOTHING_KNOWN, schema: this.variables.schema };
    this.#knownFlags = undefined;
  }

  /** COM_RESET_CONNECTION and COM_CHANGE_USER: statements are gone, variables back to what the server was started with. */
  reset(): void {
    this.obscure();
    this.prepared.clear();
    this.dynamicSql.begin();
    this.hasLockedTables = false;
    this.wall = "down";
    this.needsProbe = true;
    this.isTracked = false;
    this.wasTracked = false;
  }
}

/** MySQL names a variable as the client has written it in session_track_system_variables. */
function reportedValue({ sessionState }: ResponseEnd, name: string): string | undefined {
  if (sessionState === undefined) return undefined;
  const value = sessionState.systemVariables.get(name);
  if (value !== undefined) return value;
  for (const [written, other] of sessionState.systemVariables) if (foldName(written) === name) return other;
  return undefined;
}

/** By charset or collation; where a packet has reported both at different times, they need not agree. */
function reportedConnection(end: ResponseEnd): string | undefined {
  const charset = reportedValue(end, "character_set_connection");
  const collation = reportedValue(end, "collation_connection");
  const ofCollation = collation === undefined ? undefined : charsetOfCollation(collation);
  const isSame = charset === undefined || ofCollation === undefined || nameOf(charset) === nameOf(ofCollation);
  return isSame ? (charset ?? ofCollation) : "differs";
}

/** Servers on their way from one name to the other use both. */
function nameOf(charset: string): string {
  return charset === "utf8" ? "utf8mb3" : charset;
}

function isReported(setting: ReadingSetting, end: ResponseEnd): boolean {
  switch (setting) {
    case "sql_mode":
      return reportedValue(end, "sql_mode") !== undefined;
    case "charset":
      return reportedValue(end, "character_set_client") !== undefined;
    case "connection":
      return reportedConnection(end) !== undefined;
  }
}

/** The kinds of nearly every statement. */
const TELLING_NOTHING: ReadonlySet<string> = new Set([
  "select",
  "insert",
  "update",
  "delete",
  "commit",
  "begin",
  "set",
]);

/** Whether a value of session_track_system_variables covers what the probe asks for. */
export function reportsReading(tracked: string): boolean {
  const names = tracked.split(",").map((name) => lowerAscii(name.trim()));
  return names.includes("*") || TRACKED_VARIABLES.every((name) => names.includes(name));
}
