/**
 * What a text may do to the conversation itself, told from its bytes alone and without an analysis: whoever relays must know
 * it of every text. A sign too many costs a wait or a second look, one too few would cost the right reading of answers.
 */

/** `needle` in lower case, ASCII letters only. */
function contains(text: Uint8Array, needle: Uint8Array, from = 0): number {
  const [first = 0] = needle;
  outer: for (let at = from; at + needle.length <= text.length; at++) {
    if (((text[at] as number) | 0x20) !== first) continue;
    for (let index = 1; index < needle.length; index++) {
      if (((text[at + index] as number) | 0x20) !== needle[index]) continue outer;
    }
    return at;
  }
  return -1;
}

const word = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const COPY = word("copy");
/** Either word stands for the client in both directions (copy_file_name in gram.y). */
const STREAMS = [word("stdin"), word("stdout")] as const;
const EXECUTE = word("execute");
const CHANGES_NAMES = [word("prepare"), word("do"), word("call")] as const;

/** A COPY whose data the client sends. Keywords cannot be written in any other way than by their letters. */
export function mayCopyIn(text: Uint8Array): boolean {
  return contains(text, COPY) >= 0 && STREAMS.some((stream) => contains(text, stream) >= 0);
}

/** It may run a prepared statement by its name. */
export function mayRunNames(text: Uint8Array): boolean {
  return containsWord(text, EXECUTE);
}

/** It may give a name of a prepared statement another meaning: PREPARE itself, or code that is not seen through. */
export function mayChangeNames(text: Uint8Array): boolean {
  return CHANGES_NAMES.some((needle) => containsWord(text, needle));
}

function containsWord(text: Uint8Array, needle: Uint8Array): boolean {
  for (let at = contains(text, needle); at >= 0; at = contains(text, needle, at + 1)) {
    if (!isNamePart(text[at - 1]) && !isNamePart(text[at + needle.length])) return true;
  }
  return false;
}

/** Of an unquoted name: letters, digits, `_`, `$` and every byte above ASCII (ident_cont in scan.l). */
function isNamePart(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return (
    byte >= 0x80 || (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f || byte === 0x24
  );
}
