/** IP addresses as they are compared, shown and recorded. */

/** Stands for the address of a client of a unix socket, which has none. */
export const UNIX_SOCKET = "unix";

const MAPPED_PREFIX = "::ffff:";

/** On a socket of both families an IPv4 peer shows as ::ffff:a.b.c.d; policies, limits and records want a.b.c.d. */
export function plainAddress(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes(".") ? address.slice(MAPPED_PREFIX.length) : address;
}

/** RFC 6052, 2.1: an IPv4 address behind a translator, which others have for neighbours. */
const TRANSLATED_PREFIX = "64:ff9b:";
const GROUPS_OF_SUBNET = 4;

/**
 * Who counts as one when addresses are counted: an IPv4 address, or a /64 of IPv6, of which a single machine may have all
 * addresses (RFC 4291, 2.5.1). Takes what the system shows as an address of a peer.
 */
export function crowdOf(address: string): string {
  if (!address.includes(":") || address.startsWith(TRANSLATED_PREFIX)) return address;
  const [head = "", tail] = address.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  const known = groups.length + (tail ?? "").split(":").length;
  for (let count = known; tail !== undefined && count < 8; count++) groups.push("0");
  if (tail !== undefined && tail !== "") groups.push(...tail.split(":"));
  return `${groups.slice(0, GROUPS_OF_SUBNET).join(":")}::/64`;
}

export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address);
  return plain === "::1" || plain.startsWith("127.");
}
