/**
 * The audit trail as a live stream: every event that is recorded also goes to whoever listens. Costs nothing while nobody
 * does, and shows no text the audit would not hold.
 */
import type { AuditEvent, AuditEventOf } from "../audit/audit-event.ts";
import type { AuditTrail } from "../session/session-services.ts";

type EventListener = (event: AuditEvent) => void;

const SUBSCRIBERS_MAX = 8;

export class EventFeed implements AuditTrail {
  readonly #trail: AuditTrail;
  readonly #listeners = new Set<EventListener>();

  constructor(trail: AuditTrail) {
    this.#trail = trail;
  }

  get run(): string {
    return this.#trail.run;
  }

  /** Statements are also put into words when nothing is kept but somebody listens. */
  get isKept(): boolean {
    return this.#trail.isKept || this.#listeners.size > 0;
  }

  append(event: AuditEvent): void | Promise<void> {
    const pending = this.#trail.append(event);
    this.#publish(event);
    return pending;
  }

  appendSoon(event: AuditEventOf<"statement-outcome">): void {
    this.#trail.appendSoon(event);
    this.#publish(event);
  }

  get sealText(): AuditTrail["sealText"] {
    return this.#trail.sealText;
  }

  hashText(text: Uint8Array): string {
    return this.#trail.hashText(text);
  }

  hashLongText(text: Uint8Array): Promise<string> {
    return this.#trail.hashLongText(text);
  }

  #publish(event: AuditEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  get hasRoom(): boolean {
    return this.#listeners.size < SUBSCRIBERS_MAX;
  }

  /** Returns how to end it. Ask for `hasRoom` first. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
