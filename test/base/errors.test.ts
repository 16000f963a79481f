import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_CODES, type ErrorCode } from "../../src/base/errors.ts";

/** Told while the session goes on. 1047 with 08S01 is left out: servers say the very same of a command they do not know. */
const ANSWERED: readonly ErrorCode[] = [
  "QC_CLIENT_MALFORMED_COMMAND",
  "QC_CLIENT_UNKNOWN_STATEMENT_ID",
  "QC_CLIENT_TOO_MANY_STATEMENTS",
  "QC_POLICY_BLOCKED",
  "QC_IMPACT_GUARD",
  "QC_READ_ONLY_WALL",
  "QC_DATA_GUARD",
  "QC_MEMORY_BUDGET",
  "QC_AUDIT_FAILED",
];

/** To go-sql-driver with rejectReadOnly, mysql2's pools and AWS's wrappers a server that is a reader now; to HikariCP a dead connection. */
const ACTED_ON = new Set([1290, 1792, 1836, 3100, 1105, 2399]);

describe("ERROR_CODES", () => {
  for (const code of ANSWERED) {
    it(`${code} makes no driver or pool throw the connection away`, () => {
      const { errorNumber, sqlState } = ERROR_CODES[code];
      assert.ok(!ACTED_ON.has(errorNumber), String(errorNumber));
      // mariadb's drivers: 08xxx and 70100. HikariCP: 08xxx, 0A000 and others. AWS's wrappers: 08xxx, and 28xxx for a login.
      assert.doesNotMatch(sqlState, /^(?:08|28|0A|57|01002|70100)/);
    });
  }
});
