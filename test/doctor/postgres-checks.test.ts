/** Doctor in front of what a PostgreSQL may say at its door, and of what is none. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { it } from "node:test";
import type { CheckResult } from "../../src/doctor/report.ts";
import { encodeAuthentication, encodeErrorResponse } from "../../src/postgres/backend-message.ts";
import { run } from "../cli/fake-io.ts";

/** What is found where each connection is served by `serve`. */
async function doctor(serve: (socket: Socket) => void, user?: string) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { readonly port: number };
  try {
    const env = {
      GATEKEEPER_LISTEN_PORT: "0",
      GATEKEEPER_BACKEND_ENGINE: "postgresql",
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_PORT: String(port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
    };
    const { stdout } = await run(["doctor", "--json", ...(user === undefined ? [] : ["--user", user])], { env });
    const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
    return (id: string): string => {
      const { status, detail, remedy } = checks.find((each) => each.id === id) ?? assert.fail(id);
      return `${status}: ${detail}\n${remedy?.text ?? ""}`;
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

/** Answers an SSLRequest, whose code it knows, and a StartupMessage with `answer`. */
function postgres(...answer: readonly Uint8Array[]): (socket: Socket) => void {
  return (socket) =>
    void socket.on("data", (chunk: Buffer) => {
      const isSslRequest = chunk.length === 8 && chunk.readInt32BE(4) === 80877103;
      socket.write(isSslRequest ? "N" : Buffer.concat(answer));
    });
}

const fatal = (code: string, message: string): Uint8Array => encodeErrorResponse({ severity: "FATAL", code, message });

it("doctor names who is there in place of a PostgreSQL", async () => {
  const ssh = await doctor((socket) => void socket.write("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"));
  assert.match(ssh("backend.greeting"), /^fail: 127\.0\.0\.1:[0-9]+ is not PostgreSQL: an SSH server answers there/);
  const http = await doctor((socket) => void socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
  assert.match(http("backend.greeting"), /is not PostgreSQL: an HTTP server answers there/);
  const mysql = await doctor((socket) => void socket.write("\x4a\0\0\0\x0a8.0.36\0"));
  assert.match(mysql("backend.greeting"), /is not PostgreSQL: a MySQL server answers there/);
});

it("doctor says what a server without room, rules or the database asks for", async () => {
  const full = await doctor(postgres(fatal("53300", "sorry, too many clients already")));
  assert.match(full("backend.greeting"), /^ok: .*offers no TLS/);
  assert.match(
    full("backend.password"),
    /^fail: .*53300 sorry, too many clients already\nThe server has no free connection/,
  );
  const closed = await doctor(postgres(fatal("28000", 'no pg_hba.conf entry for host "127.0.0.1"')));
  assert.match(closed("backend.password"), /^fail: .*\nNo line of pg_hba\.conf is for this host/);
  const elsewhere = await doctor(
    postgres(encodeAuthentication({ kind: "ok" }), fatal("3D000", 'database "postgres" does not exist')),
    "app",
  );
  assert.match(elsewhere("backend.password"), /^warn: .*3D000.*\nThe login was taken/);
});

it("doctor says which method of logging in querycop does not speak", async () => {
  const gss = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 7]);
  const found = await doctor(postgres(gss));
  assert.match(found("backend.password"), /^fail: logins are asked for by method 7, which querycop does not speak/);
  const clear = await doctor(postgres(encodeAuthentication({ kind: "cleartext" })));
  assert.match(clear("backend.password"), /^ok: logins are asked for by password \(in clear\)/);
});
