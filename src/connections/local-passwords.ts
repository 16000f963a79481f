/** Passwords from a file, and from a command of the operator's. */
import { createHmac, randomBytes } from "node:crypto";
import { readBoundedFile, writableByOthers } from "../config/file-access.ts";
import { CommandTokenSource } from "../token/command-token.ts";
import { TokenMintError, type TokenTarget } from "../token/token.ts";
import { SecretError, type SecretReader, type SecretReading, type SecretStage } from "./secret-reader.ts";

const FILE_BYTES_MAX = 4096;

/** Of this process alone, so that nothing can be learned from a version. */
const VERSION_KEY = randomBytes(32);

function versionOf(password: Uint8Array): string {
  return createHmac("sha256", VERSION_KEY).update(password).digest("hex").slice(0, 16);
}

export class PasswordFileReader implements SecretReader {
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.name = `file ${path}`;
  }

  async read(stage: SecretStage): Promise<SecretReading | undefined> {
    if (stage === "pending") return undefined;
    const read = readBoundedFile(this.#path, FILE_BYTES_MAX);
    if ("problem" in read) throw new SecretError(read.problem);
    const writable = writableByOthers(this.#path, read.mode);
    if (writable !== undefined) throw new SecretError(writable);
    const end = read.bytes.indexOf(0x0a);
    const line = end < 0 ? read.bytes : read.bytes.subarray(0, end);
    const password = Uint8Array.from(line.at(-1) === 0x0d ? line.subarray(0, -1) : line);
    read.bytes.fill(0);
    if (password.length === 0) throw new SecretError("its first line is empty");
    if (password.includes(0)) throw new SecretError("its first line holds a NUL byte");
    return { password, version: versionOf(password) };
  }
}

export interface PasswordCommandOptions {
  readonly connection: string;
  readonly command: string;
  readonly timeoutMs: number;
  readonly target: TokenTarget;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export class PasswordCommandReader implements SecretReader {
  readonly name = "password_cmd";
  readonly #source: CommandTokenSource;
  readonly #target: TokenTarget;

  constructor({ connection, command, timeoutMs, target, environment }: PasswordCommandOptions) {
    const told = { QUERYCOP_CONNECTION: connection };
    this.#source = new CommandTokenSource({ command, timeoutMs, environment, prints: "password", told });
    this.#target = target;
  }

  async read(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined> {
    if (stage === "pending") return undefined;
    try {
      const { value } = await this.#source.mint(this.#target, signal);
      return { password: value, version: versionOf(value) };
    } catch (thrown) {
      if (!(thrown instanceof TokenMintError)) throw thrown;
      throw new SecretError(thrown.detail === "" ? thrown.message : `${thrown.message}: ${thrown.detail}`);
    }
  }
}
