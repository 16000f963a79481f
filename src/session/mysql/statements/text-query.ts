/** One statement of querycop's own that is answered by a few rows of text: written, and its answer read to the end. */

import { ByteReader, decodeUtf8Lossy } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { encodeQuery } from "../../../mysql/command.ts";
import {
  type Capabilities,
  CLIENT_DEPRECATE_EOF,
  EOF_HEADER,
  ERR_HEADER,
  OK_HEADER,
} from "../../../mysql/constants.ts";
import { decodeErrPacket } from "../../../mysql/generic-response.ts";
import { encodePacket } from "../../../mysql/packet.ts";
import { hasMetadataFlag } from "../../../mysql/response.ts";
import { lowerAscii } from "../../../sql/mysql/names/names.ts";
import type { BackendGate } from "../../backend-gate.ts";
import { decodingFrom } from "../../malformed.ts";
import { TimeBudget } from "../../time-budget.ts";

export interface TextQuery {
  readonly sql: Uint8Array;
  /** What the statement is, in words for errors: an EXPLAIN. */
  readonly purpose: string;
  /** Agreed on at the login of the connection that is asked. */
  readonly capabilities: Capabilities;
  readonly rowsMax: number;
  /** For the whole answer. */
  readonly timeoutMs: number;
}

/** A value of a row as text, NULL as undefined. */
export type TextValue = string | undefined;

/** An answer without a result set has neither columns nor rows. */
export type TextAnswer =
  | {
      readonly kind: "rows";
      /** In lower case; empty where the session has turned column definitions off. */
      readonly columns: readonly string[];
      readonly rows: readonly (readonly TextValue[])[];
    }
  /** The server's text may quote the statement. */
  | { readonly kind: "refused"; readonly errorNumber: number; readonly message: string };

/** Nothing that is asked here has as many. */
const COLUMNS_MAX = 64;
const NULL_VALUE = 0xfb;

/**
 * Asks on a connection that is between two commands, and leaves it there. Throws QC_BACKEND_PROTOCOL for an answer that
 * is not understood or has too many rows, and as expectPacket() does: of what the connection then carries nothing is known.
 */
export async function queryText(gate: BackendGate, query: TextQuery): Promise<TextAnswer> {
  const { sql, purpose, capabilities, timeoutMs } = query;
  const awaiting = `waiting for the answer to ${purpose}`;
  const budget = new TimeBudget(timeoutMs);
  const next = async (): Promise<Uint8Array> =>
    (await budget.spend((leftMs) => gate.expectPacket(awaiting, leftMs))).payload;
  gate.send({ kind: "own", purpose }, encodePacket(encodeQuery(sql, capabilities.flags), 0));
  const first = await next();
  if (first[0] === OK_HEADER) return { kind: "rows", columns: [], rows: [] };
  if (first[0] === ERR_HEADER) return refusal(first);
  const { count, hasDefinitions } = decodingFrom("backend", () => decodeColumnCount(first, capabilities));
  const columns: string[] = [];
  for (let index = 0; hasDefinitions && index < count; index++) columns.push(columnName(await next()));
  if ((capabilities.flags & CLIENT_DEPRECATE_EOF) === 0) await next();
  const rows: TextValue[][] = [];
  for (;;) {
    const payload = await next();
    if (payload[0] === ERR_HEADER) return refusal(payload);
    if (payload[0] === EOF_HEADER) return { kind: "rows", columns, rows };
    if (rows.length === query.rowsMax) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", `The answer to ${purpose} has more than ${query.rowsMax} rows`);
    }
    rows.push(decodingFrom("backend", () => decodeRow(payload, count, purpose)));
  }
}

function refusal(payload: Uint8Array): TextAnswer {
  const { errorNumber, message } = decodingFrom("backend", () => decodeErrPacket(payload));
  return { kind: "refused", errorNumber, message };
}

/** page_protocol_com_query_response_text_resultset: the flag stands behind the count. */
function decodeColumnCount(payload: Uint8Array, capabilities: Capabilities) {
  const reader = new ByteReader(payload, "column count");
  const count = reader.lenencCount("it", COLUMNS_MAX);
  return { count, hasDefinitions: !hasMetadataFlag(capabilities) || reader.uint8() !== 0 };
}

/** catalog, schema, table, org_table, name: page_protocol_com_query_response_text_resultset_column_definition. */
const FIELDS_BEFORE_NAME = 4;

function columnName(payload: Uint8Array): string {
  return decodingFrom("backend", () => {
    const reader = new ByteReader(payload, "column definition");
    for (let field = 0; field < FIELDS_BEFORE_NAME; field++) reader.lenencBytes();
    return lowerAscii(decodeUtf8Lossy(reader.lenencBytes()));
  });
}

function decodeRow(payload: Uint8Array, columns: number, purpose: string): TextValue[] {
  const reader = new ByteReader(payload, `row of ${purpose}`);
  const row: TextValue[] = [];
  for (let index = 0; index < columns; index++) {
    if (reader.peekUint8() === NULL_VALUE) {
      reader.skip(1);
      row.push(undefined);
    } else row.push(decodeUtf8Lossy(reader.lenencBytes()));
  }
  return row;
}
