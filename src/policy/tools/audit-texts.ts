/** Reads the statements out of an audit file, for replay and learn. */

import { sha256Hex } from "../../sql/mysql/digest/digest.ts";

/** One statement of the audit, with what was decided then. */
export interface AuditedStatement {
  readonly text: string;
  /** `digest`: the text is one. `sql`: it is the statement, perhaps with other literals. */
  readonly form: "digest" | "sql";
  /** As a policy lists the statement; empty where no list can know it. Undefined for an SQL text, which tells it itself. */
  readonly digestHashes: readonly string[] | undefined;
  readonly user: string;
  readonly schema: string | undefined;
  readonly clientAddress: string | undefined;
  readonly listener: string | undefined;
  /** As its session tells it: postgresql or dsql. Undefined for MySQL's, and in records of before it was told. */
  readonly engine: string | undefined;
  readonly sqlMode: string | undefined;
  /** As the server reported it. */
  readonly searchPath: string | undefined;
  readonly decision: string;
  /** It was sent to the server: allowed, warned of or approved. */
  readonly hasRun: boolean;
  readonly isTls: boolean;
  readonly score: number | undefined;
  readonly rules: readonly string[];
  readonly policyVersion: string | undefined;
  readonly estimatedRows: number | undefined;
}

/** What a line of the file was; only `statement` carries one. */
export type AuditLine =
  | { readonly kind: "statement"; readonly statement: AuditedStatement }
  /** A querycop began to write. */
  | { readonly kind: "start"; readonly version: string | undefined }
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
  // A record in short, without the one that it refers to.
  if (fields["type"] === undefined && typeof fields["seq"] === "number") return { kind: "unreadable" };
  if (fields["type"] === "start") return { kind: "start", version: textOr(fields["version"]) };
  if (!STATEMENT_TYPES.has(fields["type"])) return { kind: "other" };
  const text = fields["text"];
  if (typeof text !== "string" || fields["textForm"] === "none") return { kind: "without-text" };
  const session = (fields["session"] ?? {}) as Record<string, unknown>;
  const form = fields["textForm"] === "digest" ? "digest" : "sql";
  return {
    kind: "statement",
    statement: {
      text,
      form,
      digestHashes: form === "digest" ? digestHashesOf(fields, text) : undefined,
      user: textOr(session["user"]) ?? textOr(session["userSent"]) ?? "",
      schema: textOr(session["schema"]),
      clientAddress: addressOf(textOr(session["clientAddress"])),
      listener: textOr(session["listener"]),
      engine: textOr(session["engine"]),
      sqlMode: textOr(session["sqlMode"]),
      searchPath: textOr(session["searchPath"]),
      decision: textOr(fields["decision"]) ?? "allow",
      hasRun: fields["type"] === "statement-intent",
      isTls: session["clientTls"] !== undefined,
      score: numberOr(fields["score"]),
      rules: textsOf(fields["rules"]),
      policyVersion: textOr(fields["policyVersion"]),
      estimatedRows: numberOr(fields["estimatedRows"]),
    },
  };
}

/** Ends a text that was too long for its record. */
const CUT_MARK = "[cut]";

function digestHashesOf(fields: Readonly<Record<string, unknown>>, text: string): readonly string[] {
  if (Array.isArray(fields["digestHashes"])) return textsOf(fields["digestHashes"]);
  return text.endsWith(CUT_MARK) ? [] : [sha256Hex(text)];
}

const numberOr = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

const textOr = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** "10.0.0.1:5000" and "[::1]:5000" without the port. */
function addressOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (text.startsWith("[")) return text.slice(1, text.indexOf("]"));
  const colon = text.lastIndexOf(":");
  return colon > 0 && text.indexOf(":") === colon ? text.slice(0, colon) : text;
}
