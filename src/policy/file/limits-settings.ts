/** The `limits` of a policy file: the configuration's limits on data, for one profile. */
import { type DataLimits, LIMIT_ACTIONS, LIMIT_KEYS } from "../limits.ts";
import type { YamlReader, YamlValue } from "./yaml-reader.ts";

const ACTION_KEY = "data_guard_action";

/** The largest number a limit may be written as. */
const WRITTEN_MAX = 1_000_000_000;

/** What is not written stays as the configuration has it; `off` switches a limit off. */
export function readLimits(reader: YamlReader, value: YamlValue): Partial<DataLimits> {
  const entries = reader.entries(value, [...LIMIT_KEYS.map(({ limit }) => limit), ACTION_KEY]);
  const limits: { -readonly [Key in keyof DataLimits]?: DataLimits[Key] } = {};
  for (const { limit, name, unit } of LIMIT_KEYS) {
    const entry = entries.get(limit);
    if (entry === undefined) continue;
    const amount = reader.text(entry) === "off" ? 0 : reader.integer(entry, 1, WRITTEN_MAX);
    if (amount !== undefined) limits[name] = amount * unit;
  }
  const action = entries.get(ACTION_KEY);
  const limitAction = action === undefined ? undefined : reader.word(action, LIMIT_ACTIONS);
  return limitAction === undefined ? limits : { ...limits, limitAction };
}
