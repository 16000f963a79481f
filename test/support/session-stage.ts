/** A proxy in this process between a test's clients and the backend it plays; all stages of a file are closed in one place. */
import { type FakeBackend, type PacketPeer, startFakeBackend } from "./fake-peers.ts";
import { type HarnessOptions, type ProxyHarness, startProxy } from "./session-harness.ts";

export interface SessionStage {
  readonly proxy: ProxyHarness;
  readonly backends: FakeBackend;
}

const running: { close(): Promise<void> }[] = [];

/** Every connection the proxy makes runs the script. */
export async function openStage(
  script: (peer: PacketPeer) => Promise<void>,
  options: Partial<HarnessOptions> = {},
): Promise<SessionStage> {
  const backends = await startFakeBackend(script);
  const proxy = await startProxy({ backendPort: backends.port, ...options });
  running.push(proxy, backends);
  return { proxy, backends };
}

/** For what a test starts by itself. */
export function closeLater(...opened: readonly { close(): Promise<void> }[]): void {
  running.push(...opened);
}

/** For afterEach(), or after() where the tests of a file share a stage. */
export async function closeStages(): Promise<void> {
  for (const one of running.splice(0)) await one.close();
}
