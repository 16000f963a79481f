/** What operators want to know of a certificate. */

import { X509Certificate } from "node:crypto";
import { counted } from "../base/counted.ts";

const DAY_MS = 86_400_000;

/** Fewer days left than this are worth a warning: of a server's own certificate, and of a root. */
export const LEAF_DAYS_MIN = 14;

const NAMES_MAX = 5;
const NAME_CHARS_MAX = 120;

/** Negative when it has expired. */
export function daysLeft(certificate: X509Certificate, nowMs: number): number {
  return (Date.parse(certificate.validTo) - nowMs) / DAY_MS;
}

/** "12 days left", "expired 3 days ago" or "not yet valid". */
export function describeTime(certificate: X509Certificate, nowMs: number): string {
  if (Date.parse(certificate.validFrom) > nowMs) return "not yet valid";
  const days = daysLeft(certificate, nowMs);
  const whole = Math.floor(Math.abs(days));
  const count = counted(whole, "day");
  return days < 0 ? `expired ${count} ago` : `${count} left`;
}

/** "for a.example.com, b.example.com": the names a client may look for, else the common name. */
export function namesOf(certificate: X509Certificate): string {
  const names = alternativeNames(certificate);
  if (names.length === 0) return `without names, subject ${oneLine(certificate.subject)}`;
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "";
  return `for ${names.slice(0, NAMES_MAX).join(", ")}${more}`;
}

/** DNS names and addresses of subjectAltName. */
export function alternativeNames(certificate: X509Certificate): string[] {
  return (certificate.subjectAltName ?? "").split(", ").flatMap((entry) => {
    const isName = entry.startsWith("DNS:") || entry.startsWith("IP Address:");
    return isName ? [entry.slice(entry.indexOf(":") + 1).slice(0, NAME_CHARS_MAX)] : [];
  });
}

/** A distinguished name comes with one attribute a line. */
export function oneLine(name: string): string {
  return name.split("\n").join(", ").slice(0, NAME_CHARS_MAX);
}

/** All certificates of a PEM text. Throws for a damaged one. */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
