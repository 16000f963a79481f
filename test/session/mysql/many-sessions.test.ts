/**
 * Whole sessions of MySQL with commands of every kind and in every state, too many to be read: what the client sends, what
 * reaches the server, what the client gets, all that is recorded, told to the log and counted, and how the session stands.
 * test/golden/many-sessions.txt holds a sum of each, which begins with its seed. `MANY_SESSIONS=1004` prints the session
 * of that line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { after, test } from "node:test";
import { ByteWriter } from "../../../src/base/bytes.ts";
import { encodeChangeUser } from "../../../src/mysql/command.ts";
import {
  CLIENT_LONG_PASSWORD,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_SESSION_TRACK,
  LOCAL_INFILE_HEADER,
  MARIADB_CLIENT_BULK_UNIT_RESULTS,
  MARIADB_CLIENT_STMT_BULK_OPERATIONS,
} from "../../../src/mysql/constants.ts";
import type { Packet } from "../../../src/mysql/packet.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { BACKEND_FLAGS, GREETING, logIn, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import { ModelServer } from "../../support/model-server.ts";
import { NO_DATA_LIMITS, type ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { TimersLeft } from "../../support/timers-left.ts";
import { counted, countedSince, fields, wholeEventLine } from "../../support/transcript-lines.ts";
import {
  answered,
  answerLine,
  MARIADB,
  SCENES,
  type Scene,
  sceneJudge,
  TENANTS,
} from "../../support/transcript-session.ts";
import { statementCommand } from "../../support/wire-replies.ts";

after(closeStages);

const SESSIONS = 5;
const COMMANDS = 24;
const TIMEOUT_MS = 120_000;
const PACKET_BYTES_MAX = 300;

/** A MariaDB that agrees to bulk execution, and to results by unit. */
const BULK_FLAGS = (BACKEND_FLAGS & ~CLIENT_LONG_PASSWORD) >>> 0;
const BULK_CAPABILITIES = MARIADB_CLIENT_STMT_BULK_OPERATIONS | MARIADB_CLIENT_BULK_UNIT_RESULTS;
const BULK = { ...MARIADB, capabilities: { flags: BULK_FLAGS, mariadb: BULK_CAPABILITIES } };

const MORE_SCENES: readonly Scene[] = [
  { title: "files that are not to be sent", listener: { allowsLocalInfile: false } },
  {
    title: "files that are not to be sent to MariaDB",
    listener: { allowsLocalInfile: false },
    model: { greeting: MARIADB },
  },
  { title: "files of some bytes", listener: { localInfileBytesMax: 20 }, policy: "multi_statements: true" },
  { title: "packets of some bytes", listener: { packetBytesMax: PACKET_BYTES_MAX } },
  {
    title: "no policy's worth",
    policy: "mode: observe\nmulti_statements: true",
    listener: { preparedStatementsMax: 3 },
  },
  {
    title: "windows of some bytes",
    policy: TENANTS,
    listener: { dataGuard: { ...NO_DATA_LIMITS, windowBytesMax: 16 * 1024 + 500, userWindowRowsMax: 12 } },
  },
  { title: "rows in bulk", policy: TENANTS, model: { greeting: BULK }, isBulk: true },
  {
    title: "rows in bulk, few of them",
    policy: "impact: { max_changed_rows: 1 }\nmulti_statements: true",
    model: { greeting: BULK },
    isBulk: true,
  },
  {
    title: "limits of a profile",
    policy:
      "multi_statements: true\nprofiles:\n  - { name: p, match: { schemas: [pay] }, limits: { max_response_rows: 2 } }\n  - { name: q, match: { schemas: [shop] }, limits: { max_response_rows: 4, data_guard_action: warn } }",
  },
];

const TEXTS = [
  ..."SELECT 1|SELECT a FROM orders WHERE tenant_id = 7 LIMIT 1|SELECT a FROM orders WHERE tenant_id = 8|SELECT * FROM secret".split(
    "|",
  ),
  ...'SELECT `word` FROM t LIMIT 1|SELECT "word" FROM t LIMIT 1|UPDATE t SET a = 1 WHERE b = 2|DELETE FROM t WHERE a = 1'.split(
    "|",
  ),
  ..."INSERT INTO t VALUES (1)|USE pay|USE shop|SET sql_mode = 'ANSI_QUOTES'|SET sql_mode = ''|SET NAMES latin1|SET NAMES utf8mb4".split(
    "|",
  ),
  ..."BEGIN|COMMIT|ROLLBACK|SET @v = 'SELECT 1'|SET @v = 'DROP TABLE t'|PREPARE s FROM @v|EXECUTE s|DEALLOCATE PREPARE s".split(
    "|",
  ),
  ..."CALL p()|SET sql_mode = 'FAIL'|SELECT FAIL FROM t LIMIT 1|SET session_track_system_variables = 'time_zone'|SHOW WARNINGS".split(
    "|",
  ),
  ..."SELEC 1|DROP DATABASE v|SET SESSION TRANSACTION READ WRITE|LOCK TABLES t WRITE|UNLOCK TABLES|DELETE FROM t|KILL 77".split(
    "|",
  ),
  ..."KILL QUERY 77|KILL CONNECTION 5|KILL QUERY 'x'|CREATE TABLE x (a INT)|SELECT SLEEP(9)|SET SESSION sql_log_bin = 0".split(
    "|",
  ),
  ..."SELECT 1; USE pay; SELECT * FROM secret|BEGIN; UPDATE t SET a = 1 WHERE b = 1|SELECT 1; SELECT FAIL; DROP TABLE t".split(
    "|",
  ),
  ..."SET sql_mode = 'ANSI_QUOTES'; SELECT \"word\" FROM t LIMIT 1|USE pay; SELECT 1; USE shop|SELECT 1;|;;|SELECT 1 -- x".split(
    "|",
  ),
  ..."LOAD DATA LOCAL INFILE 'f' INTO TABLE t|SELECT 1; LOAD DATA LOCAL INFILE 'g' INTO TABLE t|LOAD DATA INFILE 'h' INTO TABLE t".split(
    "|",
  ),
  ..."SET @t = 7; PREPARE s FROM 'SELECT a FROM orders WHERE tenant_id = ?'; EXECUTE s USING @t|SELECT @v|START TRANSACTION READ WRITE".split(
    "|",
  ),
  `SELECT '${"x".repeat(PACKET_BYTES_MAX - 10)}'`,
  `SELECT '${"x".repeat(PACKET_BYTES_MAX - 11)}'`,
];
const PREPARED = [
  ..."SELECT a FROM orders WHERE tenant_id = ?|SELECT a FROM t WHERE a = ? AND b = ?|UPDATE t SET a = ? WHERE b = 1|SELECT 1".split(
    "|",
  ),
  ..."INSERT INTO orders (a, tenant_id) VALUES (?, ?)|SELECT * FROM secret LIMIT 1|SELECT FAIL FROM t|SELECT LATE FROM t WHERE a = ?".split(
    "|",
  ),
  ..."CALL p(?)|USE pay|SET sql_mode = ?|SELECT f(?)|DELETE FROM t WHERE a = ?|SELECT a FROM t LIMIT ?".split("|"),
];

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

interface Statement {
  readonly id: number;
  readonly parameters: number;
}

/** Types of enum_field_types, each with a value; the third is for unsigned ones. */
const BOUND: readonly (readonly [type: number, flag: number, write: (to: ByteWriter) => ByteWriter])[] = [
  [0xfd, 0, (to) => to.lenencBytes(latin1("7"))],
  [0xfd, 0, (to) => to.lenencBytes(latin1("x' OR 1=1 -- "))],
  [0xfe, 0, (to) => to.lenencBytes(latin1("8"))],
  [3, 0, (to) => to.uint32(7)],
  [3, 0x80, (to) => to.uint32(8)],
  [8, 0x80, (to) => to.uint32(7).uint32(0)],
  [1, 0, (to) => to.uint8(7)],
  [2, 0, (to) => to.uint16(7)],
];
const NULL_TYPE = 6;

/** A COM_STMT_EXECUTE as clients send it: types where they change, NULLs by bits. */
function execution(dice: Dice, { id, parameters }: Statement): Uint8Array {
  const head = new ByteWriter()
    .uint8(0x17)
    .uint32(id)
    .uint8(dice.pick([0, 0, 0, 1]))
    .uint32(1);
  if (parameters === 0) return head.finish();
  const chosen = Array.from({ length: parameters }, () => (dice.below(6) === 0 ? undefined : dice.pick(BOUND)));
  const nulls = chosen.reduce((bits, value, index) => (value === undefined ? bits | (1 << index) : bits), 0);
  head.uint8(nulls);
  if (dice.below(4) === 0) head.uint8(0);
  else {
    head.uint8(1);
    for (const value of chosen) head.uint8(value?.[0] ?? NULL_TYPE).uint8(value?.[1] ?? 0);
  }
  for (const value of chosen) value?.[2](head);
  return head.finish();
}

/** A COM_STMT_BULK_EXECUTE: types where they are sent, and rows of values with their indicators. */
function bulkExecution(dice: Dice, { id, parameters }: Statement): Uint8Array {
  const sendsTypes = dice.below(4) > 0;
  const payload = new ByteWriter().uint8(0xfa).uint32(id);
  payload.uint16((sendsTypes ? 0x80 : 0) | dice.pick([0, 0x40]));
  const chosen = Array.from({ length: parameters }, () => dice.pick(BOUND));
  if (sendsTypes) for (const [type, flag] of chosen) payload.uint8(type).uint8(flag);
  for (let row = 1 + dice.below(3); row > 0; row--) {
    for (const [, , write] of chosen) {
      const indicator = dice.pick([0, 0, 0, 0, 1, 2, 3]);
      payload.uint8(indicator);
      if (indicator === 0) write(payload);
    }
  }
  return payload.finish();
}

const BESIDE: readonly (readonly [name: string, payload: string])[] = [
  ["COM_INIT_DB pay", "\x02pay"],
  ["COM_INIT_DB shop", "\x02shop"],
  ["COM_RESET_CONNECTION", "\x1f"],
  ["COM_SET_OPTION on", "\x1b\x00\x00"],
  ["COM_SET_OPTION off", "\x1b\x01\x00"],
  ["COM_FIELD_LIST", "\x04secret\x00"],
  ["COM_FIELD_LIST of t", "\x04t\x00a%"],
  ["COM_PROCESS_INFO", "\x0a"],
  ["COM_PROCESS_KILL", "\x0c\x4d\x00\x00\x00"],
  ["COM_PROCESS_KILL of another", "\x0c\x05\x00\x00\x00"],
  ["COM_STATISTICS", "\x09"],
  ["COM_DEBUG", "\x0d"],
  ["COM_SHUTDOWN", "\x08\x00"],
  ["nothing known", "\x77abc"],
  ["an empty query", "\x03"],
  ["a short COM_SET_OPTION", "\x1b\x00"],
  ["a short COM_STMT_EXECUTE", "\x17\x01"],
  ["a COM_STMT_BULK_EXECUTE", "\xfa\x01\x00\x00\x00\x80\x00"],
];

/** One client: what it has prepared, and what it does next. */
class Actor {
  readonly #dice: Dice;
  readonly #statements: Statement[] = [];
  #prepared = 0;

  readonly #isBulk: boolean;

  constructor(dice: Dice, isBulk = false) {
    this.#dice = dice;
    this.#isBulk = isBulk;
  }

  next(): { readonly name: string; readonly payload: Uint8Array; readonly parameters?: number } {
    const dice = this.#dice;
    const statement = dice.below(9) === 0 ? { id: dice.pick([99, 0xffffffff]), parameters: 1 } : this.#any();
    if (this.#isBulk && dice.below(4) === 0) {
      return { name: `bulk ${statement.id}`, payload: bulkExecution(dice, statement) };
    }
    switch (dice.below(16)) {
      case 0:
      case 1: {
        const text = dice.pick(PREPARED);
        return { name: `prepare ${text}`, payload: latin1(`\x16${text}`), parameters: text.split("?").length - 1 };
      }
      case 2:
      case 3:
      case 4:
        return { name: `execute ${statement.id}`, payload: execution(dice, statement) };
      case 5: {
        const data = "x".repeat(dice.pick([0, 1, 7, 200]));
        const parameter = dice.below(3);
        const payload = statementCommand(0x18, statement.id, [parameter, 0, ...latin1(data)]);
        return { name: `long data ${statement.id} ${parameter} ${data.length}`, payload };
      }
      case 6: {
        const [what, command] = dice.pick([
          ["close", 0x19] as const,
          ["reset", 0x1a] as const,
          ["reset", 0x1a] as const,
        ]);
        return { name: `${what} ${statement.id}`, payload: statementCommand(command, statement.id) };
      }
      case 7:
        return { name: `fetch ${statement.id}`, payload: statementCommand(0x1c, statement.id, [1, 0, 0, 0]) };
      case 8:
      case 9: {
        const [name, payload] = dice.pick(BESIDE);
        return { name, payload: latin1(payload) };
      }
      case 10: {
        if (dice.below(2) > 0) break;
        const schema = dice.pick(["pay", "shop", ""]);
        const change = { user: dice.pick(["app", "other"]), schema, authResponse: latin1("x"), characterSet: 45 };
        const payload = encodeChangeUser({ ...change, authPluginName: "caching_sha2_password" }, BACKEND_FLAGS);
        this.#statements.length = 0;
        return { name: `change user ${change.user} ${schema}`, payload };
      }
      default:
    }
    const text = dice.pick(TEXTS);
    return { name: text, payload: queryPayload(text) };
  }

  #any(): Statement {
    return this.#statements.length === 0 ? { id: 1, parameters: 0 } : this.#dice.pick(this.#statements);
  }

  /** The model's server counts them. */
  hasPrepared(parameters: number, first: Uint8Array | undefined): void {
    if (first?.[0] !== 0 || first.length < 12) return;
    this.#prepared = Buffer.from(first).readUInt32LE(1);
    this.#statements.push({ id: this.#prepared, parameters });
  }
}

const WITHOUT_RESPONSE: readonly number[] = [0x18, 0x19];
const CHANGE_USER = 0x11;

/** Sends it, with a file where the server asks for one, and reads the answer. */
async function exchange(
  client: PacketPeer,
  payload: Uint8Array,
  dice: Dice,
): Promise<{ packets: Packet[]; isClosed: boolean }> {
  client.write(payload, 0);
  const text = Buffer.from(payload).toString("latin1");
  if (payload[0] !== CHANGE_USER && !text.includes("LOCAL INFILE")) {
    return await answered(client, !WITHOUT_RESPONSE.includes(payload[0] ?? 0));
  }
  const packets: Packet[] = [];
  for (;;) {
    const packet = await client.read();
    if (packet === undefined) return { packets, isClosed: true };
    packets.push(packet);
    if (packet.payload[0] === LOCAL_INFILE_HEADER && packet.payload.length < 5) {
      let sequenceId = packet.sequenceId + 1;
      for (let count = dice.below(4); count > 0; count--) client.write(latin1("1,2,3\n4,5\n"), sequenceId++);
      client.write(new Uint8Array(0), sequenceId);
      continue;
    }
    const isRow = packets.length > 1 && (packet.payload[0] ?? 0) < 0xf0 && packet.payload[0] !== 0;
    const isHead = packet.payload[0] === 1 && packets.length === 1;
    const hasMore = packet.payload[0] === 0xfe && ((packet.payload[3] ?? 0) & 8) !== 0;
    if (!isRow && !isHead && !hasMore) break;
  }
  const rest = await answered(client, false);
  return { packets: [...packets, ...rest.packets], isClosed: rest.isClosed };
}

async function linesOf(proxy: ProxyHarness, server: ModelServer, scene: Scene, dice: Dice): Promise<string[]> {
  const lines: string[] = [];
  const without =
    (scene.isUntracked === true ? CLIENT_SESSION_TRACK : 0) | (dice.below(6) === 0 ? CLIENT_MULTI_STATEMENTS : 0);
  const all = scene.isBulk === true ? BULK_FLAGS : BACKEND_FLAGS;
  const mariadb = scene.isBulk === true ? BULK_CAPABILITIES : 0;
  const client = await logIn(proxy.port, { schema: "shop", flags: (all & ~without) >>> 0, mariadb });
  const actor = new Actor(dice, scene.isBulk);
  const flush = (): void => {
    lines.push(...server.seen.splice(0).filter((line) => !line.startsWith("e ")));
    lines.push(...proxy.events.splice(0).map(wholeEventLine));
    lines.push(
      ...proxy.log.splice(0).map(({ level, event, fields: more }) => `# ${level} ${event} ${fields(more, true)}`),
    );
  };
  for (let command = 0; command < COMMANDS; command++) {
    const { name, payload, parameters } = actor.next();
    lines.push(`> ${name}`);
    const { packets, isClosed } = await exchange(client, payload, dice);
    if (parameters !== undefined) actor.hasPrepared(parameters, packets[0]?.payload);
    lines.push(answerLine(packets));
    if (isClosed) break;
    flush();
    for (const session of proxy.registry) {
      const { isIdle, isAtRest, isLoggingIn, holdsLoginPlace } = session;
      lines.push(`  ${fields({ ...session.view(), isIdle, isAtRest, isLoggingIn, holdsLoginPlace }, true)}`);
    }
  }
  if (dice.below(2) === 0) {
    client.write(Uint8Array.of(1), 0);
    // A client that keeps its end open is waited for.
    client.socket.once("end", () => client.socket.end()).resume();
  } else client.socket.destroy();
  await proxy.registry.whenEmpty();
  client.socket.destroy();
  flush();
  return lines;
}

for (const [index, scene] of [...SCENES, ...MORE_SCENES].entries()) {
  test(`sessions go as test/golden/many-sessions.txt holds: ${scene.title}`, { timeout: TIMEOUT_MS }, async () => {
    const sums: string[] = [];
    for (let seed = 100 * index; seed < 100 * index + SESSIONS; seed++) {
      const server = new ModelServer({ greeting: GREETING, ...scene.model, isThorough: true });
      const { proxy } = await openStage(server.script, {
        services: { judge: sceneJudge(scene.policy), clock: { wallMs: () => 0, monotonicMs: () => 0 } },
        listener: scene.listener ?? {},
        backend: scene.backend ?? {},
      });
      const before = counted(proxy.metrics.render(), true);
      const timers = new TimersLeft();
      const lines = await linesOf(proxy, server, scene, new Dice(seed));
      lines.push(...(await timers.stop()));
      lines.push(...countedSince(before, proxy.metrics.render(), true));
      if (process.env["MANY_SESSIONS"] === String(seed)) console.log(lines.join("\n"));
      sums.push(`${seed} ${createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 12)}`);
    }
    assertGoldenPart("many-sessions.txt", scene.title, sums);
  });
}
