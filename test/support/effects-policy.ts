/** Whether a read-only policy lets a text through that changed something. */
import { decideText, policyFrom } from "../policy/policy-fixture.ts";
import type { ServerKind } from "./accounts.ts";
import { contextOf } from "./effects-compare.ts";
import { SCHEMA } from "./effects-scratch.ts";
import type { Observation } from "./effects-server.ts";

const READ_ONLY = policyFrom("read_only: true");

export function isLetThrough(sql: Uint8Array, kind: ServerKind, mode: string, observation: Observation): boolean {
  if (!hasChanged(observation)) return false;
  const fixture = { policy: READ_ONLY, context: contextOf(kind, mode), subject: { schema: SCHEMA } };
  return decideText(sql, fixture).enforcedAction !== "block";
}

function hasChanged({ tables, changes, globalVariables, files }: Observation): boolean {
  const isWritten = tables.some(({ isChanged, isTemporary }) => isChanged && !isTemporary);
  return isWritten || changes.length + globalVariables.length + files.length > 0;
}
