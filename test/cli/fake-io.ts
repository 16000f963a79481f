/** A command line that runs in the test process, and what it said. */
import type { CommandIo } from "../../src/cli/command-io.ts";
import { runCommandLine } from "../../src/cli/commands.ts";
import type { Config } from "../../src/config/schema.ts";

export interface RunOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The configuration handed to the proxy, if it was started. */
  readonly served: Config | undefined;
}

interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** Absent means a terminal. */
  readonly stdin?: string | Uint8Array;
  readonly isStderrTerminal?: boolean;
  /** Of a terminal; absent where standard output is none. */
  readonly stdoutColumns?: number;
  readonly platform?: string;
  readonly serve?: CommandIo["serve"];
}

const VERSION = { name: "querycop", version: "1.2.3", commit: "abc", date: "2026-01-02", runtime: "test 1" } as const;

export async function run(argv: readonly string[], surroundings: Surroundings = {}): Promise<RunOutcome> {
  const { env = {}, stdin, isStderrTerminal = false, stdoutColumns, platform = "linux", serve } = surroundings;
  let stdout = "";
  let stderr = "";
  let served: Config | undefined;
  const code = await runCommandLine(argv, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    log: (line) => {
      stderr += line;
    },
    readStdin: async (bytesMax) => {
      const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
      return bytes?.subarray(0, bytesMax + 1);
    },
    ...(stdin === undefined ? {} : { stdinChunks: () => chunksOf(stdin) }),
    isStderrTerminal,
    isStdoutTerminal: stdoutColumns !== undefined,
    stdoutColumns: () => stdoutColumns,
    platform,
    env,
    version: VERSION,
    serve: async (config, options) => {
      served = config;
      return serve === undefined ? 0 : serve(config, options);
    },
  });
  return { code, stdout, stderr, served };
}

/** Standard input in pieces of a few bytes, so that lines are cut anywhere. */
async function* chunksOf(stdin: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  for (let start = 0; start < bytes.length; start += 7) yield bytes.subarray(start, start + 7);
}
