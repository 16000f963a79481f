/** What one load is to do, as the command line says it. */

import type { LoadMode } from "../base/load-rule.ts";
import type { S3Pattern } from "../base/s3-uri.ts";
import type { StatementShape } from "./load-statement.ts";
import type { TableName } from "./sql-words.ts";

/** What an operator may say that he knows of, where a load would refuse for it. */
export const ACCEPTABLE = ["triggers", "unseen"] as const;
export type Acceptable = (typeof ACCEPTABLE)[number];

/** The shape of its statements, but for what is only known of each object. */
export interface LoadShape extends Omit<StatementShape, "columns"> {
  /** header: the names in each object's first line. Undefined: all columns of the table that a file can have values for. */
  readonly columns: readonly string[] | "header" | undefined;
}

export interface LoadPlan {
  readonly sources: readonly S3Pattern[];
  /** Whether what they name are lists of objects. */
  readonly isManifest: boolean;
  readonly target: TableName;
  readonly mode: LoadMode;
  readonly shape: LoadShape;
  /** server: Aurora reads the object itself. stream: it comes through here. */
  readonly via: "server" | "stream";
  readonly warningsMax: number;
  /** Of an object; smaller ones are refused before anything changes. */
  readonly bytesMin: number;
  /** Whether an object that does not exist is passed over. */
  readonly skipsMissing: boolean;
  /** The ledger's table, where objects that it knows are passed over. */
  readonly ledger: TableName | undefined;
  /** Whether the replaced table stays, under the name that is told. */
  readonly keepsOld: boolean;
  readonly accepts: ReadonlySet<Acceptable>;
  /** A shell line that unpacks each object. */
  readonly decompressCommand: string | undefined;
}
