/** Opens the audit log the configuration asks for. */

import { randomBytes } from "node:crypto";
import { loadAuditKey } from "../audit/audit-key.ts";
import type { AuditLog as Log } from "../audit/audit-log.ts";
import { AuditLog } from "../audit/audit-log.ts";
import { FileSink } from "../audit/file-sink.ts";
import type { Logger } from "../base/log.ts";
import type { Config } from "../config/schema.ts";
import type { AuditTrail } from "../session/session-services.ts";

/** The file's log, or a trail that keeps nothing when no file is configured. Throws QC_AUDIT_FAILED or QC_CONFIG. */
export function openAudit(config: Config["audit"], logger: Logger): { trail: AuditTrail; log: Log | undefined } {
  if (config.file === undefined) return { trail: new NoAudit(), log: undefined };
  const log = new AuditLog({
    sink: new FileSink({ path: config.file }),
    key: loadAuditKey(`${config.file}.key`),
    mode: config.durability,
    onStateChange: (state, detail) => {
      if (state === "ok") logger.info("audit log records again", { file: config.file });
      else logger.error("audit log cannot record", { file: config.file, state, detail });
    },
  });
  // However the process ends by itself, an uncaught error included, what was kept for the next write is written.
  process.once("exit", () => log.flush());
  return { trail: log, log };
}

class NoAudit implements AuditTrail {
  readonly run = randomBytes(8).toString("hex");
  readonly isKept = false;

  append(): void {}

  appendSoon(): void {}

  hashText(): string {
    return "";
  }
}
