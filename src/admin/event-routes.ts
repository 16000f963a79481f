/** What is recorded, as it happens: server-sent events. */
import type { ServerResponse } from "node:http";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { Operations } from "../server/operations.ts";
import { withoutRawText } from "./operator-routes.ts";
import { type Call, Refusal, type Reply, type Route } from "./route.ts";
import { encodeJson } from "./send-reply.ts";

/** A reader that is so far behind is dropped: what is kept for it is memory of the proxy. */
const BEHIND_BYTES_MAX = 256 * 1024;
/** A line now and then keeps connections through balancers open, and finds readers that have gone. */
const HEARTBEAT_MS = 15_000;

function follow({ operations, query }: Call): Reply {
  if (!operations.events.hasRoom) throw new Refusal(503, "busy", "as many readers as there may be follow the events");
  return { stream: (response) => stream(operations, query["type"]?.split(","), response) };
}

function stream(operations: Operations, types: readonly string[] | undefined, response: ServerResponse): void {
  const send = (line: string): void => {
    response.write(line);
    if (response.writableLength <= BEHIND_BYTES_MAX) return;
    operations.logger.warn("reader of /events dropped, it was too slow");
    end();
    response.destroy();
  };
  const unsubscribe = operations.events.subscribe((event) => {
    if (types === undefined || types.includes(event.type)) send(encodeEvent(event));
  });
  const heartbeat = setInterval(() => send(": still here\n\n"), HEARTBEAT_MS);
  heartbeat.unref();
  const end = (): void => {
    clearInterval(heartbeat);
    unsubscribe();
  };
  response.on("close", end);
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  response.write(": follow\n\n");
}

function encodeEvent(event: AuditEvent): string {
  const data = encodeJson({ time: new Date().toISOString(), ...withoutRawText(event) });
  return `event: ${event.type}\ndata: ${data}\n\n`;
}

export const EVENT_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/events",
    summary: "Audit events as they happen, as server-sent events; a reader that falls behind is dropped",
    query: { type: { type: "string", maxLength: 200, description: "Only these event types, separated by commas" } },
    response: { contentType: "text/event-stream; charset=utf-8" },
    statuses: { 503: "Too many readers" },
    handle: follow,
  },
];
