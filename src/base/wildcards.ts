/** Patterns with `*`, without regular expressions, so that no pattern and no name can stall the proxy. */

/**
 * Whether the pattern is the whole text, `*` being any run of characters, the empty one too, and `single` any one
 * character. Everything else is taken literally. On a mismatch only the last `*` is widened, so the cost is at most the
 * product of both lengths.
 */
export function matchesWildcards(pattern: string, text: string, single = ""): boolean {
  let patternIndex = 0;
  let textIndex = 0;
  let starIndex = -1;
  let resumeIndex = 0;
  while (textIndex < text.length) {
    const wanted = pattern[patternIndex];
    if (wanted === "*") {
      starIndex = patternIndex++;
      resumeIndex = textIndex;
    } else if (wanted !== undefined && (wanted === single || wanted === text[textIndex])) {
      patternIndex++;
      textIndex++;
    } else if (starIndex >= 0) {
      patternIndex = starIndex + 1;
      textIndex = ++resumeIndex;
    } else {
      return false;
    }
  }
  while (pattern[patternIndex] === "*") patternIndex++;
  return patternIndex === pattern.length;
}
