/** The audit log: searched a page at a time, and all that it tells of one decision. */
import { findDecision } from "../audit/audit-decision.ts";
import { searchAudit } from "../audit/audit-search.ts";
import { RULES } from "../policy/rules/rules.ts";
import { arrayOf, flag, integer, type JsonSchema, objectOf, text } from "./json-schema.ts";
import { type Call, Refusal, type Reply, type Route } from "./route.ts";

const AUDIT_LIMIT_MAX = 1000;
/** Records scanned at the same time; each reads a disk. */
let auditReads = 0;
const AUDIT_READS_MAX = 2;
const ANY: JsonSchema = { type: "object", additionalProperties: true, description: "See audit-event.schema.json" };

async function whileReading<T>({ operations }: Call, read: (auditFile: string) => Promise<T>): Promise<T> {
  const { auditFile } = operations;
  if (auditFile === undefined) throw new Refusal(404, "no-audit", "no audit log is kept, set audit.file");
  if (auditReads >= AUDIT_READS_MAX) throw new Refusal(503, "busy", "other readers are at the audit log, try again");
  auditReads++;
  try {
    return await read(auditFile);
  } finally {
    auditReads--;
  }
}

function readAudit(call: Call): Promise<Reply> {
  const { query } = call;
  return whileReading(call, async (auditFile) => {
    const page = await searchAudit(auditFile, {
      limit: Number(query["limit"] ?? 100),
      cursor: query["cursor"],
      filter: {
        types: query["type"]?.split(","),
        user: query["user"],
        sessionId: query["session"],
        clientAddress: query["client"],
        decision: query["decision"],
        decisionId: query["decision_id"],
        rule: query["rule"],
        table: query["table"],
        digest: query["digest"]?.toLowerCase(),
        outcome: query["outcome"],
        fromMs: timeOf("from", query["from"]),
        toMs: timeOf("to", query["to"]),
      },
    });
    const { cursor, scannedBytes, scannedTo } = page;
    const records = page.records.map(withoutRawText).reverse();
    return { status: 200, json: { records, cursor, scannedBytes, scannedTo } };
  });
}

function timeOf(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const timeMs = Date.parse(value);
  if (Number.isNaN(timeMs))
    throw new Refusal(400, "bad-request", `query.${name}: expected a time such as 2026-11-21T12:00:00Z`);
  return timeMs;
}

function readDecision(call: Call): Promise<Reply> {
  const id = call.path["id"] ?? "";
  return whileReading(call, async (auditFile) => {
    const found = await findDecision(auditFile, id);
    const [statement] = found.records;
    if (statement === undefined)
      throw new Refusal(404, "not-found", "the audit log has no such decision, or not any more");
    const ids = Array.isArray(statement["rules"]) ? statement["rules"] : [];
    const rules = RULES.filter((rule) => ids.includes(rule.id)).map((rule) => ({
      id: rule.id,
      category: rule.category,
      title: rule.title,
      instead: rule.rewrite,
    }));
    const shown = (record: (typeof found)["outcome"]): object | undefined =>
      record === undefined ? undefined : withoutRawText(record);
    const json = {
      records: found.records.map(withoutRawText),
      outcome: shown(found.outcome),
      approval: shown(found.approval),
      policyChange: policyChangeOf(call, statement["policyVersion"]),
      rules,
      isComplete: found.isComplete,
    };
    return { status: 200, json, target: id };
  });
}

/** Of this process's life; older ones are in the log, and not worth a search through all of it. */
function policyChangeOf({ operations }: Call, version: unknown): object | undefined {
  const found = operations.activity.changes.generations.find(
    (generation) => generation.version === version && generation.outcome === "ok",
  );
  return found === undefined
    ? undefined
    : { type: "policy-change", time: found.time, toVersion: found.version, by: found.by };
}

/** SAFETY: a statement kept in full is for who may read the file. */
export function withoutRawText<T extends object>(record: T): T {
  const fields = record as Readonly<Record<string, unknown>>;
  if (fields["textForm"] !== "raw") return record;
  const { text: _text, parameters: _parameters, ...rest } = fields;
  return { ...rest, textForm: "none" } as unknown as T;
}

const filter = (description: string, maxLength = 512): JsonSchema => ({ type: "string", maxLength, description });

export const AUDIT_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/audit",
    summary:
      "Records of the audit log: the last ones that fit, oldest first, and with the cursor of an answer those before them",
    query: {
      type: filter("Only of these event types, separated by commas", 400),
      user: filter("Only of this user"),
      session: filter("Only of this session", 64),
      client: filter("Only of this address, with or without port", 128),
      decision: filter("Only with this decision", 32),
      decision_id: filter("Only with this decision id", 64),
      rule: filter("Only where this rule matched; ddl.* for all that begin so", 128),
      table: filter("Only with this table, as schema.table or without schema"),
      digest: filter("Only of this digest: its hash in hexadecimal, or the beginning of it", 64),
      outcome: filter("Only with this outcome", 32),
      from: filter("Not before: a time such as 2026-11-21T12:00:00Z", 64),
      to: filter("Before this time", 64),
      cursor: filter("Of an answer before: go on there", 128),
      limit: {
        type: "integer",
        minimum: 1,
        maximum: AUDIT_LIMIT_MAX,
        description: "At most so many; 100 unless given",
      },
    },
    response: objectOf(
      {
        records: arrayOf(ANY),
        cursor: text("Where to go on; absent when everything was looked at, however few records fitted"),
        scannedBytes: integer("Bytes that were looked at"),
        scannedTo: text("Time of the oldest record that was looked at, RFC 3339"),
      },
      ["cursor", "scannedTo"],
    ),
    statuses: { 404: "No audit log is kept", 503: "Others read it" },
    handle: readAudit,
  },
  {
    method: "GET",
    path: "/decisions/{id}",
    summary: "All that the audit log tells of one decision: the statement, the rules in words, the outcome, the policy",
    response: objectOf(
      {
        records: arrayOf(ANY),
        outcome: ANY,
        approval: ANY,
        policyChange: ANY,
        rules: arrayOf(
          objectOf({
            id: text("Id of the rule"),
            category: text("Its category"),
            title: text("What it finds"),
            instead: text("What to write instead"),
          }),
        ),
        isComplete: flag("False where the search ended before it had looked everywhere"),
      },
      ["outcome", "approval", "policyChange"],
    ),
    statuses: { 404: "It is not in the log", 503: "Others read it" },
    handle: readDecision,
  },
];
