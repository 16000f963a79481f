import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { eventually } from "../support/eventually.ts";
import { ADMIN_KEY, type AdminFixture, bearer, HOSTILE_SQL, startAdmin } from "./admin-fixture.ts";

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
function follow(admin: AdminFixture, query = ""): Promise<{ readonly text: () => string; readonly end: () => void }> {
  return new Promise((resolve, reject) => {
    const path = `/events${query}`;
    const sent = request(
      { host: "127.0.0.1", port: admin.port, path, headers: bearer(ADMIN_KEY), agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => {
          text += piece;
        });
        response.on("error", () => undefined);
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
        else resolve({ text: () => text, end: () => sent.destroy() });
      },
    );
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
  await eventually("all came", () => all.text().split("\n\n").length >= 4 && some.text().split("\n\n").length >= 3);
  const eventsOf = (text: string): string[] => text.split("\n").filter((line) => line.startsWith("event: "));
  assert.deepEqual(eventsOf(all.text()), ["event: connect", "event: statement-blocked", "event: statement-blocked"]);
  assert.deepEqual(eventsOf(some.text()), ["event: statement-blocked", "event: statement-blocked"]);
  const data = some
    .text()
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
  assert.equal(data[0]?.["text"], HOSTILE_SQL);
  assert.equal(data[1]?.["text"], undefined);
  assert.doesNotMatch(some.text(), /[<>]|secret in full/);
  all.end();
  some.end();
  await eventually("nobody follows any more", () => !admin.events.isKept);
  await admin.close();
});

test("a ninth reader is turned away, and has a place when another leaves", async () => {
  const admin = await startAdmin();
  const readers = await Promise.all(Array.from({ length: 8 }, () => follow(admin)));
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
