/** Which timers of the sources' keep the process alive: a session that has ended leaves none. */

interface Timer {
  readonly from: string;
  isHeld: boolean;
}

const WAIT_MS = 10_000;

/** The file of a session's that has set it itself; undefined for all other timers. */
function setBy(stack = ""): string | undefined {
  const file = /\/(src\/[\w/-]+\.ts)/.exec(stack)?.[1];
  return file?.startsWith("src/session/") === true ? file : undefined;
}

/** Watches from its making to `stop()`. One at a time. */
export class TimersLeft {
  readonly #timers = new Map<unknown, Timer>();
  readonly #own = { setTimeout, clearTimeout, setInterval, clearInterval };
  readonly #late: Timer[] = [];
  #isOver = false;

  constructor() {
    const { setTimeout: later, clearTimeout: clear, setInterval: often, clearInterval: clearOften } = this.#own;
    const watch = (timer: NodeJS.Timeout): NodeJS.Timeout => {
      const from = setBy(new Error().stack);
      if (from === undefined) return timer;
      const kept: Timer = { from, isHeld: true };
      this.#timers.set(timer, kept);
      const unref = timer.unref.bind(timer);
      timer.unref = () => {
        kept.isHeld = false;
        return unref();
      };
      return timer;
    };
    globalThis.setTimeout = ((act: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
      const timer: NodeJS.Timeout = later(() => {
        const fired = this.#timers.get(timer);
        if (this.#isOver && fired?.isHeld === true) this.#late.push(fired);
        this.#timers.delete(timer);
        act(...args);
      }, ms);
      return watch(timer);
    }) as typeof setTimeout;
    globalThis.setInterval = ((act: () => void, ms?: number) => watch(often(act, ms))) as typeof setInterval;
    globalThis.clearTimeout = ((timer?: NodeJS.Timeout) => {
      this.#timers.delete(timer);
      clear(timer);
    }) as typeof clearTimeout;
    globalThis.clearInterval = ((timer?: NodeJS.Timeout) => {
      this.#timers.delete(timer);
      clearOften(timer);
    }) as typeof clearInterval;
  }

  /** A line for each, once what is still under way has had the time to end. */
  async stop(): Promise<string[]> {
    const { setTimeout: later, setInterval: often } = this.#own;
    Object.assign(globalThis, { setTimeout: later, setInterval: often });
    this.#isOver = true;
    const held = (): Timer[] => [...this.#timers.values()].filter(({ isHeld }) => isHeld);
    const endMs = performance.now() + WAIT_MS;
    while (held().length > 0 && performance.now() < endMs) await new Promise((resolve) => later(resolve, 5));
    Object.assign(globalThis, this.#own);
    return [...this.#late, ...held()].map(({ from }) => `a timer is left by ${from}`).sort();
  }
}
