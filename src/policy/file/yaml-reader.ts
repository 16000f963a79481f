/** Reads a YAML text as typed values and remembers the line of each, so that every complaint names file and line. */

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";

export interface Problem {
  readonly line: number;
  readonly text: string;
}

/** One value of the file: a node, its key path for messages, and its line. */
export interface YamlValue {
  readonly node: unknown;
  readonly path: string;
  readonly line: number;
}

const ITEM_COUNT_MAX = 100_000;

/** Collects problems instead of throwing, so that one run reports everything that is wrong. */
export class YamlReader {
  readonly problems: Problem[] = [];
  readonly #lines = new LineCounter();
  readonly #root: YamlValue;

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, uniqueKeys: true, prettyErrors: false });
    for (const error of document.errors) {
      this.problems.push({ line: this.#lines.linePos(error.pos[0]).line, text: firstLine(error.message) });
    }
    this.#root = { node: document.contents, path: "", line: 1 };
  }

  root(): YamlValue {
    return this.#root;
  }

  report(value: YamlValue, text: string): void {
    this.problems.push({ line: value.line, text: value.path === "" ? text : `${value.path}: ${text}` });
  }

  /** The entries of a mapping by key. Unknown keys are reported with the nearest known one. */
  entries(value: YamlValue, knownKeys: readonly string[]): Map<string, YamlValue> {
    const found = this.anyEntries(value);
    for (const [key, entry] of found) {
      if (knownKeys.includes(key)) continue;
      const near = nearestWord(key, knownKeys);
      const hint = near === undefined ? `known keys are ${knownKeys.join(", ")}` : `did you mean "${near}"`;
      this.report(entry, `unknown key, ${hint}`);
      found.delete(key);
    }
    return found;
  }

  /** The entries of a mapping whose keys are free. */
  anyEntries(value: YamlValue): Map<string, YamlValue> {
    const found = new Map<string, YamlValue>();
    if (!isMap(value.node)) {
      this.report(value, `expected a mapping, got ${describe(value.node)}`);
      return found;
    }
    for (const pair of value.node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : "";
      const path = value.path === "" ? key : `${value.path}.${key}`;
      const entry = { node: pair.value, path, line: this.#lineOf(pair.key) ?? value.line };
      if (isScalar(pair.key)) found.set(key, entry);
      else this.report(entry, "expected a plain key");
    }
    return found;
  }

  /** The items of a list; a single scalar counts as a list of one. */
  items(value: YamlValue): YamlValue[] {
    if (isScalar(value.node) && value.node.value !== null) return [value];
    if (!isSeq(value.node)) {
      this.report(value, `expected a list, got ${describe(value.node)}`);
      return [];
    }
    if (value.node.items.length > ITEM_COUNT_MAX) {
      this.report(value, `the list has ${value.node.items.length} items, the limit is ${ITEM_COUNT_MAX}`);
      return [];
    }
    return value.node.items.map((node, index) => ({
      node,
      path: `${value.path}[${index}]`,
      line: this.#lineOf(node) ?? value.line,
    }));
  }

  isMapping(value: YamlValue): boolean {
    return isMap(value.node);
  }

  isScalar(value: YamlValue): boolean {
    return isScalar(value.node);
  }

  /** False for what is written as a number, true or false. */
  isText(value: YamlValue): boolean {
    return isScalar(value.node) && typeof value.node.value === "string";
  }

  /** The text of a scalar; numbers and words count as text, exactly as written ("007" stays "007"). */
  text(value: YamlValue): string | undefined {
    const scalar = this.#scalar(value, "text");
    if (scalar === undefined || typeof scalar === "string") return scalar;
    return (isScalar(value.node) ? value.node.source : undefined) ?? String(scalar);
  }

  boolean(value: YamlValue): boolean | undefined {
    const scalar = this.#scalar(value, "true or false");
    if (scalar === undefined || typeof scalar === "boolean") return scalar;
    this.report(value, `expected true or false, got "${String(scalar)}"`);
    return undefined;
  }

  integer(value: YamlValue, min: number, max: number): number | undefined {
    const scalar = this.#scalar(value, "a number");
    if (scalar === undefined) return undefined;
    if (typeof scalar === "number" && Number.isInteger(scalar) && scalar >= min && scalar <= max) return scalar;
    this.report(value, `expected a whole number from ${min} to ${max}, got "${String(scalar)}"`);
    return undefined;
  }

  word<Word extends string>(value: YamlValue, words: readonly Word[]): Word | undefined {
    // YAML 1.1 readers turn off into false; this reader follows 1.2, but a quoted or bare word may still be boolean.
    const scalar = this.#scalar(value, words.join(", "));
    if (scalar === undefined) return undefined;
    const text = scalar === false ? "off" : String(scalar);
    const found = words.find((word) => word === text);
    if (found === undefined) {
      const near = nearestWord(text, words);
      const hint = near === undefined ? "" : `, did you mean "${near}"`;
      this.report(value, `expected one of ${words.join(", ")}, got "${text}"${hint}`);
    }
    return found;
  }

  /** Runs a compiler that throws RangeError on bad text, and reports its message. */
  compile<Compiled>(value: YamlValue, compiler: (text: string) => Compiled): Compiled | undefined {
    const text = this.text(value);
    return text === undefined ? undefined : this.attempt(value, () => compiler(text));
  }

  /** Runs something that throws RangeError on bad input, and reports its message at the value. */
  attempt<Result>(value: YamlValue, run: () => Result): Result | undefined {
    try {
      return run();
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
      this.report(value, thrown.message);
      return undefined;
    }
  }

  #scalar(value: YamlValue, wanted: string): string | number | boolean | undefined {
    const inner = isScalar(value.node) ? value.node.value : undefined;
    if (typeof inner === "string" || typeof inner === "number" || typeof inner === "boolean") return inner;
    this.report(value, `expected ${wanted}, got ${describe(value.node)}`);
    return undefined;
  }

  #lineOf(node: unknown): number | undefined {
    const range = (node as Node | null)?.range;
    return range ? this.#lines.linePos(range[0]).line : undefined;
  }
}

function describe(node: unknown): string {
  if (isMap(node)) return "a mapping";
  if (isSeq(node)) return "a list";
  if (isAlias(node)) return "an alias, which policy files do not use";
  if (isScalar(node) && node.value !== null) return `"${String(node.value)}"`;
  return "nothing";
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? text;
}

/** The closest word within two edits, for "did you mean". */
function nearestWord(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = 3;
  for (const candidate of words) {
    const distance = editDistance(word.slice(0, 64), candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
