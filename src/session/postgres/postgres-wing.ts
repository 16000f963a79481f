/** What a listener that speaks PostgreSQL is handed. */
import { encodeErrorResponse } from "../../postgres/backend-message.ts";
import type { SessionWing } from "../live-session.ts";
import { openBackend } from "./backend-connection.ts";
import type { CancelKeys } from "./cancel-keys.ts";
import type { DsqlServing } from "./dsql/dsql-watch.ts";
import type { PostgresJudge } from "./judging/judge.ts";
import { PostgresSession } from "./session.ts";

/** `cancelKeys` are those of the process; `dsql` where the backend is Aurora DSQL. */
export function postgresWing(judge: PostgresJudge, cancelKeys: CancelKeys, dsql?: DsqlServing): SessionWing {
  return {
    open: (id, transport, session) => new PostgresSession(id, transport, { session, judge, cancelKeys, dsql }),
    probe: async (services, signal) => {
      const connection = await openBackend(services, signal);
      connection.destroy();
    },
    /** As a full server does, before it has read anything. */
    turnAway: (text) =>
      encodeErrorResponse({
        severity: "FATAL",
        code: "53300",
        message: `querycop: too many connections: ${text}`,
      }),
  };
}
