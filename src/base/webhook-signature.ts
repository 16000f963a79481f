/**
 * Signatures of webhooks, ours and those that come back, as Standard Webhooks 1.0.0 has them
 * (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md), so that receivers find a library.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** One delivery as its headers and its body have it; the headers may be anything. */
export interface SignedDelivery {
  /** `webhook-id`: the same for each attempt at one delivery. */
  readonly id: string;
  /** `webhook-timestamp`: seconds since 1970, decimal. */
  readonly timestamp: string;
  /** `webhook-signature`: `v1,<base64>`, several separated by spaces while a secret is exchanged. */
  readonly signature: string;
  readonly body: string;
}

const PREFIX = "whsec_";
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
const SECRETS_MAX = 4;
const SIGNATURES_MAX = 8;
const HEADER_CHARACTERS_MAX = 1024;
const VERSION = "v1,";
/** A delivery that is farther away in time than this may be one that somebody kept. */
export const WEBHOOK_TOLERANCE_SECONDS = 300;

/** The secrets of a file, one a line, `whsec_` and 24 to 64 bytes in base64; undefined for anything else. */
export function parseWebhookSecrets(text: string): readonly Buffer[] | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  const secrets = lines.filter((line) => line !== "").map(parseSecret);
  const known = secrets.filter((secret) => secret !== undefined);
  return known.length === secrets.length && known.length > 0 && known.length <= SECRETS_MAX ? known : undefined;
}

function parseSecret(line: string): Buffer | undefined {
  if (!line.startsWith(PREFIX)) return undefined;
  const text = line.slice(PREFIX.length);
  const bytes = Buffer.from(text, "base64");
  // Buffer passes over what is no base64: what it made of the text must be the text.
  const isExact = bytes.toString("base64").replaceAll("=", "") === text.replaceAll("=", "");
  return isExact && bytes.length >= SECRET_BYTES_MIN && bytes.length <= SECRET_BYTES_MAX ? bytes : undefined;
}

/** The value of `webhook-signature`. */
export function signWebhook(secret: Uint8Array, { id, timestamp, body }: Omit<SignedDelivery, "signature">): string {
  return VERSION + createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64");
}

/** Whether one of the secrets made it, not long ago. Takes the same time whichever signature comes near. */
export function checkWebhook(
  secrets: readonly Uint8Array[],
  delivery: SignedDelivery,
  nowSeconds: number,
): "genuine" | "forged" | "late" {
  const { id, timestamp, signature } = delivery;
  const isOdd = [id, timestamp, signature].some((text) => text === "" || text.length > HEADER_CHARACTERS_MAX);
  const isNumber = [...timestamp].every((digit) => digit >= "0" && digit <= "9");
  const given = signature.split(" ");
  if (isOdd || id.includes(".") || !isNumber || given.length > SIGNATURES_MAX) return "forged";
  let isGenuine = false;
  for (const secret of secrets) {
    const wanted = Buffer.from(signWebhook(secret, delivery), "latin1");
    for (const one of given) {
      const bytes = Buffer.from(one, "latin1");
      if (bytes.length === wanted.length && timingSafeEqual(bytes, wanted)) isGenuine = true;
    }
  }
  if (!isGenuine) return "forged";
  return Math.abs(nowSeconds - Number(timestamp)) > WEBHOOK_TOLERANCE_SECONDS ? "late" : "genuine";
}
