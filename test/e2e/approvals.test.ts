/** Approvals through the executable: the proxy, its admin API and its command line, in front of real servers. */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { checkWebhook, signWebhook } from "../../src/base/webhook-signature.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Querycop, runQuerycop, type Settings } from "../support/querycop.ts";
import type { RawClient, WirePacket } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const servers = { mysql: await startServer({ kind: "mysql" }), mariadb: await startServer({ kind: "mariadb" }) };
const KEY = "the-key-of-alice-0123456789";
const folder = mkdtempSync(join(tmpdir(), "querycop-approvals-"));
const inFolder = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};
const keyFile = inFolder("key", `${KEY}\n`);
const approversFile = inFolder("approvers", `alice:${createHash("sha256").update(KEY).digest("hex")}\n`);

afterEach(endStage);
after(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

const HELD = "REPLACE INTO scratch (id, text) VALUES (77, 'held')";

async function start(server: TestServer, approval = "", settings: Settings = {}, more = ""): Promise<Querycop> {
  const policy = `version: 1\ndeny: { statements: [{ match: replace, action: require-approval }] }\napproval: { ${approval} }\n${more}\n`;
  return await startStaged({
    ...plaintextBackend(server),
    GATEKEEPER_POLICY_FILE: inFolder("policy.yaml", policy),
    GATEKEEPER_API_APPROVERS_FILE: approversFile,
    ...settings,
  });
}

async function connect(querycop: Querycop, server: TestServer): Promise<RawClient> {
  const raw = await connectStaged(querycop.port);
  const { user, password } = server.account("admin");
  await raw.login({ user, password, database: "appdb" });
  return raw;
}

async function approvals(querycop: Querycop, ...args: string[]): Promise<string> {
  const port = /\d+$/.exec(String(querycop.logs().find(({ event }) => event === "admin API listening")?.["address"]));
  const target = ["--url", `http://127.0.0.1:${port}`, "--key-file", keyFile];
  const { code, stdout, stderr } = await runQuerycop(["approvals", ...args, ...target]);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function heldId(querycop: Querycop): Promise<string> {
  const held = await eventually("a statement is held", () => querycop.audit().find(({ type }) => type === "hold"));
  return String(held["approvalId"]);
}

/** Rows that the held statement would make. */
async function effects(server: TestServer): Promise<number> {
  const [[count] = []] = await server.rootQuery("SELECT COUNT(*) FROM appdb.scratch WHERE id = 77");
  return Number(count);
}

function messageOf({ payload }: WirePacket): string {
  assert.equal(payload[0], 0xff, payload.toString("latin1"));
  return `${payload.readUInt16LE(1)} ${payload.subarray(3).toString()}`;
}

for (const [kind, server] of Object.entries(servers)) {
  describe(`approvals in front of ${kind}`, () => {
    e2e("are listed, shown and given on the command line, and the statement runs", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      raw.writeCommand(0x03, HELD);
      const id = await heldId(querycop);
      const line = await approvals(querycop, "list");
      assert.match(line, new RegExp(`^${id} pending .*REPLACE INTO .?scratch`));
      assert.match(await approvals(querycop, "show", id), /^writes {10}(?:appdb\.)?scratch$/m);
      assert.equal(await effects(server), 0);
      assert.equal(await approvals(querycop, "approve", id, "--reason", "ticket 7"), `${id} approved by alice\n`);
      assert.equal((await raw.readPacket()).payload[0], 0);
      assert.equal(await effects(server), 1);
      const kinds = ["hold", "approval", "statement-intent", "statement-outcome"];
      const recorded = await eventually("the outcome is on record", () => {
        const lines = querycop.audit().filter(({ type }) => kinds.includes(type));
        return lines.length >= kinds.length ? lines : undefined;
      });
      assert.deepEqual(
        recorded.map(({ type }) => type),
        kinds,
      );
      assert.deepEqual([recorded[2]?.["approvalId"], recorded[2]?.["approver"]], [id, "alice"]);
      assert.equal((await runQuerycop(["audit", "verify", join(querycop.folder, "audit.ndjson")])).code, 0);
    });

    e2e("are denied with a reason that the client reads", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      raw.writeCommand(0x03, HELD);
      const id = await heldId(querycop);
      await approvals(querycop, "deny", id, "--reason", "not on a Friday");
      const message = messageOf(await raw.readPacket());
      assert.equal(message, `1148 #42000querycop: denied by alice: not on a Friday [request ${id}]`);
      assert.equal((await raw.query("SELECT 1")).length, 4);
    });

    e2e("end when the server's wait_timeout closes the connection meanwhile", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      await raw.query("SET SESSION wait_timeout = 1");
      raw.writeCommand(0x03, HELD);
      await raw.readEnd();
    });

    e2e("end with the KILL QUERY that a client sends on Ctrl-C, and the connection goes on", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      raw.writeCommand(0x03, HELD);
      await heldId(querycop);
      const other = await connect(querycop, server);
      assert.equal((await other.query(`KILL QUERY ${raw.greeting?.connectionId}`))[0]?.payload[0], 0);
      assert.match(messageOf(await raw.readPacket()), /^1317 #70100querycop: interrupted/);
      assert.equal((await raw.query("SELECT 1")).length, 4);
    });

    e2e("run prepared statements when they are executed", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      raw.writeCommand(0x16, HELD);
      const { payload } = await raw.readPacket();
      assert.equal(payload[0], 0);
      raw.writeCommand(0x17, Buffer.concat([payload.subarray(1, 5), Buffer.from([0, 1, 0, 0, 0])]));
      const id = await heldId(querycop);
      assert.equal(await effects(server), 0);
      await approvals(querycop, "approve", id);
      assert.equal((await raw.readPacket()).payload[0], 0);
      assert.equal(await effects(server), 1);
    });

    e2e("in immediate mode let the same statement pass once", async () => {
      const querycop = await start(server, "mode: immediate", {}, "allow: { routines: [two_results] }");
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      // What a procedure leaves behind is asked for later, when it matters: here it does.
      await raw.query("CALL two_results()");
      const [refused] = await raw.query(HELD);
      assert.ok(refused !== undefined);
      const id = /\[request (.*)\]$/.exec(messageOf(refused))?.[1] ?? "";
      await approvals(querycop, "approve", id);
      const again = await connect(querycop, server);
      assert.equal((await again.query(HELD))[0]?.payload[0], 0);
      assert.equal(await effects(server), 1);
      assert.equal((await again.query(HELD))[0]?.payload[0], 0xff);
    });

    e2e("are for one execution each, by whichever way it is run, and people see what runs", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      let holds = 0;
      const approved = async (send: () => void, what: string): Promise<void> => {
        send();
        holds++;
        const hold = await eventually(`it is held: ${what}`, () =>
          querycop
            .audit()
            .filter(({ type }) => type === "hold")
            .at(holds - 1),
        );
        const id = String(hold["approvalId"]);
        const shown = await approvals(querycop, "show", id);
        assert.match(shown, /REPLACE INTO .?scratch/, what);
        assert.match(shown, /^writes {10}(?:appdb\.)?scratch$/m, what);
        assert.match(shown, /^kinds? .*\breplace\b/m, what);
        assert.match(String(hold["text"]), /REPLACE INTO .?scratch/, what);
        await approvals(querycop, "approve", id);
        const { payload } = await raw.readPacket();
        assert.equal(payload[0], 0, `${what}: ${payload.toString("latin1")}`);
      };
      const literal = `'${HELD.replaceAll("'", "''")}'`;
      const query = async (sql: string): Promise<void> => await approved(() => raw.writeCommand(0x03, sql), sql);
      const ran = async (what: string): Promise<void> => {
        assert.equal(await effects(server), 1, what);
        await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      };
      await query(`PREPARE p FROM ${literal}`);
      assert.equal(await effects(server), 0, "to prepare is not to run");
      for (const time of ["once", "twice"]) {
        await query("EXECUTE p");
        await ran(`EXECUTE p, ${time}`);
      }
      assert.equal((await raw.query("PREPARE p FROM 'SELECT 1'"))[0]?.payload[0], 0);
      assert.equal((await raw.query("EXECUTE p")).length, 4, "another statement of that name is not held");
      await query(`PREPARE p FROM ${literal}`);
      await query("EXECUTE p");
      await ran("prepared anew");
      assert.equal((await raw.query(`SET @s = ${literal}`))[0]?.payload[0], 0);
      await query("PREPARE q FROM @s");
      await query("EXECUTE q");
      await ran("prepared from a variable");
      if (kind === "mariadb") {
        for (const sql of [`EXECUTE IMMEDIATE ${literal}`, "EXECUTE IMMEDIATE @s", `EXECUTE IMMEDIATE ${literal}`]) {
          assert.equal((await raw.query(`SET @s = ${literal}`))[0]?.payload[0], 0);
          await query(sql);
          await ran(sql);
        }
      }
      raw.writeCommand(0x16, HELD);
      const { payload } = await raw.readPacket();
      const execute = Buffer.concat([payload.subarray(1, 5), Buffer.from([0, 1, 0, 0, 0])]);
      for (const time of ["once", "twice"]) {
        await approved(() => raw.writeCommand(0x17, execute), `a binary execute, ${time}`);
        await ran(`a binary execute, ${time}`);
      }
    });

    e2e("in immediate mode are for one execution of what stood behind the name", async () => {
      const querycop = await start(server, "mode: immediate");
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id IN (77, 78)");
      const requestOf = async (sql: string): Promise<string> =>
        /\[request (.*)\]$/.exec(messageOf((await raw.query(sql))[0] as WirePacket))?.[1] ?? "";
      const approve = async (sql: string): Promise<void> => {
        await approvals(querycop, "approve", await requestOf(sql));
      };
      const prepare = `PREPARE p FROM '${HELD.replaceAll("'", "''")}'`;
      await approve(prepare);
      assert.equal((await raw.query(prepare))[0]?.payload[0], 0);
      await approve("EXECUTE p");
      const other = prepare.replace("77", "78");
      await approve(other);
      assert.equal((await raw.query(other))[0]?.payload[0], 0);
      assert.notEqual(await requestOf("EXECUTE p"), "", "what was approved is another statement");
      await approve(prepare);
      assert.equal((await raw.query(prepare))[0]?.payload[0], 0);
      assert.equal((await raw.query("EXECUTE p"))[0]?.payload[0], 0);
      assert.notEqual(await requestOf("EXECUTE p"), "", "it is used up");
      assert.deepEqual(await server.rootQuery("SELECT id FROM appdb.scratch WHERE id IN (77, 78)"), [["77"]]);
    });

    e2e("end with SIGTERM: the client is told, nothing runs, querycop exits with 0", async () => {
      const querycop = await start(server);
      const raw = await connect(querycop, server);
      await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
      raw.writeCommand(0x03, HELD);
      await heldId(querycop);
      querycop.signal("SIGTERM");
      assert.match(messageOf(await raw.readPacket()), /^1053 #08S01querycop/);
      assert.equal(await querycop.exited, 0);
      assert.equal(await effects(server), 0);
    });
  });
}

e2e("are told to a system that signs, and answered by it for those whom the configuration names", async () => {
  const server = servers.mariadb;
  const secret = Buffer.alloc(32, 11);
  const told: { readonly type: string; readonly verdict: string; readonly data: Record<string, unknown> }[] = [];
  const bridge = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const header = (name: string): string => String(request.headers[`webhook-${name}`]);
      const delivery = { id: header("id"), timestamp: header("timestamp"), signature: header("signature"), body };
      told.push({ ...JSON.parse(body), verdict: checkWebhook([secret], delivery, Date.now() / 1000) });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => bridge.listen(0, "127.0.0.1", resolve));
  try {
    const querycop = await start(server, "", {
      GATEKEEPER_APPROVALS_WEBHOOK_URL: `http://127.0.0.1:${(bridge.address() as AddressInfo).port}/hook`,
      GATEKEEPER_APPROVALS_WEBHOOK_SECRET_FILE: inFolder("webhook-secret", `whsec_${secret.toString("base64")}\n`),
      GATEKEEPER_APPROVALS_WEBHOOK_APPROVERS: "bob@corp",
    });
    const raw = await connect(querycop, server);
    await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 77");
    raw.writeCommand(0x03, HELD);
    const asked = await eventually("the bridge is asked", () => told.find(({ type }) => type === "approval.requested"));
    assert.match(String(asked.data["text"]), /^REPLACE INTO/);
    const { id, statementHash } = asked.data;
    const answer = { id, verdict: "approve", approver: "bob@corp", reason: "clicked", statementHash };
    const forged = await postSigned(querycop, Buffer.alloc(32, 12), answer);
    assert.equal(forged.status, 401, await forged.text());
    assert.equal(await effects(server), 0);
    const taken = await postSigned(querycop, secret, answer);
    assert.equal(taken.status, 200, await taken.text());
    assert.equal((await raw.readPacket()).payload[0], 0);
    assert.equal(await effects(server), 1);
    await eventually("the bridge knows how it ended", () => told.some(({ type }) => type === "approval.used"));
    assert.deepEqual(
      told.map(({ type, verdict }) => `${type} ${verdict}`),
      ["requested", "approved", "used"].map((step) => `approval.${step} genuine`),
    );
    const approved = await eventually("the answer is on record", () =>
      querycop.audit().find(({ type }) => type === "approval"),
    );
    assert.deepEqual([approved["approver"], approved["reason"]], ["bob@corp", "clicked"]);
    const secretText = secret.toString("base64");
    assert.ok(!JSON.stringify([querycop.logs(), querycop.audit()]).includes(secretText), "the secret is in no log");
  } finally {
    bridge.close();
  }
});

async function postSigned(querycop: Querycop, secret: Buffer, answer: object): Promise<Response> {
  const address = querycop.logs().find(({ event }) => event === "admin API listening")?.["address"];
  const body = JSON.stringify(answer);
  const signed = { id: randomUUID(), timestamp: String(Math.floor(Date.now() / 1000)), body };
  return await fetch(`http://${address}/approvals/answers`, {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": signed.id,
      "webhook-timestamp": signed.timestamp,
      "webhook-signature": signWebhook(secret, signed),
    },
  });
}
