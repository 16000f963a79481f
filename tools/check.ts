/**
 * The one gate: format, lint and import walls, types in tsc and Deno, dead code, generated documents, then all tests.
 *
 *   npm run check                everything
 *   npm run check -- --static    all but the tests
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(PROJECT, "node_modules/.bin");

interface Step {
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
}

// A log that nobody watches is read in an editor.
const COLORS = process.stdout.isTTY ? [] : ["--colors=off"];

// The dashboard's sources are for browsers, whose types the others must not see.
const DENO_SOURCES = readdirSync(join(PROJECT, "src"))
  .filter((name) => name !== "dashboard")
  .map((name) => `src/${name}`);

const STEPS: readonly Step[] = [
  { title: "format, lint, import walls", command: join(BIN, "biome"), args: ["ci", "--error-on-warnings", ...COLORS] },
  { title: "types (tsc)", command: join(BIN, "tsc"), args: [] },
  { title: "types of the dashboard (tsc)", command: join(BIN, "tsc"), args: ["--project", "src/dashboard"] },
  { title: "types (deno)", command: join(BIN, "deno"), args: ["check", "--quiet", ...DENO_SOURCES] },
  {
    title: "types of the dashboard (deno)",
    command: join(BIN, "deno"),
    args: ["check", "--quiet", "--config", "src/dashboard/deno.json", "src/dashboard/main.tsx"],
  },
  { title: "dead code", command: join(BIN, "knip"), args: ["--no-progress"] },
  { title: "generated documents", command: process.execPath, args: ["tools/docs.ts", "--check"] },
];

/** Runs a step in silence and shows what it printed only if it failed. */
function passes(step: Step): boolean {
  const startedMs = Date.now();
  const result = spawnSync(step.command, step.args, { cwd: PROJECT, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const ok = result.status === 0;
  console.log(`${ok ? "ok  " : "FAIL"} ${step.title} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
  if (!ok) console.log(result.error?.message ?? `${result.stdout}${result.stderr}`);
  return ok;
}

const failed = STEPS.filter((step) => !passes(step));
if (failed.length > 0) console.log(`check failed: ${failed.map((step) => step.title).join("; ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;

if (!process.argv.includes("--static")) {
  const tests = spawnSync(process.execPath, [join(PROJECT, "tools/test.ts")], { cwd: PROJECT, stdio: "inherit" });
  if (tests.status !== 0) process.exitCode = 1;
}
