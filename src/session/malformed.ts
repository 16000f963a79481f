/** Says which peer sent bytes that do not decode: the codec does not know. */
import { MalformedPacketError } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import type { LegSide } from "../net/leg.ts";

export function decodingFrom<T>(side: LegSide, decode: () => T): T {
  try {
    return decode();
  } catch (thrown) {
    throw malformedFrom(side, thrown);
  }
}

/** A MalformedPacketError becomes the protocol error of its side; anything else stays what it is. */
export function malformedFrom(side: LegSide, thrown: unknown): unknown {
  if (!(thrown instanceof MalformedPacketError)) return thrown;
  const code = side === "client" ? "QC_CLIENT_PROTOCOL" : "QC_BACKEND_PROTOCOL";
  return new QuerycopError(code, thrown.message, { cause: thrown });
}
