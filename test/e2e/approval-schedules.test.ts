/**
 * Random schedules of statements that are held, approved, denied or left to expire, of clients that reset, close or quit,
 * of backends that are killed, and of commands pipelined in front, behind and meanwhile. A real server keeps the log
 * of what had an effect: nothing is lost, doubled, out of order, or there without an approval.
 *
 * The sessions run in this process, in front of a real MariaDB. QUERYCOP_TEST_SCALE=full runs 10,000 schedules,
 * QUERYCOP_TEST_SEED repeats others than the default ones.
 */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { AuditEvent, AuditEventOf } from "../../src/audit/audit-event.ts";
import { e2e } from "../support/e2e-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { realPolicy } from "../support/real-policy.ts";
import { startServer } from "../support/servers.ts";
import { type ProxyHarness, startProxy } from "../support/session-harness.ts";

const IS_FULL = process.env["QUERYCOP_TEST_SCALE"] === "full";
const SCHEDULES = IS_FULL ? 10_000 : 600;
const SEED = Number(process.env["QUERYCOP_TEST_SEED"] ?? 1);
const SCHEDULES_PER_CHECK = 50;
const LANES = 8;
const COMMANDS_MAX = 5;
/** Lanes whose statements wait this long only; those of the others wait until something happens. */
const HASTY_LANES = 2;
const HASTY_TIMEOUT_MS = 20;
const COM_QUERY = 0x03;

/** INSERT and REPLACE do the same to this table; only one of them needs an approval. */
const TABLE = "CREATE TABLE appdb.effects (id BIGINT AUTO_INCREMENT PRIMARY KEY, lane INT, n BIGINT)";
const POLICY = `deny: { statements: [{ match: replace, action: require-approval }] }
approval: { timeout: 10m, open_per_user: 1000 }
profiles: [{ name: hasty, match: { users: [native_user] }, approval: { timeout: ${HASTY_TIMEOUT_MS}ms } }]`;

const ACTS = [
  ...new Array<"approve">(8).fill("approve"),
  ...new Array<"deny">(4).fill("deny"),
  "reset",
  "reset",
  "close",
  "quit",
  "kill",
  "kill",
  "approve, reset",
  "approve, reset",
  "reset, approve",
  "approve, kill",
  "approve, kill",
  "approve, close",
  "approve, quit",
  "approve, deny",
  "deny, approve",
  "approve, approve",
  "own approve, approve",
] as const;

/** What must become of a hold that only one thing happened to, and that had the time. */
const VERDICTS: Readonly<Record<string, string>> = {
  approve: "approved",
  "own approve, approve": "approved",
  "approve, approve": "approved",
  deny: "denied",
  reset: "cancelled",
  close: "cancelled",
  quit: "cancelled",
  kill: "cancelled",
};

/** mulberry32 */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Sent {
  readonly n: number;
  readonly isHeld: boolean;
  readonly session: string;
  readonly ordinal: number;
  /** What happened while it was held, on a lane that has the time. */
  acts?: string;
  /** undefined: the connection ended before an answer came. */
  answer: "ok" | "not run" | "unknown" | undefined;
}

const server = await startServer({ kind: "mariadb" });
await server.rootQuery(TABLE);
const proxy = await startProxy({
  backendPort: server.port,
  approvalsOpenMax: 1000,
  services: { judge: realPolicy(POLICY, true).judge },
});
const control = await connect(server.port);
after(async () => {
  control.reset();
  await proxy.close();
  await server.stop();
});

async function connect(port: number, purpose = "admin"): Promise<RawClient> {
  const client = await RawClient.connect("127.0.0.1", port);
  const { user = "", password = "" } = server.accounts[purpose] ?? {};
  await client.login({ user, password, database: "appdb" });
  return client;
}

/** The one connection with rights; statements of all lanes take turns on it. */
let controlTurn: Promise<unknown> = Promise.resolve();
function asControl(sql: string): Promise<unknown> {
  controlTurn = controlTurn.then(() => control.query(sql));
  return controlTurn;
}

/** Holds and ends of sessions by who waits for them. */
const holds = new Map<string, (approvalId: string) => void>();
const ends = new Map<string, () => void>();
const events: AuditEvent[] = [];

function observe(harness: ProxyHarness): void {
  const { push } = harness.events;
  harness.events.push = (...added) => {
    for (const event of added) {
      events.push(event);
      if (event.type === "hold") holds.get(`${event.session.id} ${event.ordinal}`)?.(event.approvalId ?? "");
      if (event.type === "disconnect") ends.get(event.session.id)?.();
    }
    return push.apply([], added);
  };
}
observe(proxy);

/** One connection after another, each used until a schedule ends it. */
class Lane {
  readonly id: number;
  readonly sent: Sent[] = [];
  readonly #random: (below: number) => number;
  #client: RawClient | undefined;
  #session = "";
  #ordinal = 0;
  #ended: Promise<void> = Promise.resolve();
  #nextN = 0;
  #isLost = false;
  /** The server was told to end the connection, and does so some time after. */
  #isDoomed = false;

  constructor(id: number) {
    this.id = id;
    this.#random = randomOf(SEED * 1_000 + id);
  }

  async runSchedule(): Promise<void> {
    if (this.#client === undefined) await this.#connect();
    const commands = Array.from({ length: 1 + this.#random(COMMANDS_MAX) }, () => this.#random(5) < 2);
    const upFront = 1 + this.#random(commands.length);
    const batch = commands.slice(0, upFront).map((isHeld) => this.#send(isHeld));
    const later = commands.slice(upFront);
    for (let index = 0; index < batch.length || later.length > 0; index++) {
      if (index >= batch.length || this.#random(2) === 0) {
        const isHeld = later.shift();
        if (isHeld !== undefined) batch.push(this.#send(isHeld));
      }
      const command = batch[index] as Sent;
      const answered = this.#readAnswer(command);
      if (command.isHeld) await this.#decide(command);
      await answered;
      if (command.answer === undefined || this.#isLost) break;
    }
    if (this.#isLost || this.#isDoomed || batch.some(({ answer }) => answer === undefined)) await this.#leave();
  }

  get #user(): string {
    return server.accounts[this.#isHasty ? "native" : "admin"]?.user ?? "";
  }

  get #isHasty(): boolean {
    return this.id <= HASTY_LANES;
  }

  async finish(): Promise<void> {
    if (this.#client !== undefined) await this.#leave();
  }

  async #connect(): Promise<void> {
    this.#client = await connect(proxy.port, this.#isHasty ? "native" : "admin");
    const { connectionId } = this.#client.greeting ?? {};
    const login = events.findLast(
      (event): event is AuditEventOf<"login"> =>
        event.type === "login" && event.session.backendConnectionId === connectionId,
    );
    assert.ok(login !== undefined);
    this.#session = login.session.id;
    this.#ordinal = 0;
    this.#isLost = false;
    this.#isDoomed = false;
    this.#ended = new Promise((resolve) => ends.set(this.#session, resolve));
  }

  /** Waits until the session is over on both sides: what it had sent has had its effect by then. */
  async #leave(): Promise<void> {
    this.#client?.reset();
    this.#client = undefined;
    await this.#ended;
    ends.delete(this.#session);
  }

  #send(isHeld: boolean): Sent {
    const n = this.id * 1e9 + this.#nextN++;
    this.#ordinal++;
    const sent: Sent = { n, isHeld, session: this.#session, ordinal: this.#ordinal, answer: undefined };
    this.sent.push(sent);
    this.#client?.writeCommand(
      COM_QUERY,
      `${isHeld ? "REPLACE" : "INSERT"} INTO effects (lane, n) VALUES (${this.id}, ${n})`,
    );
    return sent;
  }

  async #readAnswer(sent: Sent): Promise<void> {
    try {
      const { payload } = (await this.#client?.readPacket()) ?? {};
      if (payload?.[0] === 0) sent.answer = "ok";
      else sent.answer = /denied|nobody approved|has not run|left while/.test(String(payload)) ? "not run" : "unknown";
    } catch {
      sent.answer = undefined;
    }
  }

  async #decide(sent: Sent): Promise<void> {
    const key = `${sent.session} ${sent.ordinal}`;
    const held = events.find(
      (event) => event.type === "hold" && event.session.id === sent.session && event.ordinal === sent.ordinal,
    );
    const waiting = new Promise<string>((resolve) => {
      if (held?.type === "hold") resolve(held.approvalId ?? "");
      else holds.set(key, resolve);
    });
    const id = await Promise.race([waiting, this.#ended]);
    holds.delete(key);
    if (id === undefined) return;
    for (let turns = this.#random(4); turns > 0; turns--) await turn();
    let acts: string = ACTS[this.#random(ACTS.length)] ?? "approve";
    // A goodbye behind further commands is found at its turn only.
    if (acts.endsWith("quit") && this.sent.at(-1) !== sent) acts = acts.replace("quit", "close");
    if (this.#isHasty && this.#random(2) === 0) return;
    if (!this.#isHasty && !this.#isDoomed) sent.acts = acts;
    if (acts.includes("kill")) this.#isDoomed = true;
    await Promise.all(acts.split(", ").map((act) => this.#act(act, id)));
  }

  async #act(act: string, id: string): Promise<void> {
    const { approvals } = proxy;
    if (act === "approve") await approvals.approve(id, { approver: "alice", reason: undefined });
    else if (act === "own approve") {
      const answer = await approvals.approve(id, { approver: this.#user, reason: undefined });
      assert.ok(answer.kind === "refused" && answer.why !== "not-found");
    } else if (act === "deny") approvals.deny(id, { approver: "bob", reason: "no" });
    else if (act === "kill") await asControl(`KILL ${this.#client?.greeting?.connectionId}`);
    else {
      this.#isLost = true;
      if (act === "reset") this.#client?.reset();
      else if (act === "close") this.#client?.end();
      else this.#client?.writeCommand(0x01);
    }
  }
}

interface Counts {
  statements: number;
  effects: number;
  held: number;
  approved: number;
  denied: number;
  expired: number;
  cancelled: number;
  released: number;
}

const counts: Counts = {
  statements: 0,
  effects: 0,
  held: 0,
  approved: 0,
  denied: 0,
  expired: 0,
  cancelled: 0,
  released: 0,
};

/** What the audit says of one statement. */
interface Story {
  hold?: string;
  verdicts: string[];
  intents: number;
  blocked: number;
  outcome?: string;
}

function storiesOf(recorded: readonly AuditEvent[]): Map<string, Story> {
  const stories = new Map<string, Story>();
  for (const event of recorded) {
    if (!("ordinal" in event) || event.session === undefined) continue;
    const key = `${event.session.id} ${event.ordinal}`;
    const story = stories.get(key) ?? { verdicts: [], intents: 0, blocked: 0 };
    stories.set(key, story);
    if (event.type === "hold") {
      assert.equal(story.hold, undefined, `${key} is held twice`);
      story.hold = event.approvalId ?? "";
      counts.held++;
    } else if (event.type === "approval") {
      assert.equal(event.approvalId, story.hold);
      story.verdicts.push(event.verdict);
      counts[event.verdict]++;
    } else if (event.type === "statement-intent") {
      story.intents++;
      assert.equal(event.approvalId, story.hold);
    } else if (event.type === "statement-blocked") story.blocked++;
    else if (event.type === "statement-outcome") story.outcome = event.outcome;
  }
  return stories;
}

async function rowsByLane(lane: number): Promise<number[]> {
  const rows = await server.rootQuery(`SELECT n FROM appdb.effects WHERE lane = ${lane} ORDER BY id`);
  return rows.map(([n]) => Number(n));
}

/** Compares what clients were told, what is on record and what the server has. */
async function check(lanes: readonly Lane[]): Promise<void> {
  const stories = storiesOf(events.splice(0));
  for (const lane of lanes) {
    const rows = await rowsByLane(lane.id);
    assert.deepEqual(
      rows,
      [...new Set(rows)].sort((left, right) => left - right),
      `lane ${lane.id}: doubled or out of order`,
    );
    const effects = new Set(rows);
    for (const sent of lane.sent) checkStatement(sent, effects.delete(sent.n), stories);
    assert.deepEqual([...effects], [], `lane ${lane.id}: effects of statements that were never sent`);
    counts.statements += lane.sent.length;
    counts.effects += rows.length;
    lane.sent.length = 0;
  }
  await server.rootQuery("TRUNCATE appdb.effects");
}

function checkStatement(sent: Sent, hasEffect: boolean, stories: ReadonlyMap<string, Story>): void {
  const story = stories.get(`${sent.session} ${sent.ordinal}`) ?? { verdicts: [], intents: 0, blocked: 0 };
  const say = (what: string): string => `${what}: ${JSON.stringify({ ...sent, hasEffect, ...story, seed: SEED })}`;
  if (sent.answer === "ok") assert.ok(hasEffect, say("lost"));
  if (sent.answer === "not run") assert.ok(!hasEffect, say("ran though its client was told otherwise"));
  assert.ok(story.intents <= 1 && story.blocked <= 1 && story.intents + story.blocked <= 1, say("two records"));
  if (hasEffect) assert.equal(story.intents, 1, say("ran without a record"));
  if (story.outcome === "ok") assert.ok(hasEffect, say("recorded as done"));
  if (story.intents === 1 && story.hold !== undefined) counts.released++;
  if (!sent.isHeld) {
    assert.deepEqual([story.hold, story.blocked], [undefined, 0], say("held without a reason"));
    return;
  }
  if (hasEffect) assert.deepEqual(story.verdicts, ["approved"], say("ran without an approval"));
  if (story.hold === undefined) assert.equal(story.intents + story.blocked, 0, say("decided without a hold"));
  else {
    assert.ok(story.verdicts.length >= 1, say("never ended"));
    assert.equal(story.intents + story.blocked, 1, say("ended without a record"));
    const isReleased = story.verdicts.length === 1 && story.verdicts[0] === "approved";
    const expected = VERDICTS[sent.acts ?? ""];
    if (expected !== undefined) assert.deepEqual(story.verdicts, [expected], say("ended otherwise"));
    if (expected === "approved") assert.equal(sent.answer, "ok", say("approved and not done"));
    assert.equal(story.intents === 1, isReleased, say("released and not approved, or the other way round"));
  }
}

describe("approvals under random schedules", () => {
  e2e(`${SCHEDULES} schedules leave exactly the effects that were approved, once and in order`, async () => {
    const lanes = Array.from({ length: LANES }, (_, index) => new Lane(index + 1));
    for (let done = 0; done < SCHEDULES; done += SCHEDULES_PER_CHECK) {
      let left = SCHEDULES_PER_CHECK;
      const run = async (lane: Lane): Promise<void> => {
        while (left-- > 0) await lane.runSchedule();
        await lane.finish();
      };
      await Promise.all(lanes.map(run));
      await check(lanes);
    }
    assert.equal(proxy.approvals.openCount, 0);
    assert.equal(proxy.registry.size, 0);
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 0, `no schedule with: ${what}`);
    if (IS_FULL) console.log(JSON.stringify({ schedules: SCHEDULES, seed: SEED, ...counts }));
  });
});
