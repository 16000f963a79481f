/** Statements of querycop's own on a PostgreSQL connection that is logged in, one at a time. */
import { ByteReader, concatBytes, decodeUtf8Lossy, encodeUtf8 } from "../../base/bytes.ts";
import { QuerycopError } from "../../base/errors.ts";
import { decodeErrorFields, type ErrorFields } from "../../postgres/backend-message.ts";
import { encodeFrontendMessage } from "../../postgres/frontend-message.ts";
import { LENGTH_BYTES, MESSAGE_HEADER_BYTES, readCounted, readValue, typeByte } from "../../postgres/message.ts";
import { decodingFrom } from "../malformed.ts";
import type { BackendConnection } from "./backend-connection.ts";

/** Values as text, NULL as undefined. */
export type OwnRow = readonly (string | undefined)[];

export interface OwnStatement {
  readonly sql: string;
  /** Whose it is, for errors: "a question of doctor's". */
  readonly what: string;
  /** Of its rows on the wire. */
  readonly bytesMax: number;
}

const DATA_ROW = typeByte("D");

/**
 * Its rows as they came, for `decodeOwnRows()`, or the server's refusal. Throws QC_BACKEND_PROTOCOL for an answer that is
 * no rows or has too many of them, and where the connection breaks.
 */
export async function sendOwn(
  connection: BackendConnection,
  { sql, what, bytesMax }: OwnStatement,
  signal: AbortSignal,
): Promise<{ readonly wire: Uint8Array } | { readonly refusal: ErrorFields }> {
  const message = encodeFrontendMessage({ name: "Query", sql: encodeUtf8(sql) });
  connection.sendNow({ kind: "own", message: "Query" }, message);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  let refusal: ErrorFields | undefined;
  for (;;) {
    const piece = await connection.nextPiece(`waiting for the answer to ${what}`, signal);
    if (piece.kind === "passing") {
      bytes += piece.wire.length;
      if (piece.type !== DATA_ROW || bytes > bytesMax) throw notUnderstood(what);
      parts.push(piece.wire.slice());
    } else if (piece.type === typeByte("E")) {
      refusal = decodeErrorFields(piece.body);
    } else if (piece.type === typeByte("Z")) {
      return refusal === undefined ? { wire: concatBytes(parts) } : { refusal };
    }
  }
}

/** Of whole DataRows, one behind the other; `rowsMax` of them at most. */
export function decodeOwnRows(wire: Uint8Array, rowsMax = Number.POSITIVE_INFINITY): OwnRow[] {
  return decodingFrom("backend", () => {
    const rows: OwnRow[] = [];
    for (let at = 0; at < wire.length && rows.length < rowsMax; ) {
      const length = new ByteReader(wire, "DataRow", at + MESSAGE_HEADER_BYTES - LENGTH_BYTES).int32BE();
      const reader = new ByteReader(wire, "DataRow", at + MESSAGE_HEADER_BYTES);
      rows.push(readCounted(reader, readValue).map((value) => (value === null ? undefined : decodeUtf8Lossy(value))));
      at += 1 + length;
    }
    return rows;
  });
}

export function sayGoodbye(connection: BackendConnection): void {
  connection.sendNow({ kind: "own", message: "Terminate" }, encodeFrontendMessage({ name: "Terminate" }));
  connection.destroy();
}

export function notUnderstood(what: string): QuerycopError {
  return new QuerycopError("QC_BACKEND_PROTOCOL", `The answer to ${what} is not understood`);
}
