/** What a server is asked before a statement that may touch much, on a login of querycop's own, and what becomes of that. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { Slots } from "../../../src/base/slots.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { BackendTls } from "../../../src/net/tls.ts";
import { TokenManager } from "../../../src/token/token-manager.ts";
import { type CertificateSet, makeCertificates } from "../../support/certificates.ts";
import { errPayload, logIn, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import { ModelSession } from "../../support/model-server.ts";
import { LoginModel } from "../../support/mysql-login-model.ts";
import { memoryLogger, type ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { sceneJudge } from "../../support/transcript-session.ts";
import { columnCount, columnDefinition, executePayload, rowsEnd, textRow } from "../../support/wire-replies.ts";

const PASSWORD = "a pass of words";
let certificates: CertificateSet | undefined;
after(async () => {
  await closeStages();
  certificates?.remove();
});

type Step = readonly [id: string | null, rows: string | null, filtered: string];

interface Stage {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  /** Statements of the side logins, in order. */
  readonly asked: string[];
  /** What the next EXPLAIN answers. */
  plan: readonly Step[] | "refused";
}

const POLICY = "multi_statements: true\nimpact: { estimated_rows: { block: 100 }, no_estimate: block }";

async function begin(options: { policy?: string; slots?: Slots; refusesSide?: boolean } = {}): Promise<Stage> {
  certificates ??= await makeCertificates();
  const { certFile, keyFile } = certificates.leaves.goodEc;
  const asked: string[] = [];
  const server = new ModelSession({});
  const stage: { plan: Stage["plan"] } = { plan: [["1", "7", "100.00"]] };
  const explained = (steps: readonly Step[]): Uint8Array[] => [
    columnCount(3),
    ...["id", "rows", "filtered"].map(columnDefinition),
    ...steps.map((step) => textRow(...step)),
    rowsEnd(),
  ];
  const answer = (payload: Uint8Array): readonly Uint8Array[] | undefined => {
    const text = Buffer.from(payload.subarray(1)).toString("latin1");
    if (payload[0] !== 3 || !/^SET sql_mode=|^EXPLAIN FORMAT/.test(text)) return server.answer(payload);
    asked.push(text);
    if (text.startsWith("SET")) return options.refusesSide === true ? [refused(1231)] : undefined;
    return stage.plan === "refused" ? [refused(1146)] : explained(stage.plan);
  };
  const model = new LoginModel({
    plugin: "mysql_clear_password",
    greets: "caching_sha2_password",
    password: PASSWORD,
    tls: { cert: readFileSync(certFile, "latin1"), key: readFileSync(keyFile, "latin1") },
    answer,
  });
  const ca = readFileSync(certificates.caFile, "latin1");
  const { proxy } = await openStage(model.script, {
    listener: { clientAuth: "trust" },
    backend: { tls: new BackendTls({ mode: "verify-full", ca, serverName: "localhost", minVersion: "TLSv1.2" }) },
    services: {
      judge: sceneJudge(options.policy ?? POLICY),
      ...(options.slots === undefined ? {} : { sideSlots: options.slots }),
      tokens: new TokenManager({
        source: {
          name: "test",
          mint: async () => ({ value: Buffer.from(PASSWORD), credentialsExpireAtMs: undefined }),
        },
        logger: memoryLogger([]),
        forceFreshAgeMs: 0,
      }),
    },
  });
  return Object.assign(stage, { proxy, asked, client: await logIn(proxy.port, { schema: "shop" }) });
}

const refused = (errorNumber: number): Uint8Array => errPayload({ errorNumber, sqlState: "42000", message: "no" });

/** 0 for an OK or rows, else the number of the error. */
async function run({ client }: Stage, payload: Uint8Array): Promise<number> {
  client.write(payload, 0);
  const { payload: first } = await client.expect();
  if (first[0] === 0xff) return decodeErrPacket(first).errorNumber;
  if (first[0] === 0 || first[0] === 0xfe) return 0;
  for (let packet = await client.expect(); packet.payload[0] !== 0xfe; packet = await client.expect());
  return 0;
}

const text = (stage: Stage, sql: string): Promise<number> => run(stage, queryPayload(sql));
const SETTINGS = "SET sql_mode='',character_set_client=utf8mb4";
const DELETE = "DELETE FROM t WHERE a < 5";
const BLOCKED = 1148;

function counts(stage: Stage): Record<string, number> {
  const found = stage.proxy.metrics.render().matchAll(/impact_guard\w*\{[a-z]+="([\w-]+)"\} (\d+)/g);
  return Object.fromEntries(
    [...found].map(([, name = "", count]) => [name, Number(count)]).filter(([, count]) => count !== 0),
  );
}

const reasons = ({ proxy }: Stage): unknown[] =>
  proxy.log.flatMap(({ level, event, fields }) =>
    event === "impact guard has no estimate" ? [`${level} ${fields["why"]} ${fields["code"] ?? ""}`.trim()] : [],
  );

describe("an estimate", () => {
  it("is asked with the session's settings, on record, and decides", async () => {
    const stage = await begin();
    assert.equal(await text(stage, DELETE), 0);
    assert.deepEqual(stage.asked, [SETTINGS, `EXPLAIN FORMAT=TRADITIONAL ${DELETE}`]);
    const own = stage.proxy.events.flatMap((event) =>
      event.type === "own-statement" ? [[event.purpose, event.text]] : [],
    );
    assert.deepEqual(own, [
      ["estimate", SETTINGS],
      ["estimate", "EXPLAIN FORMAT=TRADITIONAL DELETE FROM `t` WHERE `a` < ?"],
    ]);
    const intent = stage.proxy.events.find((event) => event.type === "statement-intent");
    assert.equal(intent?.type === "statement-intent" && intent.estimatedRows, 7);
    stage.plan = [["1", "100", "100.00"]];
    assert.equal(await text(stage, "DELETE FROM t WHERE a < 6"), BLOCKED);
    stage.plan = [["1", "99", "100.00"]];
    assert.equal(await text(stage, "DELETE FROM t WHERE a < 7"), 0);
    assert.deepEqual(counts(stage), { estimated: 3 });
  });

  it("is kept for the same text in the same settings and schema", async () => {
    const stage = await begin();
    assert.equal(await text(stage, DELETE), 0);
    stage.plan = [["1", "5000", "100.00"]];
    assert.equal(await text(stage, DELETE), 0);
    assert.equal(stage.asked.length, 2);
    assert.equal(await text(stage, "USE pay"), 0);
    assert.equal(await text(stage, DELETE), BLOCKED);
    assert.equal(await text(stage, "SET sql_mode = 'ANSI_QUOTES'"), 0);
    assert.equal(await text(stage, DELETE), BLOCKED);
    assert.deepEqual(stage.asked.slice(2), [
      SETTINGS,
      `EXPLAIN FORMAT=TRADITIONAL ${DELETE}`,
      "SET sql_mode='ANSI_QUOTES',character_set_client=utf8mb4",
      `EXPLAIN FORMAT=TRADITIONAL ${DELETE}`,
    ]);
    assert.deepEqual(counts(stage), { estimated: 3, "estimate-kept": 1 });
  });

  it("is of the statement with its values, and of none that is only prepared", async () => {
    const stage = await begin();
    assert.equal(await run(stage, Buffer.from(`\x16${DELETE}`)), 0);
    assert.deepEqual(stage.asked, []);
    assert.equal(await run(stage, executePayload(1)), 0);
    assert.deepEqual(stage.asked, [SETTINGS, `EXPLAIN FORMAT=TRADITIONAL ${DELETE}`]);
  });

  it("is not had of what the server refuses to explain, and of settings that it refuses", async () => {
    const stage = await begin();
    stage.plan = "refused";
    assert.equal(await text(stage, DELETE), BLOCKED);
    assert.equal(await text(stage, DELETE), BLOCKED);
    assert.deepEqual(reasons(stage), [
      "warn the server gave none QC_BACKEND_REFUSED",
      "debug the server gave none QC_BACKEND_REFUSED",
    ]);
    stage.plan = [];
    assert.equal(await text(stage, DELETE), BLOCKED, "a plan without a step tells nothing");
    assert.deepEqual(counts(stage)["no-estimate"], reasons(stage).length);
    const other = await begin({ refusesSide: true });
    assert.equal(await text(other, DELETE), BLOCKED);
    assert.deepEqual(other.asked, [SETTINGS]);
  });

  it("is not had of several statements, nor of one inside another", async () => {
    const stage = await begin();
    assert.equal(await text(stage, `SELECT 1; ${DELETE}`), BLOCKED);
    assert.equal(await text(stage, `SELECT 1; ${DELETE}`), BLOCKED);
    assert.deepEqual(stage.asked, []);
    assert.deepEqual(reasons(stage), ["warn the text has several statements", "debug the text has several statements"]);
    assert.equal(await text(stage, `PREPARE s FROM '${DELETE}'`), 0);
    assert.equal(await text(stage, "EXECUTE s"), BLOCKED);
    assert.equal(reasons(stage).at(-1), "debug the statement is inside another one");
  });

  it("waits for a place for its login, which is given back, and is not had where there is none", async () => {
    const stage = await begin({ slots: new Slots(1, 8) });
    assert.equal(await text(stage, DELETE), 0);
    assert.equal(await text(stage, "DELETE FROM t WHERE a < 6"), 0);
    const other = await begin({ slots: new Slots(0, 0) });
    assert.equal(await text(other, DELETE), BLOCKED);
    assert.deepEqual(reasons(other), ["warn the server gave none QC_BACKEND_TIMEOUT"]);
  });
});
