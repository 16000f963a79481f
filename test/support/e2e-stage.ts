/** What an end-to-end test starts and connects, ended behind it. */
import { type Querycop, type QuerycopOptions, type Settings, startQuerycop } from "./querycop.ts";
import { RawClient } from "./raw-client.ts";

const started: Querycop[] = [];
const clients: RawClient[] = [];

export async function startStaged(settings: Settings, options: QuerycopOptions = {}): Promise<Querycop> {
  const querycop = await startQuerycop(settings, options);
  started.push(querycop);
  return querycop;
}

export async function connectStaged(port: number): Promise<RawClient> {
  const client = await RawClient.connect("127.0.0.1", port);
  clients.push(client);
  return client;
}

/** For afterEach(). */
export async function endStage(): Promise<void> {
  for (const client of clients.splice(0)) client.reset();
  await Promise.all(started.splice(0).map((querycop) => querycop.stop()));
}
