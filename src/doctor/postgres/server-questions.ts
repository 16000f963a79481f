/** Statements of doctor's own on a PostgreSQL connection that is logged in. */
import type { ErrorFields } from "../../postgres/backend-message.ts";
import type { BackendConnection } from "../../session/postgres/backend-connection.ts";
import {
  decodeOwnRows,
  notUnderstood,
  type OwnRow,
  sayGoodbye,
  sendOwn,
} from "../../session/postgres/own-statement.ts";

/** The first row, or the server's refusal. */
export type RowAnswer = { readonly row: OwnRow } | { readonly refusal: ErrorFields };

const WHAT = "a question of doctor's";
/** No answer of one row is as long. */
const ROWS_BYTES_MAX = 64 * 1024;

export class ServerQuestions {
  readonly #connection: BackendConnection;
  /** What the server has said of its settings at the login. */
  readonly parameters: ReadonlyMap<string, string>;

  constructor(connection: BackendConnection, parameters: ReadonlyMap<string, string>) {
    this.#connection = connection;
    this.parameters = parameters;
  }

  /** For a statement that gives one row. Throws when the connection breaks or the answer cannot be read, one at a time. */
  async firstRow(sql: string, signal: AbortSignal): Promise<RowAnswer> {
    const answer = await sendOwn(this.#connection, { sql, what: WHAT, bytesMax: ROWS_BYTES_MAX }, signal);
    if ("refusal" in answer) return answer;
    const [row] = decodeOwnRows(answer.wire, 1);
    if (row === undefined) throw notUnderstood(WHAT);
    return { row };
  }

  close(): void {
    sayGoodbye(this.#connection);
  }
}
