/** IP addresses as they are compared, shown and recorded. */

const MAPPED_PREFIX = "::ffff:";

/** On a socket of both families an IPv4 peer shows as ::ffff:a.b.c.d; policies, limits and records want a.b.c.d. */
export function plainAddress(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes(".") ? address.slice(MAPPED_PREFIX.length) : address;
}

export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address);
  return plain === "::1" || plain.startsWith("127.");
}
