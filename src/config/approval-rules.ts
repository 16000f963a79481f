/** Rules between the settings of approvals. */
import { isLoopbackHost, problemOfReadablePath } from "./rules.ts";
import type { ProcessSettings } from "./schema.ts";

/** What cannot be as it is set: the setting and why. */
export function approvalProblems(
  approvals: ProcessSettings["approvals"],
): readonly (readonly [key: string, problem: string | undefined])[] {
  const { webhookUrl, webhookSecretFile, webhookCaFile, webhookApprovers } = approvals;
  const needsSecret = (value: unknown): string | undefined =>
    value === undefined || webhookSecretFile !== undefined
      ? undefined
      : "needs approvals.webhook_secret_file: what is not signed is neither sent nor taken";
  const hasUse = webhookUrl !== undefined || webhookApprovers !== undefined;
  return [
    ["approvals.webhook_url", needsSecret(webhookUrl)],
    ["approvals.webhook_url", webhookUrl === undefined ? undefined : problemOfUrl(webhookUrl)],
    ["approvals.webhook_approvers", needsSecret(webhookApprovers)],
    ["approvals.webhook_secret_file", webhookSecretFile && problemOfReadablePath(webhookSecretFile)],
    [
      "approvals.webhook_secret_file",
      webhookSecretFile === undefined || hasUse
        ? undefined
        : "has no effect: set approvals.webhook_url, approvals.webhook_approvers or both",
    ],
    ["approvals.webhook_ca_file", webhookCaFile && problemOfReadablePath(webhookCaFile)],
    [
      "approvals.webhook_ca_file",
      webhookCaFile === undefined || webhookUrl !== undefined
        ? undefined
        : "has no effect without approvals.webhook_url",
    ],
  ];
}

/** Statements have no literals there, but tables, users and addresses. */
function problemOfUrl(text: string): string | undefined {
  const { protocol, hostname } = new URL(text);
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  if (protocol === "https:" || isLoopbackHost(host)) return undefined;
  return "http:// would send requests for approval in plaintext to another machine: use https";
}
