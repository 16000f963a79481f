/** Reads the statements out of an audit file, for replay and learn. */

/** One statement of the audit, with what was decided then. */
export interface AuditedStatement {
  readonly text: string;
  readonly user: string;
  readonly schema: string | undefined;
  readonly clientAddress: string | undefined;
  readonly listener: string | undefined;
  readonly sqlMode: string | undefined;
  readonly decision: string;
  readonly score: number | undefined;
}

/** What a line of the file was; only `statement` carries one. */
export type AuditLine =
  | { readonly kind: "statement"; readonly statement: AuditedStatement }
  | { readonly kind: "other" }
  | { readonly kind: "without-text" }
  | { readonly kind: "unreadable" };

/** Records that tell of a statement's decision. An outcome repeats its intent. */
const STATEMENT_TYPES: ReadonlySet<unknown> = new Set(["statement-intent", "statement-blocked", "hold"]);

export function parseAuditLine(line: string): AuditLine {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    return { kind: "unreadable" };
  }
  if (typeof record !== "object" || record === null) return { kind: "unreadable" };
  const fields = record as Record<string, unknown>;
  if (!STATEMENT_TYPES.has(fields["type"])) return { kind: "other" };
  const text = fields["text"];
  // A cut text ends in "[cut]": judging half a statement would mislead.
  if (typeof text !== "string" || fields["textForm"] === "none" || text.endsWith("[cut]"))
    return { kind: "without-text" };
  const session = (fields["session"] ?? {}) as Record<string, unknown>;
  return {
    kind: "statement",
    statement: {
      text,
      user: textOr(session["user"]) ?? textOr(session["userSent"]) ?? "",
      schema: textOr(session["schema"]),
      clientAddress: addressOf(textOr(session["clientAddress"])),
      listener: textOr(session["listener"]),
      sqlMode: textOr(session["sqlMode"]),
      decision: textOr(fields["decision"]) ?? "allow",
      score: typeof fields["score"] === "number" ? fields["score"] : undefined,
    },
  };
}

const textOr = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** "10.0.0.1:5000" and "[::1]:5000" without the port. */
function addressOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (text.startsWith("[")) return text.slice(1, text.indexOf("]"));
  const colon = text.lastIndexOf(":");
  return colon > 0 && text.indexOf(":") === colon ? text.slice(0, colon) : text;
}
