/** Audit records over HTTP: as they are to a webhook, or as OpenTelemetry log records to a collector. */
import { readFileSync } from "node:fs";
import { QuerycopError } from "../base/errors.ts";
import { postOverHttp } from "../base/http-post.ts";
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

async function post(
  options: HttpDestinationOptions,
  contentType: string,
  body: string,
  signal: AbortSignal,
): Promise<void> {
  const { url, headersFile, caFile, timeoutMs } = options;
  const headers = readHeaders(headersFile);
  await postOverHttp(
    { url, contentType, body, headers, caFile, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
    signal,
  );
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
