/**
 * Proves that an audit log is whole: every hash, every sequence number, every signature, across files and restarts.
 *
 * What each part can prove: the chain finds a change by someone who does not recompute it; a checkpoint's signature finds
 * one by someone who does, but lacks the key; the next run's segment-start and checkpoints kept elsewhere find a cut end.
 */
import type { AuditHead } from "./audit-head.ts";
import { isCheckpointSignature, keyIdOf } from "./audit-key.ts";
import { type AuditRecord, CHAIN_START, decodeRecord } from "./audit-record.ts";
import { isInShort } from "./compact-record.ts";
import { IntentLedger, type IntentReport } from "./intent-ledger.ts";
import { RecordExpander } from "./record-expander.ts";
import { type ClosedGroup, OpenGroup } from "./record-group.ts";
import { inOrder } from "./segment-order.ts";
import { readLines, readSettled } from "./segment-reader.ts";

export type ProblemKind =
  | "unreadable-record"
  | "wrong-hash"
  | "broken-chain"
  | "sequence-gap"
  | "wrong-run"
  | "missing-segment"
  | "missing-run"
  | "no-segment-start"
  | "cut-end"
  | "torn-record"
  | "wrong-signature"
  | "unknown-key"
  | "missing-checkpoint"
  | "duplicate-intent"
  | "outcome-without-intent";

export interface AuditProblem {
  readonly kind: ProblemKind;
  readonly file: string;
  /** Counted from 1; 0 when it concerns the file as a whole. */
  readonly line: number;
  readonly detail: string;
}

export interface RunSummary {
  readonly run: string;
  readonly records: number;
  readonly lastSeq: number;
  readonly lastHash: string;
  /** Records behind the last checkpoint: their order and content are chained but not signed. */
  readonly unsigned: number;
  /** The last record but for a checkpoint is `stop`. */
  readonly isStopped: boolean;
}

export interface AuditVerification {
  readonly isWhole: boolean;
  readonly files: number;
  readonly records: number;
  readonly checkpoints: number;
  readonly runs: readonly RunSummary[];
  /** Set when older files are gone (retention): the chain is proven from this record on. */
  readonly beginsWith: { readonly run: string; readonly seq: number } | undefined;
  /** Keys the log says it was signed with. */
  readonly keyIds: readonly string[];
  /** Bytes behind the last record of the active file: a write that was cut off, or is under way. */
  readonly tornBytes: number;
  /** Moments in which events were refused, as the log itself tells. */
  readonly gaps: readonly { readonly seq: number; readonly reason: string; readonly lost: number }[];
  readonly intents: IntentReport;
  readonly problemCount: number;
  /** The first problems. */
  readonly problems: readonly AuditProblem[];
}

export interface VerifyOptions {
  /** Public keys (DER SPKI in base64) or key ids to trust. Without any, the log's own word is taken. */
  readonly trustedKeys?: readonly string[];
  /** Checkpoint records kept elsewhere, as whole lines: each must be in the log. */
  readonly checkpoints?: readonly string[];
  /** Where the log ended when its process last said so: the log must hold that record. */
  readonly head?: AuditHead;
}

const PROBLEMS_MAX = 100;
const GAPS_MAX = 1000;

/** Reads every file of the log at `activePath`. Rejects only when files cannot be read. */
export function verifyAudit(activePath: string, options: VerifyOptions = {}): Promise<AuditVerification> {
  return readSettled(activePath, (paths) => verifyAuditFiles(paths, { activePath, ...options }));
}

/** The same for files named one by one, in any order: for logs that others have rotated. */
export async function verifyAuditFiles(
  paths: readonly string[],
  options: VerifyOptions & { readonly activePath?: string } = {},
): Promise<AuditVerification> {
  const verifier = new Verifier(options);
  const files = await inOrder(paths);
  for (const { first } of files) verifier.expectContinuation(first);
  for (const { path, first } of files) {
    const isActive = path === options.activePath;
    let isBegun = false;
    for await (const { lines, tornBytes } of readLines(path)) {
      if (!isBegun && lines.length > 0) verifier.beginFile(path, first);
      isBegun ||= lines.length > 0;
      for (const line of lines) verifier.takeLine(line);
      if (tornBytes > 0) verifier.takeTornTail(path, tornBytes, isActive);
    }
    verifier.endFile(path, isActive);
    // The active file may be without a whole record for a moment, or for good when its writer was killed just then.
    if (!isBegun && !isActive) verifier.beginFile(path, first);
  }
  return verifier.finish(files.length);
}

interface RunState {
  readonly run: string;
  segment: number;
  records: number;
  lastSeq: number;
  /** undefined after a bad line: the next record's word is taken, so that one fault is told once. */
  lastHash: string | undefined;
  /** After a group that does not match its hash, the one it has: its writer may have gone on from there. */
  otherHash: string | undefined;
  unsigned: number;
  isStopped: boolean;
  /** Hashes that other runs or kept checkpoints refer to, by sequence number. */
  readonly wanted: Map<number, string | undefined>;
}

class Verifier {
  readonly #options: VerifyOptions;
  readonly #runs: Map<string, RunState> = new Map();
  readonly #wantedOfRuns: Map<string, Map<number, string | undefined>> = new Map();
  readonly #keys: Map<string, string> = new Map();
  readonly #intents = new IntentLedger();
  readonly #problems: AuditProblem[] = [];
  readonly #gaps: { seq: number; reason: string; lost: number }[] = [];
  #problemCount = 0;
  #records = 0;
  #checkpoints = 0;
  #tornBytes = 0;
  #beginsWith: { run: string; seq: number } | undefined;
  #file = "";
  #line = 0;
  #run: RunState | undefined;
  readonly #group = new OpenGroup();
  #expander = new RecordExpander();

  constructor(options: VerifyOptions) {
    this.#options = options;
    if (options.head !== undefined) this.#want(options.head.run, options.head.seq);
    for (const line of options.checkpoints ?? []) {
      const decoded = decodeRecord(line.trimEnd());
      if (decoded.ok) this.#want(String(decoded.record.fields["run"]), decoded.record.seq);
    }
  }

  /** A later run may refer to the middle of an overlapping one: its hash there must be kept in passing. */
  expectContinuation(first: AuditRecord | undefined): void {
    const { continues, continuesSeq } = first?.fields ?? {};
    if (typeof continues === "string" && typeof continuesSeq === "number") this.#want(continues, continuesSeq);
  }

  beginFile(path: string, first: AuditRecord | undefined): void {
    this.#file = path;
    this.#line = 0;
    this.#expander = new RecordExpander();
    if (first?.type === "segment-start") this.#beginSegment(first);
    else this.#run = this.#runOfHeadless(first);
  }

  takeLine(line: string): void {
    this.#line++;
    if (isInShort(line)) {
      const group = this.#group.add(line);
      if (group !== undefined) this.#takeGroup(group);
      return;
    }
    const decoded = decodeRecord(line);
    if (!decoded.ok) {
      this.#group.damage();
      this.#problem(
        decoded.reason === "hash" ? "wrong-hash" : "unreadable-record",
        "the record was changed or damaged",
      );
      if (this.#run !== undefined) {
        this.#run.lastSeq++;
        this.#run.lastHash = undefined;
      }
      return;
    }
    if (!this.#group.isEmpty) this.#leaveGroup();
    this.#records++;
    this.#takeRecord(decoded.record);
  }

  /** What the file ends with belongs to no group of another one. */
  endFile(path: string, isActive: boolean): void {
    const { bytes } = this.#group;
    if (bytes > 0) this.takeTornTail(path, bytes, isActive);
    this.#group.clear();
  }

  takeTornTail(path: string, bytes: number, isActive: boolean): void {
    this.#file = path;
    this.#line++;
    if (isActive) this.#tornBytes += bytes;
    else this.#problem("torn-record", `${bytes} bytes behind the last record of a finished file`);
  }

  finish(files: number): AuditVerification {
    this.#checkKeptCheckpoints();
    this.#checkHead();
    return {
      isWhole: this.#problemCount === 0,
      files,
      records: this.#records,
      checkpoints: this.#checkpoints,
      runs: [...this.#runs.values()].map((run) => ({
        run: run.run,
        records: run.records,
        lastSeq: run.lastSeq,
        lastHash: run.lastHash ?? "",
        unsigned: run.unsigned,
        isStopped: run.isStopped,
      })),
      beginsWith: this.#beginsWith,
      keyIds: [...this.#keys.keys()],
      tornBytes: this.#tornBytes,
      gaps: this.#gaps,
      intents: this.#intents.report(),
      problemCount: this.#problemCount,
      problems: this.#problems,
    };
  }

  #want(run: string, seq: number): void {
    const wanted = this.#wantedOfRuns.get(run) ?? new Map<number, string | undefined>();
    wanted.set(seq, undefined);
    this.#wantedOfRuns.set(run, wanted);
  }

  #beginSegment(first: AuditRecord): void {
    const run = String(first.fields["run"]);
    const segment = Number(first.fields["segment"]);
    const known = this.#runs.get(run);
    if (known !== undefined) {
      if (segment !== known.segment + 1) {
        this.#problem("missing-segment", `segment ${segment} of run ${run} comes after segment ${known.segment}`);
        known.lastHash = undefined;
        known.lastSeq = first.seq - 1;
      }
      known.segment = segment;
      this.#run = known;
      return;
    }
    const wanted = this.#wantedOfRuns.get(run) ?? new Map<number, string | undefined>();
    const isFirst = this.#runs.size === 0 && this.#beginsWith === undefined;
    const state: RunState = {
      run,
      segment,
      records: 0,
      lastSeq: 0,
      lastHash: undefined,
      otherHash: undefined,
      unsigned: 0,
      isStopped: false,
      wanted,
    };
    this.#runs.set(run, state);
    this.#run = state;
    if (segment > 1) {
      if (isFirst) this.#beginsWith = { run, seq: first.seq };
      else this.#problem("missing-segment", `run ${run} begins with segment ${segment}`);
      state.lastSeq = first.seq - 1;
    } else {
      state.lastHash = this.#hashBefore(first, isFirst);
    }
  }

  /** The hash a run's very first record must name, or undefined when that cannot be known. */
  #hashBefore(first: AuditRecord, isFirst: boolean): string | undefined {
    const { continues, continuesSeq } = first.fields;
    if (typeof continues !== "string" || typeof continuesSeq !== "number") return CHAIN_START;
    const before = this.#runs.get(continues);
    if (before === undefined) {
      if (isFirst) this.#beginsWith = { run: String(first.fields["run"]), seq: first.seq };
      else this.#problem("missing-run", `continues run ${continues}, which is not there`);
      return undefined;
    }
    if (continuesSeq > before.lastSeq) {
      const detail = `run ${continues} had ${continuesSeq} records when the next one began, ${before.lastSeq} are there`;
      this.#problem("cut-end", detail);
      return undefined;
    }
    return before.wanted.get(continuesSeq);
  }

  /** A file whose head is gone, as after copy-and-truncate: it may still continue a run that is known. */
  #runOfHeadless(first: AuditRecord | undefined): RunState | undefined {
    for (const run of this.#runs.values()) {
      if (first !== undefined && run.lastHash === first.prev) return run;
    }
    this.#line = 1;
    this.#problem("no-segment-start", "the file does not begin with a segment-start record");
    this.#line = 0;
    return undefined;
  }

  #takeRecord(record: AuditRecord): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#checkPlace(run, record);
    run.lastHash = record.hash;
    run.otherHash = undefined;
    this.#count(run, record);
  }

  /** The group that was begun has no end, or a line of it was damaged, which has been told. */
  #leaveGroup(): void {
    if (this.#group.bytes > 0) {
      this.#problem("unreadable-record", "records before this one lack the hash that chains them");
      if (this.#run !== undefined) this.#run.lastHash = undefined;
    }
    this.#group.clear();
  }

  #takeGroup(group: ClosedGroup): void {
    const run = this.#run;
    if (run === undefined) return;
    const begin = this.#line - group.lines.length + 1;
    const records = group.lines.map((line) => recordOf(this.#expander.read(line)));
    const known = [run.lastHash, run.otherHash].filter((hash) => hash !== undefined);
    const isRight = known.length === 0 || known.some((hash) => group.hashBehind(hash) === group.hash);
    if (!isRight && !group.isDamaged) this.#tellGroup(run, records[0], begin, group.lines.length);
    run.otherHash = isRight || known[0] === undefined ? undefined : group.hashBehind(known[0]);
    for (const [index, record] of records.entries()) {
      if (record === undefined) {
        if (isRight)
          this.#problem("unreadable-record", "what it refers to is not in the file before it", begin + index);
        run.lastSeq++;
        continue;
      }
      if (isRight && record.seq !== run.lastSeq + 1) this.#tellGap(run, record.seq, begin + index);
      const hash = index === records.length - 1 ? group.hash : "";
      this.#records++;
      this.#count(run, { ...record, hash, prev: "" });
    }
    run.lastHash = group.hash;
  }

  /** Its hash is not the one it ends in. */
  #tellGroup(run: RunState, first: ShortRecord | undefined, line: number, lines: number): void {
    if (first !== undefined && first.seq !== run.lastSeq + 1) this.#tellGap(run, first.seq, line);
    else if (lines === 1) this.#problem("wrong-hash", "the record was changed or damaged", line);
    else this.#problem("wrong-hash", `one of the ${lines} records from here on was changed or damaged`, line);
  }

  #tellGap({ run, lastSeq }: RunState, seq: number, line?: number): void {
    this.#problem("sequence-gap", `record ${seq} comes after record ${lastSeq} of run ${run}`, line);
  }

  #count(run: RunState, record: AuditRecord): void {
    run.records++;
    run.unsigned++;
    run.lastSeq = record.seq;
    if (run.wanted.has(record.seq)) run.wanted.set(record.seq, record.hash);
    if (record.type !== "checkpoint") run.isStopped = record.type === "stop";
    this.#takeType(run, record);
    for (const problem of this.#intents.take(record, this.#beginsWith !== undefined)) {
      this.#problem(problem.kind, problem.detail);
    }
  }

  #checkPlace(run: RunState, record: AuditRecord): void {
    if (record.seq !== run.lastSeq + 1) {
      this.#tellGap(run, record.seq);
    } else if (run.lastHash !== undefined && record.prev !== run.lastHash && record.prev !== run.otherHash) {
      this.#problem("broken-chain", `record ${record.seq} does not follow the record before it`);
    }
  }

  #takeType(run: RunState, record: AuditRecord): void {
    const { fields } = record;
    if (record.type === "segment-start") {
      if (fields["run"] !== run.run)
        this.#problem("wrong-run", `a segment of run ${String(fields["run"])} begins here`);
      this.#takeKey(String(fields["keyId"]), String(fields["publicKey"]));
    } else if (record.type === "checkpoint") {
      this.#takeCheckpoint(run, record);
    } else if (record.type === "audit-gap" && this.#gaps.length < GAPS_MAX) {
      this.#gaps.push({ seq: record.seq, reason: String(fields["reason"]), lost: Number(fields["lost"]) });
    }
  }

  #takeKey(keyId: string, publicKey: string): void {
    if (keyIdOf(publicKey) !== keyId) {
      this.#problem("unknown-key", `key id ${keyId} is not that of the key beside it`);
      return;
    }
    this.#keys.set(keyId, publicKey);
    const { trustedKeys } = this.#options;
    if (trustedKeys !== undefined && !trustedKeys.includes(keyId) && !trustedKeys.includes(publicKey)) {
      this.#problem("unknown-key", `signed with key ${keyId}, which is not among the trusted ones`);
    }
  }

  #takeCheckpoint(run: RunState, record: AuditRecord): void {
    const { fields } = record;
    const publicKey = this.#keys.get(String(fields["keyId"]));
    const facts = { run: run.run, seq: record.seq, time: record.time, head: record.prev };
    if (publicKey === undefined || !isCheckpointSignature(facts, String(fields["signature"]), publicKey)) {
      this.#problem("wrong-signature", `checkpoint ${record.seq} is not signed with the log's key`);
      return;
    }
    this.#checkpoints++;
    run.unsigned = 0;
  }

  #checkKeptCheckpoints(): void {
    this.#file = "";
    this.#line = 0;
    for (const line of this.#options.checkpoints ?? []) {
      const decoded = decodeRecord(line.trimEnd());
      if (!decoded.ok) {
        this.#problem("missing-checkpoint", "a kept checkpoint is not a whole record");
        continue;
      }
      const { record } = decoded;
      const run = String(record.fields["run"]);
      if (this.#runs.get(run)?.wanted.get(record.seq) === record.hash) continue;
      const isGone = this.#beginsWith !== undefined && !this.#runs.has(run);
      const detail = `checkpoint ${record.seq} of run ${run} is not in the log${isGone ? ": older files are gone" : ""}`;
      this.#problem("missing-checkpoint", detail);
    }
  }

  #checkHead(): void {
    const { head } = this.#options;
    if (head === undefined) return;
    const run = this.#runs.get(head.run);
    if (run?.wanted.get(head.seq) === head.hash) return;
    const found = run === undefined ? "no file of that run is there" : `${run.lastSeq} are there`;
    this.#problem("cut-end", `run ${head.run} had ${head.seq} records when its process last said so: ${found}`);
  }

  #problem(kind: ProblemKind, detail: string, line = this.#line): void {
    this.#problemCount++;
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ kind, file: this.#file, line, detail });
  }
}

type ShortRecord = Pick<AuditRecord, "seq" | "time" | "type" | "fields">;

function recordOf(read: ReturnType<RecordExpander["read"]>): ShortRecord | undefined {
  if (read === undefined || read instanceof Promise) return undefined;
  const { seq, time, type } = read;
  const isRecord = Number.isSafeInteger(seq) && typeof time === "string" && typeof type === "string";
  return isRecord ? { seq: seq as number, time, type, fields: read } : undefined;
}
