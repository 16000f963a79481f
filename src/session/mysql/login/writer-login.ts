/** The login of a listener whose role is writer: a server that takes no writes is left, and the name looked up again. */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { pause } from "../../../base/pause.ts";
import type { Capabilities } from "../../../mysql/constants.ts";
import { logsInAlone } from "../../accounts/login-tokens.ts";
import type { BackendGate } from "../../backend-gate.ts";
import type { SessionServices } from "../../session-services.ts";
import type { WriterWatch } from "../../writer-watch.ts";
import { queryText } from "../statements/text-query.ts";
import {
  type BackendConnection,
  type LoginContext,
  type LoginResult,
  logInToBackend,
  openBackend,
} from "./backend-login.ts";
import type { ClientLogin } from "./connection-phase.ts";

/** Between two looks at what the name says now. */
const LOOK_AGAIN_MS = 100;
/** How long a server that was left may take to close. */
const LEAVING_MS = 1_000;

/**
 * As binary text, whatever charset the results have, and past a sql_select_limit of 0. Aurora's readers, and any server
 * started so, say innodb_read_only.
 */
const ASK = encodeUtf8("SELECT CAST(@@global.read_only AS BINARY),CAST(@@global.innodb_read_only AS BINARY) LIMIT 1");
const PURPOSE = "the question whether it takes writes";

/** Until when a login that begins now looks for a writer. */
function writerWantedUntil({ writers }: SessionServices): number {
  return SYSTEM_CLOCK.monotonicMs() + (writers?.failoverWaitMs ?? 0);
}

/**
 * As `openBackend()`, but where only the writer is wanted an address known to be a reader is not dialled: the name is looked
 * up again until it has another or the time is over. Throws QC_BACKEND_NOT_WRITER then.
 */
export async function openWriter(
  services: SessionServices,
  signal: AbortSignal,
  untilMs = writerWantedUntil(services),
): Promise<BackendConnection> {
  const { writers } = services;
  if (writers === undefined) return await openBackend(services, signal);
  for (;;) {
    try {
      return await openBackend(services, signal, (address) => writers.isAvoided(address));
    } catch (thrown) {
      if (!mayPass(thrown, writers) || signal.aborted || SYSTEM_CLOCK.monotonicMs() >= untilMs) throw thrown;
    }
    await pause(LOOK_AGAIN_MS, signal);
  }
}

/** A writer that changes its place restarts, or is not there yet. */
function mayPass(thrown: unknown, writers: WriterWatch): boolean {
  if (!(thrown instanceof QuerycopError)) return false;
  return thrown.code === "QC_BACKEND_NOT_WRITER" || (thrown.isLoss && writers.isTurning);
}

/**
 * As `logInToBackend()`, with a server that takes writes where only such a one is wanted. `openAgain` dials once more for the
 * same client, until the given time.
 */
export async function logInToWriter(
  context: LoginContext,
  login: ClientLogin,
  connection: BackendConnection,
  openAgain: (untilMs: number) => Promise<BackendConnection>,
): Promise<LoginResult> {
  const { services } = context;
  const untilMs = writerWantedUntil(services);
  let result = await logInToBackend(context, login, connection);
  const { writers } = services;
  if (writers === undefined) return result;
  while (!(await takesWrites(services, writers, result.backend, login.capabilities))) {
    leave(result.backend);
    connection.leaveWith = "nothing";
    const address = result.backend.remoteAddress;
    if (!logsInAlone(services)) throw notWriter(`${address} takes no writes, and a client's own password serves once`);
    if (SYSTEM_CLOCK.monotonicMs() >= untilMs) throw notWriter(`${address} takes no writes (backend.failover_wait)`);
    const next = await openAgain(untilMs);
    try {
      // The client's scramble was made for the first connection.
      result = await logInToBackend({ ...context, clientAnswers: "never" }, login, next);
    } catch (thrown) {
      next.gate.destroy();
      throw thrown;
    }
  }
  return result;
}

function notWriter(why: string): QuerycopError {
  return new QuerycopError("QC_BACKEND_NOT_WRITER", `The backend is not the writer: ${why}`);
}

/** False only where the server says so: one that cannot be asked is taken for what it was configured to be. */
async function takesWrites(
  services: SessionServices,
  writers: WriterWatch,
  backend: BackendGate,
  capabilities: Capabilities,
): Promise<boolean> {
  const address = backend.remoteAddress;
  if (writers.isWriter(address)) return true;
  const role = await askRole(services, backend, capabilities);
  if (role !== "unknown") writers.learn(address, role === "writer");
  return role !== "reader";
}

/** Asks a connection that is between two commands. Throws as `queryText()`. */
export async function askRole(
  { options, metrics }: SessionServices,
  backend: BackendGate,
  capabilities: Capabilities,
): Promise<"writer" | "reader" | "unknown"> {
  const timeoutMs = options.backend.loginTimeoutMs;
  const answer = await queryText(backend, { sql: ASK, purpose: PURPOSE, capabilities, rowsMax: 1, timeoutMs });
  const values = answer.kind === "rows" ? answer.rows[0] : undefined;
  const role = values === undefined ? "unknown" : values.every(isOff) ? "writer" : "reader";
  metrics.writerChecks.of(role).value++;
  return role;
}

/** MariaDB 12 names its kinds of read_only. */
const isOff = (value: string | undefined): boolean => value === undefined || value === "0" || value === "OFF";

function leave(backend: BackendGate): void {
  backend.quit();
  setTimeout(() => backend.destroy(), LEAVING_MS).unref();
}
