/** The md5 method (manual, page auth-password): deprecated, and answered only where a backend asks for it. */

import { createHash } from "node:crypto";
import { encodeUtf8 } from "../base/bytes.ts";

const md5 = (...parts: readonly Uint8Array[]): string => {
  const hash = createHash("md5");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

/** The text that answers an AuthenticationMD5Password, without the NUL that ends it there. */
export function encodeMd5Password(user: string, password: Uint8Array, salt: Uint8Array): string {
  return `md5${md5(encodeUtf8(md5(password, encodeUtf8(user))), salt)}`;
}
