/** The operational log: one bounded, escaped, redacted line per event. Audit records never go this way. */
import { isSecretKey, REDACTED, redactSecrets } from "./redact.ts";
import { escapeCode, isUnprintable } from "./visible-text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "text" | "json" | "pretty";
export type LogValue = string | number | boolean | undefined;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

/** The logger that others are made from by `child`: they all follow its level. */
export interface RootLogger extends Logger {
  setLevel(level: LogLevel): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Receives each finished line, newline included. Defaults to a bounded writer on stderr. */
  readonly write?: (line: string) => void;
  /** The clock, for tests. */
  readonly now?: () => Date;
}

const LEVEL_ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** The longest line, in bytes of UTF-8 with its newline. */
export const LOG_LINE_BYTES_MAX = 4096;
/** Room for what follows the last field: `truncated=true`, a closing brace, the newline. */
const LINE_TAIL_BYTES = 32;
/** A log reader that stops reading may cost this much memory and no more. */
const STREAM_BUFFERED_BYTES_MAX = 1024 * 1024;

/** One log line before it is rendered. */
interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: ReadonlyArray<readonly [string, string | number | boolean]>;
}

function utf8Length(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

interface Escaped {
  readonly text: string;
  readonly bytes: number;
  readonly cut: boolean;
}

/** Escapes as JSON strings do, and more than they must; stops before the result would pass `bytesMax`. */
function escapeText(text: string, bytesMax: number): Escaped {
  let output = "";
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    let piece = character;
    let pieceBytes = utf8Length(code);
    if (character === '"' || character === "\\") {
      piece = `\\${character}`;
      pieceBytes = 2;
    } else if (isUnprintable(code)) {
      piece = escapeCode(code);
      pieceBytes = piece.length;
    }
    if (bytes + pieceBytes > bytesMax) return { text: output, bytes, cut: true };
    output += piece;
    bytes += pieceBytes;
  }
  return { text: output, bytes, cut: false };
}

/** True for text that stands without quotes in a key=value line. */
function isBareWord(text: string): boolean {
  if (text.length === 0) return false;
  for (const character of text) {
    if (character <= " " || character === "=" || character === '"' || character === "\\") return false;
  }
  return true;
}

/** Assembles one line within the byte limit; a field that does not fit is cut and the line says so. */
class LineBuilder {
  #text: string;
  #bytes: number;
  #truncated = false;
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
    this.#text = json ? "{" : "";
    this.#bytes = this.#text.length;
  }

  add(key: string, value: string | number | boolean): void {
    if (this.#truncated) return;
    const separator = this.#bytes <= 1 ? "" : this.#json ? "," : " ";
    const name = escapeText(key, 128).text;
    const opening = this.#json ? `${separator}"${name}":` : `${separator}${name}=`;
    // Two bytes for the quotes of the value.
    const room = LOG_LINE_BYTES_MAX - LINE_TAIL_BYTES - this.#bytes - opening.length * 3 - 2;
    if (room <= 0) {
      this.#truncated = true;
      return;
    }
    const escaped = escapeText(String(value), room);
    const quoted = this.#json ? typeof value === "string" || !isFiniteValue(value) : !isBareWord(escaped.text);
    const body = quoted || escaped.cut ? `"${escaped.text}"` : escaped.text;
    this.#text += opening + body;
    this.#bytes += opening.length + escaped.bytes + 2;
    this.#truncated = escaped.cut;
  }

  finish(): string {
    if (this.#truncated) this.#text += this.#json ? ',"truncated":true' : " truncated=true";
    return `${this.#text}${this.#json ? "}" : ""}\n`;
  }
}

function isFiniteValue(value: string | number | boolean): boolean {
  return typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
}

/** Renders a record as one line of key=value pairs or of JSON. */
function renderLine(record: LogRecord, json: boolean): string {
  const line = new LineBuilder(json);
  line.add("time", record.time.toISOString());
  line.add("level", record.level);
  line.add("event", record.event);
  for (const [key, value] of record.fields) line.add(key, value);
  return line.finish();
}

function safeFields(own: LogFields, inherited: LogFields): Array<[string, string | number | boolean]> {
  const fields: Array<[string, string | number | boolean]> = [];
  for (const [key, value] of Object.entries({ ...inherited, ...own })) {
    if (value === undefined) continue;
    if (isSecretKey(key)) fields.push([key, REDACTED]);
    else fields.push([key, typeof value === "string" ? redactSecrets(value.slice(0, LOG_LINE_BYTES_MAX)) : value]);
  }
  return fields;
}

type RecordSink = (record: LogRecord) => void;

interface Threshold {
  min: number;
}

class LeveledLogger implements RootLogger {
  readonly #sink: RecordSink;
  /** Shared by all loggers of one root. */
  readonly #threshold: Threshold;
  readonly #fields: LogFields;
  readonly #now: () => Date;

  constructor(sink: RecordSink, threshold: Threshold, fields: LogFields, now: () => Date) {
    this.#sink = sink;
    this.#threshold = threshold;
    this.#fields = fields;
    this.#now = now;
  }

  debug(event: string, fields: LogFields = {}): void {
    this.#log("debug", event, fields);
  }

  info(event: string, fields: LogFields = {}): void {
    this.#log("info", event, fields);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.#log("warn", event, fields);
  }

  error(event: string, fields: LogFields = {}): void {
    this.#log("error", event, fields);
  }

  child(fields: LogFields): Logger {
    return new LeveledLogger(this.#sink, this.#threshold, { ...this.#fields, ...fields }, this.#now);
  }

  setLevel(level: LogLevel): void {
    this.#threshold.min = LEVEL_ORDER[level];
  }

  #log(level: LogLevel, event: string, fields: LogFields): void {
    if (LEVEL_ORDER[level] < this.#threshold.min) return;
    this.#sink({
      time: this.#now(),
      level,
      event: redactSecrets(event.slice(0, 512)),
      fields: safeFields(fields, this.#fields),
    });
  }
}

/** The part of a writable stream the log needs. */
export interface LogStream {
  readonly writableLength: number;
  write(text: string): boolean;
}

/**
 * A `write` for createLogger() that never holds more than `bufferedBytesMax` for a slow reader: lines are dropped
 * beyond that, and the first line that passes again is preceded by their number.
 */
export function createStreamWriter(
  stream: LogStream,
  bufferedBytesMax: number = STREAM_BUFFERED_BYTES_MAX,
): (line: string) => void {
  let dropped = 0;
  return (line) => {
    if (stream.writableLength > bufferedBytesMax) {
      dropped += 1;
      return;
    }
    if (dropped > 0) {
      stream.write(`level=warn event="log lines dropped" lines=${dropped}\n`);
      dropped = 0;
    }
    stream.write(line);
  };
}

/**
 * The human form for a terminal. consola is loaded only here; lines before it has arrived, and all lines if it
 * cannot be loaded, are written as key=value.
 */
function createPrettySink(write: (line: string) => void): RecordSink {
  let print: RecordSink = (record) => write(renderLine(record, false));
  import("consola")
    .then(({ createConsola }) => {
      const stream = { write: (text: string) => write(text) } as unknown as NodeJS.WriteStream;
      // consola swallows repeated records by default; no record of ours may vanish.
      const consola = createConsola({ level: 4, stdout: stream, stderr: stream, throttle: 0 });
      print = (record) => consola[record.level](prettyText(record));
    })
    .catch(() => undefined);
  return (record) => print(record);
}

function prettyText(record: LogRecord): string {
  const line = new LineBuilder(false);
  for (const [key, value] of record.fields) line.add(key, value);
  return `${escapeText(record.event, 512).text} ${line.finish().trimEnd()}`.trimEnd();
}

/** A logger of one line per event, at most LOG_LINE_BYTES_MAX bytes each, free of control characters and secrets. */
export function createLogger(options: LoggerOptions): RootLogger {
  const write = options.write ?? createStreamWriter(process.stderr);
  const json = options.format === "json";
  const sink: RecordSink =
    options.format === "pretty" ? createPrettySink(write) : (record) => write(renderLine(record, json));
  return new LeveledLogger(sink, { min: LEVEL_ORDER[options.level] }, {}, options.now ?? (() => new Date()));
}

/** Keeps nothing; for tests and for code that runs without an operator. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
