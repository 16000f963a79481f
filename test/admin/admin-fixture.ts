/** An admin API on a free port, in front of operations that a test makes up, and a client that sends what it is told. */
import { createHash } from "node:crypto";
import { request } from "node:http";
import { startAdminServer } from "../../src/admin/admin-server.ts";
import { dashboardBundle } from "../../src/admin/dashboard-bundle.ts";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import type { Clock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { ActivityBook } from "../../src/server/activity/activity-book.ts";
import { ChangeHistory } from "../../src/server/activity/change-history.ts";
import { TimeSeries } from "../../src/server/activity/time-series.ts";
import type { ApprovalView } from "../../src/server/approval-desk.ts";
import { EventFeed } from "../../src/server/event-feed.ts";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import type { AdminOptions, NamedKey, Operations } from "../../src/server/operations.ts";

export const ADMIN_KEY = "the-key-of-the-admin-0123456789";
export const APPROVER_KEY = "the-key-of-ann-0123456789";
export const REQUESTER_KEY = "the-key-of-jobs-0123456789";
/** As wide as HTML gets. */
export const HOSTILE_SQL = "select '</script><img src=x onerror=alert(1)>' && \"\u2028\" -- <svg/onload=alert(2)>";

/** Of the one statement that was seen. */
const SEEN = "DELETE FROM `<img src=x>`";
export const DIGEST = createHash("sha256").update(SEEN).digest("hex");
export const BUNDLE = dashboardBundle({ script: "1;", style: "a {}", icon: "<svg/>" });

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  json(): Record<string, unknown>;
}

export interface AdminFixture {
  readonly port: number;
  readonly operations: Operations;
  readonly events: EventFeed;
  /** What the API recorded. */
  readonly recorded: AuditEvent[];
  /** What was done to the process. */
  readonly done: string[];
  call(method: string, path: string, headers?: Record<string, string>, body?: string): Promise<Answer>;
  replaceKeys(adminKey: string | undefined, namedKeys: readonly NamedKey[]): void;
  replaceTls(tls: { readonly cert: string; readonly key: string }): Promise<void>;
  close(): Promise<void>;
}

export const APPROVAL: ApprovalView = {
  id: "run-1",
  state: "pending",
  mode: "hold",
  listener: "writer",
  user: "<b>app</b>",
  clientAddress: "192.0.2.1",
  session: "run-1",
  schema: undefined,
  command: "COM_QUERY",
  text: "DELETE FROM `<img src=x>`",
  textBytes: 20,
  statementHash: sha256("DELETE FROM `<img src=x>`"),
  isUnderstood: true,
  kinds: ["delete"],
  tablesRead: [],
  tablesWritten: ["<img src=x>"],
  score: 60,
  level: "high",
  estimatedRows: 12,
  reasons: ["dml.nowhere (60): DELETE without WHERE"],
  policyVersion: "7",
  isInTransaction: false,
  requestedAt: "2026-11-21T12:00:00.000Z",
  waitingMs: 5,
  expiresAt: "2026-11-21T12:05:00.000Z",
  approver: undefined,
  reason: undefined,
  askedBy: "admin",
};

/** Each look at it is an hour later: nothing is ever too often. */
function hurryingClock(): Clock {
  let nowMs = 0;
  return { wallMs: () => 0, monotonicMs: () => (nowMs += 3_600_000 / 60) };
}

export async function startAdmin(
  options: Partial<AdminOptions> = {},
  clock: Clock = hurryingClock(),
  more: Partial<Operations> = {},
): Promise<AdminFixture> {
  const recorded: AuditEvent[] = [];
  const done: string[] = [];
  const trail = {
    run: "run",
    isKept: false,
    append: () => undefined,
    appendSoon: () => undefined,
    hashText: () => "",
    hashLongText: async () => "",
  };
  const events = new EventFeed(trail);
  const operations = { ...operationsOf(events, recorded, done), ...more };
  const server = await startAdminServer(
    {
      listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
      tls: undefined,
      adminKey: ADMIN_KEY,
      namedKeys: [
        { name: "ann", role: "approver", sha256: sha256(APPROVER_KEY) },
        { name: "jobs", role: "requester", sha256: sha256(REQUESTER_KEY) },
        { name: "root", role: "admin", sha256: sha256(`root ${ADMIN_KEY}`) },
      ],
      hasPublicMetrics: false,
      hasDashboard: true,
      basePath: "",
      ...options,
    },
    operations,
    clock,
    async () => BUNDLE,
  );
  return {
    port: server.port,
    operations,
    events,
    recorded,
    done,
    call: (method, path, headers, body) => call(server.port, method, path, headers, body),
    replaceKeys: (adminKey, namedKeys) => server.replaceKeys(adminKey, namedKeys),
    replaceTls: (tls) => server.replaceTls(tls),
    close: () => server.close(),
  };
}

function seenBook(): ActivityBook {
  const book = new ActivityBook(0);
  const session = { id: "run-1", clientAddress: "192.0.2.1", user: "<b>app</b>" };
  const about = { session, ordinal: 1, decision: "warn", rules: ["dml.nowhere"], tables: ["shop.orders"] } as const;
  book.observe({ ...about, type: "statement-intent", command: "COM_QUERY", text: SEEN, textForm: "digest" }, 1);
  book.observe({ type: "statement-outcome", session, ordinal: 1, outcome: "ok", rows: 3, durationUs: 80 }, 2);
  return book;
}

function seenChanges(): ChangeHistory {
  const changes = new ChangeHistory();
  changes.addPolicy(
    { outcome: "ok", fromVersion: undefined, toVersion: "7", policyText: "version: 1\n", by: "start" },
    0,
  );
  changes.addReload([{ what: "users", outcome: "refused", problems: "<b>" }], "file", 0);
  return changes;
}

/** What the fixture takes for the signature of a webhook. */
export const GOOD_SIGNATURE = "v1,good";

function operationsOf(events: EventFeed, recorded: AuditEvent[], done: string[]): Operations {
  const session = {
    id: "run-1",
    listener: "writer",
    clientAddress: "192.0.2.1",
    clientTls: "TLSv1.3",
    user: "<b>app</b>",
    backend: "db:3306",
    backendConnectionId: 7,
    schema: "shop",
    program: HOSTILE_SQL,
    state: "busy",
    isInTransaction: false,
    commands: 3,
    bytesToClient: 100,
    bytesToBackend: 50,
    ageSeconds: 9,
    silentSeconds: 0,
    statement: {
      command: "COM_QUERY",
      kind: "select",
      text: "SELECT * FROM `<img src=x>` WHERE `id` = ?",
      textForm: "digest",
      decisionId: "run-7",
      since: "2026-11-21T12:00:00.000Z",
      seconds: 75,
    },
  } as const;
  return {
    version: { version: "1.2.3", commit: "abc" },
    logger: silentLogger,
    metrics: newProxyMetrics(),
    startedMs: performance.now(),
    isDraining: false,
    settings: [
      { key: "admin_api_key", value: "<set>", source: "env", where: "ADMIN_API_KEY" },
      { key: "backend.token_cmd", value: "mint --password=hunter2hunter2", source: "file", where: "q.yaml:3" },
    ],
    auditFile: undefined,
    events,
    approvals: {
      list: () => [APPROVAL],
      find: (id) => (id === "run-1" ? APPROVAL : undefined),
      approve: (id, { approver }) => {
        done.push(`approve ${id} as ${approver}`);
        return Promise.resolve({ kind: "taken", view: APPROVAL });
      },
      deny: (id, { approver, reason }) => {
        done.push(`deny ${id} as ${approver}: ${reason}`);
        return { kind: "taken", view: APPROVAL };
      },
      askForLoad: async ({ askedBy, description }) => {
        done.push(`${askedBy} asks for ${description}`);
        return APPROVAL;
      },
      use: (id) => id === "run-1",
    },
    approvalInbox: {
      judge: ({ signature }) => (signature === GOOD_SIGNATURE ? "genuine" : "forged"),
      mayAnswer: () => true,
    },
    sessionsMax: 100,
    activity: {
      book: seenBook(),
      series: new TimeSeries(newProxyMetrics(), () => 0),
      changes: seenChanges(),
      auditDisk: () => undefined,
    },
    doctor: async () => [{ id: "clock", title: "Clock", status: "ok", detail: "fine" }],
    livePolicy: DEFAULT_POLICY,
    readiness: () =>
      Promise.resolve({ isReady: true, reason: undefined, checks: [{ name: "a", ok: true, detail: "b" }] }),
    sessions: () => [session],
    session: (id) => (id === "run-1" ? session : undefined),
    killSession: (id, by) => {
      done.push(`kill ${id} by ${by}`);
      return id === "run-1";
    },
    policy: () => ({ version: "7", file: "/p.yaml", isFileRefused: false }),
    reload: async (by) => {
      done.push(`reload ${by}`);
      return [{ what: "policy", outcome: "replaced" }];
    },
    record: (event) => {
      recorded.push(event);
    },
  };
}

function call(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text) as Record<string, unknown>,
        });
      });
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

export const bearer = (key: string): Record<string, string> => ({ Authorization: `Bearer ${key}` });
export const JSON_BODY = { "Content-Type": "application/json" };

/** Begins a session and returns the headers a browser would then send. */
export async function logIn(admin: AdminFixture, key: string): Promise<Record<string, string>> {
  const answer = await admin.call("POST", "/auth/login", JSON_BODY, JSON.stringify({ key }));
  const [header] = answer.headers["set-cookie"] ?? [];
  return { Cookie: header?.split(";")[0] ?? "", Origin: `http://127.0.0.1:${admin.port}` };
}
