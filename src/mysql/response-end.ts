/** What a response said, collected packet by packet. */

import type { ByteReader } from "../base/bytes.ts";
import { CLIENT_DEPRECATE_EOF } from "./constants.ts";
import { decodeEofPacketAt, decodeOkPacketAt, type ErrPacket, type SessionState } from "./generic-response.ts";
import type { StmtPrepareOk } from "./prepared-statement.ts";

export interface ResponseEnd {
  /** local-infile: the server waits for a file from the client, see resumeAfterLocalInfile(). */
  readonly outcome: "ok" | "err" | "local-infile" | "text";
  /** As last reported in this response. An ERR_Packet carries none, nor does a COM_STMT_PREPARE_OK by itself. */
  readonly statusFlags: number | undefined;
  readonly errorNumber: number | undefined;
  readonly sqlState: string | undefined;
  readonly errorMessage: string | undefined;
  /** Summed over the results of the response. */
  readonly affectedRows: number | bigint;
  /** Of the last OK_Packet, like the warnings. */
  readonly lastInsertId: number | bigint;
  readonly warnings: number;
  readonly rows: number;
  /** With packet headers. */
  readonly bytes: number;
  readonly resultSets: number;
  readonly lastSequenceId: number;
  /** What a LOCAL INFILE request names, byte for byte. */
  readonly fileName: Uint8Array | undefined;
  readonly sessionState: SessionState | undefined;
  readonly prepared: StmtPrepareOk | undefined;
  /** The server keeps the rows: COM_STMT_FETCH brings them. */
  readonly cursorExists: boolean;
}

const EOF_PACKET_BYTES = 5;

/** How far a response has been read: what its tracker counts. */
interface Progress {
  readonly rows: number;
  readonly bytes: number;
  readonly resultSets: number;
  readonly lastSequenceId: number;
}

export class ResponseSummary {
  readonly capabilityFlags: number;
  /** Undefined until the response has ended. */
  outcome: ResponseEnd["outcome"] | undefined;
  statusFlags: number | undefined;
  warnings = 0;
  err: ErrPacket | undefined;
  fileName: Uint8Array | undefined;
  prepared: StmtPrepareOk | undefined;
  cursorExists = false;
  #affectedRows: number | bigint = 0;
  #lastInsertId: number | bigint = 0;
  #sessionState: SessionState | undefined;

  constructor(capabilityFlags: number) {
    this.capabilityFlags = capabilityFlags;
  }

  takeOk(reader: ByteReader): void {
    const ok = decodeOkPacketAt(reader, this.capabilityFlags);
    this.statusFlags = ok.statusFlags;
    this.#affectedRows = sum(this.#affectedRows, ok.affectedRows);
    this.#lastInsertId = ok.lastInsertId;
    this.warnings = ok.warnings;
    if (ok.sessionState !== undefined) this.#sessionState = merge(this.#sessionState, ok.sessionState);
  }

  /** An EOF_Packet, or under CLIENT_DEPRECATE_EOF an OK_Packet with its header. Their lengths differ: 5, and 7 or more. */
  takeTerminator(reader: ByteReader): void {
    if (reader.remaining === EOF_PACKET_BYTES) {
      const eof = decodeEofPacketAt(reader);
      this.statusFlags = eof.statusFlags;
      this.warnings = eof.warnings;
    } else if ((this.capabilityFlags & CLIENT_DEPRECATE_EOF) !== 0) {
      this.takeOk(reader);
    } else {
      reader.fail(`an EOF_Packet has ${EOF_PACKET_BYTES} bytes, this one has ${reader.remaining}`);
    }
  }

  endAs(outcome: ResponseEnd["outcome"], progress: Progress): ResponseEnd {
    const { err } = this;
    return {
      outcome,
      statusFlags: this.statusFlags,
      errorNumber: err?.errorNumber,
      sqlState: err?.sqlState,
      errorMessage: err?.message,
      affectedRows: this.#affectedRows,
      lastInsertId: this.#lastInsertId,
      warnings: this.warnings,
      rows: progress.rows,
      bytes: progress.bytes,
      resultSets: progress.resultSets,
      lastSequenceId: progress.lastSequenceId,
      fileName: this.fileName,
      sessionState: this.#sessionState,
      prepared: outcome === "ok" ? this.prepared : undefined,
      cursorExists: this.cursorExists,
    };
  }
}

function sum(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === "number" && typeof b === "number" && Number.isSafeInteger(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
}

/** Later results of one response may change what earlier ones reported. */
function merge(earlier: SessionState | undefined, later: SessionState): SessionState {
  if (earlier === undefined) return later;
  return {
    ...earlier,
    ...later,
    systemVariables: new Map([...earlier.systemVariables, ...later.systemVariables]),
  };
}
