/** The Ed25519 key that signs the chain, and the text hash key that comes from it. */
import { Buffer } from "node:buffer";
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { QuerycopError } from "../base/errors.ts";
import { GROUP_OR_WORLD_ANY, othersMay } from "../base/file-mode.ts";

export interface CheckpointFacts {
  readonly run: string;
  readonly seq: number;
  readonly time: string;
  /** Hash of the record before the checkpoint. */
  readonly head: string;
}

export interface AuditKey {
  /** First 16 hexadecimal digits of the SHA-256 of the public key's DER. */
  readonly keyId: string;
  /** DER SPKI in base64. */
  readonly publicKey: string;
  /** Ed25519 signature in base64. */
  signCheckpoint(facts: CheckpointFacts): string;
  /** HMAC-SHA256 in hexadecimal. Keyed, because an unkeyed hash of a short literal can be guessed. */
  hashText(text: Uint8Array): string;
  /** The same, a slice at a time, so that a long text keeps nobody waiting. */
  hashLongText(text: Uint8Array): Promise<string>;
}

const KEY_BYTES_MAX = 16_384;
/** One or two milliseconds. */
const HASH_SLICE_BYTES = 1 << 20;

/** Reads the key file, or makes one (0600) where there is none. Refuses a file that others may read. */
export function loadAuditKey(path: string): AuditKey {
  return auditKeyOf(parseAuditKey(readKeyFile(path) ?? createKeyFile(path), path));
}

/** Throws where loadAuditKey() would, but makes no file. */
export function checkAuditKey(path: string): undefined {
  const pem = readKeyFile(path);
  if (pem !== undefined) parseAuditKey(pem, path);
}

function parseAuditKey(pem: string, path: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new QuerycopError("QC_CONFIG", `Cannot use audit key "${path}": expected a PKCS #8 private key in PEM`, {
      cause,
    });
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new QuerycopError("QC_CONFIG", `Cannot use audit key "${path}": expected an Ed25519 key`);
  }
  return key;
}

/** A key for one process life, for sinks without a folder to keep one in. */
export function createPassingAuditKey(): AuditKey {
  return auditKeyOf(generateKeyPairSync("ed25519").privateKey);
}

/** Whether `signature` is the one of `publicKey` (DER SPKI in base64) over these facts. Never throws. */
export function isCheckpointSignature(facts: CheckpointFacts, signature: string, publicKey: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
    if (key.asymmetricKeyType !== "ed25519") return false;
    return verify(null, checkpointText(facts), key, Buffer.from(signature, "base64"));
  } catch {
    return false;
  }
}

/** Key id of a public key given as DER SPKI in base64. */
export function keyIdOf(publicKey: string): string {
  return createHash("sha256").update(Buffer.from(publicKey, "base64")).digest("hex").slice(0, 16);
}

function auditKeyOf(key: KeyObject): AuditKey {
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).toString("base64");
  const seed = key.export({ format: "der", type: "pkcs8" });
  const textKey = Buffer.from(hkdfSync("sha256", seed, "", "querycop audit text hash v1", 32));
  return {
    keyId: keyIdOf(publicKey),
    publicKey,
    signCheckpoint: (facts) => sign(null, checkpointText(facts), key).toString("base64"),
    hashText: (text) => createHmac("sha256", textKey).update(text).digest("hex"),
    hashLongText: async (text) => {
      const hmac = createHmac("sha256", textKey);
      for (let at = 0; at < text.length; at += HASH_SLICE_BYTES) {
        if (at > 0) await nextTurn();
        hmac.update(text.subarray(at, at + HASH_SLICE_BYTES));
      }
      return hmac.digest("hex");
    },
  };
}

/** The signed text. Its first line keeps a signature from meaning anything elsewhere. */
function checkpointText(facts: CheckpointFacts): Uint8Array {
  return Buffer.from(`querycop audit checkpoint v1\n${facts.run}\n${facts.seq}\n${facts.time}\n${facts.head}\n`);
}

function readKeyFile(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    throw new QuerycopError("QC_CONFIG", `Cannot open audit key "${path}": ${String(cause)}`, { cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > KEY_BYTES_MAX) {
      throw new QuerycopError("QC_CONFIG", `Cannot use audit key "${path}": expected a small regular file`);
    }
    if (othersMay(stat.mode, GROUP_OR_WORLD_ANY)) {
      throw new QuerycopError(
        "QC_CONFIG",
        `Cannot use audit key "${path}": others may read it, run: chmod 600 "${path}"`,
      );
    }
    return readFileSync(fd, "latin1");
  } finally {
    closeSync(fd);
  }
}

function createKeyFile(path: string): string {
  const pem = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  let fd: number;
  try {
    // The log's own folder: as checkFolder() would make it, which comes later.
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new QuerycopError("QC_CONFIG", `Cannot create audit key "${path}": ${String(cause)}`, { cause });
  }
  try {
    writeFileSync(fd, pem);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return pem;
}
