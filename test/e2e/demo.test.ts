/** The README's first command, as a newcomer runs it. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../support/child.ts";
import { e2e } from "../support/e2e-test.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

describe("npm run demo", () => {
  e2e("logs in by token, shows a refusal, and ends by itself", async () => {
    const { code, stdout, stderr } = await run("npm", ["run", "demo"], { cwd: PROJECT, timeoutMs: 110_000 });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /blocked by rule dml\.nowhere/);
    assert.match(stdout, /The demo worked\. Next: README\.md/);
  });
});
