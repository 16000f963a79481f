/** The kinds of value a setting can have: how each is written, read and printed. Pure; every value arrives as text. */

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** One way to write a value. */
export interface ValueKind<T> {
  /** For the reference: "duration such as 30s". */
  readonly describe: string;
  /** A problem reads on from "<name>: " and tells both what was expected and what was received. */
  readonly parse: (text: string) => Parsed<T>;
  /** JSON Schema of the value in the file. */
  readonly json: Readonly<Record<string, unknown>>;
  /**
   * `list` takes a YAML sequence or commas, `map` a YAML mapping, `text` a scalar, `entries` a sequence of mappings, which
   * arrives as JSON with the lists in it as texts with commas.
   */
  readonly shape: "text" | "list" | "map" | "entries";
  /** The loader makes such a value absolute. */
  readonly isPath?: true;
}

const TEXT_LENGTH_MAX = 4096;

/** The value as it may stand in an error message: bounded, quoted, without control characters. */
export function quote(text: string): string {
  let safe = "";
  for (const character of text.slice(0, 80)) {
    const code = character.codePointAt(0) ?? 0;
    safe += code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ? "?" : character;
  }
  return `"${safe}${text.length > 80 ? "…" : ""}"`;
}

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if ((code < 0x20 && code !== 0x09 && code !== 0x0a) || code === 0x7f) return true;
  }
  return false;
}

/** Any text without control characters; line breaks are allowed, as shell lines are often folded. */
export function textKind(describe = "text"): ValueKind<string> {
  return {
    describe,
    shape: "text",
    json: { type: "string", maxLength: TEXT_LENGTH_MAX },
    parse: (text) => {
      if (text.length > TEXT_LENGTH_MAX) {
        return { problem: `expected at most ${TEXT_LENGTH_MAX} characters, got ${text.length}` };
      }
      if (hasControlCharacter(text)) return { problem: "expected text without control characters" };
      return { value: text };
    },
  };
}

/** An absolute URL with one of these schemes. No user or password in it: it is logged, and seen by other users. */
export function urlKind(schemes: readonly string[]): ValueKind<string> {
  const forms = schemes.map((scheme) => `${scheme}://`).join(" or ");
  return {
    describe: `URL that begins with ${forms}`,
    shape: "text",
    json: { type: "string", maxLength: TEXT_LENGTH_MAX },
    parse: (text) => {
      const url = text.length <= TEXT_LENGTH_MAX && URL.canParse(text) ? new URL(text) : undefined;
      if (url === undefined || !schemes.includes(url.protocol.slice(0, -1)) || url.hostname === "") {
        return { problem: `expected a URL that begins with ${forms}` };
      }
      if (url.username !== "" || url.password !== "") {
        return { problem: "expected a URL without user and password: put credentials into the headers file" };
      }
      return { value: text };
    },
  };
}

/** A path on disk. Existence is checked by the loader, which also makes it absolute. */
export function pathKind(describe = "path"): ValueKind<string> {
  return {
    describe,
    shape: "text",
    isPath: true,
    json: { type: "string", maxLength: TEXT_LENGTH_MAX },
    parse: (text) => {
      if (text.length > TEXT_LENGTH_MAX || hasControlCharacter(text) || text.includes("\n")) {
        return { problem: `expected a path, got ${quote(text)}` };
      }
      return { value: text };
    },
  };
}

const BASE_PATH_LENGTH_MAX = 200;
const BASE_PATH = /^(?:\/[A-Za-z0-9_-]{1,64})+$/;

/** The beginning of a URL's path: parts of letters, digits, `-` and `_`, each behind a slash. */
export const basePathKind: ValueKind<string> = {
  describe: "path such as /querycop",
  shape: "text",
  json: { type: "string", maxLength: BASE_PATH_LENGTH_MAX, pattern: BASE_PATH.source },
  parse: (text) =>
    text.length <= BASE_PATH_LENGTH_MAX && BASE_PATH.test(text)
      ? { value: text }
      : {
          problem: `expected a path such as /querycop, of letters, digits, - and _ between slashes, got ${quote(text)}`,
        },
};

const HOST_LENGTH_MAX = 253;

function isHostCharacter(character: string): boolean {
  return (
    (character >= "a" && character <= "z") ||
    (character >= "A" && character <= "Z") ||
    (character >= "0" && character <= "9") ||
    character === "." ||
    character === "-" ||
    character === "_" ||
    character === ":" ||
    character === "%"
  );
}

/** A DNS name or an IP literal, without port, scheme or brackets. */
export const hostKind: ValueKind<string> = {
  describe: "DNS name or IP address",
  shape: "text",
  json: { type: "string", minLength: 1, maxLength: HOST_LENGTH_MAX },
  parse: (text) => {
    const host = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
    const colons = host.split(":").length - 1;
    if (host.includes("/"))
      return { problem: `expected a host name or IP address without scheme or path, got ${quote(text)}` };
    if (colons === 1)
      return { problem: `expected a host name without port, got ${quote(text)}: the port has its own setting` };
    if (
      host.length === 0 ||
      host.length > HOST_LENGTH_MAX ||
      [...host].some((character) => !isHostCharacter(character))
    ) {
      return { problem: `expected a host name or IP address, got ${quote(text)}` };
    }
    return { value: host };
  },
};

function parseDigits(text: string): number | undefined {
  if (text.length === 0 || text.length > 15) return undefined;
  for (const character of text) if (character < "0" || character > "9") return undefined;
  return Number(text);
}

/** A whole number from `min` to `max`. With `off`, that word is accepted for 0. */
/** Host and port of a server, as `host:port`; an IPv6 address stands in brackets. */
export const endpointKind: ValueKind<string> = {
  describe: "host:port",
  shape: "text",
  json: { type: "string", minLength: 3, maxLength: HOST_LENGTH_MAX + 8 },
  parse: (text) => {
    const colon = text.lastIndexOf(":");
    const host = hostKind.parse(text.slice(0, Math.max(colon, 0)));
    if ("problem" in host) return { problem: `expected host:port, got ${quote(text)}` };
    const port = text.slice(colon + 1);
    if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
      return { problem: `expected host:port with a port from 1 to 65535, got ${quote(text)}` };
    }
    return { value: `${host.value}:${Number(port)}` };
  },
};

/** The parts of such a text. */
export function endpointOf(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

export function integerKind(range: { min: number; max: number; off?: boolean }): ValueKind<number> {
  const describe = `whole number from ${range.min} to ${range.max}${range.off === true ? ", or off" : ""}`;
  const number = { type: "integer", minimum: range.min, maximum: range.max };
  return {
    describe,
    shape: "text",
    json: range.off === true ? { anyOf: [number, { const: "off" }] } : number,
    parse: (text) => {
      if (range.off === true && (text === "off" || text === "0")) return { value: 0 };
      const value = parseDigits(text);
      if (value === undefined || value < range.min || value > range.max) {
        return { problem: `expected a ${describe}, got ${quote(text)}` };
      }
      return { value };
    },
  };
}

const MEGABYTE = 1_000_000;

/** Bytes, written as a whole number of megabytes of 1,000,000 bytes. The word off is accepted for 0. */
export function megabyteKind(range: { min: number; max: number }): ValueKind<number> {
  const count = integerKind({ ...range, off: true });
  return {
    ...count,
    parse: (text) => {
      const parsed = count.parse(text);
      return "value" in parsed ? { value: parsed.value * MEGABYTE } : parsed;
    },
  };
}

/** One word of a closed list. */
export function choiceKind<const T extends string>(choices: readonly T[]): ValueKind<T> {
  return {
    describe: choices.join(", "),
    shape: "text",
    json: { enum: [...choices] },
    parse: (text) => {
      const value = choices.find((choice) => choice === text);
      if (value !== undefined) return { value };
      const near = closestWord(text, choices);
      const hint = near === undefined ? "" : `, did you mean "${near}"?`;
      return { problem: `expected one of ${choices.join(", ")}, got ${quote(text)}${hint}` };
    },
  };
}

const TRUE_WORDS = ["on", "true", "yes", "1"];
const FALSE_WORDS = ["off", "false", "no", "0"];

export const switchKind: ValueKind<boolean> = {
  describe: "on or off",
  shape: "text",
  json: { anyOf: [{ type: "boolean" }, { enum: ["on", "off"] }] },
  parse: (text) => {
    const word = text.toLowerCase();
    if (TRUE_WORDS.includes(word)) return { value: true };
    if (FALSE_WORDS.includes(word)) return { value: false };
    return { problem: `expected on or off, got ${quote(text)}` };
  },
};

interface Unit {
  readonly name: string;
  readonly factor: number;
}

const DURATION_UNITS: readonly Unit[] = [
  { name: "ms", factor: 1 },
  { name: "s", factor: 1000 },
  { name: "m", factor: 60_000 },
  { name: "h", factor: 3_600_000 },
  { name: "d", factor: 86_400_000 },
];

const SIZE_UNITS: readonly Unit[] = [
  { name: "B", factor: 1 },
  { name: "KiB", factor: 1024 },
  { name: "MiB", factor: 1024 ** 2 },
  { name: "GiB", factor: 1024 ** 3 },
  { name: "TiB", factor: 1024 ** 4 },
];

/** "30s" → 30000: a whole number directly followed by one of the units. */
function parseQuantity(text: string, units: readonly Unit[]): number | undefined {
  const unit = units.findLast(
    (candidate) => text.endsWith(candidate.name) && parseDigits(text.slice(0, -candidate.name.length)) !== undefined,
  );
  if (unit === undefined) return undefined;
  const count = parseDigits(text.slice(0, -unit.name.length)) ?? 0;
  const value = count * unit.factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The shortest way to write a quantity: 90000 → "90s", 60000 → "1m". */
function formatQuantity(value: number, units: readonly Unit[]): string {
  const unit = units.findLast((candidate) => value % candidate.factor === 0 && value >= candidate.factor) ?? units[0];
  return unit === undefined ? String(value) : `${value / unit.factor}${unit.name}`;
}

export const formatDuration = (durationMs: number): string => formatQuantity(durationMs, DURATION_UNITS);

interface QuantityRange {
  readonly min: number;
  readonly max: number;
  readonly off?: boolean;
}

function quantityKind(noun: string, example: string, units: readonly Unit[], range: QuantityRange): ValueKind<number> {
  const names = units.map((unit) => unit.name).join(", ");
  const limits = `from ${formatQuantity(range.min, units)} to ${formatQuantity(range.max, units)}`;
  const off = range.off === true ? ", or off" : "";
  const pattern = `^([0-9]+(${units.map((unit) => unit.name).join("|")})${range.off === true ? "|off|0" : ""})$`;
  return {
    describe: `${noun} such as ${example}, ${limits}${off}`,
    shape: "text",
    json: { type: ["string", "integer"], pattern },
    parse: (text) => {
      if (range.off === true && (text === "off" || text === "0")) return { value: 0 };
      const value = parseQuantity(text, units);
      if (value === undefined) {
        return { problem: `expected a ${noun} such as ${example} (units ${names})${off}, got ${quote(text)}` };
      }
      if (value < range.min || value > range.max)
        return { problem: `expected a ${noun} ${limits}${off}, got ${quote(text)}` };
      return { value };
    },
  };
}

const SECOND_MS = 1000;
/** setTimeout() fires at once beyond 2^31-1 ms; a day is the longest that makes sense here. */
const DURATION_MS_MAX = 24 * 3600 * SECOND_MS;

/** Milliseconds, written with a unit. With `off`, that word is accepted for 0. */
export function durationKind(range: { min?: number; max?: number; off?: boolean } = {}): ValueKind<number> {
  return quantityKind("duration", "30s", DURATION_UNITS, {
    min: range.min ?? 100,
    max: range.max ?? DURATION_MS_MAX,
    off: range.off === true,
  });
}

/** Bytes, written with a unit. With `off`, that word is accepted for 0. */
export function sizeKind(range: { min: number; max: number; off?: boolean }): ValueKind<number> {
  return quantityKind("size", "64MiB", SIZE_UNITS, range);
}

const LIST_ITEMS_MAX = 1000;

/** Several words: a YAML sequence in the file, comma-separated elsewhere. */
export function listKind(describe: string, isItem: (item: string) => boolean): ValueKind<readonly string[]> {
  return {
    describe: `${describe}, separated by commas`,
    shape: "list",
    json: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" }, maxItems: LIST_ITEMS_MAX }] },
    parse: (text) => {
      const items = text.split(",").map((item) => item.trim());
      if (items.length > LIST_ITEMS_MAX)
        return { problem: `expected at most ${LIST_ITEMS_MAX} entries, got ${items.length}` };
      const bad = items.find((item) => !isItem(item));
      if (bad !== undefined) return { problem: `expected ${describe}, got ${quote(bad)}` };
      return { value: items };
    },
  };
}

/** Edit distance with neighbours swapped counted as one edit. For short operator text only. */
export function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, (beforePrevious[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/** The word most like `text`, if one is like enough to be worth suggesting. */
export function closestWord(text: string, words: readonly string[]): string | undefined {
  if (text.length === 0 || text.length > 100) return undefined;
  const lower = text.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(text.length / 3)) + 1;
  for (const word of words) {
    const candidate = word.toLowerCase();
    const distance = candidate.startsWith(lower) && lower.length >= 3 ? 0.5 : editDistance(lower, candidate);
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  return best;
}
