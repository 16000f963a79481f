/** What may go wrong around a session, and what must come of it. */
import type { WireFault } from "./lossy-wire.ts";
import { BACKEND_LEG, CLIENT_LEG, type Stage } from "./stage.ts";

export interface Fault {
  readonly name: string;
  readonly begin: (stage: Stage) => Promise<void> | void;
  /** For what `Stage.healNetwork` and `Stage.revive` do not undo. */
  readonly end?: (stage: Stage) => Promise<void> | void;
  /** It is over after so long, whatever the sessions do. Absent: it lasts until they are over. */
  readonly lastsMs?: number;
  /**
   * What a client must be told: `answered` as if nothing had happened, `ended`, which is the end of its connection or an
   * answer that was on its way, `refused`, which may be an error instead, or nothing, because it is not there to be told.
   */
  readonly client: "answered" | "ended" | "refused" | "not there";
  /** States that it does not touch: they are answered. */
  readonly untouched?: readonly string[];
}

const LOSSY: WireFault = { lost: 50 };
const CUT: WireFault = { lost: 1000 };
const LATE: WireFault = { delayMs: 30, jitterMs: 60 };
/** Enough for all that establishes a connection but a certificate, and no full segment. */
const NARROW: WireFault = { largestBytes: 600 };
/** Well below the bounds, retransmissions that wait ever longer included. */
const BRIEF_MS = 1500;
const WITHOUT_LOGIN = ["idle", "transaction", "statement", "rows", "held", "file", "cursor"];

const bothWays =
  (leg: number, fault: WireFault) =>
  async ({ wire }: Stage) => {
    await wire.set(leg, "forward", fault);
    await wire.set(leg, "back", fault);
  };

export const FAULTS: readonly Fault[] = [
  { name: "server leg loses 5 %", begin: bothWays(BACKEND_LEG, LOSSY), client: "answered" },
  { name: "server leg late, out of order", begin: bothWays(BACKEND_LEG, LATE), client: "answered" },
  {
    name: "server leg loses large packets",
    begin: ({ wire }) => wire.set(BACKEND_LEG, "back", NARROW),
    client: "ended",
  },
  { name: "server leg cut", begin: bothWays(BACKEND_LEG, CUT), client: "ended" },
  { name: "server leg cut one way", begin: ({ wire }) => wire.set(BACKEND_LEG, "back", CUT), client: "ended" },
  { name: "server leg cut briefly", begin: bothWays(BACKEND_LEG, CUT), lastsMs: BRIEF_MS, client: "answered" },
  { name: "server killed", begin: (stage) => stage.killServer(), client: "ended" },
  {
    name: "server hangs",
    begin: ({ server }) => server.signal("SIGSTOP"),
    end: ({ server }) => server.signal("SIGCONT"),
    client: "ended",
  },
  {
    name: "server hangs briefly",
    begin: ({ server }) => server.signal("SIGSTOP"),
    end: ({ server }) => server.signal("SIGCONT"),
    lastsMs: BRIEF_MS,
    client: "answered",
  },
  {
    name: "server kills connections",
    begin: (stage) => stage.killConnections(),
    client: "ended",
    untouched: ["login"],
  },
  { name: "client leg loses 5 %", begin: bothWays(CLIENT_LEG, LOSSY), client: "answered" },
  { name: "client leg cut", begin: bothWays(CLIENT_LEG, CUT), client: "not there" },
  { name: "client leg cut briefly", begin: bothWays(CLIENT_LEG, CUT), lastsMs: BRIEF_MS, client: "answered" },
  { name: "clients reset", begin: (stage) => stage.leave("reset"), client: "not there" },
  { name: "clients end their side", begin: (stage) => stage.leave("end"), client: "ended" },
  {
    name: "name server silent",
    begin: ({ names }) => names.turn("silent"),
    client: "ended",
    untouched: WITHOUT_LOGIN,
  },
  {
    name: "name unknown",
    begin: ({ names }) => names.turn("knows no name"),
    client: "ended",
    untouched: WITHOUT_LOGIN,
  },
  { name: "querycop killed", begin: (stage) => stage.killQuerycop(), client: "ended" },
  { name: "audit disk full", begin: ({ disk }) => disk.fill(), end: ({ disk }) => disk.makeRoom(), client: "refused" },
];
