/** The records of an audit file. */
import { type ReadRecord, RecordExpander } from "../../src/audit/record-expander.ts";

/** Those of its whole lines, each with all it stands for. */
export function auditRecordsIn(text: string): ReadRecord[] {
  const expander = new RecordExpander();
  return text
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => {
      const record = expander.read(line);
      return record === undefined || record instanceof Promise ? [] : [record];
    });
}
