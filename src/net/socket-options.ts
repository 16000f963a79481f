/** What Bun does not set on its sockets, asked of the system itself. Where it cannot be asked everything else works all the same. */
import process from "node:process";
import { ACCEPT_QUEUE_LENGTH } from "./transport.ts";

interface Libc {
  listen(descriptor: number, backlog: number): number;
  setsockopt(descriptor: number, level: number, name: number, value: Uint32Array, bytes: number): number;
}

interface ForeignFunctions {
  dlopen(
    library: string,
    symbols: Readonly<Record<keyof Libc, { readonly args: readonly string[]; readonly returns: string }>>,
  ): { readonly symbols: Libc };
}

const C_LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libSystem.B.dylib"];
const SYMBOLS = {
  listen: { args: ["i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
} as const;

let opened: { readonly libc: Libc | undefined } | undefined;

function libc(): Libc | undefined {
  opened ??= { libc: openLibc() };
  return opened.libc;
}

function openLibc(): Libc | undefined {
  const ffi = process.getBuiltinModule("bun:ffi") as ForeignFunctions | undefined;
  for (const library of ffi === undefined ? [] : C_LIBRARIES) {
    try {
      return ffi?.dlopen(library, SYMBOLS).symbols;
    } catch {
      // Another C library, or no foreign functions in this build.
    }
  }
  return undefined;
}

/**
 * Bun asks for an accept queue of 512 whatever it is told. listen(2) on a socket that listens already just sets the length of
 * its queue. Without it a storm of connections is slowed down by SYN retransmissions.
 */
export function widenAcceptQueue(descriptor: number): void {
  if (descriptor >= 0) libc()?.listen(descriptor, ACCEPT_QUEUE_LENGTH);
}

// Linux, include/uapi/linux/tcp.h.
const IPPROTO_TCP = 6;
const TCP_USER_TIMEOUT = 18;

/**
 * How long what was sent may stay unacknowledged before the connection is given up, TCP_USER_TIMEOUT of tcp(7); 0 for the
 * system's own patience, about a quarter of an hour. On Linux only.
 */
export function setUserTimeout(descriptor: number, ms: number): void {
  if (process.platform !== "linux" || !(descriptor >= 0)) return;
  libc()?.setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, Uint32Array.of(ms), Uint32Array.BYTES_PER_ELEMENT);
}
