/** Answers of approvers that come by a system that is not theirs alone: a chat's bridge, a ticket's button. */
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { checkWebhook, type SignedDelivery, WEBHOOK_TOLERANCE_SECONDS } from "../base/webhook-signature.ts";
import { readWebhookSecrets } from "./webhook-secrets.ts";

export interface WebhookInboxOptions {
  readonly secretFile: string;
  /** Who may answer that way. SAFETY: whoever holds the secret says who clicked, but not that somebody unknown did. */
  readonly approvers: readonly string[];
  readonly clock?: Clock;
}

/** `no-secret`: the file cannot be used. `busy`: more have come than can be told from each other. */
export type DeliveryVerdict = "genuine" | "forged" | "late" | "replayed" | "busy" | "no-secret";

const REMEMBERED_MAX = 10_000;

export class WebhookInbox {
  readonly #options: WebhookInboxOptions;
  readonly #clock: Clock;
  /** Until when each id that was taken could come once more, oldest first. */
  readonly #taken = new Map<string, number>();

  constructor(options: WebhookInboxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** A genuine delivery is so once. */
  judge(delivery: SignedDelivery): DeliveryVerdict {
    const secrets = readWebhookSecrets(this.#options.secretFile);
    if (typeof secrets === "string") return "no-secret";
    const nowMs = this.#clock.wallMs();
    const verdict = checkWebhook(secrets, delivery, nowMs / 1000);
    if (verdict !== "genuine") return verdict;
    this.#forgetBefore(nowMs);
    if (this.#taken.has(delivery.id)) return "replayed";
    if (this.#taken.size >= REMEMBERED_MAX) return "busy";
    // As far ahead as its time may be of ours, and as long behind it as it is taken.
    this.#taken.set(delivery.id, nowMs + 2 * WEBHOOK_TOLERANCE_SECONDS * 1000);
    return "genuine";
  }

  mayAnswer(approver: string): boolean {
    return this.#options.approvers.includes(approver);
  }

  #forgetBefore(nowMs: number): void {
    for (const [id, untilMs] of this.#taken) {
      if (untilMs > nowMs) break;
      this.#taken.delete(id);
    }
  }
}
