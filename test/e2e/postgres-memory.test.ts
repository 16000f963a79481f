/**
 * What clients of PostgreSQL have begun to send, through the executable before a real server: it counts in the memory budget,
 * and has to be finished in time.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before } from "node:test";
import { decodeErrorFields } from "../../src/postgres/backend-message.ts";
import { encodeFrontendMessage } from "../../src/postgres/frontend-message.ts";
import { plaintextPostgres } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient } from "../support/postgres-client.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import type { Querycop, Settings } from "../support/querycop.ts";

const MB = 1_000_000;
/** The engine that reads PostgreSQL's SQL takes a good part of it. */
const PEAK_MIB_MAX = 400;

let server: PostgresServer;
const clients: PostgresClient[] = [];

before(async () => {
  server = await startPostgres();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await endStage();
});

after(() => server.stop());

function start(settings: Settings): Promise<Querycop> {
  return startStaged({
    ...plaintextPostgres(server),
    GATEKEEPER_LOG_LEVEL: "info",
    ...settings,
  });
}

async function logIn({ port }: Querycop, count: number): Promise<PostgresClient[]> {
  const login = { port, user: "trust_user" };
  const all = await Promise.all(Array.from({ length: count }, () => PostgresClient.logIn(login)));
  clients.push(...all);
  return all;
}

/** A statement with a text of so many bytes. */
const longStatement = (bytes: number): Uint8Array =>
  encodeFrontendMessage({ name: "Query", sql: Buffer.from(`SELECT length('${"x".repeat(bytes)}')`) });

/** What the client is told when its session ends. */
async function lastWordsOf(client: PostgresClient): Promise<string> {
  for (let piece = await client.next(); piece !== undefined; piece = await client.next()) {
    if (piece.kind === "message" && piece.type === 0x45) return decodeErrorFields(piece.body).message;
  }
  return "nothing";
}

function peakMiB(querycop: Querycop): number {
  const status = readFileSync(`/proc/${querycop.pid()}/status`, "latin1");
  return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) / 1024;
}

e2e("clients that stop within large messages end where others need the room, and small ones are answered", async () => {
  const querycop = await start({ GATEKEEPER_MEMORY_BUDGET: "24MiB" });
  const [small, whole, ...silent] = await logIn(querycop, 6);
  assert.ok(small && whole);
  for (const client of silent) client.write(longStatement(8 * MB).subarray(0, 7 * MB));
  const told = Promise.race(silent.map(lastWordsOf));
  assert.deepEqual(await small.query("SELECT 1"), [["1"]]);
  const large = whole.query(`SELECT length('${"y".repeat(2 * MB)}')`);
  assert.match(await told, /GATEKEEPER_MEMORY_BUDGET/);
  assert.deepEqual(await large, [[String(2 * MB)]]);
  assert.deepEqual(await small.query("SELECT 2"), [["2"]]);
  assert.ok(peakMiB(querycop) < PEAK_MIB_MAX, `${peakMiB(querycop)} MiB`);
});

e2e("a message that is begun has to be finished in time; who has begun none may be silent for longer", async () => {
  const querycop = await start({ GATEKEEPER_CLIENT_PACKET_TIMEOUT: "1s" });
  const [late, idle] = await logIn(querycop, 2);
  assert.ok(late && idle);
  late.write(longStatement(1000).subarray(0, 500));
  assert.match(await lastWordsOf(late), /GATEKEEPER_CLIENT_PACKET_TIMEOUT/);
  assert.deepEqual(await idle.query("SELECT 1"), [["1"]]);
});
