/** What a session leaves behind, as lines of a page: records, log and counters, without what is of one run alone. */
import type { AuditEvent } from "../../src/audit/audit-event.ts";

/** Fields that are of this run alone. */
const PASSING =
  /ms$|us$|seconds$|^(?:session|time|run|connectionId|id|port|clientPort|clientAddress|client|backendAddress|ordinal|command|level|textHash|textBytes|textForm|policyVersion|digest)$/i;

/** The same where nothing else is to be missed: a page that only a sum is kept of may be as long as it likes. */
const PASSING_OF_ALL = /ms$|us$|seconds$|^(?:session|time|run|connectionId|id|port|clientPort|since|policyVersion)$/i;

/** The same where the clock is the test's own. */
const PASSING_OF_CLOCKED =
  /^(?:session|time|port|clientPort|clientAddress|client|backendAddress|backend|policyVersion)$/;

const isNothing = (value: unknown): boolean => value === undefined || value === 0 || value === false;

export function fields(value: object, isWhole = false): string {
  const passing = isWhole ? PASSING_OF_ALL : PASSING;
  const kept = Object.entries(value).filter(([name, field]) => !passing.test(name) && !isNothing(field));
  const told = kept.map(([name, field]) => `${name}=${typeof field === "string" ? field : JSON.stringify(field)}`);
  return told.join(" ").replace(/127\.0\.0\.1:\d+/g, "HERE");
}

/** As `fields`, times and all. */
export function clockedFields(value: object): string {
  const kept = Object.entries(value).filter(([name, field]) => !PASSING_OF_CLOCKED.test(name) && !isNothing(field));
  return kept.map(([name, field]) => `${name}=${typeof field === "string" ? field : JSON.stringify(field)}`).join(" ");
}

/** The counters of a page of metrics. */
export function counted(page: string, isWhole = false): Map<string, string> {
  const passing = isWhole ? /seconds(?!_count)|memory|process_/ : /seconds|bytes|memory|process_/;
  const lines = page.split("\n").filter((line) => line !== "" && !line.startsWith("#") && !passing.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

/** What has been counted since `before`. */
export function countedSince(before: ReadonlyMap<string, string>, page: string, isWhole = false): string[] {
  const changed = [...counted(page, isWhole)].filter(([name, value]) => before.get(name) !== value);
  return changed.map(([name, value]) => `${name} ${value}`);
}

export function eventLine({ type, ...rest }: AuditEvent): string {
  const { schema, user } = (rest as { session?: { schema?: string; user?: string } }).session ?? {};
  return `! ${type} (${user}, ${schema}) ${fields(rest)}`;
}

/** All of an event that does not pass with its run, the session's own fields too. */
export function wholeEventLine({ type, ...rest }: AuditEvent): string {
  const { session = {} } = rest as { session?: object };
  return `! ${type} (${fields(session, true)}) ${fields(rest, true)}`;
}
