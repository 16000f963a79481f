/** `querycop policy learn` and `import-digests`: drafts of profiles from what was seen. */

import { analyze } from "../sql/analyze.ts";
import { sha256Hex } from "../sql/digest.ts";
import { parseAuditLine } from "./audit-texts.ts";
import { decide } from "./decide.ts";
import type { Policy } from "./policy.ts";
import { LEVEL_SCORES } from "./score.ts";
import { contextFor, subjectFor } from "./tool-context.ts";

/** Digests kept per user; an application with more has text where parameters should be. */
const DIGEST_COUNT_MAX = 20_000;

interface LearnedDigest {
  readonly text: string;
  readonly hash: string;
  readonly score: number;
  count: number;
}

/** Collects digests per user. Risky ones are listed as comments: a person must take them over. */
export class PolicyLearner {
  readonly #policy: Policy;
  readonly #wallMs: number;
  readonly #users = new Map<string, Map<string, LearnedDigest>>();
  #dropped = 0;

  constructor(policy: Policy, wallMs: number) {
    this.#policy = policy;
    this.#wallMs = wallMs;
  }

  /** One line of an audit file. */
  add(line: string): void {
    const parsed = parseAuditLine(line);
    if (parsed.kind !== "statement") return;
    const { statement } = parsed;
    const analysis = analyze(new TextEncoder().encode(statement.text), contextFor(statement));
    const options = { wallMs: this.#wallMs };
    const { score } = decide(analysis, subjectFor(statement), this.#policy, options);
    this.#keep(statement.user, analysis.digest, Math.max(score, analysis.understood ? 0 : LEVEL_SCORES.medium));
  }

  /** One digest text as the server prints it, for users that the caller names. */
  addDigest(user: string, digestText: string, score: number): void {
    this.#keep(user, digestText, score);
  }

  #keep(user: string, text: string, score: number): void {
    const digests = this.#users.get(user) ?? new Map<string, LearnedDigest>();
    this.#users.set(user, digests);
    const known = digests.get(text);
    if (known !== undefined) known.count++;
    else if (digests.size < DIGEST_COUNT_MAX) digests.set(text, { text, hash: sha256Hex(text), score, count: 1 });
    else this.#dropped++;
  }

  /** A policy file in observe mode for new digests: read it, then turn warn into block. */
  render(): string {
    const lines = [
      "# A draft. Read it, take over what belongs to the application, then set new_digest to block.",
      "version: 1",
      "profiles:",
    ];
    for (const [user, digests] of [...this.#users].sort(([left], [right]) => (left < right ? -1 : 1))) {
      lines.push(`  - name: ${quoted(`learned ${user}`)}`, "    match:", `      users: [${quoted(user)}]`);
      lines.push("    new_digest: warn", "    allow:", "      digests:");
      const ordered = [...digests.values()].sort((left, right) => right.count - left.count);
      for (const { hash, text, score, count } of ordered) {
        const isRisky = score >= LEVEL_SCORES.medium;
        const mark = isRisky ? `# risk ${score}: ` : "";
        lines.push(`        ${mark}- ${hash} # ${count} x ${comment(text)}`);
      }
      if (ordered.every(({ score }) => score >= LEVEL_SCORES.medium)) lines.push("        []");
    }
    if (this.#users.size === 0) lines.push("  []");
    if (this.#dropped > 0) lines.push(`# ${this.#dropped} statements had digests beyond ${DIGEST_COUNT_MAX} per user`);
    return `${lines.join("\n")}\n`;
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
  /** Texts that the server cut at max_digest_length; they cannot be compared. */
  readonly truncated: number;
  readonly unreadable: number;
}

/** Column names that hold what is wanted, as performance_schema and MySQL Enterprise Firewall name them. */
const TEXT_COLUMNS = ["digest_text", "rule", "normalized_query"];
const USER_COLUMNS = ["userhost", "user"];

/**
 * Reads a dump of digests into the learner: the tab-separated output of `mysql --batch`, with its header line.
 * Rows without a user go to `defaultUser`.
 */
export function importDigests(lines: Iterable<string>, learner: PolicyLearner, defaultUser: string): ImportedDigests {
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
    const text = cellOf(cells, columns, TEXT_COLUMNS);
    const user = cellOf(cells, columns, USER_COLUMNS)?.split("@")[0];
    if (text === undefined || text === "NULL") unreadable++;
    else if (text.endsWith("...")) truncated++;
    else {
      learner.addDigest(user === undefined || user === "" ? defaultUser : user, text, 0);
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
