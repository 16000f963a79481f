/** A server for doctor to look at: TLS or not, any account, and answers to the questions doctor asks. */
import { readFileSync } from "node:fs";
import { CLIENT_SSL } from "../../src/mysql/constants.ts";
import { decodeHandshakeResponse41, encodeHandshakeV10, isSslRequest } from "../../src/mysql/handshake.ts";
import type { Certificate } from "../support/certificates.ts";
import {
  errPayload,
  type FakeBackend,
  GREETING,
  OK_PAYLOAD,
  type PacketPeer,
  serveCommands,
  startFakeBackend,
  startServerTls,
} from "../support/fake-peers.ts";
import { columnCount, columnDefinition, rowsEnd, textRow } from "../support/wire-replies.ts";

export interface DoctorBackendOptions {
  readonly certificate?: Certificate;
  /** Decides on a login; the default takes every user but the one doctor leaves by. */
  readonly login?: (user: string, password: string) => Uint8Array;
  /** Columns of the answer to the question about settings. */
  readonly settings?: readonly string[];
  readonly createUser?: string;
  readonly threadsConnected?: string;
}

export const ACCESS_DENIED = errPayload({ errorNumber: 1045, sqlState: "28000", message: "Access denied for user" });

export interface DoctorBackend extends FakeBackend {
  /** Connections that ended without a login packet: what counts against max_connect_errors. */
  readonly abandoned: () => number;
}

const GOOD_SETTINGS = ["STRICT_TRANS_TABLES", "", "0", "5000", "0", "0", "8.0.36"];
const GOOD_ACCOUNT = "CREATE USER `app`@`%` IDENTIFIED WITH 'AWSAuthenticationPlugin' AS 'RDS' REQUIRE SSL";

export async function startDoctorBackend(options: DoctorBackendOptions = {}): Promise<DoctorBackend> {
  let abandoned = 0;
  const backend = await startFakeBackend(async (peer) => {
    if (!(await converse(peer, options))) abandoned++;
  });
  return { ...backend, abandoned: () => abandoned };
}

/** False when the client went away before it logged in. */
async function converse(plain: PacketPeer, options: DoctorBackendOptions): Promise<boolean> {
  const { certificate } = options;
  const flags = (GREETING.capabilities.flags | (certificate === undefined ? 0 : CLIENT_SSL)) >>> 0;
  plain.write(encodeHandshakeV10({ ...GREETING, capabilities: { flags, mariadb: 0 } }), 0);
  let peer = plain;
  let packet = await peer.read();
  if (packet !== undefined && certificate !== undefined && isSslRequest(packet.payload)) {
    const cert = readFileSync(certificate.certFile, "latin1");
    const key = readFileSync(certificate.keyFile, "latin1");
    peer = startServerTls(peer, { cert, key });
    packet = await peer.read();
  }
  if (packet === undefined) return false;
  const { user, authResponse } = decodeHandshakeResponse41(packet.payload);
  const isLeaving = user.startsWith("querycop_");
  const answer = isLeaving
    ? ACCESS_DENIED
    : (options.login?.(user, Buffer.from(authResponse).toString("latin1")) ?? OK_PAYLOAD);
  peer.write(answer, packet.lastSequenceId + 1);
  if (answer[0] === 0) await serveCommands(peer, (payload) => answerTo(payload, options));
  else peer.socket.end();
  return true;
}

function answerTo(payload: Uint8Array, options: DoctorBackendOptions): readonly Uint8Array[] {
  const sql = Buffer.from(payload.subarray(1)).toString("latin1");
  if (payload[0] === 1) return [];
  if (sql === "SELECT 1") return oneRow("1");
  if (sql.startsWith("SELECT @@sql_mode")) return oneRow(...(options.settings ?? GOOD_SETTINGS));
  if (sql.startsWith("SHOW GLOBAL STATUS")) return oneRow("Threads_connected", options.threadsConnected ?? "12");
  if (sql.startsWith("SHOW CREATE USER")) return oneRow(options.createUser ?? GOOD_ACCOUNT);
  return [errPayload({ errorNumber: 1064, sqlState: "42000", message: `no answer to ${sql}` })];
}

function oneRow(...values: readonly string[]): Uint8Array[] {
  const columns = values.map((_, index) => columnDefinition(`c${index}`));
  return [columnCount(values.length), ...columns, textRow(...values), rowsEnd()];
}
