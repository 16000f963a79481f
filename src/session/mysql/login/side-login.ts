/** A second connection of the session's user, logged in with a token, for statements of querycop's own. */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import {
  CLIENT_LOCAL_FILES,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_QUERY_ATTRIBUTES,
} from "../../../mysql/constants.ts";
import type { BackendGate } from "../../backend-gate.ts";
import type { CommandContext } from "../command-context.ts";
import { queryText, type TextValue } from "../statements/text-query.ts";
import { type LoginContext, logInToBackend, openBackend } from "./backend-login.ts";
import type { ClientLogin } from "./connection-phase.ts";

/** What a side connection has no use for, or would have to read differently. */
const UNUSED_FLAGS =
  CLIENT_LOCAL_FILES | CLIENT_MULTI_STATEMENTS | CLIENT_OPTIONAL_RESULTSET_METADATA | CLIENT_QUERY_ATTRIBUTES;

const ROWS_MAX = 1024;
/** How long a server may take to close a connection that was left. */
const LEAVING_MS = 1000;

/** Rows by column name. */
export type SideRows = readonly ReadonlyMap<string, TextValue>[];

export class SideLogin {
  readonly #backend: BackendGate;
  readonly #flags: number;
  readonly #timeoutMs: number;

  constructor(backend: BackendGate, flags: number, timeoutMs: number) {
    this.#backend = backend;
    this.#flags = flags;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs one statement. Throws QC_BACKEND_REFUSED with the server's error number where it says no. */
  async query(sql: Uint8Array | string, purpose: string): Promise<SideRows> {
    const answer = await queryText(this.#backend, {
      sql: typeof sql === "string" ? encodeUtf8(sql) : sql,
      purpose,
      capabilities: { flags: this.#flags, mariadb: 0 },
      rowsMax: ROWS_MAX,
      timeoutMs: this.#timeoutMs,
    });
    if (answer.kind === "rows") {
      const { columns, rows } = answer;
      return rows.map((row) => new Map(columns.map((name, index) => [name, row[index]])));
    }
    // Not its text, which may quote the statement.
    const text = `The backend refused ${purpose} with error ${answer.errorNumber}`;
    throw new QuerycopError("QC_BACKEND_REFUSED", text);
  }
}

/**
 * Logs in when there is a place for it, works, leaves. Needs a token source: without one nobody here knows the user's
 * password. `signal`, which must come some time, ends the wait for a place and the login; what is then begun is finished
 * within `timeoutMs`, for a statement that was sent must be known to have ended.
 */
export async function withSideLogin<T>(
  context: CommandContext,
  login: ClientLogin,
  signal: AbortSignal,
  work: (side: SideLogin) => Promise<T>,
  timeoutMs = context.services.options.backend.loginTimeoutMs,
): Promise<T> {
  const { sideSlots } = context.services;
  if (!(await sideSlots.enter(signal))) {
    throw new QuerycopError("QC_BACKEND_TIMEOUT", "No place for a login of querycop's own became free in time");
  }
  const place: { backend?: BackendGate } = {};
  try {
    return await workAt(place, { context, login, signal, work, timeoutMs });
  } finally {
    whenClosed(place.backend, () => sideSlots.leave());
  }
}

/** A connection that was left is there until the server has closed it too. */
function whenClosed(backend: BackendGate | undefined, act: () => void): void {
  if (backend === undefined) {
    act();
    return;
  }
  const timer = setTimeout(() => backend.destroy(), LEAVING_MS);
  timer.unref();
  backend.onDead(() => {
    clearTimeout(timer);
    act();
  });
}

interface SideWork<T> {
  readonly context: CommandContext;
  readonly login: ClientLogin;
  readonly signal: AbortSignal;
  readonly work: (side: SideLogin) => Promise<T>;
  readonly timeoutMs: number;
}

/** Tells of the connection that it has come to. */
async function workAt<T>(
  place: { backend?: BackendGate },
  { context, login, signal, work, timeoutMs }: SideWork<T>,
): Promise<T> {
  const { services, client, sessionLabel, clientAddress } = context;
  const connection = await openBackend(services, signal);
  const forget = (): void => connection.gate.destroy();
  signal.addEventListener("abort", forget);
  try {
    const { flags } = login.capabilities;
    const own = { ...login, capabilities: { flags: (flags & ~UNUSED_FLAGS) >>> 0, mariadb: 0 } };
    const loginContext: LoginContext = {
      services,
      client,
      clientAnswers: "never",
      signal,
      sessionLabel,
      clientAddress,
    };
    const { backend } = await logInToBackend(loginContext, own, connection);
    place.backend = backend;
    signal.removeEventListener("abort", forget);
    const side = new SideLogin(backend, own.capabilities.flags, timeoutMs);
    const timer = setTimeout(() => backend.destroy(), timeoutMs);
    try {
      const result = await work(side);
      backend.quit();
      return result;
    } catch (thrown) {
      backend.destroy();
      throw thrown;
    } finally {
      clearTimeout(timer);
    }
  } catch (thrown) {
    connection.gate.destroy();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", forget);
  }
}
