/**
 * SQL that querycop writes itself: a template of ours, and values that went through one of these functions. PostgreSQL's and
 * Aurora DSQL's form of names and literals, whatever standard_conforming_strings says.
 */
import { encodeUtf8 } from "../../../base/bytes.ts";

/** A value is none of those that its function takes. */
export class UnsafeSqlError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UnsafeSqlError";
  }
}

/** A piece of SQL that may stand in a statement as it is. */
export class SafeSql {
  readonly #text: string;

  /** Only the functions of this file know that `text` is safe. */
  constructor(text: string, made: typeof MADE_HERE) {
    if (made !== MADE_HERE) throw new UnsafeSqlError("Only the functions of safe-sql.ts make safe SQL");
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

const MADE_HERE: unique symbol = Symbol("made here");
const safe = (text: string): SafeSql => new SafeSql(text, MADE_HERE);

/** The server cuts longer names, which are others then. */
const NAME_BYTES_MAX = 63;

/** The name of a table, column, role or anything else, in quotes; parts between dots are given one by one. */
export function ident(...parts: readonly string[]): SafeSql {
  if (parts.length === 0) throw new UnsafeSqlError("A name has at least one part");
  return safe(
    parts
      .map((name) => {
        if (name === "" || name.includes("\0") || encodeUtf8(name).length > NAME_BYTES_MAX) {
          throw new UnsafeSqlError(`A name has 1 to ${NAME_BYTES_MAX} bytes, none of them 0`);
        }
        return `"${name.replaceAll('"', '""')}"`;
      })
      .join("."),
  );
}

/** A word without quotes, such as ASC, that must be one of `words`, in capitals or not. */
export function keyword(word: string, words: readonly string[]): SafeSql {
  const found = words.find((one) => one.toUpperCase() === word.toUpperCase());
  if (found === undefined || !/^[A-Za-z][A-Za-z_ ]*$/.test(found)) {
    throw new UnsafeSqlError(`Expected one of ${words.join(", ")}`);
  }
  return safe(found);
}

/** A value that must be one of `values`, as a literal. */
export function allow(value: string, values: readonly string[]): SafeSql {
  if (!values.includes(value)) throw new UnsafeSqlError(`Expected one of ${values.length} values`);
  return literal(value);
}

/** A value that `pattern` must match from its beginning to its end, as a literal. The pattern is the caller's own. */
export function regex(value: string, pattern: RegExp): SafeSql {
  const whole = new RegExp(`^(?:${pattern.source})$`, pattern.flags.replaceAll(/[gmy]/g, ""));
  if (!whole.test(value)) throw new UnsafeSqlError("The value has not the form that it must have");
  return literal(value);
}

export const TENANT_SLUG: RegExp = /[a-z0-9-]{1,64}/;
export const UUID: RegExp = /[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;
export const ISO_DATE: RegExp = /\d{4}-\d{2}-\d{2}/;

/** A whole number, also one that is written as text. */
export function integer(value: number | bigint | string): SafeSql {
  const text = String(value);
  if (!/^-?\d{1,19}$/.test(text)) throw new UnsafeSqlError("Expected a whole number");
  return safe(text.startsWith("-") ? `(${text})` : text);
}

/** Any text. Where it has a backslash, in the form that means the same under every setting. */
export function literal(value: string): SafeSql {
  if (value.includes("\0")) throw new UnsafeSqlError("A text of PostgreSQL has no byte 0");
  const quoted = value.replaceAll("'", "''");
  return safe(value.includes("\\") ? ` E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`);
}

/** Pieces one behind the other. */
export function join(pieces: readonly SafeSql[], between = ", "): SafeSql {
  if (!/^[ ,]*(?:AND|OR)?[ ]*$/.test(between)) throw new UnsafeSqlError("Expected commas, AND or OR");
  return safe(pieces.map(String).join(between));
}

/** `template` is the caller's own text: `{name}` stands for the value of that name. All values are used, and none is missing. */
export function build(template: string, values: Readonly<Record<string, SafeSql>> = {}): SafeSql {
  const used = new Set<string>();
  const text = template.replaceAll(/\{([a-z]+)\}/gi, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (!(value instanceof SafeSql)) throw new UnsafeSqlError(`No safe value for {${name}}`);
    used.add(name);
    return value.toString();
  });
  const unused = Object.keys(values).find((name) => !used.has(name));
  if (unused !== undefined) throw new UnsafeSqlError(`The template has no {${unused}}`);
  return safe(text);
}
