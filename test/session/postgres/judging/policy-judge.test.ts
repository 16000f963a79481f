/** What the policy is told of a PostgreSQL session: what it knows of how the server reads, and nothing that it does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverVersionOf } from "../../../../src/session/postgres/judging/policy-judge.ts";
import { mayChangeNames, mayCopyIn, mayRunNames } from "../../../../src/session/postgres/judging/text-signs.ts";
import { Names } from "../../../../src/session/postgres/statements/names.ts";
import { PreparedByText } from "../../../../src/session/postgres/statements/prepared-by-text.ts";
import { parseSearchPath } from "../../../../src/sql/postgres/walk/search-path.ts";

test("serverVersionOf() reads what servers report", () => {
  assert.equal(serverVersionOf("15.20 (Debian 15.20-0+deb12u1)"), 150_020);
  assert.equal(serverVersionOf("18.6"), 180_006);
  for (const text of [undefined, "", "18beta1", "9.6.24", "16"]) assert.equal(serverVersionOf(text), undefined);
});

test("parseSearchPath() reads names as the server splits them, or nothing", () => {
  assert.deepEqual(parseSearchPath('"$user", public'), ["$user", "public"]);
  assert.deepEqual(parseSearchPath('Upper,"a ""b"", c" , x'), ["upper", 'a "b", c', "x"]);
  assert.deepEqual(parseSearchPath(""), []);
  for (const text of ["a b", '"open', "a,,b", "a,"]) assert.equal(parseSearchPath(text), undefined, text);
});

test("a COPY from the client and PREPARE are told by their letters, however they are written", () => {
  for (const text of ["copy t from stdin", "COPY t FROM StdOut", "/* */ Copy(select 1)to stdout"]) {
    assert.ok(mayCopyIn(Buffer.from(text)), text);
  }
  for (const text of ["SELECT 1", "COPY t FROM '/file'", "SELECT 'stdin'"])
    assert.ok(!mayCopyIn(Buffer.from(text)), text);
  for (const text of ["PREPARE n AS SELECT 1", "do $$ begin end $$", "select 1;call p()"]) {
    assert.ok(mayChangeNames(Buffer.from(text)), text);
  }
  for (const text of ["SELECT prepared_at, todo, recall FROM calls", "UPDATE dogs SET x = 1"]) {
    assert.ok(!mayChangeNames(Buffer.from(text)), text);
  }
});

test("EXECUTE is told by its letters too", () => {
  for (const text of ["execute n", "EXPLAIN Execute n(1)", "create table t as EXECUTE n"]) {
    assert.ok(mayRunNames(Buffer.from(text)), text);
  }
  for (const text of ["SELECT executed_at FROM re_execute", ""]) assert.ok(!mayRunNames(Buffer.from(text)), text);
});

test("PreparedByText keeps what a name was ever given, so many names and so many texts of one", () => {
  const names = new PreparedByText(2);
  const given = (name: string, sql: string) => ({ name, sql: Buffer.from(sql) });
  assert.ok(names.add([given("a", "PREPARE a AS SELECT 1"), given("b", "PREPARE b AS SELECT 2")]));
  assert.ok(names.add([given("a", "PREPARE a AS SELECT 1"), given("a", "PREPARE a AS SELECT 3")]));
  assert.deepEqual(names.of("a").map(String), ["PREPARE a AS SELECT 1", "PREPARE a AS SELECT 3"]);
  assert.deepEqual([names.has("b"), names.has("c"), names.of("c")], [true, false, []]);
  assert.ok(!names.add([given("c", "PREPARE c AS SELECT 4")]));
  const many = Array.from({ length: 7 }, (_, index) => given("b", `PREPARE b AS SELECT ${10 + index}`));
  assert.ok(names.add(many));
  assert.ok(!names.add([given("b", "PREPARE b AS SELECT 99")]));
});

test("a name means what was given last in its own unit, and whatever may have come of the units before", () => {
  const names = new Names<string>();
  const first = names.change("n", "one", 1);
  assert.deepEqual(names.candidates("n", 1), ["one"]);
  names.confirm(first);
  names.endUnit(1);
  // Two units on their way: each may have been discarded by an error in it.
  names.change("n", undefined, 2);
  names.change("n", "two", 2);
  names.change("n", "three", 3);
  assert.deepEqual(names.candidates("n", 3), ["three"]);
  assert.deepEqual(names.candidates("n", 4), ["one", "two", "three"]);
  // The second is over without an answer to any of it.
  names.endUnit(2);
  assert.deepEqual(names.candidates("n", 4), ["one", "three"]);
  const closed = names.change("n", undefined, 4);
  assert.deepEqual(names.candidates("n", 4), []);
  names.confirm(closed);
  assert.deepEqual(names.candidates("n", 5), []);
  assert.equal(names.size, 0);
});
