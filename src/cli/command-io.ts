/** What a command may touch besides the configuration: handed in, so that commands run in tests as they do for real. */
import type { Logger, LogLevel } from "../base/log.ts";
import type { EffectiveSetting } from "../config/effective.ts";
import type { Config } from "../config/schema.ts";
import type { VersionInfo } from "../version.ts";

export type Reread =
  | { readonly problems: readonly string[] }
  | { readonly logLevel: LogLevel; readonly settings: readonly EffectiveSetting[] };

export interface CommandIo {
  /** The result, and nothing else. */
  readonly stdout: (text: string) => void;
  /** Everything else. */
  readonly stderr: (text: string) => void;
  /** All of standard input, at most `bytesMax` + 1 bytes; undefined when it is a terminal. */
  readonly readStdin: (bytesMax: number) => Promise<Uint8Array | undefined>;
  /** Standard input piece by piece; absent when it is a terminal. */
  readonly stdinChunks?: () => AsyncIterable<Uint8Array>;
  /** Resolves when standard output can take more. */
  readonly stdoutDrained?: () => Promise<void>;
  /** Aborts when nobody reads standard output any more. */
  readonly stopped?: AbortSignal;
  readonly isStderrTerminal: boolean;
  readonly isStdoutTerminal?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: VersionInfo;
  /** Runs the proxy until it ends; resolves with the exit code. */
  readonly serve: (
    config: Config,
    options: {
      logger: Logger;
      version: VersionInfo;
      settings: readonly EffectiveSetting[];
      /** Reads the configuration again and takes over what can change while the process runs. */
      reread: () => Promise<Reread>;
    },
  ) => Promise<number>;
}

/** 0: fine. 1: it was tried and failed. 2: the command line or the configuration is wrong. */
export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** A mistake in the command line: shown as one line and a hint, never with a stack. */
export class UsageError extends Error {}
