/** A client of querycop's own private listener: statements with a few rows for an answer, and files. */
import { encodeUtf8 } from "../base/bytes.ts";
import { encodeCachingSha2Scramble } from "../mysql/caching-sha2-password.ts";
import { encodeQuery } from "../mysql/command.ts";
import {
  CLIENT_CONNECT_WITH_DB,
  CLIENT_LOCAL_FILES,
  CLIENT_LONG_PASSWORD,
  CLIENT_PROTOCOL_41,
  CLIENT_TRANSACTIONS,
  ERR_HEADER,
  LOCAL_INFILE_HEADER,
  OK_HEADER,
} from "../mysql/constants.ts";
import { decodeErrPacket, decodeOkPacket } from "../mysql/generic-response.ts";
import {
  canonicalHandshakeResponse,
  decodeAuthPacket,
  decodeInitialPacket,
  encodeHandshakeResponse41,
} from "../mysql/handshake.ts";
import { encodeNativePasswordScramble } from "../mysql/native-password.ts";
import { encodePacket } from "../mysql/packet.ts";
import { Leg } from "../net/leg.ts";
import { network } from "../net/network.ts";
import { BackendGate } from "../session/backend-gate.ts";
import { queryText, type TextValue } from "../session/mysql/statements/text-query.ts";
import { LoadFailure } from "./load-failure.ts";

export interface LoadTarget {
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** The server, or querycop before it, has refused a statement; the connection goes on. */
export class StatementRefused extends LoadFailure {
  readonly errorNumber: number;

  constructor(purpose: string, errorNumber: number, message: string) {
    super(`${purpose}: error ${errorNumber}: ${message}`);
    this.errorNumber = errorNumber;
  }
}

/** As the server counts: the text of the OK packet, whose own field for warnings has 16 bits. */
export interface LoadCounts {
  readonly records: number;
  readonly deleted: number;
  readonly skipped: number;
  readonly warnings: number;
}

const LOGIN_MS = 60_000;
/** A load of a large object, a rollback, a lock waited for: whoever is tired of it ends the command. */
const STATEMENT_MS = 7 * 24 * 3600_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const ROWS_MAX = 70_000;
const FILE_PACKET_BYTES = 256 * 1024;
const UTF8MB4_GENERAL_CI = 45;
const FLAGS = CLIENT_PROTOCOL_41 | CLIENT_LONG_PASSWORD | CLIENT_TRANSACTIONS | CLIENT_LOCAL_FILES;

export class LoadClient {
  readonly #leg: Leg;
  readonly #gate: BackendGate;
  #flags = 0;

  private constructor(leg: Leg) {
    this.#leg = leg;
    this.#gate = new BackendGate(leg, LOGIN_MS);
  }

  /** Rejects with LoadFailure where the login is refused, with QuerycopError where the connection breaks. */
  static async open(target: LoadTarget): Promise<LoadClient> {
    const transport = await network.connect("127.0.0.1", target.port, AbortSignal.timeout(LOGIN_MS));
    const client = new LoadClient(new Leg("backend", transport, ANSWER_BYTES_MAX));
    try {
      await client.#logIn(target);
      return client;
    } catch (thrown) {
      client.destroy();
      throw thrown;
    }
  }

  get isLost(): boolean {
    return this.#leg.isDead || this.#leg.isEnded;
  }

  /** `purpose` is for error texts, in words. */
  async query(sql: string, purpose: string): Promise<readonly (readonly TextValue[])[]> {
    const capabilities = { flags: this.#flags, mariadb: 0 };
    const timeoutMs = STATEMENT_MS;
    const query = { sql: encodeUtf8(sql), purpose, capabilities, rowsMax: ROWS_MAX, timeoutMs };
    const answer = await queryText(this.#gate, query);
    if (answer.kind === "refused") throw new StatementRefused(purpose, answer.errorNumber, answer.message);
    return answer.rows;
  }

  /** Sends a LOAD DATA without a file of ours. */
  async loadThere(sql: string, purpose: string): Promise<LoadCounts> {
    this.#gate.send(OWN, encodePacket(encodeQuery(encodeUtf8(sql), this.#flags), 0));
    return this.#counts((await this.#next()).payload, purpose);
  }

  /**
   * Sends a LOAD DATA LOCAL and the file that it names. What the file's source rejects with is passed on, and the connection
   * is closed then: only the empty packet behind the last byte lets the server take what came for the whole.
   */
  async loadFile(sql: string, name: string, file: AsyncIterable<Uint8Array>, purpose: string): Promise<LoadCounts> {
    this.#gate.send(OWN, encodePacket(encodeQuery(encodeUtf8(sql), this.#flags), 0));
    const asked = await this.#next();
    if (asked.payload[0] !== LOCAL_INFILE_HEADER) return this.#counts(asked.payload, purpose);
    try {
      if (Buffer.from(asked.payload.subarray(1)).toString("utf8") !== name)
        throw new LoadFailure(`${purpose}: the server asks for another file than the one that the statement names`);
      let sequenceId = (asked.lastSequenceId + 1) & 0xff;
      for await (const chunk of file) {
        for (let at = 0; at < chunk.length; at += FILE_PACKET_BYTES) {
          await this.#sendPart(chunk.subarray(at, at + FILE_PACKET_BYTES), sequenceId);
          sequenceId = (sequenceId + 1) & 0xff;
        }
      }
      await this.#sendPart(new Uint8Array(0), sequenceId);
    } catch (thrown) {
      this.destroy();
      throw thrown;
    }
    return this.#counts((await this.#next()).payload, purpose);
  }

  close(): void {
    this.#gate.quit();
    this.#gate.destroy();
  }

  destroy(): void {
    this.#gate.destroy();
  }

  async #sendPart(part: Uint8Array, sequenceId: number): Promise<void> {
    if (this.isLost) throw new LoadFailure("the connection to the server broke off");
    if (!this.#leg.write(encodePacket(part, sequenceId), true)) await this.#gate.drainedWithin(STATEMENT_MS);
  }

  async #next() {
    return await this.#gate.expectPacket("waiting for the answer", STATEMENT_MS);
  }

  #counts(payload: Uint8Array, purpose: string): LoadCounts {
    if (payload[0] === ERR_HEADER) {
      const { errorNumber, message } = decodeErrPacket(payload);
      throw new StatementRefused(purpose, errorNumber, message);
    }
    const info = payload[0] === OK_HEADER ? decodeOkPacket(payload, this.#flags).info : new Uint8Array(0);
    const text = Buffer.from(info).toString("latin1");
    const [, records, deleted, skipped, warnings] = COUNTS.exec(text) ?? [];
    if (warnings === undefined) throw new LoadFailure(`${purpose}: the server does not say how many rows it took`);
    return {
      records: Number(records),
      deleted: Number(deleted),
      skipped: Number(skipped),
      warnings: Number(warnings),
    };
  }

  async #logIn({ user, password }: LoadTarget): Promise<void> {
    const initial = decodeInitialPacket((await this.#gate.expectLoginPacket("waiting for the greeting")).payload);
    if (initial.kind === "ERR_Packet") throw refusedLogin(initial.err);
    const { handshake } = initial;
    const bytes = encodeUtf8(password);
    const response = canonicalHandshakeResponse({
      capabilities: { flags: FLAGS & handshake.capabilities.flags & ~CLIENT_CONNECT_WITH_DB, mariadb: 0 },
      maxPacketSize: ANSWER_BYTES_MAX,
      characterSet: UTF8MB4_GENERAL_CI,
      user,
      authResponse: scramble(handshake.authPluginName, bytes, handshake.authPluginData),
      authPluginName: handshake.authPluginName,
      connectAttributes: new Map([["program_name", "querycop load"]]),
    });
    this.#flags = response.capabilities.flags;
    this.#gate.sendPayload(LOGIN, encodeHandshakeResponse41(response));
    for (;;) {
      const { payload } = await this.#gate.expectLoginPacket("logging in");
      const packet = decodeAuthPacket(payload, this.#flags);
      if (packet.kind === "OK_Packet") break;
      if (packet.kind === "ERR_Packet") throw refusedLogin(packet.err);
      if (packet.kind === "AuthMoreData") continue;
      this.#gate.sendPayload(LOGIN, scramble(packet.authPluginName, bytes, packet.authPluginData));
    }
  }
}

const OWN = { kind: "own", purpose: "a load" } as const;
const LOGIN = { kind: "login", packet: "authentication" } as const;
const COUNTS = /^Records: (\d{1,19}) {2}Deleted: (\d{1,19}) {2}Skipped: (\d{1,19}) {2}Warnings: (\d{1,19})/;

function scramble(plugin: string, password: Uint8Array, nonce: Uint8Array): Uint8Array {
  return plugin === "mysql_native_password"
    ? encodeNativePasswordScramble(password, nonce)
    : encodeCachingSha2Scramble(password, nonce);
}

function refusedLogin({ errorNumber, message }: { errorNumber: number; message: string }): StatementRefused {
  return new StatementRefused("logging in", errorNumber, message);
}
