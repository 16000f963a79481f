/** The finished file in dist/: what it is, what it must not let into itself, and what it needs around it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { after } from "node:test";
import { fileURLToPath } from "node:url";
import { environment, keepTrack, run, runChecked } from "../support/child.ts";
import { eventually } from "../support/eventually.ts";
import { pickPort } from "../support/servers.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const EXECUTABLE = join(PROJECT, "dist/querycop");
const VERSION = (JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as { version: string }).version;
const MARK = "HOSTILE CODE RAN";
const NOBODY = 65_534;

const folder = mkdtempSync(join(tmpdir(), "querycop-build-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("README says how large the file is", () => {
  const told = /One file\*\* of (\d+) MB/.exec(readFileSync(join(PROJECT, "README.md"), "utf8"))?.[1];
  const megabytes = statSync(EXECUTABLE).size / 1e6;
  assert.ok(Math.abs(megabytes - Number(told)) < 4, `it has ${megabytes.toFixed(1)} MB, README says ${told}`);
});

/** A working directory as an attacker would prepare it for whoever starts querycop there. */
function hostileFolder(): string {
  const where = mkdtempSync(join(folder, "hostile-"));
  writeFileSync(join(where, "evil.js"), `console.log("${MARK}");`);
  writeFileSync(join(where, "bunfig.toml"), 'preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n');
  writeFileSync(join(where, ".env"), "GATEKEEPER_BACKEND_HOST=evil.example\nNODE_TLS_REJECT_UNAUTHORIZED=0\n");
  writeFileSync(join(where, "package.json"), '{ "type": "module", "main": "./evil.js" }');
  writeFileSync(join(where, "tsconfig.json"), '{ "compilerOptions": { "paths": { "*": ["./evil.js"] } } }');
  return where;
}

test("querycop --version names the version, the commit and the runtime", async () => {
  const { stdout } = await runChecked(EXECUTABLE, ["--version"]);
  assert.match(
    stdout,
    /^querycop \S+ \(commit ([0-9a-f]{40}(-dirty)?|unknown), \d{4}-\d{2}-\d{2}, bun \d+\.\d+\.\d+\)\n$/,
  );
  assert.ok(stdout.startsWith(`querycop ${VERSION} `), stdout);
});

test("querycop runs no code and reads no variables of its working directory", async () => {
  const cwd = hostileFolder();
  const version = await run(EXECUTABLE, ["--version"], { cwd });
  assert.match(version.stdout, /^querycop /);
  const config = await run(EXECUTABLE, ["config"], { cwd, env: { GATEKEEPER_BACKEND_HOST: undefined } });
  assert.equal(config.code, 2, config.stdout);
  assert.match(config.stderr, /GATEKEEPER_BACKEND_HOST: missing/);
  for (const { stdout, stderr } of [version, config]) assert.ok(!`${stdout}${stderr}`.includes(MARK));
});

test("querycop ignores runtime options among its arguments and in NODE_OPTIONS", async () => {
  const cwd = hostileFolder();
  for (const args of [
    ["--preload", "./evil.js"],
    ["--require=./evil.js"],
    ["-e", `console.log("${MARK}")`],
    ["run", "./evil.js"],
    ["./evil.js"],
  ]) {
    const { code, stdout, stderr } = await run(EXECUTABLE, args, { cwd });
    assert.equal(code, 2, `${args.join(" ")}: ${stdout}${stderr}`);
    assert.ok(!stdout.includes(MARK) && !stderr.includes(`${MARK}\n`), args.join(" "));
  }
  const result = await run(EXECUTABLE, ["--version"], { cwd, env: { NODE_OPTIONS: `--require=${cwd}/evil.js` } });
  assert.equal(result.code, 0);
  assert.ok(!result.stdout.includes(MARK));
});

test("querycop does not start with a preload in BUN_OPTIONS, because code from strings is refused", async () => {
  const cwd = hostileFolder();
  const result = await run(EXECUTABLE, ["--version"], { cwd, env: { BUN_OPTIONS: `--preload ${cwd}/evil.js` } });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /EvalError: Code generation from strings disallowed/);
  assert.ok(!`${result.stdout}${result.stderr}`.includes(MARK));
});

test("querycop does not open a debugger for BUN_INSPECT", async () => {
  const port = await pickPort();
  const result = await run(EXECUTABLE, ["--version"], { env: { BUN_INSPECT: `ws://127.0.0.1:${port}/x` } });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /BUN_INSPECT cannot be used/);
});

/** The files that docs/deployment.md promises to be enough on this kind of machine. */
function documentedFiles(): readonly string[] {
  const row = readFileSync(join(PROJECT, "docs/deployment.md"), "utf8")
    .split("\n")
    .find((line) => line.startsWith(`| linux-${process.arch} |`));
  const files = row?.split("|")[2]?.trim().split(" ") ?? [];
  assert.ok(files.length > 1, `docs/deployment.md lists files for linux-${process.arch}`);
  return files;
}

function makeChroot(): string {
  const root = mkdtempSync(join(folder, "root-"));
  chmodSync(root, 0o755);
  for (const file of documentedFiles()) {
    assert.ok(existsSync(file), `${file} exists here: this test needs a machine with glibc`);
    mkdirSync(join(root, dirname(file)), { recursive: true });
    copyFileSync(file, join(root, file));
  }
  copyFileSync(EXECUTABLE, join(root, "querycop"));
  mkdirSync(join(root, "proc"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/hosts"), "127.0.0.1 database.test\n");
  return root;
}

/** Command line that becomes querycop in the chroot as nobody; its /proc is mounted in a namespace that ends with it. */
function inChroot(root: string, args: readonly string[]): readonly [command: string, args: readonly string[]] {
  const script = 'mount -t proc proc "$1/proc" && shift && exec "$@"';
  const chroot = ["chroot", `--userspec=${NOBODY}:${NOBODY}`, root, "/querycop", ...args];
  return ["unshare", ["--mount", "sh", "-c", script, "sh", root, ...chroot]];
}

/** Root in a container often may not mount; then only the tests outside of a chroot can run. */
const mayMount = await run("unshare", ["--mount", "true"]).then(
  ({ code }) => code === 0,
  () => false,
);
const skip = mayMount ? false : "needs root with the right to mount, for a chroot with /proc";

test("querycop starts in a chroot that holds what docs/deployment.md lists and nothing else", { skip }, async () => {
  const root = makeChroot();
  const [command, args] = inChroot(root, ["--version"]);
  assert.match((await runChecked(command, args)).stdout, /^querycop /);
});

test("querycop serves from that chroot and finds its backend by name", { skip }, async () => {
  const root = makeChroot();
  let dials = 0;
  const backend = createServer((socket) => {
    dials++;
    socket.destroy();
  });
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  const listenPort = await pickPort();
  const [command, args] = inChroot(root, ["serve"]);
  const child = spawn(command, [...args], {
    env: environment({
      GATEKEEPER_BACKEND_HOST: "database.test",
      GATEKEEPER_BACKEND_PORT: String((backend.address() as AddressInfo).port),
      GATEKEEPER_LISTEN_PORT: String(listenPort),
      GATEKEEPER_API_PORT: "0",
    }),
    stdio: ["ignore", "ignore", "pipe"],
  });
  keepTrack(child);
  let log = "";
  child.stderr.on("data", (text) => {
    log += text;
  });
  try {
    await eventually("querycop listens", () => log.includes("querycop listening"));
    const client = connect(listenPort, "127.0.0.1");
    client.on("error", () => {});
    await eventually("the backend was dialled", () => dials > 0);
    client.destroy();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
  } finally {
    child.kill("SIGKILL");
    backend.close();
  }
});

test("docs/deployment.md warns of what turns the file into something else", () => {
  const text = readFileSync(join(PROJECT, "docs/deployment.md"), "utf8");
  for (const word of ["strip", "BUN_BE_BUN", "setuid", "MemoryDenyWriteExecute"]) assert.ok(text.includes(word), word);
});

test("querycop explain reads PostgreSQL by the grammar that is compiled in", async () => {
  const sql = "WITH gone AS (DELETE FROM t RETURNING *) SELECT pg_read_file('/etc/passwd') FROM gone";
  const { stdout } = await runChecked(EXECUTABLE, ["explain", "--json", "--engine", "postgresql", sql]);
  const { understood, statements, rules } = JSON.parse(stdout) as {
    readonly understood: boolean;
    readonly statements: readonly { readonly kind: string }[];
    readonly rules: readonly { readonly id: string }[];
  };
  assert.equal(understood, true);
  assert.deepEqual(
    statements.map(({ kind }) => kind),
    ["select", "delete"],
  );
  assert.ok(rules.some(({ id }) => id === "pg.file"));
});

test("querycop explain asks the second parser, whose worker is compiled in", async () => {
  const { stdout } = await runChecked(EXECUTABLE, ["explain", "--json", "SELECT a FROM t WHERE b = 1"]);
  assert.equal((JSON.parse(stdout) as { secondOpinion: string }).secondOpinion, "agrees");
});
