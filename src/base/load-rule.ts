/** What `loads:` of a connection says: which objects of S3 may go into which tables and how, and which tables into which objects. */
import { allowsS3, type S3Address, type S3Pattern } from "./s3-uri.ts";

export const LOAD_MODES = ["append", "abort", "delete", "replace", "switch", "truncate"] as const;
export type LoadMode = (typeof LOAD_MODES)[number];

interface BucketRule {
  readonly objects: S3Pattern;
  /** As `schema.table`, or `schema.*`. */
  readonly tables: readonly string[];
}

/** Objects may be loaded into tables. */
export interface LoadRule extends BucketRule {
  readonly way: "in";
  readonly modes: readonly LoadMode[];
  /** Of one object, packed and unpacked. */
  readonly bytesMax: number;
  /** Whether somebody has written that size: then what nobody has measured is not allowed. */
  readonly limitsBytes: boolean;
}

/** Rows of tables may be written into objects. */
export interface UnloadRule extends BucketRule {
  readonly way: "out";
}

export type ConnectionLoads = readonly (LoadRule | UnloadRule)[];

/** Whether the rule is for this table; names are compared as they are written. */
export function allowsTable({ tables }: BucketRule, schema: string, table: string): boolean {
  return tables.some((name) => name === `${schema}.${table}` || name === `${schema}.*`);
}

/** Whether it allows this object, or with a pattern for a prefix all that begins so. */
export function allowsObjects({ objects }: BucketRule, asked: S3Address | S3Pattern): boolean {
  const isPrefix = "isPrefix" in asked && asked.isPrefix;
  return (objects.isPrefix || !isPrefix) && allowsS3(objects, asked);
}
