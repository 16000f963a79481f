/**
 * Starts a program on our own terminal, pipes and files, and ends as it does: signals go to it, its exit code is ours.
 * Its standard streams are never touched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as systemConstants } from "node:os";
import { join } from "node:path";

/** As shells say it. */
export const NOT_FOUND = 127;
export const NOT_EXECUTABLE = 126;

export type FoundProgram = { readonly path: string } | { readonly code: typeof NOT_FOUND | typeof NOT_EXECUTABLE };

/** As execvp() would find it. */
export function findProgram(program: string, searchPath: string | undefined): FoundProgram {
  const paths = program.includes("/")
    ? [program]
    : (searchPath ?? "/usr/local/bin:/usr/bin:/bin").split(":").map((folder) => join(folder || ".", program));
  let isThere = false;
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    isThere = true;
    if (stat.isFile() && isExecutable(path)) return { path };
  }
  return { code: isThere ? NOT_EXECUTABLE : NOT_FOUND };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface ProgramRun {
  readonly path: string;
  /** What it is called by, in argv[0]. */
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  /** Becomes descriptor 3 of the program. */
  readonly file: number | undefined;
}

export type ProgramEnd =
  | { readonly kind: "exit"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  | { readonly kind: "not-started"; readonly why: string };

/** The terminal sends these to the program as well: whether it ends by them is its own matter. */
const OF_TERMINAL = ["SIGINT", "SIGQUIT"] as const;
const PASSED_ON = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** Resolves when the program has ended. */
export async function runProgram({ path, name, args, env, file }: ProgramRun): Promise<ProgramEnd> {
  let child: ChildProcess | undefined;
  const pass = (signal: NodeJS.Signals): void => void child?.kill(signal);
  const stay = (): void => undefined;
  for (const signal of PASSED_ON) process.on(signal, pass);
  for (const signal of OF_TERMINAL) process.on(signal, stay);
  try {
    const started = spawn(path, args, {
      argv0: name,
      env,
      stdio: ["inherit", "inherit", "inherit", ...(file === undefined ? [] : [file])],
    });
    child = started;
    return await new Promise<ProgramEnd>((resolve) => {
      started.once("error", (error) => resolve({ kind: "not-started", why: error.message }));
      started.once("exit", (code, signal) =>
        resolve(signal === null ? { kind: "exit", code: code ?? 1 } : { kind: "signal", signal }),
      );
    });
  } catch (thrown) {
    return { kind: "not-started", why: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    for (const signal of PASSED_ON) process.off(signal, pass);
    for (const signal of OF_TERMINAL) process.off(signal, stay);
  }
}

/** By which a process leaves its memory behind. */
const DUMPING: ReadonlySet<string> = new Set([
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGSEGV",
  "SIGSYS",
]);

/**
 * What a shell shows for a program that a signal ended. SAFETY: where that would leave a dump of this process's memory,
 * passwords and all, the code alone says so.
 */
export async function endAs(signal: NodeJS.Signals): Promise<number> {
  const code = 128 + systemConstants.signals[signal];
  if (DUMPING.has(signal)) return code;
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // A signal of which this process is not to end by comes to nothing.
  await new Promise((resolve) => setTimeout(resolve, 100));
  return code;
}
