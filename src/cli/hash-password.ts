/** `querycop hash-password`: a password from standard input → a line of the users file. */
import { randomBytes } from "node:crypto";
import { hashCachingSha2Password } from "../mysql/caching-sha2-password.ts";
import { hashNativePassword } from "../mysql/native-password.ts";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";

const PASSWORD_BYTES_MAX = 256;
const SALT_BYTES = 20;
const SALT_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";

const PLUGINS = ["caching_sha2_password", "mysql_native_password"] as const;

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
  const plugin = args["plugin"] ?? PLUGINS[0];
  if (typeof user !== "string") throw new UsageError("--user is required");
  if (user.includes(":") || [...user].some((character) => character < " " || character === "\u007f")) {
    throw new UsageError("--user must not hold a colon or control character");
  }
  if (plugin !== PLUGINS[0] && plugin !== PLUGINS[1]) throw new UsageError(`--plugin must be ${PLUGINS.join(" or ")}`);
  const password = await readPassword(io);
  const hash =
    plugin === "mysql_native_password"
      ? hashNativePassword(password)
      : hashCachingSha2Password(password, printableSalt());
  io.stdout(`${user}:${hash}\n`);
  return EXIT_OK;
}
