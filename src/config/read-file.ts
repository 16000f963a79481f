/** The YAML file → raw values with their line numbers. Knows keys and nesting, not the meaning of a value. */
import { basename } from "node:path";
import type { Document, LineCounter, Node, Pair, Scalar, YAMLMap } from "yaml";
import { readBoundedFile, writableByOthers } from "./file-access.ts";
import type { RawConnection, RawFile, RawListener, RawValue, RawValues } from "./raw-config.ts";
import { CONNECTION_SETTING_BY_KEY, SETTING_BY_KEY, SETTINGS, type Setting } from "./settings.ts";
import { closestWord, quote } from "./values.ts";

const FILE_BYTES_MAX = 1024 * 1024;
const LISTENERS_MAX = 64;
const LISTENERS_KEY = "listeners";
const CONNECTIONS_MAX = 1000;
const CONNECTIONS_KEY = "connections";

type Yaml = typeof import("yaml");

/** Reads and takes apart the file. All its problems come back at once; nothing is thrown. */
export async function readConfigFile(path: string): Promise<RawFile> {
  const failure = (problem: string): RawFile => ({
    listeners: [],
    connections: [],
    top: new Map(),
    isBroken: true,
    problems: [problem],
    warnings: [],
  });
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return failure(read.problem);
  const writable = writableByOthers(path, read.mode);
  if (writable !== undefined) return failure(writable);
  const yaml = await import("yaml");
  return new FileWalk(yaml, basename(path), read.bytes.toString("utf8")).run();
}

/** One pass over one document. */
class FileWalk {
  readonly #yaml: Yaml;
  readonly #name: string;
  readonly #lines: LineCounter;
  readonly #document: Document.Parsed;
  readonly #problems: string[] = [];
  readonly #warnings: string[] = [];

  constructor(yaml: Yaml, name: string, text: string) {
    this.#yaml = yaml;
    this.#name = name;
    this.#lines = new yaml.LineCounter();
    // The failsafe schema leaves every scalar as the text it is: 0123, 1e3 and no stay what the operator wrote.
    this.#document = yaml.parseDocument(text, {
      schema: "failsafe",
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: true,
    });
  }

  run(): RawFile {
    const top: RawValues = new Map();
    const listeners: RawListener[] = [];
    const connections: RawConnection[] = [];
    const root = this.#document.contents;
    // One slip makes YAML see many errors; only the first is worth reading.
    const [error] = this.#document.errors;
    let isBroken = error !== undefined;
    if (error !== undefined) this.#problems.push(`${this.#at(error.pos[0])}: ${error.message.split("\n")[0] ?? ""}`);
    else if (this.#yaml.isMap(root)) isBroken = !this.#walkTop(root, top, listeners, connections);
    else if (!this.#isEmpty(root)) {
      isBroken = true;
      this.#problems.push(`${this.#name}:1: expected a mapping of settings`);
    }
    return { listeners, connections, top, isBroken, problems: this.#problems, warnings: this.#warnings };
  }

  /** False when the listeners could not be told apart. */
  #walkTop(root: YAMLMap, top: RawValues, listeners: RawListener[], connections: RawConnection[]): boolean {
    let isWhole = true;
    for (const pair of root.items as Pair<Node, Node | null>[]) {
      const key = this.#keyOf(pair);
      if (key === LISTENERS_KEY) isWhole = this.#walkListeners(pair, listeners);
      else if (key === CONNECTIONS_KEY) this.#walkConnections(pair, connections);
      else this.#walkPair(pair, "", "", top, false);
    }
    return isWhole;
  }

  #walkListeners(pair: Pair<Node, Node | null>, listeners: RawListener[]): boolean {
    const node = this.#resolve(pair.value);
    if (!this.#yaml.isSeq(node) || node.items.length === 0) {
      this.#problems.push(`${this.#at(pair.key)} ${LISTENERS_KEY}: expected a list with at least one listener`);
      return false;
    }
    if (node.items.length > LISTENERS_MAX) {
      this.#problems.push(`${this.#at(pair.key)} ${LISTENERS_KEY}: expected at most ${LISTENERS_MAX} listeners`);
      return false;
    }
    for (const [index, item] of node.items.entries()) {
      const prefix = `${LISTENERS_KEY}[${index}]`;
      const entry = this.#resolve(item as Node);
      if (!this.#yaml.isMap(entry)) {
        this.#problems.push(`${this.#at(item as Node)} ${prefix}: expected a mapping of settings`);
        continue;
      }
      const values: RawValues = new Map();
      for (const child of entry.items as Pair<Node, Node | null>[])
        this.#walkPair(child, "", `${prefix}.`, values, true);
      listeners.push({ where: `${this.#at(item as Node)} ${prefix}`, values });
    }
    return listeners.length > 0;
  }

  #walkConnections(pair: Pair<Node, Node | null>, connections: RawConnection[]): void {
    const node = this.#resolve(pair.value);
    if (this.#isEmpty(node)) return;
    if (!this.#yaml.isMap(node) || node.items.length > CONNECTIONS_MAX) {
      this.#problems.push(
        `${this.#at(pair.key)} ${CONNECTIONS_KEY}: expected a mapping of at most ${CONNECTIONS_MAX} names to their settings`,
      );
      return;
    }
    for (const item of node.items as Pair<Node, Node | null>[]) {
      const name = this.#keyOf(item);
      const where = `${this.#at(item.key)} ${CONNECTIONS_KEY}.${name}`;
      const entry = this.#resolve(item.value);
      if (!this.#yaml.isMap(entry)) {
        this.#problems.push(`${where}: expected a mapping of settings`);
        continue;
      }
      const values: RawValues = new Map();
      for (const child of entry.items as Pair<Node, Node | null>[]) this.#walkOfConnection(child, name, values);
      connections.push({ name, where, values });
    }
  }

  #walkOfConnection(pair: Pair<Node, Node | null>, name: string, values: RawValues): void {
    const key = this.#keyOf(pair);
    const where = `${this.#at(pair.key)} ${CONNECTIONS_KEY}.${name}.${key}`;
    const setting = CONNECTION_SETTING_BY_KEY.get(key);
    if (key === "password") {
      const sources = "set password_source to iam, secret, parameter, command or file";
      this.#problems.push(`${where}: secrets do not belong in this file: ${sources}`);
    } else if (setting === undefined) {
      const near = closestWord(key, [...CONNECTION_SETTING_BY_KEY.keys()]);
      this.#problems.push(`${where}: unknown key${near === undefined ? "" : `, did you mean ${near}?`}`);
    } else {
      const value = this.#valueOf(this.#resolve(pair.value), setting, where);
      if (value !== undefined) values.set(key, { value, source: "file", where });
    }
  }

  /** `group` is the settings key so far ("backend."), `prefix` what stands before it in messages ("listeners[0]."). */
  #walkPair(
    pair: Pair<Node, Node | null>,
    group: string,
    prefix: string,
    values: RawValues,
    inListener: boolean,
  ): void {
    const key = group + this.#keyOf(pair);
    const where = `${this.#at(pair.key)} ${prefix}${key}`;
    const setting = SETTING_BY_KEY.get(key);
    const node = this.#resolve(pair.value);
    if (setting === undefined) {
      if (!SETTINGS.some((candidate) => candidate.key.startsWith(`${key}.`))) {
        this.#problems.push(unknownKey(where, key, group));
      } else if (this.#yaml.isMap(node)) {
        for (const child of node.items as Pair<Node, Node | null>[]) {
          this.#walkPair(child, `${key}.`, prefix, values, inListener);
        }
      } else if (!this.#isEmpty(node)) this.#problems.push(`${where}: expected a mapping of settings`);
      return;
    }
    if (inListener && setting.scope === "process") {
      this.#problems.push(`${where}: belongs to the whole process: move it to the top level of the file`);
      return;
    }
    const value = this.#valueOf(node, setting, where);
    if (value !== undefined) values.set(key, { value, source: "file", where });
  }

  #valueOf(node: Node | null, setting: Setting, where: string): RawValue["value"] | undefined {
    if (setting.metadata.secret) {
      this.#problems.push(
        `${where}: secrets do not belong in this file: set ${setting.metadata.env} or ${setting.key}_file`,
      );
      return undefined;
    }
    if (this.#isEmpty(node)) {
      this.#warnings.push(`${where}: is empty and counts as not set`);
      return undefined;
    }
    const { shape } = setting.metadata.kind;
    if (shape === "map") return this.#mappingOf(node, where);
    if (shape === "entries") return this.#entriesOf(node, where);
    if (shape === "list") {
      const list = this.#listOf(node);
      if (list !== undefined) return list;
    }
    if (this.#yaml.isScalar(node)) return String(node.value);
    this.#problems.push(`${where}: expected ${setting.metadata.kind.describe}`);
    return undefined;
  }

  /** The scalars of a sequence with commas between; undefined for anything else. */
  #listOf(node: Node | null): string | undefined {
    if (!this.#yaml.isSeq(node)) return undefined;
    const items = (node.items as Node[]).map((item) => this.#resolve(item));
    if (!items.every((item) => this.#yaml.isScalar(item))) return undefined;
    return items.map((item) => String((item as Scalar).value)).join(",");
  }

  #entriesOf(node: Node | null, where: string): string | undefined {
    const items = this.#yaml.isSeq(node) ? (node.items as Node[]).map((item) => this.#resolve(item)) : [null];
    const entries = items.map((item) => {
      const pairs = this.#yaml.isMap(item) ? (item.items as Pair<Node, Node | null>[]) : [];
      const values = pairs.map((pair) => {
        const value = this.#resolve(pair.value);
        return [this.#keyOf(pair), this.#yaml.isScalar(value) ? String(value.value) : this.#listOf(value)] as const;
      });
      const isWhole = values.length > 0 && values.every(([, value]) => value !== undefined);
      return isWhole ? Object.fromEntries(values) : undefined;
    });
    if (entries.every((entry) => entry !== undefined)) return JSON.stringify(entries);
    this.#problems.push(`${where}: expected a list of mappings, whose values are texts or lists of them`);
    return undefined;
  }

  #mappingOf(node: Node | null, where: string): Readonly<Record<string, string>> | undefined {
    const entries: Array<[string, string]> = [];
    const pairs = this.#yaml.isMap(node) ? (node.items as Pair<Node, Node | null>[]) : undefined;
    for (const pair of pairs ?? []) {
      const value = this.#resolve(pair.value);
      if (this.#yaml.isScalar(value) && value.value !== "") entries.push([this.#keyOf(pair), String(value.value)]);
      else this.#problems.push(`${this.#at(pair.key)} ${where.slice(where.indexOf(" ") + 1)}: expected name: user`);
    }
    if (pairs !== undefined) return Object.fromEntries(entries);
    this.#problems.push(`${where}: expected a mapping`);
    return undefined;
  }

  #keyOf(pair: Pair<Node, Node | null>): string {
    const key = this.#resolve(pair.key);
    return this.#yaml.isScalar(key) ? String(key.value) : "?";
  }

  #resolve(node: Node | null | undefined): Node | null {
    if (node === null || node === undefined) return null;
    return this.#yaml.isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
  }

  #isEmpty(node: Node | null): boolean {
    return node === null || (this.#yaml.isScalar(node) && (node.value === null || node.value === ""));
  }

  #at(position: number | Node | null | undefined): string {
    const offset = typeof position === "number" ? position : (position?.range?.[0] ?? 0);
    return `${this.#name}:${this.#lines.linePos(offset).line}`;
  }
}

function unknownKey(where: string, key: string, group: string): string {
  const leaf = key.slice(group.length);
  const siblings = SETTINGS.filter((setting) => setting.key.startsWith(group)).map((setting) => setting.key);
  const names = new Set([
    ...siblings.map((name) => name.slice(group.length).split(".")[0] ?? ""),
    ...(group === "" ? [LISTENERS_KEY, CONNECTIONS_KEY] : []),
  ]);
  const near = closestWord(leaf, [...names]);
  // A key that exists elsewhere was probably indented wrongly.
  const elsewhere = SETTINGS.find(
    (setting) => setting.metadata.key === leaf || setting.key.replaceAll(".", "_") === leaf,
  );
  const suggestion = near === undefined ? elsewhere?.key : group + near;
  const hint = suggestion === undefined ? "" : `, did you mean ${suggestion}?`;
  return `${where.slice(0, where.indexOf(" "))} ${quote(key).slice(1, -1)}: unknown key${hint}`;
}
