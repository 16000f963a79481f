/** Audit records over HTTP: as they are to a webhook, or as OpenTelemetry log records to a collector. */
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { QuerycopError } from "../base/errors.ts";
import type { AuditDestination } from "./audit-forwarder.ts";
import { encodeOtlpLogs } from "./otlp-logs.ts";

export interface HttpDestinationOptions {
  readonly url: string;
  /** Lines of the form `Name: value`, for credentials. Read again for each attempt, so that they can be exchanged. */
  readonly headersFile?: string | undefined;
  /** Certificates to trust in place of the system's. */
  readonly caFile?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const HEADERS_BYTES_MAX = 16_384;

export class WebhookDestination implements AuditDestination {
  readonly name = "webhook";
  readonly #options: HttpDestinationOptions;

  constructor(options: HttpDestinationOptions) {
    this.#options = options;
  }

  deliver(lines: readonly string[], signal: AbortSignal): Promise<void> {
    return post(this.#options, "application/x-ndjson", `${lines.join("\n")}\n`, signal);
  }

  close(): void {}
}

export class OtlpDestination implements AuditDestination {
  readonly name = "otlp";
  readonly #options: HttpDestinationOptions;

  constructor(options: HttpDestinationOptions) {
    this.#options = options;
  }

  deliver(lines: readonly string[], signal: AbortSignal): Promise<void> {
    return post(this.#options, "application/json", encodeOtlpLogs(lines), signal);
  }

  close(): void {}
}

/** Resolves with a 2xx. Redirects are not followed: the records and the credentials are for the named host alone. */
function post(options: HttpDestinationOptions, contentType: string, body: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const url = new URL(options.url);
    const isTls = url.protocol === "https:";
    const headers = {
      ...readHeaders(options.headersFile),
      "content-type": contentType,
      "content-length": Buffer.byteLength(body),
      "user-agent": "querycop",
    };
    const ca = options.caFile === undefined ? {} : { ca: readFileSync(options.caFile) };
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const request = isTls
      ? httpsRequest(url, { method: "POST", headers, signal, agent: false, ...ca })
      : httpRequest(url, { method: "POST", headers, signal, agent: false });
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.on("response", (response) => {
      response.resume();
      response.on("error", reject);
      response.on("end", () => {
        clearTimeout(timer);
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve();
        else reject(new Error(`${url.host} answered ${status}`));
      });
    });
    request.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end(body);
  });
}

/** Throws QC_CONFIG for a file that is not of that form. */
export function readHeaders(path: string | undefined): Record<string, string> {
  if (path === undefined) return {};
  const text = readFileSync(path, "utf8").slice(0, HEADERS_BYTES_MAX);
  const headers: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    // SAFETY: the line may be a secret, so it is not shown.
    if (colon < 1) throw new QuerycopError("QC_CONFIG", `Cannot use ${path}: expected lines of the form Name: value`);
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}
