import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import type { AuditLog } from "../../src/audit/audit-log.ts";
import { TextSealer } from "../../src/audit/sealed-text.ts";
import { decisionIdOf } from "../../src/cli/audit-show.ts";
import { ruleOf } from "../../src/policy/rules/rules.ts";
import { intent, openLog, SESSION, withFolder } from "../audit/audit-fixture.ts";
import { run } from "./fake-io.ts";

const RULE = ruleOf("dml.nowhere");

/** A held statement that was approved and ran, and a blocked one, with a policy before them. */
async function withDecisions(work: (path: string, run: string, log: AuditLog) => Promise<void>): Promise<void> {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, { segmentBytesMax: 2000 });
    const prefix = log.run.slice(0, 8);
    const statement = (type: string, decisionId: string, more: object = {}): AuditEvent =>
      ({
        ...intent(3, { ...SESSION, backend: "db.test:3306", schema: "shop", program: "mysql" }),
        text: "DELETE FROM `orders`",
        decision: "require-approval",
        score: 60,
        level: "high",
        rules: [RULE.id, "own.rule"],
        tables: ["shop.orders"],
        policyVersion: "3f9a1c02b7de",
        decisionId,
        ...more,
        type,
      }) as AuditEvent;
    const approvalId = `apr-${prefix}-1`;
    log.append({ type: "policy-change", toVersion: "3f9a1c02b7de", policyText: "x", outcome: "ok", by: "start" });
    log.append(statement("statement-blocked", `${prefix}-1`, { decision: "block", errorNumber: 3819 }));
    log.append(statement("hold", `${prefix}-2`, { approvalId, expiresInMs: 300_000, mode: "hold" }));
    log.append({
      ...{ type: "approval", session: SESSION, ordinal: 3, approvalId, verdict: "approved" },
      ...{ approver: "alice", reason: "ticket 7", waitedMs: 31_900 },
    } as AuditEvent);
    log.append(statement("statement-intent", `${prefix}-3`, { approvalId, approver: "alice" }));
    log.append({
      ...{ type: "statement-outcome", session: SESSION, ordinal: 3, outcome: "ok" },
      ...{ affectedRows: 41, bytes: 11, durationUs: 4120 },
    } as AuditEvent);
    await work(path, prefix, log);
    await log.close();
  });
}

test("audit show tells who, what, the rules in words, the approval, the outcome and the policy", async () => {
  await withDecisions(async (path, prefix) => {
    for (const id of [`${prefix}-2`, `[decision ${prefix}-3]`, `apr-${prefix}-1`]) {
      const { code, stdout } = await run(["audit", "show", id, path]);
      assert.equal(code, 0, id);
      for (const told of [
        "allowed by alice, ran",
        "app",
        "127.0.0.1:50001, mysql",
        "db.test:3306, schema shop",
        "DELETE FROM `orders`",
        "require-approval, score 60, level high",
        `${RULE.id.padEnd(12)} ${RULE.title}`,
        "own.rule     a rule of another version of querycop",
        "approved by alice, after 31.9 s, reason: ticket 7",
        "41 rows changed",
        "11 bytes, in 4.12 ms",
        "3f9a1c02b7de, in force since",
        "policy show - --policy-version 3f9a1c02b7de",
        "querycop audit tail --session s1",
      ]) {
        assert.ok(unwrapped(stdout).includes(told), `${told} is in\n${stdout}`);
      }
      assert.ok(unwrapped(stdout).includes(RULE.rewrite), stdout);
    }
  });
});

/** Without the line breaks that fit it into a terminal. */
function unwrapped(page: string): string {
  return page.replaceAll(/\n {15}/g, " ");
}

test("audit show says of a blocked statement that nothing reached the backend, and has no outcome of its neighbours", async () => {
  await withDecisions(async (path, prefix) => {
    const { stdout } = await run(["audit", "show", `${prefix}-1`, path]);
    assert.match(stdout, new RegExp(`^${prefix}-1: blocked, nothing of it reached the backend\n`));
    assert.match(stdout, /told {9}error 3819/);
    assert.doesNotMatch(stdout, /Outcome|Approval|4\.12/);
  });
});

test("audit show --json has the names of the admin API's answer", async () => {
  await withDecisions(async (path, prefix) => {
    const told = JSON.parse((await run(["audit", "show", `${prefix}-3`, path, "--json"])).stdout);
    assert.deepEqual(Object.keys(told), [
      "id",
      "records",
      "outcome",
      "approval",
      "others",
      "policyChange",
      "rules",
      "isComplete",
    ]);
    assert.equal(told.outcome.affectedRows, 41);
    assert.equal(told.approval.approver, "alice");
    assert.equal(told.policyChange.toVersion, "3f9a1c02b7de");
    assert.equal(told.rules[0].instead, RULE.rewrite);
    assert.match(told.records[0].digestHash, /^[0-9a-f]{64}$/);
  });
});

test("audit show names the next step where it finds nothing, and refuses what is no id", async () => {
  await withDecisions(async (path, prefix) => {
    const none = await run(["audit", "show", `${prefix}-99`, path]);
    assert.equal(none.code, 1);
    assert.match(none.stderr, new RegExp(`holds run ${prefix}, and no such decision.*querycop audit tail`));
    const strange = await run(["audit", "show", "00000000-1", path]);
    assert.equal(strange.code, 1);
    assert.match(
      strange.stderr,
      /reaches back to 20\d\d-.*has no file of run 00000000: .*querycop audit show 00000000-1 FILE/,
    );
    for (const args of [["show"], ["show", "17", path], ["tail", path, path], ["show", `${prefix}-1`, `${path}.no`]]) {
      assert.equal((await run(["audit", ...args])).code, 2, args.join(" "));
    }
    const configured = { env: { GATEKEEPER_BACKEND_HOST: "db.test", GATEKEEPER_AUDIT_FILE: path } };
    assert.equal((await run(["audit", "show", `${prefix}-1`], configured)).code, 0);
  });
});

test("audit show fits the terminal, and prints nothing that a terminal would act on", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {});
    const decisionId = `${log.run.slice(0, 8)}-1`;
    const hostile = `SELECT '\u001b[2J\u202e\u0007größe' ${"x".repeat(300)} FROM t\r\n${"word ".repeat(60)}`;
    const session = { ...SESSION, userSent: "app\u001b]0;x\u0007", program: "\u2028evil" };
    log.append({ ...intent(1, session), text: hostile, decisionId } as AuditEvent);
    const { stdout } = await run(["audit", "show", decisionId, path], { stdoutColumns: 60 });
    await log.close();
    assert.doesNotMatch(stdout, /[^\n -~öß]/);
    assert.ok(
      stdout.split("\n").every((line) => line.length <= 60),
      stdout,
    );
    assert.ok(stdout.replaceAll(/\n {15}/g, "").includes("x".repeat(300)), "all of it is there");
    assert.match(stdout, /allowed, outcome unknown/);
    assert.match(stdout, /may have run, or runs still/);
  });
});

test("audit show opens a sealed statement for the holder of the reading key", async () => {
  await withFolder(async (folder, path) => {
    const { publicKey, privateKey } = generateKeyPairSync("x25519");
    const sealer = new TextSealer(String(publicKey.export({ format: "pem", type: "spki" })), "key");
    const log = openLog(path, {});
    const decisionId = `${log.run.slice(0, 8)}-1`;
    const sealedText = sealer.seal(Buffer.from("SELECT 'secret'"));
    log.append({ ...intent(1), sealedText, decisionId } as AuditEvent);
    await log.close();
    const keyFile = join(folder, "reading.key");
    writeFileSync(keyFile, String(privateKey.export({ format: "pem", type: "pkcs8" })));
    assert.match((await run(["audit", "show", decisionId, path])).stdout, /SELECT \?[\s\S]*sealed as well/);
    const opened = await run(["audit", "show", decisionId, path, "--decrypt-key-file", keyFile]);
    assert.match(opened.stdout, /SELECT 'secret'/);
    rmSync(keyFile);
  });
});

test("decisionIdOf() takes an id with the words that a client read around it", () => {
  assert.equal(decisionIdOf("[decision 1f3a9c02-7]"), "1f3a9c02-7");
  assert.equal(decisionIdOf("[request apr-1f3a9c02-7]"), "apr-1f3a9c02-7");
  assert.equal(decisionIdOf("1f3a9c02-7"), "1f3a9c02-7");
});
