/**
 * What the policy lets through, by its effect on a real server: no list changes anything under a read-only profile or shows
 * what a denied table holds.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { decide } from "../../src/policy/decide.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import type { PostgresqlContext } from "../../src/sql/facts.ts";
import { policyFrom, SUBJECT } from "../policy/policy-fixture.ts";
import { PostgresClient, PostgresError } from "../support/postgres-client.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";
import { LISTS_SETUP, ListMaker, MARKER, STATE_QUERY } from "../support/postgres-lists.ts";
import {
  QUERIES_MARKER,
  QUERIES_POLICY,
  QUERIES_SETUP,
  QUERIES_STATE,
  QueryMaker,
} from "../support/postgres-queries.ts";
import { type PostgresServer, startPostgres } from "../support/postgres-server.ts";
import { randomFrom } from "../support/random.ts";

let server: PostgresServer;
let client: PostgresClient;

before(async () => {
  await readyToParse();
  server = await startPostgres();
  client = await PostgresClient.logIn({ port: server.port, user: "postgres" });
  await client.query(LISTS_SETUP);
});

after(async () => {
  client.close();
  await server.stop();
});

/** As a session of a server before 18 is: it does not tell its search_path. */
const CONTEXT: PostgresqlContext = { ...POSTGRES_CONTEXT, searchPath: "unknown" };

const encoder = new TextEncoder();

function isBlocked(sql: string, policy: Policy): boolean {
  const analysis = POSTGRES_ENGINE.analyze(encoder.encode(sql), CONTEXT);
  return decide(analysis, SUBJECT, policy, { wallMs: 0 }).action === "block";
}

/** Everything that the server sends in answer; its last state is whatever the list has left. */
async function answerTo(sql: string): Promise<string> {
  client.send({ name: "Query", sql: encoder.encode(sql) });
  const pieces = await client.untilReady();
  return pieces
    .map((piece) => Buffer.from(piece.kind === "message" ? piece.body : piece.wire).toString("latin1"))
    .join("\n");
}

const state = async (): Promise<string> => JSON.stringify(await client.query(STATE_QUERY));

describe("a list that is let through", { timeout: 900_000 }, () => {
  test("changes nothing under a read-only profile, and shows nothing of a denied table", async () => {
    const policy = policyFrom("read_only: true\nmulti_statements: true\ndeny: { tables: [secret] }");
    const lists = new ListMaker(randomFrom(Number(process.env["QUERYCOP_LISTS_SEED"] ?? 1511)));
    const count = Number(process.env["QUERYCOP_LISTS"] ?? 2_000);
    const clean = await state();
    let passed = 0;
    let done = 0;
    for (let round = 0; round < count; round++) {
      const sql = lists.list();
      if (isBlocked(sql, policy)) continue;
      passed++;
      const answer = await answerTo(sql);
      if (/\0C[0-9A-Z]{5}\0/.test(answer) === false) done++;
      assert.ok(!answer.includes(MARKER), `it shows what is denied: ${sql}`);
      await answerTo("ROLLBACK; RESET ALL; DISCARD PLANS; DEALLOCATE ALL; CLOSE ALL");
      assert.equal(await state(), clean, `it changes something: ${sql}`);
    }
    // Lists that are all refused, or all wrong, would prove nothing.
    assert.ok(passed > count / 20, `${passed} of ${count} were let through`);
    assert.ok(done > passed / 4, `${done} of ${passed} came to a result`);
  });

  test("would do both without the policy: the lists are no harmless ones", async () => {
    const lists = new ListMaker(randomFrom(77));
    const policy = policyFrom("read_only: true\nmulti_statements: true\ndeny: { tables: [secret] }");
    const clean = await state();
    let shown = 0;
    let changed = 0;
    for (let round = 0; round < 150; round++) {
      const sql = lists.list();
      if (!isBlocked(sql, policy) || /COPY .* STDIN|ALTER ROLE|CREATE|DROP|ALTER|GRANT|INTO kept/.test(sql)) continue;
      const answer = await answerTo(`BEGIN; ${sql.replaceAll(/\b(?:BEGIN|COMMIT)[^;]*;?/g, "")}`);
      if (answer.includes(MARKER)) shown++;
      try {
        if ((await state()) !== clean) changed++;
      } catch (thrown) {
        assert.ok(thrown instanceof PostgresError);
      }
      await answerTo("ROLLBACK; RESET ALL; DEALLOCATE ALL; SELECT pg_advisory_unlock_all()");
    }
    assert.ok(shown >= 5 && changed >= 5, `${shown} lists showed a secret, ${changed} changed something`);
  });
});

describe("a query that is let through", { timeout: 900_000 }, () => {
  const policy = policyFrom(QUERIES_POLICY);

  before(async () => {
    await client.query(QUERIES_SETUP);
  });

  test("shows nothing of a denied column, and neither shows nor changes other tenants' rows", async () => {
    const queries = new QueryMaker(randomFrom(Number(process.env["QUERYCOP_LISTS_SEED"] ?? 1511)));
    const count = Number(process.env["QUERYCOP_LISTS"] ?? 2_000);
    const clean = JSON.stringify(await client.query(QUERIES_STATE));
    const seen = { passed: 0, done: 0, shown: 0 };
    for (let round = 0; round < count; round++) {
      const sql = queries.statement();
      const isDenied = isBlocked(sql, policy);
      // Every eighth refused one is tried as well: queries that show nothing anyway would prove nothing.
      if (isDenied && round % 8 !== 0) continue;
      const answer = await answerTo(`BEGIN; ${sql}`);
      const after = /\0C[0-9A-Z]{5}\0/.test(answer) ? clean : JSON.stringify(await client.query(QUERIES_STATE));
      await answerTo("ROLLBACK");
      const isShown = answer.includes(QUERIES_MARKER) || after !== clean;
      if (isDenied) {
        seen.shown += isShown ? 1 : 0;
        continue;
      }
      assert.ok(!isShown, `it shows or changes what is denied: ${sql}`);
      seen.passed++;
      if (!/\0C[0-9A-Z]{5}\0/.test(answer)) seen.done++;
    }
    assert.ok(seen.passed > count / 20 && seen.done > count / 50 && seen.shown > count / 200, JSON.stringify(seen));
  });
});
