/** What a listener that speaks MySQL is handed. */
import { ERROR_CODES } from "../../base/errors.ts";
import { encodeErrPacket } from "../../mysql/generic-response.ts";
import { encodePacket } from "../../mysql/packet.ts";
import type { SessionWing } from "../live-session.ts";
import { probeBackend } from "./login/backend-probe.ts";
import { MysqlSession } from "./session.ts";

export const MYSQL_WING: SessionWing = {
  open: (id, transport, services) => new MysqlSession(id, transport, services),
  probe: probeBackend,
  /** As a full server does: an error in place of the greeting, without SQLSTATE. */
  turnAway: (text) => {
    const { errorNumber } = ERROR_CODES.QC_TOO_MANY_CONNECTIONS;
    return encodePacket(encodeErrPacket({ errorNumber, message: `querycop: too many connections: ${text}` }), 0);
  },
};
