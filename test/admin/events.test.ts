import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { ADMIN_KEY, type AdminFixture, APPROVER_KEY, bearer, HOSTILE_SQL, logIn, startAdmin } from "./admin-fixture.ts";

const SESSION = { id: "run-1", clientAddress: "192.0.2.1" };

function blocked(text: string, textForm: "digest" | "raw" = "digest"): AuditEvent {
  return {
    type: "statement-blocked",
    session: SESSION,
    ordinal: 1,
    command: "COM_QUERY",
    decision: "block",
    text,
    textForm,
  };
}

/** Follows the events into a list of what came. */
function follow(
  admin: AdminFixture,
  query = "",
  headers = bearer(ADMIN_KEY),
): Promise<{ readonly text: () => string; readonly end: () => void }> {
  return new Promise((resolve, reject) => {
    const path = `/events${query}`;
    const sent = request({ host: "127.0.0.1", port: admin.port, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
      });
      response.on("error", () => undefined);
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      else resolve({ text: () => text, end: () => sent.destroy() });
    });
    sent.on("error", () => undefined);
    sent.end();
  });
}

test("/events sends what is recorded, one event each, of the types asked for", async () => {
  const admin = await startAdmin();
  const all = await follow(admin);
  const some = await follow(admin, "?type=disconnect,statement-blocked");
  assert.equal(admin.events.isKept, true);
  admin.events.append({ type: "connect", session: SESSION });
  admin.events.append(blocked(HOSTILE_SQL));
  admin.events.append(blocked("secret in full", "raw"));
  await eventually("all came", () => all.text().split("\n\n").length >= 5 && some.text().split("\n\n").length >= 4);
  const eventsOf = (text: string): string[] =>
    text.split("\n").filter((line) => line.startsWith("event: ") && line !== "event: heartbeat");
  assert.deepEqual(eventsOf(all.text()), ["event: connect", "event: statement-blocked", "event: statement-blocked"]);
  assert.deepEqual(eventsOf(some.text()), ["event: statement-blocked", "event: statement-blocked"]);
  const data = some
    .text()
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>)
    .filter((event) => "type" in event);
  assert.equal(data[0]?.["text"], HOSTILE_SQL);
  assert.equal(data[1]?.["text"], undefined);
  assert.doesNotMatch(some.text(), /[<>]|secret in full/);
  all.end();
  some.end();
  await eventually("nobody follows any more", () => !admin.events.isKept);
  await admin.close();
});

test("a reader that comes back is told what it missed, and that it missed something where that is gone", async () => {
  const admin = await startAdmin();
  const first = await follow(admin);
  for (let i = 0; i < 3; i++) admin.events.append({ type: "connect", session: { ...SESSION, id: `run-${i}` } });
  await eventually("all came", () => first.text().includes("run-2"));
  const [, id = ""] = /id: (\S+)\nevent: connect\ndata: .*run-0/.exec(first.text()) ?? [];
  first.end();
  await eventually("nobody follows any more", () => !admin.events.isKept);
  admin.events.append({ type: "connect", session: { ...SESSION, id: "run-3" } });
  const again = await follow(admin, "", { ...bearer(ADMIN_KEY), "Last-Event-ID": id });
  await eventually("what it missed", () => again.text().includes("run-3"));
  assert.deepEqual(
    [...again.text().matchAll(/"id":"(run-\d)"/g)].map(([, session]) => session),
    ["run-1", "run-2", "run-3"],
  );
  assert.doesNotMatch(again.text(), /event: missed/);
  const late = await follow(admin, "", { ...bearer(ADMIN_KEY), "Last-Event-ID": "another-life-1" });
  await eventually("it is told", () => late.text().includes("event: missed"));
  again.end();
  late.end();
  await admin.close();
});

test("an approver sees holds and approvals, and nothing else", async () => {
  const admin = await startAdmin();
  const reader = await follow(admin, "", bearer(APPROVER_KEY));
  const curious = await follow(admin, "?type=connect,approval", bearer(APPROVER_KEY));
  admin.events.append({ type: "connect", session: SESSION });
  admin.events.append(blocked("DELETE FROM t"));
  admin.events.append({ type: "approval", session: SESSION, ordinal: 1, approvalId: "a", verdict: "expired" });
  await eventually("it came", () => reader.text().includes("approval") && curious.text().includes("approval"));
  for (const { text } of [reader, curious]) assert.doesNotMatch(text(), /event: (connect|statement-blocked)/);
  reader.end();
  curious.end();
  await admin.close();
});

test("a stream ends with the session it was begun in", async () => {
  const admin = await startAdmin({}, SYSTEM_CLOCK);
  const { Cookie = "" } = await logIn(admin, ADMIN_KEY);
  const reader = await follow(admin, "", { Cookie });
  admin.replaceKeys(ADMIN_KEY, []);
  await eventually("it has ended", () => !admin.events.isKept, 20_000);
  reader.end();
  await admin.close();
});

test("a seventeenth reader is turned away, and has a place when another leaves", async () => {
  const admin = await startAdmin();
  const readers = await Promise.all(Array.from({ length: 16 }, () => follow(admin)));
  await assert.rejects(follow(admin), /status 503/);
  readers[0]?.end();
  await eventually("there is a place", () => admin.events.hasRoom);
  readers.push(await follow(admin));
  for (const reader of readers) reader.end();
  await admin.close();
});

test("a reader that does not read is dropped before it costs more than a little memory", async () => {
  const admin = await startAdmin();
  const socket = connect(admin.port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(`GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`);
  socket.pause();
  await eventually("it follows", () => admin.events.isKept);
  const event = blocked("x".repeat(16 * 1024));
  let sent = 0;
  await eventually("it is dropped", () => {
    for (let i = 0; i < 16; i++) admin.events.append(event);
    sent += 16;
    return !admin.events.isKept;
  });
  // What the system buffers for both ends of a connection, and our own limit.
  assert.ok(sent * 16 * 1024 < 64 * 1024 * 1024, `${sent} events were sent to it`);
  socket.destroy();
  await admin.close();
});
