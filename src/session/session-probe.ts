/**
 * Asks the server, once per login, how it will read SQL: sql_mode, character_set_client and the default schema. With CLIENT_SESSION_TRACK
 * one SET switches on their tracking and has them reported at once; later changes then arrive by themselves, whatever
 * statement makes them. A server that refuses leaves them unknown, and statements are then judged in every reading.
 */
import { encodeUtf8 } from "../base/bytes.ts";
import { CLIENT_SESSION_TRACK } from "../mysql/constants.ts";
import type { CommandContext } from "./command-context.ts";
import { runUnrecorded } from "./own-statement.ts";
import { TRACKED_VARIABLES } from "./session-state.ts";
import { queryText } from "./text-query.ts";

const CURRENT = "@@session_track_system_variables";

/** A name that is in the list already must not be in it twice: MySQL refuses that. */
const MISSING = TRACKED_VARIABLES.map((name) => `IF(FIND_IN_SET('${name}',REPLACE(${CURRENT},' ','')),NULL,'${name}')`);

/**
 * Adds to what the client has chosen. Assigning a tracked variable reports it even if the value stays
 * (sql/session_tracker.cc), here in the same statement.
 */
const TRACK = encodeUtf8(
  `SET session_track_system_variables=IF(${CURRENT}='*','*',CONCAT_WS(',',NULLIF(${CURRENT},''),${MISSING.join()}))` +
    ",sql_mode=@@sql_mode,character_set_client=@@character_set_client,session_track_schema=ON",
);

/** The LIMIT, for a client may set sql_select_limit to 0. */
const ASK = encodeUtf8("SELECT @@sql_mode, @@character_set_client, DATABASE() LIMIT 1");

const PURPOSE = "its session probe";

/** Runs before the first statement of a login. Throws only when the backend is lost. */
export async function probeSession(context: CommandContext): Promise<void> {
  const { state } = context;
  state.needsProbe = false;
  // What is believed from here on is what the answer says: a refusal leaves it unknown.
  state.obscure();
  const isTracked = (state.capabilities.flags & CLIENT_SESSION_TRACK) !== 0;
  if (isTracked) {
    await switchTrackingOn(context);
    // The default schema is reported when it changes, and only then.
    if (state.isSchemaKnown) return;
  }
  await askVariables(context);
}

async function switchTrackingOn(context: CommandContext): Promise<void> {
  const { state } = context;
  const end = await runUnrecorded(context, { purpose: PURPOSE, sql: TRACK, timeoutMs: probeTimeout(context) });
  state.isTracked = end.outcome === "ok";
  state.afterResponse(end);
  state.isTracked &&= state.isReadingKnown;
  state.needsProbe = false;
}

async function askVariables(context: CommandContext): Promise<void> {
  const { state, backend } = context;
  const answer = await queryText(backend, {
    sql: ASK,
    purpose: PURPOSE,
    capabilities: state.capabilities,
    rowsMax: 1,
    timeoutMs: probeTimeout(context),
  });
  state.setSchema(undefined);
  if (answer.kind === "refused") return;
  const [sqlMode, characterSet, schema] = answer.rows[0] ?? [];
  if (sqlMode === undefined || characterSet === undefined) return;
  state.setVariables(sqlMode, characterSet);
  state.setSchema(schema);
}

/** The statement that waits behind the probe has a limit of its own. */
function probeTimeout({ services }: CommandContext): number {
  const { loginTimeoutMs, responseTimeoutMs } = services.options.backend;
  return responseTimeoutMs > 0 ? Math.min(loginTimeoutMs, responseTimeoutMs) : loginTimeoutMs;
}
