/**
 * Reads a digest text back: a statement that has it, with parameters where literals were. Names stand in backticks and
 * everything else is a word of the server's own, so that a digest has one meaning; what it does not tell are the values.
 */

import { type MysqlContext, SQL_MODE } from "../facts.ts";
import { analyze, type MysqlAnalysis } from "./analyze.ts";

/** What stands for what literals collapse to; longer spellings first. */
const COLLAPSED: readonly (readonly [spelling: string, rows: readonly number[]])[] = [
  ["(?) /* , ... */", [1, 1]],
  ["(...) /* , ... */", [2, 2]],
  ["IN (...)", [1]],
  ["(...)", [2]],
  ["(?)", [1]],
];
const LIST = "?, ...";

/** Printed for several words, of which only these do without parentheses. */
const WORDS: Readonly<Record<string, string>> = {
  CURDATE: "CURRENT_DATE",
  CURTIME: "CURRENT_TIME",
  NOW: "CURRENT_TIMESTAMP",
  SYSTEM_USER: "USER",
};

/** Where a literal stood; a server that takes no parameter in that place takes one of the others. */
const VALUES = ["?", "'x'", "1"] as const;

/** The server keeps two bytes for each token of a digest, and the length and bytes of names. */
const TOKEN_BYTES = 2;
const NAME_BYTES = 4;
const NAME_CHARACTERS_MAX = 64;
const CHARACTER_BYTES_MAX = 4;

interface DigestPart {
  readonly text: string;
  readonly isName: boolean;
}

/**
 * The facts of a statement with that digest, without its values. Undefined where no statement is found that has it, or
 * none that is understood: a text that was cut, one of another server, or one that querycop does not know.
 */
export function analyzeDigest(digest: string, context: MysqlContext): MysqlAnalysis | undefined {
  const parts = [...partsOf(digest)];
  const mode = context.sqlMode === "unknown" ? 0 : context.sqlMode;
  // A function's name is followed by a blank in every digest, and a name that is none stands in backticks.
  const sqlMode = SQL_MODE.IGNORE_SPACE | (mode & SQL_MODE.PIPES_AS_CONCAT);
  for (const value of VALUES) {
    const sql = parts.map((part) => sqlOf(part, value)).join("");
    const analysis = analyze(new TextEncoder().encode(sql), { ...context, sqlMode, charset: "utf8mb4" });
    if (analysis.digest === digest && analysis.understood) return analysis;
  }
  return undefined;
}

/**
 * Whether the server may have cut the text for its `max_digest_length`. MySQL leaves no mark: a text that fills the room,
 * but for less than the longest name takes, may have gone on. Older servers and MariaDB end it with dots.
 */
export function isPerhapsCut(digest: string, lengthMax: number): boolean {
  if (digest.endsWith("...") && !digest.endsWith(LIST)) return true;
  let stored = 0;
  for (const { text, isName } of partsOf(digest)) {
    if (text === " ") continue;
    stored += isName ? NAME_BYTES + Buffer.byteLength(text) - 2 : TOKEN_BYTES;
  }
  return stored + NAME_BYTES + NAME_CHARACTERS_MAX * CHARACTER_BYTES_MAX > lengthMax;
}

function* partsOf(digest: string): Generator<DigestPart> {
  for (let at = 0; at < digest.length; ) {
    const end = digest[at] === "`" ? nameEnd(digest, at) : partEnd(digest, at);
    yield { text: digest.slice(at, end), isName: digest[at] === "`" };
    at = end;
  }
}

/** A name is printed as it is, backticks within it too: the one that ends it stands before a blank. */
function nameEnd(digest: string, start: number): number {
  const end = digest.indexOf("` ", start + 1);
  return end < 0 ? digest.length : end + 1;
}

function partEnd(digest: string, start: number): number {
  for (const [spelling] of [...COLLAPSED, [LIST] as const]) {
    if (digest.startsWith(spelling, start)) return start + spelling.length;
  }
  // These stand directly before what they belong to, or are one name.
  if (digest.startsWith("@@", start) || digest.startsWith("@?", start)) return start + 2;
  if (digest[start] === "@" || digest[start] === " ") return start + 1;
  const end = digest.indexOf(" ", start);
  return end < 0 ? digest.length : end;
}

function sqlOf({ text, isName }: DigestPart, value: string): string {
  if (isName) return `\`${text.slice(1, -1).replaceAll("`", "``")}\``;
  if (text === "?") return value;
  if (text === LIST) return `${value}, ${value}`;
  if (text === "@?") return "@v";
  if (text === "(_charset)") return "_utf8mb4";
  const rows = COLLAPSED.find(([spelling]) => spelling === text)?.[1];
  if (rows === undefined) return WORDS[text] ?? text;
  const row = (width: number): string => `(${Array.from({ length: width }, () => value).join(", ")})`;
  return `${text.startsWith("IN") ? "IN " : ""}${rows.map(row).join(", ")}`;
}
