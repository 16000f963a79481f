/** Text from strangers, made safe to look at: nothing in it can forge a line, hide, or turn the reading direction. */

/** C0, DEL, C1, bidi and zero-width marks, lone surrogates, tags. */
export function isUnprintable(code: number): boolean {
  return (
    code < 0x20 ||
    (code >= 0x7f && code <= 0x9f) ||
    code === 0x00ad ||
    code === 0x061c ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    code === 0xfeff ||
    (code >= 0xd800 && code <= 0xdfff) ||
    (code >= 0xe0000 && code <= 0xe007f)
  );
}

/** As in JSON: four hexadecimal digits, two times four above 0xffff. */
export function escapeCode(code: number): string {
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, "0")}`;
  const high = 0xd800 + ((code - 0x10000) >> 10);
  const low = 0xdc00 + ((code - 0x10000) & 0x3ff);
  return escapeCode(high) + escapeCode(low);
}

/** The text with everything unprintable written out. */
export function visibleText(text: string): string {
  let visible = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    visible += isUnprintable(code) ? escapeCode(code) : character;
  }
  return visible;
}
