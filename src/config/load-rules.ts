/** `loads:` of a connection: what may be loaded from where into which table, and how. */
import { type ConnectionLoads, LOAD_MODES, type LoadMode, type LoadRule, type UnloadRule } from "../base/load-rule.ts";
import { parseS3Pattern } from "../base/s3-uri.ts";
import { quote, sizeKind, type ValueKind } from "./values.ts";

const RULES_MAX = 100;
const TABLES_MAX = 100;
const BYTES_MAX_DEFAULT = "50GiB";
const size = sizeKind({ min: 1, max: 5 * 1024 ** 4 });
const KEYS = ["from", "into", "modes", "max_bytes"];

type Entry = Readonly<Record<string, string>>;

/** A list of mappings; the file's reader hands it over as JSON, with lists as texts with commas. */
export const loadRulesKind: ValueKind<ConnectionLoads> = {
  describe: "list of from, into, modes and max_bytes",
  shape: "entries",
  json: {
    type: "array",
    maxItems: RULES_MAX,
    items: {
      type: "object",
      additionalProperties: false,
      required: ["from", "into"],
      properties: {
        from: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
        into: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
        modes: { anyOf: [{ type: "string" }, { type: "array", items: { enum: [...LOAD_MODES] } }] },
        max_bytes: size.json,
      },
    },
  },
  parse: (text) => {
    const entries = entriesOf(text);
    if (entries === undefined || entries.length > RULES_MAX)
      return { problem: `expected a list of at most ${RULES_MAX} entries with from, into, modes and max_bytes` };
    const rules: (LoadRule | UnloadRule)[] = [];
    for (const entry of entries) {
      const rule = ruleOf(entry);
      if (typeof rule === "string") return { problem: rule };
      rules.push(rule);
    }
    return { value: rules };
  },
};

function entriesOf(text: string): readonly Entry[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as readonly Entry[]) : undefined;
  } catch {
    return undefined;
  }
}

const wordsOf = (text: string): string[] => text.split(",").map((word) => word.trim());

function ruleOf(entry: Entry): LoadRule | UnloadRule | string {
  const unknown = Object.keys(entry).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) return `unknown key ${quote(unknown)} in an entry, expected ${KEYS.join(", ")}`;
  const { from = "", into = "" } = entry;
  const isOut = parseS3Pattern(into) !== undefined && parseS3Pattern(from) === undefined;
  const [address, names] = isOut ? [into, from] : [from, into];
  const objects = parseS3Pattern(address);
  if (objects === undefined)
    return `expected from as s3://bucket/key or s3://bucket/prefix/*, got ${quote(entry["from"] ?? "")}`;
  const tables = wordsOf(names);
  const badTable = tables.find((name) => !/^[^.*]+\.(?:\*|[^*]+)$/.test(name));
  if (badTable !== undefined || tables.length > TABLES_MAX)
    return `expected ${isOut ? "from" : "into"} as schema.table or schema.*, got ${quote(badTable ?? names)}`;
  return isOut ? unloadOf(entry, objects, tables) : loadOf(entry, objects, tables);
}

function unloadOf(entry: Entry, objects: UnloadRule["objects"], tables: readonly string[]): UnloadRule | string {
  const lost = ["modes", "max_bytes"].find((key) => entry[key] !== undefined);
  if (lost !== undefined) return `${lost} has no effect in an entry that writes tables into S3: remove it`;
  if (!objects.isPrefix)
    return "expected into as s3://bucket/prefix* where tables are written: a server makes several objects";
  return { way: "out", objects, tables };
}

function loadOf(entry: Entry, objects: LoadRule["objects"], tables: readonly string[]): LoadRule | string {
  const modes = entry["modes"] === undefined ? [...LOAD_MODES] : wordsOf(entry["modes"]);
  const badMode = modes.find((word) => !LOAD_MODES.some((mode) => mode === word));
  if (badMode !== undefined) return `expected modes of ${LOAD_MODES.join(", ")}, got ${quote(badMode)}`;
  const bytes = size.parse(entry["max_bytes"] ?? BYTES_MAX_DEFAULT);
  if ("problem" in bytes) return `max_bytes: ${bytes.problem}`;
  const limitsBytes = entry["max_bytes"] !== undefined;
  return { way: "in", objects, tables, modes: modes as LoadMode[], bytesMax: bytes.value, limitsBytes };
}
