/** How the rows of an object are written, and its beginning looked at: byte order mark, line ends, header. */
import { decodeUtf8 } from "../base/bytes.ts";
import { LoadFailure } from "./load-failure.ts";

export interface TextFormat {
  readonly fieldsTerminated: string;
  /** Empty for none. */
  readonly enclosed: string;
  /** Empty for none. */
  readonly escaped: string;
  /** Undefined: as the first line of the object ends. */
  readonly linesTerminated: string | undefined;
  readonly headerLines: number;
}

export const TEXT_FORMATS = {
  csv: { fieldsTerminated: ",", enclosed: '"', escaped: "", linesTerminated: undefined, headerLines: 1 },
  tsv: { fieldsTerminated: "\t", enclosed: "", escaped: "\\", linesTerminated: undefined, headerLines: 0 },
} as const satisfies Readonly<Record<string, TextFormat>>;

export type TextFormatName = keyof typeof TEXT_FORMATS;

/** By the ending of the key, that of the packing aside; undefined where it says nothing. */
export function formatOfKey(key: string): TextFormatName | undefined {
  const [, name] = /\.(csv|tsv)(?:\.(?:gz|gzip|zst|zstd|bz2|xz|lz4))?$/i.exec(key) ?? [];
  return name?.toLowerCase() as TextFormatName | undefined;
}

/** So much of an object is looked at before anything is sent. */
export const SAMPLE_BYTES = 64 * 1024;

const BYTE_ORDER_MARKS = [
  [0xff, 0xfe],
  [0xfe, 0xff],
] as const;
const UTF8_MARK_BYTES = 3;

export interface Sampled {
  /** Bytes at the beginning that are none of the text. */
  readonly markBytes: number;
  readonly linesTerminated: string;
  /** The names in its first line; undefined where it has no header. */
  readonly header: readonly string[] | undefined;
}

/** Throws LoadFailure where the beginning says that it cannot be read as it is meant to be. */
export function sampleText(sample: Uint8Array, format: TextFormat, isUtf8: boolean): Sampled {
  if (BYTE_ORDER_MARKS.some(([first, second]) => sample[0] === first && sample[1] === second) && isUtf8)
    throw new LoadFailure("it begins with the mark of UTF-16: write it in UTF-8, or set --charset");
  const hasMark = isUtf8 && sample[0] === 0xef && sample[1] === 0xbb && sample[2] === 0xbf;
  const markBytes = hasMark ? UTF8_MARK_BYTES : 0;
  const text = Buffer.from(sample.buffer, sample.byteOffset + markBytes, sample.length - markBytes);
  const linesTerminated = format.linesTerminated ?? lineEndOf(text);
  const header = format.headerLines > 0 ? headerOf(text, linesTerminated, format) : undefined;
  return { markBytes, linesTerminated, header };
}

function lineEndOf(text: Buffer): string {
  const at = text.indexOf(0x0a);
  if (at < 0) {
    if (text.includes(0x0d)) throw new LoadFailure("its lines end with CR alone: set --lines-terminated");
    return "\n";
  }
  return text[at - 1] === 0x0d ? "\r\n" : "\n";
}

/** Names in a header have no line ends and no doubled quotes in them, or are not taken for names. */
function headerOf(text: Buffer, linesTerminated: string, format: TextFormat): readonly string[] | undefined {
  const end = text.indexOf(linesTerminated);
  const line = decodeUtf8(end < 0 ? text : text.subarray(0, end));
  if (line === undefined || line === "") return undefined;
  const { enclosed } = format;
  return line.split(format.fieldsTerminated).map((field) => {
    const isEnclosed = enclosed !== "" && field.length > 1 && field.startsWith(enclosed) && field.endsWith(enclosed);
    return (isEnclosed ? field.slice(1, -1) : field).trim();
  });
}
