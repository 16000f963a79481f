/** Bun asks the system for an accept queue of 512 whatever it is told; this asks again. */
import process from "node:process";
import { ACCEPT_QUEUE_LENGTH } from "./transport.ts";

interface ForeignFunctions {
  dlopen(
    library: string,
    symbols: { readonly listen: { readonly args: readonly string[]; readonly returns: string } },
  ): { readonly symbols: { listen(descriptor: number, backlog: number): number }; close(): void };
}

const C_LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libSystem.B.dylib"];

/**
 * listen(2) on a socket that listens already just sets the length of its queue. Without it a storm of connections is
 * slowed down by SYN retransmissions. Where it cannot be called everything else works all the same.
 */
export function widenAcceptQueue(descriptor: number): void {
  const ffi = process.getBuiltinModule("bun:ffi") as ForeignFunctions | undefined;
  if (ffi === undefined || !(descriptor >= 0)) return;
  for (const library of C_LIBRARIES) {
    try {
      const libc = ffi.dlopen(library, { listen: { args: ["i32", "i32"], returns: "i32" } });
      libc.symbols.listen(descriptor, ACCEPT_QUEUE_LENGTH);
      libc.close();
      return;
    } catch {
      // Another C library, or no foreign functions in this build.
    }
  }
}
