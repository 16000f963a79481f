/** A second connection of the session's user, logged in with a token, for statements of querycop's own. */
import { ByteReader, decodeUtf8Lossy, encodeUtf8 } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { encodeQuery } from "../mysql/command.ts";
import {
  CLIENT_DEPRECATE_EOF,
  CLIENT_LOCAL_FILES,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_QUERY_ATTRIBUTES,
  EOF_HEADER,
  ERR_HEADER,
  OK_HEADER,
} from "../mysql/constants.ts";
import { decodeErrPacket } from "../mysql/generic-response.ts";
import { encodePacket } from "../mysql/packet.ts";
import type { BackendGate } from "./backend-gate.ts";
import { logInToBackend, openBackend } from "./backend-login.ts";
import type { CommandContext } from "./command-context.ts";
import type { ClientLogin } from "./connection-phase.ts";
import { decodingFrom } from "./malformed.ts";

/** What a side connection has no use for, or would have to read differently. */
const UNUSED_FLAGS =
  CLIENT_LOCAL_FILES | CLIENT_MULTI_STATEMENTS | CLIENT_OPTIONAL_RESULTSET_METADATA | CLIENT_QUERY_ATTRIBUTES;

const COLUMNS_MAX = 64;
const ROWS_MAX = 1024;
const COM_QUIT = 0x01;

/** Rows by column name; NULL is null. */
export type SideRows = readonly ReadonlyMap<string, string | null>[];

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
    const text = typeof sql === "string" ? encodeUtf8(sql) : sql;
    this.#backend.resetSequence();
    this.#backend.send({ kind: "own", purpose }, encodePacket(encodeQuery(text, this.#flags), 0));
    const first = await this.#next(purpose);
    if (first[0] === OK_HEADER) return [];
    if (first[0] === ERR_HEADER) throw refusedBy(first, purpose);
    return await this.#readRows(first, purpose);
  }

  async #readRows(first: Uint8Array, purpose: string): Promise<SideRows> {
    const count = decodingFrom("backend", () => new ByteReader(first, "column count").lenencCount("it", COLUMNS_MAX));
    const names: string[] = [];
    for (let index = 0; index < count; index++) names.push(columnName(await this.#next(purpose)));
    if ((this.#flags & CLIENT_DEPRECATE_EOF) === 0) await this.#next(purpose);
    const rows: Map<string, string | null>[] = [];
    for (;;) {
      const payload = await this.#next(purpose);
      if (payload[0] === ERR_HEADER) throw refusedBy(payload, purpose);
      if (payload[0] === EOF_HEADER) return rows;
      if (rows.length === ROWS_MAX) throw new QuerycopError("QC_BACKEND_PROTOCOL", `${purpose}: too many rows`);
      const reader = new ByteReader(payload, `row of ${purpose}`);
      rows.push(decodingFrom("backend", () => new Map(names.map((name) => [name, textValue(reader)]))));
    }
  }

  async #next(purpose: string): Promise<Uint8Array> {
    return (await this.#backend.expectPacket(`waiting for the answer to ${purpose}`, this.#timeoutMs)).payload;
  }

  /** Leaves as a client does: a connection that is only cut counts as aborted on the server. */
  end(): void {
    this.#backend.resetSequence();
    this.#backend.send({ kind: "command", name: "COM_QUIT" }, encodePacket(Uint8Array.of(COM_QUIT), 0));
    this.#backend.end();
  }
}

/**
 * Logs in, works, leaves. Needs a token source: without one nobody here knows the user's password. `signal` ends the
 * login; what is then begun is finished within `timeoutMs`, for a statement that was sent must be known to have ended.
 */
export async function withSideLogin<T>(
  context: CommandContext,
  login: ClientLogin,
  signal: AbortSignal,
  work: (side: SideLogin) => Promise<T>,
  timeoutMs = context.services.options.backend.loginTimeoutMs,
): Promise<T> {
  const { services, client, sessionLabel, clientAddress } = context;
  const connection = await openBackend(services, signal);
  const forget = (): void => connection.gate.destroy();
  signal.addEventListener("abort", forget);
  try {
    const { flags } = login.capabilities;
    const own = { ...login, capabilities: { flags: (flags & ~UNUSED_FLAGS) >>> 0, mariadb: 0 } };
    const loginContext = { services, client, clientCanAnswer: false, signal, sessionLabel, clientAddress };
    const { backend } = await logInToBackend(loginContext, own, connection);
    signal.removeEventListener("abort", forget);
    const side = new SideLogin(backend, own.capabilities.flags, timeoutMs);
    const timer = setTimeout(() => backend.destroy(), timeoutMs);
    try {
      const result = await work(side);
      side.end();
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

function refusedBy(payload: Uint8Array, purpose: string): QuerycopError {
  const { errorNumber } = decodingFrom("backend", () => decodeErrPacket(payload));
  // Not its text, which may quote the statement.
  return new QuerycopError("QC_BACKEND_REFUSED", `The backend refused ${purpose} with error ${errorNumber}`);
}

/** catalog, schema, table, org_table, name: page_protocol_com_query_response_text_resultset_column_definition. */
const FIELDS_BEFORE_NAME = 4;

function columnName(payload: Uint8Array): string {
  return decodingFrom("backend", () => {
    const reader = new ByteReader(payload, "column definition");
    for (let field = 0; field < FIELDS_BEFORE_NAME; field++) reader.lenencBytes();
    return decodeUtf8Lossy(reader.lenencBytes()).toLowerCase();
  });
}

const NULL_VALUE = 0xfb;

function textValue(reader: ByteReader): string | null {
  if (reader.peekUint8() !== NULL_VALUE) return decodeUtf8Lossy(reader.lenencBytes());
  reader.skip(1);
  return null;
}
