import assert from "node:assert/strict";
import { test } from "node:test";
import { renderTop, type TopSnapshot } from "../../src/cli/top-screen.ts";
import { ADMIN_KEY, type AdminFixture, startAdmin } from "../admin/admin-fixture.ts";
import { eventually } from "../support/eventually.ts";
import { FakeTerminal, run } from "./fake-io.ts";

function environmentOf(admin: AdminFixture): Record<string, string> {
  return {
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_API_PORT: String(admin.port),
    ADMIN_API_KEY: ADMIN_KEY,
  };
}

test("top prints one round whole where standard output is no terminal, or it is asked to", async () => {
  const admin = await startAdmin();
  const env = environmentOf(admin);
  const piped = await run(["top"], { env });
  assert.equal(piped.code, 0, piped.stderr);
  assert.match(piped.stdout, /^querycop 1\.2\.3 {2}ready, up \d+ s, policy 7, no audit log$/m);
  assert.match(piped.stdout, /PER S +COUNT +P50 .* STATEMENT$/m);
  assert.match(piped.stdout, /^run-1 +<b>app<\/b> +192\.0\.2\.1 +busy +1 min 15 s +SELECT \* FROM/m);
  const terminal = new FakeTerminal(24);
  const once = await run(["top", "--once", "--order", "rows"], { env, terminal, stdoutColumns: 60 });
  assert.equal(once.code, 0, once.stderr);
  assert.match(once.stdout, /ordered by rows$/m);
  assert.ok(once.stdout.split("\n").every((line) => line.length <= 60));
  const json = JSON.parse((await run(["top", "--json"], { env })).stdout) as TopSnapshot;
  assert.deepEqual(Object.keys(json), ["overview", "sessions", "statements"]);
  await admin.close();
});

test("top draws over itself, heeds its keys, and leaves the terminal as it was", async () => {
  const admin = await startAdmin();
  const terminal = new FakeTerminal(16);
  const running = run(["top", "--interval", "500ms"], { env: environmentOf(admin), terminal, stdoutColumns: 80 });
  await eventually("a round is drawn", () => terminal.shown.includes("ordered by time"));
  terminal.press("r");
  await eventually("by rows", () => terminal.shown.includes("ordered by rows"));
  terminal.press(" ");
  await eventually("it is held", () => terminal.shown.includes("held still"));
  terminal.press("?");
  terminal.press("q");
  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr);
  const frames = stdout.split("\x1b[H");
  assert.equal(frames[0], "\x1b[?1049h\x1b[?25l\x1b[?7l");
  assert.ok(stdout.endsWith("\x1b[?7h\x1b[?25h\x1b[?1049l"));
  for (const frame of frames.slice(1)) {
    const lines = frame.split("\x1b[J")[0]?.split("\r\n") ?? [];
    assert.ok(lines.length <= 16, String(lines.length));
    for (const line of lines) {
      const text = line.replace("\x1b[K", "");
      assert.ok(text.length <= 80, text);
      // Names and statements of the fixture are hostile.
      assert.ok(
        [...text].every((character) => character >= " " && character !== "\x7f"),
        JSON.stringify(text),
      );
    }
  }
  await admin.close();
});

test("top goes on when an answer is missing, and ends with the terminal", async () => {
  const admin = await startAdmin();
  const terminal = new FakeTerminal(16);
  const running = run(["top", "--interval", "500ms"], { env: environmentOf(admin), terminal, stdoutColumns: 120 });
  await eventually("a round is drawn", () => terminal.shown.includes("ordered by time"));
  await admin.close();
  await eventually("it says what is wrong", () =>
    /ECONNREFUSED|cannot|Cannot|refused/.test(terminal.shown.split("\x1b[H").at(-1) ?? ""),
  );
  terminal.end();
  assert.equal((await running).code, 0);
});

test("top refuses what it does not know, and says what the API refused", async () => {
  const admin = await startAdmin();
  const env = environmentOf(admin);
  assert.match((await run(["top", "--order", "size"], { env })).stderr, /--order: expected one of time, rows, bytes/);
  assert.match((await run(["top", "--interval", "1ms"], { env })).stderr, /--interval: /);
  const wrong = await run(["top"], { env: { ...env, ADMIN_API_KEY: "not the key of this one" } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /refused \(401\)/);
  await admin.close();
});

const DIGEST = {
  digest: "d1",
  text: "SELECT ?",
  isCut: false,
  kind: "select",
  count: 1000,
  blocked: 0,
  errors: 1,
  rows: 45_678,
  affectedRows: 0,
  totalUs: 12_345_678,
  p50Us: 900,
  p99Us: 12_000,
  scoreMax: 3,
};

function snapshotOf(atMs: number, counts: readonly number[], sessions = 0): TopSnapshot {
  const overview = {
    version: "1.2.3",
    startedAt: "2026-12-01T00:00:00.000Z",
    time: "2026-12-01T01:00:00.000Z",
    isReady: false,
    isDraining: false,
    sessions: 2,
    sessionsMax: 10,
    approvalsPending: 1,
    policy: { version: "7" },
    audit: { isKept: true, isOk: false },
  };
  const busy = Array.from({ length: sessions }, (_, index) => ({
    id: `run-${index}`,
    state: "busy",
    clientAddress: "192.0.2.1",
    isInTransaction: true,
    statement: { seconds: 3, kind: "select" },
  }));
  return {
    atMs,
    overview,
    sessions: { total: sessions, states: { idle: 1, busy: 1, held: 0 }, sessions: busy },
    statements: { total: 300, digests: counts.map((count, index) => ({ ...DIGEST, digest: `d${index}`, count })) },
  } as unknown as TopSnapshot;
}

test("renderTop() tells rates by the round before, and of none where there was none", () => {
  const view = { order: "count", columns: undefined, rows: undefined } as const;
  const lines = renderTop(snapshotOf(4000, [1100, 5, 7]), snapshotOf(2000, [1000, 9]), view);
  assert.deepEqual(lines.slice(0, 7), [
    "querycop 1.2.3  NOT READY, up 1 h, policy 7, AUDIT LOG CANNOT RECORD",
    "2 sessions of 10: 1 idle, 1 busy   1 statement waiting for an approval",
    "",
    "PER S  COUNT    P50     P99   TIME   ROWS  BLOCKED  ERRORS  RISK  STATEMENT",
    "   50  1.10k  900µs  12.0ms  12.3s  45.7k        0       1     3  SELECT ?",
    "    -      5  900µs  12.0ms  12.3s  45.7k        0       1     3  SELECT ?",
    "    -      7  900µs  12.0ms  12.3s  45.7k        0       1     3  SELECT ?",
  ]);
  assert.equal(lines[7], "and 297 statements more, ordered by count");
});

test("renderTop() fits the terminal, and gives each table what the other does not need", () => {
  const counts = Array.from({ length: 50 }, (_, index) => index);
  for (const [sessions, rows] of [
    [0, 24],
    [3, 24],
    [50, 24],
    [50, 60],
    [50, 15],
  ] as const) {
    const view = { order: "time", columns: 40, rows, footer: "q end" } as const;
    const lines = renderTop(snapshotOf(0, counts, sessions), undefined, view);
    assert.ok(lines.length <= rows, `${sessions} sessions in ${rows}: ${lines.length}`);
    assert.ok(lines.every((line) => line.length <= 40));
    assert.equal(lines.filter((line) => line.startsWith("run-")).length > 0, sessions > 0);
  }
});
