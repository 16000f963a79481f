/**
 * Damaged bytes from PostgreSQL's clients and from the server, against the executable: it neither ends nor hangs, calls nothing
 * an internal error, and whatever the server ran has its record. The same for a storm of cancels.
 *
 *   QUERYCOP_TEST_SEED    which damage (the seed of a failed run is in its message)
 *   QUERYCOP_TEST_SCALE   "full" for 60,000 connections of each kind and another seed each time, instead of 200 and seed 1
 */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, describe } from "node:test";
import { encodeFrontendMessage, type FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { encodeCancelRequest, encodeSslRequest, encodeStartupMessage } from "../../src/postgres/startup.ts";
import { below, chosen, damaged, type Random } from "../support/damage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { damagingRelay, inParallel, intentsByConnection } from "../support/fuzz.ts";
import { PostgresClient, PostgresError } from "../support/postgres-client.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { type Querycop, startQuerycop } from "../support/querycop.ts";
import { randomFrom } from "../support/random.ts";

const IS_FULL = process.env["QUERYCOP_TEST_SCALE"] === "full";
const SEED = Number(process.env["QUERYCOP_TEST_SEED"] ?? (IS_FULL ? Date.now() % 1_000_000 : 1));
const CONNECTIONS = Number(process.env["QUERYCOP_TEST_CONNECTIONS"] ?? (IS_FULL ? 60_000 : 200));
const CANCELS = IS_FULL ? 20_000 : 150;
const TOGETHER = 8;
const AT_ONCE = { together: TOGETHER, seed: SEED };
/** A login and its answer to a statement have more than so many bytes; who waits for them waits no longer than this. */
const ANSWERED_BYTES = 450;
const PATIENCE_MS = 3_000;
/** What begins with damage may wait for ever. */
const DAMAGED_LOGIN_MS = 30;
const DAMAGE_SHARE = 0.15;
const TIMEOUT_MS = 60 * 60_000;
const END_WAIT_MS = 60_000;

let server: PostgresServer;
after(() => server?.stop());

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const query = (sql: string): FrontendMessage => ({ name: "Query", sql: text(sql) });
const parse = (statement: string, sql: string): FrontendMessage => ({
  name: "Parse",
  statement,
  sql: text(sql),
  parameterTypes: [],
});
const bind = (portal: string, statement: string, ...values: readonly string[]): FrontendMessage => ({
  name: "Bind",
  portal,
  statement,
  parameterFormats: [],
  values: values.map(text),
  resultFormats: [],
});
const execute = (portal: string, rowsMax = 0): FrontendMessage => ({ name: "Execute", portal, rowsMax });
const sync: FrontendMessage = { name: "Sync" };

/** Well-formed exchanges of many kinds. */
const EXCHANGES: readonly Buffer[] = (
  [
    [query("SELECT 1, 'a', NULL /* fuzz */")],
    [query("INSERT INTO kept VALUES (1), (2); SELECT n FROM kept WHERE n < 5; DELETE FROM kept WHERE n = -1")],
    [query("BEGIN"), query("SELECT 1/0"), query("COMMIT")],
    [query("COPY kept FROM STDIN"), { name: "CopyData", data: text("3\n4\n") }, { name: "CopyDone" }],
    [query("COPY (SELECT * FROM generate_series(1, 50)) TO STDOUT")],
    [query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"), query("FETCH ALL FROM c"), query("CLOSE ALL")],
    [query("PREPARE p AS SELECT $1::int"), query("EXECUTE p(1)"), query("DEALLOCATE p")],
    [query("SET search_path = pg_catalog, public"), query("SET standard_conforming_strings = off")],
    [query("SELECT query_to_xml('SELECT 1', true, true, '')"), query("SELECT set_config('role', 'none', false)")],
    [parse("", "SELECT $1::text, n FROM kept"), bind("", "", "x"), { name: "Describe", target: "portal", of: "" }],
    [parse("s", "SELECT n FROM kept WHERE n = $1"), bind("c", "s", "1"), execute("c", 1), execute("c"), sync],
    [bind("", "s", "2"), execute(""), sync, { name: "Close", target: "statement", of: "s" }, sync],
    [parse("", "INSERT INTO kept VALUES (7)"), bind("", ""), execute(""), { name: "Flush" }, sync],
    [{ name: "FunctionCall", functionOid: 1299, argumentFormats: [], values: [], resultFormat: 0 }],
    [{ name: "CopyFail", reason: text("no") }, sync, { name: "Terminate" }],
  ] as readonly (readonly FrontendMessage[])[]
).map((messages) => Buffer.concat(messages.map(encodeFrontendMessage)));

/** The length of a message stands behind its type. */
function damagedMessages(random: Random, stream: Buffer): Buffer {
  if (random() < 0.75) return damaged(random, stream);
  const copy = Buffer.from(stream);
  const lengths = [0, 3, 4, 5, copy.length, 0x10000, 0x3fffffff, 0x40000000, 0x7fffffff, 0xffffffff];
  copy.writeUInt32BE(chosen(random, lengths), 1);
  return copy;
}

function stream(random: Random): Buffer {
  const parts = Array.from({ length: 1 + below(random, 6) }, () => chosen(random, EXCHANGES));
  let whole: Buffer = Buffer.concat(parts);
  for (let count = below(random, 4); count > 0 && whole.length > 5; count -= 1) whole = damagedMessages(random, whole);
  return whole;
}

const startup = Buffer.from(
  encodeStartupMessage({
    minor: 0,
    user: "trust_user",
    database: "postgres",
    settings: new Map([["application_name", "fuzz"]]),
  }),
);

/** A login whose own bytes are damaged, or what stands behind it. */
function damagedLogin(random: Random): Buffer {
  const head = random() < 0.5 ? startup : Buffer.concat([encodeSslRequest(), startup]);
  return damaged(random, Buffer.concat([head, stream(random)]));
}

/** Resolves when something beyond the login has come, when the connection is over, or when it has taken too long. */
function answered(socket: Socket, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    socket.once("close", end);
    socket.on("data", () => {
      if (socket.bytesRead > ANSWERED_BYTES) end();
    });
  });
}

/** Sends bytes in pieces, and waits for the connection to end. */
async function attack(random: Random, querycop: Querycop): Promise<void> {
  const socket = connect({ host: querycop.host, port: querycop.port });
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("close", () => resolve());
  });
  const isSound = random() < 0.8;
  for (let rest = isSound ? Buffer.concat([startup, stream(random)]) : damagedLogin(random); rest.length > 0; ) {
    const piece = rest.subarray(0, 1 + below(random, rest.length));
    socket.write(piece);
    rest = rest.subarray(piece.length);
    if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
  }
  // Some stay for the answers; the others are gone at once, and their statements with them.
  if (random() < 0.7) await answered(socket, isSound ? PATIENCE_MS : DAMAGED_LOGIN_MS);
  if (random() < 0.1) socket.resetAndDestroy();
  // Whatever it answers, it must come to an end once this side has said that nothing more follows.
  else socket.end();
  await ended;
}

/** As log_statement and log_line_prefix have it. A portal that is gone on with is a statement that has run before. */
const RAN = /^(\d+) LOG: {2}(?:statement:|execute (?!fetch from))/gm;

/** Logs in and asks; the answers may be anything. */
async function ask(random: Random, querycop: Querycop): Promise<void> {
  const socket = connect({ host: querycop.host, port: querycop.port });
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  socket.resume();
  const exchanges = Array.from({ length: 1 + below(random, 5) }, () => chosen(random, EXCHANGES));
  socket.write(Buffer.concat([startup, ...exchanges]));
  await answered(socket, PATIENCE_MS);
  // Not a FIN: behind that it would still be owed the rest of the answer, and the relay may have cut that rest away.
  socket.resetAndDestroy();
  await ended;
}

const logIn = (port: number): Promise<PostgresClient> => PostgresClient.logIn({ port, user: "trust_user" });

/** A sound connection works, all others have ended, and nothing was called an internal error. */
async function checkHealth(querycop: Querycop, port: number, sessions: number): Promise<void> {
  await eventually("a sound connection works", async () => {
    const healthy = await logIn(port).catch(() => undefined);
    const rows = await healthy?.query("SELECT 1").catch(() => undefined);
    healthy?.close();
    return rows?.[0]?.[0] === "1";
  });
  const ended = (): number => querycop.audit().filter(({ type }) => type === "disconnect").length;
  await eventually("every session has ended", () => ended() >= sessions, END_WAIT_MS);
  const lines = querycop.logText().split("\n");
  const internal = lines.filter((line) => line.includes("QC_INTERNAL") || line.includes('"level":"error"'));
  assert.deepEqual(internal.slice(0, 3), [], `seed ${SEED}`);
}

const startBefore = (port: number): Promise<Querycop> =>
  startQuerycop({
    GATEKEEPER_BACKEND_ENGINE: "postgresql",
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_PROXY_TLS_MODE: "off",
    GATEKEEPER_BACKEND_LOGIN_TIMEOUT: "10s",
    GATEKEEPER_CLIENT_LEFT_TIMEOUT: "2s",
    GATEKEEPER_LOG_LEVEL: "info",
  });

describe(`damaged bytes of PostgreSQL's, seed ${SEED}`, () => {
  e2e("the server stands, and logs what it runs", async () => {
    server = await startPostgres();
    const owner = await PostgresClient.logIn({ port: server.port, user: "postgres" });
    await owner.query("CREATE TABLE kept (n int); GRANT ALL ON kept TO PUBLIC");
    await owner.query("ALTER SYSTEM SET log_statement = 'all'");
    await owner.query("ALTER SYSTEM SET log_line_prefix = '%p '");
    await owner.query("ALTER SYSTEM SET statement_timeout = '10s'");
    await owner.query("SELECT pg_reload_conf()");
    await eventually("the settings hold", async () => (await owner.query("SHOW log_statement"))[0]?.[0] === "all");
    owner.close();
  });

  e2e(
    "from clients neither end nor hang querycop, and nothing reaches the server unrecorded",
    async () => {
      const from = server.log().length;
      const querycop = await startBefore(server.port);
      try {
        await inParallel({ ...AT_ONCE, count: CONNECTIONS }, (random) => attack(random, querycop));
        await checkHealth(querycop, querycop.port, CONNECTIONS);
        const intents = intentsByConnection(querycop.audit());
        const ran = new Map<number, number>();
        for (const [, id] of server.log().slice(from).matchAll(RAN)) {
          ran.set(Number(id), (ran.get(Number(id)) ?? 0) + 1);
        }
        assert.ok(ran.size > CONNECTIONS / 20, `${ran.size} connections got a statement through`);
        const unrecorded = [...ran].filter(([id, count]) => (intents.get(id) ?? 0) < count);
        assert.deepEqual(unrecorded, [], `seed ${SEED}: processes of the server with more statements than records`);
      } finally {
        await querycop.stop();
      }
    },
    TIMEOUT_MS,
  );

  e2e(
    "from the server neither end nor hang querycop",
    async () => {
      const random = randomFrom(SEED);
      const isDamaged = (chunk: Buffer): boolean => chunk.length > 5 && random() < DAMAGE_SHARE;
      const relay = await damagingRelay(server, (chunk) => (isDamaged(chunk) ? damagedMessages(random, chunk) : chunk));
      const querycop = await startBefore(relay.port);
      try {
        await inParallel({ ...AT_ONCE, count: CONNECTIONS }, (random) => ask(random, querycop));
        await checkHealth(querycop, querycop.port, CONNECTIONS);
        const used = new Set(querycop.audit().map(({ type }) => type));
        assert.ok(used.has("statement-outcome"), [...used].join(" "));
      } finally {
        await querycop.stop();
        relay.close();
      }
    },
    TIMEOUT_MS,
  );

  e2e(
    "a storm of cancels stops the statements of those whose keys they hold, and of nobody else",
    async () => {
      const querycop = await startBefore(server.port);
      const clients = await Promise.all(Array.from({ length: TOGETHER }, () => logIn(querycop.port)));
      try {
        const [aimedAt, others] = [clients.slice(0, TOGETHER / 2), clients.slice(TOGETHER / 2)];
        let isOver = false;
        const stopped = new Map<PostgresClient, number>(clients.map((client) => [client, 0]));
        const busy = async (client: PostgresClient): Promise<void> => {
          while (!isOver) {
            const code = await client.query("SELECT pg_sleep(0.1)").then(() => "", codeOf);
            assert.ok(code === "" || code === "57014", code);
            if (code !== "") stopped.set(client, (stopped.get(client) ?? 0) + 1);
          }
        };
        const running = Promise.all(clients.map(busy));
        await inParallel({ ...AT_ONCE, count: CANCELS }, async (random) => {
          const { keyData } = chosen(random, aimedAt);
          assert.ok(keyData !== undefined);
          const wrong = { ...keyData, secretKey: keyData.secretKey.map((byte) => byte ^ (1 + below(random, 255))) };
          await cancel(querycop.port, random() < 0.3 ? { ...wrong, processId: below(random, 2 ** 31) } : keyData);
        });
        isOver = true;
        await running;
        assert.ok(aimedAt.some((client) => (stopped.get(client) ?? 0) > 0));
        assert.deepEqual(
          others.map((client) => stopped.get(client)),
          others.map(() => 0),
        );
        // A cancel that comes late is for the statement that runs then.
        for (const client of others) assert.deepEqual(await client.query("SELECT 1"), [["1"]]);
        for (const client of clients) client.close();
        await checkHealth(querycop, querycop.port, CANCELS + TOGETHER);
      } finally {
        for (const client of clients) client.close();
        await querycop.stop();
      }
    },
    TIMEOUT_MS,
  );
});

function codeOf(thrown: unknown): string {
  if (thrown instanceof PostgresError) return thrown.fields.code;
  throw thrown;
}

async function cancel(port: number, key: Parameters<typeof encodeCancelRequest>[0]): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(encodeCancelRequest(key));
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}
