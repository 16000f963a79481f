/** What records and approvers are told of a text that runs others by their names. */
import { digestHashesOf } from "../../policy/digest-hashes.ts";
import type { Judgement, TextSummary } from "../../policy/judge.ts";
import { toldOf } from "./verdict-words.ts";

export type Behind = Pick<
  TextSummary,
  "isUnderstood" | "tablesRead" | "tablesWritten" | "innerDigests" | "innerKinds" | "digestHashes"
>;

/** What stands behind names: `own` are the texts that may, `names` those that run them and are known by their hashes too. */
export function behindNames(names: readonly TextSummary[], own: readonly TextSummary[]): Behind {
  return {
    ...together([...names, ...own]),
    innerDigests: unique([...names.flatMap(({ innerDigests }) => innerDigests), ...own.map(toldOf)]),
    innerKinds: [
      ...names.flatMap(({ innerKinds }) => innerKinds),
      ...own.flatMap(({ kinds, innerKinds }) => [...kinds, ...innerKinds]),
    ],
  };
}

/** Of statements of which one runs. */
export function together(summaries: readonly TextSummary[]): Behind {
  return {
    isUnderstood: summaries.every(({ isUnderstood }) => isUnderstood),
    tablesRead: unique(summaries.flatMap(({ tablesRead }) => tablesRead)),
    tablesWritten: unique(summaries.flatMap(({ tablesWritten }) => tablesWritten)),
    innerDigests: unique(summaries.flatMap(({ innerDigests }) => innerDigests)),
    innerKinds: unique(summaries.flatMap(({ innerKinds }) => innerKinds)),
    digestHashes: hashesOf(summaries),
  };
}

export function summariesOf(judged: readonly Pick<Judgement, "summary">[]): readonly TextSummary[] {
  return judged.map(({ summary }) => summary);
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)];
}

/** None where one of them cannot be told: a list with the others would not know what runs. */
function hashesOf(summaries: readonly TextSummary[]): readonly string[] {
  const hashes = summaries.map(
    ({ digest, digestHashes }) => digestHashes ?? digestHashesOf({ digest, innerDigests: [] }),
  );
  return hashes.some(({ length }) => length === 0) ? [] : unique(hashes.flat());
}
