/** argv → command → exit code. The only process.exit() of the program. */
import { createStreamWriter } from "./base/log.ts";
import type { CommandIo } from "./cli/command-io.ts";
import { runCommandLine } from "./cli/commands.ts";
import { VERSION } from "./version.ts";

async function readStdin(bytesMax: number): Promise<Uint8Array | undefined> {
  if (process.stdin.isTTY) return undefined;
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

/** Resolves when all that was written has left, or when the reader is gone. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve());
    stream.write("", () => resolve());
  });
}

const stopped = new AbortController();

const io: CommandIo = {
  stdout: (text) => process.stdout.write(text),
  stderr: createStreamWriter(process.stderr),
  readStdin,
  ...(process.stdin.isTTY ? {} : { stdinChunks: () => process.stdin as AsyncIterable<Uint8Array> }),
  stdoutDrained: () => new Promise((resolve) => process.stdout.write("", () => resolve())),
  stopped: stopped.signal,
  isStderrTerminal: process.stderr.isTTY === true,
  isStdoutTerminal: process.stdout.isTTY === true,
  env: process.env,
  version: VERSION,
  serve: async (config, options) => {
    const { serve } = await import("./server/lifecycle.ts");
    const { ADMIN_ROUTE_PATHS, startAdminServer } = await import("./admin/admin-server.ts");
    return serve(config, { ...options, startAdmin: startAdminServer, adminRoutes: ADMIN_ROUTE_PATHS });
  },
};

// `querycop config | head` closes our standard output early; that is no reason to fail.
process.stdout.on("error", () => stopped.abort());
process.stderr.on("error", () => undefined);

const exitCode = await runCommandLine(process.argv.slice(2), io);
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
process.exit(exitCode);
