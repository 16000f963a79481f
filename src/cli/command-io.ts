/** What a command may touch besides the configuration: handed in, so that commands run in tests as they do for real. */
import type { Logger, LogLevel } from "../base/log.ts";
import type { EffectiveSetting } from "../config/effective.ts";
import type { Config } from "../config/schema.ts";
import type { RunDoctor } from "../server/operations.ts";
import type { VersionInfo } from "../version.ts";

export type Reread =
  | { readonly problems: readonly string[] }
  | { readonly logLevel: LogLevel; readonly settings: readonly EffectiveSetting[] };

export interface CommandIo {
  /** The result, and nothing else. Returns when it has been taken: no faster than the reader reads. */
  readonly stdout: (text: string) => void;
  /** Everything else. */
  readonly stderr: (text: string) => void;
  /** A line of a running proxy's log. Never waits for who reads it: what is not taken in time is dropped and counted. */
  readonly log: (line: string) => void;
  /** All of standard input, at most `bytesMax` + 1 bytes; undefined when it is a terminal. */
  readonly readStdin: (bytesMax: number) => Promise<Uint8Array | undefined>;
  /** Standard input piece by piece; absent when it is a terminal. */
  readonly stdinChunks?: () => AsyncIterable<Uint8Array>;
  /** Aborts when standard output can be written no more, because nobody reads it or its disk is full. */
  readonly stopped?: AbortSignal;
  readonly isStderrTerminal: boolean;
  readonly isStdoutTerminal?: boolean;
  /** Characters in a line of standard output; undefined when it is no terminal. */
  readonly stdoutColumns?: () => number | undefined;
  /** A terminal on standard input: keys as they are pressed until the signal aborts, and the lines it shows. Absent elsewhere. */
  readonly terminal?: {
    readonly keys: (signal: AbortSignal) => AsyncIterable<string>;
    readonly rows: () => number | undefined;
  };
  /** As process.platform names it. */
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: VersionInfo;
  /** The words behind `--` of a command that starts a program. */
  readonly program?: readonly string[];
  /** Runs the proxy until it ends; resolves with the exit code. */
  readonly serve: (
    config: Config,
    options: {
      logger: Logger;
      version: VersionInfo;
      settings: readonly EffectiveSetting[];
      /** Reads the configuration again and takes over what can change while the process runs. */
      reread: () => Promise<Reread>;
      /** What doctor finds with the configuration the process was started with. */
      doctor: RunDoctor;
    },
  ) => Promise<number>;
}

/** 0: fine. 1: it was tried and failed. 2: the command line or the configuration is wrong. */
export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** A mistake in the command line: shown as one line and a hint, never with a stack. */
export class UsageError extends Error {}
