import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { silentLogger } from "../../src/base/log.ts";
import { DsqlTokenSource } from "../../src/token/dsql-token.ts";
import type { TokenTarget } from "../../src/token/token.ts";
import { TokenManager } from "../../src/token/token-manager.ts";
import { isDsqlTokenFor, TEST_KEYS } from "../support/aws-token.ts";

const TARGET: TokenTarget = {
  host: "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws",
  port: 5432,
  region: "us-east-1",
  user: "app",
};
const never = new AbortController().signal;
const textOf = (value: Uint8Array): string => Buffer.from(value).toString("latin1");

test("mint() signs the host and an action as Aurora DSQL checks it, neither user nor port", async () => {
  const source = new DsqlTokenSource({ credentials: () => Promise.resolve(TEST_KEYS) });
  for (const [user, action] of [
    ["app", "DbConnect"],
    ["admin", "DbConnectAdmin"],
    ["Admin", "DbConnect"],
  ] as const) {
    const text = textOf((await source.mint({ ...TARGET, user }, never)).value);
    assert.ok(text.startsWith(`${TARGET.host}/?Action=${action}&`), text);
    assert.ok(isDsqlTokenFor(text, { host: TARGET.host, user }));
    assert.equal(isDsqlTokenFor(text, { host: "other.dsql.us-east-1.on.aws", user }), false);
    assert.equal(isDsqlTokenFor(text, { host: TARGET.host, user: user === "admin" ? "app" : "admin" }), false);
    assert.doesNotMatch(text, /5432|DBUser/);
  }
});

test("mint() tells when the credentials behind a token of Aurora DSQL end", async () => {
  const expiration = new Date(Date.now() + 3_600_000);
  const credentials = { ...TEST_KEYS, sessionToken: "session/+=token", expiration };
  const source = new DsqlTokenSource({ credentials: () => Promise.resolve(credentials) });
  const minted = await source.mint(TARGET, never);
  assert.equal(minted.credentialsExpireAtMs, expiration.getTime());
  assert.equal(new URLSearchParams(textOf(minted.value)).get("X-Amz-Security-Token"), "session/+=token");
});

test("TokenManager shares a token of Aurora DSQL between users of one action, and never between actions", async () => {
  const source = new DsqlTokenSource({ credentials: () => Promise.resolve(TEST_KEYS) });
  const manager = new TokenManager({ source, logger: silentLogger, users: ["app*", "admin"] });
  const mintIds: number[] = [];
  for (const user of ["app", "app2", "admin"]) mintIds.push((await manager.mintToken({ ...TARGET, user })).mintId);
  mintIds.push((await manager.mintToken({ ...TARGET, port: 6543 })).mintId);
  mintIds.push((await manager.mintToken({ ...TARGET, host: "other.dsql.us-east-1.on.aws" })).mintId);
  assert.deepEqual(mintIds, [1, 1, 2, 1, 3]);
  await assert.rejects(manager.mintToken({ ...TARGET, user: "other" }), /QC_USER_NOT_ALLOWED|other/);
  manager.close();
});
