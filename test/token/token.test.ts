import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { Token, TokenMintError, tokenExpiryMs } from "../../src/token/token.ts";

const CANARY = "CANARY-4f7d0c2a9b";
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const URL_HEAD = "db.example:3306/?Action=connect&DBUser=app";
const DATE_MS = Date.UTC(2026, 10, 21, 5, 23, 1);

test("Token shows its length and never its value", () => {
  const token = new Token(bytes(CANARY), { mintId: 1, reused: false, expiresAtMs: undefined });
  const shown = [
    String(token),
    `${token}`,
    JSON.stringify({ token }),
    inspect(token),
    inspect({ deep: { token } }, { depth: 9, showHidden: true, getters: true }),
    inspect(new Error("x", { cause: token })),
    String(Object.entries(token)),
    JSON.stringify(Object.getOwnPropertyDescriptors(token)),
    JSON.stringify({ ...token }),
  ].join("\n");
  assert.match(shown, /<token of 17 bytes>/);
  assert.ok(!shown.includes("CANARY"));
  assert.ok(!shown.includes([...bytes(CANARY)].slice(0, 4).join(",")), "nor as a list of bytes");
  assert.ok(!shown.includes([...bytes(CANARY)].slice(0, 4).join(", ")), "nor as a list of bytes");
});

test("Token.wipe() zeroes the bytes", () => {
  const token = new Token(bytes(CANARY), { mintId: 1, reused: false, expiresAtMs: undefined });
  token.wipe();
  assert.ok(token.value.every((byte) => byte === 0));
});

test("tokenExpiryMs() adds X-Amz-Expires to X-Amz-Date", () => {
  const read = (query: string): number | undefined => tokenExpiryMs(bytes(`${URL_HEAD}${query}`));
  assert.equal(read("&X-Amz-Date=20261121T052301Z&X-Amz-Expires=900&X-Amz-Signature=00"), DATE_MS + 900_000);
  assert.equal(read("&X-Amz-Expires=604800&X-Amz-Date=20261121T052301Z"), DATE_MS + 604_800_000);
});

for (const query of [
  "",
  "&X-Amz-Date=20261121T052301Z",
  "&X-Amz-Expires=900",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=0",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=604801",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=-900",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=9e2",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=",
  "&X-Amz-Date=20261121T052301Z&X-Amz-Expires=900&X-Amz-Expires=9000",
  "&X-Amz-Date=20261321T052301Z&X-Amz-Expires=900",
  "&X-Amz-Date=20261121T252301Z&X-Amz-Expires=900",
  "&X-Amz-Date=2026-11-21T05:23&X-Amz-Expires=900",
  "&X-Amz-Date=20261121T052301+&X-Amz-Expires=900",
]) {
  test(`tokenExpiryMs() does not rely on "${query}"`, () => {
    assert.equal(tokenExpiryMs(bytes(`${URL_HEAD}${query}`)), undefined);
  });
}

test("tokenExpiryMs() reads the exp claim of a JSON Web Token", () => {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const webToken = (claims: unknown): Uint8Array => bytes(`${part({ alg: "RS256" })}.${part(claims)}.c2ln`);
  assert.equal(tokenExpiryMs(webToken({ exp: 1_800_000_000 })), 1_800_000_000_000);
  for (const claims of [{}, { exp: "soon" }, { exp: -1 }, null, 7, { exp: null }]) {
    assert.equal(tokenExpiryMs(webToken(claims)), undefined);
  }
  assert.equal(tokenExpiryMs(bytes("eyJhbGciOiJSUzI1NiJ9.!!!.c2ln")), undefined);
});

test("tokenExpiryMs() never throws", () => {
  const pieces = fc.constantFrom("?", "&", "X-Amz-Date=", "X-Amz-Expires=", "20261121T052301Z", "900", ".", "eyJ", "a");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(pieces).map((list) => bytes(list.join(""))),
        fc.uint8Array(),
      ),
      (value) => {
        const expiry = tokenExpiryMs(value);
        return expiry === undefined || Number.isFinite(expiry);
      },
    ),
    { numRuns: 2000 },
  );
});

test("TokenMintError keeps reason and detail apart from the message", () => {
  const error = new TokenMintError("timeout", "took too long", "stderr");
  assert.deepEqual(
    [error.name, error.reason, error.message, error.detail],
    ["TokenMintError", "timeout", "took too long", "stderr"],
  );
});
