import assert from "node:assert/strict";
import { it } from "node:test";
import { encodeCertificateProof } from "../../src/mysql/certificate-proof.ts";
import { hashNativePassword, nativePasswordStage2 } from "../../src/mysql/native-password.ts";

it("encodeCertificateProof() is byte 1 and SHA-256 in capitals over hash, nonce and fingerprint", () => {
  const hash = nativePasswordStage2(hashNativePassword(new TextEncoder().encode("secret")));
  assert.ok(hash !== undefined);
  // With the NUL that closes the nonce in an AuthSwitchRequest, which is no part of it.
  const nonce = Uint8Array.from({ length: 21 }, (_, index) => (index === 20 ? 0 : 65 + index));
  const proof = Buffer.from(encodeCertificateProof(hash, nonce, new Uint8Array(32).fill(7))).toString("latin1");
  // Computed by Python's hashlib.
  assert.equal(proof, "\u00019EA05DB67531B517395BCBD7A5F858B2C7CD7E475D499F8F64DE926EAA746015");
});
