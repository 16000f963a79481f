/**
 * What a start does with a configuration beyond reading it, done without starting: serve, check-config and doctor ask
 * here, so that none of them says ok where another fails. Makes and changes no file.
 */
import { accessSync, constants, lstatSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { checkAuditKey } from "../audit/audit-key.ts";
import { readHeaders } from "../audit/http-destination.ts";
import { readSealKey } from "../audit/sealed-text.ts";
import { checkFolderMode } from "../audit/segment-files.ts";
import { problemOfCaFile } from "../config/pem-files.ts";
import type { Config } from "../config/schema.ts";
import { parsePolicy, renderProblems } from "../policy/file/policy-file.ts";
import { listenerOptions } from "./listener-setup.ts";
import { readWebhookSecrets } from "./webhook-secrets.ts";

/** What would keep a start from succeeding, one problem a line, each with the setting in front. */
export function preflight(config: Config): readonly string[] {
  const problems: string[] = [];
  const attempt = (setting: string, action: () => string | undefined): void => {
    try {
      const problem = action();
      if (problem !== undefined) problems.push(`${setting}: ${problem}`);
    } catch (thrown) {
      problems.push(`${setting}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  };
  const { file: policyFile } = config.policy;
  if (policyFile !== undefined) attempt("policy.file", () => problemOfPolicy(policyFile));
  checkAudit(config.audit, attempt);
  const { webhookSecretFile, webhookCaFile } = config.approvals;
  if (webhookSecretFile !== undefined) {
    attempt("approvals.webhook_secret_file", () => {
      const secrets = readWebhookSecrets(webhookSecretFile);
      return typeof secrets === "string" ? secrets : undefined;
    });
  }
  if (webhookCaFile !== undefined) attempt("approvals.webhook_ca_file", () => problemOfCaFile(webhookCaFile));
  for (const listener of config.listeners) {
    attempt(`listener ${listener.name}`, () => {
      listenerOptions(listener);
      return undefined;
    });
  }
  return problems;
}

type Attempt = (setting: string, action: () => string | undefined) => void;

function problemOfPolicy(path: string): string | undefined {
  const result = parsePolicy(readFileSync(path, "utf8"));
  return result.kind === "refused" ? `is refused\n${renderProblems(path, result.problems)}` : undefined;
}

function checkAudit(audit: Config["audit"], attempt: Attempt): void {
  const { file, keyFile, sealKeyFile, forwardCaFile } = audit;
  if (file !== undefined) {
    attempt("audit.file", () => problemOfAuditFile(file));
    attempt("audit.key_file", () => checkAuditKey(keyFile ?? `${file}.key`));
  } else if (keyFile !== undefined) {
    attempt("audit.key_file", () => checkAuditKey(keyFile));
  }
  if (sealKeyFile !== undefined) {
    attempt("audit.seal_key_file", () => {
      readSealKey(sealKeyFile);
      return undefined;
    });
  }
  if (forwardCaFile !== undefined) attempt("audit.forward_ca_file", () => problemOfCaFile(forwardCaFile));
  for (const [setting, path] of [
    ["audit.webhook_headers_file", audit.webhookHeadersFile],
    ["audit.otlp_headers_file", audit.otlpHeadersFile],
  ] as const) {
    attempt(setting, () => {
      readHeaders(path);
      return undefined;
    });
  }
}

/** The folder as the log wants it, or one that it can make, and no file that it may not write. */
function problemOfAuditFile(file: string): string | undefined {
  const folder = dirname(file);
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return problemOfAccess(dirname(folder));
  checkFolderMode(folder);
  const existing = statSync(file, { throwIfNoEntry: false });
  if (existing !== undefined && !existing.isFile()) return `cannot write ${file}: it is no regular file`;
  return problemOfAccess(folder) ?? (existing === undefined ? undefined : problemOfAccess(file));
}

function problemOfAccess(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    const { code = "unknown error" } = error as NodeJS.ErrnoException;
    return `cannot write ${path}: ${code}: let the user that querycop runs as write it`;
  }
}
