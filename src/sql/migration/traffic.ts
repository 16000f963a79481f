/** Which of the statements that MySQL has run would not run on Aurora DSQL, and why: by their digests. */
import { encodeUtf8 } from "../../base/bytes.ts";
import type { DsqlRuleSet } from "../postgres/dsql/rule-set.ts";
import { MYSQL_ONLY } from "./mysql-only.ts";

/** Why a statement does not run there, and what to write instead. */
export interface Obstacle {
  readonly id: string;
  readonly why: string;
}

export interface TrafficRow {
  readonly digest: string;
  count: number;
  readonly obstacles: readonly Obstacle[];
}

/** Different digests that are told apart. */
const DIGESTS_MAX = 20_000;

export class TrafficCheck {
  readonly #rules: DsqlRuleSet;
  readonly #rows = new Map<string, TrafficRow>();
  statements = 0;
  /** Not told apart, because there were too many before them. */
  others = 0;
  /** Without a digest in their record. */
  withoutText = 0;

  /** The parser of PostgreSQL must be loaded. */
  constructor(rules: DsqlRuleSet) {
    this.#rules = rules;
  }

  take(digest: string | undefined): void {
    this.statements++;
    if (digest === undefined || digest === "") {
      this.withoutText++;
      return;
    }
    const row = this.#rows.get(digest);
    if (row !== undefined) row.count++;
    else if (this.#rows.size >= DIGESTS_MAX) this.others++;
    else this.#rows.set(digest, { digest, count: 1, obstacles: obstaclesOf(digest, this.#rules) });
  }

  /** Most frequent first. */
  rows(): readonly TrafficRow[] {
    return [...this.#rows.values()].sort((one, other) => other.count - one.count);
  }
}

export function obstaclesOf(digest: string, rules: DsqlRuleSet): readonly Obstacle[] {
  const words = digest.toLowerCase().replaceAll("`", "").replaceAll(/\s+/g, " ").trim();
  const own: Obstacle[] = MYSQL_ONLY.filter(({ pattern }) => pattern.test(words));
  const check = rules.check(encodeUtf8(asPostgres(digest)));
  const broken = check.kind === "read" ? check.broken.map(({ id, instead }) => ({ id, why: instead })) : [];
  const found = [...own, ...broken.filter(({ id }) => !own.some((one) => one.id === id))].map(({ id, why }) => ({
    id,
    why,
  }));
  if (found.length > 0 || check.kind === "read") return found;
  return [{ id: "grammar", why: "PostgreSQL's grammar does not take it: write it anew" }];
}

/** Names in quotes of PostgreSQL's, and something for what a digest leaves out. */
function asPostgres(digest: string): string {
  let number = 0;
  return digest
    .replaceAll(/`((?:[^`]|``)*)`/g, (_whole, name: string) => `"${name.toLowerCase().replaceAll('"', '""')}"`)
    .replaceAll(/\.\.\./g, "?")
    .replaceAll(/\(\s*\?\s*\)\s*\/\*[^*]*\*\//g, "(?)")
    .replaceAll("?", () => `$${++number}`);
}
