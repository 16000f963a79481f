/** `npm run build -- --release`: a file for every target, with its checksum, the same bytes whenever it is built. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import { run, runChecked } from "../support/child.ts";
import { assertPageHashes, elfFacts, machOFacts, peFacts } from "../support/executable-formats.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const VERSION = (JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string }).version;
const BUILD_TIMEOUT_MS = 8 * 60_000;

const LINUX: Readonly<Record<string, readonly [machine: number, loader: string]>> = {
  "linux-x64": [0x3e, "/lib64/ld-linux-x86-64.so.2"],
  "linux-x64-musl": [0x3e, "/lib/ld-musl-x86_64.so.1"],
  "linux-arm64": [0xb7, "/lib/ld-linux-aarch64.so.1"],
  "linux-arm64-musl": [0xb7, "/lib/ld-musl-aarch64.so.1"],
};
const DARWIN: Readonly<Record<string, number>> = { "darwin-x64": 0x0100_0007, "darwin-arm64": 0x0100_000c };
const WINDOWS = { "windows-x64.exe": 0x8664 };
/** A word of ours that no runtime holds. */
const OUR_WORD = "GATEKEEPER_BACKEND_HOST";

const folder = mkdtempSync(join(tmpdir(), "querycop-release-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The sources at another path and without their repository, so that only they decide about the bytes. */
function copyOfProject(name: string): string {
  const copy = join(folder, name);
  for (const entry of [
    "src",
    "tools",
    "build.ts",
    "install.sh",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "bunfig.toml",
  ]) {
    cpSync(join(PROJECT, entry), join(copy, entry), { recursive: true });
  }
  mkdirSync(join(PROJECT, ".cache"), { recursive: true });
  for (const entry of ["node_modules", ".cache"]) symlinkSync(join(PROJECT, entry), join(copy, entry));
  return copy;
}

async function build(project: string, args: readonly string[], env: Record<string, string>): Promise<void> {
  await runChecked(process.execPath, ["build.ts", ...args], { cwd: project, env, timeoutMs: BUILD_TIMEOUT_MS });
}

const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

/** A throw-away key, as whoever makes a release has one. */
function signingKey(): string {
  const file = join(folder, "release.key");
  writeFileSync(file, generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
  return file;
}

test("a release has a file for each target, and a signed list of them", { timeout: BUILD_TIMEOUT_MS }, async () => {
  const [first, second] = [copyOfProject("first"), copyOfProject("second")];
  await build(first, ["--release"], { QUERYCOP_SIGNING_KEY_FILE: signingKey() });
  const dist = join(first, "dist");
  const sums = new Map<string, string>();
  for (const line of readFileSync(join(dist, "SHA256SUMS"), "utf8").trimEnd().split("\n")) {
    const [sum = "", name = ""] = line.split("  ");
    sums.set(name, sum);
  }
  const targets = [LINUX, DARWIN, WINDOWS].flatMap((system) => Object.keys(system));
  assert.deepEqual(
    [...sums.keys()],
    targets.map((target) => `querycop-${target}`),
  );
  for (const [name, sum] of sums) {
    const file = readFileSync(join(dist, name));
    assert.equal(createHash("sha256").update(file).digest("hex"), sum, name);
    assert.ok(file.includes(OUR_WORD), `${name} holds our sources`);
    assertFormat(name.slice("querycop-".length), file);
  }
  const own = `querycop-linux-${process.arch}`;
  const executable = join(dist, own);
  assert.match((await runChecked(executable, ["--version"])).stdout, /^querycop /);

  const list = join(dist, "SHA256SUMS");
  const verified = await runChecked(executable, ["self", "verify", "--sums", list]);
  assert.equal(verified.stdout, `ok: ${executable} is ${own}, signed: querycop ${VERSION}\n`);
  const publicKey = /release_key='(RW[A-Za-z0-9+/]{54})'/.exec(readFileSync(join(dist, "install.sh"), "utf8"))?.[1];
  assert.ok(publicKey, "install.sh knows the key");

  // The plain build uses the runtime that npm installed, the release the one it downloaded.
  await build(second, [], { QUERYCOP_PUBLIC_KEY: publicKey });
  assert.equal(sha256(join(second, "dist/querycop")), sums.get(own), "same sources, same bytes");
});

function assertFormat(target: string, file: Buffer): void {
  if (target.startsWith("linux")) {
    assert.deepEqual(elfFacts(file), LINUX[target], target);
  } else if (target.startsWith("darwin")) {
    const { cpuType, segments } = machOFacts(file);
    assert.equal(cpuType, DARWIN[target], target);
    assert.ok(segments.includes("__BUN"), segments.join(" "));
    assertPageHashes(file);
  } else {
    const [machine, sections] = peFacts(file);
    assert.equal(machine, WINDOWS["windows-x64.exe"]);
    assert.ok(sections.includes(".bun"), sections.join(" "));
  }
}

test("build.ts signs with Ed25519 keys only, and not with another than the public key it is told", async () => {
  const rsa = join(folder, "rsa.key");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(rsa, privateKey.export({ format: "pem", type: "pkcs8" }));
  const other = `RWQ${"A".repeat(53)}`;
  for (const [env, reason] of [
    [{ QUERYCOP_SIGNING_KEY_FILE: rsa }, /expected an Ed25519 key, found rsa/],
    [{ QUERYCOP_PUBLIC_KEY: "RWQ" }, /QUERYCOP_PUBLIC_KEY: expected the 56 characters/],
    [{ QUERYCOP_SIGNING_KEY_FILE: signingKey(), QUERYCOP_PUBLIC_KEY: other }, /is not the key of/],
  ] as const) {
    const result = await run(process.execPath, ["build.ts", "--release"], { cwd: PROJECT, env });
    assert.equal(result.code, 1);
    assert.match(result.stderr, reason);
  }
});

test("build.ts refuses an option it does not know", async () => {
  const result = await run(process.execPath, ["build.ts", "--relase"], { cwd: PROJECT });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /Unknown option --relase/);
});
