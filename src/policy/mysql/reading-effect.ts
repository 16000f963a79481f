/** What a text may do to the way in which a MySQL session reads later texts. */

import type { MysqlContext, Reading, StatementFacts, VariableAssignment } from "../../sql/facts.ts";
import type { MysqlAnalysis } from "../../sql/mysql/analyze.ts";
import { isOpaque, READING_VARIABLES, runsWithPacket } from "../../sql/mysql/dynamic/certainty.ts";
import { isAscii, mayMatchName } from "../../sql/mysql/names/names.ts";
import { isHarmlessCall } from "../rules/harmless-functions.ts";
import type { SessionEffect } from "../session-effect.ts";

/** What decides how a text is read, as servers report it. */
export type ReadingSetting = "sql_mode" | "charset" | "connection";

/** The names of session_track_system_variables, session_track_schema and their like. */
const TRACKING = "session_track_*";

const OWN_SCOPES: ReadonlySet<string> = new Set(["user", "local"]);
/** Values that new sessions get. */
const SERVER_SCOPES: ReadonlySet<string> = new Set(["global", "persist", "persist-only"]);
/** Values that end with the statement: what the server reports is one of them, or has been. */
const PASSING_SCOPES: ReadonlySet<string> = new Set(["hint", "statement"]);

/** What the text does in any of its readings. */
export function sessionEffectOf({ readings, context }: Pick<MysqlAnalysis, "readings" | "context">): SessionEffect {
  // A lone USE names what it sets.
  if (isLoneUse(readings)) return "none";
  let effect: SessionEffect = "none";
  for (const reading of readings) {
    const next = effectOfReading(reading, context);
    if (next === "opaque" || (effect !== "none" && next !== "none" && next !== effect)) return "opaque";
    if (next !== "none") effect = next;
  }
  return effect;
}

/** The settings that the server has to report. */
export function reportsOf(effect: SessionEffect): readonly ReadingSetting[] {
  return effect === "none" || effect === "opaque" ? [] : (effect.split(" ").slice(1) as ReadingSetting[]);
}

function isLoneUse(readings: readonly Reading[]): boolean {
  const [reading] = readings;
  return (
    readings.length === 1 &&
    reading?.understood === true &&
    reading.statements.length === 1 &&
    reading.statements[0]?.kind === "use"
  );
}

function effectOfReading({ statements, understood }: Reading, context: MysqlContext): SessionEffect {
  if (!understood) return "opaque";
  // A statement before may have changed what a name with a blank behind it is.
  const calling: MysqlContext = statements.length === 1 ? context : { ...context, sqlMode: "unknown" };
  let effect: SessionEffect = "none";
  for (const statement of statements) {
    if (statement.within !== "explained" && !runsWithPacket(statement, statements)) continue;
    const next = effectOfStatement(statement, calling);
    // SAFETY: of two statements that set, a server may report the first alone.
    if (next === "opaque" || (next !== "none" && effect !== "none")) return "opaque";
    if (next !== "none") effect = next;
  }
  return effect;
}

function effectOfStatement(statement: StatementFacts, context: MysqlContext): SessionEffect {
  const { kind, functions, variables } = statement;
  if (isOpaque(statement) || kind === "use" || kind === "drop-schema") return "opaque";
  // SAFETY: a stored function may set what the server reports, and that is not reported.
  for (const call of functions) if (!isHarmlessCall(call, context)) return "opaque";
  if (variables.length === 0) return "none";
  const settings = new Set<ReadingSetting>();
  for (const variable of variables) {
    const set = settingsOf(variable);
    if (set === "opaque") return "opaque";
    for (const setting of set) settings.add(setting);
  }
  return settings.size === 0 ? "none" : `sets ${[...settings].sort().join(" ")}`;
}

const NO_SETTINGS: readonly ReadingSetting[] = [];

function settingsOf({ name, scope }: VariableAssignment): readonly ReadingSetting[] | "opaque" {
  if (OWN_SCOPES.has(scope) || SERVER_SCOPES.has(scope)) return NO_SETTINGS;
  // SAFETY: what could not be folded into ASCII may name anything.
  if (mayMatchName(TRACKING, name) || !isAscii(name)) return "opaque";
  const set = READING_VARIABLES.get(name) ?? NO_SETTINGS;
  return set.length > 0 && PASSING_SCOPES.has(scope) ? "opaque" : set;
}
