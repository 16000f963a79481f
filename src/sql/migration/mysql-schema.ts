/** A MySQL schema as its CREATE TABLE and CREATE INDEX statements say it. */
import type { DdlToken } from "./ddl-tokens.ts";

export interface MysqlType {
  /** In capitals: INT, VARCHAR, ENUM. */
  readonly word: string;
  /** Lengths, precisions; of ENUM and SET the values. */
  readonly values: readonly string[];
  readonly isUnsigned: boolean;
}

export type MysqlDefault =
  | { readonly kind: "null" }
  | { readonly kind: "now" }
  | { readonly kind: "text" | "number" | "bit"; readonly text: string }
  | { readonly kind: "expression"; readonly tokens: readonly DdlToken[] };

export interface MysqlColumn {
  readonly name: string;
  readonly type: MysqlType;
  readonly isNullable: boolean;
  readonly isAutoIncrement: boolean;
  readonly default: MysqlDefault | undefined;
  readonly updatesToNow: boolean;
  readonly generated: readonly DdlToken[] | undefined;
  readonly collation: string | undefined;
  readonly comment: string | undefined;
}

export interface MysqlKeyPart {
  /** Undefined for an expression. */
  readonly column: string | undefined;
  readonly expression: readonly DdlToken[];
  readonly length: number | undefined;
  readonly isDescending: boolean;
}

export interface MysqlKey {
  readonly kind: "primary" | "unique" | "index" | "fulltext" | "spatial";
  readonly name: string | undefined;
  readonly parts: readonly MysqlKeyPart[];
}

export interface MysqlForeignKey {
  readonly name: string | undefined;
  readonly columns: readonly string[];
  readonly table: string;
  readonly references: readonly string[];
  /** ON DELETE and ON UPDATE, as written. */
  readonly onDelete: string | undefined;
  readonly onUpdate: string | undefined;
}

export interface MysqlTable {
  readonly name: string;
  readonly isTemporary: boolean;
  readonly columns: readonly MysqlColumn[];
  readonly keys: readonly MysqlKey[];
  readonly foreignKeys: readonly MysqlForeignKey[];
  readonly checks: readonly { readonly name: string | undefined; readonly tokens: readonly DdlToken[] }[];
  /** By their words in capitals: ENGINE, AUTO_INCREMENT, COMMENT, PARTITION. */
  readonly options: ReadonlyMap<string, string>;
}

/** A statement of the file that makes no table. */
export interface OtherStatement {
  /** Its first words, in capitals: CREATE TRIGGER, INSERT. */
  readonly what: string;
  readonly name: string | undefined;
}

export interface MysqlSchema {
  readonly tables: readonly MysqlTable[];
  readonly others: readonly OtherStatement[];
  /** CREATE TABLE statements that could not be read, by name and reason. */
  readonly unread: readonly { readonly name: string; readonly why: string }[];
}
