import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";
import process from "node:process";
import { test } from "node:test";
import { RdsTokenSource } from "../../src/token/rds-token.ts";
import { TokenMintError, type TokenTarget, tokenExpiryMs } from "../../src/token/token.ts";

const TARGET: TokenTarget = {
  host: "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
  port: 3306,
  region: "us-east-1",
  user: "jane.doe@example.com",
};
const KEYS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const never = new AbortController().signal;

const hmac = (key: string | Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** The signature over a presigned URL as AWS documents it (Signature Version 4, query string), computed without the SDK. */
function expectedSignature(token: string): string {
  const [authority = "", query = ""] = [token.slice(0, token.indexOf("/?")), token.slice(token.indexOf("/?") + 2)];
  const pairs = query.split("&").filter((pair) => !pair.startsWith("X-Amz-Signature="));
  const parameters = new URLSearchParams(query);
  const scope = parameters.get("X-Amz-Credential")?.split("/").slice(1) ?? [];
  const [day = "", region = "", service = ""] = scope;
  const request = [
    "GET",
    "/",
    pairs.sort().join("&"),
    `host:${authority}`,
    "",
    "host",
    createHash("sha256").digest("hex"),
  ];
  const text = [
    "AWS4-HMAC-SHA256",
    parameters.get("X-Amz-Date"),
    scope.join("/"),
    createHash("sha256").update(request.join("\n")).digest("hex"),
  ].join("\n");
  const key = hmac(hmac(hmac(hmac(`AWS4${KEYS.secretAccessKey}`, day), region), service), "aws4_request");
  return hmac(key, text).toString("hex");
}

test("mint() signs a token the way RDS checks it", async () => {
  const source = new RdsTokenSource({ credentials: () => Promise.resolve(KEYS) });
  const { value, credentialsExpireAtMs } = await source.mint(TARGET, never);
  const token = Buffer.from(value).toString("latin1");
  assert.ok(token.startsWith(`${TARGET.host}:3306/?`));
  assert.ok(value.every((byte) => byte > 0x20 && byte < 0x7f));
  const parameters = new URLSearchParams(token.slice(token.indexOf("?")));
  assert.equal(parameters.get("Action"), "connect");
  assert.equal(parameters.get("DBUser"), TARGET.user);
  assert.equal(parameters.get("X-Amz-Expires"), "900");
  assert.match(parameters.get("X-Amz-Credential") ?? "", /^AKIDEXAMPLE\/\d{8}\/us-east-1\/rds-db\/aws4_request$/);
  assert.equal(parameters.get("X-Amz-SignedHeaders"), "host");
  assert.equal(parameters.get("X-Amz-Signature"), expectedSignature(token));
  assert.equal(credentialsExpireAtMs, undefined);
  const lifeMs = (tokenExpiryMs(value) ?? 0) - Date.now();
  assert.ok(lifeMs > 890_000 && lifeMs <= 900_000, String(lifeMs));
});

test("mint() carries the session token and tells when the credentials end", async () => {
  const expiration = new Date(Date.now() + 3_600_000);
  const source = new RdsTokenSource({
    credentials: () => Promise.resolve({ ...KEYS, sessionToken: "session/+=token", expiration }),
  });
  const minted = await source.mint(TARGET, never);
  const token = Buffer.from(minted.value).toString("latin1");
  assert.equal(new URLSearchParams(token.slice(token.indexOf("?"))).get("X-Amz-Security-Token"), "session/+=token");
  assert.equal(token.match(/X-Amz-Signature=([0-9a-f]+)/)?.[1], expectedSignature(token));
  assert.equal(minted.credentialsExpireAtMs, expiration.getTime());
});

/** Runs with these AWS variables and no others, and without any AWS configuration file. */
async function withAwsEnvironment(variables: Record<string, string>, run: () => Promise<void>): Promise<void> {
  const saved = Object.entries(process.env).filter(([name]) => name.startsWith("AWS_"));
  for (const [name] of saved) delete process.env[name];
  const all = {
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    ...variables,
  };
  Object.assign(process.env, all);
  try {
    await run();
  } finally {
    for (const name of Object.keys(all)) delete process.env[name];
    Object.assign(process.env, Object.fromEntries(saved));
  }
}

test("mint() takes credentials from the standard environment variables", async () => {
  const variables = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };
  await withAwsEnvironment(variables, async () => {
    const source = new RdsTokenSource();
    for (const user of ["one", "two"]) {
      const { value } = await source.mint({ ...TARGET, user }, never);
      const token = Buffer.from(value).toString("latin1");
      assert.ok(token.includes(`DBUser=${user}&`));
      assert.equal(token.match(/X-Amz-Signature=([0-9a-f]+)/)?.[1], expectedSignature(token));
    }
    assert.equal((await reason(source, { ...TARGET, region: undefined })).reason, "no-region");
  });
});

test("mint() says so when the standard chain finds no credentials", async () => {
  await withAwsEnvironment({}, async () => {
    assert.equal((await reason(new RdsTokenSource())).reason, "no-credentials");
  });
});

async function reason(source: RdsTokenSource, target = TARGET, signal = never): Promise<TokenMintError> {
  try {
    await source.mint(target, signal);
  } catch (error) {
    assert.ok(error instanceof TokenMintError);
    return error;
  }
  assert.fail("a token came out");
}

test("mint() names what is missing", async () => {
  const refused = Object.assign(new Error("Could not load credentials from any providers"), {
    name: "CredentialsProviderError",
  });
  const withoutKeys = new RdsTokenSource({ credentials: () => Promise.reject(refused) });
  assert.equal((await reason(withoutKeys)).reason, "no-credentials");
  const broken = new RdsTokenSource({
    credentials: () => Promise.reject(new Error("X-Amz-Security-Token=CANARY0123456789 is not valid")),
  });
  const error = await reason(broken);
  assert.equal(error.reason, "signer");
  assert.ok(!`${error.message} ${error.detail}`.includes("CANARY"));
});

test("mint() gives up at its deadline and on abort", async () => {
  const source = new RdsTokenSource({ timeoutMs: 20, credentials: () => new Promise(() => undefined) });
  assert.equal((await reason(source)).reason, "timeout");
  const patient = new RdsTokenSource({ credentials: () => new Promise(() => undefined) });
  const stop = new AbortController();
  const waiting = reason(patient, TARGET, stop.signal);
  stop.abort();
  assert.equal((await waiting).reason, "stopped");
});
