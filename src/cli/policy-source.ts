/** Where the policy tools get their policy and their texts from. */

import { createReadStream, readFileSync } from "node:fs";
import { wholeLines } from "../audit/record-expander.ts";
import { parsePolicy, renderProblems } from "../policy/file/policy-file.ts";
import { DEFAULT_POLICY, type Policy } from "../policy/policy.ts";
import { type CommandIo, UsageError } from "./command-io.ts";
import { readLines } from "./input-lines.ts";

/** The policy named by --policy, else by GATEKEEPER_POLICY_FILE, else the built-in one. A bad file is a usage error. */
export function loadPolicy(path: unknown, env: CommandIo["env"]): Policy {
  const file = typeof path === "string" ? path : env["GATEKEEPER_POLICY_FILE"];
  if (file === undefined || file === "") return DEFAULT_POLICY;
  const result = parsePolicy(readText(file));
  if (result.kind === "loaded") return result.policy;
  throw new UsageError(`the policy is refused\n${renderProblems(file, result.problems)}`);
}

export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`);
  }
}

/** Lines of a file, or of standard input for "-". */
export async function* linesOf(path: string, io: CommandIo): AsyncGenerator<string> {
  if (path === "-") {
    if (io.stdinChunks === undefined) throw new UsageError("standard input is a terminal: pipe the lines in");
    yield* readLines(io.stdinChunks());
    return;
  }
  const stream = createReadStream(path);
  try {
    yield* readLines(stream);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UsageError(`Cannot read ${path}: ${code}`);
  }
}

/** The same of an audit log, each record whole. */
export function auditLinesOf(path: string, io: CommandIo): AsyncGenerator<string> {
  return wholeLines(linesOf(path, io));
}

export function required(value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new UsageError(`${what} is required`);
}
