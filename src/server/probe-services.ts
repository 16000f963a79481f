/** What a login without a client needs: the same options, tokens and TLS as a session of the listener has. */
import { silentLogger } from "../base/log.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { BackendProfile } from "../session/backend-profile.ts";
import { newDataGuardCounts } from "../session/data-guard.ts";
import { RowEstimates } from "../session/row-estimates.ts";
import type { SessionServices } from "../session/session-services.ts";
import { UserSlots } from "../session/user-slots.ts";
import { UserWindows } from "../session/user-windows.ts";
import { MintSlots } from "../token/mint-slots.ts";
import { AllowAllJudge } from "./allow-all-judge.ts";
import { ApprovalDesk } from "./approval-desk.ts";
import { listenerOptions, tokenManager } from "./listener-setup.ts";
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
  return {
    options: listenerOptions(listener),
    tokens: tokenManager(listener, config.token, new MintSlots(1, WAITING_MINTS_MAX), silentLogger, () => undefined),
    audit,
    logger: silentLogger,
    metrics: newProxyMetrics(),
    judge: new AllowAllJudge(),
    approvals: new ApprovalDesk({ audit, logger: silentLogger, openMax: 0 }),
    backendProfile: new BackendProfile(),
    dataGuardCounts: newDataGuardCounts(),
    userWindows: new UserWindows(),
    userSlots: new UserSlots(0),
    rowEstimates: new RowEstimates(),
    nextOwnConnectionId: () => 0,
    backendConnectionId: () => undefined,
    cancelHold: () => undefined,
  };
}
