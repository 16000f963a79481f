/** In the place of judge-worker.ts: a text that begins with H keeps it longer than any test waits, any other is answered at once. */
import { parentPort } from "node:worker_threads";
import type { JudgeQuestion, PolicyMessage } from "../../src/server/judge-worker.ts";

/** Not for ever: Deno 2.9 never ends a thread in a loop, and it would slow down all tests that follow. */
const HANG_MS = 40_000;

parentPort?.on("message", (message: PolicyMessage | JudgeQuestion) => {
  if (message.type === "policy") return;
  const endMs = performance.now() + HANG_MS;
  while (message.sql[0] === 0x48 && performance.now() < endMs);
  parentPort?.postMessage({ id: message.id, verdict: undefined });
});
