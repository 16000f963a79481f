/** That a batch is judged as the strictest of its rows, and that rows taken for alike have one verdict. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { MysqlPreparedText } from "../../../src/policy/mysql/prepared-text.ts";
import type { Subject } from "../../../src/policy/policy.ts";
import { judgeRows } from "../../../src/session/mysql/judging/bulk-judgement.ts";
import type { Judgement } from "../../../src/session/statement/statement-judge.ts";
import type { BoundValue, MysqlContext } from "../../../src/sql/facts.ts";
import { policyFrom } from "../../policy/policy-fixture.ts";
import { randomFrom } from "../../support/random.ts";

const TENANTS = `
tenants:
  - { tables: [shop.orders], column: tenant_id, value: 7 }
  - { tables: [shop.texts], column: tenant_id, value: "acme" }
`;

const TEXTS = [
  "INSERT INTO orders (id, tenant_id, note) VALUES (?, ?, ?)",
  "INSERT INTO texts (id, tenant_id, note) VALUES (?, ?, ?)",
  "UPDATE orders SET note = ? WHERE tenant_id = ? AND id = ?",
  "UPDATE texts SET note = ? WHERE tenant_id = ? AND id IN (?)",
  "DELETE FROM orders WHERE tenant_id = ? AND id BETWEEN ? AND ?",
  "DELETE FROM free WHERE a = ? OR b = ? OR c = ?",
  "UPDATE free SET a = ? WHERE ? = ?",
  "REPLACE INTO orders (tenant_id, id, note) VALUES (?, ?, CONCAT(?, 'x'))",
];

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const VALUES: readonly BoundValue[] = [
  7,
  7n,
  -7,
  8,
  0,
  1,
  -1,
  7.5,
  70,
  707n,
  1e21,
  null,
  undefined,
  "7",
  "07",
  "acme",
  "ACME",
  "acme ",
  "",
  "x' OR 1=1 -- ",
  "note 7",
  encode("7"),
  encode("acme"),
  encode("größe"),
  encode("a\\"),
  encode("x".repeat(300)),
  "2026-11-30 10:00:00",
  Number.NaN,
];

const CONTEXT: MysqlContext = {
  engine: "mysql",
  dialect: "mariadb",
  serverVersion: 101119,
  sqlMode: 0,
  charset: "utf8mb4",
  connectionCharset: "utf8mb4",
  schema: "shop",
  multiStatements: false,
};

const SUBJECT: Subject = {
  user: "app",
  clientAddress: "127.0.0.1",
  isTls: false,
  listener: "main",
  isInTransaction: false,
  schema: "shop",
  command: "prepare",
};

describe("Judge.classOf()", () => {
  for (const sql of TEXTS) {
    it(`puts no two executions with different verdicts into one class: ${sql}`, () => {
      const judge = new Judge({
        policy: policyFrom(TENANTS),
        engines: { mysql: MYSQL_ENGINE },
        cacheBytesMax: 0,
        clock: SYSTEM_CLOCK,
        idPrefix: "t",
      });
      const prepared = new MysqlPreparedText(encode(sql), CONTEXT, 3);
      const random = randomFrom(11);
      const verdicts = new Map<string, string>();
      for (let round = 0; round < 3_000; round++) {
        const values = [0, 1, 2].map(() => VALUES[Math.floor(random() * VALUES.length)]);
        const kind = judge.classOf(prepared, values);
        if (kind === undefined) continue;
        const { decision } = judge.judgeExecution(prepared, values, SUBJECT);
        const verdict = JSON.stringify([decision.action, decision.score, decision.rules.map(({ id }) => id)]);
        assert.equal(verdicts.get(kind) ?? verdict, verdict, `${kind}: ${values.map(String).join(", ")}`);
        verdicts.set(kind, verdict);
      }
    });
  }
});

const judgement = (more: Partial<Judgement>): Judgement => ({
  action: "allow",
  decisionId: "d",
  clientMessage: undefined,
  errorNumber: 0,
  sqlState: "HY000",
  score: 0,
  level: "low",
  rules: [],
  ruleId: undefined,
  notUnderstood: undefined,
  isUnderstood: true,
  policyVersion: "1",
  text: "",
  textForm: "digest",
  statementKind: "insert",
  localFiles: [],
  approval: undefined,
  afterwards: "none",
  ...more,
});

const rowsOf = (rows: readonly number[]) => ({ count: rows.length, values: () => rows.map((row) => [row]) });
const alike = { classOf: () => undefined };

describe("judgeRows()", () => {
  it("is as strict as the strictest row, wherever it stands, and names the rules of all", async () => {
    for (const at of [0, 500, 999]) {
      const judge = ([row]: readonly BoundValue[]): Judgement =>
        row === at
          ? judgement({ action: "block", score: 80, rules: ["b"] })
          : judgement({ action: "warn", score: 50, rules: ["w"] });
      const rows = Array.from({ length: 1_000 }, (_, row) => row);
      const all = await judgeRows({}, rowsOf(rows), { ...alike, judge });
      assert.deepEqual([all.action, all.score, [...all.rules].sort()], ["block", 80, ["b", "w"]]);
    }
  });

  it("begins anew when the policy changes between two rows, so that all are judged by one", async () => {
    let version = "1";
    let asked = 0;
    const judge = async ([row]: readonly BoundValue[]): Promise<Judgement> => {
      asked++;
      if (asked === 3) version = "2";
      return judgement({ policyVersion: version, action: version === "2" && row === 1 ? "block" : "allow" });
    };
    const all = await judgeRows({}, rowsOf([1, 2, 3, 4]), { ...alike, judge });
    assert.deepEqual([all.action, all.policyVersion, asked], ["block", "2", 7]);
  });

  it("judges one row of each class", async () => {
    const seen: BoundValue[] = [];
    const judge = ([row]: readonly BoundValue[]): Judgement => {
      seen.push(row);
      return judgement({});
    };
    await judgeRows({}, rowsOf([1, 2, 3, 4, 5]), {
      judge,
      classOf: ([row]) => (row === 4 ? undefined : `${Number(row) % 2}`),
    });
    assert.deepEqual(seen, [1, 2, 4]);
  });

  it("leaves nothing known of what runs by name behind a kind that no server runs in bulk", async () => {
    const judge = (): Judgement => judgement({ statementKind: "call", dynamicEffect: { kind: "none" } });
    const all = await judgeRows({}, rowsOf([1, 2]), { ...alike, judge });
    assert.equal(all.dynamicEffect?.kind, "forget-all");
  });
});
