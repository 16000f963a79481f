/** A server that asks for the login as it is told to and checks the answers, and a client that gives them: for pages of logins. */
import {
  createPublicKey,
  constants as cryptoConstants,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";
import {
  cachingSha2DoubleHash,
  encodeCachingSha2Scramble,
  verifyCachingSha2Scramble,
} from "../../src/mysql/caching-sha2-password.ts";
import { decodeCommand, encodeChangeUser } from "../../src/mysql/command.ts";
import { CLIENT_CONNECT_WITH_DB, CLIENT_SESSION_TRACK, CLIENT_SSL } from "../../src/mysql/constants.ts";
import { encodeErrPacket } from "../../src/mysql/generic-response.ts";
import {
  type AuthSwitchRequest,
  decodeAuthPacket,
  decodeHandshakeResponse41,
  decodeHandshakeV10,
  encodeAuthMoreData,
  encodeAuthNextFactor,
  encodeAuthSwitchRequest,
  encodeHandshakeV10,
  type HandshakeResponse41,
} from "../../src/mysql/handshake.ts";
import {
  encodeNativePasswordScramble,
  hashNativePassword,
  verifyNativePassword,
} from "../../src/mysql/native-password.ts";
import { encryptPassword } from "../../src/mysql/rsa-password.ts";
import {
  connectPeer,
  type FakeLogin,
  GREETING,
  loginPayload,
  OK_PAYLOAD,
  type PacketPeer,
  refuseProbe,
  Served,
  sslRequest,
  startClientTls,
  startServerTls,
} from "./fake-peers.ts";

export interface LoginModelOptions {
  /** The account's. */
  readonly plugin: string;
  readonly password: string;
  /** Named in the greeting. */
  readonly greets?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** It has the password of caching_sha2_password in its cache. */
  readonly isFast?: boolean;
  /** A second factor by this plugin. */
  readonly factor?: string;
  /** What is sent in place of any answer to the login. */
  readonly instead?: readonly Uint8Array[];
  /** What each login is asked in place of that, one thing behind the answer to the one before; then it is through. */
  readonly asks?: () => readonly Uint8Array[];
  readonly flags?: number;
  /** Answers to what comes behind the login; OK where undefined. */
  readonly answer?: (payload: Uint8Array, peer: PacketPeer) => readonly Uint8Array[] | undefined;
}

const { publicKey, privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
});
/** Of the model's server. */
export const MODEL_KEY = publicKey;
export const MODEL_PEM = publicKey.export({ type: "spki", format: "pem" }).toString();
const FULL = Uint8Array.of(4);
const FAST = Uint8Array.of(3);
const CHANGE_USER = 0x11;
const DENIED = encodeErrPacket({ errorNumber: 1045, sqlState: "28000", message: "Access denied" });

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const withNul = (password: string): Uint8Array => Buffer.from(`${password}\0`);

export class LoginModel {
  readonly seen: string[] = [];
  readonly #options: LoginModelOptions;

  constructor(options: LoginModelOptions) {
    this.#options = options;
  }

  readonly served = new Served();
  readonly script = (plain: PacketPeer): Promise<void> => this.served.during(this.#serve(plain));

  async #serve(plain: PacketPeer): Promise<void> {
    const { tls, greets, plugin, flags = GREETING.capabilities.flags } = this.#options;
    const capabilities = { flags: (tls === undefined ? flags : flags | CLIENT_SSL) >>> 0, mariadb: 0 };
    plain.write(encodeHandshakeV10({ ...GREETING, capabilities, authPluginName: greets ?? plugin }), 0);
    const first = await plain.read();
    if (first === undefined) return void this.seen.push("left before the login");
    const isTls = first.payload.length === 32;
    const peer = isTls && tls !== undefined ? startServerTls(plain, tls) : plain;
    const packet = isTls ? await peer.expect() : first;
    const response = decodeHandshakeResponse41(packet.payload);
    this.seen.push(`login ${isTls ? "over TLS " : ""}${this.#told(response)}`);
    const talk = new Talk(peer, packet.sequenceId + 1);
    if (!(await this.#authenticate(talk, response, isTls))) return void peer.socket.end();
    for (let command = await peer.read(); command !== undefined; command = await peer.read()) {
      await this.#command(peer, command.payload, command.sequenceId, response, isTls);
    }
  }

  #told(response: HandshakeResponse41): string {
    const { user, authPluginName, authResponse, schema, characterSet, connectAttributes, capabilities } = response;
    const attributes = [...(connectAttributes ?? [])].map(([name]) => name).join();
    return `${user} ${schema} ${authPluginName} of ${authResponse.length} bytes, charset ${characterSet}, ${attributes}, ${capabilities.flags.toString(16)}`;
  }

  async #command(
    peer: PacketPeer,
    payload: Uint8Array,
    sequenceId: number,
    response: HandshakeResponse41,
    isTls: boolean,
  ): Promise<void> {
    if (payload[0] === CHANGE_USER) {
      const command = decodeCommand(payload, response.capabilities);
      if (command.name !== "COM_CHANGE_USER") return;
      const change = command.changeUser;
      this.seen.push(
        `change user to ${change.user} ${change.schema} ${change.authPluginName} of ${change.authResponse.length} bytes`,
      );
      await this.#authenticate(new Talk(peer, sequenceId + 1), { ...response, ...change }, isTls);
      return;
    }
    const answers = this.#options.answer?.(payload, peer);
    if (answers === undefined && refuseProbe(peer, payload)) return;
    this.seen.push(`${payload[0]} ${JSON.stringify(text(payload.subarray(1)))}`);
    for (const [index, answer] of (answers ?? [OK_PAYLOAD]).entries()) peer.write(answer, index + 1);
  }

  async #authenticate(talk: Talk, response: HandshakeResponse41, isTls: boolean): Promise<boolean> {
    const { plugin, instead, factor } = this.#options;
    if (instead !== undefined) {
      for (const payload of instead) talk.write(payload);
      return false;
    }
    if (this.#options.asks !== undefined) return await this.#ask(talk, this.#options.asks());
    const nonce = GREETING.authPluginData;
    let answer: Uint8Array | undefined = response.authResponse;
    if (response.authPluginName !== plugin) {
      talk.write(encodeAuthSwitchRequest(requestOf(plugin)));
      answer = await talk.read();
    }
    if (answer === undefined) return this.#left();
    let isRight = await this.#check(talk, answer, nonce, isTls);
    if (isRight && factor !== undefined) {
      talk.write(encodeAuthNextFactor(requestOf(factor)));
      const second = await talk.read();
      if (second === undefined) return this.#left();
      this.seen.push(`second factor ${second.length} bytes`);
      isRight = second.length > 1;
    }
    talk.write(isRight ? OK_PAYLOAD : DENIED);
    return isRight;
  }

  async #ask(talk: Talk, asks: readonly Uint8Array[]): Promise<boolean> {
    for (const payload of asks) {
      talk.write(payload);
      if (payload.length === 2 && payload[1] === FAST[0]) continue;
      const answer = await talk.read();
      if (answer === undefined) return this.#left();
      // What is encrypted or signed is another each time.
      this.seen.push(`answer of ${answer.length} bytes${answer.length < 70 ? ` ${JSON.stringify(text(answer))}` : ""}`);
    }
    talk.write(OK_PAYLOAD);
    return true;
  }

  #left(): false {
    this.seen.push("left within the login");
    return false;
  }

  async #check(talk: Talk, answer: Uint8Array, nonce: Uint8Array, isTls: boolean): Promise<boolean> {
    const { plugin, password, isFast = false } = this.#options;
    if (plugin === "mysql_native_password") {
      const isRight = verifyNativePassword(hashNativePassword(Buffer.from(password)), answer, nonce);
      return this.#said(`scramble of ${answer.length} bytes`, isRight);
    }
    if (plugin === "mysql_clear_password") return this.#said("clear", text(answer) === `${password}\0`);
    if (plugin === "sha256_password") return await this.#whole(talk, answer, nonce, isTls, 1);
    if (plugin !== "caching_sha2_password") {
      talk.write(encodeAuthMoreData(Buffer.from("more?")));
      const more = await talk.read();
      return more === undefined
        ? this.#left()
        : this.#said(`${plugin} ${answer.length} and ${more.length} bytes`, true);
    }
    if (answer.length !== 32) return this.#said(`no scramble of ${answer.length} bytes`, password === "");
    const isRight = verifyCachingSha2Scramble(cachingSha2DoubleHash(Buffer.from(password)), answer, nonce);
    if (!isRight || isFast) {
      if (isRight) talk.write(encodeAuthMoreData(FAST));
      return this.#said("scramble", isRight);
    }
    talk.write(encodeAuthMoreData(FULL));
    const whole = await talk.read();
    return whole === undefined ? this.#left() : await this.#whole(talk, whole, nonce, isTls, 2);
  }

  /** The whole password, in clear over TLS, else for a key that may be asked for. */
  async #whole(
    talk: Talk,
    answer: Uint8Array,
    nonce: Uint8Array,
    isTls: boolean,
    keyRequest: number,
  ): Promise<boolean> {
    const { password } = this.#options;
    if (isTls) return this.#said("whole in clear", text(answer) === `${password}\0`);
    let encrypted: Uint8Array | undefined = answer;
    if (answer.length === 1 && answer[0] === keyRequest) {
      this.seen.push("asks for the key");
      talk.write(encodeAuthMoreData(Buffer.from(MODEL_PEM)));
      encrypted = await talk.read();
    }
    if (encrypted === undefined) return this.#left();
    if (encrypted.length < 200) return this.#said(`not encrypted, ${encrypted.length} bytes`, password === "");
    const padding = cryptoConstants.RSA_PKCS1_OAEP_PADDING;
    const bytes = privateDecrypt({ key: privateKey, padding }, encrypted);
    const clear = bytes.map((byte, index) => byte ^ (nonce[index % nonce.length] ?? 0));
    return this.#said("whole encrypted", text(clear) === `${password}\0`);
  }

  #said(what: string, isRight: boolean): boolean {
    this.seen.push(`${what}: ${isRight ? "right" : "wrong"}`);
    return isRight;
  }
}

function requestOf(authPluginName: string): AuthSwitchRequest {
  return { authPluginName, authPluginData: Buffer.concat([GREETING.authPluginData, Uint8Array.of(0)]) };
}

/** One side of an exchange, with its sequence ids. */
class Talk {
  readonly #peer: PacketPeer;
  #next: number;

  constructor(peer: PacketPeer, next: number) {
    this.#peer = peer;
    this.#next = next;
  }

  write(payload: Uint8Array): void {
    this.#peer.write(payload, this.#next++ & 0xff);
  }

  async read(): Promise<Uint8Array | undefined> {
    const packet = await this.#peer.read();
    if (packet === undefined) return undefined;
    this.#next = packet.sequenceId + 1;
    return packet.payload;
  }
}

export interface ClientLoginOptions extends FakeLogin {
  readonly isTls?: boolean;
  /** The server's key is at hand, and is not asked for. */
  readonly serverKey?: KeyObject;
}

function keyOf(pem: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey(Buffer.from(pem));
  } catch {
    return undefined;
  }
}

/** What a client answers by this plugin. */
function answerBy(plugin: string, password: string, nonce: Uint8Array): Uint8Array {
  const bytes = Buffer.from(password);
  if (plugin === "mysql_native_password") return encodeNativePasswordScramble(bytes, nonce);
  if (plugin === "caching_sha2_password") return encodeCachingSha2Scramble(bytes, nonce);
  return withNul(password);
}

/** A client that answers what it is asked, and says what it was. */
export class LoginClient {
  readonly lines: string[] = [];
  peer: PacketPeer | undefined;
  #nonce: Uint8Array = new Uint8Array(0);
  #flags = 0;

  /** Up to its OK or its refusal; false where it is refused. */
  async logIn(port: number, login: ClientLoginOptions): Promise<boolean> {
    const plain = await connectPeer(port);
    const first = await plain.read();
    if (first === undefined) return this.#end("closed before a greeting");
    if (first.payload[0] === 0xff) return this.#end(`refused before a greeting: ${text(first.payload.subarray(3))}`);
    const greeting = decodeHandshakeV10(first.payload);
    const { authPluginName, capabilities, connectionId, characterSet, serverVersion } = greeting;
    this.lines.push(
      `< greeting ${serverVersion} ${authPluginName} ${capabilities.flags.toString(16)} id ${connectionId} charset ${characterSet}`,
    );
    this.#nonce = greeting.authPluginData;
    const isTls = login.isTls === true;
    if (isTls) plain.write(sslRequest(greeting), 1);
    const peer = isTls ? await startClientTls(plain, {}) : plain;
    this.peer = peer;
    const without = login.schema === undefined ? CLIENT_CONNECT_WITH_DB : 0;
    this.#flags = (login.flags ?? capabilities.flags & ~without) >>> 0;
    const plugin = login.authPluginName ?? authPluginName ?? "";
    const password = login.password ?? "";
    const authResponse = login.authResponse ?? answerBy(plugin, password, this.#nonce);
    peer.write(
      loginPayload(greeting, { ...login, flags: this.#flags, authPluginName: plugin, authResponse }),
      isTls ? 2 : 1,
    );
    return await this.#exchange(peer, plugin, login);
  }

  async changeUser(login: ClientLoginOptions & { readonly user: string }): Promise<boolean> {
    const { peer } = this;
    if (peer === undefined) return false;
    const plugin = login.authPluginName ?? "caching_sha2_password";
    const authResponse = answerBy(plugin, login.password ?? "", this.#nonce);
    const { user, schema = "" } = login;
    const change = { user, schema, authResponse, characterSet: 45, authPluginName: plugin };
    peer.write(encodeChangeUser(change, this.#flags), 0);
    return await this.#exchange(peer, plugin, login);
  }

  async #exchange(peer: PacketPeer, first: string, login: ClientLoginOptions): Promise<boolean> {
    const { password = "", isTls = false, serverKey } = login;
    let plugin = first;
    let isKeyAsked = false;
    for (;;) {
      const packet = await peer.read();
      if (packet === undefined) return this.#end("closed");
      const reply = (payload: Uint8Array): void => peer.write(payload, packet.sequenceId + 1);
      const said = decodeAuthPacket(packet.payload, this.#flags & CLIENT_SESSION_TRACK);
      if (said.kind === "OK_Packet") {
        this.lines.push(`< ${packet.sequenceId} OK ${said.ok.statusFlags} ${said.ok.info.length}`);
        return true;
      }
      if (said.kind === "ERR_Packet")
        return this.#end(`${packet.sequenceId} ${said.err.errorNumber} ${said.err.sqlState} ${said.err.message}`);
      if (said.kind === "AuthMoreData") {
        this.lines.push(`< more of ${said.data.length < 9 ? said.data.join() : "a key"}`);
        if (said.data.length === 1 && said.data[0] === 3) continue;
        if (said.data.length > 100) {
          const key = keyOf(said.data);
          if (key === undefined) return this.#end("no key");
          reply(encryptPassword(key, withNul(password), this.#nonce));
        } else if (isTls || plugin !== "caching_sha2_password") reply(withNul(password));
        else if (serverKey !== undefined) reply(encryptPassword(serverKey, withNul(password), this.#nonce));
        else {
          if (isKeyAsked) return this.#end("asked for the key twice");
          isKeyAsked = true;
          reply(Uint8Array.of(2));
        }
        continue;
      }
      plugin = said.authPluginName;
      this.#nonce = said.authPluginData.length === 21 ? said.authPluginData.subarray(0, 20) : this.#nonce;
      this.lines.push(`< ${said.kind} ${plugin} with ${said.authPluginData.length} bytes`);
      if (plugin === "sha256_password" && !isTls) reply(password === "" ? Uint8Array.of(0) : Uint8Array.of(1));
      else reply(answerBy(plugin, password, this.#nonce));
    }
  }

  #end(why: string): false {
    this.lines.push(`< ${why}`);
    return false;
  }
}
