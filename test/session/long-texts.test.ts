/** Statements whose verdict takes a while: what else may happen meanwhile, and what must not. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { RECORD_BYTES_MAX } from "../../src/audit/audit-record.ts";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { contextFor, subjectFor } from "../../src/policy/tools/tool-context.ts";
import { LONG_TEXT_BYTES, PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import { judgeLongText, type LongTextJudge } from "../../src/session/statement/long-text.ts";
import { eventually } from "../support/eventually.ts";
import { acceptLogin, logIn, OK_PAYLOAD, type PacketPeer, queryPayload } from "../support/fake-peers.ts";
import type { ProxyHarness } from "../support/session-harness.ts";
import { closeStages, openStage } from "../support/session-stage.ts";

after(closeStages);

interface Setup {
  readonly proxy: ProxyHarness;
  /** What the backend was asked, by all sessions, each text cut to its first word. */
  readonly asked: string[];
  readonly backendPeers: readonly PacketPeer[];
  /** Texts that wait for their verdict, and the word that lets the first of them have it. */
  readonly waiting: string[];
  release(): void;
}

const firstWord = (text: Uint8Array): string => Buffer.from(text.subarray(0, 40)).toString().split(" ", 2).join(" ");

async function setUp(): Promise<Setup> {
  const asked: string[] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      asked.push(firstWord(packet.payload.subarray(1)));
      peer.write(OK_PAYLOAD, 1);
    }
  };
  const core = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "test",
    cacheBytesMax: 0,
  });
  const waiting: string[] = [];
  const releases: (() => void)[] = [];
  const longTexts: LongTextJudge = {
    judge: async (text) => {
      waiting.push(firstWord(text.sql));
      await new Promise<void>((resolve) => releases.push(resolve));
      return judgeLongText(core, text);
    },
  };
  const judge = new PolicyJudge(core, longTexts);
  const services = {
    judge: { readsSql: false, judge: (request: Parameters<typeof judge.judge>[0]) => judge.judge(request) },
  };
  const { proxy, backends } = await openStage(script, { services });
  return { proxy, asked, backendPeers: backends.peers, waiting, release: () => releases.shift()?.() };
}

const LONG_INSERT = `INSERT INTO t VALUES ${"(1), ".repeat(LONG_TEXT_BYTES / 5)}(1)`;
const LONG_DROP = `DROP DATABASE ${"a".repeat(LONG_TEXT_BYTES)}`;

async function untilWaiting(setup: Setup, count: number): Promise<void> {
  await eventually("a text waits for its verdict", () => (setup.waiting.length >= count ? true : undefined));
}

async function expectFirstByte(client: PacketPeer, byte: number): Promise<void> {
  const packet = await client.expect();
  assert.deepEqual([packet.payload[0], packet.sequenceId], [byte, 1]);
}

const kindsOf = ({ proxy }: Setup): string[] =>
  proxy.events.map(({ type }) => type).filter((type) => type.startsWith("statement-"));

/** Another session's: what happened on other sockets before is known to the proxy after it. */
async function roundTrip({ proxy }: Setup): Promise<void> {
  const other = await logIn(proxy.port);
  other.write(queryPayload("SELECT 'other'"), 0);
  await expectFirstByte(other, 0);
}

function assertNotSent(setup: Setup): void {
  assert.deepEqual(setup.asked, ["SELECT 'other'"]);
  assert.deepEqual(kindsOf(setup), ["statement-intent", "statement-outcome", "statement-blocked"]);
}

test("other sessions are served while a long text is judged", async () => {
  const setup = await setUp();
  const [slow, quick] = [await logIn(setup.proxy.port), await logIn(setup.proxy.port)];
  slow.write(queryPayload(LONG_INSERT), 0);
  await untilWaiting(setup, 1);
  for (let i = 0; i < 3; i++) {
    quick.write(queryPayload("SELECT 1"), 0);
    await expectFirstByte(quick, 0);
  }
  assert.deepEqual(setup.asked, ["SELECT 1", "SELECT 1", "SELECT 1"]);
  setup.release();
  await expectFirstByte(slow, 0);
  assert.equal(setup.asked.at(-1), "INSERT INTO");
});

test("nothing of the same session overtakes a long text", async () => {
  const setup = await setUp();
  const client = await logIn(setup.proxy.port);
  for (const sql of [LONG_INSERT, "SELECT 1", LONG_INSERT, "SELECT 2"]) client.write(queryPayload(sql), 0);
  await untilWaiting(setup, 1);
  assert.deepEqual([setup.asked, setup.waiting], [[], ["INSERT INTO"]]);
  setup.release();
  await untilWaiting(setup, 2);
  assert.deepEqual(setup.asked, ["INSERT INTO", "SELECT 1"]);
  setup.release();
  for (let i = 0; i < 4; i++) await expectFirstByte(client, 0);
  assert.deepEqual(setup.asked, ["INSERT INTO", "SELECT 1", "INSERT INTO", "SELECT 2"]);
  const one = ["statement-intent", "statement-outcome"];
  assert.deepEqual(kindsOf(setup), [...one, ...one, ...one, ...one]);
});

test("a long text that is blocked never reaches the backend", async () => {
  const setup = await setUp();
  const client = await logIn(setup.proxy.port);
  client.write(queryPayload(LONG_DROP), 0);
  await untilWaiting(setup, 1);
  setup.release();
  await expectFirstByte(client, 0xff);
  client.write(queryPayload("SELECT 1"), 0);
  await expectFirstByte(client, 0);
  assert.deepEqual(setup.asked, ["SELECT 1"]);
  assert.deepEqual(kindsOf(setup), ["statement-blocked", "statement-intent", "statement-outcome"]);
});

test("a long text is not sent for a client that has gone, and recorded as blocked", async () => {
  const setup = await setUp();
  const client = await logIn(setup.proxy.port);
  client.write(queryPayload(LONG_INSERT), 0);
  await untilWaiting(setup, 1);
  client.socket.resetAndDestroy();
  await roundTrip(setup);
  setup.release();
  await setup.proxy.untilEvent(({ type }) => type === "disconnect");
  assertNotSent(setup);
});

test("a long text is not sent to a backend that has gone, and the client's connection ends", async () => {
  const setup = await setUp();
  const client = await logIn(setup.proxy.port);
  client.write(queryPayload(LONG_INSERT), 0);
  await untilWaiting(setup, 1);
  setup.backendPeers[0]?.socket.destroy();
  await roundTrip(setup);
  setup.release();
  assert.equal(await client.read(), undefined);
  await setup.proxy.untilEvent(({ type }) => type === "disconnect");
  assertNotSent(setup);
});

test("judgeLongText() hands on no more of a digest than a record may hold, and says so by its length", () => {
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "test",
    cacheBytesMax: 0,
  });
  const verdictOn = (sql: string) =>
    judgeLongText(judge, { sql: Buffer.from(sql), context: contextFor({}), subject: subjectFor({}) });
  const short = verdictOn(`SELECT ${"a, ".repeat(10_000)}a FROM t`).summary.digest;
  assert.equal(short.length, "SELECT ".length + 10_000 * "`a` , ".length + "`a` FROM `t`".length);
  const long = verdictOn(`SELECT ${"a, ".repeat(190_000 / 2)}${"a".repeat(600_000)} FROM t`).summary.digest;
  assert.ok(long.length < RECORD_BYTES_MAX);
  const most = verdictOn(`SELECT ${`${"a".repeat(60)}, `.repeat(60_000)}a FROM t`).summary.digest;
  assert.equal(most.length, RECORD_BYTES_MAX);
});
