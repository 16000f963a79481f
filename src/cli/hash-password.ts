/** `querycop hash-password`: a password from standard input → a line of the users file. */
import { randomBytes } from "node:crypto";
import { hashCachingSha2Password } from "../mysql/caching-sha2-password.ts";
import { hashNativePassword } from "../mysql/native-password.ts";
import { formatScramVerifier, makeScramVerifier } from "../postgres/scram.ts";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";

const PASSWORD_BYTES_MAX = 256;
const SALT_BYTES = 20;
const SALT_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";

/** The first is the default. */
export const PASSWORD_PLUGINS = ["caching_sha2_password", "mysql_native_password"] as const;

export const PASSWORD_ENGINES = ["mysql", "postgresql"] as const;

/** 120 random bits in printable characters, so that the line survives editors and terminals. */
function printableSalt(): Uint8Array {
  return Uint8Array.from(randomBytes(SALT_BYTES), (byte) => SALT_ALPHABET.charCodeAt(byte & 63));
}

/** Standard input without the line break that echo and editors leave behind it. */
async function readPassword(io: CommandIo): Promise<Uint8Array> {
  const input = await io.readStdin(PASSWORD_BYTES_MAX + 2);
  if (input === undefined) throw new UsageError("standard input is a terminal: pipe the password in");
  let end = input.length;
  if (input[end - 1] === 0x0a) end -= input[end - 2] === 0x0d ? 2 : 1;
  const password = input.subarray(0, end);
  if (password.length === 0) throw new UsageError("standard input holds no password");
  if (password.length > PASSWORD_BYTES_MAX)
    throw new UsageError(`the password is longer than ${PASSWORD_BYTES_MAX} bytes`);
  if (password.some((byte) => byte === 0 || byte === 0x0a || byte === 0x0d)) {
    throw new UsageError("the password holds a line break or NUL byte");
  }
  return password;
}

export async function hashPassword(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const user = args["user"];
  const plugin = args["plugin"] ?? PASSWORD_PLUGINS[0];
  if (typeof user !== "string") throw new UsageError("--user is required");
  if (user.includes(":") || [...user].some((character) => character < " " || character === "\u007f")) {
    throw new UsageError("--user must not hold a colon or control character");
  }
  const isPostgres = args["engine"] === "postgresql";
  if (isPostgres && args["plugin"] !== undefined) throw new UsageError("--plugin is MySQL's: leave it out");
  const password = await readPassword(io);
  if (isPostgres) {
    const verifier = formatScramVerifier(makeScramVerifier(password));
    io.stdout(`${user}:${verifier}\n`);
    // The server stores a verifier as it is given one, and then takes the key that the client's login shows.
    const name = `"${user.replaceAll('"', '""')}"`;
    io.stderr(`For the server to take the same login, run there:\n  ALTER ROLE ${name} PASSWORD '${verifier}';\n`);
    return EXIT_OK;
  }
  const hash =
    plugin === "mysql_native_password"
      ? hashNativePassword(password)
      : hashCachingSha2Password(password, printableSalt());
  io.stdout(`${user}:${hash}\n`);
  return EXIT_OK;
}
