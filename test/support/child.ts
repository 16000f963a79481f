/** Runs other programs from tests: collects what they print, bounds their time, leaves none of them behind. */
import { type ChildProcess, spawn } from "node:child_process";

export interface RunOptions {
  /** Added to the parent's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Written to the program's standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** The exit code; 128 + signal number cannot be told apart in Node, so a killed program has -1. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as bytes, for comparisons that decoding would blur. */
  readonly stdoutBytes: Buffer;
}

const DEFAULT_TIMEOUT_MS = 120_000;

const running = new Set<ChildProcess>();
let exitHandlersSet = false;

function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Remembers `child` until it exits, so that it is killed if this process ends first. */
export function keepTrack(child: ChildProcess): void {
  if (!exitHandlersSet) {
    exitHandlersSet = true;
    process.once("exit", killAll);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => {
        killAll();
        process.exit(1);
      });
    }
  }
  running.add(child);
  child.once("exit", () => running.delete(child));
}

export function environment(changes: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...process.env, ...changes })) {
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** Runs a program to its end. Rejects only when it cannot be started or runs longer than `timeoutMs`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      env: environment(options.env ?? {}),
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    keepTrack(child);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      const said = Buffer.concat(stderr).toString().slice(-2000);
      reject(new Error(`${command} ${args.join(" ")}: still running after ${timeoutMs} ms, killed. ${said}`));
    }, timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${command} cannot be started: ${error.message}`, { cause: error }));
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      const stdoutBytes = Buffer.concat(stdout);
      const stderrText = Buffer.concat(stderr).toString();
      resolve({ code: code ?? -1, stdout: stdoutBytes.toString(), stderr: stderrText, stdoutBytes });
    });
    child.stdin.on("error", () => {
      // The program closed its input before reading all of it; its exit code tells the rest.
    });
    child.stdin.end(options.input ?? "");
  });
}

/** Like run(), but an exit code other than 0 is an error that carries what the program printed. */
export async function runChecked(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    const said = `${result.stdout.slice(-2000)}\n${result.stderr.slice(-4000)}`.trim();
    throw new Error(`${command} ${args.join(" ").slice(0, 500)}: exit code ${result.code}\n${said}`);
  }
  return result;
}

/**
 * Runs "$@" and kills it when standard input ends, which it does even if the test process is killed. The folder
 * QUERYCOP_TEST_REMOVE goes with it then, and stays if the program ends in another way: a test may want to look into it.
 * The shell's own messages go nowhere: nobody may be left to read them.
 */
const SUPERVISOR = `
trap '' INT HUP TERM
exec 3<&0
( trap - INT HUP TERM; exec "$@" ) </dev/null 3<&- &
program=$!
[ -z "$QUERYCOP_TEST_PID_FILE" ] || printf %s "$program" >"$QUERYCOP_TEST_PID_FILE"
exec 2>/dev/null
( read -r _ <&3; [ -z "$QUERYCOP_TEST_REMOVE" ] || : >"$QUERYCOP_TEST_REMOVE/.stopped"; kill -KILL "$program" ) &
watcher=$!
exec 3<&-
wait "$program"
code=$?
kill -KILL "$watcher"
[ ! -e "$QUERYCOP_TEST_REMOVE/.stopped" ] || rm -rf "$QUERYCOP_TEST_REMOVE"
exit "$code"
`;

export interface SuperviseOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Removed when the program is stopped through its standard input, or loses the process that started it. */
  readonly removeFolder?: string;
  /** Where the program's process id is written, for signals. */
  readonly pidFile?: string;
}

/**
 * Starts a long-running program with its standard error on a pipe. Ending the child's standard input kills the program;
 * so does the end of this process, however it comes. The child's exit code is the program's.
 */
export function spawnSupervised(command: string, args: readonly string[], options: SuperviseOptions): ChildProcess {
  const child = spawn("sh", ["-c", SUPERVISOR, "supervisor", command, ...args], {
    env: environment({
      ...options.env,
      QUERYCOP_TEST_REMOVE: options.removeFolder ?? "",
      QUERYCOP_TEST_PID_FILE: options.pidFile ?? "",
    }),
    stdio: ["pipe", "ignore", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  keepTrack(child);
  child.stdin?.on("error", () => {
    // The supervisor ended before it was told to.
  });
  return child;
}
