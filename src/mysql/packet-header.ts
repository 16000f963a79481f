/** The header of a packet: `int<3> payload_length, int<1> sequence_id`. */

/** The payload_length of the header at `offset`, whose four bytes the caller knows to be there. */
export function payloadLengthAt(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8) | ((bytes[offset + 2] as number) << 16);
}
