/**
 * One leg of a session: a socket that is read by pulling and written with backpressure.
 *
 * There are no callbacks upward. A session asks for the next packet or chunk and is handed it; what arrives unasked
 * waits in a bounded queue, and past the bound the socket is paused.
 */
import { freeBytes } from "../base/bytes.ts";
import { type ErrorCode, QuerycopError } from "../base/errors.ts";
import type { Holding } from "../base/memory-budget.ts";
import { type Packet, PacketReader } from "../mysql/packet.ts";
import {
  type CodedError,
  certificateRefused,
  explainBackendError,
  explainError,
  refusesOurCertificate,
} from "./tls-errors.ts";
import type { TlsPeer, TlsUpgrade, Transport, TransportListener } from "./transport.ts";

/** Which peer a leg talks to: decides who is blamed when it breaks. */
export type LegSide = "client" | "backend";

interface LegErrorCodes {
  readonly closed: ErrorCode;
  readonly protocol: ErrorCode;
  readonly timeout: ErrorCode;
}

const LEG_ERROR_CODES: Record<LegSide, LegErrorCodes> = {
  client: { closed: "QC_CLIENT_CLOSED", protocol: "QC_CLIENT_PROTOCOL", timeout: "QC_CLIENT_TIMEOUT" },
  backend: { closed: "QC_BACKEND_CLOSED", protocol: "QC_BACKEND_PROTOCOL", timeout: "QC_BACKEND_TIMEOUT" },
};

/**
 * Bytes a leg holds unread before it stops reading its socket. Large enough that a client which vanishes while its
 * statement is held is noticed (a paused socket shows no FIN), small enough that ten thousand legs fit in memory.
 */
const QUEUED_BYTES_MAX = 256 * 1024;
/** A chunk from here on takes longer than most statements: how many are read in a turn of the event loop is limited. */
const LARGE_CHUNK_BYTES = 32 * 1024;
/** Less than this is not counted: what most packets and answers take. */
const COUNTED_BYTES_MIN = 16 * 1024;

export class Leg implements TransportListener {
  readonly side: LegSide;
  readonly #transport: Transport;
  #chunks: Uint8Array[] = [];
  #queuedBytes = 0;
  #isFull = false;
  #awaitsTurn = false;
  #isEnded = false;
  #isDead = false;
  #isExpired = false;
  #socketError: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #deadListener: (() => void) | undefined;
  #endListener: (() => void) | undefined;
  #unaskedListener: (() => void) | undefined;
  readonly #reader: PacketReader;
  /** Where what this leg holds is counted. */
  #holding: Holding | undefined;
  #countedBytes = 0;
  /** Of the packet that was handed out last, which is in use until the next is asked for. */
  #inUseBytes = 0;
  /** Since when a packet has been begun that is not whole; 0 while none is awaited. */
  #partialSinceMs = 0;
  #failure: QuerycopError | undefined;
  /** The sequence id the next packet written to this leg carries. */
  nextSequenceId = 0;
  bytesRead = 0;
  bytesWritten = 0;

  constructor(side: LegSide, transport: Transport, payloadBytesMax: number) {
    this.side = side;
    this.#transport = transport;
    this.#reader = new PacketReader({
      sender: side,
      payloadBytesMax,
      admit: (bytes, isBegun) => this.#admit(bytes, isBegun),
    });
    transport.attach(this);
  }

  /** The peer's IP address; undefined for a unix socket. */
  get remoteAddress(): string | undefined {
    return this.#transport.remoteAddress;
  }

  /** Raised from the pre-authentication cap to the operator's packet limit once a login has succeeded. */
  set payloadBytesMax(bytes: number) {
    this.#reader.payloadBytesMax = bytes;
  }

  /** From now on what this leg holds counts there. */
  countIn(holding: Holding): void {
    this.#holding = holding;
  }

  /**
   * Bytes so far of what the peer has to do: to send the rest of a packet, or to take what was written. Undefined while
   * neither is waited for.
   */
  get progress(): number | undefined {
    if (this.#transport.needsDrain) return this.bytesWritten - this.#transport.unsentBytes;
    return this.partialSinceMs === undefined ? undefined : this.bytesRead;
  }

  /** Since when the peer is awaited to send the rest of a packet, on the clock of `performance`; undefined while it is not. */
  get partialSinceMs(): number | undefined {
    const isAwaited = this.#partialSinceMs > 0 && this.#wakeReader !== undefined && !this.#reader.isBlocked;
    return isAwaited ? this.#partialSinceMs : undefined;
  }

  /** What was asked of the budget is answered: the reader goes on. */
  goOn(): void {
    this.#wakeReaderNow();
  }

  /** Whoever asks for a packet from now on gets this error. */
  fail(error: QuerycopError): void {
    this.#failure ??= error;
    this.#wakeReaderNow();
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** True once the peer has sent its FIN: it will send nothing more, but may still read. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  get socketError(): Error | undefined {
    return this.#socketError;
  }

  /** True when a packet or a part of one has arrived and nobody has asked for it yet. */
  get hasUnread(): boolean {
    return this.#chunks.length > 0 || this.#reader.bufferedBytes > 0;
  }

  /** True while more waits unread than is taken in: neither a FIN nor a reset of the peer is noticed then. */
  get isPaused(): boolean {
    return this.#isFull;
  }

  /** The first unread bytes, at most `count`, which stay unread. */
  peek(count: number): Uint8Array {
    const parts = [this.#reader.peek(count)];
    for (const chunk of this.#chunks) {
      if (parts.reduce((bytes, part) => bytes + part.length, 0) >= count) break;
      parts.push(chunk.subarray(0, count));
    }
    return Buffer.concat(parts).subarray(0, count);
  }

  /** Called once when the leg is gone for good (reset, closed, destroyed), never for a half-close. */
  onDead(listener: () => void): void {
    this.#deadListener = listener;
    if (this.#isDead) listener();
  }

  /** Called once at the peer's FIN, whoever reads. */
  onEnd(listener: () => void): void {
    this.#endListener = listener;
    if (this.#isEnded) listener();
  }

  /** Called when bytes or a FIN arrive while nobody reads. */
  onUnasked(listener: () => void): void {
    this.#unaskedListener = listener;
  }

  /** The next bytes as they came, or undefined once the peer has closed. Packets already split off are not repeated. */
  async readChunk(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.takeChunk();
      if (chunk !== undefined) return chunk;
      if (this.isFinished) return undefined;
      await this.nextEvent();
    }
  }

  /** The next chunk if one has already arrived. Spares the fast path a promise. */
  takeChunk(): Uint8Array | undefined {
    if (this.#reader.bufferedBytes > 0) return this.#reader.takeRest();
    const chunk = this.#shiftChunk();
    // Whoever takes it counts it from now on.
    if (this.#countedBytes > 0) this.#count();
    return chunk;
  }

  /**
   * The next whole packet, or undefined when the peer closed between two packets.
   * Throws the side's "closed" error when the peer went away inside a packet.
   */
  async readPacket(signal?: AbortSignal): Promise<Packet | undefined> {
    for (;;) {
      const packet = this.takePacket();
      if (packet !== undefined) return packet;
      if (this.isFinished || signal?.aborted === true) return undefined;
      await this.nextEvent();
    }
  }

  /** The next whole packet if it has already arrived. Spares the fast path a promise. The one before is in use no more. */
  takePacket(): Packet | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#inUseBytes > 0) this.#endUse();
    for (;;) {
      const packet = this.#reader.next();
      if (packet !== undefined) {
        this.#partialSinceMs = 0;
        if (packet.payload.length >= COUNTED_BYTES_MIN) this.#beginUse(packet.payload.length);
        return packet;
      }
      if (this.#reader.isBlocked) break;
      const chunk = this.#shiftChunk();
      if (chunk === undefined) break;
      this.#reader.push(chunk);
    }
    if (this.#reader.bufferedBytes > 0) this.#awaitRest();
    if (this.isFinished && this.#reader.bufferedBytes > 0 && !this.#isExpired) {
      throw new QuerycopError(LEG_ERROR_CODES[this.side].closed, `The ${this.side} closed in the middle of a packet`);
    }
    return undefined;
  }

  /** What backends send is read as a stream, but for small answers to questions of our own. */
  #admit(bytes: number, isBegun: boolean): boolean {
    return this.side === "backend" || this.#holding === undefined || this.#holding.ask(bytes, isBegun);
  }

  #beginUse(payloadBytes: number): void {
    this.#inUseBytes = payloadBytes;
    this.#count();
  }

  #endUse(): void {
    this.#inUseBytes = 0;
    this.#holding?.giveBack();
    this.#count();
  }

  #awaitRest(): void {
    // What waits for room here is not the peer's to send.
    if (this.#partialSinceMs === 0 || this.#reader.isBlocked) this.#partialSinceMs = performance.now();
    this.#count();
  }

  /** Brings the account up to date. What was granted to a large packet is counted already. */
  #count(): void {
    const holding = this.#holding;
    if (holding === undefined) return;
    const inUse = this.#inUseBytes > holding.grantedBytes ? this.#inUseBytes : 0;
    const unsent = this.side === "client" && this.#transport.needsDrain ? this.#transport.unsentBytes : 0;
    const held = this.#queuedBytes + this.#reader.looseBytes + inUse + unsent;
    const counted = held < COUNTED_BYTES_MIN || this.#isDead ? 0 : held;
    if (counted === this.#countedBytes) return;
    const more = counted - this.#countedBytes;
    this.#countedBytes = counted;
    holding.add(more);
  }

  /** True when nothing more will come and all that came was taken, a packet cut short excepted. */
  get isFinished(): boolean {
    return this.#chunks.length === 0 && (this.#isEnded || this.#isDead || this.#isExpired);
  }

  /** Resolves at the next chunk, FIN or death. Ask `take…` and `isFinished` first: what has arrived wakes nobody. */
  nextEvent(): Promise<void> {
    return new Promise((resolve) => {
      const earlier = this.#wakeReader;
      this.#wakeReader =
        earlier === undefined
          ? resolve
          : () => {
              earlier();
              resolve();
            };
    });
  }

  /**
   * As `readPacket`, for a place where the conversation cannot end: a closed peer is an error, and so is a peer that
   * stays silent for `timeoutMs`. Also sets the sequence id of the answer. An abort of `signal` ends the wait and leaves
   * the leg as it is.
   */
  async expectPacket(awaiting: string, timeoutMs: number, signal?: AbortSignal): Promise<Packet> {
    const timer = setTimeout(() => this.#expire(), timeoutMs);
    const giveUp = (): void => this.#wakeReader?.();
    signal?.addEventListener("abort", giveUp);
    const packet = await this.readPacket(signal).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    });
    if (packet !== undefined) {
      this.nextSequenceId = (packet.lastSequenceId + 1) & 0xff;
      return packet;
    }
    if (this.#isExpired) {
      const text = `The ${this.side} sent nothing within ${Math.round(timeoutMs)} ms while ${awaiting}`;
      throw new QuerycopError(LEG_ERROR_CODES[this.side].timeout, text);
    }
    const isGivenUp = signal?.aborted === true && !this.isFinished;
    const text = `The ${this.side} ${isGivenUp ? "was given up" : this.#howItEnded()} while ${awaiting}`;
    if (this.side === "backend" && refusesOurCertificate(this.#socketError ?? {})) throw certificateRefused(text);
    throw new QuerycopError(LEG_ERROR_CODES[this.side].closed, text);
  }

  #howItEnded(): string {
    const error: CodedError | undefined = this.#socketError;
    if (error === undefined) return "closed the connection";
    if (error.code === "ECONNRESET" || error.code === "EPIPE") return "reset the connection";
    return `failed: ${this.side === "backend" ? explainBackendError(error) : explainError(error)}`;
  }

  /** Resolves when something can be read or the peer has closed. */
  async waitReadable(): Promise<void> {
    while (!this.hasUnread && !this.isFinished) await this.nextEvent();
  }

  /** Bytes that arrived and were not asked for, taken out: what follows an SSLRequest in the same segment. */
  takeUnread(): Uint8Array {
    const parts = this.#reader.bufferedBytes > 0 ? [this.#reader.takeRest()] : [];
    for (let chunk = this.#shiftChunk(); chunk !== undefined; chunk = this.#shiftChunk()) parts.push(chunk);
    return Buffer.concat(parts);
  }

  /**
   * Throws away what has arrived and was not taken. Who is not listened to any more may have sent megabytes of a packet:
   * taken as a chunk they would be copied twice, for nobody.
   */
  dropUnread(): void {
    this.#reader.drop();
    for (let chunk = this.#shiftChunk(); chunk !== undefined; chunk = this.#shiftChunk()) freeBytes(chunk);
    if (this.#countedBytes > 0) this.#count();
  }

  /**
   * Hands the bytes to the socket. False means: await `drained()` before producing more. `isGiven`: nobody else has use for
   * them, and those of a large chunk are freed as soon as the system has them.
   */
  write(bytes: Uint8Array, isGiven = false): boolean {
    if (this.#isDead) return true;
    this.bytesWritten += bytes.length;
    const isTaken = this.#transport.write(bytes, isGiven);
    if (!isTaken) this.#count();
    return isTaken;
  }

  /** Resolves when the socket has room again, or is dead. */
  drained(): Promise<void> {
    if (this.#isDead || !this.#transport.needsDrain) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  /** Starts TLS beneath this leg. Rejects when the handshake or what it was to verify fails; the leg is then dead. */
  async startTls(upgrade: TlsUpgrade): Promise<TlsPeer> {
    try {
      return await this.#transport.startTls(upgrade);
    } catch (thrown) {
      this.#die();
      throw thrown;
    }
  }

  /** Sends FIN after everything written so far; the peer may still be read. */
  end(): void {
    if (!this.#isDead) this.#transport.end();
  }

  /** Ends the leg at once. Idempotent. */
  destroy(): void {
    this.#transport.destroy();
    this.#die();
  }

  receive(chunk: Uint8Array): void {
    this.bytesRead += chunk.length;
    this.#chunks.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes >= COUNTED_BYTES_MIN) this.#count();
    const wasHalted = this.#isHalted;
    if (this.#queuedBytes > this.#queuedBytesMax) this.#isFull = true;
    if (chunk.length >= LARGE_CHUNK_BYTES && !this.#awaitsTurn) this.#awaitsTurn = !this.#mayReadOn(chunk.length);
    if (this.#isHalted && !wasHalted) this.#transport.pause();
    this.#wakeReaderNow();
  }

  get #isHalted(): boolean {
    return this.#isFull || this.#awaitsTurn;
  }

  #mayReadOn(chunkBytes: number): boolean {
    const goOn = (): void => {
      this.#awaitsTurn = false;
      this.#resume();
    };
    return this.#holding?.mayReadOn(chunkBytes, goOn) ?? true;
  }

  #resume(): void {
    if (!this.#isHalted && !this.#isDead) this.#transport.resume();
  }

  receiveEnd(): void {
    this.#isEnded = true;
    this.#wakeReaderNow();
    this.#endListener?.();
  }

  receiveDrain(): void {
    if (this.#countedBytes > 0) this.#count();
    this.#wakeWriterNow();
  }

  receiveClose(error: Error | undefined): void {
    this.#socketError ??= error;
    this.#die();
  }

  get #queuedBytesMax(): number {
    return this.#holding?.isTight === true || this.#reader.isBlocked ? 0 : QUEUED_BYTES_MAX;
  }

  #shiftChunk(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#queuedBytes -= chunk.length;
    if (this.#isFull && this.#queuedBytes <= QUEUED_BYTES_MAX / 2) {
      this.#isFull = false;
      this.#resume();
    }
    return chunk;
  }

  #expire(): void {
    this.#isExpired = true;
    this.#wakeReaderNow();
  }

  #wakeReaderNow(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    if (wake === undefined) this.#unaskedListener?.();
    else wake();
  }

  #wakeWriterNow(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = undefined;
    wake?.();
  }

  #die(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    if (this.#countedBytes > 0) this.#count();
    this.#unaskedListener = undefined;
    this.#endListener = undefined;
    this.#wakeReaderNow();
    this.#wakeWriterNow();
    this.#deadListener?.();
  }
}
