/** Addresses of objects in S3: what is one, what a pattern allows, and how they are told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allowsS3, parseS3Address, parseS3Pattern, s3Text } from "../../src/base/s3-uri.ts";

test("parseS3Address() takes keys as they are, and none that could be taken for another", () => {
  assert.deepEqual(parseS3Address("s3://bucket/a b/%41'?#.csv"), {
    bucket: "bucket",
    key: "a b/%41'?#.csv",
    region: undefined,
  });
  assert.equal(parseS3Address("s3-eu-central-1://bucket/k")?.region, "eu-central-1");
  const bad = [
    "s3://b/k",
    "s3://UPPER/k",
    "s3://a..b/k",
    "s3://10.0.0.1/k",
    "s3://bucket",
    "s3://bucket/",
    "s3:/bucket/k",
  ];
  const keys = ["..", "a/../b", ".", "./a", "a\nb", "a\0", "\u0085", "\ud800", "é".repeat(513)];
  for (const text of [...bad, ...keys.map((key) => `s3://bucket/${key}`)]) {
    assert.equal(parseS3Address(text), undefined, JSON.stringify(text));
  }
});

test("a pattern allows its object, or what begins with it, in its bucket alone", () => {
  const allows = (pattern: string, text: string): boolean => {
    const [parsed, address] = [parseS3Pattern(pattern), parseS3Address(text)];
    assert.ok(parsed !== undefined && address !== undefined);
    return allowsS3(parsed, address);
  };
  assert.equal(allows("s3://bucket/a*", "s3://bucket/ab"), true);
  assert.equal(allows("s3://bucket/*", "s3://bucket/x/y"), true);
  assert.equal(allows("s3://bucket/a", "s3://bucket/ab"), false);
  assert.equal(allows("s3://bucket/a*", "s3://bucket-2/ab"), false);
  assert.equal(allows("s3://bucket/a*", "s3://bucket/A"), false);
  assert.equal(allows("s3-eu-west-1://bucket/*", "s3-us-east-1://bucket/a"), false);
  assert.equal(allows("s3-eu-west-1://bucket/*", "s3://bucket/a"), true);
  assert.equal(parseS3Pattern("s3://bucket/../*"), undefined);
});

test("s3Text() holds nothing that a literal, a log or a terminal could misread", () => {
  assert.equal(s3Text({ bucket: "b", key: "a'\\\"`?\u202e/é*" }), "s3://b/a%27%5C%22%60%3F%E2%80%AE/%C3%A9%2A");
});
