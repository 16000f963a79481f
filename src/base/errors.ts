/** Every way a session can fail, who is to blame, and which MySQL error the client is told. */

/** Who caused it. `operator` means configuration, `proxy` means a fault of our own. */
export type ErrorOrigin = "client" | "proxy" | "backend" | "operator";

/** Why a session ended: the same word in the log, the audit record and the metric label. A closed list. */
export type CloseReason =
  | "client-closed"
  | "client-protocol"
  | "client-tls"
  | "auth-refused"
  | "policy"
  | "backend-closed"
  | "backend-protocol"
  | "backend-tls"
  | "backend-unreachable"
  /** Its server has become a reader, on a listener for the writer. */
  | "not-writer"
  | "token-failed"
  | "limit"
  | "timeout"
  | "audit-failed"
  | "shutdown"
  /** By an operator. */
  | "killed"
  | "internal";

interface ErrorCodeRow {
  readonly origin: ErrorOrigin;
  readonly closeReason: CloseReason;
  /**
   * The MySQL error number and SQLSTATE that drivers already know for this situation. Never one of 2000 to 2999: those
   * are for errors a client finds by itself, and libmariadb answers one that comes from a server with "Received
   * malformed packet" in place of our text. Where the session goes on, none that drivers and pools take for the end of the
   * connection or for a server that became a reader: 1290, 1792 and 1836 (go-sql-driver's rejectReadOnly, mysql2's pools,
   * AWS's wrappers), 1105 and SQLSTATE 08xxx (HikariCP), 70100 (mariadb); but for 1047, which is the servers' own.
   */
  readonly errorNumber: number;
  readonly sqlState: string;
  /**
   * Nobody is told a number, which then stands in records alone: the client's connection ends, as it does when its own
   * server is gone. Drivers and pools replace a connection that has ended, and keep one that said an error.
   */
  readonly isLoss: boolean;
}

const row = (origin: ErrorOrigin, closeReason: CloseReason, errorNumber: number, sqlState: string): ErrorCodeRow => ({
  origin,
  closeReason,
  errorNumber,
  sqlState,
  isLoss: false,
});

const loss = (closeReason: CloseReason, errorNumber: number): ErrorCodeRow => ({
  ...row("backend", closeReason, errorNumber, "08S01"),
  isLoss: true,
});

/** The closed table of error codes. docs/errors.md has one entry for each; a test holds the two together. */
export const ERROR_CODES = {
  QC_CLIENT_PROTOCOL: row("client", "client-protocol", 1043, "08S01"),
  QC_CLIENT_SEQUENCE: row("client", "client-protocol", 1156, "08S01"),
  QC_CLIENT_PACKET_TOO_LARGE: row("client", "client-protocol", 1153, "08S01"),
  QC_CLIENT_MALFORMED_COMMAND: row("client", "client-protocol", 1835, "HY000"),
  QC_CLIENT_UNKNOWN_COMMAND: row("client", "client-protocol", 1047, "08S01"),
  QC_CLIENT_UNKNOWN_STATEMENT_ID: row("client", "client-protocol", 1243, "HY000"),
  QC_CLIENT_TOO_MANY_STATEMENTS: row("client", "limit", 1461, "42000"),
  QC_CLIENT_OLD_AUTH: row("client", "auth-refused", 1251, "08004"),
  QC_CLIENT_CHARSET: row("client", "auth-refused", 1115, "42000"),
  QC_CLIENT_TLS_REQUIRED: row("client", "auth-refused", 3159, "HY000"),
  QC_CLIENT_TLS: row("client", "client-tls", 1043, "08S01"),
  QC_CLIENT_TIMEOUT: row("client", "timeout", 1159, "08S01"),
  QC_CLIENT_CLOSED: row("client", "client-closed", 1152, "08S01"),
  QC_AUTH_REFUSED: row("client", "auth-refused", 1045, "28000"),
  QC_AUTH_PLUGIN_REFUSED: row("client", "auth-refused", 1251, "08004"),
  QC_USER_NOT_ALLOWED: row("client", "auth-refused", 1045, "28000"),
  QC_TOO_MANY_CONNECTIONS: row("proxy", "limit", 1040, "08004"),
  QC_TOO_MANY_USER_CONNECTIONS: row("proxy", "limit", 1203, "42000"),
  QC_BACKEND_UNREACHABLE: loss("backend-unreachable", 1429),
  QC_BACKEND_DNS: loss("backend-unreachable", 1429),
  QC_BACKEND_NOT_WRITER: loss("not-writer", 1836),
  QC_BACKEND_TIMEOUT: loss("timeout", 1159),
  QC_BACKEND_CLOSED: loss("backend-closed", 1158),
  QC_BACKEND_PROTOCOL: row("backend", "backend-protocol", 1835, "HY000"),
  QC_BACKEND_TLS: row("backend", "backend-tls", 1429, "HY000"),
  QC_BACKEND_TLS_NOT_OFFERED: row("backend", "backend-tls", 1429, "HY000"),
  QC_BACKEND_CLIENT_CERT: row("operator", "backend-tls", 1429, "HY000"),
  QC_BACKEND_REFUSED: row("backend", "auth-refused", 1045, "28000"),
  QC_TOKEN_FAILED: row("operator", "token-failed", 1045, "28000"),
  QC_SECRET_FAILED: row("operator", "token-failed", 1045, "28000"),
  QC_MEMORY_BUDGET: row("proxy", "limit", 1041, "HY000"),
  QC_LOGIN_BUSY: row("proxy", "limit", 1040, "08004"),
  QC_TOKEN_BUSY: row("proxy", "token-failed", 1040, "08004"),
  QC_POLICY_BLOCKED: row("client", "policy", 1148, "42000"),
  QC_IMPACT_GUARD: row("proxy", "policy", 1148, "42000"),
  QC_READ_ONLY_WALL: row("proxy", "policy", 1148, "42000"),
  QC_DATA_GUARD: row("proxy", "limit", 1226, "42000"),
  QC_AUDIT_FAILED: row("proxy", "audit-failed", 3164, "HY000"),
  QC_SHUTDOWN: row("proxy", "shutdown", 1053, "08S01"),
  QC_KILLED: row("proxy", "killed", 1927, "70100"),
  QC_CONFIG: row("operator", "internal", 1105, "HY000"),
  QC_INTERNAL: row("proxy", "internal", 1105, "HY000"),
} as const satisfies Record<string, ErrorCodeRow>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Each close reason once: the closed list as values. */
export const CLOSE_REASONS: readonly CloseReason[] = [
  ...new Set(Object.values(ERROR_CODES).map(({ closeReason }) => closeReason)),
];

interface ErrorDetail {
  /** What the client may read: no host names, no secrets. Defaults to `message` for errors the client caused. */
  readonly clientMessage?: string;
  readonly cause?: unknown;
}

/**
 * An error with a stable code. `message` is for the operator's log and never holds SQL text, passwords or tokens;
 * `clientMessage` is what goes on the wire.
 */
export class QuerycopError extends Error {
  readonly code: ErrorCode;
  readonly clientMessage: string;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "QuerycopError";
    this.code = code;
    this.clientMessage = detail.clientMessage ?? message;
  }

  get origin(): ErrorOrigin {
    return ERROR_CODES[this.code].origin;
  }

  /** Told by the end of the connection alone. */
  get isLoss(): boolean {
    return ERROR_CODES[this.code].isLoss;
  }

  get closeReason(): CloseReason {
    return ERROR_CODES[this.code].closeReason;
  }

  get errorNumber(): number {
    return ERROR_CODES[this.code].errorNumber;
  }

  get sqlState(): string {
    return ERROR_CODES[this.code].sqlState;
  }
}

/** Any thrown value as a QuerycopError: programmer errors become QC_INTERNAL and keep their stack as the cause. */
export function toQuerycopError(thrown: unknown): QuerycopError {
  if (thrown instanceof QuerycopError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new QuerycopError("QC_INTERNAL", `Internal error: ${message}`, {
    clientMessage: "querycop: internal error, see the querycop log",
    cause: thrown,
  });
}
