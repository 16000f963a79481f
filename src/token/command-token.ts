/**
 * Tokens from a shell command of the operator's, run by `sh -c` in a process group of its own.
 *
 * A mint ends with the first of: the shell ended and its output is read, the deadline, too much output, an abort.
 * Whatever of the group is left then is killed, so that a child of the shell can neither delay a login nor stay. One that
 * has made a session of its own is found by a mark in its environment.
 */
import { Buffer } from "node:buffer";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import process from "node:process";
import type { Readable } from "node:stream";
import { REDACTED, redactSecrets } from "../base/redact.ts";
import { killMarked } from "./marked-processes.ts";
import { type MintedToken, type TokenFailure, TokenMintError, type TokenSource, type TokenTarget } from "./token.ts";

export interface CommandTokenOptions {
  readonly command: string;
  readonly timeoutMs?: number;
  /** The environment to hand on, less querycop's own names. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the first line of its output is: a token unless given. */
  readonly prints?: Printed;
  /** Variables for the command besides those of the target. */
  readonly told?: Readonly<Record<string, string>>;
}

/** A password may be short, and of any characters. */
type Printed = "token" | "password";

const STDOUT_BYTES_MAX = 16_384;
const STDERR_BYTES_MAX = 4096;
const TOKEN_BYTES_MIN = 20;
const TOKEN_BYTES_MAX = 8192;

/** A shell that ended has written its output; what still holds the pipe open after this is a process it left behind. */
const GRACE_MS = 100;

/** Names that carry querycop's own secrets or its line to the service manager, and none of the command's business. */
const OWN_NAMES = new Set(["ADMIN_API_KEY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"]);
const OWN_PREFIXES = ["GATEKEEPER_", "LISTEN_FD", "LISTEN_PID", "QUERYCOP_BACKEND_"];

/** In the environment of one run of the command, and of all that it starts. */
const RUN_MARK = "QUERYCOP_TOKEN_RUN";

export class CommandTokenSource implements TokenSource {
  readonly name = "command";
  readonly #options: CommandTokenOptions;

  constructor(options: CommandTokenOptions) {
    this.#options = options;
  }

  async mint(target: TokenTarget, signal: AbortSignal): Promise<MintedToken> {
    const { command, environment, timeoutMs = 10_000, prints = "token", told = {} } = this.#options;
    const mark = randomBytes(8).toString("hex");
    const env = { ...childEnvironment(environment, target), ...told, [RUN_MARK]: mark };
    const end = await runShell({ command, env, timeoutMs, signal });
    // Nobody waits for it: it reads the environments of all processes of this user.
    killMarked(`${RUN_MARK}=${mark}`).catch(() => undefined);
    try {
      const failure = failureOf(end, timeoutMs, prints);
      if (failure === undefined) return { value: shapedToken(end), credentialsExpireAtMs: undefined };
      throw new TokenMintError(failure.reason, failure.message, readableStderr(end, prints));
    } finally {
      end.stdout.fill(0);
    }
  }
}

/** The exact environment of the command. */
export function childEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  target: TokenTarget,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(parent)) {
    if (value === undefined || OWN_NAMES.has(name) || OWN_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    env[name] = value;
  }
  env["QUERYCOP_BACKEND_HOST"] = target.host;
  env["QUERYCOP_BACKEND_PORT"] = String(target.port);
  env["QUERYCOP_BACKEND_USER"] = target.user;
  if (target.region !== undefined) env["QUERYCOP_BACKEND_REGION"] = target.region;
  return env;
}

interface ShellRun {
  readonly command: string;
  readonly env: Record<string, string>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

interface ShellEnd {
  readonly why: "exit" | "timeout" | "too-long" | "stopped" | "not-started";
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  readonly startError: string;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

type Shell = ChildProcessByStdio<null, Readable, Readable>;

function runShell(run: ShellRun): Promise<ShellEnd> {
  return new Promise((resolve) => new ShellWatch(run, resolve));
}

/** One run of the shell. Settles once; every way to settle goes through `#settle`. */
class ShellWatch {
  readonly #run: ShellRun;
  readonly #resolve: (end: ShellEnd) => void;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #shell: Shell | undefined;
  #settled = false;
  #exit: { code: number | null; signal: string | null } | undefined;
  #stdoutEnded = false;
  readonly #stdout = new CappedBytes(STDOUT_BYTES_MAX);
  readonly #stderr = new CappedBytes(STDERR_BYTES_MAX);
  readonly #onAbort = (): void => this.#settle("stopped");

  constructor(run: ShellRun, resolve: (end: ShellEnd) => void) {
    this.#run = run;
    this.#resolve = resolve;
    this.#deadline = setTimeout(() => this.#settle("timeout"), run.timeoutMs);
    run.signal.addEventListener("abort", this.#onAbort);
    if (run.signal.aborted) this.#settle("stopped");
    else this.#start();
  }

  #start(): void {
    let shell: Shell;
    try {
      shell = spawn("/bin/sh", ["-c", this.#run.command], {
        env: this.#run.env,
        stdio: ["ignore", "pipe", "pipe"],
        // Leader of its own group, so that one signal reaches all that the command starts.
        detached: true,
      });
    } catch (error) {
      this.#settle("not-started", String(error));
      return;
    }
    this.#shell = shell;
    shell.on("error", (error) => this.#settle("not-started", String(error)));
    shell.on("exit", (code, signal) => this.#onExit(code, signal));
    shell.stdout.on("data", (chunk: Buffer) => this.#onStdout(chunk));
    shell.stdout.on("end", () => this.#onStdoutEnd());
    // A reset pipe says no more than its end does.
    shell.stdout.on("error", () => this.#onStdoutEnd());
    shell.stderr.on("data", (chunk: Buffer) => this.#stderr.add(chunk));
    shell.stderr.on("error", () => undefined);
  }

  #onStdout(chunk: Buffer): void {
    if (!this.#stdout.add(chunk)) this.#settle("too-long");
    else this.#grace?.refresh();
  }

  #onStdoutEnd(): void {
    this.#stdoutEnded = true;
    if (this.#exit !== undefined) this.#settle("exit");
  }

  #onExit(code: number | null, signal: string | null): void {
    this.#exit = { code, signal };
    if (this.#stdoutEnded) this.#settle("exit");
    // setImmediate: after a stall of the event loop the timer comes due before the waiting output has been read.
    else this.#grace = setTimeout(() => setImmediate(() => this.#settle("exit")), GRACE_MS);
  }

  #settle(why: ShellEnd["why"], startError = ""): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#grace);
    this.#run.signal.removeEventListener("abort", this.#onAbort);
    this.#killGroup();
    this.#shell?.stdout.destroy();
    this.#shell?.stderr.destroy();
    this.#resolve({
      why,
      exitCode: this.#exit?.code ?? null,
      exitSignal: this.#exit?.signal ?? null,
      startError,
      stdout: this.#stdout.take(),
      stderr: this.#stderr.take(),
    });
  }

  #killGroup(): void {
    const pid = this.#shell?.pid;
    // Ended with nobody holding the pipe: the group is empty and its number may soon be another's.
    if (pid === undefined || (this.#exit !== undefined && this.#stdoutEnded)) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // The group is gone already.
    }
  }
}

/** Keeps the first bytes up to a limit; what comes after is dropped. */
class CappedBytes {
  readonly #max: number;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** False when the limit is passed. */
  add(chunk: Buffer): boolean {
    const kept = chunk.subarray(0, this.#max - this.#length);
    if (kept.length > 0) this.#chunks.push(kept);
    this.#length += kept.length;
    return kept.length === chunk.length;
  }

  /** All bytes joined; the chunks they came in are zeroed. */
  take(): Buffer {
    const joined = Buffer.concat(this.#chunks);
    for (const chunk of this.#chunks) chunk.fill(0);
    this.#chunks = [];
    return joined;
  }
}

interface Failure {
  readonly reason: TokenFailure;
  readonly message: string;
}

/** What went wrong, or undefined when the command ended well and its output has the shape of a token. */
function failureOf(end: ShellEnd, timeoutMs: number, prints: Printed): Failure | undefined {
  switch (end.why) {
    case "timeout":
      return { reason: "timeout", message: `The ${prints} command took longer than ${timeoutMs} ms and was killed` };
    case "too-long":
      return tooLong(`more than ${STDOUT_BYTES_MAX}`, prints);
    case "stopped":
      return { reason: "stopped", message: `The ${prints} command was stopped` };
    case "not-started":
      return { reason: "not-started", message: `Cannot start /bin/sh for the ${prints} command: ${end.startError}` };
    case "exit":
      return exitFailure(end, prints) ?? (prints === "token" ? shapeFailure(end.stdout) : wordFailure(end.stdout));
  }
}

function exitFailure(end: ShellEnd, prints: Printed): Failure | undefined {
  if (end.exitSignal !== null) {
    return { reason: "killed", message: `The ${prints} command was killed by ${end.exitSignal}` };
  }
  switch (end.exitCode) {
    case 0:
      return undefined;
    case 127:
      return { reason: "not-found", message: `The ${prints} command names a program that is not found in PATH` };
    case 126:
      return { reason: "not-executable", message: `The ${prints} command names a program that cannot be executed` };
    default:
      return { reason: "exit-status", message: `The ${prints} command ended with exit status ${end.exitCode}` };
  }
}

function shapeFailure(stdout: Buffer): Failure | undefined {
  const token = firstLine(stdout);
  if (token.length === 0)
    return { reason: "empty", message: "The token command printed nothing to the first line of stdout" };
  if (token.length > TOKEN_BYTES_MAX) return tooLong(String(token.length), "token");
  const shape = `expected ${TOKEN_BYTES_MIN} to ${TOKEN_BYTES_MAX} printable ASCII characters without spaces in the first line`;
  if (token.length < TOKEN_BYTES_MIN || !token.every((byte) => byte > 0x20 && byte < 0x7f)) {
    return { reason: "bad-shape", message: `The output of the token command is no token: ${shape}` };
  }
  // A page or a document can do without spaces; a token begins with neither of these.
  if (token[0] === 0x3c || token[0] === 0x7b) {
    return { reason: "bad-shape", message: "The output of the token command is no token: it looks like HTML or JSON" };
  }
  return undefined;
}

const PASSWORD_BYTES_MAX = 1024;

function wordFailure(stdout: Buffer): Failure | undefined {
  const word = firstLine(stdout);
  if (word.length === 0)
    return { reason: "empty", message: "The password command printed nothing to the first line of stdout" };
  if (word.length > PASSWORD_BYTES_MAX) return tooLong(String(word.length), "password");
  return word.includes(0) ? { reason: "bad-shape", message: "The password command printed a NUL byte" } : undefined;
}

function tooLong(bytes: string, prints: Printed): Failure {
  return {
    reason: "too-long",
    message: `The ${prints} command printed ${bytes} bytes, a ${prints} has ${prints === "token" ? TOKEN_BYTES_MAX : PASSWORD_BYTES_MAX} at most`,
  };
}

function shapedToken(end: ShellEnd): Uint8Array {
  return Uint8Array.from(firstLine(end.stdout));
}

/** What is printed behind the first line, such as a notice of an update, is none of the token's. */
function firstLine(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0x0a);
  if (end < 0) return bytes;
  return bytes.subarray(0, bytes[end - 1] === 0x0d ? end - 1 : end);
}

/**
 * stderr for the log, without anything that may be a token: not what the command printed as one (a shell with `set -x`
 * repeats it), nor known secret forms, nor any other long run of token characters.
 */
function readableStderr(end: ShellEnd, prints: Printed): string {
  let text = end.stderr.toString("utf8");
  // A password has no form to be known by.
  if (prints === "password" && end.stdout.length > 0) return "";
  for (const word of end.stdout.toString("utf8").split(/\s/)) {
    if (word.length >= 8) text = text.replaceAll(word, REDACTED);
  }
  return hideLongRuns(redactSecrets(text)).trimEnd();
}

const RUN_CHARS_MAX = 32;

function hideLongRuns(text: string): string {
  const parts: string[] = [];
  let begin = 0;
  for (let i = 0; i <= text.length; i++) {
    if (i < text.length && isTokenUnit(text.charCodeAt(i))) continue;
    parts.push(i - begin >= RUN_CHARS_MAX ? REDACTED : text.slice(begin, i), text.charAt(i));
    begin = i + 1;
  }
  return parts.join("");
}

/** Base64, hexadecimal and percent-encoded text, but not the separators of paths, host names and ARNs. */
function isTokenUnit(unit: number): boolean {
  return (
    (unit >= 0x30 && unit <= 0x39) ||
    (unit >= 0x41 && unit <= 0x5a) ||
    (unit >= 0x61 && unit <= 0x7a) ||
    "+=_%&~".includes(String.fromCharCode(unit))
  );
}
