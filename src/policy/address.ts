/** Client addresses and CIDR ranges, IPv4 and IPv6, without node:net because policy/ stays pure. */

/** Sixteen bytes; IPv4 is held in its IPv4-mapped form (::ffff:a.b.c.d) so that one comparison serves both. */
type AddressBytes = readonly number[];

export interface AddressRange {
  readonly text: string;
  /** True when the address lies in the range. An address that cannot be parsed lies in no range. */
  readonly contains: (address: string) => boolean;
}

const IPV4_PREFIX: AddressBytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * Compiles "10.0.0.0/8", "2001:db8::/32", a single address, or the word "unix" (clients of the unix socket).
 * Throws RangeError with the reason when the text is none of these.
 */
export function compileAddressRange(text: string): AddressRange {
  if (text === "unix") return { text, contains: (address) => address === "unix" };
  const slash = text.indexOf("/");
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseAddress(addressText);
  if (bytes === undefined) throw new RangeError(`Cannot read "${text}" as an address, a CIDR range or the word unix`);
  const isIpv4 = !addressText.includes(":");
  const widthBits = isIpv4 ? 32 : 128;
  const prefixBits = slash < 0 ? widthBits : parseDecimal(text.slice(slash + 1), widthBits);
  if (prefixBits === undefined) throw new RangeError(`Cannot read "${text}": the prefix must be 0 to ${widthBits}`);
  const bits = prefixBits + (isIpv4 ? 96 : 0);
  if (!hasZeroHostBits(bytes, bits)) throw new RangeError(`Cannot read "${text}": bits after the prefix are set`);
  return {
    text,
    contains: (address) => {
      const candidate = parseAddress(address);
      return candidate !== undefined && sharesPrefix(bytes, candidate, bits);
    },
  };
}

function sharesPrefix(left: AddressBytes, right: AddressBytes, bits: number): boolean {
  for (let index = 0; index < 16; index++) {
    const mask = prefixMask(bits - index * 8);
    if (mask === 0) return true;
    if (((left[index] ?? 0) & mask) !== ((right[index] ?? 0) & mask)) return false;
  }
  return true;
}

function hasZeroHostBits(bytes: AddressBytes, bits: number): boolean {
  return bytes.every((byte, index) => (byte & ~prefixMask(bits - index * 8) & 0xff) === 0);
}

function prefixMask(bitsLeft: number): number {
  if (bitsLeft >= 8) return 0xff;
  return bitsLeft <= 0 ? 0 : (0xff << (8 - bitsLeft)) & 0xff;
}

/** Sixteen bytes, or undefined when the text is not an address. A zone ("%eth0") is ignored. */
export function parseAddress(text: string): AddressBytes | undefined {
  if (text.length > 64) return undefined;
  if (!text.includes(":")) {
    const ipv4 = parseIpv4(text);
    return ipv4 === undefined ? undefined : [...IPV4_PREFIX, ...ipv4];
  }
  const zone = text.indexOf("%");
  return parseIpv6(zone < 0 ? text : text.slice(0, zone));
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (part.length > 1 && part.startsWith("0") ? undefined : parseDecimal(part, 255)));
  return bytes.every((byte) => byte !== undefined) ? bytes : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "");
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

/** Colon separated groups; the last may be a dotted IPv4 address. */
function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (group.includes(".")) {
      const ipv4 = index === groups.length - 1 ? parseIpv4(group) : undefined;
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9A-Fa-f]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function parseDecimal(text: string, max: number): number | undefined {
  if (!/^[0-9]{1,3}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
