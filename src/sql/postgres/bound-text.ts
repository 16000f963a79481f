/** The text of a prepared statement with its values in the places of its parameters. */
import type { BoundValue, PostgresqlContext } from "../facts.ts";
import { Lexer, MARK, TOKEN } from "./lexing/lexer.ts";

export interface ParameterPlace {
  readonly start: number;
  readonly end: number;
  /** As in the text: $1 is 1. */
  readonly number: number;
}

const lexer = new Lexer();
const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** Longer values decide nothing as a whole. */
const VALUE_BYTES_MAX = 64 * 1024;

/** Undefined where it is not certain which bytes are parameters. */
export function findParameters(sql: Uint8Array, context: PostgresqlContext): readonly ParameterPlace[] | undefined {
  lexer.run(sql, context.standardConformingStrings === "off" ? "escape" : "standard");
  const { marks, count, kinds, starts, ends } = lexer;
  if (context.standardConformingStrings === "unknown" && (marks & MARK.PLAIN_BACKSLASH) !== 0) return undefined;
  if ((marks & (MARK.UNTERMINATED | MARK.ERROR | MARK.OVER_LIMIT | MARK.NUL)) !== 0) return undefined;
  const places: ParameterPlace[] = [];
  for (let token = 0; token < count; token++) {
    if (kinds[token] !== TOKEN.PARAMETER) continue;
    const start = starts[token] as number;
    const end = ends[token] as number;
    places.push({ start, end, number: Number(Buffer.from(sql.subarray(start + 1, end)).toString("latin1")) });
  }
  return places;
}

/** A value that is not known stays a parameter. Bytes count as the text of the value where they are UTF-8. */
export function bindValues(
  sql: Uint8Array,
  places: readonly ParameterPlace[],
  values: readonly BoundValue[],
): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { start, end, number } of places) {
    const literal = literalOf(values[number - 1]);
    if (literal === undefined) continue;
    parts.push(sql.subarray(from, start), encoder.encode(` ${literal} `));
    from = end;
  }
  parts.push(sql.subarray(from));
  return Buffer.concat(parts);
}

function literalOf(value: BoundValue): string | undefined {
  if (value === undefined) return undefined;
  if (value === null) return "NULL";
  if (typeof value === "number" || typeof value === "bigint") return quote(String(value));
  const text = typeof value === "string" ? value : textOf(value);
  return text === undefined || text.length > VALUE_BYTES_MAX || text.includes("\0") ? undefined : quote(text);
}

function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.length > VALUE_BYTES_MAX) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** As the client sends it: a text of which the server makes the type that it wants. */
function quote(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return text.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}
