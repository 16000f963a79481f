/** What a text does to the way in which its session reads later texts, in any engine's words. */

/**
 * `none`; `sets …`: one statement sets these, and what they are then is known where the server reports all of them in its
 * answer; `opaque`: anything may be otherwise afterwards, what the server reports as well.
 */
export type SessionEffect = "none" | "opaque" | `sets ${string}`;

/** Of texts of which each may be the one that runs. */
export function eitherEffect(effects: readonly SessionEffect[]): SessionEffect {
  const [first = "opaque"] = effects;
  return effects.every((effect) => effect === first) ? first : "opaque";
}
