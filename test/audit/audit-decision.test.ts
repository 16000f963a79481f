import assert from "node:assert/strict";
import { test } from "node:test";
import { findDecision, findPolicyChange, isDecisionId, runOf } from "../../src/audit/audit-decision.ts";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import type { ReadRecord } from "../../src/audit/record-expander.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { intent, openLog, outcome, SESSION, withFolder } from "./audit-fixture.ts";

const typesOf = (list: readonly ReadRecord[]): unknown[] => list.map(({ type }) => type);

/** A statement with more fields than intent() gives it. */
const told = (type: string, ordinal: number, more: object): AuditEvent =>
  ({ ...intent(ordinal), ...more, type }) as AuditEvent;

test("isDecisionId() knows the ids that clients are told, and runOf() whose they are", () => {
  for (const id of ["1f3a9c02-17", "1f3a9c02-1.0-7", "1f3a9c02-u3", "apr-1f3a9c02-a"]) {
    assert.equal(isDecisionId(id), true, id);
    assert.equal(runOf(id), "1f3a9c02", id);
  }
  for (const id of ["", "17", "[decision 1f3a9c02-1]", "1f3a9c02", "1f3a9c02-", "../etc"]) {
    assert.equal(isDecisionId(id), false, id);
  }
});

test("findDecision() tells the statement, its outcome and its approval", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {});
    const decisionId = `${log.run.slice(0, 8)}-7`;
    log.append(told("statement-intent", 3, { decisionId }));
    log.append({ type: "approval", session: SESSION, ordinal: 3, approvalId: "apr-1", verdict: "approved" });
    log.append(outcome(2));
    log.append(outcome(3));
    await log.close();
    const found = await findDecision(path, decisionId);
    assert.deepEqual(
      found.records.map(({ ordinal }) => ordinal),
      [3],
    );
    assert.equal(found.outcome?.["ordinal"], 3);
    assert.equal(found.approval?.["approvalId"], "apr-1");
    assert.equal(found.isComplete, true);
    assert.deepEqual((await findDecision(path, "00000000-1")).records, []);
  });
});

test("findDecision() tells a held statement's whole story by each of its ids, over files, hours and other statements", async () => {
  await withFolder(async (_folder, path) => {
    const clock = new FakeClock();
    const log = openLog(path, { clock, segmentBytesMax: 3000 });
    const run = log.run.slice(0, 8);
    const approvalId = `apr-${run}-1`;
    const others = (): void => {
      for (let i = 100; i < 120; i++) {
        log.append(told("statement-intent", i, { decisionId: `${run}-${i}` }));
        log.append(outcome(i));
      }
      clock.advance(3 * 3_600_000);
    };
    log.append({ type: "policy-change", toVersion: "v1", outcome: "ok", by: "start" });
    log.append({ type: "policy-change", toVersion: "v2", outcome: "error", by: "signal" });
    others();
    log.append(told("hold", 4, { decisionId: `${run}-1.0-1`, approvalId, policyVersion: "v1" }));
    others();
    log.append({ type: "approval", session: SESSION, ordinal: 4, approvalId, verdict: "approved", approver: "alice" });
    log.append(told("statement-intent", 4, { decisionId: `${run}-1.0-2`, approvalId, policyVersion: "v1" }));
    others();
    log.append({ type: "data-guard", session: SESSION, ordinal: 4, action: "warned", limit: "rows_per_response" });
    others();
    log.append(outcome(4));
    log.append({ type: "policy-change", toVersion: "v1", outcome: "ok", by: "file" });
    await log.close();

    for (const id of [approvalId, `${run}-1.0-1`, `${run}-1.0-2`]) {
      const found = await findDecision(path, id);
      assert.deepEqual(typesOf(found.records), ["statement-intent", "hold"], id);
      assert.equal(found.approval?.["approver"], "alice", id);
      assert.equal(found.outcome?.["ordinal"], 4, id);
      assert.deepEqual(typesOf(found.others), ["data-guard"], id);
      const change = await findPolicyChange(path, found.records[0] ?? {});
      assert.equal(change?.["by"], "start", `${id}: not the change behind it`);
    }
  });
});

test("findDecision() says when it has not looked everywhere", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {});
    for (let i = 1; i <= 10; i++) log.append(intent(i));
    await log.close();
    const id = `${log.run.slice(0, 8)}-99`;
    assert.equal((await findDecision(path, id)).isComplete, true);
    assert.equal((await findDecision(path, id, { pagesMax: 0, timeMsMax: 500 })).isComplete, false);
  });
});
