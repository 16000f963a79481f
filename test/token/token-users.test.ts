import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { QuerycopError } from "../../src/base/errors.ts";
import { checkTokenUser } from "../../src/token/token-users.ts";
import { HOSTILE_USERS } from "./hostile-users.ts";

function isAllowed(user: string, allowed?: readonly string[]): boolean {
  try {
    checkTokenUser(user, allowed);
    return true;
  } catch (error) {
    assert.ok(error instanceof QuerycopError);
    assert.equal(error.code, "QC_USER_NOT_ALLOWED");
    assert.equal(error.errorNumber, 1045);
    return false;
  }
}

for (const user of HOSTILE_USERS) {
  test(`checkTokenUser() refuses ${JSON.stringify(user.slice(0, 40))} of ${user.length} characters`, () => {
    assert.equal(isAllowed(user), false);
    assert.equal(isAllowed(user, ["*", user]), false);
  });
}

test("checkTokenUser() allows plain names", () => {
  for (const user of ["app", "_app", "0app", "iam_user", "jane.doe@example.com", "a-b+c.d_e@f", "x".repeat(80)]) {
    assert.equal(isAllowed(user), true, user);
  }
});

test("checkTokenUser() goes by the list: exact names and stars, case as written", () => {
  const list = ["app", "ro_*", "*_ops", "a*b*c"];
  for (const user of ["app", "ro_", "ro_x", "jane_ops", "_ops", "abc", "a_b_b_c"])
    assert.equal(isAllowed(user, list), true, user);
  for (const user of ["App", "apps", "xapp", "r_x", "RO_x", "ops", "acb", "abcd"])
    assert.equal(isAllowed(user, list), false, user);
  assert.equal(isAllowed("app", []), false);
  assert.equal(isAllowed("app", ["*"]), true);
  assert.equal(isAllowed("app", [""]), false);
});

test("checkTokenUser() takes everything but the star in a pattern literally", () => {
  assert.equal(isAllowed("axb", ["a.b"]), false);
  assert.equal(isAllowed("a.b", ["a.b"]), true);
  assert.equal(isAllowed("a", ["[a]", "a?", "(a)"]), false);
});

test("checkTokenUser() agrees with a regular expression on random patterns", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "*"), { maxLength: 8 }).map((list) => list.join(""));
  const names = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 10 }).map((list) => list.join(""));
  fc.assert(
    fc.property(letters, names, (pattern, name) => {
      const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(name);
      return isAllowed(name, [pattern]) === expected;
    }),
    { numRuns: 5000 },
  );
});

test("checkTokenUser() comes to an end on a pattern made to be slow", () => {
  assert.equal(isAllowed("a".repeat(80), ["a*".repeat(500)]), false);
});

test("checkTokenUser() does not repeat the name to the client", () => {
  assert.throws(
    () => checkTokenUser("CANARY<script>", undefined),
    (error) =>
      error instanceof QuerycopError && !error.clientMessage.includes("CANARY") && error.message.includes("CANARY"),
  );
});
