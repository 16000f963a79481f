/**
 * One account of what all sessions hold for their peers: packets that are not whole yet, statements under way, rows that
 * wait for their client. Small things are just counted. Room for the rest of a large packet is asked for; it is given in
 * order, waited for, or refused.
 *
 * While there is no room, sessions are ended that only wait for their own peer: it sends no more of a packet that it has
 * begun, or takes no more of what it asked for.
 */
import { LoopShare } from "./loop-share.ts";

/** How long a packet waits for room. */
const WAIT_MS = 30_000;
/** Each waits with as much in its socket's queue as that takes. */
const WAITERS_MAX = 256;
/** What large packets leave to everything else. */
const LARGE_SHARE = 0.75;
/** What may be held by packets that need more before they are whole: if they had all, each would wait for the others. */
const BEGUN_SHARE = LARGE_SHARE / 2;
const SWEEP_MS = 500;
/**
 * A peer is slow that has done less than so many bytes of its part after so many looks. Looks, not seconds: a process that
 * had no time to read has not waited.
 */
const SLOW_LOOKS = 6;
const SLOW_BYTES = 64 * 1024;
/** What has been let go lies there until it is collected, which is asked for after so much, and so often at most. */
const GARBAGE_SHARE = 1 / 16;
const GARBAGE_BYTES_MIN = 4 * 1024 * 1024;
const COLLECT_GAP_MS = 200;
/**
 * Of large chunks, in one turn of the event loop. To take a megabyte in and to hand it on takes a millisecond or two, and ten
 * times that on virtual machines where each page that is touched first is dear.
 */
const READ_BYTES_A_TURN = 256 * 1024;
/** Whoever reads on may find half a megabyte, which is what the runtime reads at once, whatever it has found before. */
const READ_ON_BYTES_MIN = READ_BYTES_A_TURN;
/** To end a session that holds less would help nobody. */
const WORTH_BYTES = 16 * 1024;

/** Whose bytes are held. */
export interface BudgetOwner {
  /** Bytes so far of what the peer has to do next; undefined while nothing is its part. */
  readonly progress: number | undefined;
  /** There is room for what was asked for, or, after so many milliseconds or at once, there is none. */
  answer(hasRoom: boolean): void;
  /** Others need the room. */
  evict(): void;
}

export interface MemoryCounts {
  waited: number;
  refused: number;
  evicted: number;
}

interface Pace {
  readonly progress: number;
  looks: number;
}

export class Holding {
  readonly #budget: MemoryBudget;
  readonly owner: BudgetOwner;
  #bytes = 0;
  /** Of them, those that were asked for. */
  #granted = 0;
  /** Of those, what is of no use without more. */
  #begun = 0;
  /** Of what was asked for last: `given` until it is asked for again. */
  #state: "none" | "waiting" | "given" = "none";
  #pace: Pace | undefined;
  #isClosed = false;

  constructor(budget: MemoryBudget, owner: BudgetOwner) {
    this.#budget = budget;
    this.owner = owner;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get grantedBytes(): number {
    return this.#granted;
  }

  /** True when there is less room than is needed already: nothing more should be read. */
  get isTight(): boolean {
    return this.#budget.isOver;
  }

  /**
   * Counts a large chunk that was read. False: its reader is to stop until `goOn` is called, so that others come in between;
   * where memory is short that takes longer. Also once this is closed: what is left of an answer is read to its end then.
   */
  mayReadOn(bytes: number, goOn: () => void): boolean {
    return this.#budget.reads.take(bytes, goOn);
  }

  /** Counts bytes that are there, or, negative, are not any more. */
  add(bytes: number): void {
    if (this.#isClosed) return;
    this.#bytes += bytes;
    this.#budget.count(this, bytes);
  }

  /**
   * Asks for room for so many bytes; where there is none now, `owner.answer` is called later, and then asked again.
   * `isBegun`: more will be asked for, without which this is of no use.
   */
  ask(bytes: number, isBegun = false): boolean {
    if (this.#state === "given") {
      this.#state = "none";
      return true;
    }
    if (this.#isClosed || this.#state === "waiting") return false;
    const hasRoom = this.#budget.ask(this, bytes, isBegun);
    if (!hasRoom) this.#state = "waiting";
    return hasRoom;
  }

  /** The budget's part of `ask`: counts the bytes as given. */
  grant(bytes: number, isBegun: boolean): void {
    this.#begin(isBegun ? bytes : 0);
    this.#granted += bytes;
    this.add(bytes);
  }

  #begin(bytes: number): void {
    this.#budget.countBegun(bytes - this.#begun);
    this.#begun = bytes;
  }

  /** The budget's answer to whoever waits. */
  answer(hasRoom: boolean): void {
    if (this.#isClosed) return;
    this.#state = hasRoom ? "given" : "none";
    this.owner.answer(hasRoom);
  }

  /** Gives back all that was granted. */
  giveBack(): void {
    if (this.#granted === 0) return;
    const bytes = this.#granted;
    this.#begin(0);
    this.#granted = 0;
    this.add(-bytes);
    this.discard(bytes);
  }

  /** Tells of buffers of so many bytes that nobody holds any more. */
  discard(bytes: number): void {
    this.#budget.discard(bytes);
  }

  close(): void {
    if (this.#isClosed) return;
    this.giveBack();
    this.add(-this.#bytes);
    this.#isClosed = true;
    this.#budget.forget(this);
  }

  /** Looks at what the peer has done since the last time. True when it has been slow for long enough. */
  isSlow(): boolean {
    const { progress } = this.owner;
    const pace = this.#pace;
    if (progress === undefined || this.#bytes < WORTH_BYTES) {
      this.#pace = undefined;
      return false;
    }
    const isFirst = pace === undefined || progress < pace.progress;
    if (isFirst || progress - pace.progress >= SLOW_BYTES) {
      this.#pace = { progress, looks: 0 };
      return false;
    }
    pace.looks++;
    return pace.looks >= SLOW_LOOKS;
  }
}

interface Waiter {
  readonly holding: Holding;
  readonly bytes: number;
  readonly isBegun: boolean;
  readonly untilMs: number;
}

export class MemoryBudget {
  readonly bytesMax: number;
  readonly counts: MemoryCounts = { waited: 0, refused: 0, evicted: 0 };
  /** Chunks of what is large, read for all sessions. */
  readonly reads = new LoopShare(READ_BYTES_A_TURN, () => this.isOver, READ_ON_BYTES_MIN);
  /** Room given to those that waited: each takes in first what it has queued, and for a hundred that is a tenth of a second. */
  readonly #grants = new LoopShare(READ_BYTES_A_TURN);
  /** Those that hold anything. */
  readonly #holdings = new Set<Holding>();
  readonly #waiters: Waiter[] = [];
  #isSqueezed = false;
  #used = 0;
  #begun = 0;
  #sweep: ReturnType<typeof setInterval> | undefined;
  readonly #collect: () => void;
  #garbageBytes = 0;
  #collectedMs = 0;

  /** `collect` has the runtime free what was let go lately: everybody waits for it. */
  constructor(bytesMax: number, collect: () => void = () => undefined) {
    this.bytesMax = bytesMax;
    this.#collect = collect;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** The process as a whole is near its limit, whatever is counted here: as if more were used than there may be. */
  set isSqueezed(isSqueezed: boolean) {
    this.#isSqueezed = isSqueezed;
    if (isSqueezed) this.#watch();
    else this.#serve();
  }

  get isOver(): boolean {
    return this.#isSqueezed || this.#used > this.bytesMax;
  }

  open(owner: BudgetOwner): Holding {
    return new Holding(this, owner);
  }

  /** Called by a holding, whose bytes have changed by so many. */
  count(holding: Holding, bytes: number): void {
    this.#used += bytes;
    if (holding.bytes > 0) this.#holdings.add(holding);
    else this.#holdings.delete(holding);
    if (bytes < 0) this.#serve();
    else if (this.isOver) this.#watch();
  }

  /** Called by a holding, by how much more it holds that is of no use without more. */
  countBegun(bytes: number): void {
    this.#begun += bytes;
  }

  /** Called by a holding; true where the room is given at once. Who has begun goes before all that have not. */
  ask(holding: Holding, bytes: number, isBegun: boolean): boolean {
    const mayGoAhead = this.#waiters.length === 0 || holding.grantedBytes > 0;
    if (mayGoAhead && this.#hasRoom(holding, bytes, isBegun)) {
      holding.grant(bytes, isBegun);
      this.#serve();
      return true;
    }
    const isHopeless =
      holding.grantedBytes + bytes > this.bytesMax * LARGE_SHARE || this.#waiters.length >= WAITERS_MAX;
    if (isHopeless) {
      this.counts.refused++;
      // Not from within the question.
      queueMicrotask(() => holding.answer(false));
      return false;
    }
    this.counts.waited++;
    this.#waiters.push({ holding, bytes, isBegun, untilMs: performance.now() + WAIT_MS });
    this.#watch();
    return false;
  }

  /** Called by a holding that is closed. */
  forget(holding: Holding): void {
    const index = this.#waiters.findIndex((waiter) => waiter.holding === holding);
    if (index !== -1) this.#waiters.splice(index, 1);
    this.#serve();
  }

  /** Called by a holding. */
  discard(bytes: number): void {
    this.#garbageBytes += bytes;
    if (this.#garbageBytes < Math.max(GARBAGE_BYTES_MIN, this.bytesMax * GARBAGE_SHARE)) return;
    const nowMs = performance.now();
    if (nowMs - this.#collectedMs < COLLECT_GAP_MS) return;
    this.#collectedMs = nowMs;
    this.#garbageBytes = 0;
    this.#collect();
  }

  /** For the rest of something all there is counts: what others have in their queues must not keep it from its end. */
  #hasRoom({ grantedBytes }: Holding, bytes: number, isBegun: boolean): boolean {
    const most = grantedBytes > 0 ? this.bytesMax : this.bytesMax * LARGE_SHARE;
    if (this.#isSqueezed || this.#used + bytes > most) return false;
    return !isBegun || this.#begun === 0 || this.#begun + bytes <= this.bytesMax * BEGUN_SHARE;
  }

  /** Gives what has become free to those that wait: in order, but that who needs the rest of something goes ahead. */
  #serve(): void {
    let isFull = false;
    for (const waiter of [...this.#waiters]) {
      const { holding, bytes, isBegun } = waiter;
      const index = this.#waiters.indexOf(waiter);
      // One that was answered may have asked on, and with that served others.
      if (index === -1 || (isFull && holding.grantedBytes === 0)) continue;
      if (!this.#hasRoom(holding, bytes, isBegun)) {
        isFull = true;
        continue;
      }
      this.#waiters.splice(index, 1);
      holding.grant(bytes, isBegun);
      const goOn = (): void => holding.answer(true);
      if (this.#grants.take(Math.min(bytes, READ_BYTES_A_TURN), goOn)) goOn();
    }
  }

  #watch(): void {
    if (this.#sweep !== undefined) return;
    this.#sweep = setInterval(() => this.#makeRoom(), SWEEP_MS);
    this.#sweep.unref();
  }

  #makeRoom(): void {
    const nowMs = performance.now();
    while ((this.#waiters[0]?.untilMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      const waiter = this.#waiters.shift();
      this.counts.refused++;
      waiter?.holding.answer(false);
    }
    if (this.#waiters.length === 0 && !this.isOver) {
      clearInterval(this.#sweep);
      this.#sweep = undefined;
      return;
    }
    const slow = [...this.#holdings].filter((holding) => holding.isSlow());
    slow.sort((one, other) => other.bytes - one.bytes);
    for (const holding of slow) {
      if (this.#waiters.length === 0 && !this.isOver) return;
      this.counts.evicted++;
      holding.owner.evict();
      // What it held is free when its session has ended, and must not be waited for.
      holding.close();
    }
  }
}
