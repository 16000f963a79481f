/** What is recorded, as it happens: server-sent events. */
import type { ServerResponse } from "node:http";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { Subscription } from "../server/event-feed.ts";
import { withoutRawText } from "./audit-routes.ts";
import { type Call, Refusal, type Reply, type Route } from "./route.ts";
import { encodeJson } from "./send-reply.ts";

/** A reader that is so far behind is dropped: what is kept for it is memory of the proxy. */
const BEHIND_BYTES_MAX = 256 * 1024;
/** A line now and then keeps connections through balancers open, and finds readers that have gone. */
const HEARTBEAT_MS = 5_000;

/** What approvers need to see statements come and go. Everything else is for admins. */
const APPROVER_TYPES: readonly string[] = ["hold", "approval"];

function follow(call: Call): Reply {
  if (!call.operations.events.hasRoom)
    throw new Refusal(503, "busy", "as many readers as there may be follow the events");
  const wanted = call.query["type"]?.split(",");
  const isAdmin = call.principal?.role === "admin";
  const types = isAdmin ? wanted : APPROVER_TYPES.filter((type) => wanted?.includes(type) !== false);
  return { stream: (response) => stream(call, types, response) };
}

function stream(call: Call, types: readonly string[] | undefined, response: ServerResponse): void {
  const { operations, isStillValid, lastEventId } = call;
  let subscription: Subscription | undefined;
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
    clearInterval(heartbeat);
    subscription?.end();
  };
  const send = (line: string): void => {
    if (isEnded) return;
    response.write(line);
    if (response.writableLength <= BEHIND_BYTES_MAX) return;
    operations.logger.warn("reader of /events dropped, it was too slow");
    end();
    response.destroy();
  };
  const heartbeat = setInterval(() => {
    if (isStillValid()) return send(HEARTBEAT);
    end();
    response.end();
  }, HEARTBEAT_MS);
  heartbeat.unref();
  response.on("close", end);
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  response.write(HEARTBEAT);
  subscription = operations.events.subscribe((event, id) => {
    if (types === undefined || types.includes(event.type)) send(encodeEvent(event, id));
  }, lastEventId);
  if (isEnded) subscription.end();
  // Its cursor is older than what is kept: what it shows it has to ask for again.
  if (subscription.hasMissed) send("event: missed\ndata: {}\n\n");
}

/** An event and no comment, so that a page sees as well that nothing is new. */
const HEARTBEAT = "event: heartbeat\ndata: {}\n\n";

function encodeEvent(event: AuditEvent, id: string): string {
  const data = encodeJson({ time: new Date().toISOString(), ...withoutRawText(event) });
  return `id: ${id}\nevent: ${event.type}\ndata: ${data}\n\n`;
}

export const EVENT_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/events",
    access: "approver",
    summary:
      "Audit events as they happen, as server-sent events, hold and approval alone for approvers; a reader that falls behind is dropped",
    query: { type: { type: "string", maxLength: 200, description: "Only these event types, separated by commas" } },
    response: { contentType: "text/event-stream; charset=utf-8" },
    statuses: { 503: "Too many readers" },
    handle: follow,
  },
];
