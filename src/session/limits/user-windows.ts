/** What each user got in the last 60 seconds, over all connections of the process. A bounded number of users. */
import { RollingWindow } from "./rolling-window.ts";

export interface UserWindow {
  readonly bytes: RollingWindow;
  readonly rows: RollingWindow;
}

const USER_WINDOWS_MAX = 4096;
const SWEEP_MS = 1_000;

export class UserWindows {
  readonly #windows = new Map<string, UserWindow>();
  readonly #usersMax: number;
  /** Users that found no place, counted together. */
  readonly #shared: UserWindow = newWindow();
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(usersMax = USER_WINDOWS_MAX) {
    this.#usersMax = usersMax;
  }

  get size(): number {
    return this.#windows.size;
  }

  /**
   * The user's window. Ask for every use: one in which nothing is left is given up.
   * SAFETY: nobody is forgiven early. Only an empty window makes room; users beyond the number share one, and as long
   * as something is in that, nobody new gets a window to themselves, for it may be theirs.
   */
  windowOf(user: string, nowMs: number): UserWindow {
    const known = this.#windows.get(user);
    if (known !== undefined) return known;
    if (this.#windows.size >= this.#usersMax) this.#sweep(nowMs);
    if (this.#windows.size >= this.#usersMax || !isEmpty(this.#shared, nowMs)) return this.#shared;
    const window = newWindow();
    this.#windows.set(user, window);
    return window;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    for (const [user, window] of this.#windows) if (isEmpty(window, nowMs)) this.#windows.delete(user);
  }
}

function newWindow(): UserWindow {
  return { bytes: new RollingWindow(), rows: new RollingWindow() };
}

function isEmpty({ bytes, rows }: UserWindow, nowMs: number): boolean {
  return bytes.amountAt(nowMs) <= 0 && rows.amountAt(nowMs) <= 0;
}
