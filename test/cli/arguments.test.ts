import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkArguments } from "../../src/cli/arguments.ts";

const DEFINITION = {
  "listen-port": { type: "string" },
  "log-level": { type: "string" },
  json: { type: "boolean" },
  follow: { type: "boolean", alias: "f" },
} as const;

function check(...args: string[]): readonly string[] | string {
  const checked = checkArguments(args, DEFINITION);
  return "args" in checked ? checked.args : checked.problem;
}

test("checkArguments() brings options into one form", () => {
  assert.deepEqual(check("--listen-port", "1", "--json", "--log-level=warn"), [
    "--listen-port=1",
    "--json",
    "--log-level=warn",
  ]);
  assert.deepEqual(check("-f"), ["--follow"]);
  assert.equal(check("-f", "--follow"), "--follow is given more than once");
  assert.deepEqual(check("--listen-port=--json"), ["--listen-port=--json"]);
  assert.deepEqual(check(), []);
});

test("checkArguments() refuses unknown options and suggests known ones", () => {
  assert.equal(check("--listn-port", "1"), "unknown option --listn-port, did you mean --listen-port?");
  assert.equal(check("--zzzzzz=1"), "unknown option --zzzzzz");
  assert.equal(check("--no-json"), "unknown option --no-json");
  assert.equal(check("--listenPort=1"), "unknown option --listenPort, did you mean --listen-port?");
  assert.equal(check("-x"), "unknown option -x");
  assert.equal(check("--"), "unknown option --");
  assert.equal(check("--constructor=1"), "unknown option --constructor");
});

test("checkArguments() refuses options without their value", () => {
  assert.equal(check("--listen-port"), "--listen-port needs a value");
  assert.equal(check("--listen-port="), "--listen-port needs a value");
  assert.equal(check("--listen-port", ""), "--listen-port needs a value");
  assert.equal(check("--listen-port", "--json"), "--listen-port needs a value");
});

test("checkArguments() refuses a value for a switch, repeated options and surplus words", () => {
  assert.equal(check("--json=true"), "--json takes no value");
  assert.equal(check("--json", "--json"), "--json is given more than once");
  assert.equal(check("--listen-port=1", "--listen-port=2"), "--listen-port is given more than once");
  assert.equal(check("extra"), "unexpected argument extra");
  assert.equal(check("--json", "true"), "unexpected argument true");
});

test("checkArguments() accepts nothing but the definition's options, whatever comes", () => {
  const word = fc.oneof(
    fc.constantFrom("--listen-port", "--json", "--log-level=x", "--listen-port=", "--", "-", "=", "1"),
    fc.string({ maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (args) => {
      const checked = checkArguments(args, DEFINITION);
      if ("problem" in checked) return !checked.problem.includes("\n");
      return checked.args.every((arg) => arg === "--json" || /^--(listen-port|log-level)=./s.test(arg));
    }),
  );
});

test("checkArguments() refuses a line without the words that the command needs", () => {
  const definition = {
    verb: { type: "positional", required: true, valueHint: "list|kill" },
    id: { type: "positional", required: false },
  } as const;
  assert.deepEqual(checkArguments([], definition), { problem: "list|kill is missing" });
  assert.deepEqual(checkArguments(["list"], definition), { args: ["--", "list"] });
  assert.deepEqual(checkArguments(["kill", "7"], definition), { args: ["--", "kill", "7"] });
});
