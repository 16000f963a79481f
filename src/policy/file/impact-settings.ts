/** The `impact` of a policy file. A profile's replaces the one at the top level as a whole. */
import type { ImpactSettings } from "../impact.ts";
import type { DecisionAction } from "../policy.ts";
import type { YamlReader, YamlValue } from "./yaml-reader.ts";

const ROWS_MAX = 1_000_000_000_000;
const ACTIONS: readonly DecisionAction[] = ["allow", "warn", "require-approval", "block"];
const ROW_KEYS = [
  ["warn", "warn"],
  ["require_approval", "require-approval"],
  ["block", "block"],
] as const;

export function readImpact(reader: YamlReader, value: YamlValue): ImpactSettings {
  const entries = reader.entries(value, ["estimated_rows", "no_estimate", "max_changed_rows"]);
  const estimated = entries.get("estimated_rows");
  const changed = entries.get("max_changed_rows");
  if (estimated === undefined && changed === undefined) {
    reader.report(value, "expected estimated_rows or max_changed_rows");
  }
  const noEstimate = entries.get("no_estimate");
  return {
    rows: estimated === undefined ? {} : readRows(reader, estimated),
    noEstimate: (noEstimate === undefined ? undefined : reader.word(noEstimate, ACTIONS)) ?? "warn",
    changedRowsMax: changed === undefined ? undefined : reader.integer(changed, 0, ROWS_MAX),
  };
}

function readRows(reader: YamlReader, value: YamlValue): ImpactSettings["rows"] {
  const keys = ROW_KEYS.map(([key]) => key);
  const entries = reader.entries(value, keys);
  if (entries.size === 0) reader.report(value, `expected one of ${keys.join(", ")}`);
  const rows: { -readonly [Key in keyof ImpactSettings["rows"]]: number } = {};
  let last = 0;
  for (const [key, action] of ROW_KEYS) {
    const entry = entries.get(key);
    const limit = entry === undefined ? undefined : reader.integer(entry, 1, ROWS_MAX);
    if (limit === undefined) continue;
    if (limit < last) reader.report(value, "expected warn <= require_approval <= block");
    rows[action] = limit;
    last = limit;
  }
  return rows;
}
