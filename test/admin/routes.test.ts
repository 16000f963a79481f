import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type JsonSchema, problemOf } from "../../src/admin/json-schema.ts";
import { type Access, matchPath, type Route } from "../../src/admin/route.ts";
import { adminRoutes, DESCRIBED_ROUTES } from "../../src/admin/routes.ts";
import { VERSION } from "../../src/version.ts";
import {
  ADMIN_KEY,
  type AdminFixture,
  APPROVAL,
  APPROVER_KEY,
  BUNDLE,
  bearer,
  DIGEST,
  GOOD_SIGNATURE,
  HOSTILE_SQL,
  JSON_BODY,
  logIn,
  REQUESTER_KEY,
  startAdmin,
} from "./admin-fixture.ts";

const ROUTES = adminRoutes(DESCRIBED_ROUTES);

/** A path of the route that names something which is there. */
function pathOf(route: Route): string {
  return route.path
    .replace("{id}", "run-1")
    .replace("{digest}", DIGEST)
    .replace("{number}", "1")
    .replace("{name}", BUNDLE.script.name);
}

const DASHBOARD = ["/", "/assets/{name}"];

/** A body the route takes. */
function bodyOf(route: Route): { headers: Record<string, string>; body?: string } {
  if (route.body === undefined) return { headers: {} };
  const bodies: Readonly<Record<string, object>> = {
    "/auth/login": { key: ADMIN_KEY },
    "/approvals": { description: "LOAD", connection: "ingest", user: "loader", table: "a.b" },
    "/approvals/answers": {
      id: "run-1",
      verdict: "approve",
      approver: "ann",
      statementHash: APPROVAL.statementHash,
    },
    "/explain": { statement: "select 1", user: "app" },
  };
  const headers = route.isSigned === true ? { ...JSON_BODY, "webhook-signature": GOOD_SIGNATURE } : JSON_BODY;
  return { headers, body: JSON.stringify(bodies[route.path] ?? { as: "ann", reason: "why" }) };
}

/** Headers by who calls. Sessions begin when it is their turn: this fixture's hours are short. */
async function headersOf(admin: AdminFixture, who: string): Promise<Record<string, string>> {
  if (who === "approver's session") return await logIn(admin, APPROVER_KEY);
  if (who === "admin's session") return await logIn(admin, ADMIN_KEY);
  return KEY_HEADERS[who] ?? {};
}

const KEY_HEADERS: Readonly<Record<string, Record<string, string>>> = {
  nobody: {},
  "a wrong key": bearer("not a key of anybody's"),
  "an empty key": { Authorization: "Bearer " },
  "another scheme": { Authorization: `Basic ${Buffer.from(`admin:${ADMIN_KEY}`).toString("base64")}` },
  "a made up cookie": { Cookie: `querycop_session=${"A".repeat(43)}` },
  requester: bearer(REQUESTER_KEY),
  approver: bearer(APPROVER_KEY),
  admin: bearer(ADMIN_KEY),
  "named admin": bearer(`root ${ADMIN_KEY}`),
};

/** What each of them may do: allowed, or the status that says no. */
const EXPECTED: Readonly<Record<string, Readonly<Record<Access, "allowed" | 401 | 403>>>> = {
  nobody: { public: "allowed", requester: 401, approver: 401, admin: 401 },
  "a wrong key": { public: "allowed", requester: 401, approver: 401, admin: 401 },
  "an empty key": { public: "allowed", requester: 401, approver: 401, admin: 401 },
  "another scheme": { public: "allowed", requester: 401, approver: 401, admin: 401 },
  "a made up cookie": { public: "allowed", requester: 401, approver: 401, admin: 401 },
  requester: { public: "allowed", requester: "allowed", approver: 403, admin: 403 },
  approver: { public: "allowed", requester: "allowed", approver: "allowed", admin: 403 },
  "approver's session": { public: "allowed", requester: "allowed", approver: "allowed", admin: 403 },
  admin: { public: "allowed", requester: "allowed", approver: "allowed", admin: "allowed" },
  "admin's session": { public: "allowed", requester: "allowed", approver: "allowed", admin: "allowed" },
  "named admin": { public: "allowed", requester: "allowed", approver: "allowed", admin: "allowed" },
};

/** These do not end, or end the session they are called with. */
const isCallable = ({ path }: Route): boolean => path !== "/events" && path !== "/auth/logout";

test("every route admits exactly whom it says, with every kind of credential", async () => {
  const admin = await startAdmin();
  try {
    for (const who of Object.keys(EXPECTED)) {
      const headers = await headersOf(admin, who);
      for (const route of ROUTES) {
        const expected = EXPECTED[who]?.[route.access ?? "admin"];
        if (expected === "allowed" && !isCallable(route)) continue;
        const { headers: ofBody, body } = bodyOf(route);
        const isCookie = headers["Cookie"] !== undefined;
        const origin = isCookie ? { Origin: `http://127.0.0.1:${admin.port}` } : {};
        const answer = await admin.call(route.method, pathOf(route), { ...ofBody, ...headers, ...origin }, body);
        const shown = `${who}: ${route.method} ${route.path}: ${answer.status} ${answer.text}`;
        if (expected === "allowed") assert.ok(answer.status !== 401 && answer.status !== 403, shown);
        else assert.equal(answer.status, expected, shown);
      }
    }
  } finally {
    await admin.close();
  }
});

test("a route that does not say who may call it is for admins", () => {
  const open = ROUTES.filter(({ access }) => access === "public").map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(open, [
    "GET /livez",
    "GET /healthz",
    "GET /readyz",
    "POST /auth/login",
    "POST /approvals/answers",
    "GET /",
    "GET /assets/{name}",
    "GET /openapi.json",
  ]);
});

test("without a key in the configuration only public routes answer", async () => {
  const admin = await startAdmin({ adminKey: undefined, namedKeys: [] });
  for (const route of ROUTES) {
    const { headers, body } = bodyOf(route);
    const answer = await admin.call(route.method, pathOf(route), { ...headers, ...bearer(ADMIN_KEY) }, body);
    // Of a dashboard that nobody can log in to there is nothing.
    if (DASHBOARD.includes(route.path)) assert.equal(answer.status, 404, route.path);
    const isOpen = route.access === "public" && route.path !== "/auth/login";
    assert.equal(answer.status === 401, !isOpen, `${route.method} ${route.path}: ${answer.status}`);
  }
  await admin.close();
});

test("every answer is of the schema its route names, and inert in a browser", async () => {
  const admin = await startAdmin();
  for (const route of ROUTES.filter(isCallable)) {
    const { headers, body } = bodyOf(route);
    const answer = await admin.call(route.method, pathOf(route), { ...headers, ...bearer(ADMIN_KEY) }, body);
    const where = `${route.method} ${route.path}`;
    assert.equal(answer.headers["x-content-type-options"], "nosniff", where);
    const isAsset = route.path === "/assets/{name}";
    assert.equal(answer.headers["cache-control"], isAsset ? "public, max-age=31536000, immutable" : "no-store", where);
    assert.match(String(answer.headers["content-security-policy"]), /default-src 'none'/, where);
    assert.equal(answer.headers["access-control-allow-origin"], undefined, where);
    if ("contentType" in route.response) {
      assert.equal(answer.headers["content-type"], route.response.contentType, where);
      continue;
    }
    assert.equal(answer.headers["content-type"], "application/json; charset=utf-8", where);
    assert.doesNotMatch(answer.text, /[<>&\u2028\u2029]/, where);
    if (route.path === "/audit" || route.path === "/decisions/{id}") {
      assert.equal(answer.status, 404);
      continue;
    }
    assert.equal(answer.status, 200, `${where}: ${answer.text}`);
    assert.equal(problemOf(answer.json(), route.response), undefined, where);
  }
  await admin.close();
});

test("SQL that looks like HTML comes back as the same text, written without a character HTML knows", async () => {
  const admin = await startAdmin();
  const answer = await admin.call("GET", "/sessions/run-1", bearer(ADMIN_KEY));
  assert.equal(answer.json()["program"], HOSTILE_SQL);
  assert.doesNotMatch(answer.text, /[<>&\u2028]/);
  await admin.close();
});

test("the description that is served is the one in docs/openapi.json, and names every route", async () => {
  const admin = await startAdmin();
  const served = (await admin.call("GET", "/openapi.json")).json();
  const file = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf8")) as typeof served;
  assert.equal((file["info"] as { version: string }).version, VERSION.version);
  assert.deepEqual({ ...served, info: file["info"] }, file);
  const paths = served["paths"] as Record<string, Record<string, { security: unknown[] }>>;
  for (const { method, path, access } of ROUTES) {
    assert.equal(paths[path]?.[method.toLowerCase()]?.security.length === 0, access === "public", path);
  }
  await admin.close();
});

test("a setting that holds a secret is shown without it", async () => {
  const admin = await startAdmin();
  const answer = await admin.call("GET", "/config", bearer(ADMIN_KEY));
  assert.doesNotMatch(answer.text, /hunter2/);
  assert.match(answer.text, /\\u003cset\\u003e/);
  await admin.close();
});

test("what is changed is done once, by whom the record says", async () => {
  const admin = await startAdmin();
  assert.equal((await admin.call("DELETE", "/sessions/run-1", bearer(ADMIN_KEY))).status, 200);
  assert.equal((await admin.call("DELETE", "/sessions/run-2", bearer(ADMIN_KEY))).status, 404);
  assert.equal((await admin.call("POST", "/policy/reload", bearer(`root ${ADMIN_KEY}`))).status, 200);
  assert.deepEqual(admin.done, ["kill run-1 by admin", "kill run-2 by admin", "reload root"]);
  const calls = admin.recorded.map((event) =>
    event.type === "admin-call"
      ? [event.principal, event.method, event.route, event.status, event.target]
      : [event.type],
  );
  assert.deepEqual(calls, [
    ["admin", "DELETE", "/sessions/{id}", 200, "run-1"],
    ["admin", "DELETE", "/sessions/{id}", 404, undefined],
    ["root", "POST", "/policy/reload", 200, undefined],
  ]);
  await admin.close();
});

test("calls that are refused are recorded, health checks are not", async () => {
  const admin = await startAdmin();
  await admin.call("GET", "/readyz");
  await admin.call("GET", "/metrics", bearer(ADMIN_KEY));
  await admin.call("GET", "/sessions", bearer("wrong"));
  await admin.call("GET", "/metrics");
  const calls = admin.recorded.map(
    (event) => event.type === "admin-call" && [event.principal, event.route, event.status],
  );
  assert.deepEqual(calls, [
    [undefined, "/sessions", 401],
    [undefined, "/metrics", 401],
  ]);
  await admin.close();
});

test("/metrics is open where the configuration says so", async () => {
  const admin = await startAdmin({ hasPublicMetrics: true });
  assert.equal((await admin.call("GET", "/metrics")).status, 200);
  const { text } = await admin.call("GET", "/metrics");
  // The route is in no set of the test's metrics.
  assert.ok(text.includes('\nquerycop_admin_requests_total{route="other",status="2xx"} 1\n'));
  await admin.close();
});

test("the number of audit records and their filters are checked before the log is opened", async () => {
  const admin = await startAdmin();
  for (const bad of ["limit=0", "limit=1001", "limit=1e3x", "limit=", "nosuch=1", "user=a&user=b"]) {
    const answer = await admin.call("GET", `/audit?${bad}`, bearer(ADMIN_KEY));
    assert.equal(answer.status, 400, `${bad}: ${answer.text}`);
  }
  await admin.close();
});

test("matchPath() takes a path apart and never reads one as another", () => {
  assert.deepEqual(matchPath("/sessions/{id}", "/sessions/a%20b"), { id: "a b" });
  for (const path of [
    "/sessions/",
    "/sessions",
    "/sessions/a/b",
    "/SESSIONS/a",
    "//sessions/a",
    "/sessions/%zz",
    "/x/../sessions/a",
  ]) {
    assert.equal(matchPath("/sessions/{id}", path), undefined, path);
  }
});

test("problemOf() names the place of what is wrong", () => {
  const schema: JsonSchema = {
    type: "object",
    properties: { a: { type: "array", items: { type: "integer", maximum: 3 } }, b: { type: "string", maxLength: 2 } },
    required: ["b"],
  };
  const cases: readonly (readonly [unknown, string | undefined])[] = [
    [{ b: "xx", a: [1, 2] }, undefined],
    [{ a: [] }, "body.b: is missing"],
    [{ b: "xxx" }, "body.b: is longer than 2"],
    [{ b: "", a: [1, 4] }, "body.a[1]: expected -Infinity to 3"],
    [{ b: "", a: [1.5] }, "body.a[0]: expected a number"],
    [{ b: "", constructor: 1 }, "body.constructor: is unknown"],
    [JSON.parse('{"b":"","__proto__":{}}'), "body.__proto__: is unknown"],
    [[], "body: expected an object"],
    [null, "body: expected an object"],
  ];
  for (const [value, expected] of cases) assert.equal(problemOf(value, schema), expected);
});

test("a route that is open to systems that sign admits nobody without a signature, whatever key they have", async () => {
  const admin = await startAdmin();
  try {
    const signed = ROUTES.filter(({ isSigned }) => isSigned === true);
    assert.deepEqual(
      signed.map(({ path }) => path),
      ["/approvals/answers"],
    );
    for (const route of signed) {
      for (const who of Object.keys(EXPECTED)) {
        const headers = { ...JSON_BODY, ...(await headersOf(admin, who)), Origin: `http://127.0.0.1:${admin.port}` };
        const answer = await admin.call(route.method, pathOf(route), headers, bodyOf(route).body);
        assert.ok(answer.status === 401 || answer.status === 429, `${who}: ${answer.status} ${answer.text}`);
      }
    }
  } finally {
    await admin.close();
  }
});
