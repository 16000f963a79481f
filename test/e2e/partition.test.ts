/** A network that is cut without a word: each leg finds out by itself, whatever its session was doing. */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runChecked } from "../support/child.ts";
import { e2e } from "../support/e2e-test.ts";
import { requireTool } from "../support/install.ts";
import { querycopBinary } from "../support/querycop.ts";

/** Keep-alive begins after half a minute and gives up ten seconds later; the rest is for a crowded machine. */
const OVER_S = 120;
const WORLD = fileURLToPath(new URL("../support/partition.ts", import.meta.url));

e2e(
  "a session whose client or server is cut off ends by itself, silent, sending or waiting",
  async () => {
    await requireTool("ip");
    const namespaces = process.getuid?.() === 0 ? ["--net"] : ["--user", "--map-root-user", "--net"];
    const options = "Deno" in globalThis ? ["run", "--allow-all", "--no-check"] : [];
    const env = { QUERYCOP_TEST_BINARY: await querycopBinary() };
    const { stdout } = await runChecked("unshare", [...namespaces, process.execPath, ...options, WORLD], {
      env,
      timeoutMs: 240_000,
    });
    const seconds = JSON.parse(stdout) as Record<string, number>;
    for (const [session, lived] of Object.entries(seconds)) {
      assert.ok(lived >= 0 && lived < OVER_S, `${session}: ${lived} s`);
    }
    assert.equal(Object.keys(seconds).length, 6);
  },
  300_000,
);
