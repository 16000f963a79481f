/** Where audit records go. A sink takes whole lines and either keeps all of a write or none of it. */

/** What a sink found when it was opened: the end of the chain that was there before. */
export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
  readonly run: string;
}

export interface SinkStart {
  readonly previous: ChainEnd | undefined;
  /** Bytes of a torn last record that were cut from the file before. */
  readonly tornBytes: number;
  /** Set when the old file's end could not be read as a record: the chain starts anew. */
  readonly problem?: string;
}

/** Why the sink went on to a new file. `gap` names what an outsider did to the old one. */
export interface SinkTurn {
  readonly why: "rotated" | "reopened" | "recovered";
  readonly gap?: { readonly reason: string; readonly detail?: string };
}

export interface AuditSink {
  /** Called once, before anything else. `run` becomes part of the names of files. Throws when it cannot record. */
  open(run: string): SinkStart;
  /** Keeps all of `lines` or throws; after a throw the sink holds what it held before. */
  write(lines: string): void;
  /** Settles when everything written so far will survive a power loss. */
  sync(): Promise<void>;
  /**
   * Called before writes. Goes on to a new file where one is due (size, age, renamed or deleted by others) and says so;
   * the log then begins that file with a segment-start record. Throws when the new file cannot be made.
   */
  turn(): SinkTurn | undefined;
  /** Makes the next turn() look for changes from outside, whenever it looked last. */
  lookSoon(): void;
  /** Whether the space kept back for the last records is in use: only records that end something are welcome. */
  isLow(): boolean;
  close(): void;
}

/** A sink without files: nothing was there before, and nothing is turned over. */
export abstract class FilelessSink implements AuditSink {
  abstract write(lines: string): void;

  open(): SinkStart {
    return { previous: undefined, tornBytes: 0 };
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  turn(): undefined {
    return undefined;
  }

  lookSoon(): void {}

  isLow(): boolean {
    return false;
  }

  close(): void {}
}
