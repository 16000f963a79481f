import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SessionFacts } from "../../../../src/session/postgres/session-facts.ts";
import { requireWallBuilt, requireWallStands } from "../../../../src/session/postgres/statements/read-only-wall.ts";

const SETTING = "default_transaction_read_only";
const WALL = { code: "QC_READ_ONLY_WALL" };

describe("the second wall on PostgreSQL", () => {
  test("is built only where the server says so, or is too old to say it", () => {
    const built = (...parameters: [string, string][]) => requireWallBuilt(new Map(parameters));
    built(["server_version", "15.20 (Debian 15.20-0+deb12u1)"], [SETTING, "on"]);
    built(["server_version", "13.22"]);
    assert.throws(() => built(["server_version", "15.1"], [SETTING, "off"]), WALL);
    assert.throws(() => built(["server_version", "13.22"], [SETTING, "off"]), WALL);
    assert.throws(() => built(["server_version", "15.1"]), WALL);
    assert.throws(() => built(), WALL);
  });

  test("lets nothing through once the server has reported it gone, while the profile is read-only", () => {
    const facts = new SessionFacts("u", "d", new Map([[SETTING, "on"]]), "I");
    facts.isWalled = true;
    requireWallStands(facts, { isReadOnly: true });
    facts.take({ parameter: SETTING, value: "off" });
    assert.throws(() => requireWallStands(facts, { isReadOnly: true }), WALL);
    requireWallStands(facts, { isReadOnly: false });
  });

  test("is not asked about in a session that did not begin with it", () => {
    const facts = new SessionFacts("u", "d", new Map([[SETTING, "off"]]), "I");
    requireWallStands(facts, { isReadOnly: true });
  });
});
