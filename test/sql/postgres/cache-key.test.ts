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
});
