/** Addresses of objects in S3: `s3://bucket/key`, or `s3-eu-central-1://bucket/key` as Aurora writes them. */
import { encodeUtf8 } from "./bytes.ts";

export interface S3Address {
  readonly bucket: string;
  /** As it is: nothing in it is decoded. */
  readonly key: string;
  readonly region: string | undefined;
}

/** One object, or with `isPrefix` all whose key begins with this one. */
export interface S3Pattern extends S3Address {
  readonly isPrefix: boolean;
}

const ADDRESS = /^s3(?:-([a-z0-9-]{1,40}))?:\/\/([^/]{1,63})\/(.*)$/s;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const IP_ADDRESS = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;
const KEY_BYTES_MAX = 1024;

/**
 * Undefined for what is no such address, and for keys that somebody on the way may take for another: with `.` or `..` as a
 * segment, with control characters or halves of a character, or longer than S3 allows.
 */
export function parseS3Address(text: string): S3Address | undefined {
  const [, region, bucket = "", key = ""] = ADDRESS.exec(text) ?? [];
  if (!BUCKET.test(bucket) || bucket.includes("..") || IP_ADDRESS.test(bucket)) return undefined;
  return isKey(key) ? { bucket, key, region } : undefined;
}

/** The same with a `*` at the end for a prefix, which may be empty. */
export function parseS3Pattern(text: string): S3Pattern | undefined {
  if (!text.endsWith("*")) {
    const address = parseS3Address(text);
    return address === undefined ? undefined : { ...address, isPrefix: false };
  }
  // An empty key is none, an empty prefix is one.
  const address = parseS3Address(`${text.slice(0, -1)}x`);
  return address === undefined ? undefined : { ...address, key: address.key.slice(0, -1), isPrefix: true };
}

/** Whether the pattern allows the object. A region that only one of them names counts for nothing. */
export function allowsS3(pattern: S3Pattern, { bucket, key, region }: S3Address): boolean {
  if (pattern.bucket !== bucket) return false;
  if (pattern.region !== undefined && region !== undefined && pattern.region !== region) return false;
  return pattern.isPrefix ? key.startsWith(pattern.key) : key === pattern.key;
}

/** For people, logs and SQL: `s3://bucket/key` with nothing in it that any of them could misread. */
export function s3Text({ bucket, key }: Pick<S3Address, "bucket" | "key">): string {
  return `s3://${bucket}/${key.split("/").map(percentEncoded).join("/")}`;
}

function percentEncoded(segment: string): string {
  return encodeURIComponent(segment).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function isKey(key: string): boolean {
  if (key === "" || !key.isWellFormed() || encodeUtf8(key).length > KEY_BYTES_MAX) return false;
  for (const character of key) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  }
  return key.split("/").every((segment) => segment !== "." && segment !== "..");
}
