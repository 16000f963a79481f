/**
 * Starts a TypeScript tool of this project on a machine that has only Node and npm: `node tools/run.mjs tools/test.ts`.
 * Installs the pinned npm packages when they are missing, then runs the tool with the Bun that came with them.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "..");
const NODE_MAJOR_MIN = 20;

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** True when every package that package.json names is there in exactly the version it names. */
function packagesInstalled() {
  const { dependencies, devDependencies } = readJson(join(PROJECT, "package.json"));
  return Object.entries({ ...dependencies, ...devDependencies }).every(([name, version]) => {
    const manifest = join(PROJECT, "node_modules", name, "package.json");
    return existsSync(manifest) && readJson(manifest).version === version;
  });
}

function installPackages() {
  console.error("npm packages are missing or outdated: running npm ci");
  const npm = spawnSync("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"], {
    cwd: PROJECT,
    stdio: ["ignore", 2, 2],
  });
  if (npm.error !== undefined) fail(`Cannot run npm: ${npm.error.message}`);
  if (npm.status !== 0) fail(`Cannot install the npm packages: npm ci ended with ${npm.status ?? npm.signal}`);
}

function runs(program) {
  return existsSync(program) && spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}

/**
 * npm may be set not to run install scripts; then node_modules/.bin/bun is a stub and the real program is where npm
 * unpacked it. Of the two Linux flavours the one that starts is the right one.
 */
function findBun() {
  const arch = process.arch === "arm64" ? "aarch64" : process.arch;
  const packages =
    process.platform === "linux" ? [`linux-${arch}`, `linux-${arch}-musl`] : [`${process.platform}-${arch}`];
  const candidates = [
    join(PROJECT, "node_modules/bun/bin/bun.exe"),
    ...packages.map((name) => join(PROJECT, "node_modules/@oven", `bun-${name}`, "bin/bun")),
  ];
  const found = candidates.find(runs);
  if (found === undefined)
    fail(`Cannot find a Bun that starts: tried ${candidates.join(", ")}. Remove node_modules and run npm ci`);
  return found;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR_MIN) {
  fail(`Cannot run on Node ${process.versions.node}: Node ${NODE_MAJOR_MIN} or newer is needed`);
}
const [script, ...rest] = process.argv.slice(2);
if (script === undefined) fail("usage: node tools/run.mjs TOOL.ts [ARGUMENT...]");
if (!packagesInstalled()) installPackages();

const bun = findBun();
const child = spawn(bun, ["--no-env-file", script, ...rest], {
  cwd: PROJECT,
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.once("error", (error) => fail(`Cannot run ${script}: ${error.message}`));
child.once("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
