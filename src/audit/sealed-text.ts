/**
 * Statements as sent, kept so that only the holder of a private key can read them, who need not be on this machine.
 *
 * X25519 between a key pair of this run and the reader's public key, HKDF-SHA256, AES-256-GCM with a random nonce for
 * each text. A sealed text is base64url of: version 1, the run's public key (32 bytes), nonce (12), ciphertext, tag (16).
 */
import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { QuerycopError } from "../base/errors.ts";

const VERSION = 1;
const PUBLIC_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + PUBLIC_BYTES + NONCE_BYTES;
const CIPHER = "aes-256-gcm";
const INFO = "querycop audit sealed text v1";
/** Longer texts are cut before they are sealed, so that a record stays within its limit. */
const TEXT_BYTES_MAX = 64 * 1024;
/** An X25519 public key in DER (SPKI) without the key itself. */
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

export class TextSealer {
  readonly #key: Buffer;
  readonly #publicKey: Buffer;

  /** `pem`: the reader's X25519 public key. Throws QC_CONFIG for anything else. */
  constructor(pem: string, path: string) {
    // The private half would serve as well, and is what must not lie on this machine.
    if (pem.includes("PRIVATE KEY")) throw new QuerycopError("QC_CONFIG", notA("public", path));
    const reader = parseKey(() => createPublicKey(pem), path, "public");
    const own = generateKeyPairSync("x25519");
    this.#publicKey = rawPublicKey(own.publicKey);
    this.#key = deriveKey(diffieHellman({ privateKey: own.privateKey, publicKey: reader }), this.#publicKey);
  }

  seal(text: Uint8Array): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const sealed = cipher.update(text.subarray(0, TEXT_BYTES_MAX));
    const head = Buffer.concat([Buffer.of(VERSION), this.#publicKey, nonce]);
    return Buffer.concat([head, sealed, cipher.final(), cipher.getAuthTag()]).toString("base64url");
  }
}

export class TextUnsealer {
  readonly #privateKey: KeyObject;
  /** By the run's public key. */
  readonly #keys: Map<string, Buffer> = new Map();

  constructor(pem: string, path: string) {
    this.#privateKey = parseKey(() => createPrivateKey(pem), path, "private");
  }

  /** The text, or undefined when it was sealed for another key or changed. */
  unseal(sealed: string): Uint8Array | undefined {
    const bytes = Buffer.from(sealed, "base64url");
    if (bytes[0] !== VERSION || bytes.length < HEAD_BYTES + TAG_BYTES) return undefined;
    try {
      const key = this.#keyFor(bytes.subarray(1, 1 + PUBLIC_BYTES));
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(1 + PUBLIC_BYTES, HEAD_BYTES));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      return undefined;
    }
  }

  #keyFor(publicBytes: Buffer): Buffer {
    const name = publicBytes.toString("hex");
    let key = this.#keys.get(name);
    if (key === undefined) {
      const der = Buffer.concat([SPKI_PREFIX, publicBytes]);
      const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
      key = deriveKey(diffieHellman({ privateKey: this.#privateKey, publicKey }), publicBytes);
      this.#keys.set(name, key);
    }
    return key;
  }
}

export function readSealKey(path: string): TextSealer {
  return new TextSealer(readPem(path), path);
}

export function readUnsealKey(path: string): TextUnsealer {
  return new TextUnsealer(readPem(path), path);
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (cause) {
    throw new QuerycopError("QC_CONFIG", `Cannot read key "${path}": ${String(cause)}`, { cause });
  }
}

function parseKey(parse: () => KeyObject, path: string, half: "public" | "private"): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = parse();
  } catch {
    // Told below, without the runtime's words about a file that may hold a secret.
  }
  if (key?.asymmetricKeyType === "x25519" && key.type === half) return key;
  throw new QuerycopError("QC_CONFIG", notA(half, path));
}

function notA(half: "public" | "private", path: string): string {
  return `Cannot use key "${path}": expected an X25519 ${half} key in PEM`;
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(-PUBLIC_BYTES);
}

function deriveKey(secret: Buffer, publicKey: Buffer): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, publicKey, INFO, 32));
}
