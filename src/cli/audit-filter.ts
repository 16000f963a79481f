/** The options that choose audit records. */
import type { ArgsDef } from "citty";
import { AUDIT_EVENTS, DECISION_ACTIONS, STATEMENT_OUTCOMES } from "../audit/audit-event.ts";
import type { AuditFilter } from "../audit/audit-read.ts";
import { closestWord, durationKind } from "../config/values.ts";
import { LIST_END } from "./arguments.ts";
import { UsageError } from "./command-io.ts";

export const auditFilterArguments: ArgsDef = {
  type: { type: "string", valueHint: Object.keys(AUDIT_EVENTS).join("|") + LIST_END },
  user: { type: "string" },
  session: { type: "string" },
  client: { type: "string" },
  decision: { type: "string", valueHint: DECISION_ACTIONS.join("|") },
  "decision-id": { type: "string" },
  rule: { type: "string" },
  digest: { type: "string" },
  outcome: { type: "string", valueHint: STATEMENT_OUTCOMES.join("|") },
  since: { type: "string" },
  until: { type: "string" },
  limit: { type: "string" },
};

type Arguments = Readonly<Record<string, unknown>>;

export function auditFilter(args: Arguments, nowMs: number = Date.now()): AuditFilter {
  const word = (name: string): string | undefined => {
    const value = args[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    types: word("type")?.split(",").map(eventType),
    user: word("user"),
    sessionId: word("session"),
    clientAddress: word("client"),
    decision: word("decision"),
    decisionId: word("decision-id"),
    rule: word("rule"),
    digest: digestOf(word("digest")),
    outcome: word("outcome"),
    fromMs: timeOf("since", word("since"), nowMs),
    toMs: timeOf("until", word("until"), nowMs),
  };
}

/** A number from 1 to `max`, or undefined when there is none. */
export function countOf(value: unknown, max: number): number | undefined {
  if (value === undefined) return undefined;
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= 1 && count <= max) return count;
  throw new UsageError(`--limit: expected a number from 1 to ${max}, got ${JSON.stringify(value)}`);
}

const DIGEST_CHARS_MIN = 8;
const DIGEST_CHARS_MAX = 64;

function digestOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const digest = text.toLowerCase();
  const isHash = digest.length >= DIGEST_CHARS_MIN && digest.length <= DIGEST_CHARS_MAX && /^[0-9a-f]+$/.test(digest);
  if (isHash) return digest;
  throw new UsageError(
    `--digest: expected ${DIGEST_CHARS_MIN} to ${DIGEST_CHARS_MAX} hexadecimal digits, as explain and export show, got ${JSON.stringify(text)}`,
  );
}

function eventType(name: string): string {
  const names = Object.keys(AUDIT_EVENTS);
  if (names.includes(name)) return name;
  const near = closestWord(name, names);
  const hint = near === undefined ? `expected one of ${names.join(", ")}` : `did you mean ${near}?`;
  throw new UsageError(`--type: there is no event type ${JSON.stringify(name)}, ${hint}`);
}

/** Logs are kept for longer than any setting may last. */
const AGO_MS_MAX = 100 * 366 * 86_400_000;

/** A date or time, or how long ago. */
function timeOf(option: string, text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const isDate = /^\d{4}-\d{2}-\d{2}/.test(text);
  const ago = durationKind({ max: AGO_MS_MAX }).parse(text);
  const timeMs = isDate ? Date.parse(text) : "value" in ago ? nowMs - ago.value : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new UsageError(
    `--${option}: expected a time such as 2026-11-21T12:00:00Z or a duration such as 90m, got ${JSON.stringify(text)}`,
  );
}
