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
  readonly terminal?: FakeTerminal;
  readonly serve?: CommandIo["serve"];
}

const VERSION = { name: "querycop", version: "1.2.3", commit: "abc", date: "2026-01-02", runtime: "test 1" } as const;

/** A terminal whose keys a test presses, and what it was sent. */
export class FakeTerminal {
  shown = "";
  readonly #lines: number;
  readonly #pressed: string[] = [];
  #isOver = false;
  #wake = (): void => undefined;

  constructor(lines: number) {
    this.#lines = lines;
  }

  rows(): number {
    return this.#lines;
  }

  press(key: string): void {
    this.#pressed.push(key);
    this.#wake();
  }

  /** As when it is closed. */
  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *keys(signal: AbortSignal): AsyncGenerator<string> {
    while (!signal.aborted && !this.#isOver) {
      for (let key = this.#pressed.shift(); key !== undefined; key = this.#pressed.shift()) yield key;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve());
      });
    }
  }
}

export async function run(argv: readonly string[], surroundings: Surroundings = {}): Promise<RunOutcome> {
  const {
    env = {},
    stdin,
    isStderrTerminal = false,
    stdoutColumns,
    platform = "linux",
    serve,
    terminal,
  } = surroundings;
  let stdout = "";
  let stderr = "";
  let served: Config | undefined;
  const code = await runCommandLine(argv, {
    stdout: (text) => {
      stdout += text;
      if (terminal !== undefined) terminal.shown += text;
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
    ...(terminal === undefined
      ? {}
      : { terminal: { keys: (signal) => terminal.keys(signal), rows: () => terminal.rows() } }),
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
