/** A key under which a verdict may be remembered: equal keys promise equal facts, but for byte ranges and literal texts. */
import type { SqlContext } from "./facts.ts";

export interface CacheKey {
  /** `undefined`: the text must be analysed each time. */
  readonly key: string | undefined;
}

/** Stub until the key is built. */
export function lexForCache(_sql: Uint8Array, _context: SqlContext): CacheKey {
  return { key: undefined };
}
