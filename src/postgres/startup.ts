/**
 * What a connection begins with, before messages have types: `Int32 length (itself included), Int32 code, rest` (manual,
 * page protocol-message-formats; ProcessStartupPacket() in backend_startup.c).
 */

import { ByteReader, ByteWriter, concatBytes, decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import {
  type BackendKeyData,
  type ProtocolNegotiation,
  SECRET_KEY_BYTES_MAX,
  SECRET_KEY_BYTES_MIN,
} from "./backend-message.ts";
import { ClientMessageError, decodeForClient } from "./error-states.ts";
import { LENGTH_BYTES, writeString } from "./message.ts";
import { lengthAt } from "./message-reader.ts";

const PROTOCOL_MAJOR = 3;
/** Newest minor version that querycop speaks; 3.1 was never released. */
const PROTOCOL_MINOR = 2;
const CANCEL_REQUEST = 80877102;
const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;

/** MAX_STARTUP_PACKET_LENGTH: behind the length. */
const STARTUP_BYTES_MAX = 10_000;
const STARTUP_BYTES_MIN = 4;
/** The first byte of a TLS handshake record: no startup packet is long enough to begin with it. */
const TLS_HANDSHAKE = 0x16;
/** Longer names of users and databases are cut by servers, up to 16 and from 18 on: another name than was judged. */
const NAME_BYTES_MAX = 63;
const PARAMETERS_MAX = 256;
const PROTOCOL_OPTION_PREFIX = "_pq_.";

export interface StartupMessage {
  readonly kind: "StartupMessage";
  /** Of protocol 3, as asked for; 9999 is a probe. */
  readonly minor: number;
  readonly user: string;
  /** The user's name where the client named none. */
  readonly database: string;
  /** Command-line options for the session: parseSessionOptions() reads them. */
  readonly options: string | undefined;
  /** Anything but a word for false asks for a stream of the whole cluster: asksForReplication() reads it. */
  readonly replication: string | undefined;
  /** Settings of the session in the client's order, names as sent. */
  readonly settings: ReadonlyMap<string, string>;
  /** Names with `_pq_.` in front, for extensions of the protocol. */
  readonly protocolOptions: readonly string[];
}

export type StartupPacket =
  | { readonly kind: "SSLRequest" | "GSSENCRequest" }
  | ({ readonly kind: "CancelRequest" } & BackendKeyData)
  | StartupMessage
  /** A version of the protocol that is not 3: below 3 encodeUnframedError() is what its clients can read. */
  | { readonly kind: "unsupported-version"; readonly major: number; readonly minor: number };

/**
 * Collects the packets of a connection's beginning, at most 10,004 bytes at a time. SSLRequest and GSSENCRequest may come
 * once each, and whoever answers an SSLRequest first asks whether checkBehindSslRequest() allows it.
 */
export class StartupReader {
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #seen = new Set<StartupPacket["kind"]>();

  push(chunk: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : concatBytes([this.#bytes, chunk]);
  }

  get bufferedBytes(): number {
    return this.#bytes.length;
  }

  /** The client speaks TLS at once, as it may from PostgreSQL 17 on: the rest goes to TLS, with ALPN `postgresql`. */
  get isDirectTls(): boolean {
    return this.#seen.size === 0 && this.#bytes[0] === TLS_HANDSHAKE;
  }

  /** What came behind the packet that next() gave last, for whoever takes over the connection. Empties the reader. */
  takeRest(): Uint8Array {
    const rest = this.#bytes;
    this.#bytes = new Uint8Array(0);
    return rest;
  }

  /**
   * The next packet, or undefined while it is incomplete. Throws ClientMessageError for what no server would read on
   * behind: lengths out of bounds, a layout that does not hold together, a key given twice, a request repeated.
   */
  next(): StartupPacket | undefined {
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const bytes = lengthAt(this.#bytes, 0);
    if (bytes < LENGTH_BYTES + STARTUP_BYTES_MIN || bytes > LENGTH_BYTES + STARTUP_BYTES_MAX) {
      throw violation("08P01", `a startup packet whose length is ${bytes}`);
    }
    if (this.#bytes.length < bytes) return undefined;
    const packet = decodeStartupPacket(this.#bytes.subarray(LENGTH_BYTES, bytes));
    this.#bytes = this.#bytes.subarray(bytes);
    if (this.#seen.has(packet.kind)) throw violation("08P01", `a second ${packet.kind}`);
    this.#seen.add(packet.kind);
    return packet;
  }
}

function violation(messageState: string, found: string, cause?: unknown): ClientMessageError {
  return new ClientMessageError("QC_CLIENT_PROTOCOL", messageState, `Cannot begin a connection with ${found}`, cause);
}

/** `payload` is what stands behind the length. */
export function decodeStartupPacket(payload: Uint8Array): StartupPacket {
  return decodeForClient("QC_CLIENT_PROTOCOL", () => decodePacket(new ByteReader(payload, "startup packet")));
}

function decodePacket(reader: ByteReader): StartupPacket {
  const code = reader.int32BE();
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    reader.expectEnd();
    return { kind: code === SSL_REQUEST ? "SSLRequest" : "GSSENCRequest" };
  }
  if (code === CANCEL_REQUEST) {
    const processId = reader.int32BE();
    const secretKey = reader.rest();
    if (secretKey.length < SECRET_KEY_BYTES_MIN || secretKey.length > SECRET_KEY_BYTES_MAX) {
      reader.fail(`a secret key of ${secretKey.length} bytes`);
    }
    return { kind: "CancelRequest", processId, secretKey };
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  return major === PROTOCOL_MAJOR ? decodeStartupMessage(reader, minor) : { kind: "unsupported-version", major, minor };
}

function decodeStartupMessage(reader: ByteReader, minor: number): StartupMessage {
  const parameters = readParameters(reader);
  const take = (key: string): string | undefined => {
    const value = parameters.get(key);
    parameters.delete(key);
    return value;
  };
  const user = take("user") ?? "";
  if (user === "") throw violation("28000", "no name of a user: the startup message must hold one");
  const database = take("database") ?? "";
  requireShort("user", user);
  requireShort("database", database);
  const options = take("options");
  const replication = take("replication");
  const protocolOptions = [...parameters.keys()].filter((key) => key.startsWith(PROTOCOL_OPTION_PREFIX));
  for (const key of protocolOptions) parameters.delete(key);
  return {
    kind: "StartupMessage",
    minor,
    user,
    database: database === "" ? user : database,
    options,
    replication,
    settings: parameters,
    protocolOptions,
  };
}

/** Keys and values up to the empty key, which ends the packet. The server lets a later one win; here none comes twice. */
function readParameters(reader: ByteReader): Map<string, string> {
  const parameters = new Map<string, string>();
  const folded = new Set<string>();
  for (;;) {
    const key = readText(reader, "the name of a parameter");
    if (key === "") break;
    const value = readText(reader, "the value of a parameter");
    // Names of settings are compared without regard to case.
    const name = key.toLowerCase();
    if (folded.has(name)) throw violation("08P01", "a parameter that is given twice");
    folded.add(name);
    parameters.set(key, value);
    if (parameters.size > PARAMETERS_MAX) throw violation("08P01", `more than ${PARAMETERS_MAX} parameters`);
  }
  reader.expectEnd();
  return parameters;
}

function readText(reader: ByteReader, what: string): string {
  const text = decodeUtf8(reader.nulTerminatedBytes());
  if (text === undefined) throw violation("22021", `bytes that are no UTF-8 as ${what}`);
  return text;
}

function requireShort(what: string, name: string): void {
  const bytes = encodeUtf8(name).length;
  if (bytes <= NAME_BYTES_MAX) return;
  throw violation("42622", `a ${what} of ${bytes} bytes: servers cut names behind ${NAME_BYTES_MAX}`);
}

/** Words that turn a setting off in full; a server takes their beginnings too, which are taken for the worst here. */
const FALSE_WORDS: ReadonlySet<string> = new Set(["false", "off", "no", "0"]);

/** True for a walsender connection, logical (`database`) or physical: its commands read the whole cluster. */
export function asksForReplication({ replication }: StartupMessage): boolean {
  return replication !== undefined && !FALSE_WORDS.has(replication.toLowerCase());
}

export interface Setting {
  /** In lower case, with `_` where the client wrote `-`. */
  readonly name: string;
  readonly value: string;
}

/**
 * Everything that the startup message sets, in the order of the server (process_startup_options() in postinit.c): the
 * last of two wins. Throws as parseSessionOptions().
 */
export function startupSettings(message: StartupMessage): Setting[] {
  const settings = parseSessionOptions(message.options ?? "");
  for (const [name, value] of message.settings) settings.push({ name: name.toLowerCase(), value });
  return settings;
}

/**
 * The settings in `options`, read as servers do: pg_split_opts() in postinit.c for words, process_postgres_switches() in
 * postgres.c for `-c name=value` and `--name=value`. Throws ClientMessageError 42601 for anything else, the letters that
 * stand for settings (`-e`, `-W 5`) included: nobody is to guess what they do.
 */
export function parseSessionOptions(options: string): Setting[] {
  const words = splitOptions(options);
  const settings: Setting[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    // As getopt has it, the value of -c may stand in the same word or be the next one, whatever that looks like.
    if (word === "-c") settings.push(parseSetting(words[++index]));
    else if (word.startsWith("-c") || (word.startsWith("--") && word.length > 2))
      settings.push(parseSetting(word.slice(2)));
    else throw violation("42601", "session options other than -c name=value and --name=value");
  }
  return settings;
}

function parseSetting(text: string | undefined): Setting {
  const at = text?.indexOf("=") ?? -1;
  if (text === undefined || at < 1) throw violation("42601", "a session option without a name or a value");
  return { name: text.slice(0, at).replaceAll("-", "_").toLowerCase(), value: text.slice(at + 1) };
}

/** isspace() in the C locale. */
const BLANKS = " \t\n\v\f\r";

/** A backslash takes the character behind it as it is, blanks too. */
function splitOptions(options: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < options.length; at++) {
    const character = options[at] as string;
    if (character === "\\") {
      word = (word ?? "") + (options[++at] ?? "");
    } else if (BLANKS.includes(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  return word === undefined ? words : [...words, word];
}

/**
 * Throws where the client has sent bytes behind its SSLRequest that TLS must not hide: answered with `S` they would be
 * read as if they had come through TLS (CVE-2021-23214). A TLS record there is a client that does not wait, as it need
 * not since PostgreSQL 17.
 */
export function checkBehindSslRequest(rest: Uint8Array): void {
  if (rest.length === 0 || rest[0] === TLS_HANDSHAKE) return;
  throw violation("08P01", `${rest.length} bytes without TLS behind an SSLRequest`);
}

/** The one byte that answers an SSLRequest (`S` or `N`) or a GSSENCRequest (`N` always). */
export function encodeEncryptionAnswer(isTls: boolean): Uint8Array {
  return encodeUtf8(isTls ? "S" : "N");
}

const ANSWER_YES = 0x53;
const ANSWER_NO = 0x4e;
const ANSWER_ERROR = 0x45;

/**
 * Whether the backend goes on with TLS, from all that has come behind our SSLRequest. One byte is all it may be: more
 * was put there by somebody in between (CVE-2021-23222), and the text of an error is nobody's to show, for nothing
 * vouches for it (CVE-2024-10977). Throws QC_BACKEND_TLS for both.
 */
export function decodeSslAnswer(bytes: Uint8Array): boolean {
  const [answer] = bytes;
  if (bytes.length === 1 && (answer === ANSWER_YES || answer === ANSWER_NO)) return answer === ANSWER_YES;
  const found =
    answer === ANSWER_ERROR ? "an error in place of an answer" : `${bytes.length} bytes, the first ${answer}`;
  throw new QuerycopError(
    "QC_BACKEND_TLS",
    `Cannot begin TLS with the backend: expected the byte S or N, got ${found}`,
  );
}

function encodePacket(code: number, write: (packet: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(256).int32BE(code);
  write(writer);
  const payload = writer.finish();
  return concatBytes([new ByteWriter().int32BE(LENGTH_BYTES + payload.length).finish(), payload]);
}

export function encodeSslRequest(): Uint8Array {
  return encodePacket(SSL_REQUEST, () => {});
}

export function encodeGssEncRequest(): Uint8Array {
  return encodePacket(GSSENC_REQUEST, () => {});
}

export function encodeCancelRequest({ processId, secretKey }: BackendKeyData): Uint8Array {
  return encodePacket(CANCEL_REQUEST, (packet) => packet.int32BE(processId).bytes(secretKey));
}

export interface OwnStartup {
  readonly minor: number;
  readonly user: string;
  readonly database: string;
  readonly settings: ReadonlyMap<string, string>;
}

/** Options of the protocol are never sent: querycop knows none. RangeError for names that end the packet early. */
export function encodeStartupMessage({ minor, user, database, settings }: OwnStartup): Uint8Array {
  return encodePacket((PROTOCOL_MAJOR << 16) | minor, (packet) => {
    for (const [key, value] of [["user", user], ["database", database], ...settings] as const) {
      if (key === "") throw new RangeError("Cannot write a startup parameter without a name");
      writeString(writeString(packet, key), value);
    }
    packet.uint8(0);
  });
}

export interface Negotiation {
  /** What both sides speak from here on: 0 or 2. */
  readonly minor: number;
  /** To be told before authentication, where the client asked for something else. */
  readonly answer: ProtocolNegotiation | undefined;
}

/** `backendMinor` is what the backend's leg has agreed on, where it is known. */
export function negotiateProtocol(message: StartupMessage, backendMinor: number = PROTOCOL_MINOR): Negotiation {
  const minor = Math.min(message.minor, backendMinor) < PROTOCOL_MINOR ? 0 : PROTOCOL_MINOR;
  const unknownOptions = message.protocolOptions;
  const isAnswered = minor !== message.minor || unknownOptions.length > 0;
  return { minor, answer: isAnswered ? { minor, unknownOptions } : undefined };
}

/** The error of protocol 2, which is what clients of a version below 3 can read: `E`, the text, a line end and a NUL. */
export function encodeUnframedError(text: string): Uint8Array {
  return encodeUtf8(`E${text.replaceAll("\0", "")}\n\0`);
}
