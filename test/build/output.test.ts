/** What the executable prints arrives whole, or it says that it did not: into pipes, to slow and gone readers, onto full disks. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { CHAIN_START, encodeRecord, type RecordHead } from "../../src/audit/audit-record.ts";
import { type RunResult, run } from "../support/child.ts";
import { cleanEnvironment } from "../support/querycop.ts";

const EXECUTABLE = fileURLToPath(new URL("../../dist/querycop", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "querycop-output-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const RECORDS = 6_000;
const audit = join(folder, "audit.ndjson");
writeFileSync(audit, records());
const policy = join(folder, "policy.yaml");
writeFileSync(policy, "version: 1\n");
const cases = join(folder, "cases.yaml");
writeFileSync(cases, "cases:\n  - { sql: SELECT 1, expect: block }\n");
const batch = join(folder, "batch.ndjson");
writeFileSync(batch, `${JSON.stringify({ sql: "SELECT id FROM t WHERE id = 1" })}\n`.repeat(RECORDS));
const digests = join(folder, "digests.tsv");
writeFileSync(
  digests,
  `digest_text\n${Array.from({ length: 2_000 }, (_, n) => `SELECT \`c${n}\` FROM \`t\`\n`).join("")}`,
);

function records(): string {
  let head: RecordHead = { seq: 0, hash: CHAIN_START };
  let text = "";
  for (let ordinal = 1; ordinal <= RECORDS; ordinal++) {
    const event = {
      type: "statement-intent",
      session: { id: "s-1", clientAddress: "10.0.0.1:5000", user: "app" },
      ordinal,
      command: "COM_QUERY",
      text: `SELECT \`c${ordinal % 1500}\` FROM \`t\``,
      textForm: "digest",
      decision: "allow",
    } as unknown as AuditEvent;
    const { line, ...next } = encodeRecord(event, head, ordinal);
    text += line;
    head = next;
  }
  return text;
}

/** Every command that prints a result and ends, by what is behind its name in a shell. */
const COMMANDS: readonly string[] = [
  "help",
  "version",
  "version --json",
  "serve --help",
  "completion bash",
  "completion zsh",
  "completion fish",
  "man",
  "config --backend-host h",
  "config --backend-host h --json",
  "check-config --backend-host h",
  "service print",
  "doctor --list",
  "doctor --list --json",
  "explain 'SELECT 1'",
  "explain 'SELECT 1' --json",
  `explain --batch < ${batch}`,
  `audit export ${audit}`,
  `audit export ${audit} --format csv`,
  `audit tail ${audit} --limit 5000`,
  `audit verify ${audit} --json`,
  `policy lint ${policy}`,
  `policy test ${cases}`,
  `policy replay ${audit}`,
  `policy learn ${audit}`,
  `policy import-digests ${digests}`,
  "hash-password --user app < /dev/null || echo secret | querycop hash-password --user app",
];

/** Runs a line of a shell in which `querycop` is the executable. */
async function shell(line: string): Promise<RunResult> {
  const script = `querycop() { "$EXECUTABLE" "$@"; }\n${line}`;
  return await run("/bin/bash", ["-c", script], { env: cleanEnvironment({ EXECUTABLE }), cwd: folder });
}

for (const command of COMMANDS) {
  test(`querycop ${command.replaceAll(folder, "…")} prints all of it or tells`, async () => {
    const line = `{ querycop ${command}; }`;
    const plain = await shell(`${line} > whole`);
    const whole = readFileSync(join(folder, "whole"), "utf8");
    assert.notEqual(whole, "");
    const isSame = (text: string): boolean => text.replace(/\$A\$.*/, "") === whole.replace(/\$A\$.*/, "");

    const piped = await shell(`${line} | { sleep 0.1; cat; }; exit "\${PIPESTATUS[0]}"`);
    assert.equal(piped.code, plain.code);
    assert.ok(isSame(piped.stdout), `${piped.stdout.length} of ${whole.length} characters`);

    const full = await shell(`${line} > /dev/full`);
    assert.notEqual(full.code, 0);
    assert.match(full.stderr, /^querycop: the output is not complete: .*ENOSPC$/m);

    const gone = await shell(`${line} | { exec <&-; sleep 0.3; }; exit "\${PIPESTATUS[0]}"`);
    assert.notEqual(gone.code, 0);
    assert.match(gone.stderr, /^querycop: the output is not complete: .*EPIPE$/m);
  });
}

test("a reader that takes an export drop by drop gets every record", async () => {
  const slow =
    'node -e \'let n = 0; process.stdin.on("data", (c) => { n += c.length; process.stdin.pause(); setTimeout(() => process.stdin.resume(), 2); }).on("end", () => console.log(n))\'';
  const { stdout } = await shell(`querycop audit export ${audit} | ${slow}`);
  const { stdout: whole } = await shell(`querycop audit export ${audit} | wc -c`);
  assert.equal(Number(stdout), Number(whole));
  const { stdout: zipped } = await shell(`querycop audit export ${audit} | gzip | gunzip | wc -l`);
  assert.equal(Number(zipped), RECORDS);
});
