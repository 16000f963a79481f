import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  choiceKind,
  closestWord,
  durationKind,
  editDistance,
  formatDuration,
  hostKind,
  integerKind,
  listKind,
  megabyteKind,
  quote,
  sizeKind,
  switchKind,
  textKind,
  type ValueKind,
} from "../../src/config/values.ts";

function read<T>(kind: ValueKind<T>, text: string): T | string {
  const parsed = kind.parse(text);
  return "value" in parsed ? parsed.value : `problem: ${parsed.problem}`;
}

function isProblem(kind: ValueKind<unknown>, text: string): boolean {
  return "problem" in kind.parse(text);
}

test("durationKind() reads each unit", () => {
  const kind = durationKind({ off: true });
  for (const [text, expected] of [
    ["100ms", 100],
    ["30s", 30_000],
    ["10m", 600_000],
    ["24h", 86_400_000],
    ["1d", 86_400_000],
    ["off", 0],
    ["0", 0],
  ] as const) {
    assert.equal(read(kind, text), expected);
  }
});

test("durationKind() refuses numbers without unit, other units, fractions, and values out of range", () => {
  for (const text of [
    "30",
    "30 s",
    "30sec",
    "1.5s",
    "-5s",
    "s",
    "",
    "2d",
    "99ms",
    "25h",
    "99999999999999999h",
    "30S",
  ]) {
    assert.ok(isProblem(durationKind(), text), text);
  }
  assert.ok(isProblem(durationKind(), "off"));
  assert.equal(read(durationKind(), "30"), 'problem: expected a duration such as 30s (units ms, s, m, h, d), got "30"');
  assert.equal(read(durationKind(), "25h"), 'problem: expected a duration from 100ms to 1d, got "25h"');
});

test("formatDuration() writes what durationKind() reads", () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 86_400_000 }), (durationMs) => {
      return read(durationKind(), formatDuration(durationMs)) === durationMs;
    }),
  );
});

test("sizeKind() reads binary units and refuses decimal ones", () => {
  const kind = sizeKind({ min: 1, max: 1024 ** 4 });
  assert.equal(read(kind, "16KiB"), 16_384);
  assert.equal(read(kind, "64MiB"), 67_108_864);
  assert.equal(read(kind, "2GiB"), 2_147_483_648);
  assert.equal(read(kind, "10B"), 10);
  for (const text of ["64MB", "64", "64M", "MiB", "1.5GiB"]) assert.ok(isProblem(kind, text), text);
});

test("integerKind() keeps to its range and takes no other notation", () => {
  const kind = integerKind({ min: 1, max: 65_535 });
  assert.equal(read(kind, "1"), 1);
  assert.equal(read(kind, "65535"), 65_535);
  for (const text of ["0", "65536", "1e3", "0x10", "+5", "-1", " 5", "", "5.0", "off"])
    assert.ok(isProblem(kind, text), text);
  assert.equal(read(integerKind({ min: 1, max: 9, off: true }), "off"), 0);
});

test("megabyteKind() counts in units of a million bytes", () => {
  assert.equal(read(megabyteKind({ min: 1, max: 1000 }), "100"), 100_000_000);
  assert.equal(read(megabyteKind({ min: 1, max: 1000 }), "off"), 0);
});

test("hostKind() takes names and addresses and explains ports, schemes and paths", () => {
  for (const text of ["localhost", "db-1.example.com", "10.0.0.1", "::1", "fe80::1%eth0", "a_b"]) {
    assert.equal(read(hostKind, text), text);
  }
  assert.equal(read(hostKind, "[::1]"), "::1");
  assert.match(String(read(hostKind, "db.example.com:3306")), /without port/);
  assert.match(String(read(hostKind, "mysql://db")), /without scheme/);
  for (const text of ["", "a b", "db\n", "é", "x".repeat(254)]) assert.ok(isProblem(hostKind, text), text);
});

test("switchKind() takes the usual words", () => {
  for (const text of ["on", "true", "yes", "1", "ON"]) assert.equal(read(switchKind, text), true);
  for (const text of ["off", "false", "no", "0"]) assert.equal(read(switchKind, text), false);
  assert.ok(isProblem(switchKind, "maybe"));
});

test("choiceKind() suggests the nearest choice", () => {
  const kind = choiceKind(["disable", "prefer", "verify-full"]);
  assert.equal(
    read(kind, "verify-ful"),
    'problem: expected one of disable, prefer, verify-full, got "verify-ful", did you mean "verify-full"?',
  );
  assert.equal(read(kind, "zzz"), 'problem: expected one of disable, prefer, verify-full, got "zzz"');
  assert.ok(isProblem(kind, "PREFER"));
});

test("listKind() splits, trims and checks each entry", () => {
  const kind = listKind("words", (item) => item.length > 0);
  assert.deepEqual(read(kind, "a, b ,c"), ["a", "b", "c"]);
  assert.ok(isProblem(kind, "a,,b"));
  assert.ok(isProblem(kind, Array.from({ length: 1001 }, () => "a").join(",")));
});

test("textKind() refuses control characters and excess length", () => {
  assert.equal(read(textKind(), "aws rds \\\n --x"), "aws rds \\\n --x");
  assert.ok(isProblem(textKind(), "a\u0000b"));
  assert.ok(isProblem(textKind(), "a\u001bb"));
  assert.ok(isProblem(textKind(), "x".repeat(4097)));
});

test("every kind answers any text with a value or a problem of one bounded line", () => {
  const kinds: ValueKind<unknown>[] = [
    durationKind(),
    sizeKind({ min: 1, max: 10 }),
    integerKind({ min: 0, max: 9 }),
    hostKind,
    switchKind,
    choiceKind(["a"]),
    textKind(),
    listKind("x", (item) => item === "x"),
  ];
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.constantFrom(...kinds), (text, kind) => {
      const parsed = kind.parse(text);
      return "value" in parsed || (parsed.problem.length < 300 && !parsed.problem.includes("\n"));
    }),
  );
});

test("quote() bounds and cleans what it shows", () => {
  assert.equal(quote("a\u001b[31m\nb"), '"a?[31m?b"');
  assert.equal(quote("x".repeat(100)).length, 83);
});

test("editDistance() counts a swap of neighbours as one edit", () => {
  assert.equal(editDistance("hots", "host"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
      const distance = editDistance(left, right);
      return distance === editDistance(right, left) && (distance === 0) === (left === right);
    }),
  );
});

test("closestWord() suggests only what is near", () => {
  const words = ["listen", "backend", "proxy"];
  assert.equal(closestWord("lisen", words), "listen");
  assert.equal(closestWord("back", words), "backend");
  assert.equal(closestWord("BACKEND", words), "backend");
  assert.equal(closestWord("audit", words), undefined);
  assert.equal(closestWord("", words), undefined);
  assert.equal(closestWord("x".repeat(101), ["x".repeat(100)]), undefined);
});
