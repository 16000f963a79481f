import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideText } from "./policy-fixture.ts";

const OFF = "thresholds: { warn: off, block: off }\n";
const POLICIES = {
  "a denied table": ["deny: { tables: [qc.secret] }", "pol.deny.table"],
  "a tenant's table": ["tenants: [{ tables: [qc.orders], column: tenant_id, value: 7 }]", "acc.tenant"],
  "a denied column": ["deny: { columns: [qc.member.password] }", "pol.deny.column"],
  "a list of tables": ["allow: { tables: [qc.own] }", "pol.allow.table"],
} as const;

const HANDED_OVER = [
  "GRANT SELECT ON qc.* TO u",
  "GRANT SELECT ON `q%`.* TO u",
  "GRANT SELECT ON `_c`.* TO u WITH GRANT OPTION",
  "GRANT SELECT ON Qc.* TO u",
  "GRANT ALL ON *.* TO u",
  "GRANT INSERT ON * TO u",
  "GRANT PROXY ON root TO u",
  "GRANT r TO u",
  "SET DEFAULT ROLE r TO u",
  "CREATE USER u DEFAULT ROLE r",
  "ALTER USER u DEFAULT ROLE ALL",
  "ALTER USER root@localhost IDENTIFIED BY 'x'",
  "SET PASSWORD FOR root@localhost = 'x'",
  "RENAME USER root TO other",
];

const OWN = [
  "GRANT SELECT ON qc2.* TO u",
  "GRANT SELECT ON `qc\\_2`.* TO u",
  "CREATE USER u IDENTIFIED BY 'x'",
  "ALTER USER USER() IDENTIFIED BY 'x'",
  "ALTER USER app IDENTIFIED BY 'x'",
  "SET PASSWORD = 'x'",
  "SET PASSWORD FOR CURRENT_USER() = 'x'",
  "SHOW GRANTS",
];

for (const [what, [policy, rule]] of Object.entries(POLICIES)) {
  describe(`who is kept from ${what}`, () => {
    for (const sql of HANDED_OVER) {
      it(`does not hand it over: ${sql}`, () => assert.equal(decideText(sql, { policy: OFF + policy }).ruleId, rule));
    }
    for (const sql of OWN.filter((text) => rule !== "pol.allow.table" || !text.startsWith("GRANT"))) {
      it(`goes on to do what is no such thing: ${sql}`, () =>
        assert.equal(decideText(sql, { policy: OFF + policy }).action, "allow"));
    }
  });
}
