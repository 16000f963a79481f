/**
 * The answer of MariaDB's parsec (Authentication Plugin - PARSEC): the password is stretched to an Ed25519 key, which signs
 * the server's scramble and one of the client's.
 */
import { createPrivateKey, pbkdf2, randomBytes, sign } from "node:crypto";
import { MalformedPacketError } from "../base/bytes.ts";

const SCRAMBLE_BYTES = 32;
const KEY_BYTES = 32;
/** `P`: the key is derived by PBKDF2. Behind it the number of rounds as a power of two over 1024, then the salt. */
const PBKDF2_MARK = 0x50;
const ROUNDS_UNIT = 1024;
/** SAFETY: the server says how much we are to compute. Its own accounts are made with 0. */
const ROUNDS_POWER_MAX = 8;
const SALT_BYTES_MAX = 64;

/** PrivateKeyInfo of RFC 8410 before the 32 bytes of the seed. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * The client's scramble and the signature. `extendedSalt` is what the server sends when it is answered with nothing.
 * Rejects with MalformedPacketError when it asks for another derivation, or for one of more than 262144 rounds.
 */
export async function answerParsec(
  password: Uint8Array,
  authPluginData: Uint8Array,
  extendedSalt: Uint8Array,
): Promise<Uint8Array> {
  const [mark, rounds = 0] = extendedSalt;
  const salt = extendedSalt.subarray(2);
  if (mark !== PBKDF2_MARK || rounds > ROUNDS_POWER_MAX || salt.length === 0 || salt.length > SALT_BYTES_MAX) {
    throw new MalformedPacketError("Cannot answer parsec: the server's salt is of an unknown form");
  }
  if (authPluginData.length < SCRAMBLE_BYTES) {
    throw new MalformedPacketError(`Cannot answer parsec: its scramble has ${authPluginData.length} bytes`);
  }
  const seed = await derive(password, salt, ROUNDS_UNIT << rounds);
  const pkcs8 = Buffer.concat([PKCS8_HEAD, seed]);
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  seed.fill(0);
  pkcs8.fill(0);
  const own = randomBytes(SCRAMBLE_BYTES);
  const signed = Buffer.concat([authPluginData.subarray(0, SCRAMBLE_BYTES), own]);
  return Buffer.concat([own, sign(null, signed, key)]);
}

function derive(password: Uint8Array, salt: Uint8Array, rounds: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, rounds, KEY_BYTES, "sha512", (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
