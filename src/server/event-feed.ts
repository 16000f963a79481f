/**
 * The audit trail as a live stream: every event that is recorded also goes to whoever listens. Costs next to nothing while
 * nobody does, and shows no text the audit would not hold.
 */
import type { AuditEvent, AuditEventOf } from "../audit/audit-event.ts";
import type { AuditTrail } from "../session/session-services.ts";

/** `id` is the event's place in the stream, for a reader that comes back. */
type EventListener = (event: AuditEvent, id: string) => void;

const SUBSCRIBERS_MAX = 16;
/** What is kept for readers that lost their connection, and for how long after the last one left. */
const KEPT_EVENTS_MAX = 1_000;
const KEPT_CHARACTERS_MAX = 1024 * 1024;
const KEPT_MS = 60_000;

export interface Subscription {
  /** True where events were missed that are not kept any more. */
  readonly hasMissed: boolean;
  end(): void;
}

export class EventFeed implements AuditTrail {
  readonly #trail: AuditTrail;
  readonly #listeners = new Set<EventListener>();
  readonly #observers: ((event: AuditEvent) => void)[] = [];
  readonly #kept: { readonly number: number; readonly event: AuditEvent; readonly characters: number }[] = [];
  #keptCharacters = 0;
  #keptUntilMs = Number.NEGATIVE_INFINITY;
  #number = 0;

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
    this.#number++;
    for (const observer of this.#observers) observer(event);
    if (this.#listeners.size === 0 && this.#kept.length === 0) return;
    this.#keep(event);
    const id = this.#idOf(this.#number);
    for (const listener of this.#listeners) listener(event, id);
  }

  get hasRoom(): boolean {
    return this.#listeners.size < SUBSCRIBERS_MAX;
  }

  /** For the process's own sums: not counted as a reader, told of what is recorded anyway, for as long as it runs. */
  observe(observer: (event: AuditEvent) => void): void {
    this.#observers.push(observer);
  }

  /** Behind the event with the id `after` come those that followed it, at once. Ask for `hasRoom` first. */
  subscribe(listener: EventListener, after?: string): Subscription {
    const hasMissed = after !== undefined && !this.#repeat(listener, after);
    this.#listeners.add(listener);
    return {
      hasMissed,
      end: () => {
        this.#listeners.delete(listener);
        this.#keptUntilMs = performance.now() + KEPT_MS;
      },
    };
  }

  #idOf(number: number): string {
    return `${this.run}-${number}`;
  }

  /** False where some of them are gone, or the id is of another process's life. */
  #repeat(listener: EventListener, after: string): boolean {
    const number = Number(after.startsWith(`${this.run}-`) ? after.slice(this.run.length + 1) : "none");
    if (number === this.#number) return true;
    const first = this.#kept[0]?.number;
    if (!(first !== undefined && number >= first - 1 && number < this.#number)) return false;
    for (const kept of [...this.#kept]) if (kept.number > number) listener(kept.event, this.#idOf(kept.number));
    return true;
  }

  #keep(event: AuditEvent): void {
    if (this.#listeners.size === 0 && performance.now() > this.#keptUntilMs) {
      this.#kept.length = 0;
      this.#keptCharacters = 0;
      return;
    }
    const characters = "text" in event && event.text !== undefined ? event.text.length : 0;
    this.#kept.push({ number: this.#number, event, characters });
    this.#keptCharacters += characters;
    while (this.#kept.length > KEPT_EVENTS_MAX || this.#keptCharacters > KEPT_CHARACTERS_MAX) {
      this.#keptCharacters -= this.#kept.shift()?.characters ?? 0;
    }
  }
}
