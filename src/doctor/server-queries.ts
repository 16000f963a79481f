/** Statements of doctor's own on a connection that is logged in. */
import { ByteReader, encodeUtf8 } from "../base/bytes.ts";
import { encodeQuery } from "../mysql/command.ts";
import { CLIENT_DEPRECATE_EOF, EOF_HEADER, ERR_HEADER, OK_HEADER } from "../mysql/constants.ts";
import { decodeErrPacket } from "../mysql/generic-response.ts";
import { encodePacket } from "../mysql/packet.ts";
import type { BackendGate } from "../session/backend-gate.ts";

/** The first row, NULL as undefined; or the server's refusal. */
export type QueryResult =
  | { readonly row: readonly (string | undefined)[] | undefined }
  | { readonly errorNumber: number; readonly message: string };

const PERMIT = { kind: "own", purpose: "doctor" } as const;
const COM_QUIT = Uint8Array.of(1);
const NULL_VALUE = 0xfb;
const ROWS_MAX = 1000;
const AWAITING = "waiting for the answer to a question of doctor's";

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
    this.#gate.resetSequence();
    this.#gate.send(PERMIT, encodePacket(encodeQuery(encodeUtf8(sql), this.#capabilityFlags), 0));
    const first = await this.#next();
    if (first[0] === ERR_HEADER) {
      const { errorNumber, message } = decodeErrPacket(first);
      return { errorNumber, message };
    }
    if (first[0] === OK_HEADER) return { row: undefined };
    const columns = first[0] ?? 0;
    const hasEof = (this.#capabilityFlags & CLIENT_DEPRECATE_EOF) === 0;
    for (let index = 0; index < columns + (hasEof ? 1 : 0); index++) await this.#next();
    return await this.#readRows(columns);
  }

  async #readRows(columns: number): Promise<QueryResult> {
    let row: (string | undefined)[] | undefined;
    for (let count = 0; count <= ROWS_MAX; count++) {
      const payload = await this.#next();
      if (payload[0] === EOF_HEADER) return { row };
      if (payload[0] === ERR_HEADER) {
        const { errorNumber, message } = decodeErrPacket(payload);
        return { errorNumber, message };
      }
      row ??= readRow(payload, columns);
    }
    throw new Error(`the answer has more than ${ROWS_MAX} rows`);
  }

  async #next(): Promise<Uint8Array> {
    return (await this.#gate.expectPacket(AWAITING, this.#timeoutMs)).payload;
  }

  close(): void {
    if (!this.#gate.isDead) this.#gate.send({ kind: "command", name: "COM_QUIT" }, encodePacket(COM_QUIT, 0));
    this.#gate.end();
    this.#gate.destroy();
  }
}

function readRow(payload: Uint8Array, columns: number): (string | undefined)[] {
  const reader = new ByteReader(payload, "row");
  const row: (string | undefined)[] = [];
  for (let index = 0; index < columns; index++) {
    if (reader.peekUint8() === NULL_VALUE) {
      reader.skip(1);
      row.push(undefined);
    } else row.push(Buffer.from(reader.lenencBytes()).toString("utf8"));
  }
  return row;
}
