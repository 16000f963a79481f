/**
 * A MySQL client reduced to the wire, written without querycop's own codec: sends any bytes, shows every packet that
 * comes back, and so can tell whether a proxy changes, adds, drops or reorders anything.
 */
import assert from "node:assert/strict";
import { constants, createHash, publicEncrypt } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

export interface WirePacket {
  readonly sequenceId: number;
  /** One packet as framed on the wire: a payload of 2^24-1 bytes is continued in the next one. */
  readonly payload: Buffer;
}

export interface RawGreeting {
  readonly serverVersion: string;
  readonly connectionId: number;
  readonly nonce: Buffer;
  readonly capabilities: number;
  readonly plugin: string;
}

export interface RawLogin {
  /** Names as text are sent as UTF-8. */
  readonly user: string | Uint8Array;
  readonly password: string;
  /** For a second factor. */
  readonly secondPassword?: string;
  readonly database?: string | Uint8Array;
  /** Keys and values in turn. */
  readonly attributes?: readonly Uint8Array[];
  /** Named in the handshake response; defaults to the server's. */
  readonly plugin?: string;
  /** Sent instead of what the plugin would compute from the password, in the handshake response only. */
  readonly firstResponse?: Buffer;
  /** Removed from what this client would offer. */
  readonly withoutCapabilities?: number;
  readonly moreCapabilities?: number;
  /** The id of the collation that the login names: its charset is how the session's texts are read. */
  readonly characterSet?: number;
  /** When caching_sha2_password has asked for the whole password. */
  readonly beforePassword?: () => Promise<void>;
}

export const CAPABILITY = {
  LONG_PASSWORD: 1,
  LONG_FLAG: 1 << 2,
  CONNECT_WITH_DB: 1 << 3,
  LOCAL_FILES: 1 << 7,
  PROTOCOL_41: 1 << 9,
  SSL: 1 << 11,
  TRANSACTIONS: 1 << 13,
  SECURE_CONNECTION: 1 << 15,
  MULTI_STATEMENTS: 1 << 16,
  MULTI_RESULTS: 1 << 17,
  PS_MULTI_RESULTS: 1 << 18,
  PLUGIN_AUTH: 1 << 19,
  CONNECT_ATTRS: 1 << 20,
  PLUGIN_AUTH_LENENC_CLIENT_DATA: 1 << 21,
  SESSION_TRACK: 1 << 23,
  DEPRECATE_EOF: 1 << 24,
  OPTIONAL_RESULTSET_METADATA: 1 << 25,
  MULTI_FACTOR_AUTHENTICATION: 1 << 28,
} as const;

const BASE_CAPABILITIES =
  CAPABILITY.LONG_PASSWORD |
  CAPABILITY.LONG_FLAG |
  CAPABILITY.PROTOCOL_41 |
  CAPABILITY.TRANSACTIONS |
  CAPABILITY.SECURE_CONNECTION |
  CAPABILITY.MULTI_STATEMENTS |
  CAPABILITY.MULTI_RESULTS |
  CAPABILITY.PS_MULTI_RESULTS |
  CAPABILITY.PLUGIN_AUTH |
  CAPABILITY.PLUGIN_AUTH_LENENC_CLIENT_DATA |
  CAPABILITY.DEPRECATE_EOF |
  CAPABILITY.MULTI_FACTOR_AUTHENTICATION;

export interface RawCommand {
  readonly command: number;
  readonly body?: Uint8Array | string;
}

const END_MARK = "end of the pipeline";
const FRAGMENT_BYTES = 0xffffff;
const COPIED_BYTES_MAX = 16_384;
const UTF8MB4_GENERAL_CI = 45;
const MORE_RESULTS_EXIST = 8;

const sha = (name: "sha1" | "sha256", ...parts: Buffer[]): Buffer =>
  createHash(name).update(Buffer.concat(parts)).digest();
const xor = (a: Buffer, b: Buffer): Buffer => Buffer.from(a.map((byte, index) => byte ^ (b[index % b.length] ?? 0)));

/** What the plugin answers to the nonce; clear passwords and unknown plugins send the password with its NUL. */
function answerOf(plugin: string, password: string, nonce: Buffer): Buffer {
  if (password === "") return Buffer.alloc(0);
  const bytes = Buffer.from(password);
  if (plugin === "mysql_native_password") {
    const once = sha("sha1", bytes);
    return xor(once, sha("sha1", nonce, sha("sha1", once)));
  }
  if (plugin === "caching_sha2_password") {
    const once = sha("sha256", bytes);
    return xor(once, sha("sha256", sha("sha256", once), nonce));
  }
  return Buffer.concat([bytes, Buffer.from([0])]);
}

function parseGreeting(payload: Buffer): RawGreeting {
  const end = payload.indexOf(0, 1);
  const after = end + 5;
  const capabilities = payload.readUInt16LE(after + 9) | (payload.readUInt16LE(after + 14) << 16);
  const nonce = Buffer.concat([payload.subarray(after, after + 8), payload.subarray(after + 27, after + 39)]);
  const plugin = payload.toString("latin1", after + 40).replace(/\0.*$/s, "");
  return {
    serverVersion: payload.toString("latin1", 1, end),
    connectionId: payload.readUInt32LE(end + 1),
    nonce,
    capabilities: capabilities >>> 0,
    plugin,
  };
}

class RawError extends Error {
  readonly errorNumber: number;
  readonly sqlState: string;

  constructor(payload: Buffer) {
    const hasState = payload[3] === 0x23;
    const sqlState = hasState ? payload.toString("latin1", 4, 9) : "";
    const errorNumber = payload.readUInt16LE(1);
    super(`${errorNumber} (${sqlState}): ${payload.toString("utf8", hasState ? 9 : 3)}`);
    this.errorNumber = errorNumber;
    this.sqlState = sqlState;
  }
}

export class RawClient {
  greeting: RawGreeting | undefined;
  capabilities = 0;
  #socket: Socket;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #wake: (() => void) | undefined;
  #ended: Error | undefined;
  #sequenceId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  static async connect(host: string, port: number): Promise<RawClient> {
    return RawClient.over(connectTcp({ host, port, noDelay: true, allowHalfOpen: true }));
  }

  /** Over a connection made in another way; resolves once it is open. */
  static async over(socket: Socket): Promise<RawClient> {
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawClient(socket);
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bufferedBytes += chunk.length;
      this.#wake?.();
    });
    const end = (error?: Error): void => {
      this.#ended ??= error ?? new Error("the server closed the connection");
      this.#wake?.();
    };
    socket.on("end", () => end());
    socket.on("close", () => end());
    socket.on("error", end);
  }

  /** Whether the other side has closed, and all it sent has been read. */
  get isAtEnd(): boolean {
    return this.#ended !== undefined && this.#bufferedBytes === 0;
  }

  async readBytes(count: number): Promise<Buffer> {
    while (this.#bufferedBytes < count) {
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#chunks);
    this.#chunks = joined.length > count ? [joined.subarray(count)] : [];
    this.#bufferedBytes -= count;
    return joined.subarray(0, count);
  }

  /** Resolves when the other side has closed; fails on bytes that come instead. */
  async readEnd(): Promise<void> {
    const bytes = await this.readBytes(1).catch(() => undefined);
    if (bytes !== undefined) throw new Error(`expected the end of the connection, got byte 0x${bytes.toString("hex")}`);
  }

  /** Everything until the other side closes. */
  async readAll(): Promise<Buffer> {
    await this.readBytes(Number.MAX_SAFE_INTEGER).catch(() => undefined);
    return Buffer.concat(this.#chunks);
  }

  async readPacket(): Promise<WirePacket> {
    const header = await this.readBytes(4);
    const sequenceId = header[3] ?? 0;
    this.#sequenceId = (sequenceId + 1) & 0xff;
    return { sequenceId, payload: await this.readBytes(header.readUIntLE(0, 3)) };
  }

  /** Writes bytes as they are. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Frames a payload, continuing packets and numbering of this exchange. */
  writePayload(payload: Buffer): void {
    for (let start = 0; ; start += FRAGMENT_BYTES) {
      const fragment = payload.subarray(start, start + FRAGMENT_BYTES);
      const header = Buffer.alloc(4);
      header.writeUIntLE(fragment.length, 0, 3);
      header[3] = this.#sequenceId;
      this.#sequenceId = (this.#sequenceId + 1) & 0xff;
      // In one piece, which is half the calls to the system; a long one is not worth the copy.
      if (fragment.length < COPIED_BYTES_MAX) this.#socket.write(Buffer.concat([header, fragment]));
      else {
        this.#socket.write(header);
        this.#socket.write(fragment);
      }
      if (fragment.length < FRAGMENT_BYTES) return;
    }
  }

  async readGreeting(): Promise<RawGreeting> {
    const { payload } = await this.readPacket();
    if (payload[0] === 0xff) throw new RawError(payload);
    this.greeting = parseGreeting(payload);
    return this.greeting;
  }

  #responseHead(capabilities: number, characterSet = UTF8MB4_GENERAL_CI): Buffer {
    const head = Buffer.alloc(32);
    head.writeUInt32LE(capabilities >>> 0, 0);
    head.writeUInt32LE(0x40000000, 4);
    head[8] = characterSet;
    return head;
  }

  /** Sends the SSLRequest and goes over to TLS. */
  async startTls(options: ConnectionOptions, capabilities: number, characterSet?: number): Promise<void> {
    this.writePayload(this.#responseHead(capabilities | CAPABILITY.SSL, characterSet));
    const plain = this.#socket;
    plain.removeAllListeners("data");
    const secure = connectTls({ ...options, socket: plain });
    await new Promise<void>((resolve, reject) => secure.once("secureConnect", resolve).once("error", reject));
    this.#socket = secure;
    this.#listen(secure);
  }

  /** Greeting, TLS when options are given, login with all its turns. Throws RawError when refused. */
  async login(login: RawLogin, tls?: ConnectionOptions): Promise<void> {
    const greeting = this.greeting ?? (await this.readGreeting());
    const wanted =
      BASE_CAPABILITIES |
      (login.moreCapabilities ?? 0) |
      (login.attributes === undefined ? 0 : CAPABILITY.CONNECT_ATTRS) |
      (login.database === undefined ? 0 : CAPABILITY.CONNECT_WITH_DB);
    this.capabilities = (wanted & greeting.capabilities & ~(login.withoutCapabilities ?? 0)) >>> 0;
    if (tls !== undefined) {
      await this.startTls(tls, this.capabilities, login.characterSet);
      this.capabilities = (this.capabilities | CAPABILITY.SSL) >>> 0;
    }
    const plugin = login.plugin ?? greeting.plugin;
    const answer = login.firstResponse ?? answerOf(plugin, login.password, greeting.nonce);
    const nul = Buffer.from([0]);
    this.writePayload(
      Buffer.concat([
        this.#responseHead(this.capabilities, login.characterSet),
        ...[bytesOf(login.user), nul],
        ...[encodeLength(answer.length), answer],
        ...(login.database === undefined ? [] : [bytesOf(login.database), nul]),
        ...[Buffer.from(plugin), nul],
        ...(login.attributes === undefined ? [] : [encodeAttributes(login.attributes)]),
      ]),
    );
    await this.#finishLogin(login, plugin, greeting.nonce, tls !== undefined);
  }

  async #finishLogin(login: RawLogin, firstPlugin: string, firstNonce: Buffer, isTls: boolean): Promise<void> {
    let { password } = login;
    let plugin = firstPlugin;
    let nonce = firstNonce;
    for (;;) {
      const { payload } = await this.readPacket();
      if (payload[0] === 0x00) return;
      if (payload[0] === 0xff) throw new RawError(payload);
      // AuthNextFactor looks like AuthSwitchRequest, save for its first byte.
      if (payload[0] === 0x02) password = login.secondPassword ?? "";
      if (payload[0] === 0xfe || payload[0] === 0x02) {
        const end = payload.indexOf(0, 1);
        plugin = payload.toString("latin1", 1, end);
        nonce = payload.subarray(end + 1, end + 21);
        // From now on the connection's own, as libmysqlclient has it: COM_CHANGE_USER is answered to this one.
        if (this.greeting !== undefined) this.greeting = { ...this.greeting, nonce };
        this.writePayload(answerOf(plugin, password, nonce));
      } else if (payload[0] === 0x01 && payload[1] === 0x04) {
        // caching_sha2_password: full authentication.
        await login.beforePassword?.();
        this.writePayload(isTls ? Buffer.from(`${password}\0`) : Buffer.from([2]));
      } else if (payload[0] === 0x01 && payload[1] !== 0x03) {
        const scrambled = xor(Buffer.from(`${password}\0`), nonce);
        const key = { key: payload.toString("latin1", 1), padding: constants.RSA_PKCS1_OAEP_PADDING };
        this.writePayload(publicEncrypt(key, scrambled));
      }
    }
  }

  /** COM_CHANGE_USER: a new login on the old connection. Throws RawError when refused. */
  async changeUser(login: RawLogin): Promise<void> {
    const { greeting } = this;
    if (greeting === undefined) throw new Error("changeUser() before login()");
    const plugin = login.plugin ?? greeting.plugin;
    const answer = login.firstResponse ?? answerOf(plugin, login.password, greeting.nonce);
    const text = (value: string | Uint8Array): Buffer => Buffer.concat([bytesOf(value), Buffer.from([0])]);
    const characterSet = Buffer.from([login.characterSet ?? UTF8MB4_GENERAL_CI, 0]);
    const fields = [
      text(login.user),
      encodeLength(answer.length),
      answer,
      text(login.database ?? ""),
      characterSet,
      text(plugin),
    ];
    this.writeCommand(0x11, Buffer.concat(fields));
    await this.#finishLogin(login, plugin, greeting.nonce, (this.capabilities & CAPABILITY.SSL) !== 0);
  }

  /** Starts a new exchange with a command. */
  writeCommand(command: number, body: Uint8Array | string = ""): void {
    this.#sequenceId = 0;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    this.writePayload(Buffer.concat([Buffer.from([command]), bytes]));
  }

  /** COM_QUERY and every packet of its answer, result sets and all. Needs DEPRECATE_EOF. */
  async query(sql: string | Uint8Array): Promise<WirePacket[]> {
    return await this.ask(0x03, sql);
  }

  /** A command that is answered by results, and every packet of its answer. Needs DEPRECATE_EOF. */
  async ask(command: number, body: Uint8Array | string = ""): Promise<WirePacket[]> {
    this.writeCommand(command, body);
    return await this.readAnswer();
  }

  /** Every packet of the answer to a command that is answered by results. Needs DEPRECATE_EOF. */
  async readAnswer(): Promise<WirePacket[]> {
    const packets: WirePacket[] = [];
    while (await this.#readResult(packets));
    return packets;
  }

  /** COM_STMT_PREPARE and every packet of its answer. Needs DEPRECATE_EOF. */
  async prepare(sql: string | Uint8Array): Promise<WirePacket[]> {
    this.writeCommand(0x16, sql);
    const packets = [await this.readPacket()];
    const { payload } = packets[0] as WirePacket;
    if (payload[0] === 0xff) return packets;
    const definitions = payload.readUInt16LE(5) + payload.readUInt16LE(7);
    for (let index = 0; index < definitions; index++) packets.push(await this.readPacket());
    return packets;
  }

  /**
   * Sends commands without waiting for answers, then a query for `END_MARK`, and reads everything up to its end. Works
   * for answers of any shape and for commands that have none. Needs DEPRECATE_EOF for the mark's own answer.
   */
  async pipeline(commands: readonly RawCommand[]): Promise<WirePacket[]> {
    for (const { command, body } of commands) this.writeCommand(command, body ?? "");
    this.writeCommand(0x03, `SELECT '${END_MARK}'`);
    const packets: WirePacket[] = [];
    for (let seen = 0; seen < 2; ) {
      const packet = await this.readPacket();
      packets.push(packet);
      // Once as the column's name, once as its value.
      if (packet.payload.includes(END_MARK)) seen += 1;
    }
    packets.push(await this.readPacket());
    return packets;
  }

  /** Reads one result; true when another follows. */
  async #readResult(packets: WirePacket[]): Promise<boolean> {
    const first = await this.#readWhole(packets);
    if (first[0] === 0xff) return false;
    if (first[0] === 0x00) return hasMoreResults(first);
    for (let columns = decodeLength(first, 0).value; columns > 0; columns -= 1) await this.#readWhole(packets);
    for (;;) {
      const row = await this.#readWhole(packets);
      if (row[0] === 0xff) return false;
      if (row[0] === 0xfe && row.length < FRAGMENT_BYTES) return hasMoreResults(row);
    }
  }

  /** Reads a packet with its continuations; the packets go to `packets`, the joined payload is returned. */
  async #readWhole(packets: WirePacket[]): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const packet = await this.readPacket();
      packets.push(packet);
      parts.push(packet.payload);
      if (packet.payload.length < FRAGMENT_BYTES) return Buffer.concat(parts);
    }
  }

  /** Sends COM_QUIT and closes. */
  quit(): void {
    this.writeCommand(0x01);
    this.#socket.end();
  }

  /** FIN: nothing more will be sent, answers are still read. */
  end(): void {
    this.#socket.end();
  }

  /** RST, as a client that is killed. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}

const bytesOf = (value: string | Uint8Array): Buffer =>
  typeof value === "string" ? Buffer.from(value) : Buffer.from(value);

function encodeAttributes(attributes: readonly Uint8Array[]): Buffer {
  const block = Buffer.concat(attributes.flatMap((part) => [encodeLength(part.length), part]));
  return Buffer.concat([encodeLength(block.length), block]);
}

function encodeLength(value: number): Buffer {
  if (value < 0xfb) return Buffer.from([value]);
  const bytes = Buffer.alloc(value < 0x10000 ? 3 : value < 0x1000000 ? 4 : 9);
  bytes[0] = value < 0x10000 ? 0xfc : value < 0x1000000 ? 0xfd : 0xfe;
  if (bytes.length === 9) bytes.writeBigUInt64LE(BigInt(value), 1);
  else bytes.writeUIntLE(value, 1, bytes.length - 1);
  return bytes;
}

function decodeLength(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  const first = bytes[at] ?? 0;
  if (first < 0xfb) return { value: first, next: at + 1 };
  const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 8;
  const value = width === 8 ? Number(bytes.readBigUInt64LE(at + 1)) : bytes.readUIntLE(at + 1, width);
  return { value, next: at + 1 + width };
}

/** Of an OK_Packet, also in its form as the end of rows: affected rows, last insert id, then the status flags. */
function hasMoreResults(payload: Buffer): boolean {
  const lastInsertId = decodeLength(payload, decodeLength(payload, 1).next);
  return (payload.readUInt16LE(lastInsertId.next) & MORE_RESULTS_EXIST) !== 0;
}

function describePacket(packet: WirePacket | undefined): string {
  if (packet === undefined) return "no packet";
  const { sequenceId, payload } = packet;
  const start = payload.subarray(0, 120).toString("latin1");
  const readable = start.replace(
    /[^ -~]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `#${sequenceId}, ${payload.length} bytes: ${readable}`;
}

/** Fails with the first packet that differs in its number or in any byte. */
export function assertSamePackets(through: readonly WirePacket[], direct: readonly WirePacket[], what = ""): void {
  for (let index = 0; index < Math.max(through.length, direct.length); index += 1) {
    const [got, wanted] = [through[index], direct[index]];
    if (got !== undefined && wanted !== undefined) {
      if (got.sequenceId === wanted.sequenceId && got.payload.equals(wanted.payload)) continue;
    }
    assert.equal(describePacket(got), describePacket(wanted), `${what} packet ${index}`);
    assert.fail(`${what} packet ${index} differs behind its start: ${describePacket(got)}`);
  }
}
