import assert from "node:assert/strict";
import { test } from "node:test";
import type { BunApi, BunListener, BunSocket } from "../../src/net/bun-api.ts";
import { BunNetwork } from "../../src/net/bun-network.ts";
import type { Network, Transport } from "../../src/net/transport.ts";
import { eventually } from "../support/eventually.ts";

const ADDRESS = "192.0.2.1";
const NEVER = new AbortController().signal;

/** Bun's API with a network that answers when the test says so. */
class FakeBun implements BunApi {
  readonly attempts: { open(): void; refuse(code: string): void; isClosed: boolean }[] = [];

  listen(): BunListener {
    throw new Error("Not used here");
  }

  connect<Data>(options: Parameters<BunApi["connect"]>[0]): Promise<BunSocket<Data>> {
    const attempt = {
      isClosed: false,
      open: () => options.socket.open?.(socket),
      refuse: (code: string) => options.socket.connectError?.(socket, Object.assign(new Error(code), { code })),
    };
    const socket = {
      data: options.data,
      remoteAddress: undefined,
      end: () => {
        attempt.isClosed = true;
      },
    } as unknown as BunSocket<unknown>;
    this.attempts.push(attempt);
    return new Promise(() => {});
  }
}

function bunNetwork(): { network: BunNetwork; bun: FakeBun; fallbackDials: string[] } {
  const bun = new FakeBun();
  const fallbackDials: string[] = [];
  const fallback: Network = {
    name: "node",
    abandonedConnects: 0,
    listen: () => Promise.reject(new Error("Not used here")),
    connect: (address, port) => {
      fallbackDials.push(`${address} ${port}`);
      return Promise.resolve({ destroy: () => {} } as Transport);
    },
  };
  return { network: new BunNetwork(bun, fallback), bun, fallbackDials };
}

test("an attempt given up holds its descriptor until it ends, and is closed should it succeed", async () => {
  const { network, bun } = bunNetwork();
  const controllers = [new AbortController(), new AbortController()];
  const attempts = controllers.map(({ signal }) => network.connect(ADDRESS, 3306, signal));
  for (const controller of controllers) controller.abort();
  for (const attempt of attempts) await assert.rejects(attempt, { message: "aborted" });
  assert.equal(network.abandonedConnects, 2);
  bun.attempts[0]?.open();
  assert.equal(bun.attempts[0]?.isClosed, true);
  assert.equal(network.abandonedConnects, 1);
  bun.attempts[1]?.refuse("ETIMEDOUT");
  assert.equal(network.abandonedConnects, 0);
});

test("an address that lets an attempt wait is dialled with node:net until it answers", async () => {
  const { network, bun, fallbackDials } = bunNetwork();
  const controller = new AbortController();
  const waiting = network.connect(ADDRESS, 3306, controller.signal);
  await eventually("the address is dialled the other way", async () => {
    if (fallbackDials.length > 0) return true;
    const probe = new AbortController();
    const probing = network.connect(ADDRESS, 3306, probe.signal);
    probe.abort();
    await probing.catch(() => {});
    return false;
  });
  assert.deepEqual([...new Set(fallbackDials)], [`${ADDRESS} 3306`]);
  const dialled = bun.attempts.length;
  controller.abort();
  await assert.rejects(waiting, { message: "aborted" });
  // The other way led to a connection, so the address answers again.
  const fresh = network.connect(ADDRESS, 3306, NEVER);
  assert.equal(bun.attempts.length, dialled + 1);
  bun.attempts.at(-1)?.open();
  await fresh;
  // Another port of the same machine was never silent.
  void network.connect(ADDRESS, 3307, NEVER);
  assert.equal(bun.attempts.length, dialled + 2);
});

test("a refused attempt says nothing against its address", async () => {
  const { network, bun, fallbackDials } = bunNetwork();
  const refused = network.connect(ADDRESS, 3306, NEVER);
  bun.attempts[0]?.refuse("ECONNREFUSED");
  await assert.rejects(refused, { code: "ECONNREFUSED" });
  const again = network.connect(ADDRESS, 3306, NEVER);
  bun.attempts[1]?.open();
  await again;
  assert.deepEqual(fallbackDials, []);
});
