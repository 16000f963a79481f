/** A client that speaks PostgreSQL with querycop's own codecs, over a plain socket or TLS. */
import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import {
  type Authentication,
  type BackendKeyData,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeErrorFields,
  decodeParameterStatus,
  decodeReadyForQuery,
  type ErrorFields,
} from "../../src/postgres/backend-message.ts";
import { type BackendPiece, BackendWalker, PassingBytes } from "../../src/postgres/backend-walker.ts";
import { tlsServerEndPoint } from "../../src/postgres/channel-binding.ts";
import { encodeFrontendMessage, type FrontendMessage } from "../../src/postgres/frontend-message.ts";
import {
  encodePasswordMessage,
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from "../../src/postgres/login-message.ts";
import { encodeMd5Password } from "../../src/postgres/md5-password.ts";
import { ScramClient, type ScramSecret } from "../../src/postgres/scram.ts";
import { decodeSslAnswer, encodeSslRequest, encodeStartupMessage } from "../../src/postgres/startup.ts";

const WAIT_MS = 60_000;

export interface PostgresLogin {
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  /** In place of the password for SCRAM. */
  readonly secret?: ScramSecret;
  readonly isTls?: boolean;
  readonly database?: string;
  readonly minor?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** An error by which the server refused the login or ended the connection. */
export class PostgresError extends Error {
  readonly fields: ErrorFields;
  constructor(fields: ErrorFields) {
    super(`${fields.severity} ${fields.code} ${fields.message}`);
    this.fields = fields;
  }
}

export class PostgresClient {
  /** How the server asked for the password, in the order of its requests; SASL with the mechanism that was used. */
  readonly asked: string[] = [];
  readonly parameters = new Map<string, string>();
  keyData: BackendKeyData | undefined;
  #socket: Socket | TLSSocket;
  readonly #walker = new BackendWalker();
  readonly #chunks: Uint8Array[] = [];
  #isEnded = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects, without any message yet but the request for TLS. */
  static async open({ port, isTls = false }: Pick<PostgresLogin, "port" | "isTls">): Promise<PostgresClient> {
    const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    const client = new PostgresClient(socket);
    if (isTls) {
      socket.write(encodeSslRequest());
      const answer = await new Promise<Uint8Array>((resolve) => socket.once("data", resolve));
      assert.equal(decodeSslAnswer(answer), true);
      client.#socket = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ["postgresql"] });
      await once(client.#socket, "secureConnect");
    }
    client.#socket.on("data", (chunk: Uint8Array) => {
      client.#chunks.push(chunk);
      client.#wake();
    });
    for (const event of ["close", "error", "end"]) {
      client.#socket.on(event, () => {
        client.#isEnded = true;
        client.#wake();
      });
    }
    return client;
  }

  static async logIn(login: PostgresLogin): Promise<PostgresClient> {
    const client = await PostgresClient.open(login);
    try {
      await client.#startUp(login);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  async #startUp(login: PostgresLogin): Promise<void> {
    const { user, database = "postgres", minor = 0, settings = {} } = login;
    this.write(encodeStartupMessage({ minor, user, database, settings: new Map(Object.entries(settings)) }));
    let scram: ScramClient | undefined;
    for (;;) {
      const piece = await this.next();
      assert.ok(piece?.kind === "message", "the server closed the connection");
      const type = String.fromCharCode(piece.type);
      if (type === "E") throw new PostgresError(decodeErrorFields(piece.body));
      if (type === "K") this.keyData = decodeBackendKeyData(piece.body);
      if (type === "Z") return void assert.equal(decodeReadyForQuery(piece.body), "I");
      if (type === "R") scram = this.#answer(decodeAuthentication(piece.body), login, scram);
    }
  }

  #answer(request: Authentication, login: PostgresLogin, scram: ScramClient | undefined): ScramClient | undefined {
    const password = new TextEncoder().encode(login.password ?? "");
    if (request.kind !== "ok" && request.kind !== "sasl") this.asked.push(request.kind);
    switch (request.kind) {
      case "cleartext":
        this.write(encodePasswordMessage(password));
        return undefined;
      case "md5":
        this.write(
          encodePasswordMessage(new TextEncoder().encode(encodeMd5Password(login.user, password, request.salt))),
        );
        return undefined;
      case "sasl": {
        const secret = login.secret ?? { password };
        const client = new ScramClient({ secret, mechanisms: request.mechanisms, channelBinding: this.channelBinding });
        this.asked.push(client.mechanism);
        this.write(encodeSaslInitialResponse({ mechanism: client.mechanism, data: client.first() }));
        return client;
      }
      case "sasl-continue":
        this.write(encodeSaslResponse(scram?.final(request.data) ?? assert.fail("no SASL has begun")));
        return scram;
      case "sasl-final":
        scram?.checkServerFinal(request.data);
        return scram;
      case "ok":
        return scram;
      default:
        return assert.fail(`the server asks for ${request.code}`);
    }
  }

  get channelBinding(): Uint8Array | undefined {
    if (!("getPeerCertificate" in this.#socket)) return undefined;
    return tlsServerEndPoint(this.#socket.getPeerCertificate().raw);
  }

  write(...parts: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  send(...messages: readonly FrontendMessage[]): void {
    this.write(...messages.map(encodeFrontendMessage));
  }

  /**
   * The next piece of what the server sends, or undefined at its end. ParameterStatus is remembered, and what passes in
   * parts is put together: tests look into rows.
   */
  async next(): Promise<BackendPiece | undefined> {
    const parts: Uint8Array[] = [];
    for (let begun = 0, ended = 0; ; ) {
      const piece = await this.#nextPart();
      if (piece?.kind !== "passing") return piece;
      parts.push(piece.wire);
      begun += piece.begun;
      ended += piece.ended;
      if (begun !== ended) continue;
      const bytes = Buffer.concat(parts);
      return new PassingBytes(piece.type, { bytes, start: 0, end: bytes.length }, begun, ended);
    }
  }

  async #nextPart(): Promise<BackendPiece | undefined> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const piece = this.#walker.next();
      if (piece !== undefined) return this.#remember(piece);
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) this.#walker.push(chunk);
      else if (this.#isEnded) return undefined;
      else await this.#more(deadline);
    }
  }

  #remember(piece: BackendPiece): BackendPiece {
    if (piece.kind === "message" && piece.type === 0x53) {
      const { parameter, value } = decodeParameterStatus(piece.body);
      this.parameters.set(parameter, value);
    }
    return piece;
  }

  async #more(deadline: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`The server was silent for ${WAIT_MS} ms`)),
        deadline - Date.now(),
      );
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Pieces up to the `count`th ReadyForQuery, or to the connection's end. */
  async untilReady(count = 1): Promise<BackendPiece[]> {
    const pieces: BackendPiece[] = [];
    for (let left = count; left > 0; ) {
      const piece = await this.next();
      if (piece === undefined) break;
      pieces.push(piece);
      if (piece.type === 0x5a) left -= 1;
    }
    return pieces;
  }

  /** The text values of all rows of a Query. Throws the server's error. */
  async query(sql: string): Promise<(string | null)[][]> {
    this.send({ name: "Query", sql: new TextEncoder().encode(sql) });
    const pieces = await this.untilReady();
    for (const piece of pieces) {
      if (piece.kind === "message" && piece.type === 0x45) throw new PostgresError(decodeErrorFields(piece.body));
    }
    return pieces.flatMap((piece) => (piece.type === 0x44 ? rowsIn(piece.wire) : []));
  }

  close(): void {
    this.#socket.destroy();
  }
}

function once(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve());
    socket.once("error", reject);
  });
}

/** The text values of whole DataRows that follow each other. */
export function rowsIn(wire: Uint8Array): (string | null)[][] {
  const view = Buffer.from(wire.buffer, wire.byteOffset, wire.length);
  const rows: (string | null)[][] = [];
  for (let at = 0; at < view.length; ) {
    const end = at + 1 + view.readInt32BE(at + 1);
    const count = view.readUInt16BE(at + 5);
    const row: (string | null)[] = [];
    let value = at + 7;
    for (let index = 0; index < count; index++) {
      const length = view.readInt32BE(value);
      value += 4;
      row.push(length === -1 ? null : view.toString("utf8", value, value + Math.max(0, length)));
      value += Math.max(0, length);
    }
    rows.push(row);
    at = end;
  }
  return rows;
}
