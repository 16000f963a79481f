/**
 * The second wall: while the profile is read-only, the server itself holds the session's transactions read only (error 1792),
 * whatever querycop makes of a text.
 *
 *   down ──► a statement of a read-only profile: SET SESSION TRANSACTION READ ONLY ──► up
 *   up ──► after what may have set it back unseen (routines, dynamic SQL, a pool's SET … READ WRITE) ──► doubt ──► set again
 *   up ──► a statement of a profile that may write (reload, hour, schema) ──► READ WRITE ──► down
 *   a new login or COM_RESET_CONNECTION ──► down
 *
 * Sessions of other profiles are asked and told nothing. Where it holds and where not: docs/security-model.md.
 */
import { QuerycopError } from "../../../base/errors.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import type { CommandContext } from "../command-context.ts";
import { runOwn } from "./own-statement.ts";

export type Wall = "down" | "up" | "doubt";

/** Kinds behind which nobody knows what the session's access mode is; SET of the variable itself is refused. */
const OPENING_KINDS: ReadonlySet<string> = new Set([
  "set-transaction",
  "call",
  "execute",
  "execute-immediate",
  "compound",
  "unknown",
]);

/** They tell of the statement before, which a statement of ours would take away; and they write nothing. */
const TELLING_KINDS: ReadonlySet<string> = new Set(["show", "get-diagnostics"]);

/** Before a statement is sent: puts the wall where its profile wants it. Undefined where nothing is to be done. */
export function holdWall(context: CommandContext, judgement: Judgement): Promise<void> | undefined {
  const { wall } = context.state;
  const isWanted = judgement.isReadOnly === true;
  if (wall === (isWanted ? "up" : "down") || isShared(context)) return undefined;
  if (wall === "doubt" && TELLING_KINDS.has(judgement.statementKind ?? "")) return undefined;
  return moveWall(context, isWanted);
}

/** Behind a pooler a setting may end up on another client's connection. */
function isShared({ state, subject }: CommandContext): boolean {
  return subject.backendPooler !== undefined || state.dialect === "vitess";
}

async function moveWall(context: CommandContext, isUp: boolean): Promise<void> {
  const mode = isUp ? "READ ONLY" : "READ WRITE";
  const { outcome, errorNumber } = await runOwn(context, "read-only", `SET SESSION TRANSACTION ${mode}`);
  if (outcome === "ok") {
    context.state.wall = isUp ? "up" : "down";
    return;
  }
  const text = `The backend refused SET SESSION TRANSACTION ${mode} for read_only of the policy: error ${errorNumber}`;
  const clientMessage = `querycop: read_only: the server did not set the session ${mode}, so the statement was not sent`;
  throw new QuerycopError("QC_READ_ONLY_WALL", text, { clientMessage });
}

/** After a statement, however it ended. */
export function doubtWall({ state }: CommandContext, { statementKind = "unknown", afterwards }: Judgement): void {
  if (state.wall !== "up") return;
  const isOpening = statementKind.split(",").some((kind) => OPENING_KINDS.has(kind));
  if (isOpening || afterwards === "opaque") state.wall = "doubt";
}
