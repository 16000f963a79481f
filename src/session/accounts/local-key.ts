/** The RSA key pair of this process, with which clients on a plaintext leg encrypt a caching_sha2 or sha256 password. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";

export interface LocalKey {
  readonly privateKey: KeyObject;
  /** PEM as servers send it behind 0x01. */
  readonly publicKeyPem: Uint8Array;
}

/** Servers generate 2048 bits as well (sql/auth/sql_authentication.cc, Rsa_authentication_keys). */
const MODULUS_BITS = 2048;

let pending: Promise<LocalKey> | undefined;

/** Made on first use, off the event loop, once per process: never written anywhere. */
export function localKey(): Promise<LocalKey> {
  pending ??= new Promise((resolve, reject) => {
    generateKeyPair(
      "rsa",
      {
        modulusLength: MODULUS_BITS,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" },
      },
      (error, publicKey, privateKey) => {
        if (error !== null) reject(error);
        else resolve({ privateKey: createPrivateKey(privateKey), publicKeyPem: Buffer.from(publicKey) });
      },
    );
  });
  return pending;
}

/** Loads the operator's pinned backend key. Throws what node:crypto throws when it is no public key. */
export function parsePublicKey(pem: string): KeyObject {
  return createPublicKey(pem);
}
