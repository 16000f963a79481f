/** A user of PostgreSQL's who proves a password to querycop, which then logs in by the key of that proof. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runQuerycop } from "./querycop.ts";

export interface ScramUser {
  /** For GATEKEEPER_USERS_FILE. */
  readonly usersFile: string;
  /** The statement that gives the server the same verifier. */
  readonly alterRole: string;
}

/** By `querycop hash-password`; the file is written into `folder`. */
export async function makeScramUser(user: string, password: string, folder: string): Promise<ScramUser> {
  const made = await runQuerycop(["hash-password", "--user", user, "--engine", "postgresql"], {}, password);
  assert.equal(made.code, 0, made.stderr);
  const usersFile = join(folder, "users");
  writeFileSync(usersFile, made.stdout, { mode: 0o600 });
  return { usersFile, alterRole: /ALTER ROLE .*;/.exec(made.stderr)?.[0] ?? assert.fail(made.stderr) };
}
