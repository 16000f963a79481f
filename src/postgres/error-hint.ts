/** A hint (field H) added to a message that a server has made: https://www.postgresql.org/docs/current/protocol-error-fields.html */
import { encodeMessage, MESSAGE_HEADER_BYTES, typeByte, writeString } from "./message.ts";

/** `wire` is a whole ErrorResponse or NoticeResponse without a hint. All other bytes stay. */
export function withHint(wire: Uint8Array, hint: string): Uint8Array {
  const type = String.fromCharCode(wire[0] as number);
  return encodeMessage(
    type,
    (body) => {
      // The last byte ends the list of fields.
      body.bytes(wire.subarray(MESSAGE_HEADER_BYTES, -1));
      writeString(body.uint8(typeByte("H")), hint);
      body.uint8(0);
    },
    wire.length + hint.length + 2,
  );
}
