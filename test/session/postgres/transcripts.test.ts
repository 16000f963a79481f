/**
 * Whole sessions of PostgreSQL as pages to read, over the real policy: test/support/postgres-stage.ts says how they are
 * told. The messages come from seeds. test/golden/postgres-transcripts.txt holds them: read the difference before it is
 * written anew.
 */
import { before, test } from "node:test";
import type { FrontendMessage } from "../../../src/postgres/frontend-message.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { readyToParse } from "../../support/postgres-context.ts";
import { POSTGRES_SCENES, stageOf } from "../../support/postgres-scenes.ts";
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

before(readyToParse);

const SESSIONS = 3;
const STEPS = 12;
const ODD_EVERY = 3;
const TIMEOUT_MS = 60_000;

const USUAL: readonly (readonly FrontendMessage[])[] = [
  [query("SELECT a FROM orders LIMIT 1")],
  [query("SELECT 1; SELECT 2")],
  [query("UPDATE t SET a = 1 WHERE b = 2")],
  [query("INSERT INTO t VALUES (1)")],
  [query("BEGIN")],
  [query("COMMIT")],
  [query("ROLLBACK")],
  [query("SET application_name = 'other'")],
  [query("SET search_path = 'pay'")],
  [parse("", "SELECT a FROM t"), describing("statement", ""), bind("", ""), describing("portal", ""), execute(), SYNC],
  [parse("s", "SELECT a FROM t WHERE b = $1"), SYNC],
  [bind("", "s", ["x' OR 1=1 --"]), execute("", 2), execute("", 2), SYNC],
  [bind("p", "s", ["7"]), execute("p", 1), FLUSH, execute("p", 1), closing("portal", "p"), SYNC],
  [parse("w", "UPDATE t SET a = $1"), bind("", "w", ["7"]), execute(), SYNC],
  [closing("statement", "s"), SYNC],
];
const ODD: readonly (readonly FrontendMessage[])[] = [
  [query("SELECT * FROM secret")],
  [query("SELECT * FROM pay.secret")],
  [query("SELECT word FROM t")],
  [query("SELECT FAIL FROM t")],
  [query("SELEC 1")],
  [query("")],
  [query("DROP TABLE t")],
  [query("DELETE FROM t")],
  [query("SELECT 'NOTICE'")],
  [query("LISTEN c; SELECT 'NOTIFY'")],
  [query("PREPARE q AS SELECT 1")],
  [query("SET client_encoding TO 'LATIN1'")],
  [query("SET standard_conforming_strings TO 'off'")],
  [query("SET default_transaction_read_only = 'off'")],
  [query("DO $$ BEGIN END $$")],
  [query("COPY t TO STDOUT")],
  [parse("", "SELECT * FROM pay.secret"), bind("", ""), execute(), SYNC],
  [parse("", "SELECT FAIL"), bind("", ""), execute(), parse("late", "SELECT 1"), SYNC],
  [parse("", "INSERT INTO t VALUES (1)"), bind("", ""), execute(), query("SELECT 1"), SYNC],
  [bind("", "late"), execute(), SYNC],
  [bind("", ""), execute(), SYNC],
  [execute("c"), SYNC],
  [{ name: "FunctionCall", functionOid: 7, argumentFormats: [], values: [], resultFormat: 0 }],
  [data("lost"), COPY_DONE, query("SELECT 3")],
  [parse("a", "SELECT 1"), parse("b", "SELECT 2"), parse("d", "SELECT 3"), SYNC],
  [parse("", "SELECT 5"), bind("", ""), execute(), SYNC, parse("", "DELETE FROM t"), bind("", ""), execute(), SYNC],
];

async function session(stage: PostgresStage, dice: Dice): Promise<void> {
  await stage.logIn({ user: "app" });
  for (let step = 0; step < STEPS; step++) {
    await stage.say(...dice.pick(dice.below(ODD_EVERY) === 0 ? ODD : USUAL));
    stage.view();
    if (stage.proxy.sessions.size === 0) return;
  }
  stage.client.close();
  await stage.ended();
  stage.flush();
}

for (const [index, scene] of POSTGRES_SCENES.entries()) {
  test(`a session goes as test/golden/postgres-transcripts.txt holds: ${scene.title}`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const stage = await PostgresStage.open(stageOf(scene));
    try {
      for (let count = 0; count < SESSIONS; count++) {
        stage.note(`session ${count}`);
        await session(stage, new Dice(100 * index + count));
      }
    } finally {
      await stage.close();
    }
    assertGoldenPart("postgres-transcripts.txt", scene.title, stage.lines);
  });
}
