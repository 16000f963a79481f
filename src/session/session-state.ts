/** What later commands of a session depend on. Taken from the server's own words wherever it says them. */
import type { Capabilities } from "../mysql/constants.ts";
import { SERVER_STATUS_IN_TRANS } from "../mysql/constants.ts";
import type { ResponseEnd } from "../mysql/response.ts";
import type { Dialect } from "../sql/facts.ts";
import { SessionDynamicSql } from "./dynamic-sql.ts";
import { PreparedStatements } from "./prepared-statements.ts";

/** What has to be reported so that no change of how the server reads SQL goes unseen. */
export const TRACKED_VARIABLES = ["session_track_system_variables", "sql_mode", "character_set_client"];

export interface SessionVariables {
  /** The default schema; undefined when none is chosen, or when it is not known: a policy takes any for it then. */
  schema: string | undefined;
  /** The sql_mode as the server reports it, "unknown" until it does. */
  sqlMode: string;
  /** character_set_client as the server reports it. */
  characterSet: string;
}

export class SessionState {
  user = "";
  capabilities: Capabilities = { flags: 0, mariadb: 0 };
  /** Whether the server runs more than the first statement of a text: a capability, or COM_SET_OPTION later. */
  allowsMultiStatements = false;
  dialect: Dialect = "mysql";
  /** 90704 for 9.7.4; undefined when the server's version text has no number. */
  serverVersionNumber: number | undefined;
  statusFlags = 0;
  variables: SessionVariables = { schema: undefined, sqlMode: "unknown", characterSet: "unknown" };
  readonly prepared = new PreparedStatements();
  readonly dynamicSql = new SessionDynamicSql();
  /** Grows with every change of what an audit record says about the session. */
  version = 1;
  /** True until the server has been asked how it reads SQL; again after everything that may have changed it unseen. */
  needsProbe = true;
  /** True when the question can wait for a text whose meaning depends on the answer. */
  canProbeWait = false;
  /** True while the server reports every change of sql_mode and character_set_client by itself. */
  isTracked = false;
  /** False after a statement that may have changed the default schema, or whether the server reports that. */
  isSchemaKnown = true;
  /** After LOCK TABLES: to begin a transaction would let go of them. */
  hasLockedTables = false;
  /** Counts the client's commands from 1; pairs an audit record of intent with its outcome. */
  ordinal = 0;

  get isInTransaction(): boolean {
    return (this.statusFlags & SERVER_STATUS_IN_TRANS) !== 0;
  }

  /** What the server says at the end of each response. */
  afterResponse(end: ResponseEnd): void {
    if (end.statusFlags !== undefined) this.statusFlags = end.statusFlags;
    const changes = end.sessionState;
    if (changes === undefined) return;
    this.version++;
    if (changes.schema !== undefined) this.variables.schema = changes.schema;
    // MySQL names a variable as the client has written it in session_track_system_variables.
    const reported = new Map([...changes.systemVariables].map(([name, value]) => [name.toLowerCase(), value]));
    const tracked = reported.get("session_track_system_variables");
    if (tracked !== undefined && !reportsReading(tracked)) this.doubt(false);
    this.variables.sqlMode = reported.get("sql_mode") ?? this.variables.sqlMode;
    this.variables.characterSet = reported.get("character_set_client") ?? this.variables.characterSet;
  }

  /** What servers do not report of a text, told by the kinds of its statements. */
  afterKinds(statementKind = "", isOk = true): void {
    if (TELLING_NOTHING.has(statementKind)) return;
    const kinds = statementKind.split(",");
    // Not every server tells that a session has no schema any more.
    if (kinds.length > 1 || kinds.includes("drop-schema")) this.isSchemaKnown = false;
    const lastLock = kinds.findLast((kind) => kind === "lock-tables" || kind === "unlock-tables");
    // SAFETY: locks that were refused must not keep the impact guard away.
    if (lastLock !== undefined && isOk) this.hasLockedTables = lastLock === "lock-tables";
  }

  /** Whether the server has told how it reads SQL. */
  get isReadingKnown(): boolean {
    return this.variables.sqlMode !== "unknown" && this.variables.characterSet !== "unknown";
  }

  setSchema(schema: string | undefined): void {
    this.version++;
    this.variables.schema = schema;
    this.isSchemaKnown = true;
  }

  /** What the server answered when asked. */
  setVariables(sqlMode: string, characterSet: string): void {
    this.version++;
    this.variables.sqlMode = sqlMode;
    this.variables.characterSet = characterSet;
  }

  /**
   * After a statement that may have changed what the server reports, or what it does not report. Nothing is believed
   * until the server has been asked again. SAFETY: replacing what is reported is itself not reported.
   */
  doubt(canProbeWait: boolean): void {
    this.obscure();
    this.isTracked = false;
    this.isSchemaKnown = false;
    this.canProbeWait = canProbeWait && (this.canProbeWait || !this.needsProbe);
    this.needsProbe = true;
  }

  /** How the server reads SQL is not known. */
  obscure(): void {
    this.version++;
    this.variables.sqlMode = "unknown";
    this.variables.characterSet = "unknown";
  }

  /** COM_RESET_CONNECTION and COM_CHANGE_USER: statements are gone, variables back to what the server was started with. */
  reset(): void {
    this.obscure();
    this.prepared.clear();
    this.dynamicSql.forgetAll();
    this.hasLockedTables = false;
    this.needsProbe = true;
    this.canProbeWait = false;
    this.isTracked = false;
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

/** Whether a value of session_track_system_variables still covers what the probe asked for. */
function reportsReading(tracked: string): boolean {
  const names = tracked.split(",").map((name) => name.trim().toLowerCase());
  return names.includes("*") || TRACKED_VARIABLES.every((name) => names.includes(name));
}
