/** What a policy makes of a text whose digest it lists, forbids or has never seen. */

import { areDigestsKnown, digestHashesOf } from "./digest-hashes.ts";
import type { DecisionAction, RuleCategory } from "./policy.ts";
import { effectOf } from "./rules/effects.ts";
import type { RuleHit, RuleInput } from "./rules/rule.ts";
import { ruleOf } from "./rules/rules.ts";
import type { ResolvedSettings } from "./settings.ts";

/** A reading; a statement with values counts as the text it was prepared from. */
interface TextInput extends RuleInput {
  readonly prepared?: RuleInput;
}

/** What stays when a digest is known: everything that may differ between two texts of one digest, and the policy's word. */
const KEPT_FOR_KNOWN_DIGESTS: ReadonlySet<RuleCategory> = new Set([
  "injection",
  "obfuscation",
  "file",
  "cloud",
  "access",
  "context",
  "policy",
]);

/** What counts where the policy lists all that the text runs; undefined where it does not. */
export function acceptedHits(input: TextInput, hits: readonly RuleHit[]): readonly RuleHit[] | undefined {
  const { reading } = input.prepared ?? input;
  if (!reading.understood || !areDigestsKnown(input.settings.knownDigests, reading)) return undefined;
  return hits.filter(({ category }) => KEPT_FOR_KNOWN_DIGESTS.has(category));
}

const HARMLESS_EFFECTS: ReadonlySet<string> = new Set(["none", "session"]);

/** The hits, and what the policy says of the digest. */
export function judgeDigest(
  input: TextInput,
  hits: readonly RuleHit[],
  resolved: ResolvedSettings,
): readonly RuleHit[] {
  const { settings } = input;
  const { reading } = input.prepared ?? input;
  const { knownDigests, denyDigests, newDigest } = settings;
  if (knownDigests.size === 0 && denyDigests.size === 0 && newDigest === undefined) return hits;
  if (denyDigests.size > 0 && digestHashesOf(reading).some((hash) => denyDigests.has(hash))) {
    return [...hits, ...wholeTextHit(input, "pol.deny.digest", 100, "block", resolved)];
  }
  if (newDigest === undefined || areDigestsKnown(knownDigests, reading)) return hits;
  const isPreamble =
    hits.length === 0 &&
    reading.statements.length <= 1 &&
    reading.statements.every(({ kind }) => HARMLESS_EFFECTS.has(effectOf(kind)));
  if (isPreamble) return hits;
  const points = typeof newDigest === "number" ? newDigest : newDigest === "block" ? 100 : 0;
  const action = typeof newDigest === "number" ? undefined : newDigest;
  return [...hits, ...wholeTextHit(input, "pol.newdigest", points, action, resolved)];
}

/** A hit of the text as a whole; none where the policy switches the rule off. */
export function wholeTextHit(
  input: RuleInput,
  id: string,
  points: number,
  action: DecisionAction | undefined,
  resolved: ResolvedSettings,
): RuleHit[] {
  const state = resolved.ruleStates.get(id);
  if (state?.isOff === true) return [];
  const chosen = state?.action ?? action;
  const { category, title } = ruleOf(id);
  return [
    {
      id,
      category,
      points: state?.points ?? points,
      statement: undefined,
      start: 0,
      end: input.analysis.sql.length,
      reason: title,
      ...(chosen === undefined ? {} : { action: chosen }),
    },
  ];
}
