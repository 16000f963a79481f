import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { makeCertificate } from "../../src/net/self-made-certificate.ts";

const NOW_MS = Date.UTC(2026, 10, 30, 9, 41, 52);

describe("makeCertificate()", () => {
  it("makes a certificate of its own key, for the names it is given", () => {
    const { cert, key } = makeCertificate("querycop", ["localhost", "10.1.2.3"], NOW_MS);
    const certificate = new X509Certificate(cert);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
    assert.equal(certificate.subject, "CN=querycop");
    assert.equal(certificate.subjectAltName, "DNS:localhost, IP Address:10.1.2.3");
    assert.equal(certificate.checkHost("localhost"), "localhost");
    assert.equal(certificate.checkIP("10.1.2.3"), "10.1.2.3");
  });

  it("is valid from the day before, for ten years, also when those end behind 2050", () => {
    for (const nowMs of [NOW_MS, Date.UTC(2045, 0, 1), Date.UTC(2060, 1, 29)]) {
      const certificate = new X509Certificate(makeCertificate("querycop", [], nowMs).cert);
      assert.equal(Date.parse(certificate.validFrom), nowMs - 86_400_000);
      assert.equal(Date.parse(certificate.validTo), nowMs + 3650 * 86_400_000);
    }
  });

  it("makes another key and serial number each time", () => {
    const made = [1, 2, 3, 4].map(() => makeCertificate("querycop", [], NOW_MS));
    assert.equal(new Set(made.map(({ key }) => key)).size, made.length);
    const serials = made.map(({ cert }) => new X509Certificate(cert).serialNumber);
    assert.equal(new Set(serials).size, made.length);
    for (const serial of serials) assert.equal(serial.length, 32);
  });
});
