import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { REASON_BYTES_MAX, tellDecision } from "../../src/policy/decide.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { sha256Hex } from "../../src/sql/mysql/digest/digest.ts";
import { type DecideFixture, decideText, NOON, ruleIds } from "./policy-fixture.ts";

const digestOf = (sql: string): string => sha256Hex(analyze(new TextEncoder().encode(sql), contextFor({})).digest);

const DECISIONS: readonly [
  name: string,
  sql: string,
  fixture: DecideFixture,
  action: string,
  rule: string | undefined,
][] = [
  ["the built-in policy lets a select through", "SELECT id FROM book WHERE id = 1", {}, "allow", undefined],
  ["the built-in policy warns of DELETE without WHERE", "DELETE FROM book", {}, "warn", "dml.nowhere"],
  ["the built-in policy blocks DROP DATABASE", "DROP DATABASE shop", {}, "block", "ddl.dropdb"],
  [
    "a threshold holds for approval",
    "DELETE FROM book",
    { policy: "thresholds: { require_approval: 60 }" },
    "require-approval",
    "dml.nowhere",
  ],
  [
    "a threshold that is off does nothing",
    "DROP DATABASE shop",
    { policy: "thresholds: { block: off, warn: off }" },
    "allow",
    undefined,
  ],
  [
    "a rule that is off does not count",
    "DELETE FROM book",
    { policy: "rules: { dml.nowhere: off }" },
    "allow",
    undefined,
  ],
  [
    "a rule's action decides at any score",
    "SELECT * FROM book WHERE id = 1",
    { policy: "rules: { perf.star: block }" },
    "block",
    "perf.star",
  ],
  [
    "a rule's points can be changed",
    "DELETE FROM book",
    { policy: "rules: { dml.nowhere: { points: 90 } }" },
    "block",
    "dml.nowhere",
  ],
  [
    "a rule can be reported without points",
    "DELETE FROM book",
    { policy: "rules: { dml.nowhere: allow }" },
    "allow",
    undefined,
  ],
  [
    "a rule set that is off does not count",
    "DELETE FROM book",
    { policy: "rule_sets: { dml: off }" },
    "allow",
    undefined,
  ],
  [
    "a rule set in observe mode decides nothing",
    "DROP DATABASE shop",
    { policy: "rule_sets: { schema: observe }" },
    "allow",
    undefined,
  ],
  ["mode off judges nothing", "DROP DATABASE shop", { policy: "mode: off" }, "allow", undefined],
  [
    "a denied kind is refused",
    "SHOW GRANTS",
    { policy: "deny: { statements: [show] }" },
    "block",
    "pol.deny.statement",
  ],
  [
    "a denied kind may be a glob",
    "CREATE TABLE x (id INT)",
    { policy: "deny: { statements: ['create-*'] }" },
    "block",
    "pol.deny.statement",
  ],
  [
    "a deny entry may warn instead",
    "SELECT id FROM salary",
    { policy: "deny: { tables: [{ match: salary, action: warn }] }" },
    "warn",
    "pol.deny.table",
  ],
  [
    "a denied table is refused in a subquery",
    "SELECT id FROM a WHERE id IN (SELECT id FROM salary)",
    { policy: "deny: { tables: [salary] }" },
    "block",
    "pol.deny.table",
  ],
  [
    "a denied table of another schema is let through",
    "SELECT id FROM shop.salary WHERE id = 1",
    { policy: "deny: { tables: [hr.salary] }" },
    "allow",
    undefined,
  ],
  [
    "a denied table may be meant where the schema is unknown",
    "SELECT id FROM salary WHERE id = 1",
    { policy: "deny: { tables: [hr.salary] }" },
    "block",
    "pol.deny.table",
  ],
  [
    "a denied table is not meant where the schema is another one",
    "SELECT id FROM salary WHERE id = 1",
    { policy: "deny: { tables: [hr.salary] }", subject: { schema: "shop" } },
    "allow",
    undefined,
  ],
  [
    "a denied column is refused by name",
    "SELECT m.password FROM member m WHERE id = 1",
    { policy: "deny: { columns: [member.password] }" },
    "block",
    "pol.deny.column",
  ],
  [
    "a denied column is refused in WHERE",
    "SELECT id FROM member WHERE password LIKE 'a%'",
    { policy: "deny: { columns: [member.password] }" },
    "block",
    "pol.deny.column",
  ],
  [
    "a denied column is refused through *",
    "SELECT m.* FROM member m WHERE id = 1",
    { policy: "deny: { columns: [member.password] }" },
    "block",
    "pol.deny.column",
  ],
  [
    "a denied column is refused through TABLE",
    "TABLE member",
    { policy: "deny: { columns: [member.password] }" },
    "block",
    "pol.deny.column",
  ],
  [
    "a denied column of another table is let through",
    "SELECT b.password FROM book b WHERE id = 1",
    { policy: "deny: { columns: [member.password] }" },
    "allow",
    undefined,
  ],
  [
    "COUNT(*) reads no denied column",
    "SELECT COUNT(*) FROM member WHERE id = 1",
    { policy: "deny: { columns: [member.password] }" },
    "allow",
    undefined,
  ],
  [
    "a denied function is refused",
    "SELECT id FROM book WHERE id = BENCHMARK(1, 1)",
    { policy: "deny: { functions: [bench*] }" },
    "block",
    "pol.deny.function",
  ],
  [
    "an allow list of kinds refuses others",
    "DELETE FROM book WHERE id = 1",
    { policy: "allow: { statements: [select] }" },
    "block",
    "pol.allow.statement",
  ],
  [
    "an allow list of kinds lets session statements through",
    "SET NAMES utf8mb4",
    { policy: "allow: { statements: [select] }" },
    "allow",
    undefined,
  ],
  [
    "an allow list of tables refuses others",
    "SELECT id FROM salary WHERE id = 1",
    { policy: "allow: { tables: [book] }" },
    "block",
    "pol.allow.table",
  ],
  [
    "an allow list of tables does not guess the schema",
    "SELECT id FROM book WHERE id = 1",
    { policy: "allow: { tables: [shop.book] }" },
    "block",
    "pol.allow.table",
  ],
  [
    "an allow list of tables takes the current schema",
    "SELECT id FROM book WHERE id = 1",
    { policy: "allow: { tables: [shop.book] }", subject: { schema: "shop" } },
    "allow",
    undefined,
  ],
  ["a schema that is not listed is refused", "USE payroll", { policy: "schemas: [shop]" }, "block", "pol.schema"],
  ["a listed schema is let through", "USE shop", { policy: "schemas: [shop]" }, "allow", undefined],
  [
    "a canary is refused",
    "SELECT id FROM bait WHERE id = 1",
    { policy: "canary_tables: [bait]" },
    "block",
    "pol.canary",
  ],
  [
    "require_where refuses without WHERE",
    "UPDATE book SET title = 'x'",
    { policy: "require_where: true" },
    "block",
    "pol.where",
  ],
  [
    "require_where refuses a constant WHERE",
    "UPDATE book SET title = 'x' WHERE 1=1",
    { policy: "require_where: [book]" },
    "block",
    "pol.where",
  ],
  [
    "require_where refuses WHERE id = id",
    "DELETE FROM book WHERE id = id",
    { policy: "require_where: [book]" },
    "block",
    "pol.where",
  ],
  [
    "require_where is content with a WHERE",
    "DELETE FROM book WHERE id = 4",
    { policy: "require_where: [book]" },
    "allow",
    undefined,
  ],
  [
    "a write on a reader endpoint is medium",
    "DELETE FROM book WHERE id = 4",
    { subject: { backendRole: "reader" } },
    "allow",
    undefined,
  ],
  ["what is not understood is refused", "FROBNICATE book", {}, "block", "dyn.unknown"],
  [
    "what is not understood can be let through",
    "FROBNICATE book",
    { policy: "not_understood: warn" },
    "warn",
    "dyn.unknown",
  ],
];

for (const [name, sql, fixture, action, rule] of DECISIONS) {
  test(`decide(): ${name}`, () => {
    const decision = decideText(sql, fixture);
    assert.equal(decision.enforcedAction, action, JSON.stringify(decision.rules));
    assert.equal(decision.ruleId, rule);
  });
}

test("decide() in observe mode never refuses and says what it would have done", () => {
  for (const sql of ["DROP DATABASE shop", "FROBNICATE", "SELECT 'a", "INSERT INTO t VALUES (1)"]) {
    const decision = decideText(sql, { policy: "mode: observe\nread_only: true" });
    assert.equal(decision.action, "allow");
    assert.equal(decision.enforcedAction, "block");
  }
});

test("decide() refuses with a MySQL statement error whose text can be acted on", () => {
  const decision = decideText("DROP DATABASE shop");
  assert.equal(decision.errorNumber, 1148);
  assert.equal(decision.sqlState, "42000");
  assert.equal(
    tellDecision(decision, "d-1"),
    "querycop: blocked by rule ddl.dropdb (risk 90): A whole schema is dropped. Take a snapshot and drop the schema from an administrator's user [decision d-1]",
  );
});

test("decide() calls what is not understood a syntax error", () => {
  assert.equal(decideText("FROBNICATE book").errorNumber, 1064);
});

test("decide() keeps its text printable and within the limit of an error packet", () => {
  const name = `\u202e\u0007${"ü".repeat(400)}`;
  const decision = decideText(`SELECT 1 FROM \`${name}\``, { policy: "deny: { tables: ['*'] }" });
  const reason = tellDecision(decision, "d-1");
  assert.ok(new TextEncoder().encode(reason).length <= REASON_BYTES_MAX);
  assert.match(reason, / \[decision d-1\]$/);
  assert.ok(!reason.includes("\u202e") && !reason.includes("\u0007"));
});

test("decide() never quotes a literal of the statement", () => {
  const { reason } = decideText("CREATE USER 'x'@'%' IDENTIFIED BY 'hunter2'", { policy: "thresholds: { block: 60 }" });
  assert.ok(!reason.includes("hunter2"));
});

const EXCEPTION = `exceptions:
  - id: cleanup
    reason: the job empties its own table
    expires: 2026-12-01
    rules: [dml.nowhere, pol.where]
    users: [cleanup]
    tables: [staging]
`;

test("an exception takes its rules away and is named in the decision", () => {
  const decision = decideText("DELETE FROM staging", { policy: EXCEPTION, subject: { user: "cleanup" } });
  assert.equal(decision.enforcedAction, "allow");
  assert.deepEqual(decision.exceptions, ["cleanup"]);
});

for (const [name, sql, user, wallMs] of [
  ["another user", "DELETE FROM staging", "app", NOON],
  ["another table", "DELETE FROM orders", "cleanup", NOON],
  ["a join with another table", "DELETE staging FROM staging JOIN orders ON true", "cleanup", NOON],
  ["the time after its end", "DELETE FROM staging", "cleanup", Date.UTC(2026, 11, 1)],
] as const) {
  test(`an exception does nothing for ${name}`, () => {
    const policy = `require_where: true\n${EXCEPTION}`;
    const decision = decideText(sql, { policy, subject: { user }, wallMs });
    assert.notEqual(decision.enforcedAction, "allow");
    assert.deepEqual(decision.exceptions, []);
  });
}

test("no exception reaches the read-only rule", () => {
  const policy = `read_only: true\n${EXCEPTION.replace("[dml.nowhere, pol.where]", "['*']")}`;
  const decision = decideText("DELETE FROM staging", { policy, subject: { user: "cleanup" } });
  assert.equal(decision.enforcedAction, "block");
  assert.equal(decision.ruleId, "pol.readonly");
});

const LEARNED = "SELECT id, title FROM book WHERE id = 1 LIMIT 10";
const LEARNING = (newDigest: string): string =>
  `new_digest: ${newDigest}\nallow: { digests: ["${digestOf(LEARNED)}"] }`;

test("a learned profile lets known statements through with other values", () => {
  const decision = decideText(LEARNED.replace("1 LIMIT", "4711 LIMIT"), { policy: LEARNING("block") });
  assert.equal(decision.enforcedAction, "allow");
});

test("a learned profile refuses any other structure", () => {
  for (const tail of [" OR 1", " UNION SELECT 1, 2", " AND id > 3", "; SELECT 1", " FOR UPDATE"]) {
    const decision = decideText(`SELECT id, title FROM book WHERE id = 1${tail}`, { policy: LEARNING("block") });
    assert.equal(decision.enforcedAction, "block", tail);
    assert.ok(ruleIds(decision).includes("pol.newdigest"), tail);
  }
});

test("a learned profile can add points instead", () => {
  assert.equal(decideText("SELECT title FROM book WHERE id = 2", { policy: LEARNING("30") }).score, 30);
});

test("a learned profile lets session statements through", () => {
  assert.equal(decideText("SET autocommit = 1", { policy: LEARNING("block") }).enforcedAction, "allow");
});

test("a known digest keeps the rules about values that the digest does not show", () => {
  const benign = "SELECT id FROM book WHERE id = 1 OR ? = ?";
  const policy = `allow: { digests: ["${digestOf(benign)}"] }`;
  const decision = decideText("SELECT id FROM book WHERE id = 1 OR 1 = 1", { policy });
  assert.ok(ruleIds(decision).includes("inj.tautology"));
});

test("a routine of the policy's list is known, another one is not", () => {
  const policy = "allow: { routines: [close_month, mysql.rds_rotate_slow_log] }";
  for (const sql of ["CALL close_month()", "CALL mysql.rds_rotate_slow_log()"]) {
    assert.deepEqual(ruleIds(decideText(sql, { policy })), [], sql);
  }
  for (const sql of ["CALL other.close_month()", "CALL mysql.rds_rotate_general_log()"]) {
    assert.notEqual(decideText(sql, { policy }).score, 0, sql);
  }
});

test("a procedure that is another name for a statement is judged as that statement", () => {
  for (const sql of ["CALL mysql.rds_kill(42)", "CALL mysql.rds_kill_query(42)"]) {
    assert.deepEqual(ruleIds(decideText(sql)), ["adm.kill", "dyn.prepare"]);
    assert.equal(decideText(sql, { policy: "deny: { statements: [kill] }" }).enforcedAction, "block");
  }
  assert.equal(decideText("CALL mysql.rds_kill(@id)").enforcedAction, "block");
});

test("a procedure without a schema is taken for one of sys where the schema is not known", () => {
  const sql = "CALL execute_prepared_stmt('DROP DATABASE shop')";
  assert.ok(ruleIds(decideText(sql)).includes("ddl.dropdb"));
  assert.ok(ruleIds(decideText(sql, { subject: { schema: "sys" } })).includes("ddl.dropdb"));
});

test("decide() allows an INSERT of 16 MiB of short rows, and blocks one with something else among them", () => {
  const rows = Array.from({ length: 1_600_000 }, (_, id) => `(${id % 10},2,3)`);
  const insert = (): Buffer => Buffer.from(`INSERT INTO book VALUES ${rows.join(",")}`);
  const plain = decideText(insert());
  assert.equal(plain.enforcedAction, "allow", plain.reason);
  assert.equal(plain.score, 0);
  rows[1_000_000] = "(1,LOAD_FILE('/etc/passwd'),3)";
  const odd = decideText(insert());
  assert.notEqual(odd.enforcedAction, "allow");
  assert.deepEqual(ruleIds(odd), ruleIds(decideText("INSERT INTO book VALUES (1,LOAD_FILE('/etc/passwd'),3)")));
});

test("decide() lets MariaDB's dumps begin as they do, and blocks a charset that nothing is known about", () => {
  const sql = "/*M!999999 enable the sandbox mode */ /*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */";
  const context = { dialect: "mariadb", serverVersion: 101119 } as const;
  assert.equal(decideText(sql, { context }).enforcedAction, "allow");
  assert.notEqual(decideText("SELECT 1 /*M!130000 INTO OUTFILE '/tmp/x' */", { context }).enforcedAction, "allow");
  for (const value of ["CONCAT('g', 'bk')", "@@character_set_results", "@a || ''", "gbk"]) {
    assert.equal(decideText(`SET character_set_client = ${value}`).enforcedAction, "block", value);
  }
});

describe("a deny entry that asks for an approval or warns", () => {
  const policyOf = (action: string): string => `deny: { tables: [{ match: payroll, action: ${action} }] }`;
  const decided = (sql: string, policy: string) => decideText(sql, { policy, subject: { schema: "shop" } });
  // 60 points of other rules, which only warn.
  const risky = "UPDATE payroll SET pay = 1";

  for (const action of ["require-approval", "warn"] as const) {
    it(`${action}: does so beside rules that do not block by themselves`, () => {
      assert.equal(decided(risky, "").enforcedAction, "warn");
      const decision = decided(risky, policyOf(action));
      assert.equal(decision.enforcedAction, action);
      assert.ok(decision.score >= 80, "the score tells all of it");
    });

    it(`${action}: takes nothing back from a rule that blocks`, () => {
      assert.equal(decided("DROP DATABASE payroll", policyOf(action)).enforcedAction, "block");
      const both = `${policyOf(action)}\nthresholds: { block: 60 }`;
      const decision = decided(risky, both);
      assert.equal(decision.enforcedAction, "block");
      assert.equal(decision.ruleId, "dml.nowhere");
    });
  }

  it("require-approval: names itself as what decided", () => {
    assert.equal(decided(risky, policyOf("require-approval")).ruleId, "pol.deny.table");
  });
});

test("decide() takes SET GLOBAL TRANSACTION for the change of the server's variables that it is", () => {
  for (const [sql, rules] of [
    ["SET GLOBAL TRANSACTION READ ONLY", ["adm.setglobal"]],
    ["SET GLOBAL transaction_isolation = 'SERIALIZABLE'", ["adm.setglobal"]],
    ["SET GLOBAL TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ WRITE", ["adm.setglobal"]],
    ["SET SESSION TRANSACTION READ ONLY", []],
    ["SET LOCAL TRANSACTION READ ONLY", []],
    ["SET TRANSACTION READ ONLY", []],
  ] as const) {
    assert.deepEqual(ruleIds(decideText(sql)), rules, sql);
  }
});
