/** Puts together what the sessions of a listener use: of the whole process, and of the listener alone. */
import { BackendProfile } from "../session/backend-profile.ts";
import { newDataGuardCounts } from "../session/data-guard.ts";
import { RowEstimates } from "../session/row-estimates.ts";
import type { ProcessServices, SessionServices } from "../session/session-services.ts";
import { UserSlots } from "../session/user-slots.ts";
import { UserWindows } from "../session/user-windows.ts";

/** Ids given to clients that are greeted before their backend is dialled: away from the ids servers count up. */
const OWN_CONNECTION_ID_FIRST = 0x40000000;
const OWN_CONNECTION_ID_LAST = 0x7fffffff;

type GivenToProcess = Pick<ProcessServices, "audit" | "metrics" | "judge" | "approvals">;
type GivenToListener = Pick<SessionServices, "options" | "tokens" | "logger" | "backendConnectionId" | "cancelHold">;

/** Once in a process, however many listeners it has. */
export function newProcessServices(given: GivenToProcess, connectionsPerUserMax = 0): ProcessServices {
  let nextOwnId = OWN_CONNECTION_ID_FIRST;
  return {
    ...given,
    userWindows: new UserWindows(),
    userSlots: new UserSlots(connectionsPerUserMax),
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
    dataGuardCounts: newDataGuardCounts(),
    rowEstimates: new RowEstimates(),
  };
}
