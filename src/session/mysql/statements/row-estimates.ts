/** How many rows the server expects a statement to go through: an EXPLAIN on a side login, with the session's settings. */
import { createHash } from "node:crypto";
import { concatBytes, encodeUtf8 } from "../../../base/bytes.ts";
import { type QuerycopError, toQuerycopError } from "../../../base/errors.ts";
import { Slots } from "../../../base/slots.ts";
import { isEstimable } from "../../../policy/impact.ts";
import { malformedFrom } from "../../malformed.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import type { Estimate } from "../../statement/statement-wire.ts";
import type { CommandContext } from "../command-context.ts";
import { type SideRows, withSideLogin } from "../login/side-login.ts";
import { recordOwn } from "./own-statement.ts";

/** Side logins of one listener at once, and statements that may wait for one. */
const LOGINS_MAX = 4;
const WAITING_MAX = 64;
/** Milliseconds an estimate may take, waiting and logging in included. */
const ESTIMATE_TIMEOUT_MS = 5_000;
/** Statistics change slowly, and only the very same text in the same session settings is looked up. */
const KEPT_MS = 10_000;
const KEPT_MAX = 512;

/** Shared by the sessions of one listener. */
export class RowEstimates {
  readonly slots = new Slots(LOGINS_MAX, WAITING_MAX);
  /** Sessions whose log has a reason already. */
  readonly told = new WeakSet<CommandContext>();
  readonly #kept = new Map<string, { readonly rows: number; readonly untilMs: number }>();

  find(key: string, nowMs: number): number | undefined {
    const kept = this.#kept.get(key);
    return kept !== undefined && nowMs < kept.untilMs ? kept.rows : undefined;
  }

  keep(key: string, rows: number, nowMs: number): void {
    this.#kept.delete(key);
    this.#kept.set(key, { rows, untilMs: nowMs + KEPT_MS });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
  }
}

/**
 * Asks, or says "unknown" with a reason in the log. Never throws: what then becomes of the statement is the profile's.
 * `sql` is the text with bound values as literals; undefined where that cannot be written for certain.
 */
export async function estimateRows(
  context: CommandContext,
  sql: Uint8Array | undefined,
  judgement: Judgement,
): Promise<Estimate> {
  const { rowEstimates, tokens } = context.services;
  if (tokens === undefined) return unknown(context, "there is no token source to log in with");
  if (sql === undefined) return unknown(context, "the values of the prepared statement are not all known");
  if (judgement.statementKind?.includes(",") === true) return unknown(context, "the text has several statements");
  // SAFETY: behind EXPLAIN only what it plans: nothing that would run something by another name.
  if (!isEstimable(judgement.statementKind)) return unknown(context, "the statement is inside another one");
  const settings = sessionSettings(context);
  if (settings === undefined) return unknown(context, "the session's sql_mode or character set is not known");
  const key = keyOf(context, settings, sql);
  const known = rowEstimates.find(key, context.clock.monotonicMs());
  if (known !== undefined) {
    context.services.metrics.impactGuard.of("estimate-kept").value++;
    return known;
  }
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ESTIMATE_TIMEOUT_MS)]);
  if (!(await rowEstimates.slots.enter(signal))) return unknown(context, "too many estimates at once");
  try {
    const rows = await explain(context, settings, sql, judgement, signal);
    if (rows === undefined) return unknown(context, "the server's plan does not tell it");
    rowEstimates.keep(key, rows, context.clock.monotonicMs());
    context.services.metrics.impactGuard.of("estimated").value++;
    return rows;
  } catch (thrown) {
    return unknown(context, "the server gave none", toQuerycopError(malformedFrom("backend", thrown)));
  } finally {
    rowEstimates.slots.leave();
  }
}

function unknown(context: CommandContext, why: string, error?: QuerycopError): "unknown" {
  const { services } = context;
  services.metrics.impactGuard.of("no-estimate").value++;
  const fields = { ...context.logFields(), why, code: error?.code, error: error?.message };
  const isTold = services.rowEstimates.told.has(context);
  services.rowEstimates.told.add(context);
  services.logger[isTold ? "debug" : "warn"]("impact guard has no estimate", fields);
  return "unknown";
}

/** What decides how the server reads and plans the text, as a SET; undefined while the server has not told it. */
function sessionSettings({ state }: CommandContext): string | undefined {
  const { sqlMode, characterSet } = state.variables;
  if (sqlMode === "unknown" || characterSet === "unknown") return undefined;
  // SAFETY: both come from the server; only what such values are made of goes into a statement of ours.
  if (!/^[A-Z0-9_,]*$/.test(sqlMode) || !/^[a-z0-9_]+$/.test(characterSet)) return undefined;
  return `SET sql_mode='${sqlMode}',character_set_client=${characterSet}`;
}

function keyOf({ state }: CommandContext, settings: string, sql: Uint8Array): string {
  const hash = createHash("sha256");
  for (const part of [state.user, state.variables.schema ?? "", settings]) hash.update(`${part}\0`);
  return hash.update(sql).digest("base64");
}

async function explain(
  context: CommandContext,
  settings: string,
  sql: Uint8Array,
  judgement: Judgement,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { schema: _schema, ...response } = context.login.response;
  const { schema } = context.state.variables;
  const login = { ...context.login, response: schema === undefined ? response : { ...response, schema } };
  return await withSideLogin(
    context,
    login,
    signal,
    async (side) => {
      await recordOwn(context, "estimate", settings);
      await side.query(settings, "its session settings");
      // SAFETY: the word says EXPLAIN, so that nothing runs; the text is the one that was judged, alone.
      await recordOwn(context, "estimate", `EXPLAIN FORMAT=TRADITIONAL ${judgement.text}`);
      const text = concatBytes([encodeUtf8("EXPLAIN FORMAT=TRADITIONAL "), sql]);
      return rowsOf(await side.query(text, "an EXPLAIN"));
    },
    ESTIMATE_TIMEOUT_MS,
  );
}

/**
 * The most rows that any step goes through: rows of the tables before it that are left after filtering, times its own.
 * Steps of one SELECT share their id (manual, EXPLAIN Output Format). NULL stands for a step that reads nothing.
 * Undefined where the plan is none that can be read.
 */
export function rowsOf(steps: SideRows): number | undefined {
  if (steps.length === 0) return undefined;
  const left = new Map<string, number>();
  let most = 0;
  for (const step of steps) {
    const id = step.get("id") ?? "";
    const before = left.get(id) ?? 1;
    if (!step.has("rows")) return undefined;
    const rows = Number(step.get("rows") ?? 0);
    const filtered = Number(step.get("filtered") ?? 100);
    // SAFETY: what cannot be read is not nothing.
    if (!Number.isFinite(rows) || !Number.isFinite(filtered)) return undefined;
    most = Math.max(most, before * rows);
    left.set(id, before * rows * (filtered / 100));
  }
  return Math.min(Math.round(most), Number.MAX_SAFE_INTEGER);
}
