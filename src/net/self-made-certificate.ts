/**
 * A certificate that nobody vouches for, made in memory: with it a listener offers TLS before anybody has given it one.
 * Who only listens on the wire learns nothing; whom they talk to, clients cannot tell by it.
 * Fields as in RFC 5280, DER as in ITU-T X.690; node:crypto signs, but writes no certificates.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

export interface SelfMadeCertificate {
  /** PEM text, as of a file. */
  readonly cert: string;
  readonly key: string;
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
/** `[0] version`, `[3] extensions` of a certificate. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** `[2] dNSName`, `[7] iPAddress` of a subjectAltName. */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const COMMON_NAME = Buffer.from("550403", "hex");
const SUBJECT_ALT_NAME = Buffer.from("551d11", "hex");
const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");

const SERIAL_BYTES = 16;
const DAY_MS = 86_400_000;
/** Clients whose clock is behind take it all the same; the process that made it hardly lives as long. */
const VALID_BEFORE_MS = DAY_MS;
const VALID_BEHIND_MS = 3650 * DAY_MS;
/** Years from here on are written in four digits (RFC 5280, 4.1.2.5). */
const GENERALIZED_FROM_YEAR = 2050;

/** For EC P-256, the cheapest in a handshake. `alternativeNames` are host names and IPv4 addresses. */
export function makeCertificate(
  commonName: string,
  alternativeNames: readonly string[],
  nowMs: number,
): SelfMadeCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, Buffer.from(commonName)))),
  );
  const serial = randomBytes(SERIAL_BYTES);
  // Positive, and without leading zeros.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Uint8Array.of(2))),
    der(INTEGER, serial),
    algorithm,
    name,
    der(SEQUENCE, time(nowMs - VALID_BEFORE_MS), time(nowMs + VALID_BEHIND_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    ...extensions(alternativeNames),
  );
  const signature = der(BIT_STRING, Uint8Array.of(0), sign("sha256", body, privateKey));
  return {
    cert: pem(der(SEQUENCE, body, algorithm, signature)),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function extensions(alternativeNames: readonly string[]): readonly Buffer[] {
  if (alternativeNames.length === 0) return [];
  const names = der(SEQUENCE, ...alternativeNames.map(generalName));
  const extension = der(SEQUENCE, der(OBJECT_ID, SUBJECT_ALT_NAME), der(OCTET_STRING, names));
  return [der(EXTENSIONS, der(SEQUENCE, extension))];
}

function generalName(name: string): Buffer {
  return isIPv4(name)
    ? der(IP_ADDRESS, Uint8Array.from(name.split("."), Number))
    : der(DNS_NAME, Buffer.from(name, "latin1"));
}

function time(ms: number): Buffer {
  // 2026-11-30T09:41:52.000Z
  const digits = new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, "");
  const isGeneralized = Number(digits.slice(0, 4)) >= GENERALIZED_FROM_YEAR;
  return isGeneralized
    ? der(GENERALIZED_TIME, Buffer.from(`${digits}Z`))
    : der(UTC_TIME, Buffer.from(`${digits.slice(2)}Z`));
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  return length < 0x100 ? Uint8Array.of(0x81, length) : Uint8Array.of(0x82, length >> 8, length & 0xff);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
