/**
 * Clients that want all of something, each in its own way and as long as it is let: when its connection ends, the next
 * one begins. What they talk to is a querycop in front of a crowd's backend.
 */
import { setTimeout as delay } from "node:timers/promises";
import { encodePacket } from "../../src/mysql/packet.ts";
import { connectSilently, statementOf } from "./crowd.ts";
import { logIn, type PacketPeer, queryPayload } from "./fake-peers.ts";
import { statementCommand } from "./wire-replies.ts";

const BIG_BYTES = 15_000_000;
const PIECE_BYTES = 1_000_000;
const AGAIN_MS = 300;
const BREATH_MS = 100;
/** How long one that reads nothing stays: it does not see that its connection has ended. */
const DEAF_MS = 15_000;

/** Until its connection has ended, or what it asked for was refused. */
type Want = (peer: PacketPeer, stop: AbortSignal) => Promise<void>;

interface Kind {
  /** Of a hundred. */
  readonly share: number;
  /** Undefined for one that does not even log in. */
  readonly want: Want | undefined;
}

/** Forgets what comes instead of keeping it for a reader. */
function deafen({ socket }: PacketPeer): void {
  socket.removeAllListeners("data");
  socket.pause();
}

async function deaf(peer: PacketPeer, stop: AbortSignal): Promise<void> {
  deafen(peer);
  await delay(DEAF_MS, undefined, { signal: stop }).catch(() => undefined);
}

/** Writes pieces as fast as they are taken, with a breath between two, until nobody takes any. */
async function pour(peer: PacketPeer, pieces: (index: number) => Uint8Array, stop: AbortSignal): Promise<void> {
  for (let index = 0; !stop.aborted && !peer.isClosed; index++) {
    if (!peer.socket.write(pieces(index))) {
      await Promise.race([new Promise<void>((resolve) => peer.socket.once("drain", resolve)), peer.closed()]);
    }
    await delay(BREATH_MS);
  }
}

const BIG = encodePacket(statementOf(BIG_BYTES), 0);
const BEGUN = encodePacket(statementOf(16_000_000), 0).subarray(0, 15_500_000);

const GREED: Readonly<Record<string, Kind>> = {
  "silent in their login": { share: 25, want: undefined },
  "a packet never finished": {
    share: 10,
    want: async (peer) => {
      peer.socket.write(BEGUN);
      await peer.read();
    },
  },
  "statements of 15 MB": {
    share: 2,
    want: async (peer, stop) => {
      while (!stop.aborted) {
        peer.socket.write(BIG);
        if ((await peer.read())?.payload[0] !== 0) return;
        await delay(BREATH_MS * 20);
      }
    },
  },
  "statements held for an approval": {
    share: 8,
    want: async (peer) => {
      peer.write(queryPayload(`REPLACE INTO t VALUES ('${"h".repeat(PIECE_BYTES)}')`), 0);
      await peer.read();
    },
  },
  "rows never read": {
    share: 15,
    want: (peer, stop) => {
      peer.write(queryPayload("SELECT 64 MIB"), 0);
      return deaf(peer, stop);
    },
  },
  "rows read slowly": {
    share: 10,
    want: async (peer, stop) => {
      deafen(peer);
      peer.write(queryPayload("SELECT 64 MIB"), 0);
      peer.socket.on("data", () => peer.socket.pause());
      while (!stop.aborted && !peer.isClosed) {
        peer.socket.resume();
        await delay(BREATH_MS);
      }
    },
  },
  "files without an end": {
    share: 5,
    want: async (peer, stop) => {
      peer.write(queryPayload("LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE t"), 0);
      if ((await peer.read())?.payload[0] !== 0xfb) return;
      const piece = new Uint8Array(PIECE_BYTES / 10).fill(0x61);
      await pour(peer, (index) => encodePacket(piece, (index + 2) & 0xff), stop);
    },
  },
  "long values of prepared statements": {
    share: 5,
    want: async (peer, stop) => {
      peer.write(Buffer.from("\x16SELECT a FROM t WHERE b = ?"), 0);
      for (let packet = 0; packet < 2; packet++) await peer.read();
      const data = statementCommand(0x18, 1, [0, 0]);
      const piece = encodePacket(Buffer.concat([data, Buffer.alloc(PIECE_BYTES, 0x61)]), 0);
      await pour(peer, () => piece, stop);
    },
  },
  "prepared statements without end": {
    share: 8,
    want: async (peer, stop) => {
      for (let count = 0; !stop.aborted; count++) {
        peer.write(Buffer.from(`\x16SELECT a FROM t WHERE b = ? AND c = '${"p".repeat(50_000)}${count}'`), 0);
        for (let packet = 0; packet < 2; packet++) if (((await peer.read())?.payload[0] ?? 0xff) === 0xff) return;
        await delay(BREATH_MS);
      }
    },
  },
  "small statements whose answers nobody reads": {
    share: 12,
    want: async (peer, stop) => {
      deafen(peer);
      const wire = encodePacket(queryPayload(`SELECT a FROM t WHERE b = '${"s".repeat(1000)}'`), 0);
      const many = Buffer.concat(Array.from({ length: 50 }, () => wire));
      const ended = new AbortController();
      const left = delay(DEAF_MS, undefined, { signal: stop }).catch(() => undefined);
      await Promise.race([pour(peer, () => many, AbortSignal.any([stop, ended.signal])), left]);
      ended.abort();
    },
  },
};

async function sayNothing(port: number, stop: AbortSignal): Promise<void> {
  const socket = connectSilently(port);
  const end = (): void => void socket.destroy();
  stop.addEventListener("abort", end);
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  stop.removeEventListener("abort", end);
}

async function askForMuch(port: number, want: Want, stop: AbortSignal): Promise<void> {
  const peer = await logIn(port);
  const end = (): void => void peer.socket.destroy();
  stop.addEventListener("abort", end);
  try {
    await want(peer, stop);
  } finally {
    stop.removeEventListener("abort", end);
    end();
  }
}

async function beGreedy(port: number, { want }: Kind, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    // Refused, or ended while it was greedy: that is what is expected of it.
    await (want === undefined ? sayNothing(port, stop) : askForMuch(port, want, stop)).catch(() => undefined);
    await delay(AGAIN_MS);
  }
}

export const KINDS_OF_GREED: readonly string[] = Object.keys(GREED);

export interface GreedyCrowd {
  /** All together; each kind has its share, and at least one. */
  readonly count: number;
  /** Only these, with the shares they have among all. */
  readonly kinds?: readonly string[];
}

/** Wants all it can get until `stop`. Resolves when all have left. */
export async function crowdOfGreed(
  port: number,
  { count, kinds = KINDS_OF_GREED }: GreedyCrowd,
  stop: AbortSignal,
): Promise<void> {
  const clients: Promise<void>[] = [];
  for (const name of kinds) {
    const kind = GREED[name];
    if (kind === undefined) throw new Error(`There is no greed such as ${name}`);
    const wanted = Math.max(1, Math.round((count * kind.share) / 100));
    for (let index = 0; index < wanted; index++) clients.push(beGreedy(port, kind, stop));
  }
  await Promise.all(clients);
}
