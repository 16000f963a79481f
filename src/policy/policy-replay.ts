/** `querycop policy replay`: what another policy would have done to recorded traffic. */

import { analyze } from "../sql/analyze.ts";
import { sha256Hex } from "../sql/digest.ts";
import { parseAuditLine } from "./audit-texts.ts";
import { decide } from "./decide.ts";
import type { Policy } from "./policy.ts";
import { contextFor, subjectFor } from "./tool-context.ts";

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

export interface ReplayReport {
  readonly statements: number;
  readonly unchanged: number;
  readonly withoutText: number;
  readonly unreadable: number;
  readonly newlyBlocked: readonly ReplayChange[];
  readonly newlyAllowed: readonly ReplayChange[];
  readonly otherChanges: readonly ReplayChange[];
}

/** Distinct changes kept; beyond, only the counts go on. */
const CHANGE_COUNT_MAX = 10_000;

const REFUSALS: ReadonlySet<string> = new Set(["block", "require-approval"]);

/** Takes audit lines one by one and compares the recorded decision with the policy's. */
export class PolicyReplay {
  readonly #policy: Policy;
  readonly #wallMs: number;
  readonly #changes = new Map<string, ReplayChange>();
  #statements = 0;
  #unchanged = 0;
  #withoutText = 0;
  #unreadable = 0;

  constructor(policy: Policy, wallMs: number) {
    this.#policy = policy;
    this.#wallMs = wallMs;
  }

  add(line: string): void {
    const parsed = parseAuditLine(line);
    if (parsed.kind === "without-text") this.#withoutText++;
    if (parsed.kind === "unreadable") this.#unreadable++;
    if (parsed.kind !== "statement") return;
    this.#statements++;
    const { statement } = parsed;
    const analysis = analyze(new TextEncoder().encode(statement.text), contextFor(statement));
    const options = { wallMs: this.#wallMs };
    const decision = decide(analysis, subjectFor(statement), this.#policy, options);
    if (decision.action === statement.decision) {
      this.#unchanged++;
      return;
    }
    const digestHash = sha256Hex(analysis.digest);
    const key = `${statement.user}\n${statement.decision}\n${decision.action}\n${digestHash}`;
    const known = this.#changes.get(key);
    if (known !== undefined) known.count++;
    else if (this.#changes.size < CHANGE_COUNT_MAX) {
      this.#changes.set(key, {
        from: statement.decision,
        to: decision.action,
        user: statement.user,
        digest: analysis.digest,
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
    };
  }
}

/** For people. The exit code tells scripts: see the command. */
export function renderReplay(report: ReplayReport): string {
  const lines = [
    `${report.statements} statements replayed, ${report.unchanged} decided as before` +
      ` (${report.withoutText} without text, ${report.unreadable} unreadable lines)`,
  ];
  const sections: readonly [string, readonly ReplayChange[]][] = [
    ["newly blocked", report.newlyBlocked],
    ["newly allowed", report.newlyAllowed],
    ["other changes", report.otherChanges],
  ];
  for (const [title, changes] of sections) {
    lines.push("", `${title}: ${changes.length} shapes`);
    for (const change of changes) {
      const rule = change.rule === undefined ? "" : ` by ${change.rule}`;
      lines.push(
        `  ${change.count} x ${change.from} -> ${change.to}${rule} (risk ${change.score}) user ${change.user}`,
      );
      lines.push(`    ${change.digest.slice(0, 200)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
