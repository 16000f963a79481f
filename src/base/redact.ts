/** What must never reach a log line: values of secret-looking keys, and secret-looking parts of any text. */

const SECRET_KEY_PARTS = ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "privatekey"];
/** Keys that contain such a word and are harmless all the same. */
const HARMLESS_KEYS = new Set(["tokenSource", "tokenMs", "tokenAgeMs", "tokenCount", "tokenBytes", "tokenReused"]);

export const REDACTED = "<redacted>";

/** True when the value behind this field name is not to be printed. */
export function isSecretKey(key: string): boolean {
  if (HARMLESS_KEYS.has(key)) return false;
  const lower = key.toLowerCase();
  return SECRET_KEY_PARTS.some((part) => lower.includes(part));
}

/** Text after which a secret follows, lower case; the secret runs to the next delimiter. */
const SECRET_PREFIXES = [
  "x-amz-signature=",
  "x-amz-security-token=",
  "x-amz-credential=",
  "x-amz-signature%3d",
  "x-amz-security-token%3d",
  "x-amz-credential%3d",
  "aws_secret_access_key=",
  "aws_session_token=",
  "password=",
  "passwd=",
  "pwd=",
  "token=",
  "secret=",
  "api_key=",
  "apikey=",
  "bearer ",
  "identified by ",
] as const;

const PREFIX_FIRST_CHARACTERS = new Set(SECRET_PREFIXES.map((prefix) => prefix.charAt(0)));

const PEM_BEGIN = "-----begin ";
const PEM_PRIVATE = "private key-----";
const PEM_LABEL_LENGTH_MAX = 64;

/** The shortest run of token characters in a JSON Web Token worth hiding. */
const JWT_LENGTH_MIN = 24;
const AWS_KEY_ID_LENGTH = 20;
const NATIVE_HASH_LENGTH = 41;

/** Where the quoted text that opens at `start` ends: behind its closing quote, or with the text. */
function quotedEnd(text: string, start: number): number {
  const quote = text.charAt(start);
  let end = start + 1;
  while (end < text.length) {
    const character = text.charAt(end);
    if (character === "\\" || (character === quote && text.charAt(end + 1) === quote)) end += 2;
    else if (character === quote) return end + 1;
    else end += 1;
  }
  return text.length;
}

/** Where the secret that starts at `start` ends. Hides too much rather than too little: only a blank or "&" ends it. */
function secretEnd(text: string, start: number): number {
  const first = text.charAt(start);
  if (first === "'" || first === '"' || first === "`") return quotedEnd(text, start);
  let end = start;
  while (end < text.length && text.charAt(end) > " " && text.charAt(end) !== "&") end += 1;
  return end;
}

function isWordCharacter(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === 0x5f ||
    code === 0x2d
  );
}

function wordEnd(text: string, start: number, alsoDots: boolean): number {
  let end = start;
  while (end < text.length && (isWordCharacter(text.charCodeAt(end)) || (alsoDots && text.charAt(end) === ".")))
    end += 1;
  return end;
}

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);
}

/** The stored password hashes of mysql_native_password (*HEX40) and of caching_sha2_password ($A$005$…). */
function passwordHashEnd(text: string, start: number): number {
  if (text.startsWith("$A$", start)) return secretEnd(text, start);
  let end = start + 1;
  while (end < text.length && isHexDigit(text.charCodeAt(end))) end += 1;
  return text.charAt(start) === "*" && end - start === NATIVE_HASH_LENGTH ? end : start;
}

/** AWS access key ids (AKIA…, ASIA…) and JSON Web Tokens, which carry no prefix of their own. */
function bareSecretEnd(text: string, start: number): number {
  if (text.startsWith("AKIA", start) || text.startsWith("ASIA", start)) {
    return wordEnd(text, start, false) - start === AWS_KEY_ID_LENGTH ? start + AWS_KEY_ID_LENGTH : start;
  }
  if (text.startsWith("eyJ", start)) {
    const end = wordEnd(text, start, true);
    return end - start >= JWT_LENGTH_MIN ? end : start;
  }
  return start;
}

/** A private key in PEM form, up to and with its END line. */
function privateKeyEnd(text: string, lower: string, start: number): number {
  if (!lower.startsWith(PEM_BEGIN, start)) return start;
  const label = lower.slice(start, start + PEM_LABEL_LENGTH_MAX).indexOf(PEM_PRIVATE);
  if (label === -1) return start;
  const end = lower.indexOf(PEM_PRIVATE, start + label + PEM_PRIVATE.length);
  return end === -1 ? text.length : end + PEM_PRIVATE.length;
}

/**
 * The text with passwords, tokens, signatures and keys replaced by `<redacted>`. One pass, no regular expression:
 * the text may come from a client.
 */
export function redactSecrets(text: string): string {
  const lower = text.toLowerCase();
  // Lower-casing may change the length of exotic text; offsets would then lie, so such text is hidden whole.
  if (lower.length !== text.length) return REDACTED;
  let output = "";
  let copied = 0;
  let index = 0;
  while (index < text.length) {
    const found = secretAt(text, lower, index);
    if (found === undefined) {
      index += 1;
      continue;
    }
    output += text.slice(copied, found.start) + REDACTED;
    index = found.end;
    copied = found.end;
  }
  return copied === 0 ? text : output + text.slice(copied);
}

/** The secret announced or begun at `index`, as a range of the text. */
function secretAt(text: string, lower: string, index: number): { start: number; end: number } | undefined {
  const character = lower.charAt(index);
  if (PREFIX_FIRST_CHARACTERS.has(character)) {
    const prefix = SECRET_PREFIXES.find((candidate) => lower.startsWith(candidate, index));
    if (prefix !== undefined) {
      const start = index + prefix.length;
      const end = secretEnd(text, start);
      if (end > start) return { start, end };
    }
  }
  const startsWord = index === 0 || !isWordCharacter(text.charCodeAt(index - 1));
  if (startsWord && (character === "a" || character === "e")) {
    const end = bareSecretEnd(text, index);
    if (end > index) return { start: index, end };
  }
  if (character === "*" || character === "$") {
    const end = passwordHashEnd(text, index);
    if (end > index) return { start: index, end };
  }
  if (character === "-") {
    const end = privateKeyEnd(text, lower, index);
    if (end > index) return { start: index, end };
  }
  return undefined;
}
