/** `it` with the patience that real programs need: Bun gives a test five seconds unless told otherwise. */
import { it } from "node:test";

const TIMEOUT_MS = 120_000;

export function e2e(name: string, work: () => Promise<void>, timeoutMs = TIMEOUT_MS): void {
  it(name, { timeout: timeoutMs }, work);
}
