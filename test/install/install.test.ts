/** install.sh under dash and busybox, against small releases on disk and on loopback. Needs Debian packages, not root. */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { releaseKeys, withReleaseKey } from "../../tools/release-keys.ts";
import { type RunResult, run, runChecked } from "../support/child.ts";
import { type DebianRoot, installRoot } from "../support/debian-root.ts";
import { requireTool } from "../support/install.ts";

const SCRIPT = fileURLToPath(new URL("../../install.sh", import.meta.url));
const EXECUTABLE = fileURLToPath(new URL("../../dist/querycop", import.meta.url));
const VERSION = "1.2.3";
const TARGETS = ["linux-x64", "linux-x64-musl", "linux-arm64", "linux-arm64-musl", "darwin-x64", "darwin-arm64"];
const CUT_STEP_BYTES = 200;

let tools: DebianRoot;
let minisign: DebianRoot;
let folder: string;
let release: string;
/** A PATH that has curl, whatever the machine has. */
let curlPath: string;
/** A PATH on which busybox is all there is. */
let busyboxPath: string;

before(async () => {
  tools = await installRoot({
    name: "shells",
    suite: "bookworm",
    packages: ["shellcheck", "curl"],
    alone: ["busybox-static", "dash"],
  });
  minisign = await installRoot({ name: "minisign", suite: "bookworm", packages: ["minisign"], alone: [] });
  folder = mkdtempSync(join(tmpdir(), "querycop-install-"));
  release = join(folder, "release");
  writeRelease(release, VERSION);
  const curl = tools.command("usr/bin/curl", ['"$@"']);
  const withCurl = fakePrograms({ curl: `exec ${curl.command} ${curl.args.join(" ")}` });
  curlPath = `${withCurl}:${process.env["PATH"] ?? "/usr/bin:/bin"}`;
  busyboxPath = join(folder, "busybox");
  mkdirSync(busyboxPath);
  const { stdout } = await runChecked(busybox(), ["--list"]);
  for (const applet of stdout.trim().split("\n")) symlinkSync(busybox(), join(busyboxPath, applet));
});

after(() => rmSync(folder, { recursive: true, force: true }));

const busybox = (): string => tools.path("bin/busybox");

interface Shell {
  readonly name: string;
  readonly command: () => readonly string[];
  readonly path: () => string;
}

const SHELLS: readonly Shell[] = [
  { name: "dash", command: () => [tools.path("bin/dash")], path: () => curlPath },
  { name: "busybox", command: () => [busybox(), "sh"], path: () => busyboxPath },
];

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function writeProgram(file: string, body: string): void {
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

function writeRelease(where: string, version: string): void {
  mkdirSync(where, { recursive: true });
  const names = TARGETS.map((target) => `querycop-${target}`);
  for (const name of names)
    writeProgram(join(where, name), `# ${name}\necho "querycop ${version} (0123abc, 2026-01-01)"`);
  writeFileSync(join(where, "SHA256SUMS"), names.map((name) => `${sha256(join(where, name))}  ${name}\n`).join(""));
}

interface Attempt extends RunResult {
  readonly installDir: string;
  /** Content of the install folder; empty when there is none. */
  readonly files: readonly string[];
}

interface AttemptOptions {
  readonly shell?: Shell;
  readonly baseUrl?: string;
  readonly installDir?: string;
  readonly script?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly pathBefore?: string;
}

/** Feeds the script to a shell's standard input, as `curl … | sh` does. */
async function install(options: AttemptOptions = {}): Promise<Attempt> {
  const shell = options.shell ?? (SHELLS[0] as Shell);
  const installDir = options.installDir ?? mkdtempSync(join(folder, "into-"));
  const [command = "", ...args] = shell.command();
  const path = options.pathBefore === undefined ? shell.path() : `${options.pathBefore}:${shell.path()}`;
  const result = await run(command, args, {
    input: options.script ?? readFileSync(SCRIPT, "utf8"),
    cwd: folder,
    env: {
      PATH: path,
      QUERYCOP_BASE_URL: options.baseUrl ?? `file://${release}`,
      QUERYCOP_INSTALL_DIR: installDir,
      QUERYCOP_VERSION: undefined,
      QUERYCOP_PUBLIC_KEY: undefined,
      ...options.env,
    },
  });
  return { ...result, installDir, files: existsSync(installDir) ? readdirSync(installDir) : [] };
}

function assertRefused(attempt: Attempt, reason: RegExp): void {
  assert.equal(attempt.code, 1, attempt.stderr);
  assert.match(attempt.stderr, reason);
  assert.deepEqual(attempt.files, []);
}

/** A folder of programs that answer in place of the machine's own. */
function fakePrograms(programs: Readonly<Record<string, string>>): string {
  const where = mkdtempSync(join(folder, "fake-"));
  for (const [name, body] of Object.entries(programs)) writeProgram(join(where, name), body);
  return where;
}

test("install.sh passes shellcheck as a POSIX script", async () => {
  const { command, args } = tools.command("usr/bin/shellcheck", ["--shell=sh", "--severity=style", SCRIPT]);
  const result = await run(command, args);
  assert.equal(result.code, 0, result.stdout);
});

for (const shell of SHELLS) {
  test(`install.sh installs a program that runs, under ${shell.name}`, async () => {
    const attempt = await install({ shell });
    assert.equal(attempt.code, 0, attempt.stderr);
    assert.deepEqual(attempt.files, ["querycop"]);
    assert.equal(attempt.stdout, "");
    const program = join(attempt.installDir, "querycop");
    assert.equal(statSync(program).mode & 0o777, 0o755);
    assert.match((await runChecked(program, ["--version"])).stdout, /^querycop 1\.2\.3 /);
    assert.match(attempt.stderr, /installed .*\/querycop\n.*next: .*querycop/);
  });

  test(`install.sh leaves an equal program alone, under ${shell.name}`, async () => {
    const { installDir } = await install({ shell });
    const before = statSync(join(installDir, "querycop"));
    const again = await install({ shell, installDir });
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /already this version/);
    assert.equal(statSync(join(installDir, "querycop")).ino, before.ino);
  });

  test(`install.sh replaces an older program by a new file, under ${shell.name}`, async () => {
    const { installDir } = await install({ shell });
    const before = statSync(join(installDir, "querycop"));
    const newer = join(folder, `newer-${shell.name}`);
    writeRelease(newer, "1.3.0");
    const upgrade = await install({ shell, installDir, baseUrl: `file://${newer}` });
    assert.equal(upgrade.code, 0, upgrade.stderr);
    assert.deepEqual(upgrade.files, ["querycop"]);
    assert.notEqual(statSync(join(installDir, "querycop")).ino, before.ino);
    assert.match((await runChecked(join(installDir, "querycop"), ["--version"])).stdout, /^querycop 1\.3\.0 /);
  });

  test(`install.sh refuses a file that differs by one bit, under ${shell.name}`, async () => {
    const tampered = join(folder, `tampered-${shell.name}`);
    writeRelease(tampered, VERSION);
    for (const target of TARGETS) {
      const file = join(tampered, `querycop-${target}`);
      const bytes = readFileSync(file);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(file, bytes);
    }
    assertRefused(
      await install({ shell, baseUrl: `file://${tampered}` }),
      /its SHA-256 is [0-9a-f]{64}, SHA256SUMS says/,
    );
  });

  test(`install.sh does nothing when cut off anywhere, under ${shell.name}`, async () => {
    const script = readFileSync(SCRIPT, "utf8");
    const ends = [script.trimEnd().length - 1, script.lastIndexOf("main") + "main".length];
    for (let end = 0; end < script.length; end += CUT_STEP_BYTES) ends.push(end);
    for (const end of ends) {
      const attempt = await install({ shell, script: script.slice(0, end) });
      assert.deepEqual(attempt.files, [], `cut after ${end} bytes`);
    }
  });

  test(`install.sh downloads over HTTP from this machine, under ${shell.name}`, async () => {
    const server = createServer((request, response) => {
      const file = join(release, request.url ?? "/");
      if (existsSync(file)) response.end(readFileSync(file));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const attempt = await install({ shell, baseUrl });
      assert.equal(attempt.code, 0, attempt.stderr);
      assert.deepEqual(attempt.files, ["querycop"]);
      assertRefused(await install({ shell, baseUrl: `${baseUrl}/absent` }), /Cannot download .*SHA256SUMS/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

test("install.sh installs the compiled executable", async () => {
  const real = join(folder, "real");
  mkdirSync(real);
  for (const target of TARGETS) symlinkSync(EXECUTABLE, join(real, `querycop-${target}`));
  const sum = sha256(EXECUTABLE);
  writeFileSync(join(real, "SHA256SUMS"), TARGETS.map((target) => `${sum}  querycop-${target}\n`).join(""));
  const attempt = await install({ baseUrl: `file://${real}` });
  assert.equal(attempt.code, 0, attempt.stderr);
  assert.equal(sha256(join(attempt.installDir, "querycop")), sum);
});

test("install.sh installs below the home folder when no other is named", async () => {
  const home = mkdtempSync(join(folder, "home-"));
  const attempt = await install({ env: { QUERYCOP_INSTALL_DIR: undefined, HOME: home } });
  assert.equal(attempt.code, 0, attempt.stderr);
  assert.deepEqual(readdirSync(join(home, ".local/bin")), ["querycop"]);
  assert.match(attempt.stderr, /\.local\/bin is not on your PATH/);
});

test("install.sh takes a named version from its own folder and holds the file to it", async () => {
  const versions = join(folder, "versions");
  writeRelease(versions, "2.0.0");
  writeRelease(join(versions, "v1.9.0"), "1.9.0");
  writeRelease(join(versions, "v1.8.0"), "1.8.0-rc.1");
  const older = await install({ baseUrl: `file://${versions}`, env: { QUERYCOP_VERSION: "v1.9.0" } });
  assert.equal(older.code, 0, older.stderr);
  assert.match(older.stderr, /downloaded querycop 1\.9\.0 /);
  assertRefused(
    await install({ baseUrl: `file://${versions}`, env: { QUERYCOP_VERSION: "1.8.0" } }),
    /asked for querycop 1\.8\.0, the file says "querycop 1\.8\.0-rc\.1/,
  );
  assertRefused(
    await install({ baseUrl: `file://${versions}`, env: { QUERYCOP_VERSION: "../v1.9.0" } }),
    /QUERYCOP_VERSION is "\.\.\/v1\.9\.0"/,
  );
});

test("install.sh picks the file by processor and C library", async () => {
  const cases: readonly (readonly [system: string, machine: string, ldd: string, wanted: RegExp])[] = [
    ["Linux", "x86_64", "ldd (Debian GLIBC 2.36) 2.36", /\/querycop-linux-x64\n/],
    ["Linux", "aarch64", "ldd (Debian GLIBC 2.36) 2.36", /\/querycop-linux-arm64\n/],
    ["Linux", "x86_64", "musl libc (x86_64)", /\/querycop-linux-x64-musl\n/],
    ["Linux", "aarch64", "musl libc (aarch64)", /\/querycop-linux-arm64-musl\n/],
  ];
  for (const [system, machine, ldd, wanted] of cases) {
    const pathBefore = fakePrograms({
      uname: `case $1 in -s) echo ${system} ;; -m) echo ${machine} ;; esac`,
      ldd: `echo "${ldd}"`,
    });
    const attempt = await install({ pathBefore });
    assert.equal(attempt.code, 0, attempt.stderr);
    assert.match(attempt.stderr, wanted);
  }
});

test("install.sh picks the file for a Mac by its processor, also under Rosetta", async () => {
  for (const [machine, translated, wanted] of [
    ["arm64", "echo 0", /\/querycop-darwin-arm64\n/],
    ["x86_64", "echo 1", /\/querycop-darwin-arm64\n/],
    ["x86_64", "echo 0", /\/querycop-darwin-x64\n/],
    // An Intel Mac knows no such value.
    ["x86_64", "exit 1", /\/querycop-darwin-x64\n/],
  ] as const) {
    const pathBefore = fakePrograms({
      uname: `case $1 in -s) echo Darwin ;; -m) echo ${machine} ;; esac`,
      sysctl: translated,
    });
    const attempt = await install({ pathBefore });
    assert.equal(attempt.code, 0, attempt.stderr);
    assert.match(attempt.stderr, wanted);
  }
});

/** A signed release, its key, and where the signature is. */
function signedRelease(): { readonly where: string; readonly publicKey: string; readonly signature: string } {
  const where = mkdtempSync(join(folder, "signed-"));
  writeRelease(where, VERSION);
  const key = join(where, "key.pem");
  writeFileSync(key, generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
  const { publicKey, sign } = releaseKeys({ QUERYCOP_SIGNING_KEY_FILE: key });
  assert.ok(publicKey !== undefined && sign !== undefined);
  const signature = join(where, "SHA256SUMS.minisig");
  writeFileSync(signature, sign(readFileSync(join(where, "SHA256SUMS")), `querycop ${VERSION}`));
  return { where, publicKey, signature };
}

/** A PATH whose one program to check signatures with is the named one. */
function verifierPath(name: "minisign" | "openssl" | "none"): string {
  const { command, args } = minisign.command("usr/bin/minisign", ['"$@"']);
  // An OpenSSL before 3, and LibreSSL, do not know what is needed.
  const openssl = name === "openssl" ? {} : { openssl: "exit 1" };
  return fakePrograms({
    ...(name === "minisign" ? { minisign: `exec ${command} ${args.join(" ")}` } : {}),
    ...openssl,
  });
}

for (const verifier of ["minisign", "openssl"] as const) {
  test(`install.sh installs what the key signed and nothing else, with ${verifier}`, async () => {
    if (verifier === "openssl") await requireTool("openssl");
    const { where, publicKey, signature } = signedRelease();
    const options = { baseUrl: `file://${where}`, pathBefore: verifierPath(verifier) };
    const env = { QUERYCOP_PUBLIC_KEY: publicKey };
    const good = await install({ ...options, env });
    assert.equal(good.code, 0, good.stderr);
    assert.ok(good.stderr.includes(`SHA256SUMS is signed by ${publicKey}`), good.stderr);

    const released = withReleaseKey(readFileSync(SCRIPT, "utf8"), publicKey);
    const byScript = await install({ ...options, script: released });
    assert.ok(byScript.stderr.includes(`SHA256SUMS is signed by ${publicKey}`), byScript.stderr);

    const other = signedRelease();
    const text = readFileSync(signature, "utf8");
    assertRefused(await install({ ...options, env: { QUERYCOP_PUBLIC_KEY: other.publicKey } }), /is not signed by RW/);
    assertRefused(
      await install({ ...options, env: { QUERYCOP_PUBLIC_KEY: "RWnonsense" } }),
      /is not signed by RWnonsense/,
    );
    writeFileSync(signature, readFileSync(other.signature));
    assertRefused(await install({ ...options, env }), /is not signed by/);
    writeFileSync(signature, "");
    assertRefused(await install({ ...options, env }), /is not signed by/);
    writeFileSync(signature, text);
    writeFileSync(join(where, "SHA256SUMS"), `${readFileSync(join(where, "SHA256SUMS"), "utf8")}\n`);
    assertRefused(await install({ ...options, script: released }), /is not signed by/);
    rmSync(signature);
    assertRefused(await install({ ...options, script: released }), /Cannot read .*SHA256SUMS\.minisig/);
    const without = await install({ ...options, script: released, env: { QUERYCOP_PUBLIC_KEY: "" } });
    assert.equal(without.code, 0, without.stderr);
  });
}

test("install.sh with a key installs nothing where no program can check the signature", async () => {
  const { where, publicKey } = signedRelease();
  const attempt = await install({
    baseUrl: `file://${where}`,
    pathBefore: verifierPath("none"),
    env: { QUERYCOP_PUBLIC_KEY: publicKey },
  });
  assertRefused(attempt, /install minisign or OpenSSL 3, or set QUERYCOP_PUBLIC_KEY= to do without/);
});

test("install.sh refuses machines there is no release for", async () => {
  for (const [system, machine] of [
    ["Linux", "riscv64"],
    ["Linux", "armv7l"],
    ["Linux", "i686"],
    ["Darwin", "ppc"],
    ["FreeBSD", "amd64"],
    ["MINGW64_NT-10.0-19045", "x86_64"],
  ]) {
    const pathBefore = fakePrograms({ uname: `case $1 in -s) echo ${system} ;; -m) echo ${machine} ;; esac` });
    assertRefused(await install({ pathBefore }), /releases exist for|download querycop-windows-x64\.exe/);
  }
});

test("install.sh refuses a list without exactly one sound line for the file", async () => {
  const good = readFileSync(join(release, "SHA256SUMS"), "utf8");
  const lists = [
    "",
    good.replaceAll("querycop-", "other-"),
    good + good,
    good.replaceAll(/[0-9a-f]{64}/g, "0"),
    "<html>",
  ];
  for (const [index, list] of lists.entries()) {
    const where = join(folder, `list-${index}`);
    writeRelease(where, VERSION);
    writeFileSync(join(where, "SHA256SUMS"), list);
    assertRefused(await install({ baseUrl: `file://${where}` }), /no valid line for it/);
  }
});

test("install.sh refuses a file that does not start, or is some other program", async () => {
  for (const [body, reason] of [
    ["exit 3", /does not start on this machine/],
    ["echo 1.4.5", /the file says "1\.4\.5"/],
    ["echo querycop", /the file says "querycop"/],
  ] as const) {
    const where = mkdtempSync(join(folder, "broken-"));
    for (const target of TARGETS) writeProgram(join(where, `querycop-${target}`), body);
    writeFileSync(
      join(where, "SHA256SUMS"),
      TARGETS.map((target) => `${sha256(join(where, `querycop-${target}`))}  querycop-${target}\n`).join(""),
    );
    assertRefused(await install({ baseUrl: `file://${where}` }), reason);
  }
});

test("install.sh refuses addresses that anyone could answer for", async () => {
  for (const baseUrl of [
    "http://releases.example",
    "http://127.0.0.1.releases.example",
    "http://localhost@releases.example",
    "http://localhost:80@releases.example/",
    "http://127.0.0.1:x/",
    "ftp://localhost",
    "https://",
    "relative",
    "--output=x",
  ]) {
    assertRefused(await install({ baseUrl }), /QUERYCOP_BASE_URL must begin with/);
  }
  assertRefused(await install({ baseUrl: "" }), /QUERYCOP_BASE_URL is not set/);
});

test("install.sh refuses a server whose certificate nobody vouches for, and busybox's wget for HTTPS", async () => {
  await requireTool("openssl");
  const key = join(folder, "key.pem");
  const cert = join(folder, "cert.pem");
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await runChecked("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...subject]);
  let requests = 0;
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    requests++;
    response.end(readFileSync(join(release, request.url ?? "/")));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `https://localhost:${(server.address() as AddressInfo).port}`;
  try {
    const [dash, busyboxShell] = SHELLS;
    assert.ok(dash && busyboxShell);
    assertRefused(await install({ shell: dash, baseUrl }), /Cannot download/);
    assertRefused(await install({ shell: busyboxShell, baseUrl }), /this wget does not check certificates/);
    assert.equal(requests, 0);
    const trusted = await install({ shell: dash, baseUrl, env: { CURL_CA_BUNDLE: cert, SSL_CERT_FILE: cert } });
    assert.equal(trusted.code, 0, trusted.stderr);
    assert.equal(requests, 2);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("install.sh refuses arguments and a folder it cannot write to", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  const blocked = await install({ installDir: join(file, "below") });
  assert.equal(blocked.code, 1);
  assert.match(blocked.stderr, /Cannot create .*set QUERYCOP_INSTALL_DIR/);
  const [command = "", ...args] = (SHELLS[0] as Shell).command();
  const result = await run(command, [...args, SCRIPT, "--yes"], { cwd: folder });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /Unknown argument "--yes"/);
});
