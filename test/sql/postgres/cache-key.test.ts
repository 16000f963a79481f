import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { decide } from "../../../src/policy/decide.ts";
import { POSTGRES_ENGINE } from "../../../src/policy/postgres/postgres-engine.ts";
import { keyOf } from "../../../src/sql/postgres/digest.ts";
import { policyFrom, SUBJECT } from "../../policy/policy-fixture.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";
import { ListMaker } from "../../support/postgres-lists.ts";
import { randomFrom } from "../../support/random.ts";

before(readyToParse);

const key = (sql: string): string | undefined => keyOf(new TextEncoder().encode(sql), POSTGRES_CONTEXT);

const analyzed = (sql: string) => POSTGRES_ENGINE.analyze(new TextEncoder().encode(sql), POSTGRES_CONTEXT);

/** Literals that mean something else in one place or another. */
const VALUES = [
  "1",
  "2",
  "0",
  "3",
  "'f'",
  "'t'",
  "'false   '",
  "'true    '",
  "'%'",
  "'abcdefgh'",
  "'zyxwvuts'",
  "50000",
  "NULL",
  "true",
  "2.5",
];

/** With a place for each literal. */
const SHAPES = [
  "DELETE FROM t WHERE @ = @",
  "DELETE FROM t WHERE (@) = (@)",
  "DELETE FROM t WHERE ((@)) = @",
  "DELETE FROM t WHERE @",
  "DELETE FROM t WHERE (@)",
  "DELETE FROM t WHERE id = @ AND (@)",
  "DELETE FROM t WHERE @::bool",
  "DELETE FROM t WHERE true = @",
  "DELETE FROM t WHERE CASE WHEN @ THEN @ END",
  "DELETE FROM t WHERE id > @ OR id < @",
  "DELETE FROM t WHERE name LIKE @",
  "DELETE FROM t WHERE name ~ @",
  "DELETE FROM t WHERE id = @",
  "SELECT id FROM t WHERE id IN (@, @)",
  "SELECT id FROM t LIMIT @ OFFSET @",
  "SELECT id FROM t ORDER BY @",
  "SELECT pg_sleep(@)",
  "SELECT query_to_xml(@, true, true, @)",
  "SELECT set_config(@, @, false)",
  'SELECT "query_to_xml"(a, @, true, @) FROM t',
  'SELECT "set_config"(a, @, false) FROM t',
  'SELECT id FROM "only" secret WHERE id = @',
  "SELECT id FROM only secret WHERE id = @",
  "INSERT INTO t (a, b) VALUES (@, @), (@, @)",
  "UPDATE t SET a = @ WHERE id = @",
  "UPDATE t SET a = @ WHERE -@ = @",
  "SELECT f(@) FROM t WHERE lower(a) = @",
];

describe("keyOf()", () => {
  test("is the same only for texts that are decided the same", () => {
    const random = randomFrom(99);
    const policy = policyFrom("require_where: [t]\ndeny: { tables: [secret] }");
    const lists = new ListMaker(random);
    const decided = new Map<string, { readonly sql: string; readonly verdict: string }>();
    let shared = 0;
    for (let round = 0; round < 6_000; round++) {
      const shape = SHAPES[Math.floor(random() * SHAPES.length)] as string;
      const sql =
        round % 4 === 0
          ? lists.list()
          : shape.replaceAll("@", () => VALUES[Math.floor(random() * VALUES.length)] as string);
      const bytes = new TextEncoder().encode(sql);
      const textKey = keyOf(bytes, POSTGRES_CONTEXT);
      if (textKey === undefined) continue;
      const decision = decide(POSTGRES_ENGINE.analyze(bytes, POSTGRES_CONTEXT), SUBJECT, policy, { wallMs: 0 });
      const verdict = `${decision.action} ${decision.rules.map(({ id, points }) => `${id} ${points}`).sort()}`;
      const known = decided.get(textKey);
      if (known !== undefined && known.sql !== sql) shared++;
      if (known === undefined) decided.set(textKey, { sql, verdict });
      else assert.equal(verdict, known.verdict, `${sql} and ${known.sql}`);
    }
    assert.ok(shared > 100, String(shared));
  });

  test("is shared by statements that differ in ordinary values", () => {
    assert.equal(
      key("SELECT a FROM t WHERE id = 500 AND name = 'somebody'"),
      key("SELECT a FROM t WHERE id = 501 AND name = 'nobody else'"),
    );
    assert.notEqual(key("SELECT a FROM t WHERE id = 1"), key("SELECT a FROM u WHERE id = 1"));
    assert.notEqual(key('SELECT "A" FROM t WHERE id = 1'), key("SELECT A FROM t WHERE id = 1"));
  });

  test("tells a keyword from the name that has its letters", () => {
    const { digest: digestOfName } = analyzed('SELECT * FROM "only" salary');
    for (const [named, keyed] of [
      ['SELECT * FROM "only" salary', "SELECT * FROM only salary"],
      ['DELETE FROM "only" salary WHERE id = 1000', "DELETE FROM ONLY salary WHERE id = 1000"],
      ['SELECT "current_user" FROM t', "SELECT current_user FROM t"],
      ['SELECT * FROM a "left", b', "SELECT * FROM a left, b"],
    ] as const) {
      assert.notEqual(key(named), key(keyed), named);
      assert.notEqual(analyzed(named).digest, analyzed(keyed).digest, named);
    }
    assert.equal(digestOfName, 'select * from "only" salary');
    // Of names that are no keywords it does not matter.
    assert.equal(analyzed('SELECT "id" FROM "users"').digest, analyzed("select id from users").digest);
  });

  test("is the whole text where a literal is the argument of a function that runs or reads it, in quotes or not", () => {
    for (const name of ["query_to_xml", "ts_rewrite", "set_config", "pg_sleep", "nextval"]) {
      const [first, second] = ["select 1 from free", "select 1 from kept"].map((text) =>
        key(`SELECT "${name}"(a, '${text}', true) FROM t`),
      );
      assert.notEqual(first, second, name);
    }
  });
});
