import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { request as secureRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { selfSigned } from "../config/self-signed.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ADMIN_KEY, APPROVER_KEY, bearer, JSON_BODY, logIn, startAdmin } from "./admin-fixture.ts";

test("one address may call 20 times at once and 10 times per second, health checks always", async () => {
  const clock = new FakeClock();
  const admin = await startAdmin({}, clock);
  const statuses: number[] = [];
  for (let i = 0; i < 25; i++) statuses.push((await admin.call("GET", "/status", bearer(ADMIN_KEY))).status);
  assert.deepEqual(statuses, [...Array<number>(20).fill(200), ...Array<number>(5).fill(429)]);
  assert.equal((await admin.call("GET", "/livez")).status, 200);
  clock.advance(300);
  const later: number[] = [];
  for (let i = 0; i < 4; i++) later.push((await admin.call("GET", "/status", bearer(ADMIN_KEY))).status);
  assert.deepEqual(later, [200, 200, 200, 429]);
  assert.equal(admin.recorded.length, 23);
  await admin.close();
});

test("after five wrong keys an address is told to wait a minute, and the right key is let in all the same", async () => {
  const clock = new FakeClock();
  const admin = await startAdmin({}, clock);
  const status = async (key: string): Promise<number> => (await admin.call("GET", "/status", bearer(key))).status;
  for (let i = 0; i < 5; i++) assert.equal(await status(`guess ${i}`), 401);
  assert.equal(await status("guess"), 429);
  assert.equal(await status(ADMIN_KEY), 200);
  assert.equal(await status("guess"), 429);
  clock.advance(61_000);
  assert.equal(await status("guess"), 401);
  assert.equal(await status(ADMIN_KEY), 200);
  await admin.close();
});

test("wrong keys at the login count as well, and do not keep the right one out", async () => {
  const admin = await startAdmin({}, new FakeClock());
  const tryKey = async (key: string): Promise<number> =>
    (await admin.call("POST", "/auth/login", JSON_BODY, JSON.stringify({ key }))).status;
  for (let i = 0; i < 5; i++) assert.equal(await tryKey(`guess ${i}`), 401);
  assert.equal(await tryKey("guess"), 429);
  assert.equal(await tryKey(ADMIN_KEY), 200);
  await admin.close();
});

test("whoever calls too often or guesses keys keeps no one with a right key at the same address out", async () => {
  const admin = await startAdmin({}, new FakeClock());
  const flood = await Promise.all(
    Array.from({ length: 44 }, async (_, i) => {
      const call = i % 2 === 0 ? bearer(`guess ${i}`) : {};
      return (await admin.call("GET", "/status", call)).status;
    }),
  );
  assert.ok(flood.every((status) => status === 401 || status === 429));
  assert.equal((await admin.call("GET", "/status")).status, 429);
  assert.equal((await admin.call("GET", "/status", bearer(ADMIN_KEY))).status, 200);
  const session = await logIn(admin, APPROVER_KEY);
  assert.equal((await admin.call("GET", "/auth/session", session)).status, 200);
  const recordedBefore = admin.recorded.length;
  for (let i = 0; i < 30; i++) await admin.call("POST", "/auth/login", JSON_BODY, "{}");
  assert.ok(admin.recorded.length - recordedBefore <= 20, "a flood is not recorded call by call");
  await admin.close();
});

test("a session ends by itself after eight hours, and at once when its user says so", async () => {
  const clock = new FakeClock();
  const admin = await startAdmin({}, clock);
  const first = await logIn(admin, APPROVER_KEY);
  const second = await logIn(admin, ADMIN_KEY);
  assert.deepEqual((await admin.call("GET", "/auth/session", first)).json(), { name: "ann", role: "approver" });
  assert.equal((await admin.call("POST", "/auth/logout", first)).status, 200);
  assert.equal((await admin.call("GET", "/auth/session", first)).status, 401);
  clock.advance(8 * 3_600_000 - 1);
  assert.equal((await admin.call("GET", "/auth/session", second)).status, 200);
  clock.advance(1);
  assert.equal((await admin.call("GET", "/auth/session", second)).status, 401);
  await admin.close();
});

test("there are at most 64 sessions, and the oldest ends first", async () => {
  const admin = await startAdmin();
  const sessions: Record<string, string>[] = [];
  for (let i = 0; i < 65; i++) sessions.push(await logIn(admin, ADMIN_KEY));
  const status = async (index: number): Promise<number> =>
    (await admin.call("GET", "/auth/session", sessions[index] ?? {})).status;
  assert.deepEqual([await status(0), await status(1), await status(64)], [401, 200, 200]);
  await admin.close();
});

test("keys that are replaced count at once, and what was begun with the old ones is over", async () => {
  const admin = await startAdmin();
  const session = await logIn(admin, ADMIN_KEY);
  admin.replaceKeys("another key of the admin", []);
  assert.equal((await admin.call("GET", "/auth/session", session)).status, 401);
  assert.equal((await admin.call("GET", "/auth/session", bearer(ADMIN_KEY))).status, 401);
  assert.equal((await admin.call("GET", "/auth/session", bearer(APPROVER_KEY))).status, 401);
  assert.equal((await admin.call("GET", "/auth/session", bearer("another key of the admin"))).status, 200);
  await admin.close();
});

test("the cookie is for this API alone, out of reach of scripts, and holds nothing of the key", async () => {
  const admin = await startAdmin();
  const answer = await admin.call("POST", "/auth/login", JSON_BODY, JSON.stringify({ key: ADMIN_KEY }));
  const cookie = String(answer.headers["set-cookie"]);
  assert.match(cookie, /^querycop_session=[\w-]{43}; Max-Age=28800; Path=\/; HttpOnly; SameSite=Strict$/);
  assert.ok(!answer.text.includes(ADMIN_KEY) && !cookie.includes(ADMIN_KEY));
  await admin.close();
});

test("a request by a name that may be anybody's is refused, and so is one with two names or none", async () => {
  const admin = await startAdmin();
  const { port } = admin;
  const cases: readonly (readonly [string, number])[] = [
    [`localhost:${port}`, 200],
    ["LOCALHOST", 200],
    [`127.0.0.1:${port}`, 200],
    [`[::1]:${port}`, 200],
    ["192.0.2.7:1", 200],
    [`evil.example:${port}`, 403],
    ["localhost.evil.example", 403],
    ["127.0.0.1.evil.example", 403],
    ["[::1].evil.example", 403],
    ["user@localhost", 403],
  ];
  for (const [host, status] of cases) {
    assert.equal((await admin.call("GET", "/livez", { Host: host })).status, status, host);
  }
  for (const hosts of ["Host: a\r\nHost: localhost\r\n", "Host: localhost\r\nHost: localhost\r\n", "Host: \r\n", ""]) {
    assert.match(
      await exchange(port, `GET /livez HTTP/1.1\r\n${hosts}Connection: close\r\n\r\n`),
      /^HTTP\/1.1 400 /,
      hosts,
    );
  }
  await admin.close();
});

test("a page of somebody else's can neither change nor read anything", async () => {
  const admin = await startAdmin();
  const session = await logIn(admin, ADMIN_KEY);
  const own = session["Origin"] ?? "";
  const cookie = { Cookie: session["Cookie"] ?? "" };
  const cases: readonly (readonly [string, Record<string, string>, number])[] = [
    ["POST", { Origin: own }, 200],
    ["POST", {}, 403],
    ["POST", { Origin: "http://evil.example" }, 403],
    ["POST", { Origin: "null" }, 403],
    ["POST", { Origin: own.replace("http:", "https:") }, 403],
    ["POST", { Origin: `${own}1` }, 403],
    ["POST", { Origin: own, "Sec-Fetch-Site": "cross-site" }, 403],
    ["GET", { Origin: "http://evil.example" }, 403],
    ["GET", { "Sec-Fetch-Site": "cross-site" }, 403],
    ["GET", { "Sec-Fetch-Site": "same-origin" }, 200],
    ["GET", { "Sec-Fetch-Site": "none" }, 200],
    ["GET", {}, 200],
  ];
  for (const [method, headers, status] of cases) {
    const path = method === "GET" ? "/policy" : "/policy/reload";
    const answer = await admin.call(method, path, { ...cookie, ...headers });
    assert.equal(answer.status, status, `${method} ${JSON.stringify(headers)}: ${answer.text}`);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  }
  assert.deepEqual(admin.done, ["reload admin"]);
  assert.equal((await admin.call("OPTIONS", "/policy/reload", { Origin: "http://evil.example" })).status, 405);
  await admin.close();
});

test("a body is JSON in UTF-8, of at most a megabyte, and of the route's schema", async () => {
  const admin = await startAdmin();
  const post = async (body: string, headers: Record<string, string> = JSON_BODY): Promise<number> =>
    (await admin.call("POST", "/auth/login", headers, body)).status;
  assert.equal(await post(JSON.stringify({ key: ADMIN_KEY })), 200);
  assert.equal(await post("{}"), 400);
  assert.equal(await post("{"), 400);
  assert.equal(await post(""), 400);
  assert.equal(await post('{"key":1}'), 400);
  assert.equal(await post(JSON.stringify({ key: ADMIN_KEY, more: 1 })), 400);
  assert.equal(await post(JSON.stringify({ key: "x".repeat(5000) })), 400);
  assert.equal(await post(`key=${ADMIN_KEY}`, { "Content-Type": "application/x-www-form-urlencoded" }), 415);
  assert.equal(await post(JSON.stringify({ key: ADMIN_KEY }), { "Content-Type": "text/plain" }), 415);
  const head = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const large = `${head}Content-Length: 1200000\r\n\r\n${" ".repeat(1_200_000)}`;
  assert.match(await exchange(admin.port, large), /^HTTP\/1.1 413 /);
  await admin.close();
});

test("a target that is no path, and a path that is another way to write one, are no route", async () => {
  const admin = await startAdmin();
  const targets = ["http://evil.example/livez", "//livez", "/livez/", "/x/../livez", "/%6civez", "/livez;a", "/LIVEZ"];
  for (const target of targets) {
    const answer = await exchange(admin.port, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 40[04] /, target);
  }
  await admin.close();
});

test("HEAD is answered like GET, without the body", async () => {
  const admin = await startAdmin();
  const answer = await exchange(admin.port, "HEAD /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  assert.ok(answer.startsWith("HTTP/1.1 200 OK\r\n") && answer.endsWith("\r\n\r\n"), answer);
  assert.match(answer, /\r\ncontent-length: 15\r\n/i);
  await admin.close();
});

test("no more than 48 connections of one address are held, and those that say nothing end first", async () => {
  const admin = await startAdmin();
  const held: Socket[] = [];
  const keeping = connect(admin.port, "127.0.0.1");
  let answers = "";
  keeping.on("data", (bytes: Buffer) => {
    answers += bytes.toString("latin1");
  });
  const ask = `GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`;
  keeping.write(ask);
  await eventually("the first answer", () => answers.split("HTTP/1.1 200").length === 2);
  for (let i = 0; i < 70; i++) {
    const socket = connect(admin.port, "127.0.0.1");
    socket.on("error", () => undefined);
    held.push(socket);
  }
  // A socket is destroyed some turns after its end was read: one sign for both looks, or the second one comes too early.
  const open = (): number => held.filter((socket) => !socket.destroyed).length;
  await eventually("as many are ended as came too many", () => open() <= 47);
  assert.equal(open(), 47);
  // Among all that say nothing there is room for whoever asks, and who has shown a key is not ended.
  for (let i = 0; i < 5; i++) assert.equal((await admin.call("GET", "/livez")).status, 200);
  keeping.write(ask);
  await eventually("the second answer", () => answers.split("HTTP/1.1 200").length === 3);
  for (const socket of [keeping, ...held]) socket.destroy();
  await admin.close();
});

test("over a unix socket the owner and the group may call, with a key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-admin-test-"));
  const path = join(folder, "admin.sock");
  const admin = await startAdmin({ listen: { kind: "unix", path } });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  const ask = (head: string): Promise<string> =>
    exchange(path, `GET /status HTTP/1.1\r\nHost: x\r\n${head}Connection: close\r\n\r\n`);
  assert.match(await ask(""), /^HTTP\/1.1 401 /);
  assert.match(await ask(`Authorization: Bearer ${ADMIN_KEY}\r\n`), /^HTTP\/1.1 200 /);
  assert.equal(admin.recorded[1]?.type === "admin-call" && admin.recorded[1].clientAddress, "unix");
  await admin.close();
  rmSync(folder, { recursive: true });
});

test("with a certificate it speaks HTTPS, and cookies say so", async () => {
  const admin = await startAdmin({ tls: selfSigned("localhost") });
  const answer = await new Promise<{ status: number; cookie: string }>((resolve, reject) => {
    const sent = secureRequest(
      {
        host: "127.0.0.1",
        port: admin.port,
        path: "/auth/login",
        method: "POST",
        headers: JSON_BODY,
        rejectUnauthorized: false,
      },
      (response) => {
        response.resume();
        resolve({ status: response.statusCode ?? 0, cookie: String(response.headers["set-cookie"]) });
      },
    );
    sent.on("error", reject);
    sent.end(JSON.stringify({ key: ADMIN_KEY }));
  });
  assert.equal(answer.status, 200);
  assert.match(answer.cookie, /; SameSite=Strict; Secure$/);
  await admin.close();
});

/** Sends bytes and reads until the end of the connection, or for long enough. */
async function exchange(target: number | string, text: string): Promise<string> {
  const socket = typeof target === "number" ? connect(target, "127.0.0.1") : connect(target);
  let answer = "";
  socket.setEncoding("utf8");
  socket.on("data", (piece: string) => {
    answer += piece;
  });
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return answer;
}
