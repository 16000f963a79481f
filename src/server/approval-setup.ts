/** The approvals of a process: their desk, and the two ways of their webhooks as far as the configuration has them. */
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/schema.ts";
import type { AuditTrail } from "../session/session-services.ts";
import { ApprovalDesk } from "./approval-desk.ts";
import { ApprovalWebhook } from "./approval-webhook.ts";
import { WebhookInbox } from "./webhook-inbox.ts";

export interface OpenApprovals {
  readonly desk: ApprovalDesk;
  readonly webhook: ApprovalWebhook | undefined;
  readonly inbox: WebhookInbox | undefined;
}

interface Around {
  readonly audit: AuditTrail;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Whether the admin API has keys. */
  readonly hasReaders: boolean;
}

export function openApprovals(settings: Config["approvals"], around: Around): OpenApprovals {
  const { audit, logger, metrics, hasReaders } = around;
  const { openMax, webhookSecretFile: secretFile, webhookApprovers: approvers } = settings;
  const webhook = webhookOf(settings, logger, metrics);
  const inbox =
    secretFile === undefined || approvers === undefined ? undefined : new WebhookInbox({ secretFile, approvers });
  const desk = new ApprovalDesk({
    audit,
    logger,
    openMax,
    hasApprovers: hasReaders || inbox !== undefined,
    onChange: (view) => webhook?.tell(view, (id) => desk.find(id)),
  });
  return { desk, webhook, inbox };
}

function webhookOf(
  { webhookUrl: url, webhookSecretFile: secretFile, webhookCaFile: caFile }: Config["approvals"],
  logger: Logger,
  { approvalDeliveries }: Metrics,
): ApprovalWebhook | undefined {
  if (url === undefined || secretFile === undefined) return undefined;
  const delivered = approvalDeliveries.of("delivered");
  const failed = approvalDeliveries.of("failed");
  return new ApprovalWebhook({ url, secretFile, caFile, logger, delivered, failed });
}
