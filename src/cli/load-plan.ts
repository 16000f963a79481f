/** The options of `querycop load` → what is to be done. */

import { LOAD_MODES, type LoadMode } from "../base/load-rule.ts";
import { parseS3Pattern } from "../base/s3-uri.ts";
import { LEDGER_NAME } from "../loads/ledger.ts";
import { ACCEPTABLE, type Acceptable, type LoadPlan, type LoadShape } from "../loads/load-plan.ts";
import { DUPLICATES } from "../loads/load-statement.ts";
import { parseTableName, type TableName } from "../loads/sql-words.ts";
import { formatOfKey, TEXT_FORMATS, type TextFormat, type TextFormatName } from "../loads/text-format.ts";
import { valuesOf } from "./arguments.ts";
import { UsageError } from "./command-io.ts";

type Arguments = Readonly<Record<string, unknown>>;

/** Throws UsageError. */
export function loadPlanOf(args: Arguments): LoadPlan {
  const text = (name: string): string | undefined => (typeof args[name] === "string" ? String(args[name]) : undefined);
  const source = parseS3Pattern(text("source") ?? "");
  if (source === undefined)
    throw new UsageError("expected s3://BUCKET/KEY, without . or .. between slashes and without control characters");
  const target = tableOf(text("table") ?? "", "SCHEMA.TABLE");
  const mode = modeOf(text("mode"), args["if-empty"] === true);
  const isReplacing = mode === "replace" || mode === "truncate";
  const isOnce = args["once"] === true;
  if (isOnce && isReplacing)
    throw new UsageError(`--once has its row in the load's transaction, and --mode ${mode} is none: --mode delete is`);
  if (!isOnce && text("ledger") !== undefined) throw new UsageError("--ledger has no effect without --once");
  if (args["keep-old"] === true && !isReplacing) throw new UsageError("--keep-old is for --mode replace and truncate");
  if (args["manifest"] === true && source.isPrefix)
    throw new UsageError("--manifest: expected one object, which lists the others");
  const ledger = text("ledger");
  return {
    sources: [source],
    isManifest: args["manifest"] === true,
    target,
    mode,
    shape: shapeOf(text, source.key),
    via: text("via") === "server" ? "server" : "stream",
    warningsMax: countOf(text("warnings-max"), "--warnings-max") ?? 0,
    bytesMin: countOf(text("min-size"), "--min-size") ?? 0,
    skipsMissing: args["skip-missing"] === true,
    ledger: isOnce
      ? ledger === undefined
        ? { ...target, table: LEDGER_NAME }
        : tableOf(ledger, "--ledger")
      : undefined,
    keepsOld: args["keep-old"] === true,
    accepts: acceptsOf(args["accept"]),
    decompressCommand: text("decompress"),
  };
}

function modeOf(word: string | undefined, isIfEmpty: boolean): LoadMode {
  if (isIfEmpty && word !== undefined && word !== "append" && word !== "abort")
    throw new UsageError(`--if-empty is for --mode append, not ${word}`);
  if (isIfEmpty) return "abort";
  return LOAD_MODES.find((mode) => mode === word) ?? "append";
}

function tableOf(text: string, what: string): TableName {
  const name = parseTableName(text);
  if (name === undefined) throw new UsageError(`${what}: expected the schema and the table with a dot between`);
  return name;
}

function countOf(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw new UsageError(`${what}: expected a whole number`);
  return Number(text);
}

function acceptsOf(given: unknown): ReadonlySet<Acceptable> {
  const words = valuesOf(given).flatMap((value) => value.split(","));
  const bad = words.find((word) => !ACCEPTABLE.some((each) => each === word));
  if (bad !== undefined) throw new UsageError(`--accept: expected ${ACCEPTABLE.join(" or ")}`);
  return new Set(words as Acceptable[]);
}

type Text = (name: string) => string | undefined;

function shapeOf(text: Text, key: string): LoadShape {
  const charset = text("charset") ?? "utf8mb4";
  if (!/^[a-z0-9_]{1,32}$/.test(charset)) throw new UsageError("--charset: expected the name of a character set");
  const columns = text("columns");
  const nullText = text("null");
  return {
    format: formatOf(text, key),
    charset,
    duplicates: DUPLICATES.find((word) => word === text("duplicates")) ?? "error",
    partitions:
      text("partition")
        ?.split(",")
        .map((name) => name.trim()) ?? [],
    columns: columns === undefined || columns === "header" ? columns : columns.split(",").map((name) => name.trim()),
    nullText: nullText === "none" ? "" : nullText,
    assignments: text("set"),
  };
}

function formatOf(text: Text, key: string): TextFormat {
  const name = (text("format") as TextFormatName | undefined) ?? formatOfKey(key);
  const isSpelledOut = text("fields-terminated") !== undefined;
  if (name === undefined && !isSpelledOut)
    throw new UsageError("the key ends neither with .csv nor with .tsv: set --format or --fields-terminated");
  const base: TextFormat = TEXT_FORMATS[name ?? "tsv"];
  const lines = text("lines-terminated");
  return {
    fieldsTerminated: characters(text("fields-terminated"), "--fields-terminated") ?? base.fieldsTerminated,
    enclosed: single(text("enclosed"), "--enclosed") ?? base.enclosed,
    escaped: single(text("escaped"), "--escaped") ?? base.escaped,
    linesTerminated: characters(lines, "--lines-terminated") ?? base.linesTerminated,
    headerLines: countOf(text("header"), "--header") ?? base.headerLines,
  };
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", "0": "\0", "\\": "\\" };

function characters(text: string | undefined, what: string): string | undefined {
  return text?.replaceAll(/\\(?:x([0-9A-Fa-f]{2})|(.?))/gs, (_whole, hex: string | undefined, letter = "") => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    const character = ESCAPES[letter];
    if (character === undefined) throw new UsageError(`${what}: \\${letter} is not understood`);
    return character;
  });
}

function single(text: string | undefined, what: string): string | undefined {
  if (text === "none") return "";
  const character = text === "\\" ? text : characters(text, what);
  if (character !== undefined && character.length !== 1)
    throw new UsageError(`${what}: expected one character, or none`);
  return character;
}
