/** `querycop policy learn` and `import-digests`: drafts of profiles from what was seen. */

import { counted } from "../../base/counted.ts";
import type { Analysis } from "../../sql/facts.ts";
import { sha256Hex } from "../../sql/mysql/digest/digest.ts";
import { analyzeDigest, isPerhapsCut } from "../../sql/mysql/digest-text.ts";
import { decide } from "../decide.ts";
import { digestHashesOf, runsUnknownText } from "../digest-hashes.ts";
import type { Policy } from "../policy.ts";
import { LEVEL_SCORES } from "../score.ts";
import { type AuditedStatement, parseAuditLine } from "./audit-texts.ts";
import { analyzeAs, contextFor, sessionOfRecord, subjectFor, type ToolEngine } from "./tool-context.ts";

/** Digests kept per user; an application with more has text where parameters should be. */
const DIGEST_COUNT_MAX = 20_000;

/** What keeps a digest out of the list. */
export type LeftOut = "refused" | "not understood" | "runs text that no digest tells" | "not told by its digest";

/** A shape of statement as it goes into the draft. */
interface SeenDigest {
  readonly text: string;
  /** All that a policy has to list for it. */
  readonly hashes: readonly string[];
  readonly score: number;
  readonly rules: readonly string[];
  readonly leftOut: LeftOut | undefined;
}

interface LearnedDigest extends SeenDigest {
  count: number;
}

export interface LearnOptions {
  readonly policy: Policy;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Leaves out, as a comment, what the policy warns of too. */
  readonly isStrict: boolean;
  /** Of records that tell none: MySQL where it is left out. PostgreSQL's parser must be loaded where one is of its engines. */
  readonly engine?: ToolEngine | undefined;
}

export interface LearnCounts {
  /** Shapes that the draft lists, and those that it holds as comments only. */
  readonly listed: number;
  readonly leftOut: number;
  /** Statements whose record holds no text, and lines that are no record. */
  readonly withoutText: number;
  readonly unreadable: number;
}

/** Collects digests per user. What cannot or should not be listed is in the draft as a comment. */
export class PolicyLearner {
  readonly #options: LearnOptions;
  readonly #users = new Map<string, Map<string, LearnedDigest>>();
  #dropped = 0;
  #withoutText = 0;
  #unreadable = 0;

  constructor(options: LearnOptions) {
    this.#options = options;
  }

  /** One line of an audit file. */
  add(line: string): void {
    const parsed = parseAuditLine(line);
    if (parsed.kind === "without-text") this.#withoutText++;
    if (parsed.kind === "unreadable") this.#unreadable++;
    if (parsed.kind !== "statement") return;
    const { statement } = parsed;
    if (statement.text === "") return;
    this.#keep(statement.user, statement.form === "digest" ? this.#seenDigest(statement) : this.#seenSql(statement));
  }

  /** One digest text as the server prints it, for users that the caller names. */
  addDigest(user: string, text: string): void {
    const analysis =
      analyzeDigest(text, contextFor({ user })) ?? analyzeDigest(text, contextFor({ dialect: "mariadb" }));
    const hashes = [sha256Hex(text)];
    if (analysis === undefined) {
      this.#keep(user, { text, hashes, score: 0, rules: [], leftOut: "not told by its digest" });
      return;
    }
    this.#keep(user, { ...this.#judged(analysis, user), text, hashes });
  }

  /** SAFETY: what the record says counts. Its text is a digest already, and has lost what the decision was made of. */
  #seenDigest({ text, digestHashes = [], score = 0, rules, hasRun }: AuditedStatement): SeenDigest {
    const isUnknown = rules.some((id) => id === "dyn.unknown");
    const why = isUnknown ? "not understood" : hasRun && !this.#isBlocked(score) ? undefined : "refused";
    const leftOut = digestHashes.length === 0 ? "runs text that no digest tells" : why;
    return { text, hashes: digestHashes, score, rules, leftOut };
  }

  #seenSql(statement: AuditedStatement): SeenDigest {
    const session = sessionOfRecord(statement, this.#options.engine);
    const analysis = analyzeAs(new TextEncoder().encode(statement.text), session);
    const seen = this.#judged(analysis, statement.user);
    return statement.hasRun ? seen : { ...seen, leftOut: seen.leftOut ?? "refused" };
  }

  #judged(analysis: Analysis, user: string): SeenDigest {
    const { policy, wallMs } = this.#options;
    const { score, rules } = decide(analysis, subjectFor({ user }), policy, { wallMs });
    const hashes = [...new Set(analysis.readings.flatMap(digestHashesOf))];
    const seen = { text: analysis.digest, hashes, score, rules: rules.map(({ id }) => id) };
    if (!analysis.understood) return { ...seen, leftOut: "not understood" };
    if (analysis.readings.some(runsUnknownText)) return { ...seen, leftOut: "runs text that no digest tells" };
    return { ...seen, leftOut: this.#isBlocked(score) ? "refused" : undefined };
  }

  #isBlocked(score: number): boolean {
    return score >= (this.#options.policy.base.thresholds.block ?? Number.POSITIVE_INFINITY);
  }

  #isWarned({ score }: SeenDigest): boolean {
    return score >= (this.#options.policy.base.thresholds.warn ?? LEVEL_SCORES.high);
  }

  #keep(user: string, seen: SeenDigest): void {
    const digests = this.#users.get(user) ?? new Map<string, LearnedDigest>();
    this.#users.set(user, digests);
    const known = digests.get(seen.text);
    // What has run once with these hashes is the application's, whatever became of it another time.
    if (known !== undefined && (known.leftOut === undefined || seen.leftOut !== undefined)) known.count++;
    else if (known !== undefined) digests.set(seen.text, { ...seen, count: known.count + 1 });
    else if (digests.size < DIGEST_COUNT_MAX) digests.set(seen.text, { ...seen, count: 1 });
    else this.#dropped++;
  }

  counts(): LearnCounts {
    const all = [...this.#users.values()].flatMap((digests) => [...digests.values()]);
    const listed = all.filter((one) => this.#isListed(one)).length;
    return { listed, leftOut: all.length - listed, withoutText: this.#withoutText, unreadable: this.#unreadable };
  }

  #isListed(seen: SeenDigest): boolean {
    return seen.leftOut === undefined && !(this.#options.isStrict && this.#isWarned(seen));
  }

  /** A policy file in observe mode for new digests: read it, then turn warn into block. */
  render(): string {
    const lines = [
      "# A draft. Read it, take out what does not belong to the application, then set new_digest to block.",
      "# What is warned of is listed first, with its risk. Comments list nothing: those statements stay refused.",
      "version: 1",
      "profiles:",
    ];
    for (const [user, digests] of [...this.#users].sort(([left], [right]) => (left < right ? -1 : 1))) {
      lines.push(`  - name: ${quoted(`learned ${user}`)}`, "    match:", `      users: [${quoted(user)}]`);
      lines.push("    new_digest: warn", "    allow:", "      digests:", ...this.#linesOf([...digests.values()]));
    }
    if (this.#users.size === 0) lines.push("  []");
    if (this.#dropped > 0)
      lines.push(`# ${counted(this.#dropped, "statement")} had digests beyond ${DIGEST_COUNT_MAX} per user`);
    return `${lines.join("\n")}\n`;
  }

  #linesOf(digests: readonly LearnedDigest[]): string[] {
    const isWarned = (one: LearnedDigest): number => (this.#isWarned(one) ? 1 : 0);
    const ordered = digests.toSorted((left, right) => isWarned(right) - isWarned(left) || right.count - left.count);
    const listed = ordered.filter((one) => this.#isListed(one));
    const lines: string[] = [];
    const named = new Set<string>();
    for (const one of listed) {
      for (const hash of one.hashes) {
        if (named.has(hash)) continue;
        named.add(hash);
        lines.push(`        - ${hash} # ${this.#remarkOn(one)}`);
      }
    }
    for (const one of ordered) {
      if (!this.#isListed(one)) lines.push(`        # ${one.leftOut ?? "warned"}: ${this.#remarkOn(one)}`);
    }
    if (named.size === 0) lines.push("        []");
    return lines;
  }

  #remarkOn(one: LearnedDigest): string {
    const risk = this.#isWarned(one) ? `risk ${one.score} ${one.rules.join(" ")}, ` : "";
    return `${risk}${one.count} x ${comment(one.text)}`;
  }
}

const quoted = (text: string): string => JSON.stringify(text);

/** Digest text holds identifiers of the client: nothing in it may end the comment's line. */
function comment(text: string): string {
  let safe = "";
  for (const character of text.slice(0, 160)) {
    const code = character.codePointAt(0) ?? 0;
    const isBreak = code < 0x20 || code === 0x7f || code === 0x85 || code === 0x2028 || code === 0x2029;
    safe += isBreak ? " " : character;
  }
  return safe;
}

export interface ImportedDigests {
  readonly imported: number;
  /** Texts that the server cut at max_digest_length, or may have: they cannot be compared. */
  readonly truncated: number;
  readonly unreadable: number;
}

/** Column names that hold what is wanted, as performance_schema and MySQL Enterprise Firewall name them. */
const TEXT_COLUMNS = ["digest_text", "rule", "normalized_query"];
const USER_COLUMNS = ["userhost", "user"];

export interface ImportOptions {
  readonly defaultUser: string;
  /** The server's max_digest_length, or performance_schema_max_digest_length where that is less. */
  readonly digestLengthMax: number;
}

/**
 * Reads a dump of digests into the learner: the tab-separated output of `mysql --batch`, with its header line.
 * Rows without a user go to `defaultUser`.
 */
export function importDigests(
  lines: Iterable<string>,
  learner: PolicyLearner,
  { defaultUser, digestLengthMax }: ImportOptions,
): ImportedDigests {
  let columns: readonly string[] | undefined;
  let imported = 0;
  let truncated = 0;
  let unreadable = 0;
  for (const line of lines) {
    if (line === "") continue;
    const cells = line.split("\t").map(unescapeCell);
    if (columns === undefined) {
      columns = cells.map((name) => name.toLowerCase());
      continue;
    }
    const text = cellOf(cells, columns, TEXT_COLUMNS)?.trimEnd();
    const user = cellOf(cells, columns, USER_COLUMNS)?.split("@")[0];
    if (text === undefined || text === "" || text === "NULL") unreadable++;
    else if (isPerhapsCut(text, digestLengthMax)) truncated++;
    else {
      learner.addDigest(user === undefined || user === "" ? defaultUser : user, text);
      imported++;
    }
  }
  return { imported, truncated, unreadable };
}

function cellOf(cells: readonly string[], columns: readonly string[], names: readonly string[]): string | undefined {
  const index = columns.findIndex((column) => names.includes(column));
  return index < 0 ? undefined : cells[index];
}

const CELL_ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", "0": "\0", "\\": "\\" };

/** `mysql --batch` writes tab, newline, NUL and backslash as two characters. */
function unescapeCell(cell: string): string {
  if (!cell.includes("\\")) return cell;
  let text = "";
  for (let index = 0; index < cell.length; index++) {
    const character = cell[index] ?? "";
    const escaped = character === "\\" ? CELL_ESCAPES[cell[index + 1] ?? ""] : undefined;
    text += escaped ?? character;
    if (escaped !== undefined) index++;
  }
  return text;
}
