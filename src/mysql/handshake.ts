/** The packets of the connection phase: page_protocol_connection_phase_packets. */

import { ByteReader, ByteWriter, decodeUtf8Lossy, encodeUtf8 } from "../base/bytes.ts";
import { UNKNOWN_TEXT } from "../base/characters.ts";
import { QuerycopError } from "../base/errors.ts";
import { bytesToKeep, decodeNameBytes, encodeNameBytes } from "./character-set.ts";
import {
  AUTH_MORE_DATA_HEADER,
  AUTH_NEXT_FACTOR_HEADER,
  AUTH_PLUGIN_DATA_BYTES,
  type Capabilities,
  CLIENT_CONNECT_ATTRS,
  CLIENT_CONNECT_WITH_DB,
  CLIENT_LONG_PASSWORD,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_PROTOCOL_41,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SSL,
  CLIENT_ZSTD_COMPRESSION_ALGORITHM,
  CONNECT_ATTRIBUTES_BYTES_MAX,
  EOF_HEADER,
  ERR_HEADER,
  OK_HEADER,
  SCHEMA_BYTES_MAX,
  USER_BYTES_MAX,
} from "./constants.ts";
import { decodeErrPacket, decodeOkPacket, type ErrPacket, type OkPacket } from "./generic-response.ts";

const PROTOCOL_VERSION = 10;
const SERVER_VERSION_BYTES_MAX = 255;
const PLUGIN_NAME_BYTES_MAX = 64;
const AUTH_PLUGIN_DATA_PART_1_BYTES = 8;
/** Length byte of a greeting: 20 bytes of authPluginData and their NUL. */
const AUTH_PLUGIN_DATA_LENGTH = 21;
const HANDSHAKE_RESPONSE_HEAD_BYTES = 32;
/** Old Connector/J sends the flags alone (AUTH_PACKET_HEADER_SIZE_CONNJ_SSL in sql_authentication.cc). */
const SSL_REQUEST_SHORT_BYTES = 4;
const MAX_PACKET_SIZE_DEFAULT = 0x1000000;
const CONNECT_ATTRIBUTES_MAX = 1024;

/** The server's greeting. */
export interface HandshakeV10 {
  readonly serverVersion: string;
  readonly connectionId: number;
  /** Exactly 20 bytes: the NUL that ends them on the wire is not part of them. */
  readonly authPluginData: Uint8Array;
  readonly capabilities: Capabilities;
  /** Low 8 bits of a collation id. */
  readonly characterSet: number;
  readonly statusFlags: number;
  readonly authPluginName: string;
}

/** A server may turn a connection down instead of greeting it, before any capability is known. */
export type InitialPacket =
  | { readonly kind: "HandshakeV10"; readonly handshake: HandshakeV10 }
  | { readonly kind: "ERR_Packet"; readonly err: ErrPacket };

export function decodeInitialPacket(payload: Uint8Array): InitialPacket {
  if (payload[0] === ERR_HEADER) return { kind: "ERR_Packet", err: decodeErrPacket(payload) };
  return { kind: "HandshakeV10", handshake: decodeHandshakeV10(payload) };
}

/**
 * Reads a greeting. Refuses servers without CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION or CLIENT_PLUGIN_AUTH,
 * authPluginData of another length than 20, and version or plugin names that are not plain text.
 */
export function decodeHandshakeV10(payload: Uint8Array): HandshakeV10 {
  const reader = new ByteReader(payload, "HandshakeV10");
  const protocolVersion = reader.uint8();
  if (protocolVersion !== PROTOCOL_VERSION) {
    reader.fail(`protocol version is ${protocolVersion}, expected ${PROTOCOL_VERSION}`);
  }
  const serverVersion = decodeServerVersion(reader);
  const connectionId = reader.uint32();
  const part1 = reader.bytes(AUTH_PLUGIN_DATA_PART_1_BYTES);
  reader.skip(1);
  const flagsLow = reader.uint16();
  const characterSet = reader.uint8();
  const statusFlags = reader.uint16();
  const flags = ((reader.uint16() << 16) | flagsLow) >>> 0;
  const required = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
  if ((flags & required) !== required) {
    reader.fail("the server lacks CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION or CLIENT_PLUGIN_AUTH");
  }
  const authPluginDataLength = reader.uint8();
  if (authPluginDataLength > AUTH_PLUGIN_DATA_LENGTH) {
    reader.fail(`authPluginData has ${authPluginDataLength} bytes, expected ${AUTH_PLUGIN_DATA_LENGTH}`);
  }
  reader.skip(6);
  const extendedFlags = reader.uint32();
  const part2 = reader.bytes(AUTH_PLUGIN_DATA_BYTES - AUTH_PLUGIN_DATA_PART_1_BYTES);
  reader.skip(1);
  const authPluginName = decodePluginName(reader);
  const authPluginData = new Uint8Array(AUTH_PLUGIN_DATA_BYTES);
  authPluginData.set(part1, 0);
  authPluginData.set(part2, AUTH_PLUGIN_DATA_PART_1_BYTES);
  return {
    serverVersion,
    connectionId,
    authPluginData,
    capabilities: { flags, mariadb: isMariaDb(flags) ? extendedFlags : 0 },
    characterSet,
    statusFlags,
    authPluginName,
  };
}

/** MariaDB clears bit 0 to say that the last four reserved bytes hold its extended flags; MySQL always sets it. */
function isMariaDb(flags: number): boolean {
  return (flags & CLIENT_LONG_PASSWORD) === 0;
}

function decodeServerVersion(reader: ByteReader): string {
  const bytes = reader.nulTerminatedBytes();
  if (bytes.length > SERVER_VERSION_BYTES_MAX) {
    reader.fail(`the server version has ${bytes.length} bytes, at most ${SERVER_VERSION_BYTES_MAX} are allowed`);
  }
  for (const byte of bytes) {
    if (byte < 0x20 || byte > 0x7e) reader.fail("the server version is not printable ASCII");
  }
  return decodeUtf8Lossy(bytes);
}

function isPluginNameByte(byte: number): boolean {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f;
}

/** SAFETY: clients turn this name into a file name, so a server must not get "../" past us. */
export function decodePluginName(reader: ByteReader): string {
  const bytes = reader.nulTerminatedOrRestBytes();
  if (bytes.length > PLUGIN_NAME_BYTES_MAX) {
    reader.fail(`the plugin name has ${bytes.length} bytes, at most ${PLUGIN_NAME_BYTES_MAX} are allowed`);
  }
  for (const byte of bytes) {
    if (!isPluginNameByte(byte)) reader.fail("the plugin name holds other characters than letters, digits and _");
  }
  return decodeUtf8Lossy(bytes);
}

export function encodeHandshakeV10(handshake: HandshakeV10): Uint8Array {
  const { flags, mariadb } = handshake.capabilities;
  const authPluginData = handshake.authPluginData;
  if (authPluginData.length !== AUTH_PLUGIN_DATA_BYTES) {
    throw new RangeError(`Cannot write ${authPluginData.length} bytes as authPluginData of a HandshakeV10`);
  }
  return new ByteWriter(128)
    .uint8(PROTOCOL_VERSION)
    .nulTerminatedBytes(encodeUtf8(handshake.serverVersion))
    .uint32(handshake.connectionId)
    .bytes(authPluginData.subarray(0, AUTH_PLUGIN_DATA_PART_1_BYTES))
    .uint8(0)
    .uint16(flags & 0xffff)
    .uint8(handshake.characterSet)
    .uint16(handshake.statusFlags)
    .uint16(flags >>> 16)
    .uint8(AUTH_PLUGIN_DATA_LENGTH)
    .zeros(6)
    .uint32(isMariaDb(flags) ? mariadb : 0)
    .bytes(authPluginData.subarray(AUTH_PLUGIN_DATA_PART_1_BYTES))
    .uint8(0)
    .nulTerminatedBytes(encodeUtf8(handshake.authPluginName))
    .finish();
}

/** What SSLRequest and HandshakeResponse41 begin with. */
export interface HandshakeResponseHead {
  readonly capabilities: Capabilities;
  /** Advisory: what the client is prepared to receive. */
  readonly maxPacketSize: number;
  readonly characterSet: number;
}

/**
 * The client's answer to the greeting. Optional members are absent where the client did not send them.
 * Servers read `capabilities` and `characterSet` from the SSLRequest alone when there was one, so whoever decides
 * something on them compares both packets first.
 */
export interface HandshakeResponse41 extends HandshakeResponseHead {
  readonly user: string;
  /** The name as it was sent, where that is not its UTF-8: it goes on so. */
  readonly userBytes?: Uint8Array;
  readonly authResponse: Uint8Array;
  /** UNKNOWN_TEXT in it stands for bytes that mean nothing certain. */
  readonly schema?: string;
  readonly schemaBytes?: Uint8Array;
  /** Empty if the client did not name one. */
  readonly authPluginName: string;
  /**
   * Present, even if empty, when the client has CLIENT_CONNECT_ATTRS. Keys and values have a character for each byte:
   * attributeText() is for display.
   */
  readonly connectAttributes?: ReadonlyMap<string, string>;
  readonly zstdCompressionLevel?: number;
}

/** An SSLRequest is the head alone, with CLIENT_SSL set; no HandshakeResponse41 can be that short. */
export function isSslRequest(payload: Uint8Array): boolean {
  if (payload.length !== HANDSHAKE_RESPONSE_HEAD_BYTES && payload.length !== SSL_REQUEST_SHORT_BYTES) return false;
  return (new ByteReader(payload, "SSLRequest").uint32() & CLIENT_SSL) !== 0;
}

/** `characterSet` is 0 when the client sent the flags alone. */
export function decodeSslRequest(payload: Uint8Array): HandshakeResponseHead {
  const reader = new ByteReader(payload, "SSLRequest");
  if (payload.length === SSL_REQUEST_SHORT_BYTES) {
    const flags = reader.uint32();
    return { capabilities: { flags, mariadb: 0 }, maxPacketSize: MAX_PACKET_SIZE_DEFAULT, characterSet: 0 };
  }
  const head = decodeHead(reader);
  reader.expectEnd();
  return head;
}

function decodeHead(reader: ByteReader): HandshakeResponseHead {
  const flags = reader.uint32();
  const maxPacketSize = reader.uint32();
  const characterSet = reader.uint8();
  reader.skip(19);
  const extendedFlags = reader.uint32();
  return { capabilities: { flags, mariadb: isMariaDb(flags) ? extendedFlags : 0 }, maxPacketSize, characterSet };
}

/** Takes `capabilities` with CLIENT_SSL set. */
export function encodeSslRequest(head: HandshakeResponseHead): Uint8Array {
  const writer = new ByteWriter(HANDSHAKE_RESPONSE_HEAD_BYTES);
  encodeHead(writer, head.capabilities.flags, head);
  return writer.finish();
}

function encodeHead(writer: ByteWriter, flags: number, head: HandshakeResponseHead): void {
  writer
    .uint32(flags)
    .uint32(head.maxPacketSize)
    .uint8(head.characterSet)
    .zeros(19)
    .uint32(isMariaDb(flags) ? head.capabilities.mariadb : 0);
}

/**
 * Reads the client's answer. Trailing bytes are dropped, because the packet is never forwarded but encoded anew.
 * A client without CLIENT_PLUGIN_AUTH speaks mysql_native_password and names no plugin.
 * Throws QC_CLIENT_OLD_AUTH for the 3.20 layout and for clients without CLIENT_SECURE_CONNECTION; MalformedPacketError
 * for everything else that does not hold together, for a user whose name cannot be read in the client's character set,
 * and for a user name longer than servers keep (they would log in a shorter one).
 */
export function decodeHandshakeResponse41(payload: Uint8Array): HandshakeResponse41 {
  const reader = new ByteReader(payload, "HandshakeResponse41");
  refuseOldClients(payload);
  const head = decodeHead(reader);
  const { flags } = head.capabilities;
  const names = decodeUserName(reader, reader.nulTerminatedBytes(), head.characterSet);
  const authResponse = decodeAuthResponse(reader, flags);
  const response: { -readonly [Key in keyof HandshakeResponse41]: HandshakeResponse41[Key] } = {
    ...head,
    ...names,
    authResponse,
    authPluginName: "",
  };
  if ((flags & CLIENT_CONNECT_WITH_DB) !== 0) {
    const schemaBytes = requireLength(reader, "schema name", reader.nulTerminatedBytes(), SCHEMA_BYTES_MAX);
    Object.assign(response, decodeSchemaName(schemaBytes, head.characterSet));
  }
  response.authPluginName = decodePluginName(reader);
  if ((flags & CLIENT_CONNECT_ATTRS) !== 0) response.connectAttributes = decodeConnectAttributes(reader);
  if ((flags & CLIENT_ZSTD_COMPRESSION_ALGORITHM) !== 0 && reader.remaining > 0) {
    response.zstdCompressionLevel = reader.uint8();
  }
  return response;
}

function refuseOldClients(payload: Uint8Array): void {
  const flagsLow = new ByteReader(payload, "HandshakeResponse").uint16();
  if ((flagsLow & CLIENT_PROTOCOL_41) === 0) {
    throw oldClient("CLIENT_PROTOCOL_41");
  }
  const flags = new ByteReader(payload, "HandshakeResponse41").uint32();
  if ((flags & CLIENT_SECURE_CONNECTION) === 0) throw oldClient("CLIENT_SECURE_CONNECTION");
}

function oldClient(flag: string): QuerycopError {
  return new QuerycopError(
    "QC_CLIENT_OLD_AUTH",
    `Cannot log in a client without ${flag}: it speaks an authentication protocol older than MySQL 5.5, upgrade its driver`,
  );
}

/** SAFETY: a policy must know who somebody is: a name that it could only read in part might be anybody's. */
export function decodeUserName(
  reader: ByteReader,
  bytes: Uint8Array,
  collationId: number | undefined,
): Pick<HandshakeResponse41, "user" | "userBytes"> {
  const user = decodeNameBytes(requireLength(reader, "user name", bytes, USER_BYTES_MAX), collationId);
  if (user.includes(UNKNOWN_TEXT)) reader.fail("the user name cannot be read in the client's character set");
  const userBytes = bytesToKeep(user, bytes);
  return userBytes === undefined ? { user } : { user, userBytes };
}

/** No bytes are no schema. */
export function decodeSchemaName(
  bytes: Uint8Array,
  collationId: number | undefined,
): Pick<HandshakeResponse41, "schema" | "schemaBytes"> {
  if (bytes.length === 0) return {};
  const schema = decodeNameBytes(bytes, collationId);
  const schemaBytes = bytesToKeep(schema, bytes);
  return schemaBytes === undefined ? { schema } : { schema, schemaBytes };
}

export function requireLength(reader: ByteReader, noun: string, bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (bytes.length <= bytesMax) return bytes;
  return reader.fail(`the ${noun} has ${bytes.length} bytes, at most ${bytesMax} are allowed`);
}

function decodeAuthResponse(reader: ByteReader, flags: number): Uint8Array {
  if ((flags & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) !== 0) return reader.lenencBytes();
  return reader.bytes(reader.uint8());
}

/** Keys and values in turn, a character for each byte. An odd count is refused, as servers do. A key that comes twice keeps its last value. */
export function decodeConnectAttributes(reader: ByteReader): Map<string, string> {
  const attributes = new Map<string, string>();
  if (reader.remaining === 0) return attributes;
  const block = reader.lenencBytes();
  if (block.length > CONNECT_ATTRIBUTES_BYTES_MAX) {
    reader.fail(
      `connection attributes have ${block.length} bytes, at most ${CONNECT_ATTRIBUTES_BYTES_MAX} are allowed`,
    );
  }
  const pairs = new ByteReader(block, "connection attributes");
  while (pairs.remaining > 0) {
    const key = bytesAsText(pairs.lenencBytes());
    attributes.set(key, bytesAsText(pairs.lenencBytes()));
    if (attributes.size > CONNECT_ATTRIBUTES_MAX) pairs.fail(`more than ${CONNECT_ATTRIBUTES_MAX} attributes`);
  }
  return attributes;
}

const bytesAsText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const textAsBytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** An attribute for people to read. */
export function attributeText(response: HandshakeResponse41 | undefined, key: string): string | undefined {
  const value = response?.connectAttributes?.get(key);
  return value === undefined ? undefined : decodeUtf8Lossy(textAsBytes(value));
}

const OPTIONAL_PARTS =
  CLIENT_CONNECT_WITH_DB |
  CLIENT_CONNECT_ATTRS |
  CLIENT_ZSTD_COMPRESSION_ALGORITHM |
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;

/**
 * The flags that fit the members of a response: every flag that announces a part of the packet is set exactly when
 * the part is there. Use it on the response before both encodeSslRequest() and encodeHandshakeResponse41(): the
 * server believes the first and lays out the second by it.
 */
export function canonicalHandshakeResponse(response: HandshakeResponse41): HandshakeResponse41 {
  let flags = response.capabilities.flags & ~OPTIONAL_PARTS;
  flags |= CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
  if (response.schema !== undefined) flags |= CLIENT_CONNECT_WITH_DB;
  if (response.connectAttributes !== undefined) flags |= CLIENT_CONNECT_ATTRS;
  if (response.zstdCompressionLevel !== undefined) flags |= CLIENT_ZSTD_COMPRESSION_ALGORITHM;
  flags |= response.capabilities.flags & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
  return { ...response, capabilities: { flags: flags >>> 0, mariadb: response.capabilities.mariadb } };
}

/**
 * Writes a response whose flags canonicalHandshakeResponse() has settled; throws RangeError when flags and members
 * disagree, or when an authResponse above 255 bytes meets a server without CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA.
 */
export function encodeHandshakeResponse41(response: HandshakeResponse41): Uint8Array {
  const { flags } = response.capabilities;
  if (canonicalHandshakeResponse(response).capabilities.flags !== flags) {
    throw new RangeError("Cannot write a HandshakeResponse41 whose capability flags do not fit its members");
  }
  const writer = new ByteWriter(256);
  encodeHead(writer, flags, response);
  const { characterSet, userBytes, schemaBytes } = response;
  writer.nulTerminatedBytes(encodeNameBytes(response.user, userBytes, characterSet));
  if ((flags & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) !== 0) writer.lenencBytes(response.authResponse);
  else writer.uint8(response.authResponse.length).bytes(response.authResponse);
  if (response.schema !== undefined) {
    writer.nulTerminatedBytes(encodeNameBytes(response.schema, schemaBytes, characterSet));
  }
  writer.nulTerminatedBytes(encodeUtf8(response.authPluginName));
  if (response.connectAttributes !== undefined) writer.lenencBytes(encodeConnectAttributes(response.connectAttributes));
  if (response.zstdCompressionLevel !== undefined) writer.uint8(response.zstdCompressionLevel);
  return writer.finish();
}

export function encodeConnectAttributes(attributes: ReadonlyMap<string, string>): Uint8Array {
  const writer = new ByteWriter(256);
  for (const [key, value] of attributes) writer.lenencBytes(textAsBytes(key)).lenencBytes(textAsBytes(value));
  return writer.finish();
}

/** Asks the client to authenticate with another plugin. */
export interface AuthSwitchRequest {
  readonly authPluginName: string;
  /** As sent: 20 bytes and a NUL for the password plugins, 32 bytes or nothing for others. */
  readonly authPluginData: Uint8Array;
}

/** A server's packet while it authenticates: page_protocol_connection_phase_authentication_methods. */
export type AuthPacket =
  | { readonly kind: "OK_Packet"; readonly ok: OkPacket }
  | { readonly kind: "ERR_Packet"; readonly err: ErrPacket }
  | ({ readonly kind: "AuthSwitchRequest" } & AuthSwitchRequest)
  | { readonly kind: "AuthMoreData"; readonly data: Uint8Array }
  | ({ readonly kind: "AuthNextFactor" } & AuthSwitchRequest);

export function decodeAuthPacket(payload: Uint8Array, capabilityFlags: number): AuthPacket {
  const reader = new ByteReader(payload, "packet of the authentication exchange");
  const header = reader.uint8();
  switch (header) {
    case OK_HEADER:
      return { kind: "OK_Packet", ok: decodeOkPacket(payload, capabilityFlags) };
    case ERR_HEADER:
      return { kind: "ERR_Packet", err: decodeErrPacket(payload) };
    case EOF_HEADER:
      return { kind: "AuthSwitchRequest", ...decodeSwitch(reader) };
    case AUTH_MORE_DATA_HEADER:
      return { kind: "AuthMoreData", data: reader.rest() };
    case AUTH_NEXT_FACTOR_HEADER:
      return { kind: "AuthNextFactor", ...decodeSwitch(reader) };
    default:
      return reader.fail(`its first byte is ${header}, expected 0, 1, 2, 254 or 255`);
  }
}

function decodeSwitch(reader: ByteReader): AuthSwitchRequest {
  // A lone header byte is how servers ask for the hash of MySQL 4.0 (page_protocol_connection_phase_packets_
  // protocol_old_auth_switch_request).
  if (reader.remaining === 0) return { authPluginName: "mysql_old_password", authPluginData: reader.rest() };
  const authPluginName = decodePluginName(reader);
  return { authPluginName, authPluginData: reader.rest() };
}

export function encodeAuthSwitchRequest(request: AuthSwitchRequest): Uint8Array {
  return encodeSwitch(EOF_HEADER, request);
}

export function encodeAuthNextFactor(request: AuthSwitchRequest): Uint8Array {
  return encodeSwitch(AUTH_NEXT_FACTOR_HEADER, request);
}

function encodeSwitch(header: number, request: AuthSwitchRequest): Uint8Array {
  return new ByteWriter(64)
    .uint8(header)
    .nulTerminatedBytes(encodeUtf8(request.authPluginName))
    .bytes(request.authPluginData)
    .finish();
}

export function encodeAuthMoreData(data: Uint8Array): Uint8Array {
  return new ByteWriter(data.length + 1).uint8(AUTH_MORE_DATA_HEADER).bytes(data).finish();
}
