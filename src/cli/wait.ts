/** `querycop wait`: returns once a running querycop greets clients on every listener. For scripts and service managers. */
import { connect } from "node:net";
import type { ListenerConfig } from "../config/schema.ts";
import { durationKind, formatDuration } from "../config/values.ts";
import { PacketReader } from "../mysql/packet.ts";
import { encodeSslRequest } from "../postgres/startup.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import { loadForRunning, reportFindings } from "./settings-command.ts";

/** What says where clients connect. */
export const WAIT_SETTINGS = ["listen.host", "listen.port", "listen.socket", "backend.engine"];
const DEFAULT_MAX = "30s";
const RETRY_MS = 100;
/** A backend counts a client that hangs up on its greeting, so an answering listener is asked less often. */
const RETRY_AFTER_ANSWER_MS = 1000;
const GREETING_BYTES_MAX = 64 * 1024;
const PROTOCOL_VERSION_10 = 10;
const ERR_HEADER = 0xff;

type Probe = "greeting" | "refused" | "no-answer";

function addressOf({ listen }: ListenerConfig): { path: string } | { host: string; port: number } {
  if (listen.socket !== undefined) return { path: listen.socket };
  const host = listen.host === "0.0.0.0" ? "127.0.0.1" : listen.host === "::" ? "::1" : listen.host;
  return { host, port: listen.port };
}

/** What the bytes so far are; undefined while they are not enough. Throws at what no listener of ours sends. */
type Recognizer = (chunk: Uint8Array) => Probe | undefined;

/** MySQL's server speaks first. */
function firstPacket(): Recognizer {
  const reader = new PacketReader({ sender: "backend", payloadBytesMax: GREETING_BYTES_MAX });
  return (chunk) => {
    reader.push(chunk);
    const packet = reader.next();
    if (packet === undefined) return undefined;
    if (packet.payload[0] === PROTOCOL_VERSION_10) return "greeting";
    return packet.payload[0] === ERR_HEADER ? "refused" : "no-answer";
  };
}

/** PostgreSQL's answers: one byte to the question for TLS, or an ErrorResponse. */
function answerToSslRequest([answer]: Uint8Array): Probe {
  const letter = String.fromCharCode(answer ?? 0);
  return letter === "S" || letter === "N" ? "greeting" : letter === "E" ? "refused" : "no-answer";
}

/** One connection: what the listener says first. */
function probe(listener: ListenerConfig, timeoutMs: number): Promise<Probe> {
  return new Promise((resolve) => {
    const isMysql = listener.backend.engine === "mysql";
    const recognize = isMysql ? firstPacket() : answerToSslRequest;
    const socket = connect(addressOf(listener));
    const end = (result: Probe): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end("no-answer"), timeoutMs);
    if (!isMysql) socket.write(encodeSslRequest());
    socket.on("error", () => end("no-answer"));
    socket.on("close", () => end("no-answer"));
    socket.on("data", (chunk) => {
      try {
        const result = recognize(Buffer.from(chunk));
        if (result !== undefined) end(result);
      } catch {
        end("no-answer");
      }
    });
  });
}

async function waitFor(listener: ListenerConfig, deadlineMs: number): Promise<Probe> {
  let last: Probe = "no-answer";
  for (;;) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) return last;
    const said = await probe(listener, leftMs);
    if (said === "greeting") return said;
    // A try that the end of the time cuts short tells less than the ones before it.
    if (performance.now() < deadlineMs) last = said;
    const pauseMs = last === "refused" ? RETRY_AFTER_ANSWER_MS : RETRY_MS;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, Math.max(0, deadlineMs - performance.now()))));
  }
}

const STATES: Readonly<Record<Exclude<Probe, "greeting">, string>> = {
  refused: "answers clients with an error: look for the reason in the log of the running querycop",
  "no-answer": "does not answer: is querycop running with this configuration",
};

export async function wait(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const max = durationKind().parse(typeof args["max"] === "string" ? args["max"] : DEFAULT_MAX);
  if ("problem" in max) throw new UsageError(`--max: ${max.problem}`);
  const result = await loadForRunning(args, io, "listeners");
  if (!result.ok) {
    reportFindings(result, io);
    return EXIT_USAGE;
  }
  const { listeners } = result.config;
  const unknown = listeners.find(({ listen }) => listen.socket === undefined && listen.port === 0);
  if (unknown !== undefined)
    throw new UsageError("listen.port 0 is chosen anew at each start: name a port to wait for");
  const deadlineMs = performance.now() + max.value;
  const states = await Promise.all(listeners.map((listener) => waitFor(listener, deadlineMs)));
  let isReady = true;
  for (const [index, state] of states.entries()) {
    if (state === "greeting") continue;
    isReady = false;
    io.stderr(
      `querycop wait: after ${formatDuration(max.value)} listener ${listeners[index]?.name} ${STATES[state]}\n`,
    );
  }
  return isReady ? EXIT_OK : EXIT_FAILED;
}
