import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { AUDIT_EVENTS, type AuditEvent } from "../../src/audit/audit-event.ts";
import { renderAuditSchema } from "../../src/audit/audit-schema.ts";
import { renderAuditJsonSchema, renderAuditPage } from "../../tools/audit-documents.ts";
import { intent, openLog, outcome, records, SESSION, withFolder } from "./audit-fixture.ts";

const docs = (name: string): string => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

test("the documents are what the event table says", () => {
  assert.equal(readFileSync(docs("audit-event.schema.json"), "utf8"), renderAuditJsonSchema(), "run npm run docs");
  assert.equal(readFileSync(docs("audit.md"), "utf8"), renderAuditPage(), "run npm run docs");
});

interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly items?: Schema;
  readonly $ref?: string;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
}

/** The few words of JSON Schema that ours uses; stricter than it in refusing unknown fields. */
function check(value: unknown, schema: Schema, defs: Record<string, Schema>, place: string): void {
  if (schema.$ref !== undefined) {
    check(value, defs[schema.$ref.slice(8)] ?? {}, defs, place);
    return;
  }
  if (schema.const !== undefined) assert.equal(value, schema.const, place);
  if (schema.enum !== undefined) assert.ok(schema.enum.includes(value), place);
  if (schema.pattern !== undefined) assert.match(String(value), new RegExp(schema.pattern), place);
  if (schema.type === "integer") assert.ok(Number.isSafeInteger(value), place);
  else if (schema.type === "array") assert.ok(Array.isArray(value), place);
  else if (schema.type !== undefined) assert.equal(typeof value, schema.type, place);
  if (schema.items !== undefined) for (const item of value as unknown[]) check(item, schema.items, defs, place);
  if (schema.properties === undefined) return;
  const fields = value as Record<string, unknown>;
  for (const name of schema.required ?? []) assert.ok(name in fields, `${place}.${name} is absent`);
  for (const [name, field] of Object.entries(fields)) {
    const property: Schema | undefined = schema.properties[name];
    assert.ok(property !== undefined, `${place}.${name} is not in the schema`);
    check(field, property, defs, `${place}.${name}`);
  }
}

/** One event of each type; a type without one does not compile. */
const EVENTS: { [T in keyof typeof AUDIT_EVENTS]: Extract<AuditEvent, { type: T }> } = {
  start: { type: "start", version: "1.0.0", pid: 1, configHash: "c" },
  stop: { type: "stop", reason: "SIGTERM", openSessions: 0 },
  connect: {
    type: "connect",
    session: { ...SESSION, listener: "l", clientTls: "TLSv1.3", backendConnectionId: 7, schema: "s", sqlMode: "" },
  },
  refuse: {
    type: "refuse",
    session: SESSION,
    reason: "auth-refused",
    errorCode: "QC_USER_NOT_ALLOWED",
    errorNumber: 1045,
  },
  login: { type: "login", session: SESSION, clientAuth: "trust", tokenUsed: true, durationUs: 5 },
  "statement-intent": {
    ...(intent(1) as Extract<AuditEvent, { type: "statement-intent" }>),
    score: 1.5,
    rules: ["r"],
  },
  "syntax-check": {
    ...(intent(1) as Extract<AuditEvent, { type: "statement-intent" }>),
    type: "syntax-check",
    decision: "block",
  },
  "statement-blocked": {
    ...(intent(1) as Extract<AuditEvent, { type: "statement-intent" }>),
    type: "statement-blocked",
    decision: "block",
    errorNumber: 1148,
  },
  "statement-outcome": outcome(1) as Extract<AuditEvent, { type: "statement-outcome" }>,
  command: { type: "command", session: SESSION, ordinal: 1, command: "COM_PING", action: "answered" },
  "local-infile": { type: "local-infile", session: SESSION, ordinal: 1, fileName: "/x", action: "sent", bytes: 1 },
  "load-object": {
    type: "load-object",
    connection: "c",
    object: "s3://b/k",
    etag: '"e"',
    objectBytes: 3,
    target: "s.t",
    mode: "append",
    via: "stream",
    outcome: "loaded",
  },
  load: {
    type: "load",
    connection: "c",
    target: "s.t",
    mode: "append",
    via: "stream",
    outcome: "committed",
    objects: 1,
  },
  "own-statement": { type: "own-statement", session: SESSION, ordinal: 1, purpose: "kill-query", text: "KILL QUERY 8" },
  "data-guard": { type: "data-guard", session: SESSION, ordinal: 1, action: "warned", limit: "max_window_mb" },
  disconnect: { type: "disconnect", session: SESSION, reason: "client-closed" },
  "token-mint": {
    type: "token-mint",
    host: "h",
    port: 3306,
    user: "u",
    source: "command",
    outcome: "error",
    reason: "timeout",
  },
  "config-load": { type: "config-load", outcome: "ok" },
  "policy-change": { type: "policy-change", toVersion: "v", policyText: "version: 1\n", outcome: "ok", by: "start" },
  hold: {
    ...(intent(1) as Extract<AuditEvent, { type: "statement-intent" }>),
    type: "hold",
    decision: "require-approval",
  },
  approval: { type: "approval", approvalId: "a", verdict: "approved", approver: "jane" },
  "admin-call": { type: "admin-call", clientAddress: "127.0.0.1:1", method: "GET", route: "/sessions", status: 200 },
  "audit-gap": { type: "audit-gap", reason: "ENOSPC", lost: 1, since: "2026-11-21T12:00:00.000Z" },
  "segment-start": { type: "segment-start", format: 1, run: "r", segment: 1, why: "start", keyId: "k", publicKey: "p" },
  checkpoint: { type: "checkpoint", run: "r", head: "h", keyId: "k", signature: "s" },
};

test("records of every type follow the published schema", async () => {
  const schema = JSON.parse(readFileSync(docs("audit-event.schema.json"), "utf8")) as {
    oneOf: Schema[];
    $defs: Record<string, Schema>;
  };
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    for (const event of Object.values(EVENTS)) log.append(event);
    await log.close();
    const seen = new Set<string>();
    for (const record of records(path)) {
      seen.add(record.type);
      const definition = schema.$defs[record.type];
      assert.ok(definition !== undefined, record.type);
      check(record.fields, definition, schema.$defs, record.type);
    }
    assert.deepEqual([...seen].sort(), Object.keys(AUDIT_EVENTS).sort());
    assert.equal(schema.oneOf.length, seen.size);
  });
});

test("the schema check of this test refuses what it should", () => {
  const defs = (renderAuditSchema() as { $defs: Record<string, Schema> }).$defs;
  const definition = defs["token-mint"] ?? {};
  for (const wrong of [{ user: 5 }, { port: 1.5 }, { outcome: "maybe" }, { token: "CANARY" }, { hash: "x" }]) {
    assert.throws(() => check({ ...EVENTS["token-mint"], ...wrong }, definition, defs, "x"));
  }
});
