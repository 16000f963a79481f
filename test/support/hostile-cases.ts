/** What hostile peers do, one case for a seed: which phase, what they say there, and how they fall silent. */
import { encodeAuthSwitchRequest, encodeHandshakeV10, type HandshakeV10 } from "../../src/mysql/handshake.ts";
import { below, chosen, damaged, type Random } from "./damage.ts";
import { GREETING, OK_PAYLOAD, queryPayload } from "./fake-peers.ts";
import {
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  executePayload,
  fileRequest,
  LAST_ROW_SENT,
  okWith,
  prepareOk,
  resultSet,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "./wire-replies.ts";

export const LOAD_FILE = Buffer.from(queryPayload("LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE t"));
const SELECT = queryPayload("SELECT a FROM t WHERE b = 3");
const PREPARE = Buffer.from("\x16SELECT a FROM t WHERE b = 3");
const FETCH = statementCommand(0x1c, 1, [1, 0, 0, 0]);
/** COM_CHANGE_USER: name, an answer of no bytes, no schema, utf8mb4, the plugin. */
export const CHANGE_USER = Buffer.from("\x11other\0\0\0\x2d\0mysql_native_password\0", "latin1");
const QUIT = Uint8Array.of(0x01);

/** Commands that are answered at once. */
const QUESTIONS: readonly Uint8Array[] = [
  SELECT,
  LOAD_FILE,
  queryPayload("START TRANSACTION"),
  queryPayload("SELECT 1; SELECT 2"),
  PREPARE,
  Uint8Array.of(0x0e),
  Uint8Array.of(0x1f),
  Buffer.from("\x02appdb"),
  Buffer.from("\x04t\0"),
];

const ERROR = Buffer.from("\xff\x7a\x04#42S02no such table", "latin1");
const CURSOR = [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)];
const ROWS = resultSet([textRow("one row"), textRow("x".repeat(300)), textRow(null)]);
export const SWITCH_REQUEST = encodeAuthSwitchRequest({
  authPluginName: "mysql_native_password",
  authPluginData: Buffer.from(`${"n".repeat(20)}\0`),
});

/** What a server says to a question, before it is damaged. */
const REPLIES: readonly (readonly Uint8Array[])[] = [
  [OK_PAYLOAD],
  ROWS,
  [...resultSet([textRow("a")], 0x000a), OK_PAYLOAD],
  prepareOk(1, 2, 1),
  [fileRequest("f.csv")],
  [ERROR],
  CURSOR,
];
const VERDICTS: readonly Uint8Array[] = [
  OK_PAYLOAD,
  ERROR,
  SWITCH_REQUEST,
  Uint8Array.of(1, 3),
  Uint8Array.of(1, 4),
  Uint8Array.of(1, 0x7f),
  Uint8Array.of(0xfe),
];

export type ServerPhase = "greeting" | "tls" | "login" | "authentication" | "probe" | "command" | "change-user";
export type Ending = "silence" | "FIN" | "RST";

export interface ServerCase {
  readonly phase: ServerPhase;
  /** What the client asks, and what it is answered in whole; the last is answered with `said`. */
  readonly commands: readonly Uint8Array[];
  readonly replies: readonly (readonly Uint8Array[])[];
  readonly said: Buffer;
  readonly ending: Ending;
}

interface Scene {
  readonly phase: ServerPhase;
  readonly commands: readonly Uint8Array[];
  readonly replies?: readonly (readonly Uint8Array[])[];
  readonly reply: (random: Random) => readonly Uint8Array[];
  readonly firstSequenceId?: number;
}

const verdict = (random: Random): Uint8Array[] => [chosen(random, VERDICTS)];

/** `extra` is one more packet before the login where it goes over TLS. */
function sceneOf(random: Random, extra: number): Scene {
  const early: Scene[] = [
    { phase: "greeting", commands: [], reply: () => [encodeHandshakeV10(GREETING)], firstSequenceId: 0 },
    { phase: "login", commands: [], reply: verdict, firstSequenceId: 2 + extra },
    { phase: "authentication", commands: [], reply: verdict, firstSequenceId: 4 + extra },
  ];
  // What stands where a TLS server would say its ServerHello.
  if (extra > 0) early.push({ phase: "tls", commands: [], reply: () => [ERROR, OK_PAYLOAD], firstSequenceId: 0x16 });
  const late: Scene[] = [
    { phase: "command", commands: [chosen(random, QUESTIONS)], reply: () => chosen(random, REPLIES) },
    { phase: "command", commands: [chosen(random, QUESTIONS)], reply: () => chosen(random, REPLIES) },
    { phase: "command", commands: [SELECT], reply: () => [OK_PAYLOAD, ...chosen(random, REPLIES)] },
    { phase: "probe", commands: [SELECT], reply: () => chosen(random, REPLIES) },
    { phase: "change-user", commands: [CHANGE_USER], reply: verdict },
    {
      phase: "command",
      commands: [PREPARE, executePayload(1)],
      replies: [prepareOk(1, 0, 1)],
      reply: () => chosen(random, [ROWS, CURSOR, [OK_PAYLOAD], [ERROR]]),
    },
    {
      phase: "command",
      commands: [PREPARE, executePayload(1, 1), FETCH],
      replies: [prepareOk(1, 0, 1), CURSOR],
      reply: () => [textRow("a"), rowsEnd(LAST_ROW_SENT)],
    },
    {
      phase: "command",
      commands: [queryPayload("START TRANSACTION"), SELECT],
      replies: [[okWith(1)]],
      reply: () => chosen(random, REPLIES),
    },
  ];
  return chosen(random, random() < 0.35 ? early : late);
}

/** Up to three kinds of damage, or none. */
function hurt(random: Random, whole: Buffer): Buffer {
  let bytes = whole;
  for (let count = below(random, 4); count > 0 && bytes.length > 5; count -= 1) bytes = damaged(random, bytes);
  return bytes;
}

const ENDINGS: readonly Ending[] = ["silence", "silence", "FIN", "RST"];

export function serverCase(random: Random, isTls: boolean): ServerCase {
  const { phase, commands, replies = [], reply, firstSequenceId = 1 } = sceneOf(random, isTls ? 1 : 0);
  const said = hurt(random, wireOf(reply(random), firstSequenceId));
  return { phase, commands, replies, said, ending: chosen(random, ENDINGS) };
}

export type ClientPhase = "anything" | "hello" | "login" | "authentication" | "command";

export interface ClientCase {
  readonly phase: ClientPhase;
  /** Instead of what belongs there; for a login, made from the whole one. */
  readonly said: Buffer;
  readonly ending: Ending;
}

const file = (random: Random): Buffer =>
  Buffer.concat([
    wireOf([LOAD_FILE], 0),
    wireOf([Buffer.from("1,2\n".repeat(below(random, 50))), new Uint8Array(0)], 2),
  ]);

/** One or several commands behind each other, whose answers nobody waits for. */
function batch(random: Random): Buffer {
  const items: Buffer[] = [];
  for (let count = 1 + below(random, 4); count > 0; count -= 1) {
    const more = [
      ...QUESTIONS,
      executePayload(1),
      executePayload(1, 1),
      FETCH,
      statementCommand(0x18, 1, [0, 0, 1, 2, 3]),
      statementCommand(0x1a, 1),
      CHANGE_USER,
      QUIT,
      Buffer.from("\x03SELECT /*! 1 */ 'a'; SET sql_mode = ''"),
    ];
    items.push(random() < 0.15 ? file(random) : wireOf([chosen(random, more)], 0));
  }
  return Buffer.concat(items);
}

function noise(random: Random, head: readonly number[]): Buffer {
  return Buffer.from([...head, ...Array.from({ length: below(random, 300) }, () => below(random, 256))]);
}

/** `login` is the whole HandshakeResponse41 as it would be sent. */
export function clientCase(random: Random, login: Buffer, phases: readonly ClientPhase[]): ClientCase {
  const phase = chosen(random, phases);
  const said: Record<ClientPhase, () => Buffer> = {
    anything: () => hurt(random, chosen(random, [login, noise(random, []), Buffer.from("GET / HTTP/1.1\r\n\r\n")])),
    hello: () => noise(random, chosen(random, [[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], [0x16, 3, 1, 0x40, 0], []])),
    login: () => hurt(random, damaged(random, login)),
    authentication: () => hurt(random, wireOf([Buffer.alloc(20, 0x61)], 3)),
    command: () => hurt(random, batch(random)),
  };
  return { phase, said: said[phase](), ending: chosen(random, ENDINGS) };
}

/** As a server greets that has TLS or not. */
export function greetingOf(isTls: boolean): HandshakeV10 {
  const CLIENT_SSL = 0x800;
  const { mariadb, flags } = GREETING.capabilities;
  return { ...GREETING, capabilities: { mariadb, flags: (isTls ? flags | CLIENT_SSL : flags) >>> 0 } };
}
