/** What a receiver of approvals is told, by a receiver that checks signatures. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { silentLogger } from "../../src/base/log.ts";
import { checkWebhook, signWebhook } from "../../src/base/webhook-signature.ts";
import type { ApprovalView } from "../../src/server/approval-desk.ts";
import { ApprovalWebhook } from "../../src/server/approval-webhook.ts";
import { WebhookInbox } from "../../src/server/webhook-inbox.ts";
import { eventually } from "../support/eventually.ts";

const SECRET = Buffer.alloc(32, 9);
const folder = mkdtempSync(join(tmpdir(), "querycop-webhook-"));
const secretFile = join(folder, "secret");
writeFileSync(secretFile, `whsec_${SECRET.toString("base64")}\n`, { mode: 0o600 });
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

interface Received {
  readonly id: string;
  readonly type: string;
  readonly state: string;
  readonly verdict: string;
}

class Receiver {
  readonly received: Received[] = [];
  /** Answers, the first one first; 204 when there are none left. */
  readonly statuses: number[] = [];
  #server: Server | undefined;

  async listen(): Promise<string> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        const header = (name: string): string => String(request.headers[name]);
        const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) => header(`webhook-${name}`));
        const delivery = { id: id ?? "", timestamp: timestamp ?? "", signature: signature ?? "", body };
        const { type, data } = JSON.parse(body) as { type: string; data: ApprovalView };
        const verdict = checkWebhook([SECRET], delivery, Date.now() / 1000);
        this.received.push({ id: delivery.id, type, state: data.state, verdict });
        response.writeHead(this.statuses.shift() ?? 204).end();
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  }

  close(): void {
    this.#server?.close();
  }
}

const open: { readonly receiver: Receiver; readonly webhook: ApprovalWebhook }[] = [];

afterEach(async () => {
  for (const { receiver, webhook } of open.splice(0)) {
    await webhook.close(1000);
    receiver.close();
  }
});

async function start(retryMs: readonly number[] = [5, 5], receiver = new Receiver()) {
  const url = await receiver.listen();
  const [delivered, failed] = [{ value: 0 }, { value: 0 }];
  const options = { url, secretFile, caFile: undefined, logger: silentLogger, delivered, failed, retryMs };
  const webhook = new ApprovalWebhook(options);
  open.push({ receiver, webhook });
  return { receiver, webhook, delivered, failed };
}

function view(state: ApprovalView["state"] = "pending", waitMs = 600_000): ApprovalView {
  const nowMs = Date.now();
  const times = {
    requestedAt: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + waitMs).toISOString(),
  };
  return { id: "apr-1", state, ...times } as ApprovalView;
}

test("a receiver is told of each step in order, signed, each delivery by an id of its own", async () => {
  const { webhook, receiver, delivered } = await start();
  webhook.tell(view(), () => view());
  webhook.tell(view("approved"), () => view());
  webhook.tell(view("used"), () => view());
  await eventually("all have come", () => delivered.value === 3);
  assert.deepEqual(
    receiver.received.map(({ type, state, verdict }) => [type, state, verdict]),
    [
      ["approval.requested", "pending", "genuine"],
      ["approval.approved", "approved", "genuine"],
      ["approval.used", "used", "genuine"],
    ],
  );
  assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 3);
});

test("a delivery that was refused comes again under its id, before any later one", async () => {
  const { webhook, receiver, delivered, failed } = await start();
  receiver.statuses.push(500, 302, 200);
  webhook.tell(view(), () => view());
  webhook.tell(view("denied"), () => view());
  await eventually("both have come", () => delivered.value === 2);
  const types = receiver.received.map(({ type }) => type);
  assert.deepEqual(types, ["approval.requested", "approval.requested", "approval.requested", "approval.denied"]);
  assert.equal(new Set(receiver.received.slice(0, 3).map(({ id }) => id)).size, 1);
  assert.equal(failed.value, 0);
});

test("a delivery is given up after its last attempt, and the next one is sent", async () => {
  const { webhook, receiver, delivered, failed } = await start();
  receiver.statuses.push(500, 500, 500);
  webhook.tell(view(), () => view());
  webhook.tell(view("expired"), () => view());
  await eventually("the second has come", () => delivered.value === 1);
  assert.equal(failed.value, 1);
  assert.equal(receiver.received.length, 4);
});

test("a request that nobody has answered by half of its time is told of again, an answered one is not", async () => {
  const { webhook, receiver } = await start();
  webhook.tell(view("pending", 40), () => view("pending", 40));
  await eventually("the reminder has come", () => receiver.received.some(({ type }) => type === "approval.reminder"));
  const other = await start();
  other.webhook.tell(view("pending", 40), () => view("pending", 40));
  other.webhook.tell(view("approved"), () => view());
  await eventually("both have come", () => other.delivered.value === 2);
  await other.webhook.close(1000);
  assert.ok(other.receiver.received.every(({ type }) => type !== "approval.reminder"));
});

test("beyond 200 that wait the oldest are given up, and a stop ends the attempts", async () => {
  const { webhook, receiver, failed } = await start([600_000]);
  receiver.statuses.push(500);
  for (let count = 0; count < 210; count++) webhook.tell(view(), () => view());
  // One is under way.
  assert.equal(failed.value, 9);
  await webhook.close(10);
  assert.ok(failed.value >= 210, String(failed.value));
});

test("nothing is sent by a secret that others may read", async () => {
  const { webhook, receiver, failed } = await start([]);
  chmodSync(secretFile, 0o644);
  try {
    webhook.tell(view(), () => view());
    await eventually("it is given up", () => failed.value === 1);
  } finally {
    chmodSync(secretFile, 0o600);
  }
  assert.equal(receiver.received.length, 0);
});

test("WebhookInbox takes a delivery once, and forgets it when its time is over", () => {
  let wallMs = 1_700_000_000_000;
  const clock = { wallMs: () => wallMs, monotonicMs: () => 0 };
  const inbox = new WebhookInbox({ secretFile, approvers: ["ann"], clock });
  const delivery = (id: string) => {
    const signed = { id, timestamp: String(wallMs / 1000), body: "{}" };
    return { ...signed, signature: signWebhook(SECRET, signed) };
  };
  const first = delivery("one");
  assert.equal(inbox.judge({ ...first, body: "{ }" }), "forged");
  assert.equal(inbox.judge(first), "genuine");
  assert.equal(inbox.judge(first), "replayed");
  wallMs += 301_000;
  assert.equal(inbox.judge(first), "late");
  for (let count = 0; count < 9_999; count++) assert.equal(inbox.judge(delivery(`n${count}`)), "genuine");
  assert.equal(inbox.judge(delivery("more")), "busy");
  wallMs += 601_000;
  assert.equal(inbox.judge(delivery("more")), "genuine");
  assert.deepEqual([inbox.mayAnswer("ann"), inbox.mayAnswer("bob")], [true, false]);
  assert.equal(new WebhookInbox({ secretFile: join(folder, "absent"), approvers: [] }).judge(first), "no-secret");
});
