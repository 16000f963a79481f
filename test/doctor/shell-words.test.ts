import assert from "node:assert/strict";
import { it } from "node:test";
import { isHostName, shellWord } from "../../src/doctor/shell-words.ts";

it("isHostName() takes names and addresses only", () => {
  for (const name of ["db.example.com", "10.0.0.1", "fd00::1"]) assert.ok(isHostName(name), name);
  for (const name of [undefined, "", "a b", "$(id)", "a;b", "a\nb", "x".repeat(300)])
    assert.ok(!isHostName(name), String(name));
});

it("shellWord() leaves plain paths alone and quotes the rest", () => {
  assert.equal(shellWord("/etc/querycop/users"), "/etc/querycop/users");
  assert.equal(shellWord("/my files/users"), "'/my files/users'");
  assert.equal(shellWord("it's"), "'it'\\''s'");
  assert.equal(shellWord(""), "''");
});
