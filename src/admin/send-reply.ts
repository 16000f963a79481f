/** Writes an answer, with the headers that keep a browser from taking it for anything but data. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Reply } from "./route.ts";

const HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

export function sendReply(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed) return;
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if ("stream" in reply) {
    reply.stream(response);
    return;
  }
  if (!request.complete || reply.status === PAYLOAD_TOO_LARGE) leaveAfter(request, response);
  const body = Buffer.from("json" in reply ? encodeJson(reply.json) : reply.text, "utf8");
  response.writeHead(reply.status, {
    ...reply.headers,
    "Content-Type": "json" in reply ? "application/json; charset=utf-8" : reply.contentType,
    "Content-Length": body.length,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** The answer to a body that may have come as a whole, but was not read to its end. */
const PAYLOAD_TOO_LARGE = 413;
/** Milliseconds a client may take to read the answer to a request it is still sending. */
const LINGER_MS = 1_000;

/** The rest of a body nobody wants would be read as the next request. Closing at once could lose the answer. */
function leaveAfter(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  response.setHeader("Connection", "close");
  // Not on "finish": with a body still coming Bun does not say it.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** SAFETY: statements and names hold whatever a client wrote. Escaped like this they stay data inside HTML as well. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}
