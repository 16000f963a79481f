/** Damage to streams of packets, the kinds that parsers break on, by a seeded source of chance. */

export type Random = () => number;

export const below = (random: Random, count: number): number => Math.floor(random() * count);

export function chosen<T>(random: Random, items: readonly T[]): T {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error("nothing to choose from");
  return item;
}

/** One kind of damage to a stream of at least 5 bytes. */
export function damaged(random: Random, stream: Buffer): Buffer {
  const at = below(random, stream.length);
  const copy = Buffer.from(stream);
  switch (below(random, 8)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << below(random, 8));
      return copy;
    case 1:
      copy[at] = chosen(random, [0, 1, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x27, 0x3b]);
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + below(random, 8)))]);
    case 4:
      return Buffer.concat([copy.subarray(0, at), Buffer.from([below(random, 256)]), copy.subarray(at)]);
    case 5:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(below(random, copy.length))]);
    case 6:
      // The length of the first packet, which is where most parsers break.
      copy.writeUIntLE(chosen(random, [0, 1, 5, copy.length, 0x10000, 0xfffffe, 0xffffff]), 0, 3);
      return copy;
    default:
      copy[4] = below(random, 256);
      return copy;
  }
}
