/** The published forms of the event table: JSON Schema, and the tables of docs/audit.md. */
import { AUDIT_EVENTS, type AuditEventType, SESSION_FIELDS } from "./audit-event.ts";

interface Field {
  readonly kind: "text" | "integer" | "number" | "flag" | "texts" | "word" | "session";
  readonly optional: boolean;
  readonly words: readonly string[];
  readonly doc: string;
}

type Fields = Readonly<Record<string, Field>>;

const CHAIN_FIELDS: Fields = {
  seq: { kind: "integer", optional: false, words: [], doc: "Number in its run, counted from 1, without gaps" },
  time: { kind: "text", optional: false, words: [], doc: "RFC 3339, UTC, milliseconds; the order of records is seq" },
  type: { kind: "text", optional: false, words: [], doc: "Event type" },
  prev: {
    kind: "text",
    optional: true,
    words: [],
    doc: "Hash of the record before; not of a record in short, which its file chains",
  },
  hash: {
    kind: "text",
    optional: false,
    words: [],
    doc: "SHA-256 of the line up to this field, brace put back; of the whole line, where the file has it in short",
  },
};

/** JSON Schema (2020-12) of one record. */
export function renderAuditSchema(): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "querycop audit record",
    description: "One line of the audit log. Later versions may add event types and optional fields.",
    oneOf: eventTypes().map((type) => ({ $ref: `#/$defs/${type}` })),
    $defs: {
      session: objectSchema("What every record about a session says of it", SESSION_FIELDS, {}),
      ...Object.fromEntries(eventTypes().map((type) => [type, eventSchema(type)])),
    },
  };
}

function eventTypes(): AuditEventType[] {
  return Object.keys(AUDIT_EVENTS) as AuditEventType[];
}

function eventSchema(type: AuditEventType): Record<string, unknown> {
  const { doc, fields } = AUDIT_EVENTS[type];
  return objectSchema(doc, { ...CHAIN_FIELDS, ...fields }, { type: { const: type } });
}

function objectSchema(description: string, fields: Fields, fixed: Record<string, unknown>): Record<string, unknown> {
  const names = Object.keys(fields);
  return {
    type: "object",
    description,
    properties: Object.fromEntries(names.map((name) => [name, fixed[name] ?? fieldSchema(name, fields[name])])),
    required: names.filter((name) => fields[name]?.optional === false),
  };
}

function fieldSchema(name: string, field: Field | undefined): Record<string, unknown> {
  const description = field?.doc;
  if (name === "prev" || name === "hash") return { type: "string", pattern: "^[0-9a-f]{64}$", description };
  if (name === "time" || name === "since") return { type: "string", format: "date-time", description };
  switch (field?.kind) {
    case "integer":
      return { type: "integer", description };
    case "number":
      return { type: "number", description };
    case "flag":
      return { type: "boolean", description };
    case "texts":
      return { type: "array", items: { type: "string" }, description };
    case "word":
      return { type: "string", enum: field.words, description };
    case "session":
      return { $ref: "#/$defs/session" };
    default:
      return { type: "string", description };
  }
}

/** The event tables as Markdown. */
export function renderAuditTables(): string {
  const parts = [
    "### In every record\n",
    table(CHAIN_FIELDS),
    "### `session`: in every record about a session\n",
    table(SESSION_FIELDS),
  ];
  for (const type of eventTypes()) {
    const { doc, fields } = AUDIT_EVENTS[type];
    parts.push(`### \`${type}\`\n`, `${doc}.\n`, table(fields));
  }
  return parts.join("\n");
}

function table(fields: Fields): string {
  const rows = Object.entries(fields).map(([name, field]) => {
    const kind = field.kind === "word" ? field.words.map((word) => `\`${word}\``).join(", ") : field.kind;
    return `| \`${name}\`${field.optional ? "" : " *"} | ${kind} | ${field.doc} |`;
  });
  return ["| field (* always there) | value | meaning |", "|---|---|---|", ...rows, ""].join("\n");
}
