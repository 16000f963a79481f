/** The executable judges as the sources do: compiling must not change what a text is found to be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { explainLine } from "../../src/policy/tools/explain.ts";
import { GUARDED_POLICY, readBypassCases } from "../policy/bypass-cases.ts";
import { policyFrom } from "../policy/policy-fixture.ts";
import { runChecked } from "../support/child.ts";

const EXECUTABLE = fileURLToPath(new URL("../../dist/querycop", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "querycop-verdicts-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Every attempt that JSON can carry: those with bytes that are no UTF-8 have no line. */
const LINES = readBypassCases()
  .filter(({ sql, text }) => Buffer.from(text).equals(sql))
  .map(({ text, mode }) => JSON.stringify({ sql: text, schema: "qc_scratch", ...(mode && { sqlMode: mode }) }));

for (const [name, policy] of [
  ["the built-in policy", ""],
  ["a policy that guards", GUARDED_POLICY],
] as const) {
  test(`the executable gives each bypass attempt the verdict of the sources, under ${name}`, async () => {
    const file = join(folder, "policy.yaml");
    writeFileSync(file, `version: 1\n${policy}\n`);
    const { stdout } = await runChecked(EXECUTABLE, ["explain", "--batch", "--policy", file], {
      input: `${LINES.join("\n")}\n`,
    });
    const own = policyFrom(policy);
    const expected = LINES.map((line) => explainLine(line, { policy: own, wallMs: Date.now() }).text);
    assert.ok(expected.length > 150, `${expected.length} attempts`);
    assert.ok(expected.some((line) => line.includes('"decision":"block"')));
    assert.deepEqual(stdout.trimEnd().split("\n"), expected);
  });
}
