/** Events as the lines of one write, chained to what was written before. */
import type { AuditEvent } from "./audit-event.ts";
import { encodeRecord, hashedLine, type RecordHead } from "./audit-record.ts";
import { CompactEncoder, isStatementEvent } from "./compact-record.ts";
import { groupHash } from "./record-group.ts";

export interface TimedEvent {
  readonly event: AuditEvent;
  readonly timeMs: number;
}

export interface ChainedLines extends RecordHead {
  /** With their newlines; ASCII only. */
  readonly text: string;
}

/** Whole records are chained one by one, records in short that follow each other in a write as a group. */
export class RecordChain {
  readonly #compact: CompactEncoder | undefined;

  constructor(isCompact: boolean) {
    this.#compact = isCompact ? new CompactEncoder() : undefined;
  }

  /** Records in short refer to records before them: not to those of another file, nor to any that was not written. */
  forget(): void {
    this.#compact?.forget();
  }

  encode(events: readonly TimedEvent[], previous: RecordHead): ChainedLines {
    let head = previous;
    let text = "";
    // Lines of a group, but for the last one's end.
    let group = "";
    let { seq } = previous;
    for (const { event, timeMs } of events) {
      const line = isStatementEvent(event) ? this.#compact?.encode(event, seq + 1, timeMs) : undefined;
      seq++;
      if (line !== undefined) {
        group += group === "" ? line : `}\n${line}`;
        continue;
      }
      if (group !== "") ({ text, head } = closeGroup(text, group, { seq: seq - 1, hash: head.hash }));
      group = "";
      const record = encodeRecord(event, head, timeMs);
      text += record.line;
      head = record;
    }
    if (group !== "") ({ text, head } = closeGroup(text, group, { seq, hash: head.hash }));
    return { seq: head.seq, hash: head.hash, text };
  }
}

function closeGroup(text: string, group: string, { seq, hash }: RecordHead): { text: string; head: RecordHead } {
  const own = groupHash(hash, group);
  return { text: text + hashedLine(group, own), head: { seq, hash: own } };
}
