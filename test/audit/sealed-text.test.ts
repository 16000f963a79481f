import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { TextSealer, TextUnsealer } from "../../src/audit/sealed-text.ts";
import { QuerycopError } from "../../src/base/errors.ts";

function pair(type: "x25519" | "ed25519" = "x25519"): { publicPem: string; privatePem: string } {
  const keys = type === "x25519" ? generateKeyPairSync("x25519") : generateKeyPairSync("ed25519");
  return {
    publicPem: keys.publicKey.export({ type: "spki", format: "pem" }).toString(),
    privatePem: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

test("a sealed text is opened by its reader's key and no other", () => {
  const reader = pair();
  const sealer = new TextSealer(reader.publicPem, "key");
  const unsealer = new TextUnsealer(reader.privatePem, "key");
  for (const text of ["", "SELECT 'größe 😀'", "x".repeat(50_000)]) {
    const sealed = sealer.seal(Buffer.from(text));
    assert.match(sealed, /^[\w-]+$/);
    assert.equal(Buffer.from(unsealer.unseal(sealed) ?? "none").toString(), text);
    assert.equal(new TextUnsealer(pair().privatePem, "key").unseal(sealed), undefined);
    assert.notEqual(sealer.seal(Buffer.from(text)), sealed, "equal texts do not look equal");
  }
});

test("unseal() gives nothing for a sealed text with any byte changed or cut off", () => {
  const reader = pair();
  const sealed = Buffer.from(new TextSealer(reader.publicPem, "key").seal(Buffer.from("SELECT 1")), "base64url");
  const unsealer = new TextUnsealer(reader.privatePem, "key");
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(unsealer.unseal(changed.toString("base64url")), undefined, `byte ${at}`);
    assert.equal(unsealer.unseal(sealed.subarray(0, at).toString("base64url")), undefined, `${at} bytes`);
  }
});

test("a sealed text is cut to 64 KiB, so that its record stays whole", () => {
  const reader = pair();
  const sealed = new TextSealer(reader.publicPem, "key").seal(Buffer.alloc(1 << 20, 97));
  assert.equal(new TextUnsealer(reader.privatePem, "key").unseal(sealed)?.length, 65_536);
});

test("a key of another kind, or the other half, is refused without showing it", () => {
  const reader = pair();
  const other = pair("ed25519");
  const refusals = [
    () => new TextSealer(other.publicPem, "key"),
    () => new TextSealer("nonsense", "key"),
    () => new TextSealer(reader.privatePem, "key"),
    () => new TextUnsealer(other.privatePem, "key"),
    () => new TextUnsealer(reader.publicPem, "key"),
  ];
  for (const refuse of refusals) {
    assert.throws(refuse, (error) => error instanceof QuerycopError && /expected an X25519/.test(error.message));
  }
});
