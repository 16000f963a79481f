/** The users file: who may log in with client_auth password, and the hashes their passwords must match. */
import { isReadableByAll, readBoundedFile, writableByOthers } from "./file-access.ts";
import type { Parsed } from "./values.ts";

/** What is known of one user's password. Shaped as the server's authentication_string. */
export interface UserHashes {
  /** `$A$005$` + 20 bytes of salt + 43 of digest, as latin1: the salt may hold any byte. */
  readonly cachingSha2?: string;
  /** `*` + 40 hex digits. */
  readonly native?: string;
  /** `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, for clients of PostgreSQL. */
  readonly scram?: string;
}

export type UsersFile =
  | { readonly users: ReadonlyMap<string, UserHashes>; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[] };

const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** mysql.user.User is char(32); MariaDB allows 128 characters. */
const USER_BYTES_MAX = 512;
const PROBLEMS_MAX = 20;

const CACHING_SHA2_PREFIX = "$A$";
/** `$A$005$` + salt + digest (sql/auth/sha2_password.cc). */
const CACHING_SHA2_LENGTH = 70;
const NATIVE_LENGTH = 41;
/** A login costs this many rounds of SHA-256; the verifier in mysql/ takes no more either. */
const ROUNDS_THOUSANDS_MAX = 20;

function isHex(text: string): boolean {
  for (const character of text.toLowerCase()) {
    if (!((character >= "0" && character <= "9") || (character >= "a" && character <= "f"))) return false;
  }
  return text.length > 0;
}

/** `$A$005$…`: rounds in thousands as three hex digits; digest in the alphabet of crypt(3). */
function isCachingSha2(hash: string): boolean {
  if (hash.length !== CACHING_SHA2_LENGTH || !hash.startsWith(CACHING_SHA2_PREFIX) || hash[6] !== "$") return false;
  const rounds = hash.slice(3, 6);
  if (!isHex(rounds)) return false;
  return [...hash.slice(27)].every(
    (character) =>
      (character >= "." && character <= "9") ||
      (character >= "A" && character <= "Z") ||
      (character >= "a" && character <= "z"),
  );
}

const SCRAM_PREFIX = "SCRAM-SHA-256$";
const SCRAM_VERIFIER =
  /^SCRAM-SHA-256\$([0-9]{1,9}):[A-Za-z0-9+/]{1,1364}={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/;
/** What postgres/scram.ts computes at most. */
const SCRAM_ITERATIONS_MAX = 100_000;

function parseScram(text: string): Parsed<UserHashes> {
  const iterations = Number(SCRAM_VERIFIER.exec(text)?.[1] ?? 0);
  if (iterations >= 1 && iterations <= SCRAM_ITERATIONS_MAX) return { value: { scram: text } };
  return {
    problem: `the SCRAM verifier is cut or damaged, or asks for more than ${SCRAM_ITERATIONS_MAX} iterations: make one with querycop hash-password --engine postgresql`,
  };
}

function parseCachingSha2(hash: string): Parsed<UserHashes> {
  const thousands = Number.parseInt(hash.slice(3, 6), 16);
  if (thousands >= 1 && thousands <= ROUNDS_THOUSANDS_MAX) return { value: { cachingSha2: hash } };
  return { problem: `the hash asks for ${thousands}000 rounds: expected 1000 to ${ROUNDS_THOUSANDS_MAX}000` };
}

/** One hash in any accepted form: as the server stores it, or as the hex literal of SHOW CREATE USER. */
function parseHash(text: string): Parsed<UserHashes> {
  if (text.startsWith("*") && text.length === NATIVE_LENGTH && isHex(text.slice(1))) {
    return { value: { native: text.toUpperCase() } };
  }
  if (text.startsWith(SCRAM_PREFIX)) return parseScram(text);
  if (isCachingSha2(text)) return parseCachingSha2(text);
  if ((text.startsWith("0x") || text.startsWith("0X")) && isHex(text.slice(2)) && text.length % 2 === 0) {
    const decoded = Buffer.from(text.slice(2), "hex").toString("latin1");
    if (isCachingSha2(decoded)) return parseCachingSha2(decoded);
    return { problem: "the hex literal does not hold a caching_sha2_password hash ($A$005$…)" };
  }
  if (text.startsWith("$5$"))
    return { problem: "sha256_password hashes are not supported: make one with querycop hash-password" };
  if (text.startsWith(CACHING_SHA2_PREFIX)) {
    return {
      problem: "the $A$ hash is cut or damaged: write it as a hex literal, 0x…, if its salt holds a line break",
    };
  }
  return {
    problem: "expected a password hash ($A$…, 0x… or *…), not a password: make one with querycop hash-password",
  };
}

/** The line's user and hash. The user name is UTF-8; the hash is taken byte by byte. */
function parseLine(line: string): Parsed<{ user: string; hashes: UserHashes }> {
  const colon = line.indexOf(":");
  if (colon <= 0) return { problem: "expected user:hash" };
  if (colon > USER_BYTES_MAX) return { problem: `the user name is longer than ${USER_BYTES_MAX} bytes` };
  let user: string;
  try {
    user = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(line.slice(0, colon), "latin1"));
  } catch {
    return { problem: "the user name is not UTF-8" };
  }
  for (const character of user) {
    if (character < " " || character === "\u007f") return { problem: "the user name holds a control character" };
  }
  const hash = parseHash(line.slice(colon + 1));
  return "problem" in hash ? hash : { value: { user, hashes: hash.value } };
}

/** Takes the content apart. Problems name lines, never their content. */
export function parseUsersFile(bytes: Uint8Array, name: string): UsersFile {
  const users = new Map<string, UserHashes>();
  const problems: string[] = [];
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1").split("\n");
  for (const [index, raw] of lines.entries()) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.trim() === "" || line.startsWith("#")) continue;
    const parsed = parseLine(line);
    if ("problem" in parsed) {
      problems.push(`${name}:${index + 1}: ${parsed.problem}`);
    } else {
      const { user, hashes } = parsed.value;
      const known = users.get(user) ?? {};
      const repeats = Object.keys(hashes).some((kind) => Object.hasOwn(known, kind));
      if (repeats) problems.push(`${name}:${index + 1}: this user already has a hash of this kind above`);
      else users.set(user, { ...known, ...hashes });
    }
    if (problems.length >= PROBLEMS_MAX) return { problems: [...problems, `${name}: further lines were not checked`] };
  }
  if (problems.length > 0) return { problems };
  if (users.size === 0) return { problems: [`${name}: holds no user`] };
  return { users, warnings: [] };
}

/** Reads and checks the users file at `path`. A file that others may write is refused: they could log in as anyone. */
export function loadUsersFile(path: string): UsersFile {
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return { problems: [read.problem] };
  const writable = writableByOthers(path, read.mode);
  if (writable !== undefined) return { problems: [writable] };
  const parsed = parseUsersFile(read.bytes, path);
  if ("problems" in parsed || !isReadableByAll(read.mode)) return parsed;
  return {
    users: parsed.users,
    warnings: [`${path} is readable by everyone, and hashes can be guessed at: run chmod 640 ${path}`],
  };
}
