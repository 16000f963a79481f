import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import {
  byteByByte,
  digestOfPieces,
  IS_DENO,
  NETWORKS,
  peerSocket,
  Recorder,
  readAll,
  sendPieces,
  testOverEach,
  withListener,
  withPeer,
  withSplitter,
  writePieces,
} from "./network-fixture.ts";

const BULK_BYTES = IS_DENO ? 8_000_000 : 50_000_000;
const NEVER = new AbortController().signal;

testOverEach("an accepted transport carries bytes both ways and knows its peer", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    const recorder = new Recorder(await next());
    assert.equal(recorder.transport.remoteAddress, "127.0.0.1");
    client.write("ping");
    await recorder.untilText("ping");
    const answered = new Promise((resolve) => client.once("data", (chunk) => resolve(String(chunk))));
    assert.equal(recorder.transport.write(Buffer.from("pong")), true);
    assert.equal(await answered, "pong");
    client.destroy();
  });
});

testOverEach(
  "an accepted transport knows an IPv4 peer by its own address, also on a socket of both families",
  async (network) => {
    const addresses: (string | undefined)[] = [];
    const listener = await network.listen({ kind: "tcp", host: "::", port: 0 }, (transport) => {
      addresses.push(transport.remoteAddress);
      transport.destroy();
    });
    await readAll(await peerSocket(listener.port));
    assert.deepEqual(addresses, ["127.0.0.1"]);
    listener.close();
  },
);

testOverEach("a dialled transport carries bytes both ways and knows its peer", async (network) => {
  await withPeer(
    (socket) => socket.on("data", (chunk) => socket.write(`${chunk}!`)),
    async (port) => {
      const recorder = new Recorder(await network.connect("127.0.0.1", port, NEVER));
      assert.equal(recorder.transport.remoteAddress, "127.0.0.1");
      recorder.transport.write(Buffer.from("ping"));
      await recorder.untilText("ping!");
      recorder.transport.destroy();
    },
  );
});

testOverEach("bytes that come before anybody listens are kept", async (network) => {
  await withPeer(
    (socket) => socket.end("greeting"),
    async (port) => {
      const transport = await network.connect("127.0.0.1", port, NEVER);
      const probe = await peerSocket(port);
      assert.equal(await readAll(probe), "greeting");
      const recorder = new Recorder(transport);
      await recorder.untilText("greeting");
      await recorder.untilEnded();
      transport.destroy();
    },
  );
});

testOverEach("bytes cut into single ones arrive in order", async (network) => {
  await withListener(network, async ({ port, next }) => {
    await withSplitter(port, byteByByte, async (splitterPort) => {
      const client = await peerSocket(splitterPort);
      const recorder = new Recorder(await next());
      const text = "all of these bytes travel alone";
      client.write(text);
      await recorder.untilText(text);
      client.destroy();
    });
  });
});

testOverEach(`${BULK_BYTES / 1e6} MB each way arrive whole with a slow reader`, async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    const recorder = new Recorder(await next(), { hashOnly: true });
    let untilPause = 0;
    recorder.onChunk = () => {
      if (++untilPause % 64 !== 0) return;
      recorder.transport.pause();
      setImmediate(() => recorder.transport.resume());
    };
    const read = digestOf(client);
    await Promise.all([writePieces(recorder, BULK_BYTES), sendPieces(client, BULK_BYTES)]);
    await recorder.untilEnded();
    const wanted = digestOfPieces(BULK_BYTES);
    assert.equal(await read, wanted);
    assert.equal(recorder.digest, wanted);
  });
});

function digestOf(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  let untilPause = 0;
  return new Promise((resolve) => {
    socket.on("data", (chunk: Uint8Array) => {
      hash.update(chunk);
      if (++untilPause % 64 !== 0) return;
      socket.pause();
      setImmediate(() => socket.resume());
    });
    socket.on("end", () => resolve(hash.digest("hex")));
  });
}

testOverEach("a client that half-closes after its question still gets the answer", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    const answer = readAll(client);
    const recorder = new Recorder(await next());
    client.end("question");
    await recorder.untilText("question");
    await recorder.untilEnded();
    assert.equal(recorder.isClosed, false);
    recorder.transport.write(Buffer.from("answer"));
    recorder.transport.end();
    assert.equal(await answer, "answer");
    await recorder.untilClosed();
    assert.equal(recorder.error, undefined);
  });
});

testOverEach(
  "end() sends all that was written before the FIN, and leaves the other direction open",
  async (network) => {
    await withListener(network, async ({ port, next }) => {
      const client = await peerSocket(port);
      client.pause();
      const recorder = new Recorder(await next());
      const big = Buffer.alloc(16_000_000, "x");
      assert.equal(recorder.transport.write(big), false);
      assert.equal(recorder.transport.needsDrain, true);
      recorder.transport.end();
      const all = readAll(client);
      client.resume();
      assert.equal((await all).length, big.length);
      client.end("still here");
      await recorder.untilText("still here");
      await recorder.untilClosed();
    });
  },
);

testOverEach("bytes that are given away arrive whole, and are freed when they are sent", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    client.pause();
    const recorder = new Recorder(await next());
    const chunks = Array.from({ length: 40 }, (_, index) => new Uint8Array(500_000).fill(97 + index));
    const wanted = Buffer.concat(chunks).toString("latin1");
    for (const chunk of chunks) recorder.transport.write(chunk, true);
    assert.equal(chunks.at(-1)?.length, 500_000, "not while it waits");
    recorder.transport.end();
    const all = readAll(client);
    client.resume();
    assert.equal((await all) === wanted, true);
    if (network.name === "bun") assert.deepEqual(new Set(chunks.map(({ length }) => length)), new Set([0]));
    client.destroy();
  });
});

testOverEach("a reset of the peer is noticed while nothing is asked of the transport", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    const recorder = new Recorder(await next());
    client.resetAndDestroy();
    if (IS_DENO) {
      await recorder.untilEnded();
      return;
    }
    await recorder.untilClosed();
    assert.equal(recorder.error?.code, "ECONNRESET");
    assert.equal(recorder.transport.write(Buffer.from("into the void")), true);
  });
});

testOverEach("a reset of the peer ends the wait for the drain", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    client.pause();
    const recorder = new Recorder(await next());
    assert.equal(recorder.transport.write(Buffer.alloc(32_000_000)), false);
    const drained = recorder.drained();
    client.resetAndDestroy();
    await drained;
    await recorder.untilClosed();
  });
});

testOverEach("destroy() is seen by the peer, may be repeated, and reports nothing more", async (network) => {
  await withListener(network, async ({ port, next }) => {
    const client = await peerSocket(port);
    const recorder = new Recorder(await next());
    const seen = readAll(client);
    recorder.transport.write(Buffer.from("last words"));
    recorder.transport.destroy();
    recorder.transport.destroy();
    recorder.transport.end();
    recorder.transport.pause();
    recorder.transport.resume();
    recorder.transport.write(Buffer.from("too late"));
    // Deno hands bytes to the system later than it is told to write them.
    if (!IS_DENO) assert.equal(await seen, "last words");
    else assert.ok(["", "last words"].includes(await seen));
  });
});

testOverEach("connect() rejects with the system's code, and when it is aborted", async (network) => {
  let closedPort = 0;
  await withPeer(
    () => {},
    async (port) => {
      closedPort = port;
    },
  );
  await assert.rejects(network.connect("127.0.0.1", closedPort, NEVER), { code: "ECONNREFUSED" });
  const aborted = new AbortController();
  aborted.abort();
  await assert.rejects(network.connect("127.0.0.1", closedPort, aborted.signal), { message: "aborted" });
});

testOverEach("an attempt that is given up while it is under way leaves no connection", async (network) => {
  const served: Socket[] = [];
  await withPeer(
    (socket) => {
      served.push(socket);
      socket.resume();
    },
    async (port) => {
      const controller = new AbortController();
      const attempt = network.connect("127.0.0.1", port, controller.signal);
      controller.abort();
      await assert.rejects(attempt, { message: "aborted" });
      const witness = await network.connect("127.0.0.1", port, NEVER);
      await eventually("the other connection is served", () => served.length > 0);
      await eventually(
        "only one connection is left",
        () => served.filter((socket) => !socket.readableEnded).length <= 1,
      );
      witness.destroy();
    },
  );
});

testOverEach("listen() rejects when the address is taken", async (network) => {
  await withListener(network, async ({ port }) => {
    const again = network.listen({ kind: "tcp", host: "127.0.0.1", port }, () => {});
    await assert.rejects(again, { code: "EADDRINUSE" });
  });
});

testOverEach("a listener that is closed lets its connections go on", async (network) => {
  await withListener(network, async ({ port, next, listener }) => {
    const client = await peerSocket(port);
    const recorder = new Recorder(await next());
    listener.close();
    client.write("still here");
    await recorder.untilText("still here");
    await assert.rejects(peerSocket(port), { code: "ECONNREFUSED" });
    client.destroy();
  });
});

testOverEach("a unix socket is listened on, and its peers have no address", async (network) => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-net-"));
  const path = join(folder, "q.sock");
  const accepted: Recorder[] = [];
  const listener = await network.listen({ kind: "unix", path }, (transport) => accepted.push(new Recorder(transport)));
  try {
    assert.equal(listener.port, 0);
    const client = connect(path);
    client.write("over a file");
    const recorder = await eventually("a connection came", () => accepted[0]);
    await recorder.untilText("over a file");
    assert.equal(recorder.transport.remoteAddress, undefined);
    client.destroy();
    await recorder.untilEnded();
    recorder.transport.destroy();
  } finally {
    listener.close();
    await eventually("the socket file is removed", () => !existsSync(path));
    rmSync(folder, { recursive: true });
  }
});

const DESCRIPTORS = "/proc/self/fd";

if (existsSync(DESCRIPTORS)) {
  testOverEach("no way to end a connection leaks a descriptor", async (network) => {
    await withListener(network, async ({ port, next }) => {
      const before = readdirSync(DESCRIPTORS).length;
      const endings: ((client: Socket, recorder: Recorder) => void)[] = [
        (client) => client.destroy(),
        (client) => client.resetAndDestroy(),
        (client) => client.resume().end(),
        (client, { transport }) => {
          transport.destroy();
          client.destroy();
        },
        (client, { transport }) => {
          client.pause();
          transport.write(Buffer.alloc(8_000_000));
          transport.destroy();
          setImmediate(() => client.destroy());
        },
        (client, { transport }) => {
          client.pause();
          transport.write(Buffer.alloc(8_000_000));
          transport.end();
          client.resetAndDestroy();
        },
      ];
      for (let round = 0; round < 60; round++) {
        const client = await peerSocket(port);
        const recorder = new Recorder(await next());
        endings[round % endings.length]?.(client, recorder);
        if (round % endings.length < 3) {
          await recorder.untilEnded();
          recorder.transport.end();
        }
      }
      await eventually("all descriptors are given back", () => readdirSync(DESCRIPTORS).length <= before);
    });
  });
}

test("every kind of socket of this runtime is tested", () => {
  assert.deepEqual(
    NETWORKS.map(({ name }) => name),
    "Bun" in globalThis ? ["bun", "node"] : ["node"],
  );
});
