/**
 * Text in the character sets that clients may speak, as the servers read it (character-table.ts, whose table of single
 * bytes bench/names.ts measures and prints). What has no certain meaning becomes U+FFFD, so that nobody takes it for a
 * character that the server does not see.
 */
import { decodeUtf8Lossy } from "./bytes.ts";
import { DISPUTED_CHARACTERS, HIGH_CHARACTERS } from "./character-table.ts";

/** Stands for bytes whose characters are not known: any text at all. */
export const UNKNOWN_TEXT = "\ufffd";

/** ASCII's places that are letters in swe7. */
const SWE7_LETTERS: Readonly<Record<string, string>> = {
  "@": "É",
  "[": "Ä",
  "\\": "Ö",
  "]": "Å",
  "^": "Ü",
  "`": "é",
  "{": "ä",
  "|": "ö",
  "}": "å",
  "~": "ü",
};

/** Labels of the Encoding Standard for the character sets whose characters take several bytes. */
const LABELS: Readonly<Record<string, string>> = {
  gbk: "gbk",
  gb2312: "gbk",
  gb18030: "gb18030",
  big5: "big5",
  sjis: "shift_jis",
  cp932: "shift_jis",
  euckr: "euc-kr",
  ujis: "euc-jp",
  eucjpms: "euc-jp",
};

/** The names themselves are bytes that the server takes for UTF-8. */
const UNICODE: ReadonlySet<string> = new Set(["utf8", "utf8mb3", "utf8mb4", "binary"]);

const BACKTICK = 0x60;
const GB2312_TRAIL_MIN = 0xa1;

/**
 * The characters of `bytes` in the named character set; "unknown" or a set that is not known here leaves ASCII, and what
 * certainly is ASCII only. Never throws.
 */
export function decodeCharacters(bytes: Uint8Array, characterSet: string): string {
  if (UNICODE.has(characterSet)) return Buffer.isBuffer(bytes) ? bytes.toString("utf8") : decodeUtf8Lossy(bytes);
  if (characterSet === "swe7") return decodeSwe7(bytes);
  const isAscii = !bytes.some((byte) => byte > 0x7f);
  if (isAscii && characterSet !== "unknown") return decodeUtf8Lossy(bytes);
  const label = LABELS[characterSet];
  if (label !== undefined) return decodeMultiByte(bytes, characterSet, label);
  const high = HIGH_CHARACTERS[characterSet];
  return high === undefined ? decodeUnknown(bytes) : decodeSingleByte(bytes, high);
}

/** As decodeCharacters() reads the bytes [start, end); of a Buffer, because to make one for each name costs more than to read it. */
export function decodeRange(bytes: Buffer, start: number, end: number, characterSet: string): string {
  return UNICODE.has(characterSet)
    ? bytes.toString("utf8", start, end)
    : decodeCharacters(bytes.subarray(start, end), characterSet);
}

function decodeSingleByte(bytes: Uint8Array, high: string): string {
  let text = "";
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : (high[byte - 0x80] ?? UNKNOWN_TEXT);
  return text;
}

function decodeSwe7(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const ascii = String.fromCharCode(byte);
    text += byte >= 0x7f ? UNKNOWN_TEXT : (SWE7_LETTERS[ascii] ?? ascii);
  }
  return text;
}

const decoders = new Map<string, TextDecoder>();

function decodeMultiByte(bytes: Uint8Array, characterSet: string, label: string): string {
  if (characterSet === "gb2312" && hasLowTrail(bytes)) return decodeUnknown(bytes);
  let decoder = decoders.get(label);
  if (decoder === undefined) {
    decoder = new TextDecoder(label);
    decoders.set(label, decoder);
  }
  const text = decoder.decode(bytes);
  const disputed = DISPUTED_CHARACTERS[characterSet];
  if (disputed === undefined) return text;
  let known = "";
  for (const character of text) known += disputed.includes(character) ? UNKNOWN_TEXT : character;
  return known;
}

/** MySQL takes such bytes for others than the Encoding Standard. */
function hasLowTrail(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) {
    if ((bytes[at] as number) > 0x7f && (bytes[++at] ?? 0) < GB2312_TRAIL_MIN) return true;
  }
  return false;
}

/** A byte behind one above 0x7f may be half of its character; some of ASCII's signs are letters in swe7. */
function decodeUnknown(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    const ascii = String.fromCharCode(byte);
    const isKnown = byte < 0x80 && !Object.hasOwn(SWE7_LETTERS, ascii);
    if (byte > 0x7f && (bytes[at + 1] ?? BACKTICK) < 0x80) at++;
    if (isKnown) text += ascii;
    else if (!text.endsWith(UNKNOWN_TEXT)) text += UNKNOWN_TEXT;
  }
  return text;
}
