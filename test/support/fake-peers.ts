/** A scripted MySQL server and a bare MySQL client that speak real packets over loopback TCP. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, TLSSocket } from "node:tls";
import { encodeCachingSha2Scramble } from "../../src/mysql/caching-sha2-password.ts";
import { encodeQuery } from "../../src/mysql/command.ts";
import {
  CLIENT_CONNECT_WITH_DB,
  CLIENT_DEPRECATE_EOF,
  CLIENT_LOCAL_FILES,
  CLIENT_LONG_PASSWORD,
  CLIENT_MULTI_RESULTS,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_PROTOCOL_41,
  CLIENT_PS_MULTI_RESULTS,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SESSION_TRACK,
  CLIENT_TRANSACTIONS,
} from "../../src/mysql/constants.ts";
import { decodeErrPacket, type ErrPacket, encodeErrPacket, encodeOkPacket } from "../../src/mysql/generic-response.ts";
import {
  canonicalHandshakeResponse,
  decodeHandshakeV10,
  encodeHandshakeResponse41,
  encodeHandshakeV10,
  encodeSslRequest,
  type HandshakeV10,
} from "../../src/mysql/handshake.ts";
import { encodePacket, type Packet, PacketReader } from "../../src/mysql/packet.ts";

/** One end of a connection: packets out, packets in, one at a time. */
export class PacketPeer {
  readonly socket: Socket;
  readonly #reader: PacketReader;
  #wake: (() => void) | undefined;
  isClosed = false;
  #ended: () => void = () => undefined;
  readonly #end: Promise<void> = new Promise((resolve) => {
    this.#ended = resolve;
  });
  readonly received: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    this.#reader = new PacketReader({ sender: "backend", payloadBytesMax: 2 ** 30 });
    socket.on("data", (chunk: Buffer) => {
      this.received.push(chunk);
      this.#reader.push(chunk);
      this.#wakeNow();
    });
    const close = (): void => {
      this.isClosed = true;
      this.#wakeNow();
      this.#ended();
    };
    socket.on("end", close);
    socket.on("close", close);
    socket.on("error", close);
  }

  #wakeNow(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** The next packet, or undefined when the other side has closed. */
  async read(): Promise<Packet | undefined> {
    for (;;) {
      const packet = this.#reader.next();
      if (packet !== undefined) return packet;
      if (this.isClosed) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async expect(): Promise<Packet> {
    const packet = await this.read();
    if (packet === undefined) throw new Error("the peer closed where a packet was expected");
    return packet;
  }

  takeRest(): Uint8Array {
    return this.#reader.takeRest();
  }

  write(payload: Uint8Array, sequenceId: number): void {
    this.socket.write(encodePacket(payload, sequenceId));
  }

  /** Resolves when the other side has closed. Reads nothing: a script may be reading at the same time. */
  closed(): Promise<void> {
    return this.#end;
  }
}

export const BACKEND_FLAGS =
  (CLIENT_LONG_PASSWORD |
    CLIENT_PROTOCOL_41 |
    CLIENT_SECURE_CONNECTION |
    CLIENT_PLUGIN_AUTH |
    CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA |
    CLIENT_TRANSACTIONS |
    CLIENT_MULTI_STATEMENTS |
    CLIENT_MULTI_RESULTS |
    CLIENT_PS_MULTI_RESULTS |
    CLIENT_CONNECT_WITH_DB |
    CLIENT_SESSION_TRACK |
    CLIENT_LOCAL_FILES |
    CLIENT_DEPRECATE_EOF) >>>
  0;

export const GREETING: HandshakeV10 = {
  serverVersion: "8.0.36",
  connectionId: 77,
  authPluginData: Uint8Array.from({ length: 20 }, (_, index) => 65 + index),
  capabilities: { flags: BACKEND_FLAGS, mariadb: 0 },
  characterSet: 45,
  statusFlags: 2,
  authPluginName: "caching_sha2_password",
};

export const OK_PAYLOAD = encodeOkPacket(
  { header: 0, affectedRows: 0, lastInsertId: 0, statusFlags: 2, warnings: 0, info: new Uint8Array(0) },
  0,
);

export interface FakeBackend {
  readonly port: number;
  /** Every connection's peer, in the order of acceptance. */
  readonly peers: PacketPeer[];
  close(): Promise<void>;
}

/** The connections of a server that are still served. */
export class Served {
  readonly #open = new Set<Promise<void>>();

  async during(serving: Promise<void>): Promise<void> {
    this.#open.add(serving);
    await serving.finally(() => this.#open.delete(serving));
  }

  /** Resolves once every connection has come to its end, and what was seen of it is told. */
  async ended(): Promise<void> {
    while (this.#open.size > 0) await Promise.allSettled(this.#open);
  }
}

/** Runs `script` for each connection; a script that throws destroys its connection. Port 0 lets the system choose. */
export async function startFakeBackend(
  script: (peer: PacketPeer) => Promise<void>,
  port = 0,
  host = "127.0.0.1",
): Promise<FakeBackend> {
  const peers: PacketPeer[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const peer = new PacketPeer(socket);
    peers.push(peer);
    script(peer).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    peers,
    close: () => {
      for (const { socket } of peers) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Greets, takes any login and says OK. */
export async function acceptLogin(peer: PacketPeer, greeting: HandshakeV10 = GREETING): Promise<Packet> {
  peer.write(encodeHandshakeV10(greeting), 0);
  const response = await peer.expect();
  peer.write(OK_PAYLOAD, response.lastSequenceId + 1);
  return response;
}

/** Hands over every command until the client leaves. */
async function eachCommand(peer: PacketPeer, take: (packet: Packet) => void): Promise<void> {
  for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) take(packet);
}

/** Answers every command with what `answer` gives for its payload: whole packets' payloads, numbered on. */
export async function serveCommands(
  peer: PacketPeer,
  answer: (payload: Uint8Array) => readonly Uint8Array[],
): Promise<void> {
  await eachCommand(peer, ({ payload, lastSequenceId }) => {
    for (const [index, reply] of answer(payload).entries()) peer.write(reply, (lastSequenceId + 1 + index) & 0xff);
  });
}

/** Greets, logs in and hands over commands, save for querycop's own questions: these it does not know. */
export function ownAnswers(
  take: (peer: PacketPeer, payload: Uint8Array) => void,
  greeting: HandshakeV10 = GREETING,
): (peer: PacketPeer) => Promise<void> {
  return async (peer) => {
    await acceptLogin(peer, greeting);
    await eachCommand(peer, ({ payload }) => {
      if (!refuseProbe(peer, payload)) take(peer, payload);
    });
  };
}

const PROBE = /@@sql_mode|@@session_track/;

/** Answers querycop's own questions with an error, which leaves it in doubt and the session going; false for others. */
export function refuseProbe(peer: PacketPeer, payload: Uint8Array): boolean {
  if (!PROBE.test(Buffer.from(payload).toString("latin1"))) return false;
  peer.write(encodeErrPacket({ errorNumber: 1064, sqlState: "42000", message: "no" }), 1);
  return true;
}

/** Greets, logs in and answers commands. */
export function scriptedBackend(
  answer: (payload: Uint8Array) => readonly Uint8Array[],
  greeting: HandshakeV10 = GREETING,
): (peer: PacketPeer) => Promise<void> {
  return async (peer) => {
    await acceptLogin(peer, greeting);
    await serveCommands(peer, answer);
  };
}

export function errPayload(err: ErrPacket): Uint8Array {
  return encodeErrPacket(err);
}

/** `localAddress` is where the client shows to be. */
export async function connectPeer(port: number, localAddress = "127.0.0.1"): Promise<PacketPeer> {
  const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return new PacketPeer(socket);
}

/** A client that has read its greeting and gone over to TLS where it is to. */
export interface OpenLogin {
  readonly peer: PacketPeer;
  readonly greeting: HandshakeV10;
  readonly sequenceId: number;
  /** The HandshakeResponse41 that fits what has been said. */
  response(login: FakeLogin): Uint8Array;
}

/** Throws where there is no greeting. */
export async function openLogin(port: number, isTls: boolean): Promise<OpenLogin> {
  const plain = await connectPeer(port);
  const first = await plain.read();
  if (first === undefined || first.payload[0] === 0xff) {
    plain.socket.destroy();
    throw new Error("not greeted");
  }
  const greeting = decodeHandshakeV10(first.payload);
  // SSLRequest and response must say the same, and this client names no schema.
  const flags = (greeting.capabilities.flags & ~CLIENT_CONNECT_WITH_DB) >>> 0;
  const response = (login: FakeLogin): Uint8Array => loginPayload(greeting, { flags, ...login });
  if (!isTls) return { peer: plain, greeting, sequenceId: 1, response };
  plain.write(sslRequest(greeting), 1);
  return { peer: await startClientTls(plain, {}), greeting, sequenceId: 2, response };
}

export function sslRequest(greeting: HandshakeV10): Uint8Array {
  const flags = (greeting.capabilities.flags & ~CLIENT_CONNECT_WITH_DB) >>> 0;
  return encodeSslRequest({ capabilities: { flags, mariadb: 0 }, maxPacketSize: 2 ** 24, characterSet: 45 });
}

export interface FakeLogin {
  readonly user?: string;
  readonly password?: string;
  readonly flags?: number;
  /** MariaDB's own, where `flags` are without CLIENT_LONG_PASSWORD. */
  readonly mariadb?: number;
  readonly characterSet?: number;
  readonly schema?: string;
  readonly authPluginName?: string;
  readonly authResponse?: Uint8Array;
}

/** The HandshakeResponse41 a plain client would send for this greeting. */
export function loginPayload(greeting: HandshakeV10, login: FakeLogin = {}): Uint8Array {
  const password = Buffer.from(login.password ?? "");
  const authPluginName = login.authPluginName ?? "caching_sha2_password";
  const flags = login.flags ?? greeting.capabilities.flags;
  const payload = encodeHandshakeResponse41(
    canonicalHandshakeResponse({
      capabilities: { flags, mariadb: login.mariadb ?? 0 },
      maxPacketSize: 2 ** 24,
      characterSet: login.characterSet ?? 45,
      user: login.user ?? "app",
      authResponse: login.authResponse ?? encodeCachingSha2Scramble(password, greeting.authPluginData),
      authPluginName,
      ...(login.schema === undefined ? {} : { schema: login.schema }),
    }),
  );
  if ((flags & CLIENT_PLUGIN_AUTH) !== 0) return payload;
  // The encoder writes no such response: the name stands last, and the flag in the third byte.
  const old = payload.slice(0, -(authPluginName.length + 1));
  old[2] = (old[2] ?? 0) & ~(CLIENT_PLUGIN_AUTH >>> 16);
  return old;
}

/** Connects and logs in; throws the server's error. */
export async function logIn(port: number, login: FakeLogin = {}): Promise<PacketPeer & { greeting: HandshakeV10 }> {
  const peer = await connectPeer(port);
  const first = await peer.expect();
  if (first.payload[0] === 0xff) throw Object.assign(new Error("refused"), { err: decodeErrPacket(first.payload) });
  const greeting = decodeHandshakeV10(first.payload);
  peer.write(loginPayload(greeting, login), 1);
  const answer = await peer.expect();
  if (answer.payload[0] === 0xff) throw Object.assign(new Error("refused"), { err: decodeErrPacket(answer.payload) });
  return Object.assign(peer, { greeting });
}

export function queryPayload(sql: string, flags = 0): Uint8Array {
  return encodeQuery(Buffer.from(sql), flags);
}

/** Takes a peer through the server's part of STARTTLS after its SSLRequest was read. */
export function startServerTls(peer: PacketPeer, options: { readonly cert: string; readonly key: string }): PacketPeer {
  return new PacketPeer(new TLSSocket(bareSocket(peer), { isServer: true, ...options }));
}

/** The client's part, after it has sent its SSLRequest. */
export async function startClientTls(peer: PacketPeer, options: ConnectionOptions): Promise<PacketPeer> {
  const secure = connectTls({ socket: bareSocket(peer), rejectUnauthorized: false, ...options });
  await new Promise<void>((resolve, reject) => {
    secure.once("secureConnect", resolve);
    secure.once("error", reject);
  });
  return new PacketPeer(secure);
}

/** What has arrived behind the last packet goes back: a ClientHello often shares a segment with the SSLRequest. */
function bareSocket(peer: PacketPeer): Socket {
  const { socket } = peer;
  socket.pause();
  const rest = peer.takeRest();
  if (rest.length > 0) socket.unshift(rest);
  for (const event of ["data", "end", "close", "error"]) socket.removeAllListeners(event);
  return socket;
}
