/** A list of addresses and CIDR ranges, as settings have it. */
import { BlockList, isIP } from "node:net";

/** The word for peers on a unix socket, which have no address. */
const UNIX = "unix";

interface Range {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly prefixBits: number;
}

function readRange(text: string): Range | undefined {
  const [address = "", prefix, ...more] = text.split("/");
  const version = address.includes("%") ? 0 : isIP(address);
  if (version === 0 || more.length > 0) return undefined;
  const widthBits = version === 4 ? 32 : 128;
  const family = version === 4 ? "ipv4" : "ipv6";
  if (prefix === undefined) return { address, family, prefixBits: widthBits };
  const prefixBits = Number(prefix);
  const isPrefix =
    prefix.length > 0 && prefix.length <= 3 && Number.isInteger(prefixBits) && String(prefixBits) === prefix;
  return isPrefix && prefixBits >= 0 && prefixBits <= widthBits ? { address, family, prefixBits } : undefined;
}

/** Whether it is an address, a CIDR range or the word unix. */
export function isAddressRange(text: string): boolean {
  return text === UNIX || readRange(text) !== undefined;
}

/** Tells the addresses of the list; `undefined` is a peer on a unix socket. Takes what passed `isAddressRange()` alone. */
export function trustedAddresses(list: readonly string[]): (address: string | undefined) => boolean {
  const ranges = new BlockList();
  for (const range of list.map(readRange)) {
    if (range !== undefined) ranges.addSubnet(range.address, range.prefixBits, range.family);
  }
  return (address) => {
    if (address === undefined) return list.includes(UNIX);
    const version = isIP(address);
    return version !== 0 && ranges.check(address, version === 4 ? "ipv4" : "ipv6");
  };
}
