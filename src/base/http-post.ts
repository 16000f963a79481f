/** One POST to an address that the configuration names. */
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

export interface HttpPost {
  readonly url: string;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Certificates to trust in place of the system's. */
  readonly caFile?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

/** Resolves with a 2xx and rejects with everything else. Redirects are not followed: what is sent is for the named host alone. */
export function postOverHttp(post: HttpPost, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const url = new URL(post.url);
    const isTls = url.protocol === "https:";
    const headers = {
      ...post.headers,
      "content-type": post.contentType,
      "content-length": Buffer.byteLength(post.body),
      "user-agent": "querycop",
    };
    const ca = post.caFile === undefined ? {} : { ca: readFileSync(post.caFile) };
    const timeoutMs = post.timeoutMs ?? TIMEOUT_MS;
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
    request.end(post.body);
  });
}
