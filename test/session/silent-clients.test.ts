import assert from "node:assert/strict";
import { test } from "node:test";
import { SilentClients } from "../../src/session/limits/silent-clients.ts";
import { eventually } from "../support/eventually.ts";

const never = (): Promise<never> => new Promise(() => undefined);

test("SilentClients suspects an address of which many keep their greeting unanswered, and no other", async () => {
  const clients = new SilentClients();
  for (let client = 0; client < 8; client++) void clients.watch("192.0.2.1", never());
  for (let client = 0; client < 7; client++) void clients.watch("192.0.2.2", never());
  await eventually("it is suspect", () => clients.isSuspect("192.0.2.1"));
  assert.equal(clients.isSuspect("192.0.2.2"), false);
  assert.equal(clients.isSuspect("192.0.2.1", performance.now() + 11_000), false);
  assert.equal(clients.isSuspect("192.0.2.1"), false, "what was forgotten stays so");
});

test("SilentClients takes a late answer for an answer", async () => {
  const clients = new SilentClients();
  const late: ((value: string) => void)[] = [];
  const answers = Array.from({ length: 8 }, () => new Promise<string>((resolve) => late.push(resolve)));
  const watched = answers.map((answer) => clients.watch("192.0.2.1", answer));
  await eventually("it is suspect", () => clients.isSuspect("192.0.2.1"));
  late[0]?.("here I am");
  assert.equal(await watched[0], "here I am");
  assert.equal(clients.isSuspect("192.0.2.1"), false);
});
