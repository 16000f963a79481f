/**
 * Whole sessions of PostgreSQL with units of every kind, too many to be read: all that transcripts.test.ts tells of, and
 * every field of it. test/golden/postgres-many-sessions.txt holds a sum of each, which begins with its seed.
 * `MANY_SESSIONS=104` prints the session of that line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import type { FrontendMessage } from "../../../src/postgres/frontend-message.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { readyToParse } from "../../support/postgres-context.ts";
import { POSTGRES_SCENES, type PostgresScene, stageOf } from "../../support/postgres-scenes.ts";
import {
  bind,
  COPY_DONE,
  closing,
  data,
  describing,
  execute,
  FLUSH,
  PostgresStage,
  parse,
  query,
  SYNC,
} from "../../support/postgres-stage.ts";
import { NO_DATA_LIMITS } from "../../support/session-harness.ts";
import { TimersLeft } from "../../support/timers-left.ts";

before(readyToParse);

const SESSIONS = 6;
const STEPS = 16;
const TIMEOUT_MS = 120_000;

const MORE_SCENES: readonly PostgresScene[] = [
  {
    title: "tenants",
    policy: "multi_statements: true\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]",
  },
  { title: "tables by name", policy: "allow: { tables: [t, shop.orders] }\nmulti_statements: true" },
  {
    title: "rows of a user",
    listener: { dataGuard: { ...NO_DATA_LIMITS, userWindowRowsMax: 9, responseBytesMax: 200 } },
  },
  { title: "what is only observed", policy: "mode: observe\nread_only: true", listener: { preparedStatementsMax: 3 } },
  { title: "an old server", model: { parameters: { server_version: "12.4" } }, policy: "read_only: true" },
  { title: "messages of some bytes", listener: { packetBytesMax: 120 } },
];

const TEXTS = [
  ..."SELECT 1|SELECT a FROM orders WHERE tenant_id = 7|SELECT a FROM orders WHERE tenant_id = 8|SELECT * FROM secret".split(
    "|",
  ),
  ..."SELECT * FROM pay.secret|SELECT word FROM t|SELECT FAIL FROM t|SELEC 1||;|DROP TABLE t|DELETE FROM t|UPDATE t SET a = 1".split(
    "|",
  ),
  ..."UPDATE t SET a = 1 WHERE b = 2|INSERT INTO t VALUES (1)|BEGIN|BEGIN|COMMIT|ROLLBACK|SAVEPOINT a|ROLLBACK TO a|END".split(
    "|",
  ),
  ..."SET application_name = 'other'|SET search_path = 'pay'|SET client_encoding TO 'LATIN1'|SET standard_conforming_strings TO 'off'".split(
    "|",
  ),
  ..."SET default_transaction_read_only = 'off'|SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE|SET ROLE other|RESET ALL".split(
    "|",
  ),
  ..."DISCARD ALL|DO $$ BEGIN END $$|COPY t TO STDOUT|PREPARE q AS SELECT 1|EXECUTE q|DEALLOCATE q|DEALLOCATE ALL".split(
    "|",
  ),
  ..."LISTEN c; SELECT 'NOTIFY'|SELECT 'NOTICE'|SELECT 1; SELECT 2|SELECT 1; SELECT FAIL; SELECT 3|BEGIN; SELECT 1; COMMIT".split(
    "|",
  ),
  ..."SELECT 1; DELETE FROM t|SELECT pg_sleep(9)|SELECT f()|SELECT a FROM t FOR UPDATE|LOCK TABLE t|VACUUM t|CREATE TABLE x (a int)".split(
    "|",
  ),
  ..."DECLARE c CURSOR FOR SELECT 1|FETCH 1 FROM c|CLOSE c|EXPLAIN SELECT 1|SHOW search_path|SELECT 'é'|SELECT U&'\\0041'".split(
    "|",
  ),
  `SELECT '${"x".repeat(105)}'`,
  `SELECT '${"x".repeat(106)}'`,
  `SELECT '${"x".repeat(107)}'`,
];
const PARSED = [
  ..."SELECT a FROM orders WHERE tenant_id = $1|SELECT a FROM t WHERE a = $1 AND b = $2|UPDATE t SET a = $1|SELECT 1|DELETE FROM t".split(
    "|",
  ),
  ..."INSERT INTO orders (a, tenant_id) VALUES ($1, $2)|SELECT * FROM pay.secret|SELECT FAIL|BEGIN|COMMIT|SELEC|SELECT 'NOTICE'".split(
    "|",
  ),
  ..."SELECT word FROM t|COPY t TO STDOUT|DROP TABLE t|SET search_path = 'pay'||SELECT f($1)|SELECT a FROM t LIMIT $1".split(
    "|",
  ),
];
const VALUES = ["7", "8", "x' OR 1=1 --", "", "é", "a\\b", "NULL", "9223372036854775808"];
const NAMES = ["", "", "s", "t", "w"];
const PORTALS = ["", "", "p", "q"];

function extended(dice: Dice): FrontendMessage {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  switch (dice.below(9)) {
    case 0:
    case 1:
    case 2:
      return parse(dice.pick(NAMES), dice.pick(PARSED));
    case 3:
    case 4: {
      const values = Array.from({ length: dice.below(3) }, () =>
        dice.below(6) === 0 ? null : bytes(dice.pick(VALUES)),
      );
      const parameterFormats = dice.pick([[], [], [0], [1], values.map(() => 0)]);
      return { ...bind(dice.pick(PORTALS), dice.pick(NAMES)), values, parameterFormats } as FrontendMessage;
    }
    case 5:
    case 6:
      return execute(dice.pick(PORTALS), dice.pick([0, 0, 1, 2, 3]));
    case 7:
      return dice.below(2) === 0 ? describing("statement", dice.pick(NAMES)) : describing("portal", dice.pick(PORTALS));
    default:
      return dice.below(2) === 0 ? closing("statement", dice.pick(NAMES)) : closing("portal", dice.pick(PORTALS));
  }
}

/** What is sent in one go; it ends with what asks for an answer. */
function unitOf(dice: Dice): readonly FrontendMessage[] {
  switch (dice.below(10)) {
    case 0:
    case 1:
    case 2:
      return [query(dice.pick(TEXTS))];
    case 3:
      return [query(dice.pick(TEXTS)), query(dice.pick(TEXTS))];
    case 4: {
      const [name, portal, sql] = [dice.pick(NAMES), dice.pick(PORTALS), dice.pick(PARSED)];
      const values = Array.from({ length: sql.split("$").length - 1 }, () => dice.pick(VALUES));
      return [parse(name, sql), describing("statement", name), bind(portal, name, values), execute(portal), SYNC];
    }
    case 5:
      return [extended(dice), FLUSH, extended(dice), SYNC];
    case 6:
      return [extended(dice), extended(dice), SYNC, extended(dice), query(dice.pick(TEXTS)), SYNC];
    case 7:
      return dice.pick([
        [query("COPY t FROM STDIN"), data("1\n"), COPY_DONE],
        [query("COPY t FROM STDIN"), data("1\n"), { name: "CopyFail", reason: Buffer.from("no") }],
        [query("COPY secret FROM STDIN"), data("1\n"), COPY_DONE],
        [data("lost"), COPY_DONE, query("SELECT 3")],
        [{ name: "FunctionCall", functionOid: 7, argumentFormats: [], values: [], resultFormat: 0 }],
      ]);
    default:
      return [...Array.from({ length: 1 + dice.below(5) }, () => extended(dice)), SYNC];
  }
}

async function session(stage: PostgresStage, dice: Dice): Promise<void> {
  await stage.logIn({ user: "app" });
  for (let step = 0; step < STEPS; step++) {
    await stage.say(...unitOf(dice));
    stage.view();
    if (stage.proxy.sessions.size === 0) return;
  }
  if (dice.below(2) === 0) stage.send({ name: "Terminate" });
  else stage.client.close();
  await stage.ended();
  stage.flush();
}

/** What each end has told, in its order: which of two ends is sooner is the runtime's to say. */
function byTeller(lines: readonly string[]): string {
  const told = new Map<string, string[]>();
  for (const line of lines) told.set(line.slice(0, 1), [...(told.get(line.slice(0, 1)) ?? []), line]);
  return [...told]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([, own]) => own)
    .join("\n");
}

for (const [index, scene] of [...POSTGRES_SCENES, ...MORE_SCENES].entries()) {
  test(`sessions go as test/golden/postgres-many-sessions.txt holds: ${scene.title}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const sums: string[] = [];
    for (let seed = 100 * index; seed < 100 * index + SESSIONS; seed++) {
      const stage = await PostgresStage.open({
        ...stageOf(scene),
        services: { clock: { wallMs: () => 0, monotonicMs: () => 0 } },
        isWhole: true,
      });
      const timers = new TimersLeft();
      try {
        await session(stage, new Dice(seed));
      } finally {
        await stage.close();
        stage.lines.push(...(await timers.stop()));
      }
      if (process.env["MANY_SESSIONS"] === String(seed)) console.log(stage.lines.join("\n"));
      sums.push(`${seed} ${createHash("sha256").update(byTeller(stage.lines)).digest("hex").slice(0, 12)}`);
    }
    assertGoldenPart("postgres-many-sessions.txt", scene.title, sums);
  });
}
