/** What the process has done since its start: sums, numbers over time, the statements and users that took most. */
import type { Operations } from "../server/operations.ts";
import { arrayOf, flag, integer, type JsonSchema, objectOf, text, word } from "./json-schema.ts";
import { Refusal, type Route } from "./route.ts";

const number = (description: string): JsonSchema => ({ type: "number", description });
const numbers = (description: string): JsonSchema => ({ type: "array", items: { type: "number" }, description });

const DIGEST_ORDERS = ["time", "rows", "bytes", "blocked", "count", "errors", "new"] as const;

const COUNTS = {
  allowed: integer("Sent on without a warning"),
  warned: integer("Sent on with a warning"),
  blocked: integer("Refused"),
  held: integer("Held for an approval"),
};

const DIGEST = objectOf(
  {
    digest: text("SHA-256 of the digest, as policies and GET /audit name it"),
    text: text("The digest: the statement with ? for every literal; absent where the audit keeps another form"),
    isCut: flag("Whether the text is only its beginning"),
    kind: text("What the statement does"),
    firstSeen: text("RFC 3339"),
    lastSeen: text("RFC 3339"),
    count: integer("Statements"),
    ...COUNTS,
    errors: integer("That did not end well"),
    rows: integer("Rows returned"),
    affectedRows: integer("Rows changed"),
    bytes: integer("Bytes of responses"),
    totalUs: integer("Microseconds at the server, all together"),
    maxUs: integer("The longest"),
    p50Us: number("Half of them took no longer, up to a factor of two"),
    p99Us: number("Of a hundred all but one took no longer, up to a factor of two"),
    scoreMax: number("Highest risk score"),
    lastDecisionId: text("Of the last one"),
    tables: arrayOf(text("Table")),
    rules: arrayOf(text("Rule that matched")),
    users: arrayOf(objectOf({ user: text("User"), count: integer("Statements") })),
    recentCounts: numbers("Statements of the last hour, ten minutes each, oldest first"),
    recentUs: numbers("Microseconds of the last hour, ten minutes each"),
  },
  ["text", "p50Us", "p99Us", "lastDecisionId"],
);

const HISTORIES = {
  warnedHistory: numbers("Of the last 24 hours, half an hour each, oldest first"),
  blockedHistory: numbers("The same"),
  heldHistory: numbers("The same"),
};

const LATEST_DAY_MS = 86_400_000;

function overview(operations: Operations) {
  const { metrics, activity, startedMs } = operations;
  metrics.refresh();
  const nowMs = Date.now();
  const { digests } = activity.book;
  const ends = (leg: string): number | undefined => metrics.certificateNotAfter.of(leg).value || undefined;
  return {
    time: new Date(nowMs).toISOString(),
    ...operations.version,
    startedAt: new Date(nowMs - (performance.now() - startedMs)).toISOString(),
    isDraining: operations.isDraining,
    sessions: metrics.clientConnections.value,
    sessionsMax: operations.sessionsMax,
    approvalsPending: operations.approvals.list().filter(({ state }) => state === "pending").length,
    policy: operations.policy(),
    isReloadRefused: metrics.reloadSuccessful.value === 0,
    tokens: {
      minted: metrics.tokenLogins.of("minted").value,
      failed: metrics.tokenLogins.of("failed").value,
    },
    certificates: { client: ends("client"), backendCa: ends("backend_ca") },
    audit: {
      isKept: operations.auditFile !== undefined,
      isOk: metrics.auditOk.value === 1,
      disk: activity.auditDisk(),
      forwarding: [...metrics.auditForwardLag.byValues()]
        .filter(([, { value }]) => value > 0)
        .map(([[to = ""], { value }]) => ({ to, lagSeconds: value })),
    },
    digests: {
      known: digests.size,
      newLastDay: digests.newSince(nowMs - LATEST_DAY_MS),
      newLastWeek: digests.newSince(nowMs - 7 * LATEST_DAY_MS),
      dropped: digests.dropped,
    },
    since: new Date(activity.book.sinceMs).toISOString(),
  };
}

const OVERVIEW = objectOf({
  time: text("Of this answer, RFC 3339"),
  version: text("Version"),
  commit: text("Commit it was built from"),
  startedAt: text("RFC 3339"),
  isReady: flag("As /readyz"),
  isDraining: flag("Whether it is about to end"),
  checks: arrayOf(
    objectOf({ name: text("What was looked at"), ok: flag("Whether it is fine"), detail: text("In words") }),
  ),
  sessions: integer("Open now"),
  sessionsMax: integer("That may be open"),
  approvalsPending: integer("Statements that wait for an answer"),
  policy: objectOf({ version: text("In force"), file: text("Its file"), isFileRefused: flag("As in /policy") }, [
    "file",
  ]),
  isReloadRefused: flag("Whether something that was read again was refused"),
  tokens: objectOf({ minted: integer("Since the start"), failed: integer("Logins without one, since the start") }),
  certificates: objectOf(
    {
      client: integer("When the first certificate for clients ends, seconds since 1970"),
      backendCa: integer("When the first CA for backends ends"),
    },
    ["client", "backendCa"],
  ),
  audit: objectOf(
    {
      isKept: flag("Whether a log is kept"),
      isOk: flag("Whether it records"),
      disk: objectOf(
        {
          freeBytes: number("On its file system"),
          logBytes: number("Of all its files"),
          files: integer("How many"),
          bytesPerDay: number("It grows so fast; absent until that is known"),
          daysUntilFull: number("Until the disk is full; absent where it never will be"),
          keepBytes: number("What audit.keep_size bounds it to"),
        },
        ["bytesPerDay", "daysUntilFull", "keepBytes"],
      ),
      forwarding: arrayOf(objectOf({ to: text("Receiver"), lagSeconds: number("Behind by") })),
    },
    ["disk"],
  ),
  digests: objectOf({
    known: integer("Digests counted one by one"),
    newLastDay: integer("First seen within a day, or since the start"),
    newLastWeek: integer("First seen within a week, or since the start"),
    dropped: integer("Statements whose digest made room for others"),
  }),
  since: text("What is added up begins here, RFC 3339"),
});

export const ACTIVITY_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/overview",
    isPolled: true,
    summary: "What matters now, in one answer",
    response: OVERVIEW,
    handle: async ({ operations }) => {
      const { isReady, checks } = await operations.readiness();
      return { status: 200, json: { ...overview(operations), isReady, checks } };
    },
  },
  {
    method: "GET",
    path: "/series",
    isPolled: true,
    summary: "Numbers over time: ten seconds apart for an hour, or five minutes apart for a day",
    query: { range: word(["hour", "day"], "hour unless given") },
    response: objectOf({
      stepMs: integer("Between two values"),
      newest: text("When the last value was taken, RFC 3339"),
      values: {
        type: "object",
        additionalProperties: true,
        description: "Name → values, oldest first. Counts are per second, durations in microseconds",
      },
    }),
    handle: ({ operations, query }) => {
      const range = query["range"] === "day" ? "day" : "hour";
      return { status: 200, json: operations.activity.series.view(range) };
    },
  },
  {
    method: "GET",
    path: "/statements",
    isPolled: true,
    summary: "The statements seen since the start, added up by digest",
    query: {
      order: word(DIGEST_ORDERS, "What comes first; time unless given"),
      user: { type: "string", maxLength: 512, description: "Only that this user sent" },
      table: { type: "string", maxLength: 512, description: "Only with this table" },
      search: { type: "string", maxLength: 200, description: "Only where the text holds this, in any case" },
      offset: { type: "integer", minimum: 0, maximum: 100_000, description: "Leave out so many" },
      limit: { type: "integer", minimum: 1, maximum: 500, description: "At most so many; 50 unless given" },
    },
    response: objectOf({
      total: integer("How many fit"),
      since: text("Added up since then, RFC 3339"),
      dropped: integer("Statements whose digest made room for others"),
      digests: arrayOf(DIGEST),
    }),
    handle: ({ operations, query }) => {
      const { book } = operations.activity;
      const order = DIGEST_ORDERS.find((known) => known === query["order"]) ?? "time";
      const [offset, limit] = [Number(query["offset"] ?? 0), Number(query["limit"] ?? 50)];
      const { user, table, search } = query;
      const { total, digests } = book.digests.list({ order, offset, limit, user, table, search }, Date.now());
      const since = new Date(book.sinceMs).toISOString();
      return { status: 200, json: { total, since, dropped: book.digests.dropped, digests } };
    },
  },
  {
    method: "GET",
    path: "/statements/{digest}",
    summary: "One of them",
    response: DIGEST,
    statuses: { 404: "It was not seen since the start, or made room for others" },
    handle: ({ operations, path }) => {
      const found = operations.activity.book.digests.find(path["digest"] ?? "", Date.now());
      if (found === undefined) throw new Refusal(404, "not-found", "this digest was not seen since the start");
      return { status: 200, json: found, target: found.digest };
    },
  },
  {
    method: "GET",
    path: "/usage",
    isPolled: true,
    summary: "By user and by rule since the start, and which user used which table",
    query: {
      limit: { type: "integer", minimum: 1, maximum: 500, description: "Of each at most so many; 100 unless given" },
    },
    response: objectOf({
      since: text("Added up since then, RFC 3339"),
      users: arrayOf(
        objectOf({
          user: text("User"),
          ...COUNTS,
          rows: integer("Rows returned"),
          affectedRows: integer("Rows changed"),
          bytes: integer("Bytes of responses"),
          totalUs: integer("Microseconds at the server"),
          ...HISTORIES,
        }),
      ),
      rules: arrayOf(objectOf({ rule: text("Id of the rule"), ...COUNTS, ...HISTORIES })),
      tables: arrayOf(objectOf({ user: text("User"), table: text("Table"), count: integer("Statements") })),
    }),
    handle: ({ operations, query }) => {
      const { usage, sinceMs } = operations.activity.book;
      const limit = Number(query["limit"] ?? 100);
      const nowMs = Date.now();
      const json = {
        since: new Date(sinceMs).toISOString(),
        users: usage.users(nowMs).slice(0, limit),
        rules: usage.rules(nowMs).slice(0, limit),
        tables: usage.tables().slice(0, limit),
      };
      return { status: 200, json };
    },
  },
];
