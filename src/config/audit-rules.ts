/** Rules between the settings of the audit log. */
import { problemOfAuditFile, problemOfParentDirectory } from "./rules.ts";
import type { ProcessSettings } from "./schema.ts";

type AuditSettings = ProcessSettings["audit"];

/** What cannot be as it is set: the setting and why. */
export function auditProblems(audit: AuditSettings): readonly (readonly [key: string, problem: string | undefined])[] {
  const isKept = audit.file !== undefined || audit.stdout;
  const needsLog = (value: unknown): string | undefined =>
    value === undefined || isKept ? undefined : "has no effect without an audit log: set audit.file";
  return [
    ["audit.file", audit.file === undefined ? undefined : problemOfAuditFile(audit.file)],
    [
      "audit.stdout",
      audit.stdout && audit.file !== undefined
        ? "cannot be on beside audit.file: the log is one or the other"
        : undefined,
    ],
    ["audit.key_file", needsLog(audit.keyFile)],
    ["audit.checkpoint_file", needsLog(audit.checkpointFile)],
    [
      "audit.checkpoint_file",
      audit.checkpointFile === undefined ? undefined : problemOfParentDirectory(audit.checkpointFile),
    ],
  ];
}
