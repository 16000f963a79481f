/** `querycop audit show`: everything that the log tells of one decision. */
import { existsSync } from "node:fs";
import {
  type DecisionRecords,
  findDecision,
  findPolicyChange,
  isDecisionId,
  LOOK_EVERYWHERE,
  runOf,
} from "../audit/audit-decision.ts";
import { asciiJsonLines, hashedRecord } from "../audit/audit-export.ts";
import type { ReadRecord } from "../audit/record-expander.ts";
import { listSegments } from "../audit/segment-files.ts";
import { readFirstRecord } from "../audit/segment-reader.ts";
import { visibleText } from "../base/visible-text.ts";
import { RULES } from "../policy/rules/rules.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, UsageError } from "./command-io.ts";
import { renderDecision } from "./decision-text.ts";

/** What a rule says, as docs/rules.md has it. */
export interface RuleText {
  readonly id: string;
  readonly category?: string;
  readonly title?: string;
  readonly instead?: string;
}

export interface ToldDecision extends DecisionRecords {
  readonly id: string;
  readonly policyChange: ReadRecord | undefined;
  readonly rules: readonly RuleText[];
}

export interface ShowOptions {
  readonly isJson: boolean;
  /** Opens sealed texts. */
  readonly unsealed: (record: ReadRecord) => ReadRecord;
}

const COLUMNS_OF_NO_TERMINAL = 100;

/** The id alone, or with the words a client read around it: `[decision 1f3a9c02-7]`. */
export function decisionIdOf(text: string): string {
  const id = text.replace(/^\[?(?:decision |request )?/, "").replace(/\]$/, "");
  if (isDecisionId(id)) return id;
  throw new UsageError(
    `expected a decision or a request as clients are told it, 1f3a9c02-7 or apr-1f3a9c02-1, got ${JSON.stringify(text)}`,
  );
}

export async function showDecision(
  path: string,
  id: string,
  { isJson, unsealed }: ShowOptions,
  io: CommandIo,
): Promise<number> {
  const found = await findDecision(path, id, LOOK_EVERYWHERE);
  const [statement] = found.records;
  if (statement === undefined) {
    io.stderr(`querycop: ${await whyAbsent(path, id)}\n`);
    return EXIT_FAILED;
  }
  const told: ToldDecision = {
    id,
    ...found,
    records: found.records.map(unsealed),
    policyChange: await findPolicyChange(path, statement, LOOK_EVERYWHERE),
    rules: rulesOf(statement),
  };
  if (isJson) io.stdout(asciiJsonLines(jsonOf(told)));
  else io.stdout(renderDecision(told, io.stdoutColumns?.() ?? COLUMNS_OF_NO_TERMINAL));
  return EXIT_OK;
}

function rulesOf(statement: ReadRecord): RuleText[] {
  const ids = Array.isArray(statement["rules"]) ? statement["rules"].map(String) : [];
  return ids.map((id) => {
    const rule = RULES.find((known) => known.id === id);
    return rule === undefined ? { id } : { id, category: rule.category, title: rule.title, instead: rule.rewrite };
  });
}

/** The names of the admin API's answer, and records as an export has them. */
function jsonOf({ id, records, outcome, approval, others, policyChange, rules, isComplete }: ToldDecision): object {
  const shown = (record: ReadRecord | undefined) => (record === undefined ? undefined : hashedRecord(record));
  return {
    id,
    records: records.map(hashedRecord),
    outcome: shown(outcome),
    approval: shown(approval),
    others: others.map(hashedRecord),
    policyChange: shown(policyChange),
    rules,
    isComplete,
  };
}

/** Whether the files of its run are there at all says what to do next. */
async function whyAbsent(path: string, id: string): Promise<string> {
  const run = runOf(id);
  const segments = listSegments(path);
  const active = await readFirstRecord(path).catch(() => undefined);
  const runs = [...segments.map((segment) => segment.run), String(active?.fields["run"] ?? "")];
  const shown = visibleText(path);
  if (segments.length === 0 && !existsSync(path)) throw new UsageError(`no audit log at ${shown}`);
  if (runs.some((known) => known.startsWith(run))) {
    return `${id}: ${shown} holds run ${run}, and no such decision of it: compare the id with what the client was told, or look for the statement with querycop audit tail --decision block`;
  }
  const [oldest] = segments;
  const begin = oldest === undefined ? active?.time : new Date(oldest.beganMs).toISOString();
  const reach = begin === undefined ? "" : `, which reaches back to ${begin}`;
  return `${id}: ${shown}${reach}, has no file of run ${run}: name another querycop's log, or the place where older files are kept: querycop audit show ${id} FILE`;
}
