import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Logger } from "../../src/base/log.ts";
import type { ListenTarget } from "../../src/net/transport.ts";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import { connectionsAllowedByDescriptors, OpenFiles } from "../../src/server/open-files.ts";
import { ProxyServer } from "../../src/server/proxy-server.ts";
import { SessionRegistry } from "../../src/server/session-registry.ts";
import { MYSQL_WING } from "../../src/session/mysql/mysql-wing.ts";
import type { SessionServices } from "../../src/session/session-services.ts";
import { eventually } from "../support/eventually.ts";

const LOCAL: ListenTarget = { kind: "tcp", host: "127.0.0.1", port: 0 };

/** A server with no room for anybody: every client is turned away before a session begins. */
function fullServer(): { server: ProxyServer; log: string[] } {
  const log: string[] = [];
  const add = (event: string): void => void log.push(event);
  const logger = { debug: add, info: add, warn: add, error: add } as unknown as Logger;
  const registry = new SessionRegistry({ connectionsMax: 0, connectionsPerAddressMax: 1 });
  return {
    server: new ProxyServer(
      MYSQL_WING,
      { logger, metrics: newProxyMetrics(), options: {} } as unknown as SessionServices,
      registry,
      new OpenFiles(),
    ),
    log,
  };
}

/** Everything a server says until its FIN. */
function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("end", () => resolve(Buffer.concat(chunks)));
  });
}

test("a client there is no room for is told so as a full server does it, and its connection ends", async () => {
  const { server, log } = fullServer();
  const port = await server.listen(LOCAL);
  const said = await readAll(connect(port, "127.0.0.1"));
  assert.equal(said.readUIntLE(0, 3), said.length - 4);
  assert.equal(said[3], 0);
  assert.equal(said[4], 0xff);
  assert.equal(said.readUInt16LE(5), 1040);
  // No SQLSTATE: the client's capabilities are not known yet.
  assert.match(said.toString("latin1", 7), /^querycop: too many connections: 0 connections are open/);
  assert.deepEqual(log, ["connection refused"]);
  server.close();
});

test("a crowd there is no room for is told so to the last client", async () => {
  const { server, log } = fullServer();
  const port = await server.listen(LOCAL);
  const crowd = Array.from({ length: 100 }, () => readAll(connect({ port, host: "127.0.0.1", allowHalfOpen: true })));
  const told = (await Promise.all(crowd)).filter((said) => said.length > 0 && said.readUInt16LE(5) === 1040);
  // Deno hands bytes to the system later than it is told to write them.
  assert.ok("Deno" in globalThis ? told.length >= 16 : told.length === 100, `${told.length} were told`);
  assert.equal(log.length, 100);
  server.close();
});

test("a server that is closed takes nobody more", async () => {
  const { server } = fullServer();
  const port = await server.listen(LOCAL);
  server.close();
  await assert.rejects(readAll(connect(port, "127.0.0.1")), { code: "ECONNREFUSED" });
});

test("a unix socket is for its owner and group, and takes the place of one left behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-server-test-"));
  const path = join(folder, "q.sock");
  for (let start = 0; start < 2; start++) {
    const { server } = fullServer();
    await server.listen({ kind: "unix", path });
    assert.equal(statSync(path).mode & 0o777, 0o660);
    assert.equal((await readAll(connect(path))).readUInt16LE(5), 1040);
    server.close();
    await eventually("the socket is gone", () => !existsSync(path));
  }
  rmSync(folder, { recursive: true });
});

test("a file that is no socket is left alone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-server-test-"));
  const path = join(folder, "precious");
  writeFileSync(path, "keep me");
  const { server } = fullServer();
  await assert.rejects(server.listen({ kind: "unix", path }), { code: "EADDRINUSE" });
  assert.equal(statSync(path).size, 7);
  rmSync(folder, { recursive: true });
});

test("the limit on open files bounds the sessions", () => {
  const allowed = connectionsAllowedByDescriptors();
  assert.ok(allowed >= 1 && Number.isInteger(allowed));
});
