/** One verdict on a statement that a single command runs with many rows of values: the strictest that any of them has. */
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { togetherWith } from "../../../policy/impact.ts";
import { strictestAction } from "../../../policy/policy.ts";
import { eitherEffect } from "../../../policy/session-effect.ts";
import type { BoundValue, StatementKind } from "../../../sql/facts.ts";
import type { Execution, Judgement, StatementRequest } from "../../statement/statement-judge.ts";

/** Milliseconds before other sessions have their turn. */
const SLICE_MS = 2;

/** What a server runs for many rows at once (CF_PS_ARRAY_BINDING_SAFE of MariaDB's sql_parse.cc); it refuses all others. */
const BULK_KINDS: ReadonlySet<string> = new Set<StatementKind>(["insert", "replace", "update", "delete"]);

/** Classes of rows that are kept in mind: those of a batch are few, or one for each of its rows. */
const CLASSES_MAX = 1_000;

interface RowJudge {
  judge(values: readonly BoundValue[]): Judgement | Promise<Judgement>;
  /** Rows of one class have one verdict; undefined for a row that is like no other for certain. */
  classOf(values: readonly BoundValue[]): string | undefined;
}

/** At once where that takes no longer than a slice. Every row is judged under one and the same policy. */
export function judgeRows(
  request: Pick<StatementRequest, "signal">,
  rows: NonNullable<Execution<never>["rows"]>,
  rowJudge: RowJudge,
): Judgement | Promise<Judgement> {
  const judging = judgementsOf(rows, rowJudge);
  const endMs = SYSTEM_CLOCK.monotonicMs() + SLICE_MS;
  let all: Judgement | undefined;
  // Not for…of, which would end the generator with the slice.
  for (let next = judging.next(); next.done !== true; next = judging.next()) {
    const judged = next.value;
    if (judged instanceof Promise || SYSTEM_CLOCK.monotonicMs() >= endMs) {
      return judgeOn(judging, { judged, all, signal: request.signal }).then((known) => {
        return known ?? judgeRows(request, rows, rowJudge);
      });
    }
    if (judged !== undefined) all = all === undefined ? judged : ofBoth(all, judged);
  }
  if (all === undefined) throw new TypeError("Cannot judge a command without rows");
  return all;
}

type Judged = Judgement | Promise<Judgement> | undefined;

/** Of each row in turn; undefined for those of a class that was judged. */
function* judgementsOf(
  rows: NonNullable<Execution<never>["rows"]>,
  { judge, classOf }: RowJudge,
): Generator<Judged, void, void> {
  const judged = new Set<string>();
  for (const values of rows.values()) {
    const kind = classOf(values);
    if (kind !== undefined && judged.has(kind)) {
      yield undefined;
      continue;
    }
    yield judge(values);
    if (kind !== undefined && judged.size < CLASSES_MAX) judged.add(kind);
  }
}

interface JudgedSoFar {
  readonly judged: Judged;
  readonly all: Judgement | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Undefined when the policy has changed meanwhile. */
async function judgeOn(judging: Generator<Judged, void, void>, soFar: JudgedSoFar): Promise<Judgement | undefined> {
  const first = await soFar.judged;
  let all = soFar.all ?? first;
  if (all === undefined || (first !== undefined && first.policyVersion !== all.policyVersion)) return undefined;
  if (first !== undefined && first !== all) all = ofBoth(all, first);
  const { policyVersion } = all;
  let endMs = 0;
  for (const one of judging) {
    // SAFETY: who has left gets no answer, and nothing is sent for it.
    if (soFar.signal?.aborted === true) break;
    if (SYSTEM_CLOCK.monotonicMs() >= endMs) {
      await new Promise((resolve) => setImmediate(resolve));
      endMs = SYSTEM_CLOCK.monotonicMs() + SLICE_MS;
    }
    const judged = one instanceof Promise ? await one : one;
    if (judged === undefined) continue;
    if (judged.policyVersion !== policyVersion) return undefined;
    all = ofBoth(all, judged);
  }
  return all;
}

/** As the stricter of the two, with what either of them asks for besides. */
function ofBoth(one: Judgement, other: Judgement): Judgement {
  const [kept, left] = isStricter(other, one) ? [other, one] : [one, other];
  const rules = left.rules.filter((id) => !kept.rules.includes(id));
  return {
    ...kept,
    rules: rules.length === 0 ? kept.rules : [...kept.rules, ...rules],
    notUnderstood: kept.notUnderstood ?? left.notUnderstood,
    isUnderstood: kept.isUnderstood === true && left.isUnderstood === true,
    impact: togetherWith(kept.impact, [left.impact]),
    isReadOnly: kept.isReadOnly === true || left.isReadOnly === true,
    afterwards: eitherEffect([kept.afterwards, left.afterwards]),
    // What no server runs so today may leave anything, should one do so tomorrow.
    dynamicEffect: BULK_KINDS.has(kept.statementKind ?? "") ? kept.dynamicEffect : { kind: "forget-all" },
  };
}

function isStricter(one: Judgement, other: Judgement): boolean {
  if (one.action !== other.action) return strictestAction(one.action, other.action) === one.action;
  return (one.score ?? 0) > (other.score ?? 0);
}
