/**
 * No statement that a server runs with an effect is let through by a policy that forbids the effect.
 * Every attempt of test/bypass, and a few thousand variations of the lexical ones, run on a scratch schema of real
 * servers; whatever reads the forbidden table or changes anything must have been refused.
 */
import assert from "node:assert/strict";
import { after } from "node:test";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { type BypassCase, GUARDED_POLICY, readBypassCases } from "../policy/bypass-cases.ts";
import { decideText, policyFrom } from "../policy/policy-fixture.ts";
import type { ServerKind } from "../support/accounts.ts";
import { e2e } from "../support/e2e-test.ts";
import { CAPABILITY, RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const GUARDED = policyFrom(GUARDED_POLICY);
const SCHEMA = "qc_scratch";
const MARKER = "QCSECRETWORD";

const KINDS: readonly ServerKind[] = ["mysql", "mariadb", "mariadb11"];
const CONTEXTS: Readonly<Record<ServerKind, Pick<MysqlContext, "dialect" | "serverVersion">>> = {
  mysql: { dialect: "mysql", serverVersion: 90704 },
  mariadb: { dialect: "mariadb", serverVersion: 101119 },
  mariadb11: { dialect: "mariadb", serverVersion: 110800 },
};

const SETUP = `
DROP SCHEMA IF EXISTS ${SCHEMA}; CREATE SCHEMA ${SCHEMA}; USE ${SCHEMA};
CREATE TABLE pub (id INT PRIMARY KEY, name VARCHAR(40)); INSERT INTO pub VALUES (1, 'a'), (2, 'b');
CREATE TABLE secret (id INT PRIMARY KEY, word VARCHAR(40)); INSERT INTO secret VALUES (1, '${MARKER}');
CREATE TABLE audit_trail (id INT);
CREATE FUNCTION touch_everything() RETURNS INT DETERMINISTIC MODIFIES SQL DATA
  BEGIN INSERT INTO audit_trail VALUES (1); RETURN 1; END`;

/** One line that changes when anything in the scratch schema or an important setting does. */
const STATE = `SELECT CONCAT_WS('|',
  (SELECT GROUP_CONCAT(CONCAT(TABLE_NAME, TABLE_TYPE) ORDER BY TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${SCHEMA}'),
  (SELECT GROUP_CONCAT(ROUTINE_NAME ORDER BY ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '${SCHEMA}'),
  (SELECT GROUP_CONCAT(CONCAT(TABLE_NAME, COLUMN_NAME) ORDER BY 1) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '${SCHEMA}'),
  (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '${SCHEMA}'),
  (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '${SCHEMA}'),
  (SELECT CONCAT(@@GLOBAL.max_connections, @@GLOBAL.read_only)))`;
const ROWS = `SELECT CONCAT_WS('|', (SELECT GROUP_CONCAT(CONCAT(id, name) ORDER BY id) FROM ${SCHEMA}.pub),
  (SELECT COUNT(*) FROM ${SCHEMA}.secret), (SELECT COUNT(*) FROM ${SCHEMA}.audit_trail))`;

/** What may stay behind in a session and change what the next attempt means. */
const LEAVES_TRACES = /\b(set|use|begin|start|xa|lock|handler|prepare|execute|temporary|commit|call)\b|@/i;

/** Runs one statement at a time and says what it did. */
class Scratch {
  readonly #server: TestServer;
  readonly #mode: string;
  /** Runs the attempts. */
  #attacker: RawClient | undefined;
  /** Looks at the outcome, untouched by what an attempt does to its own session. */
  #observer: RawClient | undefined;
  #clean = "";

  constructor(server: TestServer, mode: string) {
    this.#server = server;
    this.#mode = mode;
  }

  async #connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.#server.host, this.#server.port);
    const admin = this.#server.accounts["admin"];
    assert.ok(admin);
    await client.login({ ...admin, moreCapabilities: CAPABILITY.MULTI_STATEMENTS });
    for (const sql of [`USE ${SCHEMA}`, `SET SESSION sql_mode = '${this.#mode}'`]) await answerTo(client, sql);
    return client;
  }

  /** Puts the schema back; everything that ran before is forgotten. */
  async reset(): Promise<void> {
    this.close();
    const [tables = "", routine = ""] = SETUP.split("CREATE FUNCTION");
    await this.#server.rootQuery(tables);
    this.#observer = await this.#connect();
    await answerTo(this.#observer, `CREATE FUNCTION${routine}`);
    this.#clean = await this.#state();
  }

  async #state(): Promise<string> {
    this.#observer ??= await this.#connect();
    const texts: string[] = [];
    for (const sql of [STATE, ROWS]) texts.push(await answerTo(this.#observer, sql));
    return texts.join();
  }

  /** Runs the text. "none" also when the server refuses it. */
  async effectOf(sql: Uint8Array): Promise<"read" | "changed" | "none"> {
    this.#attacker ??= await this.#connect();
    let answer = "";
    try {
      const packets = await this.#attacker.query(sql);
      answer = packets.map(({ payload }) => payload.toString("latin1")).join();
    } catch {
      this.#attacker = undefined;
    }
    if (LEAVES_TRACES.test(Buffer.from(sql).toString("latin1"))) {
      this.#attacker?.quit();
      this.#attacker = undefined;
    }
    if ((await this.#state().catch(() => "gone")) !== this.#clean) {
      await this.reset();
      return "changed";
    }
    return answer.includes(MARKER) && !answer.startsWith("\xff") ? "read" : "none";
  }

  close(): void {
    this.#attacker?.quit();
    this.#observer?.quit();
    this.#attacker = undefined;
    this.#observer = undefined;
  }
}

/** The answer's bytes as text. Throws when the server refuses the statement. */
async function answerTo(client: RawClient, sql: string): Promise<string> {
  const packets = await client.query(sql);
  const text = packets.map(({ payload }) => payload.toString("latin1")).join();
  assert.notEqual(packets.at(-1)?.payload[0], 0xff, text);
  return text;
}

const servers = new Map<ServerKind, TestServer>();
for (const kind of KINDS) servers.set(kind, await startServer({ kind, options: ["--lock-wait-timeout=2"] }));
after(async () => {
  for (const server of servers.values()) await server.stop();
});

function scratchOf(kind: ServerKind, mode = ""): Scratch {
  const server = servers.get(kind);
  assert.ok(server, `${kind} runs`);
  return new Scratch(server, mode);
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Asserts that what has an effect is refused, knowing the session and knowing nothing. Returns how many had one. */
async function check(kind: ServerKind, texts: readonly Uint8Array[], mode = "", modeBits = 0): Promise<number> {
  const scratch = scratchOf(kind, mode);
  await scratch.reset();
  let effects = 0;
  const missed: string[] = [];
  const contexts: Partial<MysqlContext>[] = [
    { ...CONTEXTS[kind], sqlMode: modeBits, charset: "utf8mb4", schema: SCHEMA },
    { dialect: "unknown", serverVersion: undefined, sqlMode: "unknown", charset: "utf8mb4", schema: SCHEMA },
  ];
  for (const sql of texts) {
    const verdicts = contexts.map((context) =>
      decideText(sql, { policy: GUARDED, context, subject: { schema: SCHEMA } }),
    );
    // What both refuse needs no server: a refusal cannot be too mild.
    if (verdicts.every(({ enforcedAction }) => enforcedAction === "block") && !isSampled(sql)) continue;
    const effect = await scratch.effectOf(sql);
    if (effect === "none") continue;
    effects++;
    if (verdicts.every(({ enforcedAction }) => enforcedAction === "block")) continue;
    // What the statement did it does again on a clean schema; what a slow machine did it does not.
    await scratch.reset();
    if ((await scratch.effectOf(sql)) === "none") continue;
    missed.push(`${effect}: ${JSON.stringify(Buffer.from(sql).toString("latin1"))}`);
  }
  scratch.close();
  assert.deepEqual(missed, []);
  return effects;
}

/** Every so often a refused text runs too, to show that the attempts are real ones. */
function isSampled(sql: Uint8Array): boolean {
  return sql.reduce((sum, byte) => (sum * 31 + byte) % 1009, 7) % 10 === 0;
}

/** Attempts that would stop, lock or reconfigure the server for the attempts after them. */
function isSafeToRun({ under, file, text }: BypassCase): boolean {
  if (under !== "guarded" || file === "vitess-comments.sql") return false;
  return !/\b(KILL|GLOBAL|PERSIST|persist_only|LOCK|CLONE|FLUSH|TRANSACTION ISOLATION|XA)\b/i.test(text);
}

const VERSIONS = [
  "",
  "40000",
  "50000",
  "50701",
  "080000",
  "80000",
  "80400",
  "90000",
  "90704",
  "90705",
  "99999",
  "100100",
  "101119",
  "110000",
  "999999",
  "000000",
  "00000",
  "5000",
  "500000",
];
const MARKS = VERSIONS.flatMap((version) => [`/*!${version}`, `/*M!${version}`]);

/** One forbidden thing, hidden between the marks of comments that are code here and comments there. */
function* commentVariations(): Generator<string> {
  for (const mark of MARKS) {
    for (const blank of ["", " ", "\n", "\t"]) {
      yield `SELECT name FROM pub ${mark}${blank}UNION SELECT word FROM secret*/`;
      yield `SELECT name FROM pub WHERE id = 1 ${mark}${blank}UNION SELECT word FROM secret*/`;
      yield `SELECT pub.name${mark}${blank},(SELECT word FROM secret)*/ FROM pub`;
      yield `${mark}${blank}DELETE FROM pub*/`;
      yield `SELECT 1 ${mark}${blank}*/ UNION SELECT word FROM secret`;
      yield `SELECT 1 ${mark}${blank}-- */ UNION SELECT word FROM secret`;
      yield `SELECT 1 ${mark}${blank}# */ UNION SELECT word FROM secret\n, 2 */`;
      yield `SELECT 1 ${mark}${blank}/* */ UNION SELECT word FROM secret */`;
      yield `SELECT 1 /* ${mark}${blank} */ UNION SELECT word FROM secret /* */ */`;
      yield `SELECT '${mark}' ${mark}${blank}UNION SELECT word FROM secret*/`;
    }
  }
}

/** Every byte where a blank, a comment mark or an end of line could stand. */
function* byteVariations(): Generator<Uint8Array> {
  const carriers = [
    "SELECT word FROM~secret",
    "SELECT~word FROM secret",
    "SELECT name FROM pub WHERE id=1~UNION SELECT word FROM secret",
    "SELECT name FROM pub --~ UNION SELECT word FROM secret",
    "SELECT name FROM pub -- ~UNION SELECT word FROM secret",
    "SELECT name FROM pub #~UNION SELECT word FROM secret",
    "SELECT 1--~1 UNION SELECT word FROM secret",
    "DELETE FROM pub~",
    "~DELETE FROM pub",
    "SELECT name FROM pub WHERE name='~' UNION SELECT word FROM secret",
    "SELECT name FROM pub WHERE name='a~' UNION SELECT word FROM secret -- '",
    'SELECT name FROM pub WHERE name="~" UNION SELECT word FROM secret',
    "SELECT `name~` FROM pub UNION SELECT word FROM secret",
    "SELECT 1~2 UNION SELECT word FROM secret",
    "SELECT @~ UNION SELECT word FROM secret",
    "SELECT 1e~1 UNION SELECT word FROM secret",
  ];
  for (const carrier of carriers) {
    const at = carrier.indexOf("~");
    for (let byte = 0; byte < 256; byte++) {
      yield Uint8Array.from([...encode(carrier.slice(0, at)), byte, ...encode(carrier.slice(at + 1))]);
    }
  }
}

/** Quotes and backslashes in every order: what one mode takes for text is code in another. */
function* quoteVariations(): Generator<string> {
  const pieces = ["'", '"', "`", "\\", "''", "\\'", '\\"', "a"];
  for (const first of pieces) {
    for (const second of pieces) {
      for (const third of pieces) {
        yield `SELECT name FROM pub WHERE name = '${first}${second}${third}' UNION SELECT word FROM secret -- '`;
        yield `SELECT name FROM pub WHERE name = "${first}${second}${third}" UNION SELECT word FROM secret -- "`;
      }
    }
  }
}

const MODES: readonly [name: string, bits: number][] = [
  ["", 0],
  ["ANSI_QUOTES", 4],
  ["NO_BACKSLASH_ESCAPES", 0x100000],
  ["ANSI_QUOTES,NO_BACKSLASH_ESCAPES", 0x100004],
  ["PIPES_AS_CONCAT,IGNORE_SPACE", 10],
];

for (const kind of KINDS) {
  e2e(`${kind}: no attempt of test/bypass that is let through has an effect`, async () => {
    const cases = readBypassCases().filter(isSafeToRun);
    const effects = await check(
      kind,
      cases.map(({ sql }) => sql),
    );
    assert.ok(cases.length > 150, `${cases.length} attempts`);
    assert.ok(effects >= 5, `${effects} of the sampled attempts have an effect`);
  });

  e2e(`${kind}: executable comments in every form hide nothing`, async () => {
    const effects = await check(kind, [...commentVariations()].map(encode));
    assert.ok(effects >= 20, `${effects} of the sampled texts have an effect`);
  });

  e2e(`${kind}: no byte between tokens hides anything`, async () => {
    const effects = await check(kind, [...byteVariations()]);
    assert.ok(effects >= 20, `${effects} of the sampled texts have an effect`);
  });

  for (const [mode, bits] of MODES) {
    e2e(`${kind}: quotes and backslashes hide nothing under sql_mode "${mode}"`, async () => {
      const effects = await check(kind, [...quoteVariations()].map(encode), mode, bits);
      assert.ok(effects >= 5, `${effects} of the sampled texts have an effect`);
    });
  }
}
