import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "node:tls";
import { selfSigned } from "../config/self-signed.ts";
import { startAdmin } from "./admin-fixture.ts";

/** The common name in the certificate that is shown. */
function nameShown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

test("the certificate is replaced at the same port, several in a row in their order, and a useless one does no harm", async () => {
  const [first, second, third] = [selfSigned("first"), selfSigned("second"), selfSigned("third")];
  const admin = await startAdmin({ tls: first });
  assert.equal(await nameShown(admin.port), "first");
  await admin.replaceTls(second);
  assert.equal(await nameShown(admin.port), "second");
  // Deno finds out when a client comes, and Bun before: it goes on with the second.
  await admin.replaceTls({ cert: second.cert, key: "no key" });
  if ("Bun" in globalThis) assert.equal(await nameShown(admin.port), "second");
  await Promise.all([admin.replaceTls(first), admin.replaceTls(third)]);
  assert.equal(await nameShown(admin.port), "third");
  await admin.close();
});
