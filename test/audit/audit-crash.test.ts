import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readAudit } from "../../src/audit/audit-read.ts";
import { verifyAudit } from "../../src/audit/audit-verify.ts";
import { withFolder } from "./audit-fixture.ts";

const WRITER = fileURLToPath(new URL("./crash-writer.ts", import.meta.url));
const ARGUMENTS = "Deno" in globalThis ? ["run", "-A", "--no-check", WRITER] : [WRITER];
/** Closing a segment flushes it, and so does each record in mode durable: 90 ms each on a slow disk. */
const ROUNDS = 8;
const STATEMENTS_MAX = { kernel: 120, durable: 40 };

/** Lets a writer run until it has sent `statements` statements, kills it at once, and says which it had sent. */
function crash(path: string, mode: string, statements: number): Promise<{ run: string; sent: number[] }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...ARGUMENTS, path, mode], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
      if (output.split("\n").length > statements + 2) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", () => {
      const lines = output.split("\n").slice(0, -1);
      resolve({
        run: lines[0]?.slice(4) ?? "",
        sent: lines.slice(1).map((line) => Number(line.slice(5))),
      });
    });
  });
}

for (const mode of ["kernel", "durable"] as const) {
  test(`every statement sent before a kill -9 is on record: mode ${mode}, ${ROUNDS} kills`, {
    timeout: 240_000,
  }, async () => {
    await withFolder(async (folder, path) => {
      const sent = new Map<string, number[]>();
      for (let round = 0; round < ROUNDS; round++) {
        const crashed = await crash(path, mode, Math.floor(Math.random() * STATEMENTS_MAX[mode]));
        sent.set(crashed.run, crashed.sent);
        const { problems, runs, intents } = await verifyAudit(path);
        assert.deepEqual(problems, [], `round ${round}`);
        assert.equal(runs.length, round + 1);
        assert.ok(intents.unknown > 0 || intents.intents < 3);
      }
      const recorded = new Map<string, number[]>();
      for await (const record of readAudit(path, { types: ["statement-intent"] })) {
        const run = String((record["session"] as { id: string }).id).split("-")[0] ?? "";
        recorded.set(run, [...(recorded.get(run) ?? []), Number(record["ordinal"])]);
      }
      for (const [run, ordinals] of sent) {
        const found = recorded.get(run) ?? [];
        assert.deepEqual(found.slice(0, ordinals.length), ordinals, "none missing, none twice, in order");
        assert.ok(found.length <= ordinals.length + 1, "at most the one in flight beyond what was sent");
      }
      const torn = readdirSync(folder).filter((name) => name.endsWith(".torn"));
      assert.ok(torn.length <= ROUNDS);
    });
  });
}
