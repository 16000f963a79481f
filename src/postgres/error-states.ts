/** Which SQLSTATE a PostgreSQL client is told for each error of ours (manual, appendix "PostgreSQL Error Codes"). */

import { MalformedPacketError } from "../base/bytes.ts";
import { type ErrorCode, QuerycopError } from "../base/errors.ts";

/** Drivers and pools act on these: class 08 and 57P ends a connection, 28 a login, 53 is tried again later. */
export const ERROR_STATES = {
  QC_CLIENT_PROTOCOL: "08P01",
  QC_CLIENT_SEQUENCE: "08P01",
  QC_CLIENT_PACKET_TOO_LARGE: "54000",
  QC_CLIENT_MALFORMED_COMMAND: "08P01",
  QC_CLIENT_UNKNOWN_COMMAND: "08P01",
  QC_CLIENT_UNKNOWN_STATEMENT_ID: "26000",
  QC_CLIENT_TOO_MANY_STATEMENTS: "54000",
  QC_CLIENT_OLD_AUTH: "28000",
  QC_CLIENT_CHARSET: "22023",
  QC_CLIENT_TLS_REQUIRED: "28000",
  QC_CLIENT_TLS: "08P01",
  QC_CLIENT_TIMEOUT: "57014",
  QC_CLIENT_CLOSED: "08006",
  QC_AUTH_REFUSED: "28P01",
  QC_AUTH_PLUGIN_REFUSED: "28000",
  QC_USER_NOT_ALLOWED: "28000",
  QC_TOO_MANY_CONNECTIONS: "53300",
  QC_TOO_MANY_USER_CONNECTIONS: "53300",
  QC_BACKEND_UNREACHABLE: "08006",
  QC_BACKEND_DNS: "08006",
  QC_BACKEND_NOT_WRITER: "08006",
  QC_BACKEND_TIMEOUT: "08006",
  QC_BACKEND_CLOSED: "08006",
  QC_BACKEND_PROTOCOL: "08P01",
  QC_BACKEND_TLS: "08006",
  QC_BACKEND_TLS_NOT_OFFERED: "08006",
  QC_BACKEND_CLIENT_CERT: "08006",
  QC_BACKEND_REFUSED: "28000",
  QC_TOKEN_FAILED: "28000",
  QC_SECRET_FAILED: "28000",
  QC_MEMORY_BUDGET: "53200",
  QC_LOGIN_BUSY: "53300",
  QC_TOKEN_BUSY: "53300",
  QC_POLICY_BLOCKED: "42501",
  QC_IMPACT_GUARD: "42501",
  QC_READ_ONLY_WALL: "25006",
  QC_DATA_GUARD: "54000",
  QC_AUDIT_FAILED: "58000",
  QC_SHUTDOWN: "57P01",
  QC_KILLED: "57P01",
  QC_CONFIG: "F0000",
  QC_INTERNAL: "XX000",
} as const satisfies Record<ErrorCode, string>;

/** Bytes of a client that are not passed on, with the SQLSTATE that a server has for just this. */
export class ClientMessageError extends QuerycopError {
  readonly messageState: string;

  constructor(code: ErrorCode, messageState: string, message: string, cause?: unknown) {
    super(code, message, { cause });
    this.name = "ClientMessageError";
    this.messageState = messageState;
  }
}

/** What stands in field C of the ErrorResponse. */
export function sqlStateOf(error: QuerycopError): string {
  return error instanceof ClientMessageError ? error.messageState : ERROR_STATES[error.code];
}

/** What `decode` makes of a client's bytes; a layout that does not hold together is refused with 08P01. */
export function decodeForClient<Value>(code: ErrorCode, decode: () => Value): Value {
  try {
    return decode();
  } catch (thrown) {
    if (!(thrown instanceof MalformedPacketError)) throw thrown;
    throw new ClientMessageError(code, "08P01", thrown.message, thrown);
  }
}
