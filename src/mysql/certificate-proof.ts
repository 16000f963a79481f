/**
 * How MariaDB's clients (11.4 and newer) verify a certificate that no authority vouches for: who knows the hash of their
 * password is who they wanted to talk to. The server says so in the info of the login's OK_Packet; clients check it for
 * plugins whose hash both sides have (run_plugin_auth() in MariaDB Connector/C, plugins/auth/my_auth.c).
 */
import { createHash } from "node:crypto";
import { encodeUtf8 } from "../base/bytes.ts";
import { nonceOf } from "./auth-plugin-data.ts";

/** The one kind of proof there is: SHA-256. */
const SHA256_PROOF = "\u0001";

/**
 * `passwordHash` is what the plugin keeps of the password: SHA1(SHA1(password)) for mysql_native_password.
 * `authPluginData` is what the client made its answer with, `fingerprint` SHA-256 over the certificate's DER.
 */
export function encodeCertificateProof(
  passwordHash: Uint8Array,
  authPluginData: Uint8Array,
  fingerprint: Uint8Array,
): Uint8Array {
  const hash = createHash("sha256").update(passwordHash).update(nonceOf(authPluginData)).update(fingerprint);
  return encodeUtf8(SHA256_PROOF + hash.digest("hex").toUpperCase());
}
