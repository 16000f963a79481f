/**
 * Sessions of PostgreSQL that wait for something of querycop's own: a verdict on a long text, a record, a place for the login,
 * an approval after which the policy is another; and what comes or ends meanwhile. test/golden/postgres-waits.txt holds them.
 */
import { describe, test } from "node:test";
import { QuerycopError } from "../../../src/base/errors.ts";
import { Slots } from "../../../src/base/slots.ts";
import { BackendTls } from "../../../src/net/tls.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { POSTGRES_ENGINE } from "../../../src/policy/postgres/postgres-engine.ts";
import {
  encodeAuthentication,
  encodeErrorResponse,
  encodeReadyForQuery,
} from "../../../src/postgres/backend-message.ts";
import type { FrontendMessage } from "../../../src/postgres/frontend-message.ts";
import { encodePasswordMessage, encodeSaslInitialResponse } from "../../../src/postgres/login-message.ts";
import { encodeStartupMessage } from "../../../src/postgres/startup.ts";
import type { PostgresJudge } from "../../../src/session/postgres/judging/judge.ts";
import { PostgresPolicyJudge } from "../../../src/session/postgres/judging/policy-judge.ts";
import { judgeLongText } from "../../../src/session/statement/long-text.ts";
import type { Judgement } from "../../../src/session/statement/statement-judge.ts";
import { DsqlRuleSet } from "../../../src/sql/postgres/dsql/rule-set.ts";
import { TokenManager } from "../../../src/token/token-manager.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { NOON, policyFrom } from "../../policy/policy-fixture.ts";
import { eventually } from "../../support/eventually.ts";
import { PostgresClient } from "../../support/postgres-client.ts";
import { readyToParse } from "../../support/postgres-context.ts";
import { BRIEF, judged, WORD_JUDGE } from "../../support/postgres-proxy.ts";
import {
  bind,
  COPY_DONE,
  closing,
  data,
  execute,
  PostgresStage,
  parse,
  query,
  type StageOptions,
  SYNC,
} from "../../support/postgres-stage.ts";
import { memoryLogger, NO_DATA_LIMITS } from "../../support/session-harness.ts";
import { TimersLeft } from "../../support/timers-left.ts";

const TIMEOUT_MS = 60_000;

type Ends = Readonly<Record<string, (stage: PostgresStage) => void>>;

const ENDS: Ends = {
  "the client leaves": (stage) => stage.client.close(),
  "the client says goodbye": (stage) => stage.send({ name: "Terminate" }),
  "an operator ends it": (stage) => {
    for (const session of stage.proxy.sessions) session.kill("olga");
  },
  "the server is shut down": (stage) => {
    for (const session of stage.proxy.sessions) session.close("shutdown");
  },
};
const WAIT_MS = 20_000;
const LONG = "x".repeat(70_000);
const alice = { approver: "alice@corp", reason: undefined };

function scene(title: string, options: () => StageOptions, play: (stage: PostgresStage) => Promise<void>): void {
  test(title, { timeout: TIMEOUT_MS }, async () => {
    await readyToParse();
    const stage = await PostgresStage.open({
      ...options(),
      services: { clock: { wallMs: () => 0, monotonicMs: () => 0 }, ...options().services },
      isWhole: true,
    });
    const timers = new TimersLeft();
    try {
      await play(stage);
    } finally {
      await stage.close();
      stage.lines.push(...(await timers.stop()));
    }
    // Which of two ends is sooner is the runtime's to say, where records take a turn of the loop.
    const told = options().recordsLater === true ? stage.lines.toSorted() : stage.lines;
    assertGoldenPart(
      "postgres-waits.txt",
      title,
      told.map((line) => line.replace(/(x|y|z){1000,}/g, "$1…")),
    );
  });
}

/** Judges by words, but long texts only when it is told to. */
class SlowJudge implements PostgresJudge {
  readonly #waiting: (() => void)[] = [];
  asked = 0;

  judge(statement: Parameters<PostgresJudge["judge"]>[0]): Judgement | Promise<Judgement> {
    const text = Buffer.from(statement.sql).toString();
    if (text.length < 1000) return WORD_JUDGE.judge(statement);
    this.asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        if (text.includes("broken")) reject(new QuerycopError("QC_INTERNAL", "The judge is broken"));
        else resolve({ ...(WORD_JUDGE.judge(statement) as Judgement), text: text.slice(0, 40) });
      });
    });
  }

  async go(asked = 1): Promise<void> {
    await eventually("the judge is asked", () => this.#waiting.length >= asked, WAIT_MS);
    for (const answer of this.#waiting.splice(0)) answer();
  }
}

const long = (words: string): FrontendMessage => query(`SELECT '${words}', '${LONG}'`);

describe("long texts that are judged go as test/golden/postgres-waits.txt holds", () => {
  for (const words of ["fine", "secret", "careful", "broken"]) {
    for (const recordsLater of [false, true]) {
      const judge = new SlowJudge();
      scene(
        `${words}${recordsLater ? ", and recorded later" : ""}`,
        () => ({ judge, recordsLater }),
        async (stage) => {
          await stage.logIn();
          stage.send(long(words), query("SELECT 'behind'"), query("SELECT 'secret'"));
          await judge.go();
          await stage.read(3);
          if (stage.proxy.sessions.size === 0) return;
          stage.view();
          stage.send(
            parse("p", `SELECT $1, '${words} ${LONG}'`),
            bind("", "p", ["7"]),
            execute(),
            SYNC,
            query("SELECT 2"),
          );
          await judge.go();
          if (words !== "secret") await judge.go();
          await stage.read(2);
          stage.view();
        },
      );
    }
  }
  const ends: Ends = {
    ...ENDS,
    "the hold of nothing is cancelled": (stage) => {
      for (const session of stage.proxy.sessions) session.cancelHold();
    },
  };
  for (const [what, end] of Object.entries(ends)) {
    const judge = new SlowJudge();
    scene(
      `while one is judged ${what}`,
      () => ({ judge }),
      async (stage) => {
        await stage.logIn();
        await stage.say(query("SELECT 1"));
        stage.send(long("fine"));
        await eventually("the judge is asked", () => judge.asked === 1, WAIT_MS);
        end(stage);
        await judge.go();
        if (!what.startsWith("the client leaves")) await stage.read(1);
        stage.client.close();
        await stage.ended();
      },
    );
  }
});

describe("records that are made later go as test/golden/postgres-waits.txt holds", () => {
  scene(
    "one after the other, and then none",
    () => ({ recordsLater: true }),
    async (stage) => {
      await stage.logIn();
      await stage.say(
        query("SELECT 1"),
        query("SELECT 'careful'"),
        query("SELECT 'secret'"),
        query("SELECT 2; SELECT 3"),
      );
      await stage.say(parse("", "SELECT $1"), bind("", "", ["7"]), execute("", 1), execute(), SYNC);
      await stage.say(query("COPY t FROM STDIN"), data("1\n"), COPY_DONE, query("SELECT 3"));
      // A COPY of a query's is no unit that waits for a Sync.
      stage.send(query("INSERT INTO t VALUES (1) -- approve"), query("SELECT 'behind'"));
      await stage.proxy.approvals.approve(await stage.asked(), alice);
      await stage.read(2);
      await stage.say(
        query("BEGIN"),
        parse("", "SELECT FAIL"),
        bind("", ""),
        execute(),
        SYNC,
        query("SELECT 4"),
        query("ROLLBACK"),
      );
      stage.proxy.failing.add("statement-intent");
      await stage.say(query("SELECT 5"), query("SELECT 'secret'"));
      await stage.say(parse("", "SELECT 6"), bind("", ""), execute(), closing("statement", ""), SYNC);
      stage.proxy.failing.clear();
      await stage.say(query("SELECT 7"));
    },
  );
});

const realJudge = (policy: string, more: Partial<ConstructorParameters<typeof PostgresPolicyJudge>[0]> = {}) => {
  const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
  const options = { policy: policyFrom(policy), clock, idPrefix: "t", cacheBytesMax: 1 << 20 };
  const judge = new Judge({ engines: { postgresql: POSTGRES_ENGINE }, ...options });
  const longTexts = { judge: async (text: Parameters<typeof judgeLongText>[1]) => judgeLongText(judge, text) };
  return { judge: new PostgresPolicyJudge({ judge, longTexts, isDsql: false, ...more }) };
};

describe("statements behind names go as test/golden/postgres-waits.txt holds", () => {
  const NAMED = [
    ..."PREPARE q AS SELECT a FROM t|EXECUTE q|EXPLAIN EXECUTE q|PREPARE w (int) AS DELETE FROM t WHERE a = $1|EXECUTE w (7)".split(
      "|",
    ),
    ..."EXECUTE none|DEALLOCATE q|EXECUTE q|PREPARE q AS SELECT word FROM pay.secret|EXECUTE q|PREPARE Q AS SELECT 1".split(
      "|",
    ),
    ..."EXECUTE q; EXECUTE w (8)|CREATE TABLE x AS EXECUTE q|PREPARE z AS SELECT 1; EXECUTE z|EXECUTE z|DISCARD ALL|EXECUTE q".split(
      "|",
    ),
    ..."PREPARE o AS SELECT a FROM orders WHERE tenant_id = 8|EXECUTE o|PREPARE o2 AS SELECT a FROM orders WHERE tenant_id = 7|EXECUTE o2".split(
      "|",
    ),
    ..."DO $$ BEGIN PERFORM 1; END $$|EXECUTE o2|SELECT f()|EXECUTE o2|PREPARE broken AS SELEC|EXECUTE broken".split(
      "|",
    ),
  ];
  const policies = {
    "a reader": "read_only: true\nmulti_statements: true",
    tenants:
      "multi_statements: true\ndeny: { tables: [pay.secret], columns: [word] }\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]",
    approvals:
      "multi_statements: true\nthresholds: { warn: 1, require_approval: 5, block: 30 }\napproval: { mode: immediate }",
    limits: "multi_statements: true\nlimits: { max_response_rows: 2 }\nimpact: { max_changed_rows: 1 }",
  };
  for (const [title, policy] of Object.entries(policies)) {
    scene(
      title,
      () => realJudge(policy),
      async (stage) => {
        await stage.logIn();
        for (const sql of NAMED) await stage.say(query(sql));
        await stage.say(parse("", "PREPARE y AS SELECT 1"), bind("", ""), execute(), SYNC, query("EXECUTE y"));
        await stage.say(parse("e", "EXECUTE w ($1)"), bind("", "e", ["7"]), execute(), SYNC);
        await stage.say(query(`SELECT a FROM t WHERE b = '${LONG}'`), query(`DELETE FROM t WHERE '${LONG}' = '1'`));
        await stage.say(
          parse("", `SELECT a FROM orders WHERE tenant_id = $1 AND b = '${LONG}'`),
          bind("", "", ["8"]),
          execute(),
          SYNC,
        );
      },
    );
  }
  scene(
    "what Aurora DSQL refuses is not sent to it",
    () => realJudge("multi_statements: true", { isDsql: true, earlyRules: new DsqlRuleSet("2026-11-30") }),
    async (stage) => {
      await stage.logIn();
      for (const sql of [
        ..."CREATE INDEX i ON t (a)|CREATE INDEX ASYNC i ON t (a)|CREATE TABLE a (b int); CREATE TABLE c (d int)".split(
          "|",
        ),
        ..."CREATE TABLE a (b int); INSERT INTO a VALUES (1)|CREATE TABLE a (b int); COMMIT; INSERT INTO a VALUES (1)|SELECT 1|TRUNCATE t".split(
          "|",
        ),
        ..."BEGIN|CREATE INDEX i ON t (a)|ROLLBACK|SELEC".split("|"),
      ]) {
        await stage.say(query(sql));
      }
      await stage.say(parse("", "CREATE INDEX i ON t (a)"), bind("", ""), execute(), SYNC);
    },
  );
});

describe("approvals under another policy go as test/golden/postgres-waits.txt holds", () => {
  for (const [title, then] of Object.entries({
    "which refuses": () => judged("block", { ruleId: "pol.deny.table", text: "later", textForm: "raw" }),
    "which warns": () => judged("warn", { text: "later", textForm: "raw" }),
    "which wants another approval": () =>
      judged("require-approval", { text: "later", textForm: "raw", approval: BRIEF }),
  } as const)) {
    let asked = 0;
    const judge: PostgresJudge = {
      judge: (statement) =>
        Buffer.from(statement.sql).toString().includes("approve") && asked++ > 0 ? then() : WORD_JUDGE.judge(statement),
    };
    scene(
      title,
      () => ({ judge }),
      async (stage) => {
        await stage.logIn();
        stage.send(query("INSERT INTO t VALUES (1) -- approve"), query("SELECT 'behind'"));
        await stage.proxy.approvals.approve(await stage.asked(), alice);
        await stage.read(2);
      },
    );
  }
});

const startup = encodeStartupMessage({ minor: 0, user: "app", database: "shop", settings: new Map() });

/** A login whose client says something else than a password. */
async function odd(stage: PostgresStage, what: string, ...parts: readonly Uint8Array[]): Promise<void> {
  stage.note(`> ${what}`);
  const client = await PostgresClient.open({ port: stage.proxy.port });
  client.write(startup);
  for (const part of parts) {
    const asked = await client.next();
    stage.note(`< ${asked === undefined ? "the end" : String.fromCharCode(asked.type)}`);
    client.write(part);
  }
  const pieces = await client.untilReady(1).catch(() => []);
  stage.note(`< ${pieces.map(({ type }) => String.fromCharCode(type)).join(" ")}`);
  client.close();
  await stage.ended();
  stage.flush();
}

describe("logins that do not come to their end go as test/golden/postgres-waits.txt holds", () => {
  for (const method of ["cleartext", "md5", "scram"] as const) {
    scene(
      `where the backend asks for ${method}`,
      () => ({ model: { method, password: "words" }, listener: { handshakeTimeoutMs: 300 } }),
      async (stage) => {
        await odd(stage, "goodbye", Uint8Array.of(0x58, 0, 0, 0, 4));
        await odd(stage, "a query", Uint8Array.of(0x51, 0, 0, 0, 5, 0));
        await odd(
          stage,
          "no mechanism that was offered",
          encodeSaslInitialResponse({ mechanism: "PLAIN", data: startup }),
        );
        await odd(stage, "a password without an end", Uint8Array.of(0x70, 0, 0, 0, 5, 65));
        await odd(stage, "an empty password", encodePasswordMessage(new Uint8Array()));
        await odd(stage, "half a message, and no more", Uint8Array.of(0x70, 0, 0));
      },
    );
  }
  scene(
    "for which no place is free",
    () => ({ services: { loginSlots: new Slots(1, 0) } }),
    async (stage) => {
      await stage.logIn();
      await stage.say(query("SELECT 1"));
      await stage.logIn();
    },
  );
  for (const [code, message] of [
    ["28000", "PAM authentication failed for user"],
    ["28000", "role is not permitted"],
    ["28P01", "password authentication failed"],
    ["28000", "IAM authentication failed"],
    ["53300", "PAM is too busy"],
  ] as const) {
    scene(
      `with a token that is refused: ${code} ${message}`,
      () => {
        let minted = 0;
        let logins = 0;
        const source = {
          name: "test",
          mint: async () => ({ value: Buffer.from(`token ${++minted}`), credentialsExpireAtMs: undefined }),
        };
        const tokens = new TokenManager({ source, logger: memoryLogger([]), users: ["app"], forceFreshAgeMs: 0 });
        return {
          listener: { clientAuth: "trust" },
          services: { tokens },
          model: {
            instead: () =>
              logins++ === 1
                ? [encodeErrorResponse({ severity: "FATAL", code, message })]
                : [encodeAuthentication({ kind: "ok" }), encodeReadyForQuery("I")],
          },
          backend: { tls: new BackendTls({ mode: "disable", serverName: "localhost", minVersion: "TLSv1.2" }) },
        };
      },
      async (stage) => {
        await stage.logIn();
        await stage.logIn();
        await stage.logIn();
      },
    );
  }
});

describe("copies that are cut go as test/golden/postgres-waits.txt holds", () => {
  const ends: Ends = {
    ...ENDS,
    "it fails by the client": (stage) => stage.send({ name: "CopyFail", reason: Buffer.from("no") }),
  };
  for (const isExtended of [false, true]) {
    for (const [what, end] of Object.entries(ends)) {
      scene(
        `in the middle of ${isExtended ? "a portal's" : "a query's"} ${what}`,
        () => ({}),
        async (stage) => {
          await stage.logIn();
          if (isExtended) stage.send(parse("", "COPY t FROM STDIN"), bind("", ""), execute(), SYNC);
          else stage.send(query("COPY t FROM STDIN"));
          await stage.readTo("G");
          stage.send(data("1\n"), data("2\n"));
          await stage.seen(/CopyData/);
          stage.view();
          end(stage);
          if (isExtended) stage.send(SYNC);
          await stage.read(1);
          stage.view();
          if (stage.proxy.sessions.size > 0) await stage.say(query("SELECT 2"));
        },
      );
    }
  }
  for (const limitAction of ["cut", "terminate", "warn"] as const) {
    scene(
      `at a limit of rows: ${limitAction}`,
      () => ({ listener: { dataGuard: { ...NO_DATA_LIMITS, responseRowsMax: 2, limitAction } } }),
      async (stage) => {
        await stage.logIn();
        await stage.say(query("COPY t TO STDOUT"));
        stage.view();
        if (stage.proxy.sessions.size > 0) await stage.say(query("SELECT 2"));
      },
    );
  }
});
