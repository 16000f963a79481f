/** Checks of the PEM files a configuration names, so that a bad one is found at start-up and not by the first client. */
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { fileExists, isReadableByAll, readBoundedFile } from "./file-access.ts";

const FILE_BYTES_MAX = 8 * 1024 * 1024;

/** Where operating systems keep their bundle of certificate authorities. */
const SYSTEM_CA_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
];

/** The operating system's bundle: SSL_CERT_FILE if set, else the first of the usual places. */
export function systemCaFile(environmentFile: string | undefined): { path: string } | { problem: string } {
  const candidates = environmentFile === undefined || environmentFile === "" ? SYSTEM_CA_FILES : [environmentFile];
  const path = candidates.find(fileExists);
  if (path !== undefined) return { path };
  return {
    problem: `system finds no bundle of the operating system at ${candidates.join(", ")}: install ca-certificates or name a PEM file`,
  };
}

const CERTIFICATE_BEGIN = "-----BEGIN CERTIFICATE-----";
const CERTIFICATE_END = "-----END CERTIFICATE-----";

/** The certificates of a PEM text, armour included. */
function certificateBlocks(pem: string): string[] {
  const blocks: string[] = [];
  let begin = pem.indexOf(CERTIFICATE_BEGIN);
  while (begin !== -1) {
    const end = pem.indexOf(CERTIFICATE_END, begin);
    if (end === -1) break;
    blocks.push(pem.slice(begin, end + CERTIFICATE_END.length));
    begin = pem.indexOf(CERTIFICATE_BEGIN, end);
  }
  return blocks;
}

/** A line that begins or ends a block, and nothing else. */
const ARMOUR = /^-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----$/;

/**
 * What is wrong with the armour, by line. TLS libraries pass over what does not fit, so that certificates would be
 * missing without a word: files put together without a line break, or read while they were being written.
 */
function problemOfArmour(pem: string, path: string): string | undefined {
  const lines = pem.split("\n").map((line) => line.trimEnd());
  let begun: { readonly line: number; readonly label: string } | undefined;
  for (const [index, line] of lines.entries()) {
    const armour = ARMOUR.exec(line);
    if (armour === null) {
      if (line.includes("-----")) return `${path} line ${index + 1}: ${describeArmour(line)}`;
      continue;
    }
    const [, word, label = ""] = armour;
    if (word === "BEGIN" && begun !== undefined) return cutOff(path, begun);
    if (word === "END" && begun?.label !== label) return `${path} line ${index + 1}: an end without its beginning`;
    begun = word === "BEGIN" ? { line: index + 1, label } : undefined;
  }
  if (begun !== undefined) return cutOff(path, begun);
  const last = lines.at(-1) ?? "";
  return last !== "" && CERTIFICATE_BEGIN.startsWith(last) ? `${path} line ${lines.length}: is cut off` : undefined;
}

function cutOff(path: string, { line, label }: { readonly line: number; readonly label: string }): string {
  return `${path} line ${line}: the ${label.toLowerCase()} that begins here is cut off`;
}

function describeArmour(line: string): string {
  const isGlued = line.includes("----------BEGIN") || line.includes("----- -----BEGIN");
  if (isGlued) return "the end of one block and the beginning of the next: put a line break between them";
  return "expected -----BEGIN …----- or -----END …----- alone on its line";
}

function parseCertificate(block: string): X509Certificate | undefined {
  try {
    return new X509Certificate(block);
  } catch {
    return undefined;
  }
}

/** Nothing when the file holds at least one certificate and nothing that is damaged, glued together or cut off. */
export function problemOfCaFile(path: string): string | undefined {
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return read.problem;
  const pem = read.bytes.toString("latin1");
  const misplaced = problemOfArmour(pem, path);
  if (misplaced !== undefined) return misplaced;
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0) return `${path} holds no certificate: expected PEM text with ${CERTIFICATE_BEGIN}`;
  const damaged = blocks.findIndex((block) => parseCertificate(block) === undefined);
  return damaged === -1 ? undefined : `certificate ${damaged + 1} of ${blocks.length} in ${path} is damaged`;
}

/** When the certificates of a PEM text end, in seconds since 1970, in their order. */
export function notAfterSeconds(pem: string): readonly number[] {
  return certificateBlocks(pem).flatMap((block) => {
    const validTo = Date.parse(parseCertificate(block)?.validTo ?? "");
    return Number.isNaN(validTo) ? [] : [Math.floor(validTo / 1000)];
  });
}

export interface PairCheck {
  readonly certProblem?: string;
  readonly keyProblem?: string;
  readonly keyWarning?: string;
}

/** Checks that both files can be read, hold what they should, and belong together. */
export function checkCertificatePair(certPath: string, keyPath: string): PairCheck {
  const cert = readBoundedFile(certPath, FILE_BYTES_MAX);
  const key = readBoundedFile(keyPath, FILE_BYTES_MAX);
  const certProblem = "problem" in cert ? cert.problem : problemOfCaFile(certPath);
  if ("problem" in key) return { ...(certProblem === undefined ? {} : { certProblem }), keyProblem: key.problem };
  const pem = key.bytes.toString("latin1");
  let keyProblem: string | undefined;
  if (!pem.includes("PRIVATE KEY-----")) keyProblem = `${keyPath} holds no private key in PEM form`;
  else if (pem.includes("ENCRYPTED"))
    keyProblem = `the private key in ${keyPath} has a passphrase: store it without one, readable by querycop only`;
  else if ("bytes" in cert && certProblem === undefined)
    keyProblem = problemOfPair(cert.bytes.toString("latin1"), pem, certPath, keyPath);
  return {
    ...(certProblem === undefined ? {} : { certProblem }),
    ...(keyProblem === undefined ? {} : { keyProblem }),
    ...(isReadableByAll(key.mode)
      ? { keyWarning: `${keyPath} is readable by everyone: run chmod 600 ${keyPath}` }
      : {}),
  };
}

function problemOfPair(certPem: string, keyPem: string, certPath: string, keyPath: string): string | undefined {
  const leaf = parseCertificate(certificateBlocks(certPem)[0] ?? "");
  try {
    if (leaf?.checkPrivateKey(createPrivateKey(keyPem)) === true) return undefined;
  } catch {
    return `the private key in ${keyPath} is damaged or of an unknown kind`;
  }
  return `${keyPath} is not the key of the first certificate in ${certPath}`;
}

/** Nothing when the file holds an RSA public key that querycop can encrypt passwords with. */
export function problemOfPublicKeyFile(path: string): string | undefined {
  const read = readBoundedFile(path, FILE_BYTES_MAX);
  if ("problem" in read) return read.problem;
  const pem = read.bytes.toString("latin1");
  if (!pem.includes("PUBLIC KEY-----")) return `${path} holds no public key in PEM form`;
  try {
    const type = createPublicKey(pem).asymmetricKeyType;
    return type === "rsa" ? undefined : `${path} holds a key of type ${type}: expected RSA`;
  } catch {
    return `the public key in ${path} is damaged`;
  }
}
