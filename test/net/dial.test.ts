import assert from "node:assert/strict";
import { test } from "node:test";
import { type DialOptions, dialBackend } from "../../src/net/dial.ts";
import { withPeer } from "./network-fixture.ts";

const dial = (options: Partial<DialOptions>) =>
  dialBackend({ host: "127.0.0.1", port: 1, family: "auto", timeoutMs: 5_000, ...options });

test("dialBackend() connects to an address", async () => {
  await withPeer(
    (socket) => socket.resume(),
    async (port) => {
      const transport = await dial({ port });
      assert.equal(transport.remoteAddress, "127.0.0.1");
      transport.destroy();
    },
  );
});

test("dialBackend() looks a name up and tries all its addresses", async () => {
  await withPeer(
    (socket) => socket.resume(),
    async (port) => {
      for (const family of ["auto", "ipv4"] as const) {
        const transport = await dial({ host: "localhost", port, family });
        assert.equal(transport.remoteAddress, "127.0.0.1");
        transport.destroy();
      }
    },
  );
});

test("dialBackend() names each address that refused", async () => {
  let closedPort = 0;
  await withPeer(
    () => {},
    async (port) => {
      closedPort = port;
    },
  );
  await assert.rejects(dial({ port: closedPort }), {
    code: "QC_BACKEND_UNREACHABLE",
    message: `Cannot connect to backend 127.0.0.1:${closedPort}: 127.0.0.1 ECONNREFUSED`,
  });
});

test("dialBackend() reports a name that does not exist", async () => {
  await assert.rejects(dial({ host: "does-not-exist.invalid" }), {
    code: "QC_BACKEND_DNS",
    message: /^Cannot look up backend host "does-not-exist\.invalid": /,
  });
});

test("dialBackend() keeps to its deadline", async () => {
  // 192.0.2.0/24 is kept for documentation: nobody answers there, if it can be reached at all.
  await assert.rejects(dial({ host: "192.0.2.1", timeoutMs: 100 }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "QC_BACKEND_UNREACHABLE");
    assert.match(error.message, /no answer within 100 ms|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ENETDOWN/);
    return true;
  });
});

test("dialBackend() stops when the client has gone", async () => {
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(dial({ signal: controller.signal }), { code: "QC_CLIENT_CLOSED" });
  const later = new AbortController();
  const dialling = dial({ host: "192.0.2.1", signal: later.signal });
  later.abort();
  await assert.rejects(dialling, (error: Error & { code?: string }) =>
    /^QC_(CLIENT_CLOSED|BACKEND_UNREACHABLE)$/.test(error.code ?? ""),
  );
});
