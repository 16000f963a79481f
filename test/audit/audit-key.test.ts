import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createPassingAuditKey, isCheckpointSignature, keyIdOf, loadAuditKey } from "../../src/audit/audit-key.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { withFolder } from "./audit-fixture.ts";

const FACTS = { run: "r", seq: 1, time: "t", head: "h" };
const isConfigError = (pattern: RegExp) => (error: unknown) =>
  error instanceof QuerycopError && error.code === "QC_CONFIG" && pattern.test(error.message);

test("loadAuditKey() makes a private key file once and reads it from then on", async () => {
  await withFolder((folder) => {
    const path = join(folder, "log/key");
    const made = loadAuditKey(path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, "log")).mode & 0o777, 0o700);
    const read = loadAuditKey(path);
    assert.deepEqual([read.keyId, read.publicKey], [made.keyId, made.publicKey]);
    assert.ok(isCheckpointSignature(FACTS, made.signCheckpoint(FACTS), read.publicKey));
    assert.equal(made.hashText(new TextEncoder().encode("a")), read.hashText(new TextEncoder().encode("a")));
    assert.equal(keyIdOf(read.publicKey), read.keyId);
  });
});

test("loadAuditKey() refuses a file that others can read, a link, and anything that is no Ed25519 key", async () => {
  await withFolder((folder) => {
    const path = join(folder, "key");
    loadAuditKey(path);
    chmodSync(path, 0o640);
    assert.throws(() => loadAuditKey(path), isConfigError(/others may read it, run: chmod 600/));
    chmodSync(path, 0o600);
    symlinkSync(path, join(folder, "link"));
    assert.throws(() => loadAuditKey(join(folder, "link")), isConfigError(/Cannot open/));
    writeFileSync(path, "garbage");
    assert.throws(() => loadAuditKey(path), isConfigError(/PKCS #8/));
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "pem", type: "pkcs8" });
    writeFileSync(path, rsa);
    assert.throws(() => loadAuditKey(path), isConfigError(/Ed25519/));
    writeFileSync(path, "x".repeat(20_000));
    assert.throws(() => loadAuditKey(path), isConfigError(/small regular file/));
    assert.throws(() => loadAuditKey("/proc/absent/key"), isConfigError(/Cannot create/));
  });
});

test("a key's text hash is its own and says nothing of the key", async () => {
  await withFolder((folder) => {
    const path = join(folder, "key");
    const key = loadAuditKey(path);
    const text = new TextEncoder().encode("SELECT 1");
    assert.match(key.hashText(text), /^[0-9a-f]{64}$/);
    assert.notEqual(key.hashText(text), createPassingAuditKey().hashText(text));
    assert.ok(!JSON.stringify(key).includes(readFileSync(path, "utf8").split("\n")[1] ?? "?"));
  });
});

test("isCheckpointSignature() never throws", () => {
  const key = createPassingAuditKey();
  for (const [signature, publicKey] of [
    ["", ""],
    ["x", key.publicKey],
    [key.signCheckpoint(FACTS), "x"],
    [key.signCheckpoint(FACTS), createPassingAuditKey().publicKey],
  ]) {
    assert.equal(isCheckpointSignature(FACTS, signature ?? "", publicKey ?? ""), false);
  }
});
