/**
 * Damaged bytes from clients and from the server, against the executable: it neither ends nor hangs, calls nothing an
 * internal error, and whatever the server ran has its record.
 *
 *   QUERYCOP_TEST_SEED    which damage (the seed of a failed run is in its message)
 *   QUERYCOP_TEST_SCALE   "full" for 20,000 connections and another seed each time, instead of 800 and seed 1
 */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { below, chosen, damaged, type Random } from "../support/damage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { damagingRelay, inParallel, intentsByConnection } from "../support/fuzz.ts";
import { OWN_QUESTION } from "../support/own-question.ts";
import { type Querycop, startQuerycop } from "../support/querycop.ts";
import { randomFrom } from "../support/random.ts";
import { CAPABILITY, RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const IS_FULL = process.env["QUERYCOP_TEST_SCALE"] === "full";
const SEED = Number(process.env["QUERYCOP_TEST_SEED"] ?? (IS_FULL ? Date.now() % 1_000_000 : 1));
const CONNECTIONS = IS_FULL ? 20_000 : 800;
const AT_ONCE = { count: CONNECTIONS, together: 8, seed: SEED };
const PATIENCE_MS = 15;
const DAMAGE_SHARE = 0.15;

const server = await startServer({ kind: "mariadb" });
after(() => server.stop());

function packet(payload: Buffer, sequenceId = 0): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequenceId;
  return Buffer.concat([header, payload]);
}

const command = (byte: number, body: string | Buffer = ""): Buffer =>
  packet(Buffer.concat([Buffer.from([byte]), Buffer.from(body)]));

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");

/** The server's log has a line for each of several statements in one text; a session that may send no such text has one. */
const withoutCapabilities = CAPABILITY.MULTI_STATEMENTS;

/** Well-formed exchanges of many kinds; the statement id that a PREPARE gets on a new connection is 1. */
const EXCHANGES: readonly Buffer[] = [
  command(0x03, "SELECT 1, 'a', NULL /* fuzz */"),
  command(0x03, "INSERT INTO appdb.numbers (n) VALUES (1), (2) /*! ON DUPLICATE KEY UPDATE n = n */"),
  command(0x03, "SELECT 1; SELECT n FROM appdb.numbers WHERE n < 5; DELETE FROM appdb.numbers WHERE n = -1"),
  command(0x03, "SET NAMES gbk"),
  command(0x03, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"),
  command(0x03, "LOAD DATA LOCAL INFILE 'x.csv' INTO TABLE appdb.numbers"),
  command(0x03, "SELECT @a := 1"),
  command(0x16, "SELECT n FROM appdb.numbers WHERE n = ? AND n < ?"),
  command(0x17, bytes("01000000 00 01000000 00 01 0300 0300 05000000 07000000")),
  command(0x17, bytes("01000000 01 01000000 00 01 0800 fe00 0500000000000000 03 616263")),
  command(0x17, bytes("ffffffff 00 01000000 03 01 0300 0300")),
  command(0x18, bytes("01000000 0000 6162636465")),
  command(0x1a, bytes("01000000")),
  command(0x1c, bytes("01000000 0a000000")),
  command(0x19, bytes("01000000")),
  command(0xfa, bytes("01000000 8000 0300 00 01000000")),
  command(0x02, "appdb"),
  command(0x04, "numbers\0%"),
  command(0x09),
  command(0x0e),
  command(0x0c, bytes("01000000")),
  command(0x1f),
  command(0x0d),
  command(0x12, bytes("00000000 0000 01000000")),
  command(0x11, "admin\0\0appdb\0"),
];

function stream(random: Random): Buffer {
  const parts = Array.from({ length: 1 + below(random, 6) }, () => chosen(random, EXCHANGES));
  let whole: Buffer = Buffer.concat(parts);
  for (let count = below(random, 4); count > 0 && whole.length > 5; count -= 1) whole = damaged(random, whole);
  return whole;
}

const password = server.account("admin").password;

/** A login whose own bytes are damaged, with everything behind it. */
function loginStream(random: Random): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(chosen(random, [0x018fa28d, 0x0000a28d, 0xffffffff, 0x00000200, 0x1fffffff]), 0);
  head.writeUInt32LE(0x40000000, 4);
  head[8] = below(random, 256);
  const rest = Buffer.concat([Buffer.from("admin\0\x14"), Buffer.alloc(20, 7), Buffer.from("mysql_native_password\0")]);
  const login = packet(Buffer.concat([head, rest]), 1);
  return damaged(random, Buffer.concat([login, stream(random)]));
}

/** Sends damaged bytes in pieces, and waits for the connection to end. */
async function attack(random: Random, querycop: Querycop): Promise<void> {
  const raw = await RawClient.connect(querycop.host, querycop.port);
  const isLoggedIn = random() < 0.8;
  if (isLoggedIn) await raw.login({ user: "admin", password, database: "appdb", withoutCapabilities });
  else await raw.readGreeting();
  let rest = isLoggedIn ? stream(random) : loginStream(random);
  while (rest.length > 0) {
    const piece = rest.subarray(0, 1 + below(random, rest.length));
    raw.write(piece);
    rest = rest.subarray(piece.length);
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
  }
  // Some stay for the answers; the others are gone at once, and their statements with them.
  if (random() < 0.7) await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  raw.end();
  // Whatever it answers, it must come to an end once this side has said that nothing more follows.
  while (!raw.isAtEnd) await raw.readBytes(1).catch(() => undefined);
}

/** Logs in and asks; the answers may be anything. */
async function ask(random: Random, querycop: Querycop): Promise<void> {
  const raw = await RawClient.connect(querycop.host, querycop.port);
  const asking = (async (): Promise<void> => {
    await raw.login({ user: "admin", password, database: "appdb", withoutCapabilities });
    for (let count = 1 + below(random, 5); count > 0; count -= 1) raw.write(chosen(random, EXCHANGES));
  })().catch(() => undefined);
  await Promise.race([asking, new Promise((resolve) => setTimeout(resolve, 4 * PATIENCE_MS))]);
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  // Not a FIN: behind that it would still be owed the rest of the answer, and the relay may have cut that rest away.
  raw.reset();
  await asking;
}

/** A sound connection works, all others have ended, and nothing was called an internal error. */
async function checkHealth(querycop: Querycop): Promise<void> {
  await eventually("a sound connection works", async () => {
    const healthy = await RawClient.connect(querycop.host, querycop.port);
    try {
      await healthy.login({ user: "admin", password });
      return (await healthy.query("SELECT 1")).length === 4;
    } catch {
      return false;
    } finally {
      healthy.end();
    }
  });
  const ended = (): number => querycop.audit().filter(({ type }) => type === "disconnect").length;
  await eventually("every session has ended", () => ended() >= CONNECTIONS + 1);
  const lines = querycop.logText().split("\n");
  const internal = lines.filter((line) => line.includes("QC_INTERNAL") || line.includes('"level":"error"'));
  assert.deepEqual(internal.slice(0, 3), [], `seed ${SEED}`);
}

/** `loginTimeout`: so long a server is waited for that says half a packet. */
const startBefore = (port: number, loginTimeout: string): Promise<Querycop> =>
  startQuerycop({
    GATEKEEPER_BACKEND_LOGIN_TIMEOUT: loginTimeout,
    ...plaintextBackend({ host: server.host, port }),
    GATEKEEPER_LOG_LEVEL: "info",
  });

describe(`damaged bytes, seed ${SEED}`, () => {
  e2e("from clients neither end nor hang querycop, and nothing reaches the server unrecorded", async () => {
    const from = server.generalLog().length;
    // This server says all that it has begun, if slowly on a busy machine.
    const querycop = await startBefore(server.port, "5s");
    try {
      await inParallel(AT_ONCE, (random) => attack(random, querycop));
      await checkHealth(querycop);
      const intents = intentsByConnection(querycop.audit());
      const ran = new Map<number, number>();
      for (const { threadId, command: verb, argument } of server.generalLog().slice(from)) {
        if (!["Query", "Prepare", "Execute"].includes(verb) || argument.startsWith(OWN_QUESTION)) continue;
        ran.set(threadId, (ran.get(threadId) ?? 0) + 1);
      }
      assert.ok(ran.size > CONNECTIONS / 10, `${ran.size} connections got a statement through`);
      const unrecorded = [...ran].filter(([threadId, count]) => (intents.get(threadId) ?? 0) < count);
      assert.deepEqual(unrecorded, [], `seed ${SEED}: connections of the server with more statements than records`);
    } finally {
      await querycop.stop();
    }
  });

  e2e("from the server neither end nor hang querycop", async () => {
    const random = randomFrom(SEED);
    const isDamaged = (chunk: Buffer): boolean => chunk.length > 5 && random() < DAMAGE_SHARE;
    const relay = await damagingRelay(server, (chunk) => (isDamaged(chunk) ? damaged(random, chunk) : chunk));
    const querycop = await startBefore(relay.port, "200ms");
    try {
      await inParallel(AT_ONCE, (random) => ask(random, querycop));
      await checkHealth(querycop);
      const used = new Set(querycop.audit().map(({ type }) => type));
      assert.ok(used.has("statement-outcome") && used.has("refuse"), [...used].join(" "));
    } finally {
      await querycop.stop();
      relay.close();
    }
  });
});
