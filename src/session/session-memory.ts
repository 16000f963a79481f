/** What one session holds for its two peers, counted with what all others hold. */
import { QuerycopError } from "../base/errors.ts";
import type { Holding, MemoryBudget } from "../base/memory-budget.ts";

/** What is counted in a session's holding. */
export interface Counted {
  countIn(holding: Holding): void;
}

/** The client of a session, or its leg where that reads packets by itself. */
export interface CountedClient extends Counted {
  readonly progress: number | undefined;
  /** What was asked for is there. */
  goOn(): void;
  /** Whoever reads on gets this error. */
  fail(error: QuerycopError): void;
}

export class SessionMemory {
  readonly #budget: MemoryBudget;
  readonly #holding: Holding;

  /** `onEvicted` is told when the session is to end because its client is slow while others need the room. */
  constructor(budget: MemoryBudget, client: CountedClient, onEvicted: (error: QuerycopError) => void) {
    this.#budget = budget;
    this.#holding = budget.open({
      get progress() {
        return client.progress;
      },
      answer: (hasRoom) => (hasRoom ? client.goOn() : client.fail(this.#noRoom("the rest of a packet"))),
      evict: () => onEvicted(tooSlow()),
    });
    client.countIn(this.#holding);
  }

  /** Asks for room; where there is none now, the client goes on later, or fails. */
  ask(bytes: number, isBegun: boolean): boolean {
    return this.#holding.ask(bytes, isBegun);
  }

  /** Gives back all that was asked for. */
  giveBack(): void {
    this.#holding.giveBack();
  }

  countBackend(backend: Counted): void {
    backend.countIn(this.#holding);
  }

  /** For what is kept longer than the command that brought it; negative when it is let go. */
  keep(bytes: number): void {
    this.#holding.add(bytes);
  }

  /** The error for something more to keep of so many bytes; undefined where there is room. */
  refusalToKeep(bytes: number, what: string): QuerycopError | undefined {
    return this.#budget.used + bytes <= this.#budget.bytesMax ? undefined : this.#noRoom(what);
  }

  close(): void {
    this.#holding.close();
  }

  #noRoom(what: string): QuerycopError {
    const { used, bytesMax } = this.#budget;
    const text = `Cannot take ${what}: the sessions hold ${used} bytes, GATEKEEPER_MEMORY_BUDGET is ${bytesMax}`;
    return new QuerycopError("QC_MEMORY_BUDGET", text, {
      clientMessage: `querycop: no memory for ${what}: all sessions together hold what GATEKEEPER_MEMORY_BUDGET allows; try again later, or send less at once`,
    });
  }
}

function tooSlow(): QuerycopError {
  const text = "The client was slow to send or to take what querycop holds for it while others waited for memory";
  return new QuerycopError("QC_MEMORY_BUDGET", text, {
    clientMessage: "querycop: this connection was too slow while memory was short (GATEKEEPER_MEMORY_BUDGET)",
  });
}
