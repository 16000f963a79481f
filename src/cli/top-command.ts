/** `querycop top`: the sessions and statements of a running querycop, again and again. */
import type { ArgsDef } from "citty";
import { pause } from "../base/pause.ts";
import { durationKind } from "../config/values.ts";
import { type AdminReply, type AdminTarget, callAdmin } from "./admin-client.ts";
import { refused } from "./admin-commands.ts";
import { ADMIN_SETTINGS, adminTarget, TARGET_OPTIONS, targetArguments, textOf } from "./admin-target.ts";
import { type CommandIo, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { renderTop, TOP_ORDERS, type TopOrder, type TopSnapshot } from "./top-screen.ts";

const ORDERS: readonly TopOrder[] = Object.values(TOP_ORDERS);
const DEFAULT_INTERVAL = "2s";

export const topHelp: CommandHelp = {
  name: "top",
  summary: "Show what a running querycop does now: its statements and busy sessions, again and again",
  example: "  querycop top --config /etc/querycop/querycop.yaml",
  text: [
    "Statements are added up by digest since the start; PER S is what came since the round before. Behind them come the",
    "sessions that are not idle, the longest statement first.",
    "Keys: t time, r rows, b bytes, x blocked, c count, e errors, n new: what comes first; space: hold still; q: end.",
    "Where standard output is no terminal, one round is printed whole.",
    "Asks the admin API that the configuration names, or the one at --url.",
  ].join("\n"),
  options: [
    ["--once", "One round, without keys"],
    ["--interval DURATION", `Between two rounds, from 500ms to 1m; default ${DEFAULT_INTERVAL}`],
    ["--order ORDER", `What comes first: ${ORDERS.join(", ")}; default time`],
    ...TARGET_OPTIONS,
    ["--json", "One round as JSON: overview, sessions and statements as the API answers"],
  ],
  settings: ADMIN_SETTINGS,
};

export const topArguments: ArgsDef = {
  once: { type: "boolean" },
  interval: { type: "string" },
  order: { type: "string", valueHint: ORDERS.join("|") },
  ...targetArguments,
  json: { type: "boolean" },
};

export async function runTop(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const order = orderOf(textOf(args, "order") ?? "time");
  const intervalMs = intervalOf(textOf(args, "interval") ?? DEFAULT_INTERVAL);
  const target = await adminTarget(args, io);
  if (target === undefined) return EXIT_USAGE;
  const first = await look(target, order);
  if ("refusal" in first) return refused(first.refusal, io);
  const { snapshot } = first;
  const { terminal } = io;
  if (args["json"] === true) {
    const { overview, sessions, statements } = snapshot;
    io.stdout(`${JSON.stringify({ overview, sessions, statements }, undefined, 2)}\n`);
  } else if (args["once"] === true || terminal === undefined || io.isStdoutTerminal !== true) {
    const lines = renderTop(snapshot, undefined, { order, columns: io.stdoutColumns?.(), rows: undefined });
    io.stdout(lines.map((line) => `${line}\n`).join(""));
  } else await new Watch({ target, io, terminal, intervalMs }, order, snapshot).run();
  return EXIT_OK;
}

function orderOf(text: string): TopOrder {
  const order = ORDERS.find((known) => known === text);
  if (order === undefined) throw new UsageError(`--order: expected ${ORDERS.join(", ")}, got ${JSON.stringify(text)}`);
  return order;
}

function intervalOf(text: string): number {
  const parsed = durationKind({ min: 500, max: 60_000 }).parse(text);
  if ("problem" in parsed) throw new UsageError(`--interval: ${parsed.problem}`);
  return parsed.value;
}

type Look = { readonly snapshot: TopSnapshot } | { readonly refusal: AdminReply };

/** More than any terminal shows, and few enough to be asked for every other second. */
const STATEMENTS_MAX = 200;
const SESSIONS_MAX = 200;

async function look(target: AdminTarget, order: TopOrder): Promise<Look> {
  const answers: AdminReply[] = [];
  for (const path of [
    "/overview",
    `/sessions?order=statement&limit=${SESSIONS_MAX}`,
    `/statements?order=${order}&limit=${STATEMENTS_MAX}`,
  ]) {
    const answer = await callAdmin(target, "GET", path);
    if (answer.status !== 200) return { refusal: answer };
    answers.push(answer);
  }
  const [overview, sessions, statements] = answers.map(({ json }) => json);
  return { snapshot: { atMs: performance.now(), overview, sessions, statements } as unknown as TopSnapshot };
}

interface Watched {
  readonly target: AdminTarget;
  readonly io: CommandIo;
  readonly terminal: NonNullable<CommandIo["terminal"]>;
  readonly intervalMs: number;
}

// The other screen, no cursor, lines that end at the edge: xterm's control sequences, which every terminal of today has.
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
const CTRL_C = "\x03";
const CTRL_D = "\x04";

/** Draws over itself, line by line, so that nothing flickers. */
class Watch {
  readonly #watched: Watched;
  readonly #ended = new AbortController();
  #order: TopOrder;
  #isHeld = false;
  #snapshot: TopSnapshot;
  #previous: TopSnapshot | undefined;
  #problem: string | undefined;
  /** Ends the wait for the next round. */
  #round = new AbortController();

  constructor(watched: Watched, order: TopOrder, first: TopSnapshot) {
    this.#watched = watched;
    this.#order = order;
    this.#snapshot = first;
  }

  async run(): Promise<void> {
    const { io, intervalMs } = this.#watched;
    const end = (): void => this.#end();
    io.stopped?.addEventListener("abort", end);
    io.stdout(ENTER);
    try {
      const keys = this.#heedKeys().finally(end);
      while (!this.#ended.signal.aborted) {
        this.#draw();
        this.#round = new AbortController();
        await pause(intervalMs, AbortSignal.any([this.#round.signal, this.#ended.signal]));
        if (!this.#ended.signal.aborted && !this.#isHeld) await this.#lookAgain();
      }
      await keys;
    } finally {
      io.stopped?.removeEventListener("abort", end);
      io.stdout(LEAVE);
    }
  }

  #end(): void {
    this.#ended.abort();
  }

  async #heedKeys(): Promise<void> {
    for await (const pressed of this.#watched.terminal.keys(this.#ended.signal)) {
      for (const key of pressed) {
        if (key === "q" || key === CTRL_C || key === CTRL_D) return;
        this.#heed(key);
      }
    }
  }

  #heed(key: string): void {
    if (key === " ") this.#isHeld = !this.#isHeld;
    else if (Object.hasOwn(TOP_ORDERS, key)) {
      this.#order = TOP_ORDERS[key as keyof typeof TOP_ORDERS];
      this.#isHeld = false;
    } else return;
    this.#round.abort();
  }

  async #lookAgain(): Promise<void> {
    try {
      const seen = await look(this.#watched.target, this.#order);
      if ("refusal" in seen) {
        this.#problem = `the admin API refused (${seen.refusal.status})`;
        return;
      }
      this.#previous = this.#snapshot;
      this.#snapshot = seen.snapshot;
      this.#problem = undefined;
    } catch (thrown) {
      this.#problem = thrown instanceof Error ? thrown.message : String(thrown);
    }
  }

  #draw(): void {
    const { io, terminal } = this.#watched;
    // A terminal that nobody has told its size says 0.
    const rows = terminal.rows() || 24;
    const view = { order: this.#order, columns: io.stdoutColumns?.() || 80, rows, footer: this.#footer() };
    const lines = renderTop(this.#snapshot, this.#previous, view).slice(0, rows);
    io.stdout(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join("\r\n")}${CLEAR_BELOW}`);
  }

  #footer(): string {
    const orders = Object.entries(TOP_ORDERS).map(([key, order]) => `${key} ${order}`);
    const state = this.#problem ?? (this.#isHeld ? "held still" : undefined);
    return `${state === undefined ? "" : `${state}   `}q end   space ${this.#isHeld ? "go on" : "hold"}   ${orders.join("  ")}`;
  }
}
