/** The audit against the server's own log: what ran is recorded, once, in order, before it ran. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { createPool as createMariadbPool } from "mariadb";
import { createPool as createMysql2Pool } from "mysql2/promise";
import { loadAuditKey } from "../../src/audit/audit-key.ts";
import { readAudit } from "../../src/audit/audit-read.ts";
import { verifyAudit, verifyAuditFiles } from "../../src/audit/audit-verify.ts";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { OWN_QUESTION } from "../support/own-question.ts";
import { type AuditLine, type Querycop, runQuerycop, type Settings } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { type GeneralLogEntry, startServer, type TestServer } from "../support/servers.ts";
import { withSmallDisk } from "../support/small-disk.ts";

const servers = new Map<ServerKind, TestServer>();
for (const kind of ["mysql", "mariadb"] as const) servers.set(kind, await startServer({ kind }));
afterEach(endStage);
after(async () => {
  for (const server of servers.values()) await server.stop();
});

async function start(server: TestServer, settings: Settings = {}): Promise<Querycop> {
  return await startStaged({
    ...plaintextBackend(server),
    GATEKEEPER_LOG_LEVEL: "info",
    ...settings,
  });
}

async function logIn(server: TestServer, port: number): Promise<RawClient> {
  const raw = await RawClient.connect("127.0.0.1", port);
  const account = server.accounts["admin"];
  await raw.login({ user: "admin", password: account?.password ?? "", database: "appdb" });
  return raw;
}

/** 80 of the steps are one statement, 20 are two with the query that marks a pipeline's end. */
const STATEMENTS_PER_CLIENT = 140;

/** Statements of all kinds, each of which the server's log can tell from every other. */
async function work(raw: RawClient, client: number): Promise<void> {
  for (let step = 0; step < 100; step += 1) {
    const mark = `/* client ${client} step ${step} */`;
    switch (step % 5) {
      case 0:
        await raw.query(`SELECT ${step} AS s ${mark}`);
        break;
      case 1:
        await raw.query(`SELECT * FROM no_such_table ${mark}`);
        break;
      case 2:
        await raw.query(`SELECT 'line\nbreak', 'größe 😀' ${mark}`);
        break;
      case 3:
        await raw.query(`SELECT n FROM numbers WHERE n <= ${step} ${mark}`);
        break;
      default:
        await raw.pipeline([
          { command: 0x03, body: `SET @v = ${step} ${mark}` },
          { command: 0x16, body: `SELECT ${step} + 1 ${mark}` },
        ]);
    }
  }
}

function ranOn(server: TestServer, from: number, sql: string): number {
  return server
    .generalLog()
    .slice(from)
    .filter(({ argument }) => argument === sql).length;
}

async function stopInOrder(querycop: Querycop): Promise<void> {
  querycop.signal("SIGTERM");
  assert.equal(await querycop.exited, 0);
}

const CLIENTS = 8;
/** Kills per server and durability: 16 together, or 200 with QUERYCOP_TEST_SCALE=full. */
const ROUNDS = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 50 : 4;

/** Kills a querycop at some moment of its clients' work; resolves with what the server ran of it, by connection. */
async function killAtWork(server: TestServer, settings: Settings): Promise<Map<number, GeneralLogEntry[]>> {
  const querycop = await start(server, settings);
  const from = server.generalLog().length;
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => logIn(server, querycop.port)));
  const threads = new Set(clients.map(({ greeting }) => greeting?.connectionId));
  const working = clients.map((raw, client) => work(raw, client).catch(() => undefined));
  const moment = 30 + Math.floor(Math.random() * 500);
  await eventually("they are at work", () => server.generalLog().length - from > moment, 60_000);
  querycop.signal("SIGKILL");
  await querycop.exited;
  await Promise.all(working);
  await eventually("the server has noticed", async () => {
    const rows = await server.rootQuery("SELECT id FROM information_schema.processlist");
    return rows.every(([id]) => !threads.has(Number(id)));
  });
  return new Map([...ranBy(server, from)].filter(([threadId]) => threads.has(threadId)));
}

/** Which general log commands carry a statement. */
const STATEMENTS = new Set(["Query", "Prepare"]);

function ranBy(server: TestServer, from: number): Map<number, GeneralLogEntry[]> {
  const byThread = new Map<number, GeneralLogEntry[]>();
  for (const entry of server.generalLog().slice(from)) {
    if (!STATEMENTS.has(entry.command) || entry.argument.startsWith(OWN_QUESTION)) continue;
    byThread.set(entry.threadId, [...(byThread.get(entry.threadId) ?? []), entry]);
  }
  return byThread;
}

interface SessionFields {
  readonly id: string;
  readonly backendConnectionId: number;
}

const sessionOf = (line: AuditLine): SessionFields => line["session"] as SessionFields;

function intentsOf(lines: readonly AuditLine[], threadId: number): AuditLine[] {
  return lines.filter((line) => line.type === "statement-intent" && sessionOf(line).backendConnectionId === threadId);
}

e2e("statements as sent can be read with the sealing key's other half alone, and passwords with none", async () => {
  const server = servers.get("mysql") as TestServer;
  const folder = mkdtempSync(join(tmpdir(), "querycop-sealed-"));
  try {
    const keys = generateKeyPairSync("x25519");
    const publicFile = join(folder, "reading.pub");
    const privateFile = join(folder, "reading.key");
    writeFileSync(publicFile, keys.publicKey.export({ type: "spki", format: "pem" }));
    writeFileSync(privateFile, keys.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const querycop = await start(server, { GATEKEEPER_AUDIT_SEAL_KEY_FILE: publicFile });
    const raw = await logIn(server, querycop.port);
    const sent = [
      "SELECT 'open sesame'",
      "SET PASSWORD FOR 'nobody' = 'hunter2'",
      "SELECT AES_ENCRYPT('hunter2', 'k')",
    ];
    for (const sql of sent) await raw.query(sql);
    raw.quit();
    const path = join(querycop.folder, "audit.ndjson");
    await eventually("the session has ended", () => querycop.audit().some(({ type }) => type === "disconnect"));
    assert.ok(!querycop.auditText().includes("sesame") && !querycop.auditText().includes("hunter2"));
    const exported = await runQuerycop(["audit", "export", path, "--decrypt-key-file", privateFile]);
    const texts = exported.stdout.split("\n").flatMap((line) => (line.includes("rawText") ? [JSON.parse(line)] : []));
    assert.deepEqual(
      texts.map((record: { rawText: string }) => record.rawText),
      ["SELECT 'open sesame'"],
    );
    assert.ok(!exported.stdout.includes("hunter2"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

interface PoolOfOne {
  readonly name: string;
  readonly threadId: number;
  /** The id of the connection that the pool uses. */
  ask(): Promise<number>;
  end(): Promise<void>;
}

/** Pools that throw a connection away whose server says that it became a reader, each with its one connection. */
async function poolsOfOne(server: TestServer, port: number): Promise<PoolOfOne[]> {
  const password = server.accounts["admin"]?.password ?? "";
  const options = { host: "127.0.0.1", port, user: "admin", password, connectionLimit: 1 };
  const mysql2 = createMysql2Pool(options);
  const mariadb = createMariadbPool({ ...options, ssl: false });
  const sql = "SELECT CONNECTION_ID() AS id";
  const asks = {
    mysql2: async () => Number(((await mysql2.query(sql))[0] as { id: number }[])[0]?.id),
    mariadb: async () => Number((await mariadb.query(sql))[0].id),
  };
  return [
    { name: "mysql2", ask: asks.mysql2, threadId: await asks.mysql2(), end: () => mysql2.end() },
    { name: "mariadb", ask: asks.mariadb, threadId: await asks.mariadb(), end: () => mariadb.end() },
  ];
}

describe("an audit log that cannot be written", () => {
  const server = servers.get("mariadb") as TestServer;

  /** What the client is told of a statement: "ran", or the error's number and text. */
  const ask = async (raw: RawClient, sql: string): Promise<string> => {
    const [first] = await raw.query(sql);
    const isError = first?.payload[0] === 0xff;
    return isError ? `${first.payload.readUInt16LE(1)} ${first.payload.toString("utf8", 9)}` : "ran";
  };

  e2e("refuses statements and connections on a full disk, and resumes alone when there is room", async () => {
    await withSmallDisk(async (disk) => {
      const path = join(disk.folder, "audit.ndjson");
      const querycop = await start(server, { GATEKEEPER_AUDIT_FILE: path });
      const raw = await logIn(server, querycop.port);
      assert.equal(await ask(raw, "SELECT 'before'"), "ran");
      const pools = await poolsOfOne(server, querycop.port);
      disk.fill();
      const from = server.generalLog().length;
      let refusal = "ran";
      let passed = -1;
      for (; refusal === "ran" && passed < 100; passed += 1) refusal = await ask(raw, "SELECT 'on the full disk'");
      assert.match(refusal, /^3164 querycop: the audit log cannot record this statement, so it was not sent/);
      await assert.rejects(logIn(server, querycop.port), /3164|audit/);
      assert.equal(ranOn(server, from, "SELECT 'on the full disk'"), passed, "what was refused did not run");
      for (const { ask: asked } of pools) await assert.rejects(asked(), { errno: 3164 });
      disk.makeRoom();
      // The reserve is tried anew once a second.
      await eventually("statements run again", async () => (await ask(raw, "SELECT 'with room'")) === "ran");
      for (const { name, ask: asked, threadId } of pools) assert.equal(await asked(), threadId, `${name} kept it`);
      for (const { end } of pools) await end();
      const late = await logIn(server, querycop.port);
      assert.equal(await ask(late, "SELECT 'late'"), "ran");
      raw.quit();
      late.quit();
      await stopInOrder(querycop);
      const { problems, gaps } = await verifyAudit(path);
      assert.deepEqual(problems, []);
      assert.ok(gaps.some(({ lost }) => lost > 0));
    }, "16m");
  });

  e2e("does not start on a disk that is read-only", async () => {
    await withSmallDisk(async (disk) => {
      await disk.remount("ro");
      const { code, stderr } = await runQuerycop(["serve"], {
        ...plaintextBackend(server),
        GATEKEEPER_LISTEN_PORT: "0",
        GATEKEEPER_AUDIT_FILE: join(disk.folder, "audit.ndjson"),
      });
      assert.notEqual(code, 0);
      assert.match(stderr, /GATEKEEPER_AUDIT_FILE.*(?:EROFS|read-only)/is);
    });
  });

  e2e("records go on over a renamed and a deleted file, and none is missing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "querycop-moved-"));
    try {
      const path = join(folder, "audit.ndjson");
      const querycop = await start(server, { GATEKEEPER_AUDIT_FILE: path });
      const raw = await logIn(server, querycop.port);
      assert.equal(await ask(raw, "SELECT 1"), "ran");
      renameSync(path, join(folder, "audit.ndjson.1"));
      querycop.signal("SIGHUP");
      await eventually("a new file is there", () => existsSync(path));
      assert.equal(await ask(raw, "SELECT 2"), "ran");
      unlinkSync(path);
      await eventually("it is noticed", async () => {
        assert.equal(await ask(raw, "SELECT 3"), "ran");
        return existsSync(path);
      });
      raw.quit();
      await stopInOrder(querycop);
      const names = readdirSync(folder).filter((name) => name.includes(".ndjson") && !/\.(?:key|head)$/.test(name));
      const { problems, gaps, intents } = await verifyAuditFiles(names.map((name) => join(folder, name)));
      assert.deepEqual(problems, []);
      assert.deepEqual(
        gaps.map(({ reason }) => reason),
        ["deleted"],
      );
      assert.equal(intents.unknown, 0);
      assert.ok(intents.intents >= 3);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

for (const [kind, server] of servers) {
  describe(`audit of statements to ${kind}`, () => {
    e2e("has exactly one intent and one outcome for each statement the server saw, in the same order", async () => {
      const querycop = await start(server);
      const from = server.generalLog().length;
      const clients = await Promise.all(Array.from({ length: 10 }, () => logIn(server, querycop.port)));
      await Promise.all(clients.map(work));
      for (const raw of clients) raw.quit();
      const done = (): AuditLine[] => querycop.audit().filter(({ type }) => type === "disconnect");
      await eventually("all have left", () => done().length === clients.length);

      const audit = querycop.audit();
      const key = loadAuditKey(`${querycop.folder}/audit.ndjson.key`);
      const ran = ranBy(server, from);
      let compared = 0;
      for (const { greeting } of clients) {
        const threadId = greeting?.connectionId ?? 0;
        const intents = intentsOf(audit, threadId);
        const hashes = (ran.get(threadId) ?? []).map(({ argument }) => key.hashText(Buffer.from(argument)));
        assert.deepEqual(
          intents.map((intent) => intent["textHash"]),
          hashes,
        );
        const ordinals = intents.map((intent) => intent["ordinal"]);
        const outcomes = audit.filter(
          (line) => line.type === "statement-outcome" && sessionOf(line).backendConnectionId === threadId,
        );
        assert.deepEqual(
          outcomes.map((outcome) => outcome["ordinal"]),
          ordinals,
        );
        compared += intents.length;
      }
      assert.equal(compared, clients.length * STATEMENTS_PER_CLIENT);
    });

    for (const durability of ["kernel", "durable"]) {
      e2e(
        `(${durability}) has every statement that ran exactly once, killed at ${ROUNDS} random points`,
        async () => {
          const folder = mkdtempSync(join(tmpdir(), "querycop-kills-"));
          try {
            const path = join(folder, "audit.ndjson");
            const ran = new Map<number, readonly string[]>();
            for (let round = 0; round < ROUNDS; round += 1) {
              const entries = await killAtWork(server, {
                GATEKEEPER_AUDIT_FILE: path,
                GATEKEEPER_AUDIT_DURABILITY: durability,
              });
              const key = loadAuditKey(`${path}.key`);
              const hashOf = ({ argument }: GeneralLogEntry): string => key.hashText(Buffer.from(argument));
              for (const [threadId, ofThread] of entries) ran.set(threadId, ofThread.map(hashOf));
            }
            // The last restart heals what the last kill left behind.
            await (await start(server, { GATEKEEPER_AUDIT_FILE: path })).stop();
            const { problems, runs } = await verifyAudit(path);
            assert.deepEqual(problems, []);
            assert.equal(runs.length, ROUNDS + 1);
            const recorded = new Map<number, string[]>();
            for await (const record of readAudit(path, { types: ["statement-intent"] })) {
              const { backendConnectionId } = record["session"] as SessionFields;
              recorded.set(backendConnectionId, [
                ...(recorded.get(backendConnectionId) ?? []),
                String(record["textHash"]),
              ]);
            }
            const counts = { ran: 0, recorded: 0 };
            for (const [threadId, hashes] of ran) {
              const intents = recorded.get(threadId) ?? [];
              assert.deepEqual(intents.slice(0, hashes.length), hashes, "each once and in order");
              assert.ok(intents.length <= hashes.length + 1, "beyond that only what was about to be sent");
              counts.ran += hashes.length;
              counts.recorded += intents.length;
            }
            assert.ok(counts.ran > ROUNDS * 20, `${counts.ran} statements ran before the kills`);
            console.log(`${kind} ${durability}: ${ROUNDS} kills, ${counts.ran} statements, ${counts.recorded} intents`);
          } finally {
            rmSync(folder, { recursive: true, force: true });
          }
        },
        ROUNDS * 30_000,
      );
    }
  });
}
