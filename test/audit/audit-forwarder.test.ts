import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer as createTcp, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { type AuditDestination, AuditForwarder, type ForwardState } from "../../src/audit/audit-forwarder.ts";
import type { AuditLog } from "../../src/audit/audit-log.ts";
import { hashAtEnd, hashOf } from "../../src/audit/audit-record.ts";
import { OtlpDestination, WebhookDestination } from "../../src/audit/http-destination.ts";
import { SyslogDestination } from "../../src/audit/syslog-destination.ts";
import { makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { intent, openLog, wholeLinesOf, withFolder } from "./audit-fixture.ts";

/** An HTTP receiver that answers as told and keeps what it accepted. */
class Receiver {
  status = 200;
  readonly lines: string[] = [];
  readonly requests: { headers: IncomingMessage["headers"]; body: string }[] = [];
  readonly #server: Server;

  constructor(tls?: { key: string; cert: string }) {
    const listener = (request: IncomingMessage, response: import("node:http").ServerResponse): void => {
      let body = "";
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => {
        this.requests.push({ headers: request.headers, body });
        if (this.status === 200) this.lines.push(...body.split("\n").filter((line) => line !== ""));
        response.writeHead(this.status, { location: "http://127.0.0.1:1/elsewhere" }).end("thanks");
      });
    };
    this.#server = tls === undefined ? createHttp(listener) : createHttps(tls, listener);
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  get ordinals(): number[] {
    return ordinalsOf(this.lines);
  }
}

function ordinalsOf(lines: readonly string[]): number[] {
  const records = lines.map((line) => JSON.parse(line) as { type: string; ordinal: number });
  return records.filter(({ type }) => type === "statement-intent").map(({ ordinal }) => ordinal);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

function forward(path: string, log: AuditLog, destination: AuditDestination) {
  const states: ForwardState[] = [];
  const details: string[] = [];
  const onStateChange = (state: ForwardState, detail: string): void => {
    states.push(state);
    details.push(detail);
  };
  const forwarder = new AuditForwarder({ activePath: path, run: log.run, destination, onStateChange });
  return { forwarder, states, details };
}

test("a webhook gets every record once and in order, over rotations, failures and restarts", {
  timeout: 60_000,
}, async () => {
  await withFolder(async (folder, path) => {
    const receiver = new Receiver();
    const url = `http://127.0.0.1:${await receiver.listen()}/audit`;
    const headersFile = join(folder, "headers");
    writeFileSync(headersFile, "Authorization: Bearer secret-1\n\nX-Site: a:b\n");
    const first = openLog(path, { segmentBytesMax: 1500 });
    const one = forward(path, first, new WebhookDestination({ url, headersFile }));
    for (let i = 1; i <= 20; i++) first.append(intent(i));
    await eventually("the first have arrived", () => receiver.ordinals.length === 20);
    await eventually("they have been confirmed", () => one.forwarder.lagMs(Date.now()) === 0);
    receiver.status = 503;
    for (let i = 21; i <= 40; i++) first.append(intent(i));
    await eventually("it has failed", () => one.states.includes("failing"));
    assert.ok(one.forwarder.lagMs(Date.now() + 1000) >= 1000, "what has not arrived shows its age");
    await first.close();
    await one.forwarder.close(50);
    assert.match(one.details.join(), /answered 503/);
    // Written while nobody forwards, as after a kill.
    const second = openLog(path, { segmentBytesMax: 3000 });
    for (let i = 41; i <= 60; i++) second.append(intent(i));
    receiver.status = 200;
    const two = forward(path, second, new WebhookDestination({ url, headersFile }));
    for (let i = 61; i <= 80; i++) second.append(intent(i));
    await second.close();
    await two.forwarder.close(10_000);
    await receiver.close();
    assert.deepEqual(receiver.ordinals, upTo(80));
    assert.ok(
      receiver.lines.some((line) => line.includes('"type":"checkpoint"')),
      "checkpoints too",
    );
    const { headers } = receiver.requests[0] ?? {};
    assert.deepEqual(
      [headers?.authorization, headers?.["x-site"], headers?.["content-type"]],
      ["Bearer secret-1", "a:b", "application/x-ndjson"],
    );
    const cursor = `${path}.webhook.cursor`;
    assert.equal(statSync(cursor).mode & 0o777, 0o600);
    assert.ok(!readFileSync(cursor, "utf8").includes("secret"));
  });
});

test("a redirect is not followed, and a receiver that cannot prove who it is gets nothing", {
  timeout: 60_000,
}, async () => {
  const certificates = await makeCertificates();
  try {
    await withFolder(async (_folder, path) => {
      const { goodEc } = certificates.leaves;
      const tls = { key: readFileSync(goodEc.keyFile, "utf8"), cert: readFileSync(goodEc.certFile, "utf8") };
      const receiver = new Receiver(tls);
      const url = `https://127.0.0.1:${await receiver.listen()}/`;
      const log = openLog(path);
      log.append(intent(1));
      const strange = forward(path, log, new WebhookDestination({ url }));
      await eventually("it has failed", () => strange.states.includes("failing"));
      await strange.forwarder.close(0);
      assert.equal(receiver.requests.length, 0);
      receiver.status = 307;
      const known = forward(path, log, new WebhookDestination({ url, caFile: certificates.caFile }));
      await eventually("it has failed", () => known.states.includes("failing"));
      assert.match(known.details.join(), /answered 307/);
      receiver.status = 200;
      await log.close();
      await known.forwarder.close(10_000);
      await receiver.close();
      assert.deepEqual(receiver.ordinals, [1]);
      assert.deepEqual(known.states, ["failing", "ok"]);
    });
  } finally {
    certificates.remove();
  }
});

test("a collector gets log records whose body is the whole audit record", { timeout: 30_000 }, async () => {
  await withFolder(async (_folder, path) => {
    const receiver = new Receiver();
    const url = `http://127.0.0.1:${await receiver.listen()}/v1/logs`;
    const log = openLog(path);
    const { forwarder } = forward(path, log, new OtlpDestination({ url }));
    log.append(intent(1));
    await log.close();
    await forwarder.close(10_000);
    await receiver.close();
    const bodies = receiver.requests.map(({ body }) => JSON.parse(body) as OtlpBody);
    const records = bodies.flatMap(({ resourceLogs }) =>
      resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords)),
    );
    const record = records.find(({ eventName }) => eventName === "querycop.statement-intent");
    assert.ok(record !== undefined);
    const [, line = ""] = wholeLinesOf(path);
    assert.equal(record.body.stringValue, line);
    assert.equal(hashOf(hashAtEnd(line)?.body ?? ""), hashAtEnd(line)?.hash, "its hash can be checked");
    assert.equal(record.timeUnixNano, `${Date.parse((JSON.parse(line) as { time: string }).time)}000000`);
    assert.deepEqual([record.severityNumber, record.severityText], [9, "INFO"]);
    const attributes = new Map(record.attributes.map(({ key, value }) => [key, value]));
    assert.deepEqual(attributes.get("db.query.text"), { stringValue: "SELECT ?" });
    assert.deepEqual(attributes.get("querycop.ordinal"), { intValue: "1" });
    assert.deepEqual(attributes.get("user.name"), { stringValue: "app" });
    assert.equal(receiver.requests[0]?.headers["content-type"], "application/json");
  });
});

interface OtlpBody {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly eventName: string;
        readonly timeUnixNano: string;
        readonly severityNumber: number;
        readonly severityText: string;
        readonly body: { readonly stringValue: string };
        readonly attributes: readonly { readonly key: string; readonly value: unknown }[];
      }[];
    }[];
  }[];
}

/** RFC 6587 octet counting: the records of whole messages, and how many bytes they took. */
function messagesOf(text: string): { header: string; line: string }[] {
  const messages: { header: string; line: string }[] = [];
  for (let at = 0; at < text.length; ) {
    const blank = text.indexOf(" ", at);
    const length = Number(text.slice(at, blank));
    assert.ok(length > 0, text.slice(at, at + 40));
    const message = text.slice(blank + 1, blank + 1 + length);
    if (message.length < length) break;
    const brace = message.indexOf("{");
    messages.push({ header: message.slice(0, brace), line: message.slice(brace) });
    at = blank + 1 + length;
  }
  return messages;
}

test("a syslog server gets RFC 5424 messages, and loses none when the connection breaks", {
  timeout: 60_000,
}, async () => {
  await withFolder(async (_folder, path) => {
    const texts: string[] = [];
    const sockets: Socket[] = [];
    const server = createTcp((socket) => {
      const index = sockets.push(socket) - 1;
      texts[index] = "";
      socket.on("data", (chunk) => {
        texts[index] += chunk.toString("latin1");
      });
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const log = openLog(path);
    const { forwarder } = forward(path, log, new SyslogDestination({ url }));
    const arrived = (): number[] => texts.flatMap((text) => ordinalsOf(messagesOf(text).map(({ line }) => line)));
    for (let i = 1; i <= 10; i++) log.append(intent(i));
    await eventually("the first have arrived", () => arrived().length === 10);
    sockets[0]?.destroy();
    for (let i = 11; i <= 20; i++) log.append(intent(i));
    await eventually("the others have arrived by another connection", () => new Set(arrived()).size === 20);
    await log.close();
    await forwarder.close(10_000);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    assert.ok(sockets.length >= 2);
    assert.deepEqual([...new Set(arrived())], upTo(20));
    const [message] = messagesOf(texts[0] ?? "").filter(({ line }) => line.includes('"statement-intent"'));
    assert.match(
      message?.header ?? "",
      /^<110>1 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ querycop \d+ statement-intent - $/,
    );
  });
});

test("segments that were deleted before they were sent are told as lost", { timeout: 30_000 }, async () => {
  await withFolder(async (folder, path) => {
    const lines: string[] = [];
    const destination: AuditDestination = {
      name: "webhook",
      deliver: async (more) => {
        lines.push(...more);
      },
      close: () => undefined,
    };
    const first = openLog(path);
    first.append(intent(1));
    const one = forward(path, first, destination);
    await eventually("it has arrived", () => lines.length === 2);
    await first.close();
    await one.forwarder.close(1000);
    const second = openLog(path);
    second.append(intent(2));
    for (const name of readdirSync(folder)) if (name.startsWith("audit-")) unlinkSync(join(folder, name));
    const two = forward(path, second, destination);
    await second.close();
    await two.forwarder.close(1000);
    assert.deepEqual(two.states, ["lost"]);
    assert.deepEqual(ordinalsOf(lines), [1, 2]);
  });
});

test("of two processes on one log the newer one keeps the place", { timeout: 30_000 }, async () => {
  await withFolder(async (_folder, path) => {
    const destination: AuditDestination = { name: "webhook", deliver: async () => undefined, close: () => undefined };
    const old = openLog(path);
    const one = forward(path, old, destination);
    const young = openLog(path);
    const two = forward(path, young, destination);
    old.append(intent(1));
    await old.close();
    await one.forwarder.close(1000);
    assert.equal((JSON.parse(readFileSync(`${path}.webhook.cursor`, "utf8")) as { owner: string }).owner, young.run);
    await young.close();
    await two.forwarder.close(1000);
    assert.ok(!existsSync(`${path}.webhook.cursor.new`));
  });
});
