/** `querycop audit verify|tail|show|report|export`: reading the audit log, and proving that it is whole. */

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ArgsDef } from "citty";
import { STATEMENT_OUTCOMES } from "../audit/audit-event.ts";
import {
  asciiJsonLines,
  DEFAULT_COLUMNS,
  renderBrief,
  renderCsvHeader,
  renderCsvRow,
  renderNdjson,
  renderText,
} from "../audit/audit-export.ts";
import { headPath, readAuditHead } from "../audit/audit-head.ts";
import { followAudit, readAudit, tailAudit } from "../audit/audit-read.ts";
import { type AuditVerification, verifyAudit, verifyAuditFiles } from "../audit/audit-verify.ts";
import type { ReadRecord } from "../audit/record-expander.ts";
import { readUnsealKey } from "../audit/sealed-text.ts";
import { counted } from "../base/counted.ts";
import { auditFilter, auditFilterArguments, countOf } from "./audit-filter.ts";
import { addUp } from "./audit-report.ts";
import { decisionIdOf, showDecision } from "./audit-show.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { required } from "./policy-source.ts";
import { renderReport, tellReport } from "./report-text.ts";
import { loadForRunning, reportFindings } from "./settings-command.ts";

export const auditHelp: CommandHelp = {
  name: "audit",
  summary: "Verify, follow and export the audit log",
  example: "  querycop audit tail --follow --user app --type statement-blocked",
  text: [
    "  audit verify [FILE]   Check every hash, number and signature; the first broken record is named first",
    "  audit tail [FILE]     Print the last records, and with --follow what comes after them",
    "  audit show ID [FILE]  All about one decision or request: who, what, the rules in words, approval, outcome, policy",
    "  audit report [FILE]   What happened in a period, the last 7 days unless --since says otherwise, as Markdown",
    "  audit export [FILE]   Print all matching records, oldest first, finished segments included",
    "FILE is the active file; without it the one in the configuration. For verify it may be a folder of segments.",
    "verify exits with 0 if the log is whole, 1 if it is not, 2 if it cannot be read; show with 1 if it finds nothing.",
  ].join("\n"),
  options: [
    ["--config FILE", "Configuration that names the log"],
    ["--type A,B", "Only these event types"],
    ["--user NAME", "Only this database user"],
    ["--session ID", "Only this session"],
    ["--client ADDRESS", "Only this client address, with or without port"],
    ["--decision WORD", "Only statements so decided: allow, warn, block, require-approval"],
    ["--decision-id ID", "Only the decision a client was told, as in [decision 1f3a9c02-1]"],
    ["--rule ID", "Only statements that this rule matched; ddl.* for all that begin so"],
    ["--digest HASH", "Only statements of this digest: its hash, or at least the first 8 digits"],
    ["--outcome WORD", `Only records with this outcome: ${STATEMENT_OUTCOMES.join(", ")}`],
    ["--since TIME", "Not before: 2026-11-21, 2026-11-21T12:00:00Z, or how long ago: 90m, 2d"],
    ["--until TIME", "Before this time, in the same forms"],
    ["--limit N", "At most so many records; tail: default 20; report: rows of each table, default 10"],
    ["--wide", "tail: whole records, also on a terminal, where a line each is cut to its width"],
    ["--follow, -f", "tail: go on with new records, over rotations, until stopped"],
    ["--format FORMAT", "export: ndjson (default) or csv"],
    ["--columns A,B", "export as csv: these columns; a dot reaches into session, as in session.user"],
    ["--decrypt-key-file FILE", "export, show: X25519 private key to open sealed statements with, as rawText"],
    ["--checkpoints FILE", "verify: checkpoints kept elsewhere, each of which must be in the log"],
    ["--trusted-keys A,B", "verify: key ids or public keys (base64); any other signer is a problem"],
    ["--json", "Print JSON"],
  ],
  settings: "none",
};

export const auditArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "verify|tail|show|report|export" },
  file: { type: "positional", required: false },
  "second-file": { type: "positional", required: false, valueHint: "FILE" },
  config: { type: "string" },
  ...auditFilterArguments,
  follow: { type: "boolean", alias: "f" },
  wide: { type: "boolean" },
  format: { type: "string", valueHint: "ndjson|csv" },
  columns: { type: "string" },
  "decrypt-key-file": { type: "string" },
  checkpoints: { type: "string" },
  "trusted-keys": { type: "string" },
  json: { type: "boolean" },
};

type Arguments = Readonly<Record<string, unknown>>;

interface AuditPlace {
  readonly path: string;
  readonly keyFile: string;
}

const VERBS: Readonly<Record<string, (place: AuditPlace, args: Arguments, io: CommandIo) => Promise<number>>> = {
  verify,
  tail,
  show,
  report,
  export: exportRecords,
};

export async function runAudit(args: Arguments, io: CommandIo): Promise<number> {
  const verbs = Object.keys(VERBS).join(", ");
  const verb = VERBS[required(args["verb"], `one of ${verbs}`)];
  if (verb === undefined) throw new UsageError(`expected one of ${verbs}, got ${JSON.stringify(args["verb"])}`);
  const isShow = args["verb"] === "show";
  if (!isShow && args["second-file"] !== undefined) throw new UsageError("one FILE, and no more");
  const place = await auditPlace(args[isShow ? "second-file" : "file"], args, io);
  return place === undefined ? EXIT_USAGE : verb(place, args, io);
}

/** The file given, else the configured one; undefined when the configuration's problems have been told. */
async function auditPlace(given: unknown, args: Arguments, io: CommandIo): Promise<AuditPlace | undefined> {
  if (typeof given === "string") return { path: given, keyFile: `${given}.key` };
  const loaded = await loadForRunning({ config: args["config"] }, io, "process");
  if (!loaded.ok) {
    reportFindings(loaded, io);
    return undefined;
  }
  const { file, keyFile } = loaded.config.audit;
  if (file !== undefined) return { path: file, keyFile: keyFile ?? `${file}.key` };
  throw new UsageError("no audit log is configured: name its file, or set audit.file (GATEKEEPER_AUDIT_FILE)");
}

/** Problems shown as text; --json has more. */
const PROBLEMS_SHOWN = 20;

async function verify({ path, keyFile }: AuditPlace, args: Arguments, io: CommandIo): Promise<number> {
  const trustedKeys = listOf(args["trusted-keys"]);
  const kept = args["checkpoints"];
  // Before the files: what is recorded meanwhile is behind it.
  const head = readAuditHead(headPath(keyFile));
  const options = {
    ...(head === undefined ? {} : { head }),
    ...(trustedKeys === undefined ? {} : { trustedKeys }),
    ...(typeof kept === "string" ? { checkpoints: readLinesOf(kept) } : {}),
  };
  const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const result = await readable(path, () =>
    isFolder ? verifyAuditFiles(segmentsIn(path), options) : verifyAudit(path, options),
  );
  if (result.files === 0) throw new UsageError(`no audit log at ${path}`);
  io.stdout(args["json"] === true ? `${JSON.stringify({ path, ...result }, null, 2)}\n` : renderVerdict(path, result));
  return result.isWhole ? EXIT_OK : EXIT_FAILED;
}

function segmentsIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.includes(".ndjson") && !name.endsWith(".torn"));
  return names
    .map((name) => join(folder, name))
    .filter((path) => lstatSync(path).isFile() && !/\.(?:key|head|new|reserve|cursor)$|\.foreign-/.test(path));
}

function readLinesOf(path: string): string[] {
  try {
    return readFileSync(path, "latin1")
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`);
  }
}

/** What is not there or may not be read is a wrong command line, not a broken log. */
async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UsageError(`Cannot read ${path}: ${code}`);
  }
}

function renderVerdict(path: string, result: AuditVerification): string {
  const { intents, problems, problemCount } = result;
  const lines = problems
    .slice(0, PROBLEMS_SHOWN)
    .map(({ file, line, kind, detail }) => `${file === "" ? path : file}:${line}: ${kind}: ${detail}`);
  if (problemCount > lines.length) lines.push(`and ${problemCount - lines.length} more`);
  lines.push(
    problemCount === 0 ? `${path}: whole` : `${path}: NOT whole, ${counted(problemCount, "problem")}`,
    `  ${counted(result.records, "record")} in ${counted(result.files, "file")} and ${counted(result.runs.length, "run")}, ${counted(result.checkpoints, "signed checkpoint")}`,
    `  signed with ${result.keyIds.length === 0 ? "no key" : `key ${result.keyIds.join(", ")}`}`,
    `  ${counted(intents.intents, "statement")}, ${intents.unknown} with unknown outcome`,
  );
  const { beginsWith } = result;
  if (beginsWith !== undefined)
    lines.push(`  begins at record ${beginsWith.seq} of run ${beginsWith.run}: older files are gone`);
  for (const gap of result.gaps)
    lines.push(`  gap before record ${gap.seq}: ${gap.reason}, ${counted(gap.lost, "event")} refused`);
  const last = result.runs.at(-1);
  if (last !== undefined) {
    const end = last.isStopped ? "stopped in order" : "running, or ended by a crash";
    lines.push(`  last run ${last.run}: ${end}, ${counted(last.unsigned, "record")} behind its last checkpoint`);
  }
  if (result.tornBytes > 0)
    lines.push(`  ${counted(result.tornBytes, "byte")} of a record that is not complete at the end`);
  return `${lines.join("\n")}\n`;
}

const TAIL_DEFAULT = 20;
const TAIL_MAX = 100_000;

async function tail({ path }: AuditPlace, args: Arguments, io: CommandIo): Promise<number> {
  const filter = auditFilter(args);
  const limit = countOf(args["limit"], TAIL_MAX) ?? TAIL_DEFAULT;
  const width = args["wide"] === true ? undefined : io.stdoutColumns?.();
  const brief = (record: ReadRecord): string => (width === undefined ? renderText(record) : renderBrief(record, width));
  const render = args["json"] === true ? renderNdjson : brief;
  const signal = io.stopped ?? new AbortController().signal;
  const isFollowed = args["follow"] === true;
  await readable(path, async () => {
    const records = isFollowed ? followAudit(path, filter, signal, limit) : await tailAudit(path, limit, filter);
    await printAll(records, render, io);
  });
  return EXIT_OK;
}

async function show({ path }: AuditPlace, args: Arguments, io: CommandIo): Promise<number> {
  const id = decisionIdOf(required(args["file"], "the id of a decision or of a request"));
  const options = { isJson: args["json"] === true, unsealed: unsealerOf(args["decrypt-key-file"]) };
  return await readable(path, () => showDecision(path, id, options, io));
}

const PERIOD_DEFAULT = "7d";
const ROWS_DEFAULT = 10;
const ROWS_MAX = 2000;
const REPORT_OPTIONS = new Set(["since", "until", "limit"]);

async function report({ path }: AuditPlace, args: Arguments, io: CommandIo): Promise<number> {
  const other = Object.keys(auditFilterArguments).find((name) => !REPORT_OPTIONS.has(name) && args[name] !== undefined);
  if (other !== undefined) throw new UsageError(`--${other} does not go with report, which is about all of a period`);
  const nowMs = Date.now();
  const { fromMs = 0, toMs = nowMs } = auditFilter({ ...args, since: args["since"] ?? PERIOD_DEFAULT }, nowMs);
  if (fromMs >= toMs) throw new UsageError("--since: expected a time before --until");
  const rows = countOf(args["limit"], ROWS_MAX) ?? ROWS_DEFAULT;
  const added = await readable(path, () => addUp(path, { fromMs, toMs }, io.stopped));
  if (added.beginsAt === undefined) throw new UsageError(`no audit log at ${path}`);
  const told = tellReport(added, rows);
  io.stdout(args["json"] === true ? asciiJsonLines(told) : renderReport(told));
  return EXIT_OK;
}

async function exportRecords({ path }: AuditPlace, args: Arguments, io: CommandIo): Promise<number> {
  const format = args["json"] === true ? "ndjson" : (args["format"] ?? "ndjson");
  const columns = listOf(args["columns"]) ?? DEFAULT_COLUMNS;
  if (format !== "csv" && args["columns"] !== undefined) throw new UsageError("--columns goes with --format csv");
  const limit = countOf(args["limit"], Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY;
  const unsealed = unsealerOf(args["decrypt-key-file"]);
  const found = firstOf(readAudit(path, auditFilter(args)), limit);
  if (format === "csv") io.stdout(renderCsvHeader(columns));
  const render = format === "csv" ? (record: ReadRecord) => renderCsvRow(record, columns) : renderNdjson;
  await readable(path, () => printAll(found, (record) => render(unsealed(record)), io));
  return EXIT_OK;
}

/** With `rawText` in place of `sealedText`, where there is a key and it is the right one. */
function unsealerOf(keyFile: unknown): (record: ReadRecord) => ReadRecord {
  if (typeof keyFile !== "string") return (record) => record;
  const unsealer = readUnsealKey(keyFile);
  const decoder = new TextDecoder();
  return (record) => {
    const { sealedText, ...rest } = record;
    const text = typeof sealedText === "string" ? unsealer.unseal(sealedText) : undefined;
    return text === undefined ? record : { ...rest, rawText: decoder.decode(text) };
  };
}

async function* firstOf(records: AsyncIterable<ReadRecord>, limit: number): AsyncGenerator<ReadRecord> {
  let count = 0;
  for await (const record of records) {
    yield record;
    count += 1;
    if (count >= limit) return;
  }
}

const OUTPUT_CHARS = 1 << 16;

/** In large pieces, and no faster than they are taken. A reader that has gone ends it. */
async function printAll(
  records: AsyncIterable<ReadRecord> | Iterable<ReadRecord>,
  render: (record: ReadRecord) => string,
  io: CommandIo,
): Promise<void> {
  let text = "";
  let isFlushing = false;
  const flush = (): void => {
    isFlushing = false;
    if (text !== "") io.stdout(text);
    text = "";
  };
  for await (const record of records) {
    if (io.stopped?.aborted === true) return;
    text += render(record);
    if (text.length >= OUTPUT_CHARS) {
      flush();
    } else if (!isFlushing) {
      // What has come is shown even when nothing more follows for a while.
      isFlushing = true;
      setTimeout(flush, 20);
    }
  }
  flush();
}

function listOf(value: unknown): readonly string[] | undefined {
  return typeof value === "string" ? value.split(",").filter((item) => item !== "") : undefined;
}
