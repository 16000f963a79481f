/** `querycop policy replay`: what another policy would have done to recorded traffic. */

import { counted } from "../../base/counted.ts";
import type { Analysis } from "../../sql/facts.ts";
import { sha256Hex } from "../../sql/mysql/digest/digest.ts";
import { actionOfScore, type Decision, decide } from "../decide.ts";
import { type Policy, type Subject, strictestAction } from "../policy.ts";
import { RULES } from "../rules/rules.ts";
import { resolveSettings } from "../settings.ts";
import { type AuditedStatement, parseAuditLine } from "./audit-texts.ts";
import { analyzeRecord, sessionOfRecord, subjectFor, type ToolEngine } from "./tool-context.ts";

/** One shape of statement whose decision changes, with how often it was seen. */
export interface ReplayChange {
  readonly from: string;
  readonly to: string;
  readonly user: string;
  readonly digest: string;
  readonly digestHash: string;
  readonly score: number;
  readonly rule: string | undefined;
  count: number;
}

/** One shape of which the record does not tell what the policy would have decided. */
export interface NotJudged {
  readonly from: string;
  readonly user: string;
  readonly digest: string;
  readonly why: string;
  count: number;
}

export interface ReplayOptions {
  readonly policy: Policy;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Of this querycop: one of another version may decide otherwise under the same policy. */
  readonly version: string;
  /** Of records that tell none: MySQL where it is left out. PostgreSQL's parser must be loaded where one is of its engines. */
  readonly engine?: ToolEngine | undefined;
}

export interface ReplayReport {
  readonly statements: number;
  readonly unchanged: number;
  readonly withoutText: number;
  readonly unreadable: number;
  readonly newlyBlocked: readonly ReplayChange[];
  readonly newlyAllowed: readonly ReplayChange[];
  readonly otherChanges: readonly ReplayChange[];
  readonly notJudged: readonly NotJudged[];
}

/** Distinct changes kept; beyond, only the counts go on. */
const CHANGE_COUNT_MAX = 10_000;

/** Rules that find the same under every policy. */
const LASTING_RULES: ReadonlySet<string> = new Set(
  RULES.filter(({ category }) => category !== "policy").map(({ id }) => id),
);

const REFUSALS: ReadonlySet<string> = new Set(["block", "require-approval"]);

type Judged = Pick<Decision, "action" | "score" | "ruleId" | "rules">;

/** Takes audit lines one by one and compares the recorded decision with the policy's. */
export class PolicyReplay {
  readonly #policy: Policy;
  readonly #wallMs: number;
  readonly #changes = new Map<string, ReplayChange>();
  readonly #notJudged = new Map<string, NotJudged>();
  readonly #version: string;
  readonly #engine: ToolEngine | undefined;
  /** Of the querycop that wrote the records; undefined until the log tells. */
  #recordedBy: string | undefined;
  #statements = 0;
  #unchanged = 0;
  #withoutText = 0;
  #unreadable = 0;

  constructor({ policy, wallMs, version, engine }: ReplayOptions) {
    this.#policy = policy;
    this.#wallMs = wallMs;
    this.#version = version;
    this.#engine = engine;
  }

  add(line: string): void {
    const parsed = parseAuditLine(line);
    if (parsed.kind === "without-text") this.#withoutText++;
    if (parsed.kind === "unreadable") this.#unreadable++;
    if (parsed.kind === "start") this.#recordedBy = parsed.version;
    if (parsed.kind !== "statement") return;
    this.#statements++;
    const { statement } = parsed;
    // Then the record is this policy's decision, made of more than is left of the statement.
    const isOwn =
      statement.policyVersion === this.#policy.version && (this.#recordedBy ?? this.#version) === this.#version;
    const session = sessionOfRecord(statement, this.#engine);
    const analysis = isOwn ? undefined : analyzeRecord(statement, session);
    if (isOwn) this.#unchanged++;
    else if (analysis === undefined) this.#keepUnjudged(statement, "its digest does not tell what it does");
    else this.#compare(statement, analysis, subjectFor(session));
  }

  #compare(statement: AuditedStatement, analysis: Analysis, whose: Subject): void {
    const { estimatedRows } = statement;
    // What a name stood for is in the record as a statement of its own.
    const subject = { ...whose, isTls: statement.isTls, estimatedRows, knowsNamed: true };
    const isDigest = statement.form === "digest";
    const options = { wallMs: this.#wallMs, ...(isDigest ? { recordedRules: new Set(statement.rules) } : {}) };
    const decision = decide(analysis, subject, this.#policy, options);
    const lost = isDigest && decision.exceptions.length === 0 ? this.#rulesLost(statement, decision, subject) : [];
    if (lost.length > 0 && statement.rules.some((id) => !LASTING_RULES.has(id))) {
      this.#keepUnjudged(statement, `${lost.join(", ")} found it by values that the digest does not show`);
      return;
    }
    const judged = lost.length === 0 ? decision : this.#withLost(statement, decision, subject, lost);
    if (judged.action === statement.decision) this.#unchanged++;
    else this.#keepChange(statement, analysis.digest, judged);
  }

  /** Rules that the record names and the policy has too, and that are not found without the values. */
  #rulesLost({ rules }: AuditedStatement, decision: Judged, subject: Subject): readonly string[] {
    const { ruleStates } = resolveSettings(this.#policy, subject, this.#wallMs);
    const found = new Set(decision.rules.map(({ id }) => id));
    return rules.filter((id) => LASTING_RULES.has(id) && !found.has(id) && ruleStates.get(id)?.isOff !== true);
  }

  /** The decision by the score that was recorded, which is that of the values. */
  #withLost({ score = 0 }: AuditedStatement, decision: Decision, subject: Subject, lost: readonly string[]): Judged {
    const { settings } = resolveSettings(this.#policy, subject, this.#wallMs);
    const recorded = settings.mode === "enforce" ? actionOfScore(score, settings) : "allow";
    if (strictestAction(decision.action, recorded) === decision.action) return decision;
    return { ...decision, action: recorded, score, ruleId: lost[0] };
  }

  #keepUnjudged({ user, text, decision: from }: AuditedStatement, why: string): void {
    const key = `${user}\n${from}\n${text}`;
    const known = this.#notJudged.get(key);
    if (known !== undefined) known.count++;
    else if (this.#notJudged.size < CHANGE_COUNT_MAX)
      this.#notJudged.set(key, { from, user, digest: text, why, count: 1 });
  }

  #keepChange(statement: AuditedStatement, digest: string, decision: Judged): void {
    const digestHash = sha256Hex(digest);
    const key = `${statement.user}\n${statement.decision}\n${decision.action}\n${digestHash}`;
    const known = this.#changes.get(key);
    if (known !== undefined) known.count++;
    else if (this.#changes.size < CHANGE_COUNT_MAX) {
      this.#changes.set(key, {
        from: statement.decision,
        to: decision.action,
        user: statement.user,
        digest,
        digestHash,
        score: decision.score,
        rule: decision.ruleId,
        count: 1,
      });
    }
  }

  report(): ReplayReport {
    const changes = [...this.#changes.values()].sort((left, right) => right.count - left.count);
    const isNewlyBlocked = ({ from, to }: ReplayChange): boolean => REFUSALS.has(to) && !REFUSALS.has(from);
    const isNewlyAllowed = ({ from, to }: ReplayChange): boolean => REFUSALS.has(from) && !REFUSALS.has(to);
    return {
      statements: this.#statements,
      unchanged: this.#unchanged,
      withoutText: this.#withoutText,
      unreadable: this.#unreadable,
      newlyBlocked: changes.filter(isNewlyBlocked),
      newlyAllowed: changes.filter(isNewlyAllowed),
      otherChanges: changes.filter((change) => !isNewlyBlocked(change) && !isNewlyAllowed(change)),
      notJudged: [...this.#notJudged.values()].sort((left, right) => right.count - left.count),
    };
  }
}

/** For people. The exit code tells scripts: see the command. */
export function renderReplay(report: ReplayReport): string {
  const lines = [
    `${counted(report.statements, "statement")} replayed, ${report.unchanged} decided as before` +
      ` (${report.withoutText} without text, ${report.unreadable} unreadable lines)`,
  ];
  const sections: readonly [string, readonly ReplayChange[]][] = [
    ["newly blocked", report.newlyBlocked],
    ["newly allowed", report.newlyAllowed],
    ["other changes", report.otherChanges],
  ];
  for (const [title, changes] of sections) {
    lines.push("", `${title}: ${counted(changes.length, "shape")}`);
    for (const change of changes) {
      const rule = change.rule === undefined ? "" : ` by ${change.rule}`;
      lines.push(
        `  ${change.count} x ${change.from} -> ${change.to}${rule} (risk ${change.score}) user ${change.user}`,
      );
      lines.push(`    ${change.digest.slice(0, 200)}`);
    }
  }
  if (report.notJudged.length > 0) {
    lines.push(
      "",
      `not judged: ${counted(report.notJudged.length, "shape")}, of which the record does not tell enough`,
    );
    for (const { count, from, user, digest, why } of report.notJudged) {
      lines.push(`  ${count} x ${from}, user ${user}: ${why}`, `    ${digest.slice(0, 200)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
