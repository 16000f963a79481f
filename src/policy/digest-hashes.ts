/** Under which hashes a policy lists what a text runs. */

import type { Reading } from "../sql/facts.ts";
import { sha256Hex } from "../sql/mysql/digest/digest.ts";

/** Sources of SQL that the text itself holds, or that is judged where its name is known. */
const KNOWN_SOURCES: ReadonlySet<string> = new Set(["literal", "named"]);

/** Hashes of the reading's digest and of those of the SQL in its literals: a list that names all of them knows what runs. */
export function digestHashesOf({ digest, innerDigests }: Pick<Reading, "digest" | "innerDigests">): readonly string[] {
  return innerDigests.length === 0 ? [sha256Hex(digest)] : [digest, ...innerDigests].map(sha256Hex);
}

/** SAFETY: every text has the same digest where SQL is run out of a variable or an expression. No list can know it. */
export function runsUnknownText({ statements }: Reading): boolean {
  return statements.some(({ dynamic }) => dynamic !== undefined && !KNOWN_SOURCES.has(dynamic.source));
}

/** Whether the list names everything that the reading runs. An empty digest stands for no statement. */
export function areDigestsKnown(list: ReadonlySet<string>, reading: Reading): boolean {
  if (list.size === 0 || reading.digest === "" || runsUnknownText(reading)) return false;
  return digestHashesOf(reading).every((hash) => list.has(hash));
}
