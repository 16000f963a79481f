/** MySQL's expressions of defaults, checks and keys in PostgreSQL's SQL, as far as they can be told from their words. */
import type { DdlToken } from "./ddl-tokens.ts";
import { nameSql, textSql } from "./names.ts";

/** Functions that both have under these names, with the same meaning. */
const SHARED: ReadonlySet<string> = new Set(
  (
    "ABS CEIL CEILING FLOOR ROUND MOD POWER SQRT SIGN GREATEST LEAST COALESCE NULLIF LOWER UPPER TRIM LTRIM RTRIM LENGTH " +
    "CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS REPLACE REVERSE LEFT RIGHT REPEAT MD5"
  ).split(" "),
);
const WORDS: ReadonlySet<string> = new Set(
  "AND OR NOT IN IS NULL BETWEEN LIKE TRUE FALSE CASE WHEN THEN ELSE END".split(" "),
);
const RENAMED: Readonly<Record<string, string>> = { IFNULL: "coalesce", LCASE: "lower", UCASE: "upper" };
const MARKS: ReadonlySet<string> = new Set(["+", "-", "*", "/", "%", "(", ")", ",", "<", ">", "=", "!"]);

export interface Columns {
  /** As the new table has them, by their names in lower case. */
  readonly names: ReadonlySet<string>;
}

/** Undefined where a word of it is not known to mean the same. */
export function expressionSql(tokens: readonly DdlToken[], { names }: Columns): string | undefined {
  const parts: string[] = [];
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    const part = tokenSql(token, next?.kind === "mark" && next.text === "(", names);
    if (part === undefined) return undefined;
    if (part === "") continue;
    const previous = tokens[index - 1];
    const isGlued =
      previous?.kind === "mark" &&
      token.kind === "mark" &&
      "<>=!".includes(token.text) &&
      "<>=!".includes(previous.text);
    parts.push(isGlued || parts.length === 0 ? part : ` ${part}`);
  }
  const sql = parts
    .join("")
    .replaceAll("( ", "(")
    .replaceAll(" )", ")")
    .replaceAll(" ,", ",")
    .replaceAll(/(\w) \(/g, joinCall);
  return sql.replaceAll("!=", "<>");
}

/** `lower (` → `lower(`, but not `IN (`. */
function joinCall(whole: string, last: string, at: number, sql: string): string {
  const word = /\w+$/.exec(sql.slice(0, at + 1))?.[0] ?? "";
  return WORDS.has(word.toUpperCase()) ? whole : `${last}(`;
}

function tokenSql(token: DdlToken, isCall: boolean, names: ReadonlySet<string>): string | undefined {
  const { kind, text } = token;
  if (kind === "text") return textSql(text);
  if (kind === "number") return text;
  if (kind === "mark") return MARKS.has(text) ? text : undefined;
  if (kind === "name" || names.has(text.toLowerCase()))
    return names.has(text.toLowerCase()) ? nameSql(text) : undefined;
  const word = text.toUpperCase();
  if (WORDS.has(word)) return word;
  // An introducer of a character set says nothing where all is UTF-8.
  if (/^_(?:utf8|utf8mb3|utf8mb4|latin1|ascii)$/i.test(text)) return "";
  if (!isCall) return undefined;
  return RENAMED[word] ?? (SHARED.has(word) ? word.toLowerCase() : undefined);
}

/** `uuid()` and its kin, as a default of a column of this type. */
export function uuidDefault(tokens: readonly DdlToken[], type: string): string | undefined {
  const words = tokens.map(({ text }) => text.toLowerCase()).join("");
  if (words !== "uuid()" && words !== "uuid_to_bin(uuid())") return undefined;
  if (type === "uuid") return "gen_random_uuid()";
  if (type.startsWith("varchar") || type === "text") return "gen_random_uuid()::text";
  return type === "bytea" ? "uuid_send(gen_random_uuid())" : undefined;
}
