import assert from "node:assert/strict";
import test from "node:test";
import { checkWebhook, parseWebhookSecrets, signWebhook } from "../../src/base/webhook-signature.ts";

// The example that the libraries of Standard Webhooks are tested by.
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DELIVERY = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: "1614265330",
  signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  body: '{"test": 2432232314}',
};
const NOW = 1_614_265_330;
const secrets = parseWebhookSecrets(`${SECRET}\n`) ?? assert.fail("no secret");

test("signWebhook() signs as the specification's own example", () => {
  assert.equal(signWebhook(secrets[0] as Buffer, DELIVERY), DELIVERY.signature);
});

test("checkWebhook() takes a signature of any of the secrets, among others", () => {
  const other = Buffer.alloc(32, 7);
  assert.equal(checkWebhook([other, ...secrets], DELIVERY, NOW), "genuine");
  const signature = `v1,${Buffer.alloc(32).toString("base64")} v1a,xyz ${DELIVERY.signature}`;
  assert.equal(checkWebhook(secrets, { ...DELIVERY, signature }, NOW), "genuine");
  assert.equal(checkWebhook([other], DELIVERY, NOW), "forged");
});

test("checkWebhook() refuses what differs in any part, and what is not of its form", () => {
  const changed: Partial<typeof DELIVERY>[] = [
    { id: "msg_p5jXN8AQM9LWM0D4loKWxJel" },
    { timestamp: "1614265331" },
    { body: '{"test": 2432232315}' },
    { signature: DELIVERY.signature.replace("v1,", "v2,") },
    { signature: DELIVERY.signature.slice(0, -4) },
    { signature: "" },
    { id: "" },
    { timestamp: "" },
    { timestamp: "1614265330.5" },
    { timestamp: "1e9" },
    { signature: Array.from({ length: 9 }, () => DELIVERY.signature).join(" ") },
    { id: "x".repeat(1025) },
  ];
  for (const part of changed) {
    assert.equal(checkWebhook(secrets, { ...DELIVERY, ...part }, NOW), "forged", JSON.stringify(part).slice(0, 80));
  }
});

test("checkWebhook() finds no two readings of where the id ends", () => {
  // The signed text is the same: id "a.1614265330" at "5" and id "a" at "1614265330.5".
  const [secret] = secrets as [Buffer];
  const signature = signWebhook(secret, { id: "a.1614265330", timestamp: "1614265330", body: "b" });
  const delivery = { id: "a.1614265330", timestamp: "1614265330", signature, body: "b" };
  assert.equal(checkWebhook(secrets, delivery, NOW), "forged");
});

test("checkWebhook() takes five minutes before and behind, and no more", () => {
  for (const [away, verdict] of [
    [-301, "late"],
    [-300, "genuine"],
    [300, "genuine"],
    [301, "late"],
  ] as const) {
    assert.equal(checkWebhook(secrets, DELIVERY, NOW + away), verdict, String(away));
  }
});

test("parseWebhookSecrets() takes one to four secrets of 24 to 64 bytes and nothing else", () => {
  const secretOf = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 5).toString("base64")}`;
  assert.equal(parseWebhookSecrets(`${secretOf(24)}\n\n${secretOf(64)}`)?.length, 2);
  assert.equal(parseWebhookSecrets(secretOf(32).replaceAll("=", ""))?.length, 1);
  for (const text of [
    "",
    "\n",
    secretOf(23),
    secretOf(65),
    secretOf(32).slice("whsec_".length),
    `${secretOf(32)}!`,
    `${secretOf(32)}\nsecret`,
    Array.from({ length: 5 }, () => secretOf(32)).join("\n"),
  ]) {
    assert.equal(parseWebhookSecrets(text), undefined, text.slice(0, 60));
  }
});
