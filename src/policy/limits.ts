/** Limits on how much data leaves, as the configuration sets them for all and a profile for some. docs/data-guard.md */

/** What happens at a limit: it is told and recorded, the response is cut off, or the connection ends with that too. */
export const LIMIT_ACTIONS = ["warn", "cut", "terminate"] as const;
export type LimitAction = (typeof LIMIT_ACTIONS)[number];

export interface DataLimits {
  /** Bytes of one response, packet headers included; 0 for no limit, here and below. */
  readonly responseBytesMax: number;
  /** Rows of one response, all its result sets together. */
  readonly responseRowsMax: number;
  /** Bytes one connection may get in 60 seconds. */
  readonly windowBytesMax: number;
  /** Bytes and rows one user may get in 60 seconds, over all connections. */
  readonly userWindowBytesMax: number;
  readonly userWindowRowsMax: number;
  readonly limitAction: LimitAction;
}

/** A limit's key, the same in the configuration file, in a policy's `limits` and in audit records. */
export type DataLimit =
  | "max_response_mb"
  | "max_response_rows"
  | "max_window_mb"
  | "max_user_window_mb"
  | "max_user_window_rows";

export interface LimitKey {
  readonly limit: DataLimit;
  readonly name: Exclude<keyof DataLimits, "limitAction">;
  /** What one unit of the written number is in bytes or rows. */
  readonly unit: number;
}

export const MEGABYTE = 1_000_000;

export const LIMIT_KEYS: readonly LimitKey[] = [
  { limit: "max_response_mb", name: "responseBytesMax", unit: MEGABYTE },
  { limit: "max_response_rows", name: "responseRowsMax", unit: 1 },
  { limit: "max_window_mb", name: "windowBytesMax", unit: MEGABYTE },
  { limit: "max_user_window_mb", name: "userWindowBytesMax", unit: MEGABYTE },
  { limit: "max_user_window_rows", name: "userWindowRowsMax", unit: 1 },
];
