/** The data guard through the executable: real servers are stopped by KILL QUERY, or read dry, and the session goes on. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, describe } from "node:test";
import { awsEnvironment, iamSettings } from "../support/aws-token.ts";
import { clusterBackend, plaintextBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop, Settings } from "../support/querycop.ts";
import { CAPABILITY, type RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const certificates = await makeCertificates();
const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
const mysql = await startServer({ kind: "mysql", certificate });
const mariadb = await startServer({ kind: "mariadb" });
mysql.setIam(iamSettings(CLUSTER_HOST, mysql.port));

afterEach(endStage);
after(async () => {
  await Promise.all([mysql.stop(), mariadb.stop()]);
  certificates.remove();
});

async function start(settings: Settings): Promise<Querycop> {
  return await startStaged({ GATEKEEPER_BACKEND_HOST: "127.0.0.1", ...settings });
}

function framed(payload: Buffer, sequenceId: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head[3] = sequenceId & 0xff;
  return Buffer.concat([head, payload]);
}

async function connect(querycop: Querycop, user: string, password: string, moreCapabilities = 0): Promise<RawClient> {
  const raw = await connectStaged(querycop.port);
  await raw.login({ user, password, database: "appdb", moreCapabilities });
  return raw;
}

/** Ninety thousand rows of a thousand bytes; the join makes more than that, should nobody stop it. */
const BIG = "SELECT REPEAT('x', 1000) FROM numbers a JOIN numbers b";
const ENDLESS = `${BIG} JOIN numbers c`;

async function assertCut(raw: RawClient, sql: string, rowBytes = 1_100): Promise<void> {
  raw.writeCommand(0x03, sql);
  let bytes = 0;
  let sequenceId = 0;
  for (;;) {
    const packet = await raw.readPacket();
    sequenceId = (sequenceId + 1) & 0xff;
    assert.equal(packet.sequenceId, sequenceId);
    if (packet.payload[0] === 0xff) {
      const text = packet.payload.subarray(3).toString();
      assert.match(text, /^#42000querycop: data guard: response exceeds 5 MB \(GATEKEEPER_MAX_RESPONSE_MB\)/);
      break;
    }
    bytes += packet.payload.length + 4;
  }
  assert.ok(bytes <= 5_000_000 && bytes > 5_000_000 - rowBytes, `${bytes} bytes`);
  const answer = await raw.query("SELECT 'still here'");
  assert.ok(answer.some(({ payload }) => payload.includes("still here")));
}

async function assertRecorded(querycop: Querycop): Promise<void> {
  const outcome = await eventually("the cut is on record", () =>
    querycop.audit().find((line) => line["outcome"] === "cut-off"),
  );
  assert.equal(outcome["limit"], "max_response_mb");
}

function tokenSettings(): Settings {
  return {
    ...awsEnvironment(),
    ...clusterBackend(mysql, certificates),
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  };
}

const LIMIT = { GATEKEEPER_MAX_RESPONSE_MB: "5" };

describe("the data guard", () => {
  e2e("stops a statement by KILL QUERY when it can log in with a token", async () => {
    const querycop = await start({ ...tokenSettings(), ...LIMIT });
    const raw = await connect(querycop, "iam_user", "");
    await assertCut(raw, ENDLESS);
    const log = mysql.generalLog();
    const threadId = log.find(({ argument }) => argument === ENDLESS)?.threadId;
    const kill = log.find(({ argument }) => argument === `KILL QUERY ${threadId}`);
    assert.ok(kill !== undefined && kill.threadId !== threadId);
    await assertRecorded(querycop);
    const own = querycop.audit().find(({ type }) => type === "own-statement");
    assert.equal(own?.["text"], `KILL QUERY ${threadId}`);
    const running = "SELECT id, command, IFNULL(info, '-') FROM information_schema.processlist WHERE user='iam_user'";
    await eventually("only the session is left, and its statement is gone", async () => {
      const processes = await mysql.rootQuery(running);
      return processes.length === 1 && processes[0]?.join() === `${threadId},Sleep,-`;
    });
    const [aborted] = await mysql.rootQuery("SHOW GLOBAL STATUS LIKE 'Aborted_clients'");
    assert.equal(aborted?.[1], "0", "the side login leaves as a client does");
    await assertCut(raw, ENDLESS);
  });

  e2e("terminate: stops the statement and ends the connection", async () => {
    const querycop = await start({ ...tokenSettings(), ...LIMIT, GATEKEEPER_DATA_GUARD_ACTION: "terminate" });
    const raw = await connect(querycop, "iam_user", "");
    raw.writeCommand(0x03, `${ENDLESS} -- terminate`);
    let last = await raw.readPacket();
    while (last.payload[0] !== 0xff) last = await raw.readPacket();
    assert.match(last.payload.toString(), /exceeds 5 MB .*\(reconnect to continue\)/);
    await eventually("nothing of the session is left on the server", async () => {
      const left = await mysql.rootQuery("SELECT id FROM information_schema.processlist WHERE user='iam_user'");
      return left.length === 0;
    });
    await assert.rejects(async () => await raw.query("SELECT 1"));
    assert.ok(querycop.audit().some(({ type, action }) => type === "data-guard" && action === "terminated"));
  });

  e2e("keeps its memory while 900 MB that nobody gets are thrown away", async () => {
    const querycop = await start({
      ...LIMIT,
      ...plaintextBackend(mysql),
    });
    const account = mysql.account("admin");
    const raw = await connect(querycop, account.user, account.password);
    await assertCut(raw, BIG);
    const kilobytes = (name: string): number => {
      const status = readFileSync(`/proc/${querycop.pid()}/status`, "utf8");
      return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
    };
    const before = kilobytes("VmRSS");
    await assertCut(raw, "SELECT REPEAT('x', 10000) FROM numbers a JOIN numbers b", 10_100);
    const grown = kilobytes("VmHWM") - before;
    assert.ok(grown < 64 * 1024, `grew by ${grown} kB`);
  });

  for (const server of [mysql, mariadb]) {
    e2e(`reads ${server.kind} dry when it cannot log in`, async () => {
      const querycop = await start({
        ...LIMIT,
        ...plaintextBackend(server),
      });
      const account = server.account("admin");
      const raw = await connect(querycop, account.user, account.password);
      await assertCut(raw, BIG);
      await assertRecorded(querycop);
      assert.ok(server.generalLog().every(({ argument }) => server === mysql || !argument.startsWith("KILL")));
    });

    e2e(`${server.kind} loads nothing of a local file above the limit`, async () => {
      const querycop = await start({
        GATEKEEPER_LOCAL_INFILE: "on",
        GATEKEEPER_LOCAL_INFILE_MAX_MB: "1",
        ...plaintextBackend(server),
      });
      const account = server.account("admin");
      await server.rootQuery("SET GLOBAL local_infile = ON; CREATE TABLE appdb.loaded (line TEXT)");
      const load = async (lines: number): Promise<{ text: string; raw: RawClient }> => {
        const raw = await connect(querycop, account.user, account.password, CAPABILITY.LOCAL_FILES);
        raw.writeCommand(0x03, "LOAD DATA LOCAL INFILE 'some.txt' INTO TABLE loaded");
        const request = await raw.readPacket();
        assert.equal(request.payload.toString(), "\ufffdsome.txt");
        const piece = Buffer.from(`${"x".repeat(99)}\n`.repeat(1_000));
        let sequenceId = 2;
        for (let sent = 0; sent < lines; sent += 1_000) raw.write(framed(piece, sequenceId++));
        raw.write(framed(Buffer.alloc(0), sequenceId));
        const answer = await raw.readPacket();
        assert.equal(answer.sequenceId, (sequenceId + 1) & 0xff);
        return { text: answer.payload.toString("latin1"), raw };
      };
      assert.equal((await load(10_000)).text.charCodeAt(0), 0, "exactly 1 MB");
      const refused = await load(30_000);
      assert.match(refused.text, /exceeds 1 MB \(GATEKEEPER_LOCAL_INFILE_MAX_MB\), nothing of it was loaded/);
      await refused.raw.readEnd();
      await eventually("the server has given the statement up", async () => {
        const running = await server.rootQuery("SELECT id FROM information_schema.processlist WHERE user='admin'");
        return running.length === 1;
      });
      assert.deepEqual(await server.rootQuery("SELECT COUNT(*) FROM appdb.loaded"), [["10000"]]);
      const files = querycop.audit().filter(({ type }) => type === "local-infile");
      assert.deepEqual(
        files.map(({ action, bytes, fileName }) => [action, bytes, fileName]),
        [
          ["sent", 1_000_000, "some.txt"],
          ["cut-off", 1_000_000, "some.txt"],
        ],
      );
      await server.rootQuery("DROP TABLE appdb.loaded");
    });
  }
});
