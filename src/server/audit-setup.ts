/** Opens the audit log the configuration asks for. */
import { createHash, randomBytes } from "node:crypto";
import { type AuditDestination, AuditForwarder, type ForwardState } from "../audit/audit-forwarder.ts";
import { AuditHeadFile, headPath, lastSeqOf, readAuditHead } from "../audit/audit-head.ts";
import { createPassingAuditKey, loadAuditKey } from "../audit/audit-key.ts";
import { AuditLog } from "../audit/audit-log.ts";
import { recordBestEffort } from "../audit/best-effort.ts";
import { CheckpointCopy } from "../audit/checkpoint-copy.ts";
import { FileSink } from "../audit/file-sink.ts";
import { OtlpDestination, WebhookDestination } from "../audit/http-destination.ts";
import { readSealKey } from "../audit/sealed-text.ts";
import { StdoutSink } from "../audit/stdout-sink.ts";
import { SyslogDestination } from "../audit/syslog-destination.ts";
import type { Logger } from "../base/log.ts";
import type { Config } from "../config/schema.ts";
import type { AuditTrail } from "../session/session-services.ts";

/** Of the run's name: enough that the decisions of two runs in one log do not have the same ids. */
export const RUN_PREFIX_CHARS = 8;

export interface OpenAudit {
  readonly trail: AuditTrail;
  /** Absent where nothing is kept. */
  readonly log: AuditLog | undefined;
  readonly forwarders: readonly AuditForwarder[];
  /** Writes what is under way and closes everything. */
  close(): Promise<void>;
}

/**
 * The configured log, or a trail that keeps nothing. A guest writes files of its own beside those of a process that serves,
 * which goes on to hold the end of the log and to send records to their receivers. Throws QC_AUDIT_FAILED or QC_CONFIG. */
export function openAudit(config: Config["audit"], logger: Logger, isGuest = false): OpenAudit {
  if (config.file === undefined && !config.stdout) {
    return { trail: new NoAudit(), log: undefined, forwarders: [], close: () => Promise.resolve() };
  }
  const file = config.file ?? "standard output";
  const keyFile = config.keyFile ?? (config.file === undefined ? undefined : `${config.file}.key`);
  const copy =
    config.checkpointFile === undefined
      ? undefined
      : new CheckpointCopy(config.checkpointFile, (error) =>
          logger.warn("audit checkpoint cannot be copied", { file: config.checkpointFile, error }),
        );
  const headFile = isGuest || keyFile === undefined || config.file === undefined ? undefined : headPath(keyFile);
  const lost = config.file === undefined || headFile === undefined ? undefined : lostEnd(config.file, headFile);
  const log = new AuditLog({
    sink:
      config.file === undefined
        ? new StdoutSink()
        : new FileSink({ path: config.file, isGuest, ...segmentOptions(config) }),
    key: keyFile === undefined ? createPassingAuditKey() : loadAuditKey(keyFile),
    mode: config.durability,
    // What is printed is read line by line, wherever it goes.
    isCompact: config.file !== undefined && config.records === "short",
    ...(config.sealKeyFile === undefined ? {} : { sealText: sealWith(config.sealKeyFile) }),
    ...(copy === undefined ? {} : { copyCheckpoint: (line: string) => copy.add(line) }),
    onGap: (reason, detail) => logger.error("audit file was changed by others", { file, reason, detail }),
    onStateChange: (state, detail) => {
      if (state === "ok") logger.info("audit log records again", { file });
      else logger.error("audit log cannot record", { file, state, detail });
    },
  });
  if (lost !== undefined) {
    logger.error("audit log does not end where it did", { file, detail: lost });
    recordBestEffort(() => log.append({ type: "audit-gap", reason: "cut-end", lost: 0, detail: lost }));
  }
  const head =
    headFile === undefined
      ? undefined
      : new AuditHeadFile(
          headFile,
          () => ({ run: log.run, ...log.head }),
          (error) => logger.warn("end of the audit log cannot be kept", { file: headFile, error }),
        );
  // However the process ends by itself, an uncaught error included, what was kept for the next write is written.
  process.once("exit", () => log.flush());
  const forwarders = isGuest ? [] : openForwarders(config, log.run, logger);
  const close = async (): Promise<void> => {
    await log.close();
    head?.close();
    await Promise.all([copy?.written(), ...forwarders.map((forwarder) => forwarder.close(FORWARD_CLOSE_MS))]);
  };
  return { trail: log, log, forwarders, close };
}

/** What the process before said of the end of the log, where the files do not hold it; undefined where they do. */
function lostEnd(activePath: string, headFile: string): string | undefined {
  const head = readAuditHead(headFile);
  if (head === undefined) return undefined;
  const last = lastSeqOf(activePath, head);
  return last >= head.seq ? undefined : `run ${head.run} had ${head.seq} records, ${last} are there`;
}

function sealWith(path: string): (text: Uint8Array) => string {
  const sealer = readSealKey(path);
  return (text) => sealer.seal(text);
}

/** How long a stop waits for the receivers. What is left is sent after the next start. */
const FORWARD_CLOSE_MS = 3000;

function openForwarders(config: Config["audit"], run: string, logger: Logger): AuditForwarder[] {
  const activePath = config.file;
  if (activePath === undefined) return [];
  const { webhookUrl, otlpUrl, syslogUrl, forwardCaFile: caFile } = config;
  const destinations: AuditDestination[] = [];
  if (webhookUrl !== undefined) {
    destinations.push(new WebhookDestination({ url: webhookUrl, headersFile: config.webhookHeadersFile, caFile }));
  }
  if (otlpUrl !== undefined) {
    destinations.push(new OtlpDestination({ url: otlpUrl, headersFile: config.otlpHeadersFile, caFile }));
  }
  if (syslogUrl !== undefined) destinations.push(new SyslogDestination({ url: syslogUrl, caFile }));
  return destinations.map((destination) => {
    const onStateChange = (state: ForwardState, error: string): void => {
      const to = destination.name;
      if (state === "ok") logger.info("audit records are sent again", { to });
      else if (state === "lost") logger.error("audit records were not sent", { to, error });
      else logger.warn("audit records cannot be sent, they stay in the file", { to, error });
    };
    return new AuditForwarder({ activePath, run, destination, onStateChange });
  });
}

function segmentOptions(config: Config["audit"]) {
  return {
    segmentBytesMax: config.segmentBytes,
    segmentAgeMsMax: config.segmentAgeMs,
    retention: {
      bytesMax: config.keepBytes || undefined,
      filesMax: config.keepFiles || undefined,
      ageMsMax: config.keepAgeMs || undefined,
    },
  };
}

/** Tells configurations apart in the log. Without the one secret that stands in it. */
export function configHash({ adminApiKey: _secret, ...config }: Config): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex");
}

class NoAudit implements AuditTrail {
  readonly run = randomBytes(8).toString("hex");
  readonly isKept = false;

  append(): void {}

  appendSoon(): void {}

  hashText(): string {
    return "";
  }

  async hashLongText(): Promise<string> {
    return "";
  }
}
