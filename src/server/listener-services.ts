/** Puts together what the sessions of a listener use: of the whole process, and of the listener alone. */
import { SYSTEM_CLOCK } from "../base/clock.ts";
import { LoopShare } from "../base/loop-share.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import { Slots } from "../base/slots.ts";
import { PasswordChecks } from "../session/accounts/password-checks.ts";
import { newDataGuardCounts } from "../session/limits/data-guard.ts";
import { SilentClients } from "../session/limits/silent-clients.ts";
import { UserSlots } from "../session/limits/user-slots.ts";
import { UserWindows } from "../session/limits/user-windows.ts";
import { BackendProfile } from "../session/mysql/login/backend-profile.ts";
import { RowEstimates } from "../session/mysql/statements/row-estimates.ts";
import type { ProcessServices, SessionServices } from "../session/session-services.ts";
import { DecisionLog } from "../session/statement/decision-log.ts";
import { WriterWatch } from "../session/writer-watch.ts";
import { sideConnectionsMax } from "./open-files.ts";

/** Ids given to clients that are greeted before their backend is dialled: away from the ids servers count up. */
const OWN_CONNECTION_ID_FIRST = 0x40000000;
const OWN_CONNECTION_ID_LAST = 0x7fffffff;

type GivenToProcess = Pick<ProcessServices, "audit" | "metrics" | "judge" | "approvals"> &
  Partial<Pick<ProcessServices, "memory" | "loginSlots" | "sideSlots">>;
type GivenToListener = Pick<
  SessionServices,
  "options" | "tokens" | "passwords" | "logger" | "backendConnectionId" | "cancelHold"
>;

/** Commands in one turn of the event loop, of clients that send the next before the last is answered: half a millisecond. */
const PIPELINED_A_TURN = 4;
/** Sessions begun in one turn: each has several steps of a login before it. */
const NEWCOMERS_A_TURN = 2;

/** Once in a process, however many listeners it has. */
export function newProcessServices(given: GivenToProcess, connectionsPerUserMax = 0): ProcessServices {
  let nextOwnId = OWN_CONNECTION_ID_FIRST;
  return {
    memory: new MemoryBudget(Number.MAX_SAFE_INTEGER),
    loginSlots: new Slots(Number.MAX_SAFE_INTEGER, 0),
    // Each of those that wait is a session.
    sideSlots: new Slots(sideConnectionsMax(), Number.MAX_SAFE_INTEGER),
    ...given,
    decisionLog: new DecisionLog(),
    userWindows: new UserWindows(),
    userSlots: new UserSlots(connectionsPerUserMax),
    silentClients: new SilentClients(),
    pipelined: new LoopShare(PIPELINED_A_TURN),
    newcomers: new LoopShare(NEWCOMERS_A_TURN),
    passwordChecks: new PasswordChecks(given.metrics),
    nextOwnConnectionId: () => {
      const id = nextOwnId;
      nextOwnId = id >= OWN_CONNECTION_ID_LAST ? OWN_CONNECTION_ID_FIRST : id + 1;
      return id;
    },
  };
}

export function newSessionServices(shared: ProcessServices, given: GivenToListener): SessionServices {
  return {
    ...shared,
    ...given,
    backendProfile: new BackendProfile(),
    writers: writerWatch(shared, given),
    dataGuardCounts: newDataGuardCounts(),
    rowEstimates: new RowEstimates(),
  };
}

function writerWatch({ metrics }: ProcessServices, { options, logger }: GivenToListener): WriterWatch | undefined {
  const { failoverWaitMs } = options.backend;
  if (failoverWaitMs === 0) return undefined;
  return new WriterWatch({ failoverWaitMs, clock: SYSTEM_CLOCK, logger, metrics });
}
