/** argv → command → exit code. The only process.exit() of the program. */
import { isatty } from "node:tty";
import { createStreamWriter } from "./base/log.ts";
import { type CommandIo, EXIT_FAILED } from "./cli/command-io.ts";
import { runCommandLine } from "./cli/commands.ts";
import { StandardOutput } from "./cli/standard-output.ts";
import { terminalKeys } from "./cli/terminal-keys.ts";
import { VERSION } from "./version.ts";

async function readStdin(bytesMax: number): Promise<Uint8Array | undefined> {
  if (isatty(STDIN)) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    chunks.push(bytes);
    length += bytes.length;
    if (length > bytesMax) break;
  }
  return new Uint8Array(Buffer.concat(chunks).subarray(0, bytesMax + 1));
}

/** How long an end waits for a reader of the log. */
const FLUSH_TIMEOUT_MS = 2000;

/** Resolves when the log lines that were written have left, or when their reader is gone or takes too long. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, FLUSH_TIMEOUT_MS);
    stream.once("error", () => resolve());
    stream.write("", () => resolve());
  });
}

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

const stopped = new AbortController();
const stdout = new StandardOutput(STDOUT, () => stopped.abort());
const stderr = new StandardOutput(STDERR);

const io: CommandIo = {
  stdout: (text) => stdout.write(text),
  stderr: (text) => stderr.write(text),
  log: createStreamWriter(process.stderr),
  readStdin,
  // Not asked of process.stdin, which would take a pipe for its own that a started program is to read.
  ...(isatty(STDIN) ? {} : { stdinChunks: () => process.stdin as AsyncIterable<Uint8Array> }),
  ...(isatty(STDIN) ? { terminal: { keys: terminalKeys, rows: () => process.stdout.rows } } : {}),
  stopped: stopped.signal,
  isStderrTerminal: isatty(STDERR),
  isStdoutTerminal: isatty(STDOUT),
  stdoutColumns: () => (isatty(STDOUT) ? process.stdout.columns : undefined),
  platform: process.platform,
  env: process.env,
  version: VERSION,
  serve: async (config, options) => {
    const { serve } = await import("./server/lifecycle.ts");
    const { ADMIN_ROUTE_PATHS, startAdminServer } = await import("./admin/admin-server.ts");
    return serve(config, { ...options, startAdmin: startAdminServer, adminRoutes: ADMIN_ROUTE_PATHS });
  },
};

// The log of a running proxy: that nobody reads it any more is no reason to end.
process.stderr.on("error", () => undefined);

let exitCode = await runCommandLine(process.argv.slice(2), io);
await flushed(process.stderr);
if (stdout.failure !== undefined) {
  stderr.write(`querycop: the output is not complete: standard output cannot be written, ${stdout.failure}\n`);
  exitCode ||= EXIT_FAILED;
}
process.exit(exitCode);
