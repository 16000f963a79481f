/** The id of the job that CREATE INDEX ASYNC and ALTER TABLE ASYNC answer with: one row of one column, job_id. */
import { decodeUtf8 } from "../../../base/bytes.ts";

/** A row of it has 39 bytes. */
const ROW_BYTES_MAX = 128;
const ROW = 0x44;
/** Type, length, number of columns, length of the value. */
const VALUE_AT = 11;

export class JobRow {
  #bytes: Uint8Array = new Uint8Array(0);

  /** What has come of the response's rows. */
  add(wire: Uint8Array): void {
    if (this.#bytes.length + wire.length > ROW_BYTES_MAX) return;
    this.#bytes = Buffer.concat([this.#bytes, wire]);
  }

  /** Undefined where the rows are no job's. */
  get id(): string | undefined {
    const bytes = this.#bytes;
    if (bytes.length <= VALUE_AT || bytes[0] !== ROW) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint32(1) + 1 !== bytes.length || view.getUint16(5) !== 1) return undefined;
    const text = decodeUtf8(bytes.subarray(VALUE_AT));
    return text !== undefined && /^[a-z0-9-]{8,64}$/.test(text) ? text : undefined;
  }
}
