/** What tests with damaged bytes do alike, whatever the wire: many connections at a time, and a relay that damages answers. */
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import type { Random } from "./damage.ts";
import type { AuditLine } from "./querycop.ts";
import { randomFrom } from "./random.ts";

/** Intents by the server's own id for the connection. */
export function intentsByConnection(lines: readonly AuditLine[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const line of lines) {
    if (line.type !== "statement-intent") continue;
    const { backendConnectionId } = line["session"] as { readonly backendConnectionId: number };
    counts.set(backendConnectionId, (counts.get(backendConnectionId) ?? 0) + 1);
  }
  return counts;
}

/** Between querycop and a server: hands on what the server says as `damage` makes it. */
export async function damagingRelay(
  server: { readonly host: string; readonly port: number },
  damage: (chunk: Buffer) => Buffer,
): Promise<{ readonly port: number; readonly close: () => void }> {
  const relay = createServer((near) => {
    const far = connect(server.port, server.host);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
    near.pipe(far);
    far.on("data", (chunk: Buffer) => void near.write(damage(chunk)));
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  return { port: (relay.address() as AddressInfo).port, close: () => relay.close() };
}

/** `count` pieces of work, `together` at a time, each with a source of chance of its own. */
export async function inParallel(
  { count, together, seed }: { readonly count: number; readonly together: number; readonly seed: number },
  work: (random: Random) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(randomFrom(seed * 100_003 + next++));
  };
  await Promise.all(Array.from({ length: together }, worker));
}
