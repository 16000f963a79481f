/** Tells another system of each request for an approval and of how it ends, in signed deliveries. Nothing waits for them. */
import { randomUUID } from "node:crypto";
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { postOverHttp } from "../base/http-post.ts";
import type { Logger } from "../base/log.ts";
import type { Series } from "../base/metrics.ts";
import { pause } from "../base/pause.ts";
import { signWebhook } from "../base/webhook-signature.ts";
import type { ApprovalState } from "../policy/approvals.ts";
import type { ApprovalView } from "./approval-desk.ts";
import { readWebhookSecrets } from "./webhook-secrets.ts";

/** `reminder`: half of the time has gone and nobody has answered. */
export type ApprovalEvent = "requested" | "reminder" | Exclude<ApprovalState, "pending">;

export interface ApprovalWebhookOptions {
  readonly url: string;
  readonly secretFile: string;
  readonly caFile: string | undefined;
  readonly logger: Logger;
  readonly delivered: Series;
  readonly failed: Series;
  readonly clock?: Clock;
  /** Between two attempts at a delivery; the last one is the last attempt. */
  readonly retryMs?: readonly number[];
  readonly timeoutMs?: number;
}

/** Of a receiver that is away: the oldest are given up. */
const QUEUED_MAX = 200;
const RETRY_MS = [1000, 5000, 15_000, 60_000];
/** How long a stop waits for the receiver to be told of what it has cancelled. */
const CLOSE_MS = 3000;

interface Delivery {
  readonly id: string;
  readonly event: ApprovalEvent;
  readonly approvalId: string;
  readonly body: string;
}

export class ApprovalWebhook {
  readonly #options: ApprovalWebhookOptions;
  readonly #clock: Clock;
  readonly #queue: Delivery[] = [];
  readonly #reminders = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #closed = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(options: ApprovalWebhookOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** Tells what has become of a request, and returns at once. `find` looks it up when half of its time has gone. */
  tell(view: ApprovalView, find: (id: string) => ApprovalView | undefined): void {
    clearTimeout(this.#reminders.get(view.id));
    this.#reminders.delete(view.id);
    if (view.state === "pending") this.#remindAtHalf(view, find);
    this.#enqueue(view.state === "pending" ? "requested" : view.state, view);
  }

  /** Sends what waits, for at most so long, and nothing more. */
  async close(timeoutMs = CLOSE_MS): Promise<void> {
    for (const timer of this.#reminders.values()) clearTimeout(timer);
    this.#reminders.clear();
    const timer = setTimeout(() => this.#closed.abort(), timeoutMs);
    await this.#sending;
    clearTimeout(timer);
    this.#closed.abort();
  }

  #remindAtHalf(view: ApprovalView, find: (id: string) => ApprovalView | undefined): void {
    const halfMs = (Date.parse(view.expiresAt) - Date.parse(view.requestedAt)) / 2;
    const timer = setTimeout(() => {
      this.#reminders.delete(view.id);
      const now = find(view.id);
      if (now?.state === "pending") this.#enqueue("reminder", now);
    }, halfMs);
    timer.unref();
    this.#reminders.set(view.id, timer);
  }

  #enqueue(event: ApprovalEvent, approval: ApprovalView): void {
    if (this.#closed.signal.aborted) return;
    const dropped = this.#queue.length >= QUEUED_MAX ? this.#queue.shift() : undefined;
    if (dropped !== undefined) this.#giveUp(dropped, "too many wait for the receiver");
    const sentAt = new Date(this.#clock.wallMs()).toISOString();
    // The specification's own form: type, timestamp, data.
    const body = JSON.stringify({ type: `approval.${event}`, timestamp: sentAt, data: approval });
    this.#queue.push({ id: randomUUID(), event, approvalId: approval.id, body });
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  /** In order, one at a time. */
  async #sendAll(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await this.#send(next);
  }

  async #send(delivery: Delivery): Promise<void> {
    const { delivered, logger } = this.#options;
    const waits = [...(this.#options.retryMs ?? RETRY_MS), undefined];
    for (const waitMs of waits) {
      const failure = await this.#attempt(delivery);
      if (failure === undefined) {
        delivered.value++;
        return;
      }
      if (waitMs === undefined || this.#closed.signal.aborted) {
        this.#giveUp(delivery, failure);
        return;
      }
      const { approvalId: approval, event } = delivery;
      logger.info("approval not told yet", { approval, event, error: failure, againMs: waitMs });
      await pause(waitMs, this.#closed.signal);
    }
  }

  /** What went wrong, in words that hold no secret. */
  async #attempt({ id, body }: Delivery): Promise<string | undefined> {
    const { url, secretFile, caFile, timeoutMs } = this.#options;
    const secrets = readWebhookSecrets(secretFile);
    if (typeof secrets === "string") return secrets;
    const timestamp = String(Math.floor(this.#clock.wallMs() / 1000));
    const headers = {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signWebhook(secrets[0] as Buffer, { id, timestamp, body }),
    };
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const post = { url, contentType: "application/json", body, headers, caFile, ...limit };
    return await postOverHttp(post, this.#closed.signal).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  }

  #giveUp({ approvalId: approval, event }: Delivery, error: string): void {
    this.#options.failed.value++;
    this.#options.logger.warn("approval was not told", { approval, event, error });
  }
}
