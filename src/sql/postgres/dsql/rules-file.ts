/**
 * A file of rules: JSON, `{"rules": [{"id": …}]}`, as `querycop dsql rules --json` prints it. A row with the id of a built-in
 * rule gives what it says anew and leaves the rest; any other row is a new rule and must be whole.
 */
import type { DsqlRule, NodePattern } from "./rule.ts";
import { DSQL_RULES } from "./rules.ts";

const RULES_MAX = 1000;
const SCOPES: ReadonlySet<unknown> = new Set(["statement", "transaction", "conflict"]);
const TEXTS = ["id", "title", "seen", "until", "source", "sqlState", "message", "instead"] as const;
const NEEDED = ["title", "seen", "source", "sqlState", "message", "instead"] as const;
const KEYS: ReadonlySet<string> = new Set([...TEXTS, "scope", "patterns"]);

export type RulesFile = { readonly rules: readonly DsqlRule[] } | { readonly problem: string };

/** The built-in rules with what the text says in place of them. */
export function readRulesFile(text: string): RulesFile {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return { problem: "it is no JSON" };
  }
  const rows = isObject(content) ? content["rules"] : undefined;
  if (!Array.isArray(rows)) return { problem: 'expected an object with a list under "rules"' };
  if (rows.length > RULES_MAX) return { problem: `${rows.length} rules, at most ${RULES_MAX} are read` };
  const merged = new Map(DSQL_RULES.map((rule) => [rule.id, rule]));
  for (const [index, row] of rows.entries()) {
    const rule = readRule(row, merged);
    if (typeof rule === "string") return { problem: `rule ${index + 1}: ${rule}` };
    merged.set(rule.id, rule);
  }
  return { rules: [...merged.values()] };
}

function readRule(row: unknown, known: ReadonlyMap<string, DsqlRule>): DsqlRule | string {
  if (!isObject(row)) return "expected an object";
  const { id, scope, patterns } = row;
  if (typeof id !== "string" || !/^[a-z0-9-]{1,64}$/.test(id)) return "id must be a name of a-z, 0-9 and -";
  const strange = Object.keys(row).find((key) => !KEYS.has(key));
  if (strange !== undefined) return `${id}: unknown key ${JSON.stringify(strange.slice(0, 40))}`;
  const problem = textProblem(row);
  if (problem !== undefined) return `${id}: ${problem}`;
  if (scope !== undefined && !SCOPES.has(scope)) return `${id}: scope must be statement, transaction or conflict`;
  if (patterns !== undefined && !(Array.isArray(patterns) && patterns.every(isPattern))) {
    return `${id}: patterns must be a list of objects with node, has, lacks, moreThan, cache and unlessAsync`;
  }
  const base = known.get(id);
  const missing = base === undefined ? NEEDED.find((key) => row[key] === undefined) : undefined;
  if (missing !== undefined) return `${id}: ${missing} is missing in a rule that is not built in`;
  const given = row as unknown as DsqlRule;
  return { ...base, ...given, scope: given.scope ?? base?.scope ?? "statement" };
}

function textProblem(row: Readonly<Record<string, unknown>>): string | undefined {
  for (const key of TEXTS) {
    const value = row[key];
    if (value === undefined) continue;
    if (typeof value !== "string" || value.length === 0 || value.length > 1000) return `${key} must be a text`;
    if ((key === "seen" || key === "until") && !/^\d{4}-\d{2}-\d{2}$/.test(value)) return `${key} must be YYYY-MM-DD`;
    if (key === "sqlState" && !/^[0-9A-Z]{5}$/.test(value)) return "sqlState must be five characters";
  }
  return undefined;
}

function isPattern(value: unknown): value is NodePattern {
  if (!isObject(value)) return false;
  const { node, has = {}, lacks = {}, moreThan = {}, cache, unlessAsync, ...others } = value;
  if (typeof node !== "string" || Object.keys(others).length > 0) return false;
  if (cache !== undefined && !(isObject(cache) && typeof cache["path"] === "string")) return false;
  if (unlessAsync !== undefined && unlessAsync !== true) return false;
  return isWords(has) && isWords(lacks) && isObject(moreThan) && Object.values(moreThan).every(Number.isSafeInteger);
}

function isWords(value: unknown): boolean {
  const isList = (entry: unknown): boolean =>
    entry === true || (Array.isArray(entry) && entry.every((word) => typeof word === "string"));
  return isObject(value) && Object.values(value).every(isList);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
