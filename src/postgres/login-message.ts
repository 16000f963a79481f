/** What a message of type `p` holds: which of these, only the request that it answers says. */

import { ByteReader } from "../base/bytes.ts";
import { decodeForClient } from "./error-states.ts";
import { encodeMessage, readValue, writeString, writeValue } from "./message.ts";

/** Longest name of a mechanism that is looked at (RFC 4422 has 20 characters). */
const MECHANISM_BYTES_MAX = 64;

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** Undefined where the client waits for a challenge. */
  readonly data: Uint8Array | undefined;
}

/** Answers AuthenticationCleartextPassword or AuthenticationMD5Password. RangeError for a password that holds a NUL. */
export function encodePasswordMessage(password: Uint8Array): Uint8Array {
  return encodeMessage("p", (body) => body.nulTerminatedBytes(password), password.length + 6);
}

/** The password's bytes, without the NUL that must end them. Throws ClientMessageError for anything behind it. */
export function decodePasswordMessage(body: Uint8Array): Uint8Array {
  return decodeLogin(body, "PasswordMessage", (reader) => reader.nulTerminatedBytes());
}

export function encodeSaslInitialResponse({ mechanism, data }: SaslInitialResponse): Uint8Array {
  return encodeMessage("p", (body) => writeValue(writeString(body, mechanism), data ?? null));
}

export function decodeSaslInitialResponse(body: Uint8Array): SaslInitialResponse {
  return decodeLogin(body, "SASLInitialResponse", (reader) => {
    const name = reader.nulTerminatedBytes();
    if (name.length > MECHANISM_BYTES_MAX) reader.fail(`the mechanism's name has ${name.length} bytes`);
    return { mechanism: Buffer.from(name).toString("latin1"), data: readValue(reader) ?? undefined };
  });
}

/** The data is the whole body, on the way back too. */
export function encodeSaslResponse(data: Uint8Array): Uint8Array {
  return encodeMessage("p", (body) => body.bytes(data));
}

function decodeLogin<Value>(body: Uint8Array, name: string, read: (reader: ByteReader) => Value): Value {
  return decodeForClient("QC_CLIENT_PROTOCOL", () => {
    const reader = new ByteReader(body, name);
    const value = read(reader);
    reader.expectEnd();
    return value;
  });
}
