/**
 * Whole sessions as pages to read: what the client sends (>), what reaches the server (=), what the client gets (<), what is
 * recorded (!) and told to the log (#), and at the end what was counted. The commands come from seeds, the server is
 * test/support/model-server.ts. test/golden/transcripts.txt holds them: read the difference before it is written anew.
 */
import { after, test } from "node:test";
import { CLIENT_SESSION_TRACK } from "../../../src/mysql/constants.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { BACKEND_FLAGS, logIn, queryPayload } from "../../support/fake-peers.ts";
import { ModelServer } from "../../support/model-server.ts";
import type { ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { counted, countedSince, eventLine, fields } from "../../support/transcript-lines.ts";
import { answered, answerLine, SCENES, type Scene, sceneJudge, seenLine } from "../../support/transcript-session.ts";
import { executePayload, statementCommand } from "../../support/wire-replies.ts";

after(closeStages);

const SESSIONS = 3;
const COMMANDS = 14;
const ODD_EVERY = 3;
const TIMEOUT_MS = 60_000;

const USUAL = [
  ...[
    "SELECT a FROM orders WHERE tenant_id = 7 LIMIT 1",
    "SELECT a FROM orders WHERE tenant_id = 8",
    "SELECT 1",
    "SELECT `word` FROM t LIMIT 1",
  ],
  ...[
    'SELECT "word" FROM t LIMIT 1',
    "SELECT * FROM secret",
    "UPDATE t SET a = 1 WHERE b = 2",
    "DELETE FROM t WHERE a = 1",
    "INSERT INTO t VALUES (1)",
  ],
  ...[
    "USE pay",
    "USE shop",
    "SET sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = ''",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
  ],
  ...["SET @v = 'SELECT 1'", "PREPARE s FROM @v", "EXECUTE s", "SELECT * FROM T LIMIT 1"],
];
const ODD = [
  ...[
    "CALL p()",
    "SET sql_mode = 'FAIL'",
    "SELECT FAIL FROM t LIMIT 1",
    "SET session_track_system_variables = 'time_zone'",
    "SHOW WARNINGS",
    "SELEC 1",
  ],
  ...[
    "SELECT ROW_COUNT()",
    "DROP DATABASE v",
    "SET SESSION TRANSACTION READ WRITE",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "DELETE FROM t",
    "KILL 77",
  ],
  ...[
    "SELECT 1; USE pay; SELECT * FROM secret",
    "BEGIN; UPDATE t SET a = 1 WHERE b = 1",
    "CREATE TABLE x (a INT)",
    "SET @v = 'DROP TABLE t'",
    "SELECT SLEEP(9)",
  ],
  ...[
    "EXECUTE IMMEDIATE 'USE pay'",
    "SET STATEMENT sql_mode='' FOR SELECT 1",
    "SET SESSION sql_log_bin = 0",
    "START TRANSACTION READ WRITE",
    "SELECT a FROM t FOR UPDATE",
  ],
];

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** Commands besides COM_QUERY, and how they are told. `last` is the statement that was prepared last. */
const COMMANDS_BESIDE: readonly (readonly [name: string, make: (last: number) => Uint8Array])[] = [
  ["COM_STMT_PREPARE", () => latin1("\x16SELECT a FROM orders WHERE tenant_id = 7 LIMIT 1")],
  ["COM_STMT_PREPARE of a write", () => latin1("\x16UPDATE t SET a = 1 WHERE b = 1")],
  ["COM_STMT_PREPARE of secret", () => latin1("\x16SELECT * FROM secret LIMIT 1")],
  ["COM_STMT_PREPARE of an error", () => latin1("\x16SELECT FAIL FROM t LIMIT 1")],
  ["COM_STMT_EXECUTE", (last) => executePayload(last)],
  ["COM_STMT_EXECUTE again", (last) => executePayload(last)],
  ["COM_STMT_EXECUTE of the last", () => executePayload(0xffffffff)],
  ["COM_STMT_EXECUTE of none", () => executePayload(99)],
  ["COM_STMT_CLOSE", (last) => statementCommand(0x19, last)],
  ["COM_STMT_RESET", (last) => statementCommand(0x1a, last)],
  ["COM_STMT_FETCH", (last) => statementCommand(0x1c, last, [1, 0, 0, 0])],
  ["COM_INIT_DB pay", () => latin1("\x02pay")],
  ["COM_INIT_DB shop", () => latin1("\x02shop")],
  ["COM_RESET_CONNECTION", () => latin1("\x1f")],
  ["COM_SET_OPTION on", () => latin1("\x1b\x00\x00")],
  ["COM_SET_OPTION off", () => latin1("\x1b\x01\x00")],
  ["COM_FIELD_LIST", () => latin1("\x04secret\x00")],
  ["COM_PROCESS_KILL", () => latin1("\x0c\x4d\x00\x00\x00")],
  ["COM_STATISTICS", () => latin1("\x09")],
  ["COM_SHUTDOWN", () => latin1("\x08\x00")],
  ["COM_CREATE_DB", () => latin1("\x05x")],
  ["nothing known", () => latin1("\x77abc")],
  ["an empty query", () => latin1("\x03")],
];
const BESIDE_EVERY = 4;
const CLOSE = 0x19;
const PREPARE_OK = 0;

function chosen(dice: Dice, last: number): readonly [name: string, payload: Uint8Array] {
  if (dice.below(BESIDE_EVERY) === 0) {
    const [name, make] = dice.pick(COMMANDS_BESIDE);
    return [name, make(last)];
  }
  const text = dice.pick(dice.below(ODD_EVERY) === 0 ? ODD : USUAL);
  return [text, queryPayload(text)];
}

/** One session: its lines. */
async function transcript(proxy: ProxyHarness, server: ModelServer, scene: Scene, dice: Dice): Promise<string[]> {
  const lines: string[] = [];
  const flags = scene.isUntracked === true ? { flags: (BACKEND_FLAGS & ~CLIENT_SESSION_TRACK) >>> 0 } : {};
  const client = await logIn(proxy.port, { schema: "shop", ...flags });
  let last = 1;
  let shown = "";
  const flush = (): void => {
    lines.push(
      ...server.seen
        .splice(0)
        .filter((line) => !line.startsWith("e "))
        .map(seenLine),
    );
    lines.push(...proxy.events.splice(0).map(eventLine));
    lines.push(...proxy.log.splice(0).map(({ level, event, fields: more }) => `# ${level} ${event} ${fields(more)}`));
  };
  for (let command = 0; command < COMMANDS; command++) {
    const [name, payload] = chosen(dice, last);
    lines.push(`> ${name}`);
    client.write(payload, 0);
    const { packets, isClosed } = await answered(client, payload[0] !== CLOSE);
    const [first] = packets;
    if (name.startsWith("COM_STMT_PREPARE") && first?.payload[0] === PREPARE_OK)
      last = Buffer.from(first.payload).readUInt32LE(1);
    lines.push(answerLine(packets));
    if (isClosed) break;
    flush();
    for (const session of proxy.registry) {
      const { schema, state, isInTransaction, commands, user, statement } = session.view();
      const view = fields({ schema, state, isInTransaction, user, statement, isEven: commands % 2 === 0 });
      if (view !== shown) lines.push(`  ${view}`);
      shown = view;
    }
  }
  client.socket.destroy();
  await proxy.registry.whenEmpty();
  flush();
  return lines;
}

for (const [index, scene] of SCENES.entries()) {
  test(`a session goes as test/golden/transcripts.txt holds: ${scene.title}`, { timeout: TIMEOUT_MS }, async () => {
    const server = new ModelServer(scene.model);
    const { proxy } = await openStage(server.script, {
      services: { judge: sceneJudge(scene.policy) },
      listener: scene.listener ?? {},
      backend: scene.backend ?? {},
    });
    const before = counted(proxy.metrics.render());
    const lines: string[] = [];
    for (let session = 0; session < SESSIONS; session++) {
      lines.push(`session ${session}`, ...(await transcript(proxy, server, scene, new Dice(100 * index + session))));
    }
    lines.push(...countedSince(before, proxy.metrics.render()));
    assertGoldenPart("transcripts.txt", scene.title, lines);
  });
}
