/** What can be told of a token command from its text alone. */
import { accessSync, constants, statSync } from "node:fs";
import { basename, join } from "node:path";

/** Words that run another program: what follows them and their options is the program. */
const WRAPPERS = new Set(["exec", "env", "command", "nice", "sudo", "time"]);
const WORDS_MAX = 64;

/**
 * The program a command line starts first, as it is written: past variable assignments and words like `env`. A guess
 * for display, since only the shell knows. Undefined when the first word is no plain word.
 */
export function programOf(command: string): string | undefined {
  const words = command.trim().split(/\s+/, WORDS_MAX);
  for (const word of words) {
    if (/^[A-Za-z_][A-Za-z0-9_]*=/.test(word) || WRAPPERS.has(word)) continue;
    return /^[A-Za-z0-9_./+-]+$/.test(word) && !word.startsWith("-") ? word : undefined;
  }
  return undefined;
}

/** Where the shell would find a program; undefined for what is not there or built into the shell. */
export function resolveProgram(program: string, path: string | undefined): string | undefined {
  if (program.includes("/")) return isExecutable(program) ? program : undefined;
  const folders = (path ?? "/usr/local/bin:/usr/bin:/bin").split(":");
  return folders.map((folder) => join(folder === "" ? "." : folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Programs that read a file or fetch a page when an argument's value begins with file:// or http://. */
const EXPANDING_PROGRAMS = new Set(["aws", "aws2"]);

/** Whether the name a client sends becomes an argument of a program that expands it. */
export function handsUserToExpandingProgram(command: string): boolean {
  const namesUser = command.includes("$QUERYCOP_BACKEND_USER") || command.includes("${QUERYCOP_BACKEND_USER");
  return namesUser && command.split(/[\s;|&()`]+/).some((word) => EXPANDING_PROGRAMS.has(basename(word)));
}
