/** What the client sends, taken in message by message as there is room for it. */
import type { Message } from "../../../postgres/message.ts";
import type { SessionMemory } from "../../session-memory.ts";
import type { ClientLeg } from "../client-leg.ts";

/** Less than this is not counted: what most messages take. */
const COUNTED_BYTES_MIN = 16 * 1024;

export class ClientIntake {
  readonly #client: ClientLeg;
  readonly #memory: SessionMemory;
  readonly #heldBytes: () => number;
  #countedBytes = 0;
  #isGranted = false;
  #isPartial = false;
  /** True while room is held for the message that was handed out last, until `letGo()`. */
  isInUse = false;

  /** `heldBytes` tells what else is held for the client. */
  constructor(client: ClientLeg, memory: SessionMemory, heldBytes: () => number) {
    this.#client = client;
    this.#memory = memory;
    this.#heldBytes = heldBytes;
  }

  /** The next whole message. */
  next(): Message | undefined {
    const message = this.#client.messages.next();
    if (message === undefined) return undefined;
    this.#isPartial = false;
    if (this.#isGranted || message.length >= COUNTED_BYTES_MIN) {
      this.isInUse = true;
      if (!this.#isGranted) this.#count(message.length);
    }
    return message;
  }

  /** The message that was handed out last has been sent, or refused. */
  letGo(): void {
    this.isInUse = false;
    this.#isGranted = false;
    this.#memory.giveBack();
    this.#count();
  }

  /** Pushes what has come next. False where nothing has, or where there is no room for it; throws what the client failed for. */
  take(): boolean {
    const { leg, messages, failure } = this.#client;
    this.#client.isRestAwaited = false;
    if (failure !== undefined) throw failure;
    const wanted = messages.roomWanted;
    if (wanted > 0) {
      if (!this.#memory.ask(wanted, messages.isMoreWanted)) return false;
      this.#isGranted = true;
      messages.grant(wanted);
    }
    const chunk = leg.takeChunk();
    if (chunk === undefined) return false;
    messages.push(chunk);
    this.#count();
    return true;
  }

  /** Until more has come, or there is room: then `take()`. */
  wait(): Promise<void> {
    const client = this.#client;
    const { leg, messages } = client;
    // What waits for room here is not the client's to send.
    if (messages.bufferedBytes === 0 || messages.roomWanted > 0) this.#isPartial = false;
    else if (!this.#isPartial) {
      this.#isPartial = true;
      client.partialSinceMs = performance.now();
    }
    client.isRestAwaited = this.#isPartial;
    this.#count();
    return leg.nextEvent();
  }

  #count(inUseBytes = 0): void {
    const bytes = this.#client.messages.looseBytes + inUseBytes + this.#heldBytes();
    const counted = bytes < COUNTED_BYTES_MIN ? 0 : bytes;
    if (counted === this.#countedBytes) return;
    this.#memory.keep(counted - this.#countedBytes);
    this.#countedBytes = counted;
  }
}
