/** Self-signed certificates made in memory, good enough for checks of files: nothing ever verifies them. */
import { generateKeyPairSync } from "node:crypto";
import { makeCertificate, type SelfMadeCertificate } from "../../src/net/self-made-certificate.ts";

export function selfSigned(commonName: string): SelfMadeCertificate {
  return makeCertificate(commonName, [], Date.now());
}

export function rsaPublicKey(): string {
  return generateKeyPairSync("rsa", { modulusLength: 2048 })
    .publicKey.export({ type: "spki", format: "pem" })
    .toString();
}
