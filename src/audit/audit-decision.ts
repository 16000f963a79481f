/**
 * Everything an audit log tells of one decision, or of one request for an approval: the statement, what became of the
 * request, how it ended, and the policy that decided.
 *
 *   the statement by its id ─► backwards to the hold ─► forwards, in growing steps, to its end
 */
import { type AuditFilter, timeOf } from "./audit-read.ts";
import { searchAudit } from "./audit-search.ts";
import type { ReadRecord } from "./record-expander.ts";

/** How much is looked at for one answer. */
export interface LookBounds {
  /** Pages of a search. */
  readonly pagesMax: number;
  /** For each page. */
  readonly timeMsMax: number;
}

/** For who serves others meanwhile. */
const LOOK_BRIEFLY: LookBounds = { pagesMax: 8, timeMsMax: 500 };
/** For a program that does nothing else. */
export const LOOK_EVERYWHERE: LookBounds = {
  pagesMax: Number.POSITIVE_INFINITY,
  timeMsMax: Number.POSITIVE_INFINITY,
};

export interface DecisionRecords {
  /** The statement: its intent, its block, its hold, the newest first. */
  readonly records: readonly ReadRecord[];
  readonly outcome: ReadRecord | undefined;
  readonly approval: ReadRecord | undefined;
  /** What else happened because of it: files asked for, limits passed, statements of querycop's own; oldest first. */
  readonly others: readonly ReadRecord[];
  /** False where the search ended before it had looked everywhere. */
  readonly isComplete: boolean;
}

const TOLD_TYPES: ReadonlySet<unknown> = new Set(["statement-intent", "statement-blocked", "syntax-check", "hold"]);
const OTHER_TYPES = ["own-statement", "data-guard", "local-infile"] as const;
const REQUEST_ID = /^apr-[0-9a-f]+-[0-9a-z]+$/;
const DECISION_ID = /^[0-9a-f]+-[\w.-]+$/;

/** Whether it has the form of a decision's id, `1f3a9c02-17`, or of a request's, `apr-1f3a9c02-3`. */
export function isDecisionId(id: string): boolean {
  return REQUEST_ID.test(id) || DECISION_ID.test(id);
}

/** The first digits of the run that gave the id. */
export function runOf(id: string): string {
  return id.replace(/^apr-/, "").split("-", 1)[0] ?? "";
}

/** `id` as a client was told: a decision's or a request's. */
export async function findDecision(
  activePath: string,
  id: string,
  bounds: LookBounds = LOOK_BRIEFLY,
): Promise<DecisionRecords> {
  const look = new Look(activePath, runOf(id), bounds);
  const isRequest = REQUEST_ID.test(id);
  const byId = isRequest ? { approvalId: id } : { decisionId: id };
  const first = await look.backwards(byId, isRequest ? hasHold : isWhole);
  if (first.length === 0) {
    return { records: [], outcome: undefined, approval: undefined, others: [], isComplete: look.isComplete };
  }
  const story = isRequest ? first : merged(first, await requestOf(look, first));
  const records = story.filter(({ type }) => TOLD_TYPES.has(type));
  const [statement] = records;
  const later = statement === undefined ? [] : await endOf(look, statement);
  const isApproval = ({ type }: ReadRecord): boolean => type === "approval";
  return {
    records,
    outcome: later.find(({ type }) => type === "statement-outcome"),
    approval: story.find(isApproval) ?? later.find(isApproval),
    others: later.filter(({ type }) => OTHER_TYPES.some((other) => other === type)),
    isComplete: look.isComplete,
  };
}

const hasHold = (records: readonly ReadRecord[]): boolean => records.some(({ type }) => type === "hold");

/** A statement that went through a request has a hold before it, which may be under the same id. */
const isWhole = (records: readonly ReadRecord[]): boolean =>
  records.some(({ type, approvalId }) => type !== "hold" && approvalId === undefined) || hasHold(records);

const isDecided = (records: readonly ReadRecord[]): boolean =>
  records.some(({ type }) => type === "statement-intent" || type === "statement-blocked");

/** The records of the request that a decision led to, or came from. */
async function requestOf(look: Look, found: readonly ReadRecord[]): Promise<readonly ReadRecord[]> {
  const [newest] = found;
  const { approvalId } = found.find((record) => "approvalId" in record) ?? {};
  if (newest === undefined || typeof approvalId !== "string") return [];
  const hold = found.find(({ type }) => type === "hold");
  if (hold !== undefined) return await look.forwards({ approvalId }, timeOf(hold), isDecided);
  return await look.backwards({ approvalId, toMs: timeOf(newest) + 1 }, hasHold);
}

/** What the session recorded of the command behind its statement. */
async function endOf(look: Look, statement: ReadRecord): Promise<readonly ReadRecord[]> {
  const { id } = (statement["session"] ?? {}) as ReadRecord;
  if (statement["type"] === "statement-blocked" || typeof id !== "string") return [];
  const types = ["statement-outcome", "approval", ...OTHER_TYPES];
  const filter = { sessionId: id, ordinal: Number(statement["ordinal"]), types };
  const isOver = (records: readonly ReadRecord[]): boolean => records.some(({ type }) => type === "statement-outcome");
  return await look.forwards(filter, timeOf(statement), isOver);
}

/** The newest change that put the version in force, before the decision. */
export async function findPolicyChange(
  activePath: string,
  decision: ReadRecord,
  bounds: LookBounds = LOOK_BRIEFLY,
): Promise<ReadRecord | undefined> {
  const { policyVersion, decisionId } = decision;
  if (typeof policyVersion !== "string" || typeof decisionId !== "string") return undefined;
  const look = new Look(activePath, runOf(decisionId), bounds);
  const isIt = ({ toVersion, outcome }: ReadRecord): boolean => toVersion === policyVersion && outcome === "ok";
  const filter = { types: ["policy-change"], toMs: timeOf(decision) + 1 };
  return (await look.backwards(filter, (records) => records.some(isIt), isIt)).find(isIt);
}

const RECORDS_MAX = 50;
const FIRST_STEP_MS = 60_000;
const STEP_GROWTH = 32;

type IsEnough = (records: readonly ReadRecord[]) => boolean;

/** One look through the files of a run, within bounds. */
class Look {
  readonly #activePath: string;
  readonly #runPrefix: string;
  readonly #bounds: LookBounds;
  #isComplete = true;

  constructor(activePath: string, runPrefix: string, bounds: LookBounds) {
    this.#activePath = activePath;
    this.#runPrefix = runPrefix;
    this.#bounds = bounds;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Those that match, the newest first, until they are enough. */
  async backwards(
    filter: AuditFilter,
    isEnough: IsEnough,
    isKept: (record: ReadRecord) => boolean = () => true,
  ): Promise<readonly ReadRecord[]> {
    const records: ReadRecord[] = [];
    const { pagesMax, timeMsMax } = this.#bounds;
    let cursor: string | undefined;
    for (let page = 0; page < pagesMax; page++) {
      const options = { filter, cursor, timeMsMax, runPrefix: this.#runPrefix, limit: RECORDS_MAX };
      const found = await searchAudit(this.#activePath, options);
      records.push(...found.records.filter(isKept));
      cursor = found.cursor;
      if (cursor === undefined || records.length >= RECORDS_MAX || isEnough(records)) return records;
    }
    this.#isComplete = false;
    return records;
  }

  /** Those that match from a time on, oldest first. What is looked for is near as a rule, and the log may be long. */
  async forwards(filter: AuditFilter, beginMs: number, isEnough: IsEnough): Promise<readonly ReadRecord[]> {
    const records: ReadRecord[] = [];
    let fromMs = beginMs;
    for (let stepMs = FIRST_STEP_MS; ; stepMs *= STEP_GROWTH) {
      const isLast = fromMs + stepMs > Date.now();
      const within = isLast ? { fromMs } : { fromMs, toMs: fromMs + stepMs };
      records.push(...[...(await this.backwards({ ...filter, ...within }, () => false))].reverse());
      if (isLast || records.length >= RECORDS_MAX || isEnough(records)) return records;
      fromMs += stepMs;
    }
  }
}

/** The newest first, each once. */
function merged(...lists: readonly (readonly ReadRecord[])[]): readonly ReadRecord[] {
  const bySeq = new Map(lists.flat().map((record) => [record["seq"], record]));
  return [...bySeq.values()].sort((a, b) => Number(b["seq"]) - Number(a["seq"]));
}
