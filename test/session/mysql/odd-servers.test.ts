/**
 * Sessions with servers that do what servers should not, by a clock that moves when the test says so: what the client sends
 * (>) and gets (<), what the server saw (=), what is recorded (!) and told to the log (#), durations and all, how the session
 * shows between ([]), and what was counted. test/golden/mysql-odd-servers.txt holds the pages.
 */
import { after, describe, test } from "node:test";
import type { AuditEvent } from "../../../src/audit/audit-event.ts";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { CLIENT_SESSION_TRACK } from "../../../src/mysql/constants.ts";
import { encodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { encodePacket } from "../../../src/mysql/packet.ts";
import type { DataGuardLimits } from "../../../src/session/limits/data-guard.ts";
import type { LiveSession } from "../../../src/session/live-session.ts";
import type { AuditTrail, SessionServices } from "../../../src/session/session-services.ts";
import type { StatementJudge } from "../../../src/session/statement/statement-judge.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { eventually } from "../../support/eventually.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import {
  acceptLogin,
  BACKEND_FLAGS,
  GREETING,
  logIn,
  OK_PAYLOAD,
  type PacketPeer,
  Served,
} from "../../support/fake-peers.ts";
import { ModelSession } from "../../support/model-server.ts";
import type { ProxyHarness } from "../../support/session-harness.ts";
import { NO_DATA_LIMITS } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { TimersLeft } from "../../support/timers-left.ts";
import { clockedFields } from "../../support/transcript-lines.ts";
import { answered, answerLine, MARIADB, type Scene, sceneJudge, TENANTS } from "../../support/transcript-session.ts";
import {
  binaryRow,
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  executePayload,
  okWith,
  prepareOk,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "../../support/wire-replies.ts";

after(closeStages);

const TIMEOUT_MS = 60_000;
/** How far the clock goes, each by another figure: what a duration is made of can be told from it. */
const CONNECT_MS = 31;
const LOGIN_MS = 407;
const JUDGE_MS = 3;
const RECORD_MS = 11;
const ANSWER_MS = 2_345;
const BETWEEN_MS = 60_017;

/** What is waited for where nothing comes, and where something does, on a busy machine too. */
const SHORT_MS = 2_000;
const LONG_MS = 30_000;
const patience = (loginTimeoutMs: number) => ({ loginTimeoutMs });

const PING = 0x0e;
const ROW_BYTES = 6;

const error = (errorNumber: number, message: string): Uint8Array =>
  encodeErrPacket({ errorNumber, sqlState: "HY000", message });

/** What the server does in place of an answer; undefined where the model answers. */
type Odd = (
  said: string,
  peer: PacketPeer,
  clock: FakeClock,
  payload: Uint8Array,
) => readonly Uint8Array[] | "nothing" | undefined;

/** A text to ask, or a command; behind it a file's packets, which are sent without waiting for the server to ask. */
type Said = string | readonly [name: string, payload: Uint8Array, file?: readonly Uint8Array[]];

interface Play extends Omit<Scene, "title" | "model"> {
  readonly greeting?: typeof GREETING;
  readonly odd?: Odd;
  /** Commands, as texts to ask or as payloads. */
  readonly says: readonly Said[];
  /** Until the next one is said. */
  readonly betweenMs?: number;
  readonly services?: Partial<SessionServices>;
  readonly isDurable?: boolean;
  /** Types of events that cannot be recorded, from the second command on. */
  readonly failing?: readonly AuditEvent["type"][];
  readonly between?: (stage: Stage, command: number) => Promise<void>;
}

/** Replaces the machine's clock until `restore`. */
function takeClock(): { readonly clock: FakeClock; restore(): void } {
  const clock = new FakeClock();
  const { wallMs, monotonicMs } = SYSTEM_CLOCK;
  Object.assign(SYSTEM_CLOCK, { wallMs: () => clock.wallMs(), monotonicMs: () => clock.monotonicMs() });
  return { clock, restore: () => void Object.assign(SYSTEM_CLOCK, { wallMs, monotonicMs }) };
}

class Stage {
  readonly lines: string[] = [];
  readonly seen: string[] = [];
  readonly peers: PacketPeer[] = [];
  proxy!: ProxyHarness;
  readonly clock: FakeClock;
  readonly #play: Play;

  constructor(play: Play, clock: FakeClock) {
    this.#play = play;
    this.clock = clock;
  }

  readonly served = new Served();
  readonly script = (peer: PacketPeer): Promise<void> => this.served.during(this.#serve(peer));

  async #serve(peer: PacketPeer): Promise<void> {
    this.peers.push(peer);
    this.clock.advance(CONNECT_MS);
    const { greeting = GREETING, odd } = this.#play;
    await acceptLogin(peer, greeting);
    const model = new ModelSession({ greeting });
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const { payload, lastSequenceId } = packet;
      const said = Buffer.from(payload.subarray(1)).toString("latin1");
      if (payload[0] !== PING) this.seen.push(`= ${payload[0]?.toString(16)} ${JSON.stringify(said.slice(0, 60))}`);
      if (payload[0] !== PING) this.clock.advance(ANSWER_MS);
      const replies = odd?.(said, peer, this.clock, payload) ?? model.answer(payload);
      if (replies === "nothing") continue;
      peer.socket.write(wireOf(replies, lastSequenceId + 1));
    }
    peer.socket.end();
  }

  flush(): void {
    const { events, log } = this.proxy;
    this.lines.push(...this.seen.splice(0));
    for (const { type, ...rest } of events.splice(0)) {
      const { session = {}, ...fields } = rest as { session?: object };
      this.lines.push(`! ${type} (${this.#changed(type, session)}) ${clockedFields(fields)}`);
    }
    this.lines.push(...log.splice(0).map(({ level, event, fields }) => `# ${level} ${event} ${clockedFields(fields)}`));
  }

  view(): void {
    for (const session of this.proxy.registry) {
      const { isIdle, isAtRest, isLoggingIn, holdsLoginPlace, idleLimitMs } = session;
      const kept = { isIdle, isAtRest, isLoggingIn, holdsLoginPlace, idleLimitMs };
      this.lines.push(`[] ${this.#changed("view", { ...session.view(), ...kept })}`);
    }
  }

  readonly #told = new Map<string, string[]>();

  /** What is told of it otherwise than before. */
  #changed(what: string, value: object): string {
    const now = clockedFields(value).split(" ");
    const before = this.#told.get(what) ?? [];
    this.#told.set(what, now);
    const gone = before
      .map((field) => field.split("=")[0])
      .filter((name) => !now.some((field) => field.startsWith(`${name}=`)));
    return [...now.filter((field) => !before.includes(field)), ...gone.map((name) => `no ${name}`)].join(" ");
  }
}

/** Lets the clock go on where a statement is judged and where it is written down. */
function slowed(services: Pick<SessionServices, "audit" | "judge">, clock: FakeClock, isDurable: boolean) {
  const { audit, judge } = services;
  const trail: AuditTrail = {
    ...audit,
    sealText: (text) => `sealed ${text.length}`,
    append: (event) => {
      clock.advance(RECORD_MS);
      if (!isDurable) return audit.append(event);
      return Promise.resolve().then(() => audit.append(event));
    },
  };
  const { judge: judged } = judge;
  Object.assign(judge, {
    judge(request: Parameters<StatementJudge["judge"]>[0]) {
      clock.advance(JUDGE_MS);
      return judged.call(judge, request);
    },
  });
  return { audit: trail };
}

const counters = (page: string): Map<string, string> =>
  new Map(
    page
      .split("\n")
      .filter((line) => line !== "" && !/^#|_bucket|memory|process_|le=/.test(line))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
  );

async function played(play: Play, stage: Stage): Promise<void> {
  const { says, isUntracked = false, between, failing = [], betweenMs = BETWEEN_MS } = play;
  const { lines, proxy, clock } = stage;
  clock.advance(LOGIN_MS);
  const flags = isUntracked ? { flags: (BACKEND_FLAGS & ~CLIENT_SESSION_TRACK) >>> 0 } : {};
  const client = await logIn(proxy.port, { schema: "shop", ...flags });
  stage.view();
  for (const [index, said] of says.entries()) {
    const [name, payload, file = []] = typeof said === "string" ? [said, Buffer.from(`\x03${said}`)] : said;
    lines.push(`> ${name}`);
    clock.advance(betweenMs);
    if (index === 1) for (const type of failing) proxy.failing.add(type);
    client.write(payload, 0);
    for (const [packet, bytes] of file.entries()) client.write(bytes, packet + 2);
    const { packets, isClosed } = await answered(client, payload[0] !== 0x19);
    lines.push(answerLine(packets).slice(0, 400));
    if (isClosed) {
      lines.push("< closed");
      break;
    }
    stage.flush();
    stage.view();
    await between?.(stage, index);
  }
  client.socket.destroy();
  await proxy.registry.whenEmpty();
}

function page(title: string, play: Play, act = played): void {
  test(title, { timeout: TIMEOUT_MS }, async () => {
    const { clock, restore } = takeClock();
    const timers = new TimersLeft();
    try {
      const stage = new Stage(play, clock);
      const { listener = {}, backend = patience(LONG_MS) } = play;
      const given = { listener, backend, services: { judge: sceneJudge(play.policy), ...play.services } };
      const { proxy } = await openStage(stage.script, given);
      stage.proxy = proxy;
      Object.assign(proxy.services, slowed(proxy.services, clock, play.isDurable === true));
      const before = counters(proxy.metrics.render());
      await act(play, stage);
      stage.lines.push(...(await timers.stop()));
      await stage.served.ended();
      stage.flush();
      const counted = [...counters(proxy.metrics.render())].filter(([name, value]) => before.get(name) !== value);
      const lines = [...stage.lines, ...counted.map(([name, value]) => `${name} ${value}`)];
      assertGoldenPart("mysql-odd-servers.txt", title, lines.map(steady));
    } finally {
      await timers.stop();
      restore();
    }
  });
}

/** Printable, and without what is of one run alone. */
function steady(line: string): string {
  return line
    .replace(/127\.0\.0\.1:\d+/g, "HERE")
    .replace(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

const APPROVER = { approver: "alice", reason: undefined };

const isOwnQuestion = (said: string): boolean => said.startsWith("SELECT CAST(");
const isTracking = (said: string): boolean => said.startsWith("SET session_track_system_variables=IF(");

/** Rows of as many columns. */
function rows(of: readonly (readonly (string | null)[])[], columns = of[0]?.length ?? 1): Uint8Array[] {
  const names = Array.from({ length: columns }, (_, index) => columnDefinition(`c${index}`));
  return [columnCount(columns), ...names, ...of.map((row) => textRow(...row)), rowsEnd()];
}

const READER: readonly Said[] = ["SELECT * FROM secret", "CALL p()", 'SELECT "word" FROM t LIMIT 1'];
const LIFE: readonly Said[] = [
  "SELECT a FROM orders WHERE tenant_id = 7 LIMIT 1",
  "SELECT * FROM secret",
  "BEGIN",
  "UPDATE t SET a = 1 WHERE b = 2",
  "SET PASSWORD = 'a word'",
  "SELECT FAIL FROM t",
  ["prepare", Buffer.from("\x16SELECT a FROM orders WHERE tenant_id = 7 LIMIT 1")],
  ["execute", executePayload(1)],
  ["COM_INIT_DB", Buffer.from("\x02pay")],
  ["COM_STATISTICS", Buffer.from("\x09")],
  ["COM_RESET_CONNECTION", Buffer.from("\x1f")],
  "COMMIT",
];

describe("the times of a session are as test/golden/mysql-odd-servers.txt holds", () => {
  for (const isDurable of [false, true]) {
    const how = isDurable ? "where each record is waited for" : "where records are made at once";
    page(`a life ${how}`, { policy: TENANTS, says: LIFE, isDurable });
    page(`a life on MariaDB ${how}`, { policy: TENANTS, says: LIFE, isDurable, greeting: MARIADB });
    for (const type of [
      "connect",
      "login",
      "statement-intent",
      "statement-blocked",
      "own-statement",
      "command",
      "disconnect",
    ] as const) {
      page(`${type} that cannot be recorded ${how}`, {
        policy: "impact: { max_changed_rows: 5 }\ndeny: { tables: [secret] }",
        says: ["SELECT 1", "SELECT * FROM secret", "UPDATE t SET a = 1 WHERE b = 2", ["reset", Buffer.from("\x1f")]],
        isDurable,
        failing: [type],
      });
    }
  }
  page("more is blocked than is told", {
    policy: "deny: { tables: [secret] }",
    says: [...Array.from({ length: 56 }, () => "SELECT * FROM secret"), "SELECT 1", "SELECT * FROM secret"],
    betweenMs: 0,
    between: async ({ clock }, command) => {
      if (command === 56) clock.advance(BETWEEN_MS);
    },
  });
});

describe("what is odd in answers to querycop's own goes as test/golden/mysql-odd-servers.txt holds", () => {
  const good = ["", "utf8mb4", "utf8mb4", "shop"];
  const questions: Record<string, readonly Uint8Array[] | "nothing" | undefined> = {
    "no rows": rows([], 4),
    "two rows": rows([good, good]),
    OK: [OK_PAYLOAD],
    "an error": [error(1193, "Unknown system variable")],
    "an error in place of a row": [...rows([], 4).slice(0, -1), error(1317, "stopped")],
    "too few columns": rows([["", "utf8mb4"]]),
    "a mode that is none": rows([["a mode", ...good.slice(1)]]),
    "a charset that is none": rows([["", "UTF 8", "utf8mb4", "shop"]]),
    "another charset that is none": rows([["", "utf8mb4", "", "shop"]]),
    NULL: rows([[null, "utf8mb4", "utf8mb4", "shop"]]),
    "no schema": rows([["", "utf8mb4", "utf8mb4", null]]),
    "other modes": rows([["ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "latin1", "sjis", "pay"]]),
    "everything tracked": rows([[...good, "*", "1"]]),
    "little tracked": rows([[...good, "time_zone", "1"]]),
    "no schema tracked": rows([
      [...good, "sql_mode,character_set_client,collation_connection,session_track_system_variables", "0"],
    ]),
    "all that is wanted tracked": rows([
      [...good, "sql_mode, character_set_client,collation_connection,session_track_system_variables", "1"],
    ]),
    "a row that is cut": [...rows([], 4).slice(0, -1), Buffer.from("\x00\x07utf")],
    "no length": [Buffer.from("\xff\xff\xff\xff", "latin1")],
    "more columns than anybody asks for": [columnCount(65)],
    "nothing known": [Buffer.from([0xfe])],
    silence: "nothing",
    "more than its answer": [...rows([good]), OK_PAYLOAD],
  };
  for (const [what, answer] of Object.entries(questions)) {
    for (const [which, isUntracked] of [
      ["tracked", false],
      ["untracked", true],
    ] as const) {
      page(`${what} to a question, ${which}`, {
        policy: TENANTS,
        says: READER,
        isUntracked,
        backend: patience(answer === "nothing" ? SHORT_MS : LONG_MS),
        odd: (said) => (isOwnQuestion(said) && !said.includes("lower_case") ? answer : undefined),
      });
    }
  }
  for (const tableCase of ["0", "1", "2", "3", null] as const) {
    page(`${tableCase} for the case of tables`, {
      policy: "deny: { tables: [pay.secret] }",
      says: ["USE pay", "SELECT * FROM SECRET", "SELECT * FROM secret", "SELECT * FROM pay.Secret"],
      odd: (said) => (said.includes("lower_case_table_names") ? rows([[tableCase]]) : undefined),
    });
  }
  const switches: Record<string, readonly Uint8Array[] | "nothing"> = {
    rows: rows([["1"]]),
    "a file's name": [Buffer.from("\xfbname", "latin1")],
    "two OKs": [OK_PAYLOAD, OK_PAYLOAD],
    silence: "nothing",
    "an error": [error(1193, "no")],
    "OK alone": [OK_PAYLOAD],
    "half a report": [okWith(2, { sessionState: { systemVariables: new Map([["sql_mode", "ANSI_QUOTES"]]) } })],
    "a report of a charset that is none": [
      okWith(2, { sessionState: { systemVariables: new Map([["character_set_client", "UTF 8"]]), schema: "pay" } }),
    ],
  };
  for (const [what, answer] of Object.entries(switches)) {
    page(`${what} where tracking is switched on`, {
      policy: TENANTS,
      says: READER,
      backend: { ...patience(LONG_MS), responseTimeoutMs: answer === "nothing" ? SHORT_MS : LONG_MS },
      odd: (said, _peer, clock) => {
        clock.advance(-ANSWER_MS);
        return isTracking(said) ? answer : undefined;
      },
    });
  }
});

describe("what is odd in a server's answers goes as test/golden/mysql-odd-servers.txt holds", () => {
  const says = ["SELECT 1", "SELECT odd", "SELECT 2"];
  const begun = rows([["1"], ["2"]]).slice(0, -1);
  const answers: Record<string, Buffer> = {
    "half a result": wireOf(begun),
    "half a packet": wireOf(begun).subarray(0, 3),
    "half a packet of rows": wireOf(begun).subarray(0, -3),
    "a result and more": wireOf([...rows([["1"]]), OK_PAYLOAD]),
    "two OKs": wireOf([OK_PAYLOAD, OK_PAYLOAD]),
    "an error within rows": wireOf([...begun, error(1317, "stopped")]),
    "a count of no columns": wireOf([columnCount(0xfc00)]),
    "a file's name that nobody asked for": wireOf([Buffer.from("\xfbname", "latin1")]),
    "an empty packet": wireOf([new Uint8Array(0)]),
    nothing: Buffer.alloc(0),
    "an answer out of order": wireOf([OK_PAYLOAD], 2),
  };
  for (const [what, answer] of Object.entries(answers)) {
    for (const then of ["silence", "its end", "a late end"] as const) {
      page(`${what}, then ${then}`, {
        says,
        policy: "deny: { tables: [secret] }",
        backend: { ...patience(LONG_MS), progressTimeoutMs: 150, responseTimeoutMs: SHORT_MS },
        odd: (said, peer, clock) => {
          if (said !== "SELECT odd") return undefined;
          clock.advance(-ANSWER_MS);
          peer.socket.write(answer);
          if (then === "its end") peer.socket.end();
          if (then === "a late end") clock.advance(SHORT_MS - 50);
          return "nothing";
        },
      });
    }
  }
  const chunks: Record<string, Buffer> = {
    "an error": wireOf([error(4031, "The client was disconnected")], 0),
    "an error of another number": wireOf([error(1927, "Connection was killed")], 1),
    OK: wireOf([OK_PAYLOAD], 0),
    "an error that is cut": wireOf([error(4031, "The client")], 0).subarray(0, 9),
    "an error without its text": Buffer.from(encodePacket(Uint8Array.of(0xff), 0)),
    "two errors": wireOf([error(4031, "one"), error(4032, "two")], 0),
    "its end": Buffer.alloc(0),
  };
  for (const [what, bytes] of Object.entries(chunks)) {
    for (const isHeld of [false, true]) {
      page(`${what} though nothing was asked${isHeld ? ", within a transaction" : ""}`, {
        says: [isHeld ? "BEGIN" : "SELECT 1", "SELECT 2"],
        between: async ({ peers, proxy }) => {
          const gone = proxy.untilEvent(({ type }) => type === "disconnect");
          if (bytes.length > 0) peers[0]?.socket.write(bytes);
          else peers[0]?.socket.end();
          await gone;
        },
      });
    }
  }
});

describe("responses that are cut off go as test/golden/mysql-odd-servers.txt holds", () => {
  const five = rows([["1"], ["22"], ["333"], ["4444"], ["55555"]]);
  const more = [...five.slice(0, -1), rowsEnd(0x000a)];
  const answers: Record<string, readonly Uint8Array[]> = {
    "to their end": five,
    "and more behind them": [...five, OK_PAYLOAD],
    "another result behind them": [...more, ...five],
    "a file's name behind them": [...more, Buffer.from("\xfbname", "latin1")],
    "an error behind them": [...five.slice(0, -1), error(1317, "stopped")],
    "without an end": five.slice(0, -1),
    "without an end, and long": [...five.slice(0, -1), textRow("x".repeat(900))],
    "what is none behind them": [...more, columnCount(0xfc00)],
  };
  for (const [what, answer] of Object.entries(answers)) {
    for (const limitAction of ["cut", "terminate", "warn"] as const) {
      page(`${what}, ${limitAction}`, {
        says: ["SELECT 1", "SELECT odd", "SELECT 2"],
        backend: { ...patience(LONG_MS), progressTimeoutMs: 150 },
        listener: {
          dataGuard: {
            ...NO_DATA_LIMITS,
            responseRowsMax: 3,
            limitAction,
            discardTimeoutMs: /^(?:without|what)/.test(what) ? 200 : LONG_MS,
            discardBytesMax: 100 * ROW_BYTES,
          },
        },
        odd: (said, _peer, _clock, payload) =>
          said === "SELECT odd" ? answer : payload.length === 0 ? [OK_PAYLOAD] : undefined,
      });
    }
  }
  const windows: Record<string, Partial<DataGuardLimits>> = {
    "a session's bytes": { windowBytesMax: 16_384 + 500 },
    "a user's bytes": { userWindowBytesMax: 16_384 + 500 },
    "a user's rows": { userWindowRowsMax: 2 },
  };
  for (const [what, limits] of Object.entries(windows)) {
    for (const limitAction of ["cut", "warn", "terminate"] as const) {
      page(`rows of a cursor beyond ${what}, ${limitAction}`, {
        listener: { dataGuard: { ...NO_DATA_LIMITS, ...limits, limitAction } },
        betweenMs: 10,
        says: [
          ["prepare", Buffer.from("\x16SELECT a FROM t")],
          ["execute", executePayload(1, 1)],
          ["fetch", statementCommand(0x1c, 1, [1, 0, 0, 0])],
          ["fetch", statementCommand(0x1c, 1, [1, 0, 0, 0])],
          ["fetch", statementCommand(0x1c, 1, [1, 0, 0, 0])],
          ["fetch of none", statementCommand(0x1c, 9, [1, 0, 0, 0])],
          ["reset", statementCommand(0x1a, 1)],
          "SELECT 1",
          ["fetch", statementCommand(0x1c, 1, [1, 0, 0, 0])],
        ],
        between: async ({ clock }, command) => {
          if (command === 7) clock.advance(2 * BETWEEN_MS);
        },
        odd: (said, _peer, _clock, [command]) => {
          if (said === "SELECT a FROM t") return prepareOk(1, 0, 1);
          if (command === 0x17) return [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)];
          return command === 0x1c ? [binaryRow("x".repeat(250)), rowsEnd(CURSOR_EXISTS)] : undefined;
        },
      });
    }
  }
});

describe("approvals of what is run by a name go as test/golden/mysql-odd-servers.txt holds", () => {
  const lists: Record<string, readonly string[]> = {
    numbers: [
      "SET @n = 5",
      "PREPARE s FROM 'DELETE FROM t WHERE a = ?'",
      "EXECUTE s USING @n",
      "EXECUTE s USING @n",
      "SET @n = 6",
      "EXECUTE s USING @n",
      "SET @n = '6'",
      "EXECUTE s USING @n",
      "EXECUTE s USING @m",
    ],
    texts: [
      "SET @q = 'DELETE FROM t WHERE a = 1'",
      "PREPARE s FROM @q",
      "EXECUTE s",
      "EXECUTE s",
      "SET @q = 'DELETE FROM t WHERE a = 2'",
      "PREPARE s FROM @q",
      "EXECUTE s",
      "USE pay",
      "EXECUTE s",
      "DEALLOCATE PREPARE s",
      "EXECUTE s",
    ],
    packets: [
      "SET @n = 5; PREPARE s FROM 'DELETE FROM t WHERE a = ?'; EXECUTE s USING @n",
      "SET @n = 5; PREPARE s FROM 'DELETE FROM t WHERE a = ?'; EXECUTE s USING @n",
      "SET @n = 6; PREPARE s FROM 'DELETE FROM t WHERE a = ?'; EXECUTE s USING @n",
      "SELECT 1; SELECT 2",
      "EXECUTE s USING @n",
      "SELECT @n := 7; SELECT 2",
      "EXECUTE s USING @n",
    ],
  };
  for (const [what, says] of Object.entries(lists)) {
    for (const answer of ["approved", "denied", "taken back"] as const) {
      page(`${what}, ${answer}`, {
        policy:
          "deny: { statements: [{ match: delete, action: require-approval }] }\napproval: { mode: immediate }\nmulti_statements: true",
        says: says.flatMap((sql) => (sql.includes("EXECUTE") ? [sql, sql] : [sql])),
        between: async ({ proxy: { approvals, services } }) => {
          for (const { id, state } of approvals.list()) {
            if (state !== "pending") continue;
            if (answer === "denied") approvals.deny(id, { approver: "bob", reason: undefined });
            else await approvals.approve(id, APPROVER);
            if (answer === "taken back") Object.assign(services.approvals, { use: () => false });
          }
        },
      });
    }
  }
});

describe("files of the client's go as test/golden/mysql-odd-servers.txt holds", () => {
  const load = Buffer.from("\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE t");
  const nothing = new Uint8Array(0);
  const files: Record<string, readonly Uint8Array[]> = {
    none: [nothing],
    "a short one": [Buffer.from("1\n2\n"), nothing],
    "one in parts": [Buffer.from("1\n2\n"), Buffer.from("3\n"), Buffer.from("4\n"), nothing],
    "one without an end": [Buffer.from("1\n")],
  };
  for (const [what, file] of Object.entries(files)) {
    for (const localInfileBytesMax of [0, 5, 6]) {
      for (const asked of ["f", "g"]) {
        page(`${what} where ${asked} is asked for and ${localInfileBytesMax} bytes may be`, {
          listener: { localInfileBytesMax },
          policy: "thresholds: { warn: 90, block: 99 }",
          says: ["SELECT 1", ["LOAD DATA", load, file], "SELECT 2"],
          odd: (said, _peer, _clock, payload) => {
            if (said.startsWith("LOAD")) return [Buffer.from(`\xfb${asked}`, "latin1")];
            if (payload.length === 0) return [okWith(2, { affectedRows: 2 })];
            return said.startsWith("\n") ? "nothing" : undefined;
          },
        });
      }
    }
  }
  page("one that is not to be", {
    listener: { allowsLocalInfile: false },
    policy: "thresholds: { warn: 90, block: 99 }",
    says: ["SELECT 1", ["LOAD DATA", load], ["XML", Buffer.from("\x03LOAD XML LOCAL INFILE 'f' INTO TABLE t")]],
  });
});

describe("guarded statements go as test/golden/mysql-odd-servers.txt holds", () => {
  const counts = [0, 1, 2, 250, 251, 65_535, 65_536, 16_777_215, 16_777_216];
  const tracked = { systemVariables: new Map([["sql_mode", "ANSI_QUOTES"]]), schema: "pay" };
  for (const rowsMax of [1, 100_000_000]) {
    for (const isOwn of [true, false]) {
      page(`${rowsMax} rows may change ${isOwn ? "in a transaction of querycop's" : "in the client's"}`, {
        policy: `impact: { max_changed_rows: ${rowsMax} }`,
        says: [
          ...(isOwn ? [] : ["BEGIN"]),
          ...counts.map((count) => `UPDATE t SET a = ${count} WHERE b = 2`),
          "UPDATE t SET FAIL = 1",
          ["execute of none", executePayload(3)],
        ],
        odd: (said) => {
          const count = /^UPDATE t SET a = (\d+)/.exec(said)?.[1];
          return count === undefined ? undefined : [okWith(isOwn ? 0x0003 : 3, { affectedRows: Number(count) })];
        },
      });
    }
  }
  const failing = ["START TRANSACTION", "SAVEPOINT", "COMMIT", "ROLLBACK", "ROLLBACK TO"];
  const ways: Record<string, readonly Uint8Array[] | "nothing"> = {
    "an error": [error(1192, "not now")],
    "a warning": [Buffer.from([0, 0, 0, 2, 0, 1, 0])],
    "what it changes": [okWith(2, { sessionState: tracked })],
    rows: rows([["1"]]),
    "more than an answer": [OK_PAYLOAD, OK_PAYLOAD],
  };
  for (const statement of failing) {
    for (const [what, answer] of Object.entries(ways)) {
      page(`${statement} is answered by ${what}`, {
        policy: "impact: { max_changed_rows: 1 }",
        says: [
          "SELECT 1",
          "UPDATE t SET a = 1 WHERE b = 2",
          "UPDATE t SET a = 2 WHERE b = 2",
          "BEGIN",
          "UPDATE t SET a = 1 WHERE b = 2",
          "UPDATE t SET a = 2 WHERE b = 2",
          "COMMIT",
        ],
        odd: (said) => {
          const count = /^UPDATE t SET a = (\d+)/.exec(said)?.[1];
          if (count !== undefined) return [okWith(3, { affectedRows: Number(count), sessionState: tracked })];
          return said.startsWith(statement) && said !== "BEGIN" ? answer : undefined;
        },
      });
    }
  }
});

/** Where a session is when it comes to its end. */
const STATES = {
  "at rest": "SELECT 1",
  "in a transaction": "BEGIN",
  "before an answer": "SELECT SLEEP(9)",
  "inside an answer": "SELECT half",
  held: "REPLACE INTO log (n) VALUES (1)",
} as const;
type State = keyof typeof STATES;

interface Ending {
  readonly session: LiveSession;
  readonly client: PacketPeer;
  readonly server: PacketPeer;
  readonly proxy: ProxyHarness;
}

/** What ends it, or lets it go on; the second kind only where something waits for it. */
const ENDS: Record<string, (ending: Ending) => unknown> = {
  "is killed": ({ session }) => {
    session.kill("olga");
    session.kill("another");
  },
  "is shut down": ({ session }) => {
    session.close("shutdown");
    session.kill("late");
  },
  "has been idle too long": ({ session }) => session.close("timeout"),
  "loses its server": ({ server }) => server.socket.end(),
  "loses its server at once": ({ server }) => server.socket.resetAndDestroy(),
  "is told something unasked": ({ server }) => server.socket.write(wireOf([error(4031, "gone")], 0)),
};
const CLIENTS: Record<string, (ending: Ending) => unknown> = {
  "has a client that ends": ({ client }) => client.socket.end(),
  "has a client that goes": ({ client }) => client.socket.destroy(),
  "has a client that quits": ({ client }) => client.write(Uint8Array.of(1), 0),
};
const HELD_ENDS: Record<string, (ending: Ending) => unknown> = {
  "is killed by another": ({ session }) => session.cancelHold(),
  "is approved": async ({ proxy }) => await proxy.approvals.approve(proxy.approvals.list()[0]?.id ?? "", APPROVER),
  "is denied": async ({ proxy }) =>
    await proxy.approvals.deny(proxy.approvals.list()[0]?.id ?? "", { approver: "bob", reason: "not on a Friday" }),
  "is approved, and that is taken back": async ({ proxy }) => {
    Object.assign(proxy.services.approvals, { use: () => false });
    await proxy.approvals.approve(proxy.approvals.list()[0]?.id ?? "", APPROVER);
  },
};
const GOING_ON = new Set(Object.keys(HELD_ENDS));

async function comeTo(state: State, { proxy, seen }: Stage, client: PacketPeer): Promise<void> {
  client.write(Buffer.from(`\x03${STATES[state]}`), 0);
  if (state === "held")
    await eventually("a statement is held", () => proxy.approvals.list().some((open) => open.state === "pending"));
  else if (state === "before an answer")
    await eventually("the server has it", () => seen.some((line) => line.includes("SLEEP")));
  else if (state === "inside an answer") await client.expect();
  else await answered(client, true);
}

/** The session comes to its state, then to its end, and all that its client gets is told. */
const ended =
  (state: State, end: string, act: (ending: Ending) => unknown) =>
  async (_play: Play, stage: Stage): Promise<void> => {
    const { lines, proxy, clock } = stage;
    const client = await logIn(proxy.port, { schema: "shop" });
    await comeTo(state, stage, client);
    clock.advance(BETWEEN_MS);
    stage.flush();
    stage.view();
    const [session] = proxy.registry;
    const [server] = stage.peers;
    if (session === undefined || server === undefined) throw new Error("no session");
    if (GOING_ON.has(end)) client.write(Uint8Array.of(PING), 0);
    await act({ session, client, server, proxy });
    for (let packets = GOING_ON.has(end) ? 2 : 1e9; packets > 0; packets--) {
      const packet = await client.read();
      if (packet === undefined) lines.push("< closed");
      if (packet === undefined) break;
      lines.push(answerLine([packet]));
    }
    if (GOING_ON.has(end)) stage.view();
    client.socket.destroy();
    await proxy.registry.whenEmpty();
  };

describe("a session that ends goes as test/golden/mysql-odd-servers.txt holds", () => {
  for (const state of Object.keys(STATES) as State[]) {
    const isBusy = state === "before an answer" || state === "inside an answer";
    const ends = { ...ENDS, ...(isBusy ? {} : CLIENTS), ...(state === "held" ? HELD_ENDS : {}) };
    for (const [end, act] of Object.entries(ends)) {
      const play: Play = {
        says: [],
        policy: "deny: { statements: [{ match: replace, action: require-approval }] }",
        odd: (said, peer) => {
          if (said.includes("SLEEP")) return "nothing";
          if (said !== "SELECT half") return undefined;
          peer.socket.write(wireOf(rows([["1"]]).slice(0, -1)));
          return "nothing";
        },
      };
      page(`${state}: it ${end}`, play, ended(state, end, act));
    }
  }
});
