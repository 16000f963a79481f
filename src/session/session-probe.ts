/**
 * Asks the server, once per login, how it will read SQL: sql_mode, character_set_client and the default schema. With CLIENT_SESSION_TRACK
 * one SET switches on their tracking and has them reported at once; later changes then arrive by themselves, whatever
 * statement makes them. A server that refuses leaves them unknown, and statements are then judged in every reading.
 */
import { ByteReader, encodeUtf8 } from "../base/bytes.ts";
import { encodeQuery } from "../mysql/command.ts";
import { CLIENT_DEPRECATE_EOF, CLIENT_SESSION_TRACK } from "../mysql/constants.ts";
import { encodePacket } from "../mysql/packet.ts";
import { ResponseTracker } from "../mysql/response.ts";
import type { CommandContext } from "./command-context.ts";

/** What has to be reported so that no change goes unseen. */
const TRACKED = ["session_track_system_variables", "sql_mode", "character_set_client"];

const CURRENT = "@@session_track_system_variables";

/** A name that is in the list already must not be in it twice: MySQL refuses that. */
const MISSING = TRACKED.map((name) => `IF(FIND_IN_SET('${name}',REPLACE(${CURRENT},' ','')),NULL,'${name}')`);

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
const ASK_COLUMNS = 3;
const NULL_VALUE = 0xfb;

const PERMIT = { kind: "own", purpose: "session-probe" } as const;

/** Runs before the first statement of a login. Throws only when the backend is lost. */
export async function probeSession(context: CommandContext): Promise<void> {
  const { state, backend } = context;
  state.needsProbe = false;
  // What is believed from here on is what the answer says: a refusal leaves it unknown.
  state.obscure();
  const isTracked = (state.capabilities.flags & CLIENT_SESSION_TRACK) !== 0;
  const send = (sql: Uint8Array): boolean =>
    backend.send(PERMIT, encodePacket(encodeQuery(sql, state.capabilities.flags), 0));
  if (isTracked) {
    send(TRACK);
    await readTracking(context);
    // The default schema is reported when it changes, and only then.
    if (state.isSchemaKnown) return;
  }
  send(ASK);
  await readVariables(context);
}

async function readTracking(context: CommandContext): Promise<void> {
  const { state, backend } = context;
  const tracker = new ResponseTracker({ shape: "query", capabilities: state.capabilities });
  while (tracker.end === undefined) {
    const chunk = await backend.expectChunk("waiting for the answer to its session probe", probeTimeout(context));
    tracker.feed(chunk);
  }
  state.isTracked = tracker.end.outcome === "ok";
  state.afterResponse(tracker.end);
  state.isTracked &&= state.isReadingKnown;
  state.needsProbe = false;
}

/** Reads the one row. Packets, not a tracker: this is the one place that looks into a row. */
async function readVariables(context: CommandContext): Promise<void> {
  const { state, backend } = context;
  const next = async (): Promise<Uint8Array> =>
    (await backend.expectPacket("waiting for the answer to its session probe", probeTimeout(context))).payload;
  state.setSchema(undefined);
  if ((await next())[0] !== ASK_COLUMNS) return;
  const hasEof = (state.capabilities.flags & CLIENT_DEPRECATE_EOF) === 0;
  for (let skipped = 0; skipped < ASK_COLUMNS + (hasEof ? 1 : 0); skipped++) await next();
  const row = new ByteReader(await next(), "row of the session probe");
  const sqlMode = Buffer.from(row.lenencBytes()).toString("utf8");
  const characterSet = Buffer.from(row.lenencBytes()).toString("utf8");
  const schema = row.peekUint8() === NULL_VALUE ? undefined : Buffer.from(row.lenencBytes()).toString("utf8");
  await next();
  state.setVariables(sqlMode, characterSet);
  state.setSchema(schema);
}

/** The statement that waits behind the probe has a limit of its own. */
function probeTimeout({ services }: CommandContext): number {
  const { loginTimeoutMs, responseTimeoutMs } = services.options.backend;
  return responseTimeoutMs > 0 ? Math.min(loginTimeoutMs, responseTimeoutMs) : loginTimeoutMs;
}
