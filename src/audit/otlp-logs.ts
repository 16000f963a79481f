/**
 * Audit records as an ExportLogsServiceRequest of OTLP/HTTP in JSON (opentelemetry-proto, logs/v1). The body is the whole
 * record, so that its hash can still be checked; the attributes are what one searches by.
 */
import type { ReadRecord } from "./record-expander.ts";

/** SeverityNumber of opentelemetry-proto. */
const INFO = 9;
const WARN = 13;
const ERROR = 17;

/** From `session` and from the record itself, by the names of the semantic conventions where there are any. */
const SESSION_ATTRIBUTES = {
  id: "session.id",
  clientAddress: "client.address",
  user: "user.name",
  schema: "db.namespace",
} as const;
const RECORD_ATTRIBUTES = {
  seq: "querycop.seq",
  hash: "querycop.hash",
  ordinal: "querycop.ordinal",
  text: "db.query.text",
  statementKind: "db.operation.name",
  decision: "querycop.decision",
  score: "querycop.score",
  rules: "querycop.rules",
  outcome: "querycop.outcome",
  errorNumber: "db.response.status_code",
  errorCode: "error.type",
  reason: "querycop.reason",
} as const;

export function encodeOtlpLogs(lines: readonly string[]): string {
  return JSON.stringify({
    resourceLogs: [
      {
        resource: { attributes: [attribute("service.name", "querycop")] },
        scopeLogs: [{ scope: { name: "querycop.audit" }, logRecords: lines.flatMap(logRecord) }],
      },
    ],
  });
}

function logRecord(line: string): unknown[] {
  let record: ReadRecord;
  try {
    record = JSON.parse(line) as ReadRecord;
  } catch {
    return [];
  }
  const type = String(record["type"]);
  const session = (record["session"] ?? {}) as ReadRecord;
  const severity = type === "audit-gap" ? ERROR : type === "statement-blocked" || type === "refuse" ? WARN : INFO;
  const timeUnixNano = `${Date.parse(String(record["time"])) || 0}000000`;
  return [
    {
      timeUnixNano,
      observedTimeUnixNano: timeUnixNano,
      severityNumber: severity,
      severityText: severity === INFO ? "INFO" : severity === WARN ? "WARN" : "ERROR",
      eventName: `querycop.${type}`,
      body: { stringValue: line },
      attributes: [
        attribute("db.system.name", "mysql"),
        ...attributesOf(session, SESSION_ATTRIBUTES),
        ...attributesOf(record, RECORD_ATTRIBUTES),
      ],
    },
  ];
}

function attributesOf(record: ReadRecord, names: Readonly<Record<string, string>>): unknown[] {
  return Object.entries(names).flatMap(([field, name]) =>
    record[field] === undefined ? [] : [attribute(name, record[field])],
  );
}

function attribute(key: string, value: unknown): unknown {
  return { key, value: anyValue(value) };
}

/** AnyValue. 64-bit integers are strings in the JSON form of protobuf. */
function anyValue(value: unknown): unknown {
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number")
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  return { stringValue: String(value) };
}
