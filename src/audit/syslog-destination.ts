/**
 * Audit records to a syslog server: RFC 5424 messages, counted in octets, over TLS (RFC 5425) or TCP (RFC 6587).
 *
 * Syslog confirms nothing. The batch that was handed over last before a connection broke is sent again, so that it comes
 * twice rather than not at all; what lay in the sockets' buffers before it is lost. Only a webhook or OTLP answers for each
 * record. docs/audit.md says so.
 */
import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { hostname } from "node:os";
import { connect as connectTls } from "node:tls";
import type { AuditDestination } from "./audit-forwarder.ts";

export interface SyslogDestinationOptions {
  /** tls://host:6514 or tcp://host:514 */
  readonly url: string;
  readonly caFile?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const PORTS: Readonly<Record<string, number>> = { "tls:": 6514, "tcp:": 514 };
/** "log audit" of RFC 5424 section 6.2.1. */
const FACILITY = 13;
const SEVERITY_ERROR = 3;
const SEVERITY_WARNING = 4;
const SEVERITY_INFO = 6;

export class SyslogDestination implements AuditDestination {
  readonly name = "syslog";
  readonly #options: SyslogDestinationOptions;
  readonly #host: string = printable(hostname());
  #socket: Socket | undefined;
  /** What may not have arrived when the connection breaks. */
  #last = "";

  constructor(options: SyslogDestinationOptions) {
    this.#options = options;
  }

  async deliver(lines: readonly string[], signal: AbortSignal): Promise<void> {
    const text = lines.map((line) => frame(line, this.#host)).join("");
    if (this.#socket === undefined) {
      this.#socket = await this.#connect(signal);
      if (this.#last !== "") await this.#write(this.#last, signal);
    }
    await this.#write(text, signal);
    this.#last = text;
  }

  close(): void {
    this.#socket?.end();
    this.#socket = undefined;
  }

  #connect(signal: AbortSignal): Promise<Socket> {
    const { url: text, caFile } = this.#options;
    const url = new URL(text);
    const host = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
    const port = Number(url.port) || (PORTS[url.protocol] ?? 514);
    const isTls = url.protocol === "tls:";
    const socket = isTls
      ? connectTls({
          host,
          port,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
        })
      : connectTcp({ host, port });
    // A server that closes is found out here, not by the next write, which would still seem to succeed.
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    socket.on("error", () => undefined);
    socket.resume();
    return this.#within(socket, signal, (resolve) =>
      socket.once(isTls ? "secureConnect" : "connect", () => resolve(socket)),
    );
  }

  #write(text: string, signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.reject(new Error("the connection was closed"));
    return this.#within(socket, signal, (resolve, reject) => {
      socket.write(text, "latin1", (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Gives the socket up when it fails, takes too long, or `signal` aborts. */
  #within<T>(
    socket: Socket,
    signal: AbortSignal,
    begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    return new Promise<T>((resolve, reject) => {
      const fail = (error: Error): void => {
        socket.destroy();
        if (this.#socket === socket) this.#socket = undefined;
        end();
        reject(error);
      };
      const onAbort = (): void => fail(new Error("stopped"));
      const onClose = (): void => fail(new Error("the connection was closed"));
      const timer = setTimeout(() => fail(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        socket.removeListener("error", fail);
        socket.removeListener("close", onClose);
      };
      signal.addEventListener("abort", onAbort);
      socket.once("error", fail);
      socket.once("close", onClose);
      begin((value) => {
        end();
        resolve(value);
      }, fail);
    });
  }
}

/** One message with its length in front. The record is ASCII, so its length is its octets. */
function frame(line: string, host: string): string {
  const time = textAfter(line, '"time":"');
  const type = textAfter(line, '"type":"');
  const severity =
    type === "audit-gap"
      ? SEVERITY_ERROR
      : type === "statement-blocked" || type === "refuse"
        ? SEVERITY_WARNING
        : SEVERITY_INFO;
  const message = `<${FACILITY * 8 + severity}>1 ${time} ${host} querycop ${process.pid} ${type} - ${line}`;
  return `${message.length} ${message}`;
}

/** A value of the record's head, as a word of the header; "-" stands for none. */
function textAfter(line: string, key: string): string {
  const start = line.indexOf(key);
  if (start < 0) return "-";
  return printable(line.slice(start + key.length, line.indexOf('"', start + key.length))).slice(0, 32);
}

function printable(text: string): string {
  const clean = [...text].filter((character) => character > " " && character <= "~").join("");
  return clean === "" ? "-" : clean.slice(0, 255);
}
