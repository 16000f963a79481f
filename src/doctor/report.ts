/** The outcome of a whole run. */
import type { FindingStatus, Remedy } from "./check.ts";

export interface CheckResult {
  readonly id: string;
  readonly title: string;
  /** Name of the listener; absent for what concerns the process as a whole. */
  readonly listener?: string;
  readonly status: FindingStatus;
  readonly detail: string;
  readonly remedy?: Remedy;
}

export interface Report {
  readonly version: string;
  readonly checks: readonly CheckResult[];
}

export type Summary = Readonly<Record<FindingStatus, number>>;

export function summaryOf({ checks }: Report): Summary {
  const count = (status: FindingStatus): number => checks.filter((check) => check.status === status).length;
  return { ok: count("ok"), warn: count("warn"), fail: count("fail"), skip: count("skip") };
}
