/** The program as a process: streams, exit codes, and what it loads. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/version.ts";
import { makeDirectory } from "../config/folder.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** The runtime the tests run on, told to run a file. */
const RUN_FILE = process.versions["deno"] === undefined ? ["run"] : ["run", "-A", "--no-check", "--quiet"];

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  file: string,
  args: readonly string[],
  options: { env?: Record<string, string>; stdin?: string; cwd?: string } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...RUN_FILE, file, ...args], {
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      stderr += String(chunk);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(options.stdin ?? "");
  });
}

test("version is that of package.json when run from sources", async () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.equal(VERSION.version, manifest.version);
  const { code, stdout, stderr } = await start(MAIN, ["version"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.ok(stdout.startsWith(`querycop ${manifest.version} (commit unknown, unknown, `));
});

test("the result goes to stdout, problems to stderr, and the exit code tells", async () => {
  const wrong = await start(MAIN, ["check-config"], { env: { GATEKEEPER_BACKEND_HOTS: "x" } });
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  assert.match(
    wrong.stderr,
    /^error: GATEKEEPER_BACKEND_HOTS: unknown setting, did you mean GATEKEEPER_BACKEND_HOST\?$/m,
  );
  const none = await start(MAIN, []);
  assert.deepEqual([none.code, none.stdout], [2, ""]);
  assert.match(none.stderr, /^Usage: querycop/m);
});

test("output longer than a pipe holds arrives whole", async () => {
  const { code, stdout } = await start(MAIN, [
    "config",
    "--json",
    "--backend-host",
    "x",
    `--backend-role=${"r".repeat(4000)}`,
    `--backend-token-cmd=${"t".repeat(4000)}`,
    "--backend-tls-mode=require",
  ]);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).ok, true);
});

test("hash-password reads its standard input", async () => {
  const { code, stdout } = await start(MAIN, ["hash-password", "--user", "app"], { stdin: "secret\n" });
  assert.equal(code, 0);
  assert.match(stdout, /^app:\$A\$005\$.{63}\n$/);
});

test("consola is loaded for the pretty format alone", async () => {
  // Without node_modules in reach, whatever needs a package must fail or do without it.
  const folder = makeDirectory("alone");
  mkdirSync(join(folder, "base"), { recursive: true });
  for (const file of ["log.ts", "redact.ts", "visible-text.ts"]) {
    copyFileSync(new URL(`../../src/base/${file}`, import.meta.url), join(folder, "base", file));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  const script = join(folder, "script.ts");
  writeFileSync(
    script,
    `import { createLogger } from "./base/log.ts";
const logger = createLogger({ level: "info", format: process.argv[2] as "text" });
logger.info("first");
setTimeout(() => logger.info("second"), 50);
`,
  );
  const env = { BUN_CONFIG_INSTALL_AUTO: "disable", DENO_NO_PACKAGE_JSON: "1" };
  for (const format of ["text", "json", "pretty"]) {
    const { code, stderr } = await start(script, [format], { cwd: folder, env });
    assert.equal(code, 0, `${format}: ${stderr}`);
    assert.deepEqual(stderr.match(/first|second/g), ["first", "second"], `${format}: ${stderr}`);
  }
});
