/** What a text may do to the way in which its session reads later texts. */

import type { Reading, StatementFacts, StatementKind, StatementOrigin } from "../sql/facts.ts";

/**
 * `none`; `sets`: it sets something, which may be sql_mode, the charset or the default schema; `replaces-tracking`: it sets what the server
 * reports, which the server does not report; `opaque`: it runs what is not in the text.
 */
export type SessionEffect = (typeof EFFECTS)[number];

const EFFECTS = ["none", "sets", "replaces-tracking", "opaque"] as const;

/** Statements that can change sql_mode, the client charset or tracking without naming them. */
const OPAQUE_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "call",
  "execute",
  "execute-immediate",
  "compound",
  "unknown",
]);

const SET_KINDS: ReadonlySet<string> = new Set<StatementKind>(["set", "set-names", "use"]);

/** The names of session_track_system_variables, session_track_schema and their like. */
const TRACKING = "session_track_";

/** Assignments that end with the statement, or are not of the session. */
const PASSING_SCOPES: ReadonlySet<string> = new Set(["user", "local", "hint", "statement"]);

/** Statements of stored code, literals to prepare and plans do not run with the text. */
const RUNS: ReadonlySet<string> = new Set<StatementOrigin>([
  "packet",
  "executor-argument",
  "explain-analyze",
  "set-statement",
]);

/** The weightiest effect of any statement in any reading. */
export function sessionEffectOf(readings: readonly Reading[]): SessionEffect {
  let worst = 0;
  // A lone USE names what it sets.
  if (isLoneUse(readings)) return "none";
  for (const { statements, understood } of readings) {
    if (!understood) return "opaque";
    for (const statement of statements) {
      if (RUNS.has(statement.within)) worst = Math.max(worst, EFFECTS.indexOf(effectOf(statement)));
    }
  }
  return EFFECTS[worst] ?? "opaque";
}

function isLoneUse(readings: readonly Reading[]): boolean {
  const [reading, ...others] = readings;
  return (
    others.length === 0 &&
    reading?.understood === true &&
    reading.statements.length === 1 &&
    reading.statements[0]?.kind === "use"
  );
}

function effectOf({ kind, variables }: StatementFacts): SessionEffect {
  if (OPAQUE_KINDS.has(kind)) return "opaque";
  const isTracking = variables.some(({ name, scope }) => name.startsWith(TRACKING) && !PASSING_SCOPES.has(scope));
  if (isTracking) return "replaces-tracking";
  return SET_KINDS.has(kind) ? "sets" : "none";
}
