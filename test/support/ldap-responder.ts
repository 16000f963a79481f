/**
 * A directory that knows one operation, the simple bind (RFC 4511, section 4.2): with it a PostgreSQL of Debian asks for a
 * password in clear and leaves the verdict to us, as a server of RDS does with its IAM module.
 */
import { createServer, type Socket } from "node:net";

export interface LdapResponder {
  readonly port: number;
  /** Each bind: the name, and whether it was taken. Never the password. */
  readonly binds: { readonly name: string; readonly isTaken: boolean }[];
  close(): void;
}

const INVALID_CREDENTIALS = 49;

interface Element {
  readonly tag: number;
  readonly value: Buffer;
  readonly end: number;
}

/** One BER element, or undefined while it is incomplete. */
function elementAt(bytes: Buffer, at: number): Element | undefined {
  if (bytes.length < at + 2) return undefined;
  const first = bytes[at + 1] as number;
  const more = first < 0x80 ? 0 : first & 0x7f;
  if (bytes.length < at + 2 + more) return undefined;
  const length = more === 0 ? first : bytes.readUIntBE(at + 2, more);
  const end = at + 2 + more + length;
  return bytes.length < end ? undefined : { tag: bytes[at] as number, value: bytes.subarray(at + 2 + more, end), end };
}

function childrenOf(value: Buffer): Element[] {
  const children: Element[] = [];
  for (let at = 0; at < value.length; ) {
    const child = elementAt(value, at);
    if (child === undefined) break;
    children.push(child);
    at = child.end;
  }
  return children;
}

const BIND_REQUEST = 0x60;

/** `verify` says whether the password is that of the name. */
export async function startLdapResponder(verify: (name: string, password: string) => boolean): Promise<LdapResponder> {
  const binds: LdapResponder["binds"] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let received: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let whole = elementAt(received, 0); whole !== undefined; whole = elementAt(received, 0)) {
        received = received.subarray(whole.end);
        const [id, operation] = childrenOf(whole.value);
        if (id === undefined || operation?.tag !== BIND_REQUEST) return void socket.end();
        const [, name, password] = childrenOf(operation.value).map(({ value }) => value.toString("utf8"));
        const isTaken = verify(name ?? "", password ?? "");
        binds.push({ name: name ?? "", isTaken });
        const answer = Buffer.from([0x61, 7, 0x0a, 1, isTaken ? 0 : INVALID_CREDENTIALS, 0x04, 0, 0x04, 0]);
        const messageId = Buffer.concat([Buffer.from([0x02, id.value.length]), id.value]);
        socket.write(Buffer.concat([Buffer.from([0x30, messageId.length + answer.length]), messageId, answer]));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    binds,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
