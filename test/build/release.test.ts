/** `npm run build -- --release`: a file for every target, with its checksum, the same bytes whenever it is built. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import { run, runChecked } from "../support/child.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD_TIMEOUT_MS = 5 * 60_000;

const X64 = 0x3e;
const ARM64 = 0xb7;
const TARGETS: Readonly<Record<string, readonly [machine: number, loader: string]>> = {
  "linux-x64": [X64, "/lib64/ld-linux-x86-64.so.2"],
  "linux-x64-baseline": [X64, "/lib64/ld-linux-x86-64.so.2"],
  "linux-x64-musl": [X64, "/lib/ld-musl-x86_64.so.1"],
  "linux-arm64": [ARM64, "/lib/ld-linux-aarch64.so.1"],
  "linux-arm64-musl": [ARM64, "/lib/ld-musl-aarch64.so.1"],
};

/** The processor and the dynamic loader that a 64-bit ELF file asks for. */
function elfFacts(file: Buffer): readonly [machine: number, loader: string] {
  assert.equal(file.toString("latin1", 0, 6), "\x7fELF\x02\x01");
  const headers = Number(file.readBigUInt64LE(32));
  const headerBytes = file.readUInt16LE(54);
  for (let index = 0; index < file.readUInt16LE(56); index++) {
    const header = file.subarray(headers + index * headerBytes);
    if (header.readUInt32LE(0) !== 3) continue;
    const offset = Number(header.readBigUInt64LE(8));
    const length = Number(header.readBigUInt64LE(32));
    return [file.readUInt16LE(18), file.toString("latin1", offset, offset + length - 1)];
  }
  throw new Error("The file names no loader.");
}

const folder = mkdtempSync(join(tmpdir(), "querycop-release-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The sources at another path and without their repository, so that only they decide about the bytes. */
function copyOfProject(name: string): string {
  const copy = join(folder, name);
  for (const entry of ["src", "build.ts", "package.json", "package-lock.json", "tsconfig.json", "bunfig.toml"]) {
    cpSync(join(PROJECT, entry), join(copy, entry), { recursive: true });
  }
  mkdirSync(join(PROJECT, ".cache"), { recursive: true });
  for (const entry of ["node_modules", ".cache"]) symlinkSync(join(PROJECT, entry), join(copy, entry));
  return copy;
}

async function build(project: string, args: readonly string[]): Promise<void> {
  await runChecked(process.execPath, ["build.ts", ...args], { cwd: project, timeoutMs: BUILD_TIMEOUT_MS });
}

const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

test("a release has a file for each target, each with its checksum", { timeout: BUILD_TIMEOUT_MS }, async () => {
  const [first, second] = [copyOfProject("first"), copyOfProject("second")];
  await build(first, ["--release"]);
  const dist = join(first, "dist");
  const sums = new Map<string, string>();
  for (const line of readFileSync(join(dist, "SHA256SUMS"), "utf8").trimEnd().split("\n")) {
    const [sum = "", name = ""] = line.split("  ");
    sums.set(name, sum);
  }
  assert.deepEqual(
    [...sums.keys()],
    Object.keys(TARGETS).map((target) => `querycop-${target}`),
  );
  for (const [target, facts] of Object.entries(TARGETS)) {
    const file = join(dist, `querycop-${target}`);
    assert.equal(sha256(file), sums.get(`querycop-${target}`), target);
    assert.deepEqual(elfFacts(readFileSync(file)), facts, target);
  }
  const own = `querycop-linux-${process.arch}`;
  assert.match((await runChecked(join(dist, own), ["--version"])).stdout, /^querycop /);

  // The plain build uses the runtime that npm installed, the release the one it downloaded.
  await build(second, []);
  assert.equal(sha256(join(second, "dist/querycop")), sums.get(own), "same sources, same bytes");
});

test("build.ts refuses an option it does not know", async () => {
  const result = await run(process.execPath, ["build.ts", "--relase"], { cwd: PROJECT });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /Unknown option --relase/);
});
