/** Reads test/bypass: see the README there for the format. */

import { readdirSync, readFileSync } from "node:fs";
import { parseSqlMode } from "../../src/policy/tools/tool-context.ts";
import type { MysqlContext } from "../../src/sql/facts.ts";

export interface BypassCase {
  readonly file: string;
  readonly line: number;
  readonly action: string;
  readonly rule: string | undefined;
  readonly under: "guarded" | "default";
  readonly dialect: string | undefined;
  readonly mode: string | undefined;
  readonly level: string | undefined;
  readonly sql: Uint8Array;
  readonly text: string;
}

const FOLDER = new URL("../bypass/", import.meta.url);
const MARK = "-- expect: ";

/** The policy that the attempts try to get past. */
export const GUARDED_POLICY = "read_only: true\ndeny: { tables: [secret] }";

export function readBypassCases(): BypassCase[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".sql"));
  return files.sort().flatMap((file) => parseFile(file, readFileSync(new URL(file, FOLDER), "utf8")));
}

function parseFile(file: string, content: string): BypassCase[] {
  const cases: BypassCase[] = [];
  const lines = content.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const head = lines[index] ?? "";
    if (!head.startsWith(MARK)) continue;
    let end = index + 1;
    while (end < lines.length && !(lines[end] ?? "").startsWith(MARK)) end++;
    const text = lines
      .slice(index + 1, end)
      .join("\n")
      .replace(/\n+$/, "");
    cases.push(parseCase(file, index + 1, head.slice(MARK.length).split(" "), text));
  }
  return cases;
}

function parseCase(file: string, line: number, words: readonly string[], text: string): BypassCase {
  const [action = "", ...rest] = words;
  const option = (name: string) => rest.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  return {
    file,
    line,
    action,
    rule: rest.find((word) => word.includes(".") && !word.includes("=")),
    under: option("under") === "default" ? "default" : "guarded",
    dialect: option("dialect"),
    mode: option("mode"),
    level: option("level"),
    sql: rest.includes("escapes") ? decodeEscapes(text) : new TextEncoder().encode(text),
    text,
  };
}

function decodeEscapes(text: string): Uint8Array {
  const bytes: number[] = [];
  const encoded = new TextEncoder().encode(text);
  for (let index = 0; index < encoded.length; index++) {
    if (encoded[index] === 0x5c && encoded[index + 1] === 0x78) {
      bytes.push(Number.parseInt(text.slice(index + 2, index + 4), 16));
      index += 3;
    } else bytes.push(encoded[index] ?? 0);
  }
  return Uint8Array.from(bytes);
}

/** Every session the attempt must be judged under alike. */
export function contextsOf({ dialect, mode }: BypassCase): MysqlContext[] {
  const sqlMode = mode === "unknown" ? "unknown" : parseSqlMode(mode);
  const base = { engine: "mysql", sqlMode, charset: "utf8mb4", schema: "qc_scratch", multiStatements: true } as const;
  const all: MysqlContext[] = [
    { ...base, dialect: "mysql", serverVersion: 80036 },
    { ...base, dialect: "mysql", serverVersion: 90704 },
    { ...base, dialect: "mysql", serverVersion: undefined },
    { ...base, dialect: "mariadb", serverVersion: 101119 },
    { ...base, dialect: "vitess", serverVersion: 80030 },
    { ...base, dialect: "unknown", serverVersion: undefined },
  ];
  const wanted = dialect === undefined ? ["mysql", "mariadb", "unknown"] : [dialect, "unknown"];
  return all.filter((context) => wanted.includes(context.dialect));
}
