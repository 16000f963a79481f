/** Biome's walls are those of CONTRIBUTING.md: every import that the table forbids is tried, and every one it allows. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../support/child.ts";
import { tableOf } from "../support/contributing.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const PURE_EXAMPLES = ["node:fs", "node:net", "node:crypto"];

interface Diagnostic {
  readonly location: { readonly path: string; readonly start: { readonly line: number } };
}

/** `file:line` of every import that Biome refuses below `folder`. */
async function refusedImports(folder: string): Promise<string[]> {
  const biome = join(PROJECT, "node_modules/.bin/biome");
  const args = ["lint", "--vcs-enabled=false", "--only=style/noRestrictedImports", "--reporter=json", "src"];
  const { stdout } = await run(biome, [...args, "--max-diagnostics=none"], { cwd: folder });
  const report = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  return report.diagnostics.map(({ location }) => `${location.path}:${location.start.line}`).sort();
}

test("Biome refuses exactly the imports that the table in CONTRIBUTING.md does not allow", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-walls-"));
  try {
    copyFileSync(join(PROJECT, "biome.json"), join(folder, "biome.json"));
    const rows = tableOf("folder");
    const expected: string[] = [];
    for (const [from = "", may = "", node = ""] of rows.filter(([name]) => name !== "cli")) {
      const lines: string[] = [];
      const add = (specifier: string, isAllowed: boolean): void => {
        lines.push(`import "${specifier}";`);
        if (!isAllowed) expected.push(`src/${from}/wall.ts:${lines.length}`);
      };
      const allowed = may.split(", ").map((name) => name.replace(/ \(.*\)$/, ""));
      for (const [to = ""] of rows) if (to !== from) add(`../${to}/some-file.ts`, allowed.includes(to));
      if (may.includes("not load.ts")) add("../config/load.ts", false);
      for (const name of PURE_EXAMPLES) add(name, node === "*" || node.split(", ").includes(name));
      mkdirSync(join(folder, "src", from), { recursive: true });
      writeFileSync(join(folder, "src", from, "wall.ts"), `${lines.join("\n")}\n`);
    }
    assert.deepEqual(await refusedImports(folder), expected.sort());
    assert.ok(expected.length > 60, "the table forbids most imports");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
