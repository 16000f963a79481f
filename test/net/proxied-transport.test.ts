import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readProxyHeader } from "../../src/net/proxied-transport.ts";
import type { Transport, TransportListener } from "../../src/net/transport.ts";

const HEADER = Buffer.from("PROXY TCP4 192.0.2.9 127.0.0.1 12345 3306\r\n", "latin1");
const NEVER = new AbortController().signal;
const LONG_MS = 60_000;

/** A transport whose peer is the test. */
function stub() {
  const heard: string[] = [];
  let peer: TransportListener | undefined;
  const transport = {
    remoteAddress: "10.0.0.1",
    attach: (listener: TransportListener) => {
      peer = listener;
    },
    write: (bytes: Uint8Array) => heard.push(Buffer.from(bytes).toString("latin1")) > 0,
  };
  return {
    transport: transport as unknown as Transport,
    heard,
    get peer(): TransportListener {
      assert.ok(peer);
      return peer;
    },
  };
}

/** Collects what the one behind the header gets. */
function collector() {
  const got: string[] = [];
  const listener: TransportListener = {
    receive: (chunk) => void got.push(Buffer.from(chunk).toString("latin1")),
    receiveEnd: () => void got.push("end"),
    receiveDrain: () => void got.push("drain"),
    receiveClose: () => void got.push("close"),
  };
  return { got, listener };
}

describe("readProxyHeader()", () => {
  it("hands over the connection behind a header that comes byte by byte, with what comes behind it", async () => {
    const { transport, heard, peer } = await begun();
    const reading = peer.reading;
    for (const byte of HEADER) peer.of.receive(Uint8Array.of(byte));
    peer.of.receive(Buffer.from("early"));
    const { transport: behind, refused } = await reading;
    assert.equal(refused, undefined);
    assert.equal(behind.remoteAddress, "192.0.2.9");
    const { got, listener } = collector();
    peer.of.receive(Buffer.from("|more"));
    behind.attach(listener);
    peer.of.receive(Buffer.from("late"));
    peer.of.receiveDrain();
    peer.of.receiveEnd();
    peer.of.receiveClose(undefined);
    assert.deepEqual(got, ["early|more", "late", "drain", "end", "close"]);
    behind.write(Buffer.from("answer"));
    assert.deepEqual(heard, ["answer"]);
    assert.equal(transport.remoteAddress, "10.0.0.1");
  });

  it("keeps the address of a sender that speaks for itself", async () => {
    const { peer } = await begun();
    peer.of.receive(Buffer.from("PROXY UNKNOWN\r\n"));
    const { transport, refused } = await peer.reading;
    assert.deepEqual([transport.remoteAddress, refused], ["10.0.0.1", undefined]);
  });

  it("says why there is none: broken, ended, closed, late, or nobody waits any more", async () => {
    const broken = await begun();
    broken.peer.of.receive(Buffer.from("GET / HTTP/1.1"));
    assert.match((await broken.peer.reading).refused ?? "", /broken: the first bytes are no PROXY header/);
    const ended = await begun();
    ended.peer.of.receive(HEADER.subarray(0, 9));
    ended.peer.of.receiveEnd();
    assert.match((await ended.peer.reading).refused ?? "", /ended/);
    const closed = await begun();
    closed.peer.of.receiveClose(undefined);
    assert.match((await closed.peer.reading).refused ?? "", /closed/);
    const late = await begun(1);
    assert.match((await late.peer.reading).refused ?? "", /within 1 ms/);
    const controller = new AbortController();
    const abandoned = await begun(LONG_MS, controller.signal);
    controller.abort();
    assert.match((await abandoned.peer.reading).refused ?? "", /shutting down/);
  });

  it("drops what a refused peer sends", async () => {
    const { peer } = await begun();
    peer.of.receive(Buffer.from("GET"));
    const { transport } = await peer.reading;
    peer.of.receive(Buffer.from("more"));
    const { got, listener } = collector();
    transport.attach(listener);
    assert.deepEqual(got, []);
  });
});

async function begun(timeoutMs = LONG_MS, signal = NEVER) {
  const it = stub();
  const reading = readProxyHeader(it.transport, timeoutMs, signal);
  return { transport: it.transport, heard: it.heard, peer: { of: it.peer, reading } };
}
