import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadUsersFile, parseUsersFile, type UserHashes } from "../../src/config/users-file.ts";
import { hashCachingSha2Password, verifyCachingSha2Password } from "../../src/mysql/caching-sha2-password.ts";
import { hashNativePassword } from "../../src/mysql/native-password.ts";
import { formatScramVerifier, makeScramVerifier } from "../../src/postgres/scram.ts";
import { inFolder, withoutFolder, writeFile } from "./folder.ts";

const PASSWORD = new TextEncoder().encode("correct horse");
const NATIVE = hashNativePassword(PASSWORD);
const SHA2 = hashCachingSha2Password(PASSWORD, new TextEncoder().encode("abcdefghijklmnopqrst"));
const SCRAM = formatScramVerifier(makeScramVerifier(PASSWORD));

function parse(text: string | Uint8Array): ReturnType<typeof parseUsersFile> {
  return parseUsersFile(typeof text === "string" ? new TextEncoder().encode(text) : text, "users");
}

function usersOf(text: string | Uint8Array): ReadonlyMap<string, UserHashes> {
  const parsed = parse(text);
  assert.ok("users" in parsed, "problems" in parsed ? parsed.problems.join() : "");
  return parsed.users;
}

function problemsOf(text: string | Uint8Array): readonly string[] {
  const parsed = parse(text);
  return "problems" in parsed ? parsed.problems : [];
}

test("parseUsersFile() reads both kinds of hash, comments and blank lines", () => {
  const users = usersOf(`# people\n\napp:${NATIVE}\r\nbi:${SHA2}\n  \nboth:${NATIVE}\nboth:${SHA2}`);
  assert.deepEqual(users.get("app"), { native: NATIVE });
  assert.deepEqual(users.get("bi"), { cachingSha2: SHA2 });
  assert.deepEqual(users.get("both"), { native: NATIVE, cachingSha2: SHA2 });
  assert.equal(users.size, 3);
});

test("parseUsersFile() reads a salt of any bytes, as hex literal of SHOW CREATE USER", () => {
  const salt = Uint8Array.from({ length: 20 }, (_, index) => [0x0a, 0x0d, 0x3a, 0x01, 0x7f, 0xff][index % 6] ?? 0);
  const hash = hashCachingSha2Password(PASSWORD, salt);
  const hex = Buffer.from(hash, "latin1").toString("hex").toUpperCase();
  const found = usersOf(`app:0x${hex}\n`).get("app")?.cachingSha2;
  assert.equal(found, hash);
  assert.ok(verifyCachingSha2Password(found ?? "", PASSWORD));
});

test("parseUsersFile() keeps the raw bytes of a salt", () => {
  const hash = hashCachingSha2Password(
    PASSWORD,
    Uint8Array.from({ length: 20 }, () => 0xe9),
  );
  const found = usersOf(Buffer.from(`app:${hash}\n`, "latin1")).get("app")?.cachingSha2;
  assert.ok(verifyCachingSha2Password(found ?? "", PASSWORD));
});

test("parseUsersFile() takes user names in UTF-8 and refuses other bytes", () => {
  assert.deepEqual([...usersOf(`müller:${NATIVE}`).keys()], ["müller"]);
  assert.deepEqual(problemsOf(Buffer.from(`m\u00fcller:${NATIVE}`, "latin1")), ["users:1: the user name is not UTF-8"]);
});

test("parseUsersFile() takes native hashes in lower case", () => {
  assert.deepEqual(usersOf(`app:${NATIVE.toLowerCase()}`).get("app"), { native: NATIVE });
});

test("parseUsersFile() reads SCRAM verifiers as PostgreSQL keeps them, beside a hash of MySQL's", () => {
  assert.deepEqual(usersOf(`app:${SCRAM}\napp:${NATIVE}\n`).get("app"), { scram: SCRAM, native: NATIVE });
  assert.match(problemsOf(`app:${SCRAM}\napp:${SCRAM}\n`)[0] ?? "", /already has a hash of this kind/);
});

test("parseUsersFile() refuses what is not a hash and never repeats it", () => {
  const lines: Array<[string, RegExp]> = [
    ["app:hunter2", /expected a password hash/],
    ["app:", /expected a password hash/],
    ["app", /expected user:hash/],
    [":x", /expected user:hash/],
    [`app:${NATIVE.slice(0, -1)}`, /expected a password hash/],
    [`app:*${"g".repeat(40)}`, /expected a password hash/],
    [`app:${SHA2.slice(0, -1)}`, /cut or damaged/],
    [`app:${SHA2} `, /cut or damaged/],
    [`app:0x${"41".repeat(70)}`, /does not hold a caching_sha2_password hash/],
    ["app:$5$abc$def", /sha256_password hashes are not supported/],
    [`app:$A$000${SHA2.slice(6)}`, /asks for 0000 rounds/],
    [`app:$A$FFF${SHA2.slice(6)}`, /asks for 4095000 rounds/],
    ["app:SCRAM-SHA-256$4096:c2FsdA==$short:short", /SCRAM verifier is cut or damaged/],
    [`app:${SCRAM.replace("$4096:", "$400000:")}`, /more than 100000 iterations/],
    [`app:${SCRAM} `, /cut or damaged/],
    [`${"x".repeat(600)}:${NATIVE}`, /longer than 512 bytes/],
    [`a\u0007b:${NATIVE}`, /control character/],
  ];
  for (const [line, expected] of lines) {
    const [problem = "", ...others] = problemsOf(`# first\n${line}\n`);
    assert.match(problem, /^users:2: /, line);
    assert.match(problem, expected, line);
    assert.equal(others.length, 0);
    assert.equal(problem.includes("hunter2"), false);
  }
});

test("parseUsersFile() refuses a user that has two hashes of one kind", () => {
  assert.deepEqual(problemsOf(`app:${NATIVE}\napp:${NATIVE}\n`), [
    "users:2: this user already has a hash of this kind above",
  ]);
});

test("parseUsersFile() refuses an empty file and stops counting problems", () => {
  assert.deepEqual(problemsOf("# nobody\n"), ["users: holds no user"]);
  const many = problemsOf("x\n".repeat(1000));
  assert.equal(many.length, 21);
  assert.equal(many.at(-1), "users: further lines were not checked");
});

test("parseUsersFile() answers any bytes with users or problems", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const parsed = parse(bytes);
      return "users" in parsed ? parsed.users.size > 0 : parsed.problems.length > 0;
    }),
  );
});

test("loadUsersFile() refuses a file that others may write or that is absent", () => {
  for (const mode of [0o620, 0o602]) {
    const loaded = loadUsersFile(writeFile("writable", `app:${NATIVE}\n`, mode));
    assert.ok("problems" in loaded);
    assert.match(loaded.problems[0] ?? "", /is writable by group or others/);
  }
  const absent = loadUsersFile(inFolder("absent"));
  assert.deepEqual("problems" in absent && absent.problems.map(withoutFolder), [
    "cannot read <folder>/absent: no such file",
  ]);
});

test("loadUsersFile() warns of a file that everyone may read", () => {
  const open = loadUsersFile(writeFile("open", `app:${NATIVE}\n`, 0o644));
  assert.ok("users" in open);
  assert.match(open.warnings[0] ?? "", /readable by everyone/);
  const closed = loadUsersFile(writeFile("closed", `app:${NATIVE}\n`, 0o640));
  assert.deepEqual("users" in closed && closed.warnings, []);
});
