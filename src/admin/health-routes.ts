/** What orchestrators and monitoring ask, every few seconds and mostly without a key. */
import { arrayOf, flag, objectOf, text, word } from "./json-schema.ts";
import type { Call, Reply, Route } from "./route.ts";

const CHECKS = arrayOf(
  objectOf({ name: text("What was looked at"), ok: flag("Whether it is fine"), detail: text("In words") }),
);

const alive = (): Reply => ({ status: 200, json: { status: "ok" } });

async function ready({ operations, query }: Call): Promise<Reply> {
  const { isReady, reason, checks } = await operations.readiness();
  const verbose = query["verbose"] === undefined ? {} : { checks };
  if (isReady) return { status: 200, json: { status: "ready", ...verbose } };
  return { status: 503, json: { status: "not ready", reason, ...verbose } };
}

const LIVE: Omit<Route, "path"> = {
  method: "GET",
  access: "public",
  isRoutine: true,
  summary: "Whether the process turns; depends on nothing else",
  response: objectOf({ status: word(["ok"], "Always ok") }),
  handle: alive,
};

export const HEALTH_ROUTES: readonly Route[] = [
  { ...LIVE, path: "/livez" },
  { ...LIVE, path: "/healthz", summary: "The same as /livez" },
  {
    method: "GET",
    path: "/readyz",
    access: "public",
    isRoutine: true,
    summary:
      "Whether clients can be served: every backend completed a handshake in the last 10 seconds, the audit log records, no drain",
    query: { verbose: flag("List all checks") },
    response: objectOf(
      {
        status: word(["ready", "not ready"], "The answer"),
        reason: text("What is missing"),
        checks: CHECKS,
      },
      ["reason", "checks"],
    ),
    statuses: { 503: "Not ready, with the reason" },
    handle: ready,
  },
];

/** Public where the configuration says so, for a Prometheus that sends no key. */
export function metricsRoute(isPublic: boolean): Route {
  return {
    method: "GET",
    path: "/metrics",
    access: isPublic ? "public" : "admin",
    isRoutine: true,
    summary: "All metrics in the text format of Prometheus",
    response: { contentType: "text/plain; version=0.0.4; charset=utf-8" },
    handle: async ({ operations }) => {
      // For querycop_ready, where nobody asks /readyz.
      await operations.readiness();
      const contentType = "text/plain; version=0.0.4; charset=utf-8";
      return { status: 200, text: operations.metrics.render(), contentType };
    },
  };
}
