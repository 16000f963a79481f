import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { encodePacket } from "../../src/mysql/packet.ts";
import { run } from "./fake-io.ts";

const GREETING = encodePacket(Uint8Array.of(10, 0x38, 0), 0);
const ERR = encodePacket(Uint8Array.of(0xff, 0xd3, 0x07, 0x78), 0);

interface FakeListener {
  readonly port: number;
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

/** Listens on a free port and does the same with every connection. */
function listen(onConnection: (socket: Socket, count: number) => void): Promise<FakeListener> {
  return new Promise((resolve) => {
    let connections = 0;
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      connections += 1;
      onConnection(socket, connections);
    });
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      resolve({
        port: address.port,
        connections: () => connections,
        close: () => {
          for (const socket of sockets) socket.destroy();
          return new Promise((done) => server.close(() => done()));
        },
      });
    });
  });
}

function waitFor(port: number, max: string): ReturnType<typeof run> {
  return run(["wait", "--max", max, "--listen-port", String(port)]);
}

test("wait returns at the first greeting, even one that comes byte by byte", async () => {
  const listener = await listen((socket) => {
    for (const byte of GREETING) socket.write(Uint8Array.of(byte));
  });
  const { code, stdout, stderr } = await waitFor(listener.port, "10s");
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  assert.equal(listener.connections(), 1);
  await listener.close();
});

test("wait asks a listener of PostgreSQL whether it has TLS, and takes either answer", async () => {
  for (const answer of ["S", "N"]) {
    const listener = await listen((socket) => {
      socket.once("data", (question: Buffer) => {
        if (question.equals(Buffer.of(0, 0, 0, 8, 4, 210, 22, 47))) socket.write(answer);
      });
    });
    const postgres = ["--backend-engine", "postgresql"];
    const { code, stderr } = await run(["wait", "--max", "10s", "--listen-port", String(listener.port), ...postgres]);
    assert.deepEqual([code, stderr], [0, ""]);
    await listener.close();
  }
});

test("wait says that a listener of PostgreSQL answers with an error", async () => {
  const listener = await listen((socket) => socket.once("data", () => socket.write("E\0\0\0\x05\0")));
  const args = ["--listen-port", String(listener.port), "--backend-engine", "postgresql"];
  const { code, stderr } = await run(["wait", "--max", "1s", ...args]);
  assert.equal(code, 1);
  assert.match(stderr, /answers clients with an error/);
  await listener.close();
});

test("wait tries again when a connection ends without a greeting", async () => {
  const listener = await listen((socket, count) => {
    if (count < 3) socket.end();
    else socket.write(GREETING);
  });
  assert.equal((await waitFor(listener.port, "10s")).code, 0);
  assert.equal(listener.connections(), 3);
  await listener.close();
});

test("wait gives up after its time and tells silence from refusal", async () => {
  const silent = await listen(() => undefined);
  const outcome = await waitFor(silent.port, "200ms");
  assert.equal(outcome.code, 1);
  assert.match(outcome.stderr, /^querycop wait: after 200ms listener 127\.0\.0\.1:\d+ does not answer/);
  await silent.close();
  const refusing = await listen((socket) => socket.end(ERR));
  // Long enough that one answer at least comes within it, whatever else the machine does; the last try is cut short.
  const refused = await waitFor(refusing.port, "2s");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /answers clients with an error/);
  await refusing.close();
});

test("wait gives up on a port where nobody listens, or where another protocol is spoken", async () => {
  const gone = await listen(() => undefined);
  await gone.close();
  assert.equal((await waitFor(gone.port, "200ms")).code, 1);
  const http = await listen((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  assert.equal((await waitFor(http.port, "200ms")).code, 1);
  await http.close();
});

test("wait refuses a configuration that names no port, or is wrong", async () => {
  const any = await waitFor(0, "1s");
  assert.equal(any.code, 2);
  assert.match(any.stderr, /name a port to wait for/);
  const wrong = await run(["wait", "--listen-port", "any"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--listen-port: expected a whole number/);
});
