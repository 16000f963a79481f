/** What hash-password prints for PostgreSQL: a verifier that fits the password, and what the server is to be told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUsersFile } from "../../src/config/users-file.ts";
import { formatScramVerifier, makeScramVerifier, parseScramVerifier } from "../../src/postgres/scram.ts";
import { run } from "./fake-io.ts";

test("--engine postgresql prints a line of the users file and the ALTER ROLE that goes with it", async () => {
  const argv = ["hash-password", "--user", 'o"dd', "--engine", "postgresql"];
  const { code, stdout, stderr } = await run(argv, { stdin: "a password\n" });
  assert.equal(code, 0);
  const read = parseUsersFile(Buffer.from(stdout), "users");
  assert.ok("users" in read);
  const verifier = read.users.get('o"dd')?.scram ?? "";
  const parsed = parseScramVerifier(verifier);
  assert.ok(parsed !== undefined);
  assert.equal(formatScramVerifier(makeScramVerifier(Buffer.from("a password"), parsed.salt)), verifier);
  assert.ok(stderr.includes(`ALTER ROLE "o""dd" PASSWORD '${verifier}';`));
});
