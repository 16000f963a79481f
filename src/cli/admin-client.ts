/** Calls the admin API of a running querycop, for commands that need one. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { rootCertificates } from "node:tls";
import { isLoopbackHost } from "../config/rules.ts";
import type { Config } from "../config/schema.ts";
import { UsageError } from "./command-io.ts";
import { readText as readTextFile } from "./policy-source.ts";

export interface AdminTarget {
  readonly url: URL;
  /** Of a unix socket; the URL then only says what to send. */
  readonly socketPath: string | undefined;
  /** Without one only public routes answer. */
  readonly key: string | undefined;
  /** The name to expect in the certificate, when it is not the URL's. */
  readonly serverName: string | undefined;
  /** Certificates to trust beside the built-in ones, PEM. */
  readonly ca: string | undefined;
}

export interface AdminReply {
  readonly status: number;
  readonly text: string;
  /** Of the text; empty where it is not JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

const TIMEOUT_MS = 15_000;
const REPLY_BYTES_MAX = 64 * 1024 * 1024;

/** The first line of a file: a key, kept out of command lines and environments. */
export function readKeyFile(path: string): string {
  const key = (readTextFile(path).split("\n")[0] ?? "").trim();
  if (key === "") throw new UsageError(`${path} is empty: its first line must be the key`);
  return key;
}

/** SAFETY: a key is not sent through a network in plaintext. */
export function targetOfUrl(text: string, key: string | undefined, ca: string | undefined): AdminTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new UsageError(`--url: expected http://… or https://…, got ${JSON.stringify(text)}`);
  }
  if (url.pathname !== "/" || url.search !== "") throw new UsageError("--url: expected no path behind host and port");
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname.replace(/^\[|\]$/g, ""))) {
    throw new UsageError("--url: the key would cross the network in plaintext: use https, or a tunnel to 127.0.0.1");
  }
  return {
    url,
    socketPath: undefined,
    key,
    serverName: undefined,
    ca: ca === undefined ? undefined : readTextFile(ca),
  };
}

/** Where a querycop with this configuration answers. */
export function targetOfConfig({ api }: Config, key: string | undefined, ca: string | undefined): AdminTarget {
  const scheme = api.tlsCert === undefined ? "http" : "https";
  const address = api.host === "0.0.0.0" ? "127.0.0.1" : api.host === "::" ? "::1" : api.host;
  const host = address.includes(":") ? `[${address}]` : address;
  const trusted = ca ?? api.tlsCert;
  return {
    url: new URL(api.socket === undefined ? `${scheme}://${host}:${api.port}` : `${scheme}://localhost`),
    socketPath: api.socket,
    key,
    serverName: api.tlsCert === undefined ? undefined : nameInCertificate(readFileSync(api.tlsCert, "latin1")),
    ca: trusted === undefined ? undefined : readFileSync(trusted, "utf8"),
  };
}

/** Who shows the configured certificate is the one to talk to, whatever address the configuration says to listen on. */
function nameInCertificate(pem: string): string | undefined {
  const leaf = new X509Certificate(pem);
  const names = (leaf.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("DNS:"));
  const commonName = leaf.subject.split("\n").find((line) => line.startsWith("CN="));
  return names[0]?.slice("DNS:".length) ?? commonName?.slice("CN=".length);
}

/** Rejects with a readable Error when nobody answers in time. */
export async function callAdmin(
  target: AdminTarget,
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<AdminReply> {
  const { url, socketPath, key, serverName, ca } = target;
  const isTls = url.protocol === "https:";
  const options = {
    method,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? undefined : Number(url.port),
    path,
    agent: false as const,
    headers: {
      ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(isTls && ca !== undefined ? { ca: [...rootCertificates, ca] } : {}),
    ...(isTls && serverName !== undefined ? { servername: serverName } : {}),
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = isTls ? requestTls(options, resolve) : requestPlain(options, resolve);
    sent.on("error", (error: NodeJS.ErrnoException) => {
      const where = socketPath ?? url.host;
      reject(new Error(`No answer from the admin API at ${where}: ${error.code ?? error.message}`));
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
  const text = await readText(response);
  const isJson = response.headers["content-type"]?.startsWith("application/json") === true;
  return { status: response.statusCode ?? 0, text, json: isJson ? parseJson(text) : {} };
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > REPLY_BYTES_MAX) throw new Error("The admin API's answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): AdminReply["json"] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as AdminReply["json"];
  } catch {
    // Told below.
  }
  throw new Error("What answered is not the admin API of querycop");
}
