/** Finds where a response ends (page_protocol_command_phase), looking at packet headers and very few payloads. */

import { ByteReader, ByteWriter, MalformedPacketError } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import {
  type Capabilities,
  CLIENT_DEPRECATE_EOF,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  EOF_HEADER,
  ERR_HEADER,
  LOCAL_INFILE_HEADER,
  MARIADB_CLIENT_CACHE_METADATA,
  MARIADB_CLIENT_PROGRESS,
  OK_HEADER,
  PACKET_HEADER_BYTES,
  PACKET_PAYLOAD_MAX,
  SERVER_MORE_RESULTS_EXISTS,
  SERVER_PS_OUT_PARAMS,
  SERVER_STATUS_CURSOR_EXISTS,
} from "./constants.ts";
import { decodeEofPacketAt, decodeErrPacketAt } from "./generic-response.ts";
import { payloadLengthAt } from "./packet-header.ts";
import { decodeStmtPrepareOkAt } from "./prepared-statement.ts";
import { type ResponseEnd, ResponseSummary } from "./response-end.ts";

export type { ResponseEnd };

/**
 * What a command is answered with.
 * - query: OK, a LOCAL INFILE request, or text result sets; result-set: the same without LOCAL INFILE
 * - execute: OK or binary result sets; fetch: binary rows
 * - prepare: COM_STMT_PREPARE_OK and definitions; field-list: definitions
 * - statistics: one packet of text; eof: one EOF or OK; ok: one OK
 */
export type ResponseShape =
  | "query"
  | "result-set"
  | "execute"
  | "fetch"
  | "prepare"
  | "field-list"
  | "statistics"
  | "eof"
  | "ok";

export interface ResponseTrackerOptions {
  readonly shape: ResponseShape;
  /** What both legs have agreed on. */
  readonly capabilities: Capabilities;
  /** Of the first packet of the response: one more than the command's last. */
  readonly sequenceId?: number;
}

/**
 * Columns a result set may have: a bound on what is believed, not on memory, for definitions are counted and passed on.
 * Tables stop at 4096 columns and a PREPARE_OK at 65,535, but MySQL 9.7 and MariaDB 10.11 answer a SELECT of more constants.
 */
const COLUMNS_MAX = 0xffffff;
/** Packets that must be read whole: an OK_Packet may carry session state, nothing else is large. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** In classic result sets a shorter packet that begins with 0xFE is an EOF_Packet. */
const EOF_PACKET_BYTES_LIMIT = 9;
const PROGRESS_ERROR_NUMBER = 0xffff;
/** Header and error number: an ERR_Packet has more. */
const ERR_PACKET_BYTES_BARE = 3;

// What the next logical packet is.
//
//   FIRST ──► DEFINITIONS ──► DEFINITIONS_END ──► ROWS ──► FIRST (more results) or the end
//     │        (again for       (not under CLIENT_DEPRECATE_EOF)
//     │         a prepare)
//     ├─────► FIELDS, the columns of a COM_FIELD_LIST ──► the end
//     └─────► the end
const FIRST = 0;
const DEFINITIONS = 1;
const DEFINITIONS_END = 2;
const ROWS = 3;
const FIELDS = 4;

// Lowest first byte that the fast loop does not take for a row or definition without another look.
const TEXT_ROW_LIMIT = 0xfe;
const BINARY_ROW_LIMIT = 0x01;
const DEFINITION_LIMIT = 0xfb;

/** Whether a flag behind the column count says if definitions follow (page_protocol_com_query_response_text_resultset). */
export function hasMetadataFlag({ flags, mariadb }: Capabilities): boolean {
  return (flags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0 || (mariadb & MARIADB_CLIENT_CACHE_METADATA) !== 0;
}

/**
 * Follows one response. Feed it every chunk read from the backend, then forward the bytes it says belong to the
 * response, unchanged. It holds no payload but the few packets it must read (at most 1 MiB).
 *
 * Throws QC_BACKEND_PROTOCOL for sequence ids that do not continue, counts that lie, and packets that no state
 * expects. It is of no use after that.
 */
export class ResponseTracker {
  /** Set by the feed() that meets the end. */
  end: ResponseEnd | undefined;
  /**
   * Offset in the chunk fed last behind which a whole packet ended, so that another packet may be put there with
   * lastSequenceId + 1. Undefined when no packet ends in that chunk and its first byte belongs to an earlier one.
   */
  packetBoundary: number | undefined = 0;
  rows = 0;
  bytes = 0;
  resultSets = 0;
  /** True once a packet has come to its end: the answer has then begun for good. */
  hasWholePacket = false;
  /** No row behind this many is read: feed() stops in front of it and says so in `isRowTooMany`. */
  rowsMax = Number.POSITIVE_INFINITY;
  isRowTooMany = false;

  readonly #shape: ResponseShape;
  readonly #isEofDeprecated: boolean;
  readonly #hasMetadataFlag: boolean;
  readonly #hasProgress: boolean;
  readonly #rowLimit: number;

  #expected: number;
  #definitionsLeft = 0;
  /** Columns of a COM_STMT_PREPARE_OK whose definitions come after those of the parameters. */
  #columnsPending = 0;

  #nextSequenceId: number;
  #lastSequenceId: number;
  /** The four header bytes, as far as they have come. */
  #header = 0;
  #headerBytes = 0;
  /** Payload length of the fragment under way, and what is still to come of it. */
  #fragmentBytes = 0;
  #fragmentLeft = 0;
  #isInFragment = false;
  /** The last fragment was full, so the next one continues the same packet. */
  #isContinuation = false;
  #isUndecided = false;
  #kept: ByteWriter | undefined;

  readonly #summary: ResponseSummary;

  constructor(options: ResponseTrackerOptions) {
    const { shape, capabilities } = options;
    const { flags, mariadb } = capabilities;
    const isBinary = shape === "execute" || shape === "fetch";
    this.#shape = shape;
    this.#summary = new ResponseSummary(flags);
    this.#isEofDeprecated = (flags & CLIENT_DEPRECATE_EOF) !== 0;
    this.#hasMetadataFlag = hasMetadataFlag(capabilities);
    this.#hasProgress = (mariadb & MARIADB_CLIENT_PROGRESS) !== 0;
    this.#rowLimit = isBinary ? BINARY_ROW_LIMIT : TEXT_ROW_LIMIT;
    this.#expected = shape === "fetch" ? ROWS : shape === "field-list" ? FIELDS : FIRST;
    this.#nextSequenceId = options.sequenceId ?? 1;
    this.#lastSequenceId = (this.#nextSequenceId - 1) & 0xff;
  }

  /** Of the last whole packet. */
  get lastSequenceId(): number {
    return this.#lastSequenceId;
  }

  /** Payload bytes announced and still to come of the packet under way, and the header of the fragment that must follow. */
  get packetBytesLeft(): number {
    if (!this.#isInFragment) return 0;
    return this.#fragmentLeft + (this.#fragmentBytes === PACKET_PAYLOAD_MAX ? PACKET_HEADER_BYTES : 0);
  }

  /** True before the first payload byte of a packet that has begun: its length or its kind is not known yet. */
  get isInHeader(): boolean {
    return this.#headerBytes > 0 || (this.#isInFragment && this.#isUndecided);
  }

  /** How many bytes of the chunk belong to this response: all of them unless it ends inside the chunk. */
  feed(chunk: Uint8Array): number {
    const isBetweenPackets = !this.#isInFragment && this.#headerBytes === 0 && !this.#isContinuation;
    this.packetBoundary = isBetweenPackets ? 0 : undefined;
    let at = 0;
    this.isRowTooMany = false;
    if (this.end === undefined) {
      try {
        while (at < chunk.length && this.#summary.outcome === undefined && !this.isRowTooMany) {
          at = this.#walk(chunk, at);
        }
      } catch (thrown) {
        throw thrown instanceof MalformedPacketError ? violation(thrown.message, thrown) : thrown;
      }
    }
    this.bytes += at;
    const { outcome } = this.#summary;
    if (outcome !== undefined) this.end ??= this.#summary.endAs(outcome, this);
    return at;
  }

  /**
   * Continues after the client has sent its file, or the empty packet alone: the server answers that with the rest
   * of the response. `lastSequenceId` is that of the client's empty packet.
   */
  resumeAfterLocalInfile(lastSequenceId: number): void {
    if (this.#summary.outcome !== "local-infile")
      throw new Error("Cannot resume a response that did not ask for a file");
    this.end = undefined;
    this.#summary.outcome = undefined;
    this.#expected = FIRST;
    this.#lastSequenceId = lastSequenceId;
    this.#nextSequenceId = (lastSequenceId + 1) & 0xff;
  }

  #walk(chunk: Uint8Array, start: number): number {
    if (this.#isInFragment) return this.#continueFragment(chunk, start);
    if (this.#headerBytes > 0 || this.#isContinuation) return this.#readHeader(chunk, start);
    if (this.#expected !== FIRST && this.#expected !== DEFINITIONS_END) {
      const at = this.#skipWhole(chunk, start);
      // Passing over definitions may have ended the response: what follows is looked at afresh.
      if (at > start) return at;
    }
    return this.#walkPacket(chunk, start);
  }

  /** A packet that lies whole in the chunk is read there; any other takes the way of pieces. */
  #walkPacket(chunk: Uint8Array, at: number): number {
    if (chunk.length - at <= PACKET_HEADER_BYTES) return this.#readHeader(chunk, at);
    const length = payloadLengthAt(chunk, at);
    const payloadAt = at + PACKET_HEADER_BYTES;
    const end = payloadAt + length;
    if (length === 0 || length > KEPT_BYTES_MAX || end > chunk.length) return this.#readHeader(chunk, at);
    // In front of a row for which there is no room nothing is taken, not even its sequence id.
    if (this.#isFull()) {
      this.#fragmentBytes = length;
      this.isRowTooMany = !this.#mustRead(chunk[payloadAt] as number);
      if (this.isRowTooMany) return at;
    }
    this.#takeSequenceId(chunk[at + 3] as number);
    this.#fragmentBytes = length;
    const isRead = this.#mustRead(chunk[payloadAt] as number);
    this.#endPacket(end);
    if (isRead) this.#read(new ByteReader(chunk, "response", payloadAt, end));
    else this.#countPacket();
    return end;
  }

  /**
   * The hot loop: passes over rows and definitions that lie whole in the chunk. Stops in front of anything else and
   * leaves that to the slow path, which also words the complaints.
   */
  #skipWhole(chunk: Uint8Array, start: number): number {
    const isRows = this.#expected === ROWS;
    const limit = isRows ? this.#rowLimit : DEFINITION_LIMIT;
    const countMax = isRows
      ? this.rowsMax - this.rows
      : this.#expected === DEFINITIONS
        ? this.#definitionsLeft
        : Number.POSITIVE_INFINITY;
    const size = chunk.length;
    let sequenceId = this.#nextSequenceId;
    let count = 0;
    let at = start;
    while (count < countMax && size - at > PACKET_HEADER_BYTES) {
      const length = (chunk[at] as number) | ((chunk[at + 1] as number) << 8) | ((chunk[at + 2] as number) << 16);
      const next = at + PACKET_HEADER_BYTES + length;
      if (length === 0 || length === PACKET_PAYLOAD_MAX || next > size) break;
      if (chunk[at + 3] !== sequenceId || (chunk[at + 4] as number) >= limit) break;
      sequenceId = (sequenceId + 1) & 0xff;
      count++;
      at = next;
    }
    if (count === 0) return start;
    this.hasWholePacket = true;
    this.#nextSequenceId = sequenceId;
    this.#lastSequenceId = (sequenceId - 1) & 0xff;
    this.packetBoundary = at;
    if (isRows) this.rows += count;
    else if (this.#expected === DEFINITIONS) this.#countDefinitions(count);
    return at;
  }

  #readHeader(chunk: Uint8Array, start: number): number {
    let at = start;
    while (this.#headerBytes < PACKET_HEADER_BYTES) {
      if (at === chunk.length) return at;
      this.#header |= (chunk[at++] as number) << (8 * this.#headerBytes++);
    }
    const length = this.#header & 0xffffff;
    this.#takeSequenceId(this.#header >>> 24);
    this.#header = 0;
    this.#headerBytes = 0;
    this.#isInFragment = true;
    this.#fragmentBytes = length;
    this.#fragmentLeft = length;
    if (!this.#isContinuation) this.#beginPacket(length);
    // A fragment without payload ends right here: nothing of it will come in a later chunk.
    return length === 0 ? this.#endFragment(at) : at;
  }

  #beginPacket(length: number): void {
    this.#kept = undefined;
    this.#isUndecided = length > 0;
    if (length === 0 && this.#shape !== "statistics") throw violation("an empty packet where no state expects one");
  }

  /** Whatever a continuation begins with has no meaning: only the first byte of a whole packet is looked at. */
  #continueFragment(chunk: Uint8Array, start: number): number {
    if (this.#isUndecided) {
      const isRead = this.#mustRead(chunk[start] as number);
      this.isRowTooMany = !isRead && this.#isFull();
      if (this.isRowTooMany) return start;
      this.#isUndecided = false;
      if (isRead) {
        if (this.#fragmentBytes > KEPT_BYTES_MAX) {
          throw violation(`a packet of ${this.#fragmentBytes} bytes where at most ${KEPT_BYTES_MAX} are expected`);
        }
        this.#kept = new ByteWriter(this.#fragmentBytes);
      }
    }
    const end = Math.min(chunk.length, start + this.#fragmentLeft);
    this.#kept?.bytes(chunk.subarray(start, end));
    this.#fragmentLeft -= end - start;
    return this.#fragmentLeft === 0 ? this.#endFragment(end) : end;
  }

  #endFragment(at: number): number {
    this.#isInFragment = false;
    this.#isContinuation = this.#fragmentBytes === PACKET_PAYLOAD_MAX;
    if (this.#isContinuation) return at;
    this.#endPacket(at);
    const kept = this.#kept;
    if (kept !== undefined) this.#read(new ByteReader(kept.finish(), "response"));
    else this.#countPacket();
    return at;
  }

  #takeSequenceId(sequenceId: number): void {
    if (sequenceId !== this.#nextSequenceId) {
      throw violation(`expected sequence id ${this.#nextSequenceId}, got ${sequenceId}`);
    }
    this.#nextSequenceId = (sequenceId + 1) & 0xff;
  }

  #endPacket(at: number): void {
    this.hasWholePacket = true;
    this.#lastSequenceId = (this.#nextSequenceId - 1) & 0xff;
    this.packetBoundary = at;
  }

  /** True for a packet whose content decides what comes next, false for one that is only counted. */
  #mustRead(first: number): boolean {
    if (first === ERR_HEADER) return true;
    switch (this.#expected) {
      case FIRST:
        return this.#shape !== "statistics";
      case DEFINITIONS_END:
        if (first === EOF_HEADER) return true;
        throw violation(`a packet that begins with ${first} instead of the EOF_Packet behind the definitions`);
      case ROWS:
        return this.#mustReadRow(first);
      default:
        if (first < DEFINITION_LIMIT) return false;
        if (this.#expected === FIELDS && first === EOF_HEADER) return true;
        throw violation(`a packet that begins with ${first} instead of a column definition`);
    }
  }

  #mustReadRow(first: number): boolean {
    if (first === EOF_HEADER) {
      // SAFETY: a text row may begin with 0xFE as well, the length of a value of 16 MiB or more, but such a row is
      // never one short fragment.
      if (this.#fragmentBytes === PACKET_PAYLOAD_MAX && this.#rowLimit === TEXT_ROW_LIMIT) return false;
      if (this.#isEofDeprecated || this.#fragmentBytes < EOF_PACKET_BYTES_LIMIT) return true;
      throw violation(`a packet of ${this.#fragmentBytes} bytes that is neither a row nor an EOF_Packet`);
    }
    if (first >= this.#rowLimit) throw violation(`a packet that begins with ${first} instead of a row`);
    return false;
  }

  #isFull(): boolean {
    return this.#expected === ROWS && this.rows >= this.rowsMax;
  }

  #countPacket(): void {
    if (this.#expected === ROWS) this.rows++;
    else if (this.#expected === DEFINITIONS) this.#countDefinitions(1);
    else if (this.#expected === FIRST) this.#summary.outcome = "text";
  }

  #read(reader: ByteReader): void {
    if (this.#expected === FIRST) {
      this.#readFirst(reader);
    } else if (reader.peekUint8() === ERR_HEADER) {
      this.#readErr(reader);
    } else if (this.#expected === DEFINITIONS_END) {
      this.#summary.statusFlags = decodeEofPacketAt(reader).statusFlags;
      this.#afterDefinitions();
    } else {
      this.#readTerminator(reader);
    }
  }

  #readFirst(reader: ByteReader): void {
    const first = reader.peekUint8();
    if (first === ERR_HEADER) {
      this.#readErr(reader);
      return;
    }
    switch (this.#shape) {
      case "ok":
      case "eof":
        // Servers differ in how they answer COM_SET_OPTION and COM_DEBUG; either packet ends the response.
        if (first === OK_HEADER) this.#summary.takeOk(reader);
        else if (first === EOF_HEADER && this.#shape === "eof") this.#summary.takeTerminator(reader);
        else throw violation(`a packet that begins with ${first} instead of an OK_Packet`);
        this.#summary.outcome = "ok";
        break;
      case "prepare":
        this.#readPrepareOk(reader);
        break;
      default:
        this.#readFirstOfResult(reader, first);
    }
  }

  #readFirstOfResult(reader: ByteReader, first: number | undefined): void {
    if (first === OK_HEADER) {
      this.#summary.takeOk(reader);
      if (!this.#hasMoreResults()) this.#summary.outcome = "ok";
    } else if (first === LOCAL_INFILE_HEADER && this.#shape === "query") {
      reader.skip(1);
      this.#summary.fileName = reader.rest().slice();
      this.#summary.outcome = "local-infile";
    } else {
      this.#beginResultSet(reader);
    }
  }

  #beginResultSet(reader: ByteReader): void {
    const columns = reader.lenencCount("the column count", COLUMNS_MAX);
    if (columns === 0) reader.fail("a result set without columns");
    const hasDefinitions = !this.#hasMetadataFlag || reader.uint8() !== 0;
    reader.expectEnd();
    this.resultSets++;
    this.#beginDefinitions(hasDefinitions ? columns : 0);
  }

  #readPrepareOk(reader: ByteReader): void {
    const prepared = decodeStmtPrepareOkAt(reader, this.#summary.capabilityFlags);
    this.#summary.prepared = prepared;
    this.#summary.warnings = prepared.warnings;
    const hasDefinitions = prepared.hasDefinitions;
    this.#columnsPending = prepared.columns;
    if (prepared.parameters > 0) this.#beginDefinitions(hasDefinitions ? prepared.parameters : 0);
    else this.#afterDefinitions();
  }

  /** Servers close the definitions with an EOF_Packet even when they have left them out. */
  #beginDefinitions(count: number): void {
    this.#definitionsLeft = count;
    if (count > 0) this.#expected = DEFINITIONS;
    else this.#endDefinitions();
  }

  #countDefinitions(count: number): void {
    this.#definitionsLeft -= count;
    if (this.#definitionsLeft === 0) this.#endDefinitions();
  }

  #endDefinitions(): void {
    if (this.#isEofDeprecated) this.#afterDefinitions();
    else this.#expected = DEFINITIONS_END;
  }

  #afterDefinitions(): void {
    if (this.#summary.prepared !== undefined) {
      const columns = this.#columnsPending;
      this.#columnsPending = 0;
      if (columns > 0) this.#beginDefinitions(this.#summary.prepared.hasDefinitions ? columns : 0);
      else this.#summary.outcome = "ok";
    } else if (this.#hasOpenedCursor()) {
      this.#summary.outcome = "ok";
    } else {
      this.#expected = ROWS;
    }
  }

  /** Without CLIENT_DEPRECATE_EOF the EOF_Packet behind the definitions says so, with it the end of the empty rows. */
  #hasOpenedCursor(): boolean {
    if (this.#shape !== "execute" || this.#summary.statusFlags === undefined) return false;
    const isOpen = !this.#isEofDeprecated && (this.#summary.statusFlags & SERVER_STATUS_CURSOR_EXISTS) !== 0;
    if (isOpen) this.#summary.cursorExists = true;
    return isOpen;
  }

  #hasMoreResults(): boolean {
    return this.#summary.statusFlags !== undefined && (this.#summary.statusFlags & SERVER_MORE_RESULTS_EXISTS) !== 0;
  }

  #readTerminator(reader: ByteReader): void {
    const flagsBefore = this.#summary.statusFlags ?? 0;
    this.#summary.takeTerminator(reader);
    if (!this.#isEofDeprecated && (flagsBefore & SERVER_PS_OUT_PARAMS) !== 0) {
      // MySQL's rows of OUT parameters end in an EOF_Packet that says nothing of the OK_Packet behind it: only the one
      // in front of the rows does, and clients take the flag from there (cli_read_binary_rows() in libmysql.cc).
      this.#summary.statusFlags = (this.#summary.statusFlags ?? 0) | (flagsBefore & SERVER_MORE_RESULTS_EXISTS);
    }
    const hasCursor = ((this.#summary.statusFlags ?? 0) & SERVER_STATUS_CURSOR_EXISTS) !== 0;
    if (this.#shape === "execute" || this.#shape === "fetch") this.#summary.cursorExists = hasCursor;
    const canContinue = this.#shape !== "fetch" && this.#shape !== "field-list" && !this.#summary.cursorExists;
    if (canContinue && this.#hasMoreResults()) this.#expected = FIRST;
    else this.#summary.outcome = "ok";
  }

  #readErr(reader: ByteReader): void {
    // A client makes an error 2000 without a text of it (cli_safe_read() in client.cc), and goes on.
    if (reader.remaining <= ERR_PACKET_BYTES_BARE) throw violation("an ERR_Packet that is cut short");
    const err = decodeErrPacketAt(reader);
    // MariaDB's progress reports look like errors and end nothing.
    if (err.errorNumber === PROGRESS_ERROR_NUMBER && this.#hasProgress) return;
    this.#summary.err = err;
    this.#summary.outcome = "err";
  }
}

function violation(problem: string, cause?: unknown): QuerycopError {
  return new QuerycopError("QC_BACKEND_PROTOCOL", `The backend broke the protocol inside a response: ${problem}`, {
    cause,
  });
}
