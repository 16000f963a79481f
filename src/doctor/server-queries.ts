/** Statements of doctor's own on a connection that is logged in. */
import { encodeUtf8 } from "../base/bytes.ts";
import type { BackendGate } from "../session/backend-gate.ts";
import { queryText, type TextValue } from "../session/mysql/statements/text-query.ts";

/** The first row, NULL as undefined; or the server's refusal. */
export type QueryResult =
  | { readonly row: readonly TextValue[] | undefined }
  | { readonly errorNumber: number; readonly message: string };

export type RowsResult =
  | { readonly rows: readonly (readonly TextValue[])[] }
  | { readonly errorNumber: number; readonly message: string };

const PURPOSE = "a question of doctor's";
const ROWS_MAX = 1000;

export class ServerQueries {
  readonly #gate: BackendGate;
  readonly #capabilityFlags: number;
  readonly #timeoutMs: number;

  /** `timeoutMs` is for each packet of an answer. */
  constructor(gate: BackendGate, capabilityFlags: number, timeoutMs: number) {
    this.#gate = gate;
    this.#capabilityFlags = capabilityFlags;
    this.#timeoutMs = timeoutMs;
  }

  /** Throws when the connection breaks or the answer cannot be read. One statement at a time. */
  async firstRow(sql: string): Promise<QueryResult> {
    const answer = await this.rows(sql);
    return "rows" in answer ? { row: answer.rows[0] } : answer;
  }

  /** The first rows, in the server's order; as firstRow() otherwise. */
  async rows(sql: string): Promise<RowsResult> {
    const answer = await queryText(this.#gate, {
      sql: encodeUtf8(sql),
      purpose: PURPOSE,
      capabilities: { flags: this.#capabilityFlags, mariadb: 0 },
      rowsMax: ROWS_MAX,
      timeoutMs: this.#timeoutMs,
    });
    return answer;
  }

  close(): void {
    this.#gate.quit();
    this.#gate.destroy();
  }
}
