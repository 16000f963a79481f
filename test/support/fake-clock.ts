import type { Clock } from "../../src/base/clock.ts";

/** Stands still until the test moves it. */
export class FakeClock implements Clock {
  wall = Date.UTC(2026, 10, 21, 12, 0, 0);
  monotonic = 1000;

  wallMs(): number {
    return this.wall;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  advance(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}
