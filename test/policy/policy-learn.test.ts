import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { importDigests, PolicyLearner } from "../../src/policy/tools/policy-learn.ts";
import { NOON } from "./policy-fixture.ts";

const learnerOf = (isStrict = false): PolicyLearner =>
  new PolicyLearner({ policy: DEFAULT_POLICY, wallMs: NOON, isStrict });

function audited(text: string, fields: object = {}, user = "app"): string {
  const session = { id: "s", clientAddress: "10.0.0.1:4000", user, schema: "shop" };
  return JSON.stringify({
    seq: 1,
    type: "statement-intent",
    session,
    text,
    textForm: "redacted",
    decision: "allow",
    ...fields,
  });
}

/** The draft's lines that list or leave out a statement, without hashes. */
const linesOf = (learner: PolicyLearner): string[] =>
  learner
    .render()
    .split("\n")
    .filter((line) => line.startsWith("        "))
    .map((line) => line.trim().replace(/^- [0-9a-f]{64}/, "-"));

describe("PolicyLearner", () => {
  it("lists what is warned of first, then what was seen most", () => {
    const learner = learnerOf();
    for (let times = 0; times < 2; times++) learner.add(audited("SELECT a FROM t WHERE b = 1"));
    for (let times = 0; times < 3; times++) learner.add(audited("SELECT c FROM t WHERE b = 1"));
    learner.add(audited("DELETE FROM t"));
    learner.add(audited("DROP DATABASE shop"));
    assert.deepEqual(linesOf(learner), [
      "- # risk 60 dml.nowhere, 1 x DELETE FROM `t`",
      "- # 3 x SELECT `c` FROM `t` WHERE `b` = ?",
      "- # 2 x SELECT `a` FROM `t` WHERE `b` = ?",
      "# refused: risk 90 ddl.dropdb, 1 x DROP SCHEMA `shop`",
    ]);
    assert.deepEqual(learner.counts(), { listed: 3, leftOut: 1, withoutText: 0, unreadable: 0 });
  });

  it("leaves out what is warned of when it is strict", () => {
    const learner = learnerOf(true);
    learner.add(audited("DELETE FROM t"));
    assert.deepEqual(linesOf(learner), ["# warned: risk 60 dml.nowhere, 1 x DELETE FROM `t`", "[]"]);
    assert.deepEqual(learner.counts(), { listed: 0, leftOut: 1, withoutText: 0, unreadable: 0 });
  });

  it("says why it leaves a statement out", () => {
    const learner = learnerOf();
    learner.add(audited("FROBNICATE t"));
    learner.add(audited("PREPARE s FROM @q"));
    learner.add(audited("SELECT a FROM t WHERE b = 2", { type: "statement-blocked" }));
    assert.deepEqual(
      linesOf(learner).map((line) => line.split(":")[0]),
      ["# runs text that no digest tells", "# not understood", "# refused", "[]"],
    );
  });

  it("lists what has run once, whatever became of it another time", () => {
    const refused = audited("SELECT a FROM t WHERE b = 2", { type: "statement-blocked" });
    const run = audited("SELECT a FROM t WHERE b = 3");
    for (const order of [
      [refused, run, refused],
      [run, refused, refused],
    ]) {
      const learner = learnerOf();
      for (const line of order) learner.add(line);
      assert.deepEqual(linesOf(learner), ["- # 3 x SELECT `a` FROM `t` WHERE `b` = ?"]);
    }
  });

  it("has a profile for each user, in the order of their names", () => {
    const learner = learnerOf();
    for (const user of ["b", "c", "a"]) learner.add(audited("SELECT a FROM t WHERE b = 2", {}, user));
    const users = learner.render().match(/users: .*/g);
    assert.deepEqual(users, ['users: ["a"]', 'users: ["b"]', 'users: ["c"]']);
  });

  it("counts the lines that hold no statement", () => {
    const learner = learnerOf();
    learner.add("{");
    learner.add(JSON.stringify({ type: "connect" }));
    learner.add(audited(""));
    const { unreadable, listed } = learner.counts();
    assert.deepEqual([unreadable, listed], [1, 0]);
    assert.ok(learner.render().endsWith("profiles:\n  []\n"));
  });
});

describe("importDigests()", () => {
  const imported = (lines: readonly string[]): { learner: PolicyLearner; counts: object } => {
    const learner = learnerOf();
    return { learner, counts: importDigests(lines, learner, { defaultUser: "app", digestLengthMax: 1024 }) };
  };

  it("reads cells as mysql --batch writes them", () => {
    const { learner } = imported([
      "digest_text",
      "SELECT `a\\\\b` , `c\\td` FROM `t\\nu` WHERE `e` = ?",
      "SELECT `\\x` FROM `t`",
    ]);
    assert.deepEqual(
      linesOf(learner).map((line) => line.replace(/^.*1 x /, "")),
      ["SELECT `a\\b` , `c d` FROM `t u` WHERE `e` = ?", "SELECT `\\x` FROM `t`"],
    );
  });

  it("takes user and text from the columns of their names, wherever they stand", () => {
    const { learner, counts } = imported([
      "Userhost\tx\tRule",
      "ann@localhost\t1\tSELECT `a` FROM `t` WHERE `b` = ?",
      "\t2\tSELECT `c` FROM `t` WHERE `b` = ?",
      "",
      "ann@localhost\t3\tNULL",
      "ann@localhost\t4\t",
    ]);
    assert.deepEqual(counts, { imported: 2, truncated: 0, unreadable: 2 });
    assert.deepEqual(learner.render().match(/users: .*/g), ['users: ["ann"]', 'users: ["app"]']);
  });

  it("takes nothing from a dump without a column of texts", () => {
    assert.deepEqual(imported(["a\tb", "1\t2"]).counts, { imported: 0, truncated: 0, unreadable: 1 });
  });
});
