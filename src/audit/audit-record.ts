/**
 * One audit record as one line of ASCII JSON, chained by hashes:
 *
 *   {"seq":7,"time":"…Z","type":"login",…,"prev":"<hash of record 6>","hash":"<own hash>"}
 *
 * `hash` is the SHA-256 of the line up to `,"hash"` with the closing brace put back, so that every byte of the line
 * counts, and `sha256sum` is enough to check one by hand.
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import type { AuditEvent } from "./audit-event.ts";

/** Versions written into each segment-start record: of whole records only, and with those of statements in short. */
export const RECORD_FORMAT = 1;
export const COMPACT_RECORD_FORMAT = 2;

/** `prev` of the first record ever. */
export const CHAIN_START = "0".repeat(64);

/** No record is longer, its newline included: long texts are cut until it fits. */
export const RECORD_BYTES_MAX = 1 << 20;

const HASH_KEY = ',"hash":"';
const TAIL_CHARS = HASH_KEY.length + 64 + 2;
/** Ends a text that was cut. */
export const CUT_MARK = "[cut]";

export interface RecordHead {
  readonly seq: number;
  readonly hash: string;
}

export interface EncodedRecord extends RecordHead {
  /** With its newline; ASCII only. */
  readonly line: string;
}

/** A record as read back. Its fields are known to be JSON only: an event type of a later version may be among them. */
export interface AuditRecord extends RecordHead {
  readonly time: string;
  readonly type: string;
  readonly prev: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type DecodedRecord =
  | { readonly ok: true; readonly record: AuditRecord }
  | { readonly ok: false; readonly reason: "shape" | "hash" | "json" };

/** Makes the record that follows `previous`. Texts too long for RECORD_BYTES_MAX are cut and end in `[cut]`. */
export function encodeRecord(event: AuditEvent, previous: RecordHead, timeMs: number): EncodedRecord {
  const seq = previous.seq + 1;
  const head = recordHead(seq, timeMs);
  const tail = `,"prev":"${previous.hash}"`;
  const body = head + encodeEvent(event, RECORD_BYTES_MAX - head.length - tail.length - TAIL_CHARS - 1) + tail;
  const own = hashOf(body);
  return { seq, hash: own, line: hashedLine(body, own) };
}

/** How each record begins. */
export function recordHead(seq: number, timeMs: number): string {
  return `{"seq":${seq},"time":"${isoTime(timeMs)}",`;
}

/** A line that ends in a hash, of its beginning. */
export function hashedLine(body: string, hash: string): string {
  return `${body}${HASH_KEY}${hash}"}\n`;
}

/** The hash that a line ends in, and what stands before it; undefined for a line that ends in none. */
export function hashAtEnd(line: string): { readonly body: string; readonly hash: string } | undefined {
  const bodyChars = line.length - TAIL_CHARS;
  if (bodyChars < 2 || !line.startsWith(HASH_KEY, bodyChars) || !line.endsWith('"}')) return undefined;
  return { body: line.slice(0, bodyChars), hash: line.slice(bodyChars + HASH_KEY.length, -2) };
}

let lastTimeMs = Number.NaN;
let lastIsoTime = "";

/** Many records share a millisecond under load. */
function isoTime(timeMs: number): string {
  if (timeMs !== lastTimeMs) {
    lastTimeMs = timeMs;
    lastIsoTime = new Date(timeMs).toISOString();
  }
  return lastIsoTime;
}

/** Checks and parses one line without its newline. */
export function decodeRecord(line: string): DecodedRecord {
  const end = hashAtEnd(line);
  if (end === undefined) return { ok: false, reason: "shape" };
  const { body, hash: own } = end;
  if (hashOf(body) !== own) return { ok: false, reason: "hash" };
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return { ok: false, reason: "json" };
  }
  return isRecord(parsed)
    ? { ok: true, record: { ...pickHead(parsed, own), fields: parsed } }
    : { ok: false, reason: "shape" };
}

interface ParsedRecord {
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly prev: string;
  readonly [key: string]: unknown;
}

function isRecord(value: unknown): value is ParsedRecord {
  if (typeof value !== "object" || value === null) return false;
  const { seq, time, type, prev } = value as Record<string, unknown>;
  return Number.isSafeInteger(seq) && typeof time === "string" && typeof type === "string" && typeof prev === "string";
}

function pickHead(parsed: ParsedRecord, hash: string): Omit<AuditRecord, "fields"> {
  return { seq: parsed.seq, time: parsed.time, type: parsed.type, prev: parsed.prev, hash };
}

/** Of text that a brace is put behind. */
export function hashOf(body: string): string {
  return hash("sha256", `${body}}`, "hex");
}

/** The event's members without the braces, ASCII only, at most `charsMax` long. */
function encodeEvent(event: AuditEvent, charsMax: number): string {
  let members = asciiMembers(JSON.stringify(event), charsMax);
  // Each pass halves the longest text allowed; 16 passes bring any mix of fields below the limit.
  for (let textMax = charsMax >> 3; members === undefined; textMax >>= 1) {
    members = asciiMembers(
      JSON.stringify(event, (_key, value: unknown) => cut(value, textMax)),
      charsMax,
    );
  }
  return members;
}

function cut(value: unknown, max: number): unknown {
  if (typeof value === "string") return value.length > max ? value.slice(0, max) + CUT_MARK : value;
  if (Array.isArray(value)) return value.length > max ? [...value.slice(0, max), CUT_MARK] : value;
  return value;
}

const HEX_DIGITS = Buffer.from("0123456789abcdef", "latin1");
const hexDigit = (value: number): number => HEX_DIGITS[value & 15] ?? 0;

/** The JSON object without its braces, ASCII only, or undefined when it is too long. */
function asciiMembers(json: string, charsMax: number): string | undefined {
  if (json.length - 2 > charsMax) return undefined;
  const ascii = asciiJson(json);
  return ascii.length - 2 > charsMax ? undefined : ascii.slice(1, -1);
}

/**
 * The same JSON as ASCII. JSON.stringify leaves everything above 0x7e as it is: direction marks, line separators and DEL
 * among it, which can reorder or split a line on a terminal. All of that occurs inside strings only, so escapes keep the
 * meaning.
 */
export function asciiJson(json: string): string {
  // One byte for each UTF-16 unit means ASCII; this native test is far cheaper than looking at each unit here.
  if (Buffer.byteLength(json) === json.length && !json.includes("\x7f")) return json;
  const bytes = Buffer.allocUnsafe(json.length * 6);
  let length = 0;
  for (let i = 0; i < json.length; i++) {
    const unit = json.charCodeAt(i);
    if (unit < 0x7f) {
      bytes[length++] = unit;
    } else {
      bytes[length++] = 0x5c;
      bytes[length++] = 0x75;
      for (let shift = 12; shift >= 0; shift -= 4) bytes[length++] = hexDigit(unit >> shift);
    }
  }
  return bytes.toString("latin1", 0, length);
}
