/**
 * Debian packages unpacked into a folder of the project, without touching the system: a private apt root downloads
 * and verifies them, `dpkg -x` unpacks them, and programs run through the loader that came with them, so that neither
 * the machine's libc nor its package state matters. Needs apt and a Debian mirror in the machine's sources; not root.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, runChecked } from "./child.ts";
import { withLock } from "./lock.ts";

/** What a folder of unpacked packages is made of. */
export interface RootRecipe {
  readonly name: string;
  /** The Debian suite: a code name, or `sid`. */
  readonly suite: string;
  /** Unpacked together with the libraries they depend on. */
  readonly packages: readonly string[];
  /** Unpacked alone: their dependencies (init scripts, perl …) are not wanted. */
  readonly alone: readonly string[];
}

export interface DebianRoot {
  readonly folder: string;
  /** Path of a file inside the folder, e.g. `path("usr/sbin/mysqld")`. */
  path(inside: string): string;
  /** The command line that runs a program of this folder with its own loader and libraries. */
  command(program: string, args: readonly string[]): { readonly command: string; readonly args: readonly string[] };
}

interface DebianSource {
  readonly uri: string;
  readonly signedBy: string | undefined;
  readonly isSecurity: boolean;
}

const LOCK_TIMEOUT_MS = 15 * 60_000;
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MULTIARCH: Readonly<Record<string, { readonly folder: string; readonly loader: string }>> = {
  x64: { folder: "x86_64-linux-gnu", loader: "ld-linux-x86-64.so.2" },
  arm64: { folder: "aarch64-linux-gnu", loader: "ld-linux-aarch64.so.1" },
};

/** Where unpacked packages, template data directories and built plugins are kept between runs. Git-ignored. */
export const SERVERS_CACHE =
  process.env["QUERYCOP_TEST_SERVERS_CACHE"] ?? fileURLToPath(new URL("../../.cache/servers", import.meta.url));

function multiarch(): { readonly folder: string; readonly loader: string } {
  const known = MULTIARCH[process.arch];
  if (known === undefined) throw new Error(`Test servers exist for x64 and arm64, this machine is ${process.arch}.`);
  return known;
}

function sourceFiles(): string[] {
  const parts = "/etc/apt/sources.list.d";
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  const files = names
    .filter((name) => name.endsWith(".list") || name.endsWith(".sources"))
    .map((name) => join(parts, name));
  return ["/etc/apt/sources.list", ...files].filter((file) => existsSync(file));
}

function parseOneLineSources(text: string): DebianSource[] {
  const sources: DebianSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim());
    if (match === null || !(match[4] ?? "").split(" ").includes("main")) continue;
    const signedBy = /signed-by=(\S+)/.exec(match[1] ?? "")?.[1];
    const isSecurity = (match[3] ?? "").includes("security");
    sources.push({ uri: match[2] ?? "", signedBy, isSecurity });
  }
  return sources;
}

function parseDeb822Sources(text: string): DebianSource[] {
  const sources: DebianSource[] = [];
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const line of stanza.split("\n")) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match !== null) fields.set((match[1] ?? "").toLowerCase(), (match[2] ?? "").trim());
    }
    const isBinary = (fields.get("types") ?? "").split(/\s+/).includes("deb");
    const hasMain = (fields.get("components") ?? "").split(/\s+/).includes("main");
    if (!isBinary || !hasMain || fields.get("enabled") === "no") continue;
    const isSecurity = (fields.get("suites") ?? "").includes("security");
    const uri = (fields.get("uris") ?? "").split(/\s+/)[0] ?? "";
    sources.push({ uri, signedBy: fields.get("signed-by"), isSecurity });
  }
  return sources;
}

/** The machine's own Debian mirrors: told from other repositories by the archive's path or its keyring. */
function debianSources(): DebianSource[] {
  const all = sourceFiles().flatMap((file) => {
    const text = readFileSync(file, "utf8");
    return file.endsWith(".sources") ? parseDeb822Sources(text) : parseOneLineSources(text);
  });
  return all.filter(({ uri, signedBy }) => {
    const path = uri.replace(/\/+$/, "");
    return path.endsWith("/debian") || path.endsWith("/debian-security") || (signedBy ?? "").includes("debian-archive");
  });
}

/** The lines of a private sources.list for one suite: of its packages, or of their sources. */
function sourcesList(suite: string, kind: "deb" | "deb-src"): string {
  const sources = debianSources();
  const mirror = sources.find((source) => !source.isSecurity);
  if (mirror === undefined) {
    throw new Error(
      `Looking for a Debian mirror in ${sourceFiles().join(", ") || "/etc/apt"}: none found. ` +
        "Test servers are Debian packages; add a line such as `deb <mirror>/debian bookworm main`.",
    );
  }
  // A mirror that lags behind serves an index past its Valid-Until; its signature is checked all the same.
  const options = `[check-valid-until=no signed-by=${mirror.signedBy?.startsWith("/") ? mirror.signedBy : KEYRING}]`;
  const lines = [`${kind} ${options} ${mirror.uri} ${suite} main`];
  // Of sources the suite's own do: mirrors of security updates do not always have them.
  const security = kind === "deb" ? sources.find((source) => source.isSecurity) : undefined;
  if (suite !== "sid" && security !== undefined)
    lines.push(`${kind} ${options} ${security.uri} ${suite}-security main`);
  return `${lines.join("\n")}\n`;
}

/** Proxies and certificates the machine's apt is set up with; its hooks and package state are left out. */
async function machineAcquireSettings(): Promise<string> {
  const { stdout } = await runChecked("apt-config", ["dump"]);
  const wanted = stdout.split("\n").filter((line) => /^Acquire::(https?|Retries|ForceIPv)/.test(line));
  return wanted.join("\n");
}

/** Makes the private apt root for a suite and returns the environment that selects it. */
async function makeAptRoot(suite: string, kind: "deb" | "deb-src" = "deb"): Promise<Record<string, string>> {
  const folder = join(SERVERS_CACHE, kind === "deb" ? `apt-${suite}` : `apt-source-${suite}`);
  const configFile = join(folder, "apt.conf");
  for (const inside of ["etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(folder, inside), { recursive: true });
  }
  writeFileSync(join(folder, "state/status"), "");
  writeFileSync(join(folder, "etc/sources.list"), sourcesList(suite, kind));
  const settings = [
    `Dir "${folder}";`,
    `Dir::Etc "${folder}/etc";`,
    `Dir::Etc::sourcelist "${folder}/etc/sources.list";`,
    `Dir::Etc::sourceparts "${folder}/etc/none";`,
    `Dir::Etc::netrc "/etc/apt/auth.conf";`,
    `Dir::Etc::netrcparts "/etc/apt/auth.conf.d";`,
    `Dir::State "${folder}/state";`,
    `Dir::State::status "${folder}/state/status";`,
    `Dir::Cache "${folder}/cache";`,
    'APT::Sandbox::User "root";',
    'APT::Install-Recommends "false";',
    'Debug::NoLocking "true";',
    'Acquire::Languages "none";',
    // Small rather than fast: the lists are read once.
    'Acquire::GzipIndexes "true";',
    'Dir::Cache::pkgcache "";',
    'Dir::Cache::srcpkgcache "";',
    await machineAcquireSettings(),
  ];
  writeFileSync(configFile, `${settings.join("\n")}\n`);
  const env = { APT_CONFIG: configFile, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  await runChecked("apt-get", ["update"], { env, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  return env;
}

const UNWANTED_LIBRARIES = /^lib(perl|systemd-shared|debconf|semanage|dbi-perl|pam-modules|.*-perl$)/;

/** Programs want libraries; maintainer scripts, perl and init systems that the packages also depend on they do not. */
function isWanted(name: string, recipe: RootRecipe): boolean {
  if (recipe.packages.includes(name)) return true;
  if (UNWANTED_LIBRARIES.test(name)) return false;
  return (
    name.startsWith("lib") ||
    name.startsWith("zlib") ||
    name.startsWith("python3") ||
    name === "openssl-provider-legacy"
  );
}

/** `package=version` of everything to download. */
async function resolvePackages(recipe: RootRecipe, env: Record<string, string>): Promise<string[]> {
  const { stdout } = await runChecked("apt-get", ["-s", "install", ...recipe.packages], { env });
  const wanted: string[] = [];
  for (const line of stdout.split("\n")) {
    const match = /^Inst (\S+) \((\S+) /.exec(line);
    if (match !== null && isWanted(match[1] ?? "", recipe)) wanted.push(`${match[1]}=${match[2]}`);
  }
  if (wanted.length < recipe.packages.length) {
    throw new Error(
      `Resolving ${recipe.packages.join(" ")} in ${recipe.suite}: apt proposes only ${wanted.join(" ")}.`,
    );
  }
  return [...wanted, ...recipe.alone];
}

async function download(recipe: RootRecipe, archives: string): Promise<string[]> {
  const env = await makeAptRoot(recipe.suite);
  const packages = await resolvePackages(recipe, env);
  mkdirSync(archives, { recursive: true });
  await runChecked("apt-get", ["download", ...packages], { env, cwd: archives, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  const files = readdirSync(archives).filter((file) => file.endsWith(".deb"));
  if (files.length < packages.length) {
    throw new Error(`Downloading ${packages.length} packages from ${recipe.suite}: ${files.length} files arrived.`);
  }
  return files.map((file) => join(archives, file));
}

function isComplete(folder: string, recipe: RootRecipe): boolean {
  try {
    return (
      existsSync(join(folder, "versions")) &&
      readFileSync(join(folder, "recipe.json"), "utf8") === JSON.stringify(recipe)
    );
  } catch {
    return false;
  }
}

async function unpack(recipe: RootRecipe, folder: string): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  const archives = join(draft, "archives");
  const packages = await download(recipe, archives);
  for (const file of packages) {
    const result = await run("dpkg", ["-x", file, draft]);
    if (result.code !== 0) throw new Error(`Unpacking ${basename(file)}: ${result.stderr}`);
  }
  for (const unneeded of [archives, join(draft, "usr/share/doc"), join(draft, "usr/share/man")]) {
    rmSync(unneeded, { recursive: true, force: true });
  }
  writeFileSync(join(draft, "versions"), packages.map((file) => basename(file)).join("\n"));
  writeFileSync(join(draft, "recipe.json"), JSON.stringify(recipe));
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
}

async function requireApt(recipe: RootRecipe): Promise<void> {
  const missing: string[] = [];
  for (const tool of ["apt-get", "dpkg"]) {
    const found = await run(tool, ["--version"]).then(
      (result) => result.code === 0,
      () => false,
    );
    if (!found) missing.push(tool);
  }
  if (missing.length === 0) return;
  throw new Error(
    `Getting ${recipe.packages.join(", ")} for the tests: this machine has no ${missing.join(" and no ")}. ` +
      "The tests with real servers run on Debian; run them there or in a Debian machine image.",
  );
}

function debianRoot(folder: string): DebianRoot {
  const { folder: triplet, loader } = multiarch();
  const libraries = [
    join(folder, "usr/lib", triplet),
    join(folder, "lib", triplet),
    join(folder, "usr/lib/mysql/private"),
    join(folder, "usr/lib/mysql-router"),
    join(folder, "usr/lib", triplet, "mysql-router"),
    join(folder, "lib", triplet, "systemd"),
    join(folder, "usr/lib", triplet, "systemd"),
  ];
  const loaders = [join(folder, "usr/lib", triplet, loader), join(folder, "lib", triplet, loader)];
  return {
    folder,
    path: (inside) => join(folder, inside),
    command(program, args) {
      const found = loaders.find((file) => existsSync(file));
      if (found === undefined)
        throw new Error(`Running ${program}: no loader in ${folder}. Remove the folder to install it again.`);
      return { command: found, args: ["--library-path", libraries.join(":"), join(folder, program), ...args] };
    },
  };
}

/**
 * The folder of a package's sources as their authors have them (without Debian's patches), of which only `members` are
 * unpacked. Downloaded and verified once per machine.
 */
export async function installSource(suite: string, name: string, members: readonly string[]): Promise<string> {
  const folder = join(SERVERS_CACHE, `source-${name}`);
  const list = JSON.stringify(members);
  const isThere = (): boolean =>
    existsSync(join(folder, "members")) && readFileSync(join(folder, "members"), "utf8") === list;
  if (isThere()) return folder;
  mkdirSync(SERVERS_CACHE, { recursive: true });
  await withLock(join(SERVERS_CACHE, `apt-source-${suite}.lock`), LOCK_TIMEOUT_MS, async () => {
    if (!isThere()) await unpackSource(suite, name, members, folder);
  });
  return folder;
}

async function unpackSource(suite: string, name: string, members: readonly string[], folder: string): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  const archives = join(draft, "archives");
  mkdirSync(archives, { recursive: true });
  const env = await makeAptRoot(suite, "deb-src");
  await runChecked("apt-get", ["source", "--download-only", name], {
    env,
    cwd: archives,
    timeoutMs: DOWNLOAD_TIMEOUT_MS,
  });
  const tarball = readdirSync(archives).find((file) => /\.orig\.tar\.[a-z0-9]+$/.test(file));
  if (tarball === undefined) throw new Error(`Downloading the sources of ${name} from ${suite}: no tarball arrived.`);
  const wanted = members.map((member) => `*/${member}`);
  const options = ["-C", draft, "--strip-components=1", "--no-same-owner", "--wildcards"];
  await runChecked("tar", ["-xf", join(archives, tarball), ...options, ...wanted], { timeoutMs: DOWNLOAD_TIMEOUT_MS });
  rmSync(archives, { recursive: true });
  writeFileSync(join(draft, "members"), JSON.stringify(members));
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
}

/** Unpacks the recipe's packages unless they are there already. Safe to call from several processes at once. */
export async function installRoot(recipe: RootRecipe): Promise<DebianRoot> {
  const folder = join(SERVERS_CACHE, recipe.name);
  if (!isComplete(folder, recipe)) {
    mkdirSync(SERVERS_CACHE, { recursive: true });
    await requireApt(recipe);
    // One installation at a time for each suite: they share its apt root.
    await withLock(join(SERVERS_CACHE, `apt-${recipe.suite}.lock`), LOCK_TIMEOUT_MS, async () => {
      if (!isComplete(folder, recipe)) await unpack(recipe, folder);
    });
  }
  return debianRoot(folder);
}
