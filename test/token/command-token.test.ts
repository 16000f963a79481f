import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { CommandTokenSource, childEnvironment } from "../../src/token/command-token.ts";
import { type MintedToken, TokenMintError, type TokenTarget } from "../../src/token/token.ts";
import { eventually } from "../support/eventually.ts";

const TARGET: TokenTarget = { host: "db.example", port: 3306, region: "eu-west-1", user: "iam_user" };
const TOKEN = "CANARY0123456789abcdefghij";
const PATH = process.env["PATH"] ?? "/usr/bin:/bin";

function mint(command: string, timeoutMs = 10_000, signal = new AbortController().signal): Promise<MintedToken> {
  return new CommandTokenSource({ command, timeoutMs, environment: { PATH } }).mint(TARGET, signal);
}

async function failure(work: Promise<MintedToken>): Promise<TokenMintError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof TokenMintError);
    return error;
  }
  assert.fail("a token came out");
}

const text = (minted: MintedToken): string => new TextDecoder().decode(minted.value);

const GOOD: readonly (readonly [name: string, command: string])[] = [
  ["a token and LF", `echo ${TOKEN}`],
  ["a token without a newline", `printf %s ${TOKEN}`],
  ["a token and CRLF", `printf '%s\\r\\n' ${TOKEN}`],
  ["a second line", `echo ${TOKEN}; echo a notice of an update`],
  ["two line breaks", `printf '%s\\r\\n\\r\\n' ${TOKEN}`],
  ["noise on stderr", `echo warning >&2; echo ${TOKEN}`],
  ["2 MB on stderr", `head -c 2000000 /dev/zero >&2; echo ${TOKEN}`],
  ["a token in two writes", `printf %s CANARY; sleep 0.05; printf %s 0123456789abcdefghij`],
  ["stdout closed before the end", `echo ${TOKEN}; exec >&-; sleep 0.05`],
];

for (const [name, command] of GOOD) {
  test(`mint() takes the token of a command with ${name}`, async () => {
    assert.equal(text(await mint(command)), TOKEN);
  });
}

const BAD: readonly (readonly [reason: string, name: string, command: string])[] = [
  ["empty", "prints nothing", "true"],
  ["empty", "prints a newline only", "echo"],
  ["bad-shape", "prints spaces only", "printf '                         '"],
  ["empty", "prints the token on the second line", `echo; echo ${TOKEN}`],
  ["bad-shape", "prints something else first", `echo update available; echo ${TOKEN}`],
  ["bad-shape", "prints a NUL", `printf '${TOKEN}\\000'`],
  ["bad-shape", "prints CR inside", `printf 'CANARY01234\\r56789abcdefghij\\n'`],
  ["bad-shape", "prints a byte above ASCII", `printf '${TOKEN}\\303\\251\\n'`],
  ["bad-shape", "prints 19 characters", "echo 1234567890123456789"],
  [
    "bad-shape",
    "prints an HTML page",
    "echo '<!DOCTYPE html><html><body>Sign in to the proxy first, please</body></html>'",
  ],
  ["bad-shape", "prints an HTML page without a space", "echo '<html><body>Forbidden</body></html>'"],
  ["bad-shape", "prints JSON", `echo '{"accessToken":"${TOKEN}"}'`],
  ["too-long", "prints 8193 characters", "head -c 8193 /dev/zero | tr '\\000' x"],
  ["too-long", "prints 2 MB", "head -c 2000000 /dev/zero | tr '\\000' x"],
  ["exit-status", "prints a token and fails", `echo ${TOKEN}; exit 3`],
  ["killed", "is killed", "kill -KILL $$"],
  ["not-found", "is not found", "querycop-no-such-program"],
  ["not-executable", "is not executable", "/etc/passwd"],
];

for (const [reason, name, command] of BAD) {
  test(`mint() refuses a command that ${name}: ${reason}`, async () => {
    const error = await failure(mint(command));
    assert.equal(error.reason, reason);
    assert.ok(!`${error.message}${error.detail}`.includes("CANARY"));
  });
}

const SLOW: readonly (readonly [name: string, command: string])[] = [
  ["hangs", "sleep 30"],
  ["hangs after its output", `echo ${TOKEN}; sleep 30`],
  ["ignores TERM", "trap '' TERM INT HUP; while :; do sleep 1; done"],
  ["has a grandchild that hangs", "sh -c 'sleep 30 & wait'"],
];

for (const [name, command] of SLOW) {
  test(`mint() ends a command that ${name} at the deadline, with its whole group`, async () => {
    const beganMs = performance.now();
    const error = await failure(mint(`echo $$ >&2; ${command}`, 1000));
    const tookMs = performance.now() - beganMs;
    assert.equal(error.reason, "timeout");
    assert.ok(tookMs < 15_000, `took ${tookMs} ms`);
    await gone(Number(error.detail.split("\n")[0]));
  });
}

test("mint() is not delayed by a background process that holds the pipe, and ends it", async () => {
  const beganMs = performance.now();
  const minted = await mint(`sleep 30 & echo ${TOKEN}`);
  assert.equal(text(minted), TOKEN);
  assert.ok(performance.now() - beganMs < 15_000);
});

test("mint() stops a command that never stops printing", async () => {
  assert.equal((await failure(mint("yes"))).reason, "too-long");
  assert.equal((await failure(mint("yes & exit 0"))).reason, "too-long");
});

test("mint() stops the command when the signal aborts", async () => {
  const stop = new AbortController();
  const work = failure(mint("sleep 30", 10_000, stop.signal));
  stop.abort();
  assert.equal((await work).reason, "stopped");
  assert.equal((await failure(mint("sleep 30", 10_000, stop.signal))).reason, "stopped");
});

test("a failed mint() reports stderr without tokens, keys and long secrets", async () => {
  const secret = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6";
  const { detail } = await failure(
    mint(`set -x; echo ${TOKEN}; echo "Unable to locate credentials: ${secret} X-Amz-Signature=abcdef01" >&2; exit 1`),
  );
  assert.match(detail, /Unable to locate credentials/);
  for (const leak of ["CANARY", secret, "abcdef01"]) assert.ok(!detail.includes(leak), detail);
});

test("a failed mint() keeps 4 KiB of stderr at most", async () => {
  const { detail } = await failure(mint("yes 'no credentials' | head -c 100000 >&2; exit 1"));
  assert.ok(detail.length > 3000 && detail.length <= 4096, String(detail.length));
});

test("the command's environment is the parent's less querycop's own, plus the target", async () => {
  const parent = {
    PATH,
    HOME: "/nowhere",
    AWS_PROFILE: "prod",
    ADMIN_API_KEY: "CANARY-admin",
    GATEKEEPER_BACKEND_HOST: "CANARY-host",
    NOTIFY_SOCKET: "/run/CANARY",
    LISTEN_FDS: "1",
    QUERYCOP_BACKEND_REGION: "CANARY-region",
    UNSET: undefined,
  };
  const source = new CommandTokenSource({ command: "env | sort | tr '\\n' '|'", environment: parent });
  const minted = await source.mint({ ...TARGET, region: undefined }, new AbortController().signal);
  const seen = text(minted)
    .split("|")
    .filter(
      (entry) =>
        entry !== "" &&
        !["PWD=", "OLDPWD=", "_=", "SHLVL=", "QUERYCOP_TOKEN_RUN="].some((own) => entry.startsWith(own)),
    );
  assert.deepEqual(seen, [
    "AWS_PROFILE=prod",
    "HOME=/nowhere",
    `PATH=${PATH}`,
    "QUERYCOP_BACKEND_HOST=db.example",
    "QUERYCOP_BACKEND_PORT=3306",
    "QUERYCOP_BACKEND_USER=iam_user",
  ]);
  assert.equal(childEnvironment(parent, TARGET)["QUERYCOP_BACKEND_REGION"], "eu-west-1");
});

test("mint() hands values to the command without the shell reading them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-token-"));
  try {
    const user = `$(touch ${folder}/pwned)\`touch ${folder}/pwned\`'; touch ${folder}/pwned; '`;
    const source = new CommandTokenSource({
      command: `printf %s "$QUERYCOP_BACKEND_USER" | od -An -tx1 | tr -d ' \\n'`,
      environment: { PATH },
    });
    const minted = await source.mint({ ...TARGET, user }, new AbortController().signal);
    assert.equal(
      text(minted),
      Array.from(new TextEncoder().encode(user), (b) => b.toString(16).padStart(2, "0")).join(""),
    );
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("mint() leaves no zombie, no process and no descriptor behind", async () => {
  await mint(`echo ${TOKEN}`);
  await failure(mint("sleep 30", 20));
  const before = readdirSync("/proc/self/fd").length;
  for (let round = 0; round < 5; round++) {
    await Promise.all([
      mint(`echo ${TOKEN}`),
      mint(`sleep 30 & echo ${TOKEN}`),
      failure(mint("sleep 30", 50)),
      failure(mint("yes")),
      failure(mint("querycop-no-such-program")),
    ]);
  }
  await until(() => childStates().length === 0 && readdirSync("/proc/self/fd").length <= before);
});

/** States of our children, among them Z for zombies. */
function childStates(): string[] {
  const children = execFileSync("ps", ["-o", "stat=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  return children.split("\n").filter((line) => line !== "" && !line.endsWith(" ps"));
}

function gone(pid: number): Promise<void> {
  assert.ok(pid > 1);
  return until(() => {
    const groups = execFileSync("ps", ["-A", "-o", "pgid=,stat="], { encoding: "utf8" }).split("\n");
    return !groups.some((line) => Number(line.trim().split(" ")[0]) === pid && !line.includes("Z"));
  });
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 3000;
  while (!isTrue()) {
    if (performance.now() > deadlineMs) assert.fail(`still: ${childStates().join(", ")} ${fds()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function fds(): string {
  return `${readdirSync("/proc/self/fd").length} descriptors, ${readFileSync("/proc/self/status", "utf8").length}`;
}

for (const [what, command] of [
  ["a session of its own", "setsid sh -c 'echo $$ > PIDS; exec sleep 600' >/dev/null 2>&1 &"],
  [
    "closed pipes in the shell's group",
    "(echo $$ > /dev/null; exec sh -c 'echo $$ > PIDS; exec sleep 600') >/dev/null 2>&1 &",
  ],
] as const) {
  test(`a child of the command that stays with ${what} is killed`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "querycop-setsid-"));
    const file = join(folder, "pid");
    try {
      const waiting = `while [ ! -s ${file} ]; do sleep 0.01; done`;
      const minted = await mint(`${command.replace("PIDS", file)} ${waiting}; echo ${TOKEN}`);
      assert.equal(text(minted), TOKEN);
      const pid = Number(readFileSync(file, "utf8"));
      await eventually("it is gone", () => isGone(pid));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** A zombie that nobody has waited for yet has ended as well. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}
