/**
 * Asks the server how it will read SQL: sql_mode, the charsets of client and connection, and the default schema. With
 * CLIENT_SESSION_TRACK one SET per login switches on their tracking and has them reported at once; later changes then
 * arrive by themselves. Whatever may have changed unseen is asked for again, before the next statement is judged. A server
 * that refuses leaves all of it unknown, and statements are then judged in every reading.
 */
import { encodeUtf8 } from "../../base/bytes.ts";
import { CLIENT_SESSION_TRACK } from "../../mysql/constants.ts";
import type { CommandContext } from "./command-context.ts";
import { reportsReading, TRACKED_VARIABLES } from "./session-state.ts";
import { runUnrecorded } from "./statements/own-statement.ts";
import { queryText, type TextValue } from "./statements/text-query.ts";

const CURRENT = "@@session_track_system_variables";

/** A name that is in the list already must not be in it twice: MySQL refuses that. */
const MISSING = TRACKED_VARIABLES.map((name) => `IF(FIND_IN_SET('${name}',REPLACE(${CURRENT},' ','')),NULL,'${name}')`);

/**
 * Adds to what the client has chosen. Assigning a tracked variable reports it even if the value stays
 * (sql/session_tracker.cc), here in the same statement. The collation, because a charset alone would change it.
 */
const TRACK = encodeUtf8(
  `SET session_track_system_variables=IF(${CURRENT}='*','*',CONCAT_WS(',',NULLIF(${CURRENT},''),${MISSING.join()}))` +
    ",sql_mode=@@sql_mode,character_set_client=@@character_set_client,collation_connection=@@collation_connection" +
    ",session_track_schema=ON",
);

/**
 * SAFETY: as binary text, which the server does not convert to a charset of the results that the client has chosen. The
 * LIMIT, for a client may set sql_select_limit to 0.
 */
const ask = (...values: readonly string[]): Uint8Array =>
  encodeUtf8(`SELECT ${values.map((value) => `CAST(${value} AS BINARY)`).join(",")} LIMIT 1`);

const READING = ["@@sql_mode", "@@character_set_client", "@@character_set_connection", "DATABASE()"] as const;
const ASK = ask(...READING);
const ASK_TRACKED = ask(...READING, CURRENT, "@@session_track_schema");

const PURPOSE = "its session probe";

/** Runs before a statement whose session is not known. Throws only when the backend is lost. */
export async function probeSession(context: CommandContext): Promise<void> {
  const { state } = context;
  if (isTableCaseWanted(context)) await askTableCase(context);
  if (isAuroraWanted(context)) await askAurora(context);
  if (!state.needsProbe) return;
  const mayTrack = context.services.options.backend.tracksSessions && hasTracking(context);
  const isFirst = !state.wasTracked;
  state.needsProbe = false;
  // What is believed from here on is what the answers say: a refusal leaves it unknown.
  state.obscure();
  if (!mayTrack) {
    await askSession(context, ASK);
    return;
  }
  // Behind a doubt the list is nearly always as it was.
  if (!isFirst && (await askSession(context, ASK_TRACKED)) === "tracked") return;
  await switchTrackingOn(context);
  // The default schema is reported when it changes, and only then.
  if (!state.isSchemaKnown || !state.isReadingKnown) await askSession(context, ASK);
}

/** Whether there is something still to be asked that holds for as long as the server runs. */
export function isServerWanted(context: CommandContext): boolean {
  return isTableCaseWanted(context) || isAuroraWanted(context);
}

/** Whether what the server makes of the case of tables' names is still to be asked. */
function isTableCaseWanted({ state, services, subject }: CommandContext): boolean {
  // SAFETY: behind a pooler another server may run the next statement.
  return state.tableCase === "unasked" && services.judge.asksTableCase === true && subject.backendPooler === undefined;
}

const ASK_TABLE_CASE = ask("@@lower_case_table_names");

async function askTableCase(context: CommandContext): Promise<void> {
  const { state } = context;
  const [answer] = (await questionRow(context, ASK_TABLE_CASE)) ?? [];
  state.tableCase = answer === "0" ? "counts" : answer === "1" || answer === "2" ? "ignored" : "unknown";
}

/** Whether it is still to be asked, for somebody whose statements may read objects if it is. */
function isAuroraWanted({ state, subject }: CommandContext): boolean {
  const { loads, backendPooler } = subject;
  // SAFETY: as above.
  return state.aurora === "unasked" && loads !== undefined && loads.length > 0 && backendPooler === undefined;
}

const ASK_AURORA = ask("@@aurora_version");

/** An error says that there is no such variable. */
async function askAurora(context: CommandContext): Promise<void> {
  const [version = ""] = (await questionRow(context, ASK_AURORA)) ?? [];
  context.state.aurora = version === "" ? "no" : "yes";
}

function hasTracking({ state }: CommandContext): boolean {
  return (state.capabilities.flags & CLIENT_SESSION_TRACK) !== 0;
}

async function switchTrackingOn(context: CommandContext): Promise<void> {
  const { state } = context;
  const end = await runUnrecorded(context, { purpose: PURPOSE, sql: TRACK, timeoutMs: probeTimeout(context) });
  state.afterResponse(end);
  state.isTracked = end.outcome === "ok" && state.isReadingKnown;
  state.wasTracked ||= state.isTracked;
  state.needsProbe = false;
}

/** Takes what the server answers for what is; "tracked" where it will also report every change. */
async function askSession(context: CommandContext, sql: Uint8Array): Promise<"tracked" | "untracked"> {
  const { state } = context;
  const row = await questionRow(context, sql);
  if (row === undefined) return "untracked";
  const [sqlMode, characterSet, connectionCharacterSet, schema, tracked, tracksSchema] = row;
  if (!isMode(sqlMode) || !isCharset(characterSet) || !isCharset(connectionCharacterSet)) return "untracked";
  state.setVariables({ sqlMode, characterSet, connectionCharacterSet });
  state.setSchema(schema);
  if (tracked === undefined || !reportsReading(tracked) || tracksSchema !== "1") return "untracked";
  state.isTracked = true;
  return "tracked";
}

async function questionRow(context: CommandContext, sql: Uint8Array): Promise<readonly TextValue[] | undefined> {
  const { state, backend } = context;
  const { capabilities } = state;
  const timeoutMs = probeTimeout(context);
  const answer = await queryText(backend, { sql, purpose: PURPOSE, capabilities, rowsMax: 1, timeoutMs });
  return answer.kind === "refused" ? undefined : answer.rows[0];
}

const isMode = (text: string | undefined): text is string => text !== undefined && /^[A-Z0-9_,]*$/.test(text);
const isCharset = (text: string | undefined): text is string => text !== undefined && /^[a-z0-9_]+$/.test(text);

/** For a question of ours: the statement that waits behind it has a limit of its own. */
export function probeTimeout({ services }: CommandContext): number {
  const { loginTimeoutMs, responseTimeoutMs } = services.options.backend;
  return responseTimeoutMs > 0 ? Math.min(loginTimeoutMs, responseTimeoutMs) : loginTimeoutMs;
}

const READS_DIAGNOSTICS = [
  "warnings",
  "errors",
  "diagnostics",
  "row_count",
  "found_rows",
  "warning_count",
  "error_count",
];
const DIAGNOSTICS_BYTES_MAX = 256;

/**
 * Whether the text may ask about the statement before it, of which the server knows nothing more behind a question of
 * ours. It is judged by what is known without, which is nothing.
 */
export function mayReadDiagnostics(sql: Uint8Array): boolean {
  if (sql.length > DIAGNOSTICS_BYTES_MAX) return false;
  const text = Buffer.from(sql.buffer, sql.byteOffset, sql.length).toString("latin1").toLowerCase();
  return READS_DIAGNOSTICS.some((word) => text.includes(word));
}
