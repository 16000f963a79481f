/**
 * The PROXY protocol's header, versions 1 and 2, as bytes in and values out: who the client of a load balancer is.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */
import { isIPv4, isIPv6 } from "node:net";
import { plainAddress } from "../base/address.ts";

export type ProxyHeader =
  /** The bytes so far may be the beginning of one. */
  | { readonly kind: "more" }
  /** What it is not, in words for the log. */
  | { readonly kind: "broken"; readonly why: string }
  /** `client` is undefined where the sender speaks for itself: LOCAL, UNKNOWN, and families without an IP address. */
  | { readonly kind: "whole"; readonly bytes: number; readonly client: string | undefined };

/** Of version 1, with CR and LF (section 2.1). */
const TEXT_BYTES_MAX = 107;
/** Of version 2, extensions included: more than any of the known ones take together. */
export const PROXY_HEADER_BYTES_MAX = 2048;

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const TEXT_START = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59, 0x20);
const HEAD_BYTES = 16;

const MORE: ProxyHeader = { kind: "more" };
const broken = (why: string): ProxyHeader => ({ kind: "broken", why });

/** Reads a header at the start of `bytes`. Never throws, and never asks for more than PROXY_HEADER_BYTES_MAX. */
export function decodeProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (bytes.length === 0) return MORE;
  if (startsAlike(bytes, SIGNATURE)) return bytes.length < HEAD_BYTES ? MORE : decodeBinary(bytes);
  if (startsAlike(bytes, TEXT_START)) return decodeText(bytes);
  return broken("the first bytes are no PROXY header");
}

/** As far as there are bytes of both. */
function startsAlike(bytes: Uint8Array, start: Uint8Array): boolean {
  const count = Math.min(bytes.length, start.length);
  for (let index = 0; index < count; index++) if (bytes[index] !== start[index]) return false;
  return true;
}

const CR = 0x0d;
const LF = 0x0a;

function decodeText(bytes: Uint8Array): ProxyHeader {
  const end = bytes.subarray(0, TEXT_BYTES_MAX).indexOf(LF);
  if (end < 0) return bytes.length < TEXT_BYTES_MAX ? MORE : broken(`longer than ${TEXT_BYTES_MAX} bytes`);
  if (bytes[end - 1] !== CR) return broken("a line feed without a carriage return");
  const [, protocol, source = "", destination = "", ...ports] = latin1(bytes.subarray(0, end - 1)).split(" ");
  const whole = { kind: "whole", bytes: end + 1 } as const;
  // What follows UNKNOWN is to be ignored.
  if (protocol === "UNKNOWN") return { ...whole, client: undefined };
  if (protocol !== "TCP4" && protocol !== "TCP6") return broken("neither TCP4 nor TCP6 nor UNKNOWN");
  const isAddress = protocol === "TCP4" ? isIPv4 : isPlainIpv6;
  if (!isAddress(source) || !isAddress(destination)) return broken(`an address that is not of ${protocol}`);
  if (ports.length !== 2 || !ports.every(isPort)) return broken("ports that are no numbers up to 65535");
  return { ...whole, client: plainAddress(source.toLowerCase()) };
}

/** A zone means something on the sender's machine only. */
const isPlainIpv6 = (text: string): boolean => isIPv6(text) && !text.includes("%");

function isPort(text: string): boolean {
  if (text.length === 0 || text.length > 5 || (text.length > 1 && text.startsWith("0"))) return false;
  for (const letter of text) if (letter < "0" || letter > "9") return false;
  return Number(text) <= 65_535;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

const VERSION_2 = 2;
const COMMAND_LOCAL = 0;
const COMMAND_PROXY = 1;
/** Family and transport in one byte: AF_INET, AF_INET6 and AF_UNIX, each with STREAM. */
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const UNIX_STREAM = 0x31;
const UNSPECIFIED = 0x00;
/** Bytes of the addresses and ports of each. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  [UNSPECIFIED]: 0,
  [TCP_OVER_IPV4]: 12,
  [TCP_OVER_IPV6]: 36,
  [UNIX_STREAM]: 216,
};

function decodeBinary(bytes: Uint8Array): ProxyHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = view.getUint8(12) >> 4;
  const command = view.getUint8(12) & 0x0f;
  const family = view.getUint8(13);
  const length = view.getUint16(14);
  if (version !== VERSION_2) return broken(`version ${version}`);
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return broken(`command ${command}`);
  const end = HEAD_BYTES + length;
  if (end > PROXY_HEADER_BYTES_MAX) return broken(`longer than ${PROXY_HEADER_BYTES_MAX} bytes`);
  if (bytes.length < end) return MORE;
  const local: ProxyHeader = { kind: "whole", bytes: end, client: undefined };
  // "The receiver must accept this connection as valid and must use the real connection endpoints."
  if (command === COMMAND_LOCAL) return local;
  const addressBytes = ADDRESS_BYTES[family];
  if (addressBytes === undefined) return broken(`family and transport 0x${family.toString(16)}`);
  if (length < addressBytes) return broken("shorter than its addresses");
  const why = faultOfExtensions(bytes.subarray(0, end), HEAD_BYTES + addressBytes);
  if (why !== undefined) return broken(why);
  if (family === TCP_OVER_IPV4) return { ...local, client: bytes.subarray(HEAD_BYTES, HEAD_BYTES + 4).join(".") };
  if (family === TCP_OVER_IPV6) return { ...local, client: ipv6Text(view) };
  return local;
}

/** As the system writes addresses: the longest run of zeros is left out (RFC 5952). */
function ipv6Text(view: DataView): string {
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(HEAD_BYTES + 2 * index).toString(16));
  const text = new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
  const isMapped = groups.slice(0, 5).every((group) => group === "0") && groups[5] === "ffff";
  if (!isMapped) return text;
  return Array.from({ length: 4 }, (_, index) => view.getUint8(HEAD_BYTES + 12 + index)).join(".");
}

const EXTENSION_HEAD_BYTES = 3;
const TYPE_CRC32C = 0x03;
const CRC_BYTES = 4;

/** Type, length, value (section 2.2.1). A checksum that is there must be right; nothing else is looked at. */
function faultOfExtensions(header: Uint8Array, start: number): string | undefined {
  let at = start;
  while (at < header.length) {
    if (at + EXTENSION_HEAD_BYTES > header.length) return "an extension that is cut off";
    const valueAt = at + EXTENSION_HEAD_BYTES;
    const length = ((header[at + 1] as number) << 8) | (header[at + 2] as number);
    if (valueAt + length > header.length) return "an extension that is cut off";
    if (header[at] === TYPE_CRC32C && !isChecksumRight(header, valueAt, length)) return "a checksum that is wrong";
    at = valueAt + length;
  }
  return undefined;
}

function isChecksumRight(header: Uint8Array, at: number, length: number): boolean {
  if (length !== CRC_BYTES) return false;
  const told = new DataView(header.buffer, header.byteOffset).getUint32(at);
  const blank = header.slice();
  blank.fill(0, at, at + CRC_BYTES);
  return crc32c(blank) === told;
}

/** RFC 3720, appendix B.4: reflected, with the polynomial 0x1edc6f41. Headers are few and short: bit by bit is enough. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
