/** Lines of a byte stream, one at a time, for commands that read millions of them. */

/** No line may be longer; a longer one ends the command. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;

/** Yields each line without its end. The last line needs none. Throws RangeError beyond LINE_BYTES_MAX. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (last: Uint8Array): string => {
    const line = parts.length === 0 ? last : joined([...parts, last], length + last.length);
    parts = [];
    length = 0;
    return decoder.decode(line.at(-1) === CR ? line.subarray(0, -1) : line);
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      yield take(chunk.subarray(from, at));
      from = at + 1;
    }
    if (from === chunk.length) continue;
    // Copied, because the stream may reuse its chunk.
    parts.push(chunk.slice(from));
    length += chunk.length - from;
    if (length > LINE_BYTES_MAX) throw new RangeError(`a line is longer than ${LINE_BYTES_MAX} bytes`);
  }
  if (length > 0) yield take(new Uint8Array(0));
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
