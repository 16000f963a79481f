/** Certificates for tests, made with the openssl program in a temporary folder: good ones, and each way of being bad. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChecked } from "./child.ts";
import { requireTool } from "./install.ts";

/** A certificate (with its chain, leaf first) and its private key, as PEM files. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Names shaped like those of an Aurora cluster; they resolve nowhere. */
export const CLUSTER_HOST = "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com";
export const DSQL_HOST = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws";
const READER_HOST = "mydb.cluster-ro-abcdefghijkl.us-east-1.rds.amazonaws.com";
const INSTANCE_HOST = "mydb-instance-1.abcdefghijkl.us-east-1.rds.amazonaws.com";

const GOOD_NAMES = `DNS:${CLUSTER_HOST},DNS:${READER_HOST},DNS:${INSTANCE_HOST},DNS:localhost,IP:127.0.0.1`;

interface LeafRecipe {
  readonly issuer: "root" | "subordinate" | "other";
  /** Subject alternative names; none at all when undefined. */
  readonly names?: string;
  readonly commonName?: string;
  readonly key?: "rsa" | "ec";
  /** Days from now; default -1 and 30. */
  readonly fromDay?: number;
  readonly toDay?: number;
  readonly usage?: "serverAuth" | "clientAuth";
}

const LEAVES = {
  /** Covers the cluster's names, localhost and 127.0.0.1; RSA, signed by the root. */
  goodRsa: { issuer: "root", names: GOOD_NAMES, key: "rsa" },
  goodEc: { issuer: "root", names: GOOD_NAMES },
  /** Root → regional subordinate → leaf, as RDS has it. */
  chain: { issuer: "subordinate", names: GOOD_NAMES },
  expired: { issuer: "root", names: GOOD_NAMES, fromDay: -60, toDay: -30 },
  notYetValid: { issuer: "root", names: GOOD_NAMES, fromDay: 30, toDay: 60 },
  wrongHost: { issuer: "root", names: "DNS:elsewhere.example.com" },
  otherCa: { issuer: "other", names: GOOD_NAMES },
  /** The right name, but only where clients have long stopped to look for it. */
  cnOnly: { issuer: "root", commonName: CLUSTER_HOST },
  /** Covers the cluster's host: the asterisk stands for its first label. */
  wildcard: { issuer: "root", names: "DNS:*.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com" },
  /** Does not cover the cluster's host: the asterisk would have to stand for two labels. */
  wildcardTooHigh: { issuer: "root", names: "DNS:*.us-east-1.rds.amazonaws.com" },
  /** As Aurora DSQL has it: for all clusters of a region. */
  dsql: { issuer: "root", names: "DNS:*.dsql.us-east-1.on.aws", key: "rsa" },
  ipSan: { issuer: "root", names: "IP:127.0.0.1" },
  client: { issuer: "root", names: "DNS:iam_user", commonName: "iam_user", usage: "clientAuth" },
  clientOtherUser: { issuer: "root", names: "DNS:other_user", commonName: "other_user", usage: "clientAuth" },
  clientOtherCa: { issuer: "other", names: "DNS:iam_user", commonName: "iam_user", usage: "clientAuth" },
  clientExpired: { issuer: "root", names: "DNS:iam_user", usage: "clientAuth", fromDay: -60, toDay: -30 },
} as const satisfies Record<string, LeafRecipe>;

export type LeafName = keyof typeof LEAVES;

export interface CertificateSet {
  readonly folder: string;
  readonly leaves: Readonly<Record<LeafName, Certificate>>;
  /** The root that signs the good certificates. */
  readonly caFile: string;
  readonly otherCaFile: string;
  /** Two roots, the right one second: as in RDS's global bundle, order must not matter. */
  readonly bundleFile: string;
  readonly bundleWithoutRightFile: string;
  readonly emptyFile: string;
  /** PEM armour around bytes that are no certificate. */
  readonly garbageFile: string;
  remove(): void;
}

const KEY_OPTIONS = {
  rsa: ["-newkey", "rsa:2048"],
  ec: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
} as const;

function asn1Date(daysFromNow: number): string {
  const date = new Date(Date.now() + daysFromNow * 86_400_000);
  return `${date.toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "")}`;
}

async function makeAuthority(folder: string, name: string, commonName: string): Promise<Certificate> {
  const certFile = join(folder, `${name}.pem`);
  const keyFile = join(folder, `${name}.key`);
  const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
  await runChecked("openssl", [
    ...["req", "-x509", "-nodes", ...KEY_OPTIONS.rsa, "-days", "60", "-subj", `/O=Querycop tests/CN=${commonName}`],
    ...["-keyout", keyFile, "-out", certFile],
    ...extensions.flatMap((extension) => ["-addext", extension]),
  ]);
  return { certFile, keyFile };
}

interface SigningRequest {
  readonly name: string;
  readonly commonName: string;
  readonly key: "rsa" | "ec";
  readonly issuer: Certificate;
  readonly extensions: readonly string[];
  readonly fromDay: number;
  readonly toDay: number;
}

/** `openssl ca`, because only it sets the first day of validity. */
async function makeSigned(folder: string, request: SigningRequest): Promise<Certificate> {
  const certFile = join(folder, `${request.name}.pem`);
  const keyFile = join(folder, `${request.name}.key`);
  const work = join(folder, `${request.name}.work`);
  mkdirSync(work);
  const config = [
    "[ca]",
    "default_ca=this",
    "[this]",
    `database=${work}/index`,
    `new_certs_dir=${work}`,
    "rand_serial=yes",
    "default_md=sha256",
    "policy=any",
    "x509_extensions=extensions",
    "[any]",
    "organizationName=optional",
    "commonName=optional",
    "[extensions]",
    ...request.extensions,
  ];
  writeFileSync(join(work, "config"), `${config.join("\n")}\n`);
  writeFileSync(join(work, "index"), "");
  const subject = `/O=Querycop tests/CN=${request.commonName}`;
  const key = ["-nodes", ...KEY_OPTIONS[request.key], "-keyout", keyFile];
  await runChecked("openssl", ["req", "-new", ...key, "-subj", subject, "-out", join(work, "request")]);
  await runChecked("openssl", [
    ...["ca", "-batch", "-notext", "-config", join(work, "config"), "-in", join(work, "request"), "-out", certFile],
    ...["-cert", request.issuer.certFile, "-keyfile", request.issuer.keyFile],
    ...["-startdate", asn1Date(request.fromDay), "-enddate", asn1Date(request.toDay)],
  ]);
  rmSync(work, { recursive: true });
  return { certFile, keyFile };
}

async function makeLeaf(folder: string, name: string, recipe: LeafRecipe, issuer: Certificate): Promise<Certificate> {
  const leaf = await makeSigned(folder, {
    name,
    commonName: recipe.commonName ?? "querycop test",
    key: recipe.key ?? "ec",
    issuer,
    extensions: [
      "basicConstraints=critical,CA:FALSE",
      "subjectKeyIdentifier=hash",
      "authorityKeyIdentifier=keyid",
      `extendedKeyUsage=${recipe.usage ?? "serverAuth"}`,
      ...(recipe.names === undefined ? [] : [`subjectAltName=${recipe.names}`]),
    ],
    fromDay: recipe.fromDay ?? -1,
    toDay: recipe.toDay ?? 30,
  });
  if (recipe.issuer === "subordinate") {
    writeFileSync(leaf.certFile, readFileSync(leaf.certFile, "utf8") + readFileSync(issuer.certFile, "utf8"));
  }
  return leaf;
}

/** Makes the whole set; call `remove()` at the end. */
export async function makeCertificates(): Promise<CertificateSet> {
  await requireTool("openssl");
  const folder = mkdtempSync(join(tmpdir(), "querycop-certificates-"));
  const [root, other] = await Promise.all([
    makeAuthority(folder, "root", "Root CA"),
    makeAuthority(folder, "other", "Unrelated CA"),
  ]);
  const subordinate = await makeSigned(folder, {
    name: "subordinate",
    commonName: "us-east-1 Subordinate CA",
    key: "ec",
    issuer: root,
    extensions: [
      "basicConstraints=critical,CA:TRUE,pathlen:0",
      "keyUsage=critical,keyCertSign",
      "subjectKeyIdentifier=hash",
    ],
    fromDay: -1,
    toDay: 30,
  });
  const issuers = { root, subordinate, other };
  const made = await Promise.all(
    Object.entries(LEAVES).map(async ([name, recipe]) => [
      name,
      await makeLeaf(folder, name, recipe, issuers[recipe.issuer]),
    ]),
  );
  const rootPem = readFileSync(root.certFile, "utf8");
  const otherPem = readFileSync(other.certFile, "utf8");
  const write = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  return {
    folder,
    leaves: Object.fromEntries(made) as Record<LeafName, Certificate>,
    caFile: root.certFile,
    otherCaFile: other.certFile,
    bundleFile: write("bundle.pem", otherPem + rootPem),
    bundleWithoutRightFile: write("bundle-without-right.pem", otherPem),
    emptyFile: write("empty.pem", ""),
    garbageFile: write(
      "garbage.pem",
      "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n",
    ),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
