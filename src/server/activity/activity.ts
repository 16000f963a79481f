/** What the process has done, for those who look: sums since the start, numbers over time, the growth of the audit log. */
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import type { Metrics } from "../../base/metrics.ts";
import type { EventFeed } from "../event-feed.ts";
import { ActivityBook } from "./activity-book.ts";
import { AuditDisk, type AuditDiskView } from "./audit-disk.ts";
import type { ChangeHistory } from "./change-history.ts";
import { SAMPLE_MS, TimeSeries } from "./time-series.ts";

export interface ActivityOptions {
  readonly feed: EventFeed;
  readonly metrics: Metrics;
  /** What the configuration says of the audit log; `keepBytes` of 0 bounds nothing. */
  readonly log: { readonly file?: string | undefined; readonly keepBytes: number };
  readonly changes: ChangeHistory;
  /** Whether anybody may ask for the sums: each statement costs some to add up. */
  readonly hasReaders: boolean;
}

export class Activity {
  readonly book: ActivityBook;
  readonly series: TimeSeries;
  readonly changes: ChangeHistory;
  readonly #disk: AuditDisk | undefined;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor({ feed, metrics, log, changes, hasReaders }: ActivityOptions) {
    const nowMs = SYSTEM_CLOCK.wallMs();
    this.book = new ActivityBook(nowMs);
    this.changes = changes;
    this.#disk = log.file === undefined ? undefined : new AuditDisk(log.file, log.keepBytes || undefined, nowMs);
    this.series = new TimeSeries(metrics, () => this.#disk?.measure() ?? 0);
    if (hasReaders) feed.observe((event) => this.book.observe(event, SYSTEM_CLOCK.wallMs()));
    this.series.sample(nowMs);
    this.#timer = setInterval(() => this.series.sample(SYSTEM_CLOCK.wallMs()), SAMPLE_MS);
    this.#timer.unref();
  }

  /** Undefined where no log is kept, or its folder cannot be looked at. */
  auditDisk(): AuditDiskView | undefined {
    return this.#disk?.view(SYSTEM_CLOCK.wallMs());
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
