/** Words for what was thrown. */

/** The text of a thrown value, without stack and cause. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
