/** Rules between the settings of the audit log. */
import { isLoopbackHost, problemOfAuditFile, problemOfParentDirectory, problemOfReadablePath } from "./rules.ts";
import type { ProcessSettings } from "./schema.ts";

type AuditSettings = ProcessSettings["audit"];

/** What cannot be as it is set: the setting and why. */
export function auditProblems(audit: AuditSettings): readonly (readonly [key: string, problem: string | undefined])[] {
  const isKept = audit.file !== undefined || audit.stdout;
  const needsLog = (value: unknown): string | undefined =>
    value === undefined || isKept ? undefined : "has no effect without an audit log: set audit.file";
  return [
    ["audit.file", audit.file === undefined ? undefined : problemOfAuditFile(audit.file)],
    [
      "audit.stdout",
      audit.stdout && audit.file !== undefined
        ? "cannot be on beside audit.file: the log is one or the other"
        : undefined,
    ],
    ...forwardProblems(audit),
    ["audit.key_file", needsLog(audit.keyFile)],
    ["audit.seal_key_file", needsLog(audit.sealKeyFile)],
    ["audit.seal_key_file", audit.sealKeyFile === undefined ? undefined : problemOfReadablePath(audit.sealKeyFile)],
    ["audit.checkpoint_file", needsLog(audit.checkpointFile)],
    [
      "audit.checkpoint_file",
      audit.checkpointFile === undefined ? undefined : problemOfParentDirectory(audit.checkpointFile),
    ],
  ];
}

/** Schemes without TLS: records name users, tables and addresses. */
const PLAIN = new Set(["http:", "tcp:"]);

function forwardProblems(audit: AuditSettings): readonly (readonly [string, string | undefined])[] {
  const urls = [
    ["audit.webhook_url", audit.webhookUrl],
    ["audit.otlp_url", audit.otlpUrl],
    ["audit.syslog_url", audit.syslogUrl],
  ] as const;
  const files = [
    ["audit.webhook_headers_file", audit.webhookHeadersFile, audit.webhookUrl],
    ["audit.otlp_headers_file", audit.otlpHeadersFile, audit.otlpUrl],
    ["audit.forward_ca_file", audit.forwardCaFile, audit.webhookUrl ?? audit.otlpUrl ?? audit.syslogUrl],
  ] as const;
  return [
    ...urls.map(([key, url]) => [key, url === undefined ? undefined : problemOfUrl(url, audit.file)] as const),
    ...files.map(([key, path, url]) => [key, path === undefined ? undefined : problemOfFile(path, url)] as const),
  ];
}

function problemOfUrl(text: string, auditFile: string | undefined): string | undefined {
  if (auditFile === undefined) return "has no effect without audit.file: records are sent from that file";
  const { protocol, hostname } = new URL(text);
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  if (!PLAIN.has(protocol) || isLoopbackHost(host)) return undefined;
  return `${protocol}// would send audit records in plaintext to another machine: use ${protocol === "tcp:" ? "tls" : "https"}`;
}

function problemOfFile(path: string, url: string | undefined): string | undefined {
  return url === undefined ? "has no effect without the URL it belongs to" : problemOfReadablePath(path);
}
