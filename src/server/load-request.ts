/** Loads that another process of querycop asks an approval for, in the forms that approvals and audit log have for statements. */
import { createHash } from "node:crypto";
import type { AuditEventOf } from "../audit/audit-event.ts";
import { visibleText } from "../base/visible-text.ts";
import type { ApprovalSettings } from "../policy/policy.ts";
import type { ApprovalCase } from "../session/statement/statement-approvals.ts";

export interface LoadAsk {
  /** All that it is going to do: the approval is for this very text. */
  readonly description: string;
  /** The named connection, and the user that policies know it by. */
  readonly connection: string;
  readonly user: string;
  readonly table: string;
  /** Whose key asks, and from where. */
  readonly askedBy: string;
  readonly clientAddress: string;
  readonly settings: ApprovalSettings;
  readonly policyVersion: string;
}

/** What an approval is bound to: whoever asks can tell by it that the answer is for this load. */
export function hashOfLoad(description: string): string {
  return createHash("sha256").update(description).digest("hex");
}

const COMMAND = "LOAD";
const KIND = "load";

/**
 * As of mode `immediate`: whoever asks comes again for the answer, and finds it under the same key. A key has as many open
 * requests as a user of a listener may have.
 */
export function caseOfLoad(ask: LoadAsk): ApprovalCase {
  const { description, connection, user, table, askedBy, clientAddress, settings, policyVersion } = ask;
  const { timeoutMs, validForMs, openPerUserMax } = settings;
  return {
    mode: "immediate",
    binding: {
      statementHash: hashOfLoad(description),
      session: KIND,
      listener: KIND,
      user: askedBy,
      schema: "",
      reading: KIND,
    },
    timeoutMs,
    validForMs,
    openPerUserMax,
    session: { id: KIND, listener: connection, clientAddress, user, program: "querycop load" },
    ordinal: 0,
    command: COMMAND,
    textBytes: Buffer.byteLength(description),
    isInTransaction: false,
    judgement: {
      approval: {
        settings,
        digest: description,
        isUnderstood: true,
        kinds: [KIND],
        tablesRead: [],
        tablesWritten: [table],
        reasons: [`asked for by the holder of key ${askedBy}`],
        behind: undefined,
      },
      score: undefined,
      level: undefined,
      policyVersion,
      estimatedRows: undefined,
    },
    askedBy,
  };
}

export function holdOfLoad(
  ask: LoadAsk,
  { session, ordinal, command }: ApprovalCase,
  id: string,
): AuditEventOf<"hold"> {
  const { description, table, settings, policyVersion } = ask;
  return {
    type: "hold",
    session,
    ordinal,
    command,
    text: visibleText(description),
    textForm: "raw",
    textBytes: Buffer.byteLength(description),
    statementKind: KIND,
    tables: [table],
    decision: "require-approval",
    policyVersion,
    approvalId: id,
    expiresInMs: settings.timeoutMs,
    mode: "immediate",
  };
}
