/** What a login without a client needs: the same options, tokens and TLS as a session of the listener has. */
import { silentLogger } from "../base/log.ts";
import { Slots } from "../base/slots.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import type { SessionServices } from "../session/session-services.ts";
import { AllowAllJudge } from "./allow-all-judge.ts";
import { ApprovalDesk } from "./approval-desk.ts";
import { newProcessServices, newSessionServices } from "./listener-services.ts";
import { heldPasswords, listenerOptions, tokenManager } from "./listener-setup.ts";
import { newProxyMetrics } from "./metric-labels.ts";

/** A probe logs in once at a time. */
const WAITING_MINTS_MAX = 16;

/** Nothing is recorded or counted, and no statement of a client is ever judged. */
export function probeServices(listener: ListenerConfig, config: Config): SessionServices {
  const audit = {
    run: "probe",
    isKept: false,
    append: () => undefined,
    appendSoon: () => undefined,
    hashText: () => "",
    hashLongText: async () => "",
  };
  const silent = newProcessServices({
    audit,
    metrics: newProxyMetrics(),
    judge: new AllowAllJudge(),
    approvals: new ApprovalDesk({ audit, logger: silentLogger, openMax: 0 }),
  });
  return newSessionServices(silent, {
    options: listenerOptions(listener),
    tokens: tokenManager(listener, config.token, new Slots(1, WAITING_MINTS_MAX), silentLogger, () => undefined),
    passwords: heldPasswords(listener, silentLogger),
    logger: silentLogger,
    backendConnectionId: () => undefined,
    cancelHold: () => undefined,
  });
}
