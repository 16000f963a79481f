/**
 * Compiles querycop into one executable file.
 *
 *   npm run build                  dist/querycop for this machine
 *   npm run build -- --release     dist/querycop-<os>-<arch>[-musl] for every released target, with the list
 *                                  of their checksums and install.sh
 *   npm run build -- --deb         dist/querycop_<version>_<arch>.deb as well, for this machine; needs dpkg-deb
 *
 * The same sources and the same lock file give the same bytes. Other machines' runtimes come from the npm registry, in
 * the version that package-lock.json pins and checked against the hash it holds; nothing else is downloaded.
 *
 * QUERYCOP_SIGNING_KEY_FILE names the Ed25519 key (PEM) that signs a release. Its public half goes into the executables
 * and into install.sh; who builds the same bytes without that key sets QUERYCOP_PUBLIC_KEY instead.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleDashboard } from "./tools/dashboard.ts";
import { signAdHoc } from "./tools/mach-o-signature.ts";
import { type ReleaseKeys, releaseKeys, withReleaseKey } from "./tools/release-keys.ts";

const PROJECT = fileURLToPath(new URL(".", import.meta.url));
const DIST = join(PROJECT, "dist");
const CACHE = join(PROJECT, ".cache/bun");

interface Target {
  /** The end of the file name in a release. */
  readonly name: string;
  /** What Bun calls it. */
  readonly bunTarget: string;
  /** The npm package that holds the runtime. */
  readonly runtimePackage: string;
  /** `.exe` on Windows, which starts nothing without. */
  readonly ending?: string;
  /** Bun leaves the runtime's own signature in the file, which no longer fits and says that macOS shall insist on it. */
  readonly isSignedAnew?: true;
}

/**
 * Since 1.4 Bun picks its instructions at run time and its baseline runtime is the same file as the other: one file is for
 * x64 processors with AVX2 and without.
 * On macOS and Windows there is no proxy: docs/decisions/0010-other-systems.md.
 */
const TARGETS: readonly Target[] = [
  { name: "linux-x64", bunTarget: "bun-linux-x64", runtimePackage: "@oven/bun-linux-x64" },
  { name: "linux-x64-musl", bunTarget: "bun-linux-x64-musl", runtimePackage: "@oven/bun-linux-x64-musl" },
  { name: "linux-arm64", bunTarget: "bun-linux-arm64", runtimePackage: "@oven/bun-linux-aarch64" },
  { name: "linux-arm64-musl", bunTarget: "bun-linux-arm64-musl", runtimePackage: "@oven/bun-linux-aarch64-musl" },
  { name: "darwin-x64", bunTarget: "bun-darwin-x64", runtimePackage: "@oven/bun-darwin-x64", isSignedAnew: true },
  { name: "darwin-arm64", bunTarget: "bun-darwin-arm64", runtimePackage: "@oven/bun-darwin-aarch64" },
  { name: "windows-x64", bunTarget: "bun-windows-x64", runtimePackage: "@oven/bun-windows-x64", ending: ".exe" },
];

/** The parser and the judge of long texts run in workers, which have to be compiled in as entry points. */
const ENTRY_POINTS = ["src/main.ts", "src/sql/second-opinion/parse-worker.ts", "src/server/judge-worker.ts"].filter(
  (file) => existsSync(join(PROJECT, file)),
);

/**
 * SAFETY: the first two keep a `.env` or `bunfig.toml` in the working directory from being read, the third makes
 * `eval` throw and with it refuses a preload from BUN_OPTIONS. test/build/ holds the finished file to all of this.
 */
const SAFETY_FLAGS = [
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict",
];

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity?: string }>>;
}

function run(command: string, args: readonly string[], cwd = PROJECT): string {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.error !== undefined) throw new Error(`Cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(" ")} ended with ${result.status}:\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(PROJECT, file), "utf8")) as T;
}

/** Stamps for `querycop version`. The date is the commit's: the time of the build would change the bytes. */
function buildDefines({ publicKey }: ReleaseKeys): readonly string[] {
  const { version } = readJson<{ version: string }>("package.json");
  const git = (args: readonly string[]): string | undefined => {
    const result = spawnSync("git", args, { cwd: PROJECT, encoding: "utf8" });
    return result.status === 0 ? result.stdout.trim() : undefined;
  };
  const head = git(["rev-parse", "HEAD"]);
  const isDirty = git(["status", "--porcelain", "--untracked-files=no"]) !== "";
  const commit = head === undefined ? "unknown" : `${head}${isDirty ? "-dirty" : ""}`;
  const seconds = git(["log", "-1", "--format=%ct"]);
  const date = seconds === undefined ? "unknown" : new Date(Number(seconds) * 1000).toISOString().slice(0, 10);
  const stamps = { VERSION: version, COMMIT: commit, DATE: date, RELEASE_KEY: publicKey };
  return Object.entries(stamps).flatMap(([name, value]) =>
    value === undefined ? [] : ["--define", `QUERYCOP_BUILD_${name}=${JSON.stringify(value)}`],
  );
}

/** The Bun of another target, downloaded once and kept in .cache/. */
function runtimeFor(target: Target): string {
  const locked = readJson<Lock>("package-lock.json").packages[`node_modules/${target.runtimePackage}`];
  if (locked?.integrity === undefined) throw new Error(`package-lock.json holds no hash of ${target.runtimePackage}`);
  const folder = join(CACHE, `${target.runtimePackage.replace("@oven/", "")}-${locked.version}`);
  const inArchive = `package/bin/bun${target.ending ?? ""}`;
  const bun = join(folder, inArchive);
  if (existsSync(bun)) return bun;

  mkdirSync(CACHE, { recursive: true });
  const draft = mkdtempSync(join(CACHE, "download-"));
  try {
    run("npm", ["pack", `${target.runtimePackage}@${locked.version}`, "--pack-destination", draft], draft);
    const archive = run("ls", [draft]).trim();
    const digest = createHash("sha512")
      .update(readFileSync(join(draft, archive)))
      .digest("base64");
    if (`sha512-${digest}` !== locked.integrity) {
      throw new Error(`Cannot use ${archive}: its hash is not the one in package-lock.json`);
    }
    run("tar", ["-xzf", archive, inArchive], draft);
    rmSync(join(draft, archive));
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return bun;
}

/** Bun writes the name of the output file into it, so every target is compiled under one name and moved. */
function compile(output: string, defines: readonly string[], target?: Target): void {
  if (!ENTRY_POINTS.includes("src/main.ts")) throw new Error("Cannot build: there is no src/main.ts");
  mkdirSync(DIST, { recursive: true });
  const folder = mkdtempSync(join(DIST, "build-"));
  try {
    const targetFlags =
      target === undefined ? [] : [`--target=${target.bunTarget}`, `--compile-executable-path=${runtimeFor(target)}`];
    run(process.execPath, [
      "build",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      "--sourcemap=none",
      "--reject-unresolved",
      ...SAFETY_FLAGS,
      ...defines,
      ...targetFlags,
      ...ENTRY_POINTS,
      "--outfile",
      join(folder, "querycop"),
    ]);
    const made = join(folder, `querycop${target?.ending ?? ""}`);
    if (target?.isSignedAnew === true) writeFileSync(made, signAdHoc(readFileSync(made), "querycop"));
    chmodSync(made, 0o755);
    renameSync(made, output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describe(file: string): string {
  const hash = createHash("sha256").update(readFileSync(file)).digest("hex");
  return `${hash}  ${(statSync(file).size / 1024 / 1024).toFixed(1).padStart(6)} MiB  ${file.slice(DIST.length + 1)}`;
}

function buildRelease(defines: readonly string[], keys: ReleaseKeys): void {
  const sums: string[] = [];
  const compiled = new Map<string, string>();
  for (const target of TARGETS) {
    const name = `querycop-${target.name}${target.ending ?? ""}`;
    const output = join(DIST, name);
    const same = compiled.get(target.bunTarget);
    if (same === undefined) compile(output, defines, target);
    else copyFileSync(same, output);
    compiled.set(target.bunTarget, output);
    const line = describe(output);
    console.log(line);
    sums.push(`${line.slice(0, 64)}  ${name}\n`);
  }
  const list = Buffer.from(sums.join(""));
  writeFileSync(join(DIST, "SHA256SUMS"), list);
  const installer = readFileSync(join(PROJECT, "install.sh"), "utf8");
  writeFileSync(join(DIST, "install.sh"), withReleaseKey(installer, keys.publicKey));
  signRelease(list, keys);
}

/** The signature lies beside the list; an older build's must not stay there. */
function signRelease(list: Uint8Array, { sign, publicKey }: ReleaseKeys): void {
  const file = join(DIST, "SHA256SUMS.minisig");
  rmSync(file, { force: true });
  if (sign === undefined) {
    console.log("not signed: QUERYCOP_SIGNING_KEY_FILE is not set");
    return;
  }
  writeFileSync(file, sign(list, `querycop ${readJson<{ version: string }>("package.json").version}`));
  console.log(`signed by ${publicKey}`);
}

async function buildDeb(): Promise<void> {
  const { buildDebianPackage } = await import("./tools/debian-package.ts");
  const { version } = readJson<{ version: string }>("package.json");
  const time = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: PROJECT, encoding: "utf8" });
  const output = join(DIST, `querycop_${version}_${process.arch === "x64" ? "amd64" : process.arch}.deb`);
  buildDebianPackage({
    executable: join(DIST, "querycop"),
    version,
    arch: process.arch,
    level: 6,
    epochSeconds: time.status === 0 ? Number(time.stdout) : 0,
    output,
  });
  console.log(describe(output));
}

const args = process.argv.slice(2);
const unknown = args.find((arg) => arg !== "--release" && arg !== "--deb");
if (unknown !== undefined) throw new Error(`Unknown option ${unknown}: there are --release and --deb`);
const keys = releaseKeys(process.env);
bundleDashboard();
if (args.includes("--release")) buildRelease(buildDefines(keys), keys);
else {
  compile(join(DIST, "querycop"), buildDefines(keys));
  console.log(describe(join(DIST, "querycop")));
  if (args.includes("--deb")) await buildDeb();
}
