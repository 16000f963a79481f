/**
 * The second wall: where the profile at the login is read-only, the session begins with default_transaction_read_only=on, so
 * that the server itself holds every transaction read only (25006), whatever querycop makes of a text. As a setting of the
 * startup message it is what RESET ALL and DISCARD ALL go back to, and what it was set to for a role or database yields to it.
 * Where it holds and where not: docs/security-model.md.
 */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import type { SessionServices } from "../../session-services.ts";
import type { Judgement, SessionSubject } from "../../statement/statement-judge.ts";
import type { PostgresJudge } from "../judging/judge.ts";
import { serverVersionOf } from "../judging/policy-judge.ts";
import type { SessionFacts } from "../session-facts.ts";

const SETTING = "default_transaction_read_only";
/** Servers report the setting from here on. */
const REPORTED_SINCE = 140_000;

interface WallContext {
  readonly services: Pick<SessionServices, "options">;
  readonly judge: PostgresJudge;
  readonly subject: SessionSubject;
  readonly signal: AbortSignal;
}

/** Adds it to what the session begins with, where its profile wants it. Resolves to whether it does. */
export async function askForWall(
  { services, judge, subject, signal }: WallContext,
  facts: SessionFacts,
  settings: Map<string, string>,
): Promise<boolean> {
  // Behind a pooler a setting may end up on another client's connection.
  if (services.options.backend.pooler !== undefined) return false;
  const sql = encodeUtf8("SELECT 1");
  const { isReadOnly } = await judge.judge({
    command: "StartupMessage",
    sql,
    facts,
    subject,
    preparedTexts: () => [],
    signal,
  });
  if (isReadOnly !== true) return false;
  // SAFETY: last and alone, for the server takes the last of several.
  settings.delete(SETTING);
  settings.set(SETTING, "on");
  return true;
}

/** After a login that asked for it. Throws QC_READ_ONLY_WALL where something between has not passed it on. */
export function requireWallBuilt(parameters: ReadonlyMap<string, string>): void {
  const reported = parameters.get(SETTING);
  const version = serverVersionOf(parameters.get("server_version"));
  const isTooOld = version !== undefined && version < REPORTED_SINCE;
  if (reported !== "on" && !(reported === undefined && isTooOld)) {
    throw wallError("the server did not begin the session with it");
  }
}

/**
 * Before a statement of a read-only profile is sent. Throws QC_READ_ONLY_WALL where the server has reported since that
 * something, such as a function that nobody saw behind a built-in name, has set it back.
 */
export function requireWallStands(facts: SessionFacts, { isReadOnly }: Pick<Judgement, "isReadOnly">): void {
  if (!facts.isWalled || isReadOnly !== true) return;
  const reported = facts.parameter(SETTING);
  if (reported !== undefined && reported !== "on") throw wallError("something has set it back during the session");
}

function wallError(text: string): QuerycopError {
  return new QuerycopError("QC_READ_ONLY_WALL", `${SETTING}=on for read_only of the policy: ${text}`, {
    clientMessage: `querycop: read_only: ${text} (${SETTING}=on), so the session ends`,
  });
}
