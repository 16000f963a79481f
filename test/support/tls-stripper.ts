/** Somebody in the middle: passes everything on, but lets the server's greeting say that it cannot do TLS. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const CLIENT_SSL_BIT = 0x08;

export interface TlsStripper {
  readonly port: number;
  close(): Promise<void>;
}

/** Clears CLIENT_SSL, the fourth bit of the second byte of the capability flags behind version, id and nonce. */
function stripGreeting(greeting: Buffer): Buffer {
  const changed = Buffer.from(greeting);
  const flags = changed.indexOf(0, 5) + 1 + 4 + 8 + 1;
  changed[flags + 1] = (changed[flags + 1] ?? 0) & ~CLIENT_SSL_BIT;
  return changed;
}

export async function startTlsStripper(backendPort: number): Promise<TlsStripper> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const backend = connect(backendPort, "127.0.0.1");
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        backend.destroy();
      });
    }
    client.pipe(backend);
    backend.once("data", (greeting: Buffer) => {
      client.write(stripGreeting(greeting));
      backend.pipe(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
