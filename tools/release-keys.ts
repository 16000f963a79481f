/** The key that signs a release, from the environment of the build. */
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseReleaseKey, renderReleaseKey, renderSignature } from "../src/cli/release-signature.ts";

const KEY_ID_BYTES = 8;
const UNSET = "release_key=''";

export interface ReleaseKeys {
  /** As minisign writes public keys; undefined for a build that knows none. */
  readonly publicKey: string | undefined;
  /** The text of the file beside what is signed; undefined without the private key. */
  readonly sign: ((message: Uint8Array, comment: string) => string) | undefined;
}

/** Throws for a key that is none, and for a public one that is not the private one's. */
export function releaseKeys(env: Readonly<Record<string, string | undefined>>): ReleaseKeys {
  const file = env["QUERYCOP_SIGNING_KEY_FILE"] || undefined;
  const named = env["QUERYCOP_PUBLIC_KEY"] || undefined;
  if (named !== undefined && parseReleaseKey(named) === undefined) {
    throw new Error("QUERYCOP_PUBLIC_KEY: expected the 56 characters of a minisign key, RW…");
  }
  if (file === undefined) return { publicKey: named, sign: undefined };
  const key = createPrivateKey(readFileSync(file));
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`QUERYCOP_SIGNING_KEY_FILE: expected an Ed25519 key, found ${key.asymmetricKeyType}`);
  }
  const half = createPublicKey(key);
  // minisign's keys have a random number; this one's comes from the key, so that there is nothing else to keep.
  const digest = createHash("sha256")
    .update(half.export({ format: "der", type: "spki" }))
    .digest();
  const id = digest.subarray(0, KEY_ID_BYTES);
  const publicKey = renderReleaseKey({ id, key: half });
  if (named !== undefined && named !== publicKey) {
    throw new Error(`QUERYCOP_PUBLIC_KEY is not the key of QUERYCOP_SIGNING_KEY_FILE, which is ${publicKey}`);
  }
  return {
    publicKey,
    sign: (message, comment) => renderSignature(message, comment, { id, sign: (bytes) => sign(null, bytes, key) }),
  };
}

/** install.sh as it is released: it knows the key that the list must be signed with. */
export function withReleaseKey(installer: string, publicKey: string | undefined): string {
  if (installer.split(UNSET).length !== 2) throw new Error(`install.sh: expected one line ${UNSET}`);
  return publicKey === undefined ? installer : installer.replace(UNSET, `release_key='${publicKey}'`);
}
