import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { inspect } from "node:util";
import type { Clock } from "../../src/base/clock.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { createLogger, silentLogger } from "../../src/base/log.ts";
import { Slots } from "../../src/base/slots.ts";
import { CommandTokenSource } from "../../src/token/command-token.ts";
import {
  type MintedToken,
  type Token,
  TokenMintError,
  type TokenSource,
  type TokenTarget,
} from "../../src/token/token.ts";
import { type MintReport, TokenManager, type TokenManagerOptions } from "../../src/token/token-manager.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { HOSTILE_USERS } from "./hostile-users.ts";

const TARGET: TokenTarget = { host: "db.example", port: 3306, region: "eu-west-1", user: "app" };
const MINUTE = 60_000;

/** Mints numbered tokens; each mint waits until the test lets it end. */
class FakeSource implements TokenSource {
  readonly name = "command";
  readonly clock: Clock;
  count = 0;
  running = 0;
  runningMax = 0;
  stopped = 0;
  lifeSeconds: number | undefined = 900;
  credentialsExpireAtMs: number | undefined;
  failure: TokenMintError | undefined;
  gate: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  async mint(target: TokenTarget, signal: AbortSignal): Promise<MintedToken> {
    const number = ++this.count;
    this.runningMax = Math.max(this.runningMax, ++this.running);
    await this.gate;
    this.running--;
    if (signal.aborted) {
      this.stopped++;
      throw new TokenMintError("stopped", "stopped");
    }
    if (this.failure !== undefined) throw this.failure;
    const date = new Date(this.clock.wallMs()).toISOString().replaceAll(/[-:]|\.\d+/g, "");
    const expiry = this.lifeSeconds === undefined ? "" : `&X-Amz-Date=${date}&X-Amz-Expires=${this.lifeSeconds}`;
    const text = `${target.host}:${target.port}/?Action=connect&DBUser=${target.user}${expiry}&n=${number}`;
    return { value: new TextEncoder().encode(text), credentialsExpireAtMs: this.credentialsExpireAtMs };
  }
}

function setUp(options: Partial<TokenManagerOptions> = {}) {
  const clock = new FakeClock();
  const source = new FakeSource(clock);
  const reports: MintReport[] = [];
  const manager = new TokenManager({
    source,
    clock,
    logger: silentLogger,
    refreshAheadMs: 0,
    loginsPerSecond: 1e6,
    loginBurst: 1e6,
    onMint: (report) => reports.push(report),
    ...options,
  });
  return { clock, source, manager, reports };
}

function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

const text = (token: Token): string => new TextDecoder().decode(token.value);
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof QuerycopError, String(error));
    return error.code;
  }
  return "ok";
}

test("mintToken() mints once for a thousand logins at once, and each gets its own copy", async () => {
  const { manager, source } = setUp();
  const tokens = await Promise.all(Array.from({ length: 1000 }, () => manager.mintToken(TARGET)));
  assert.equal(source.count, 1);
  assert.equal(new Set(tokens.map(text)).size, 1);
  assert.equal(new Set(tokens.map((token) => token.value)).size, 1000);
  tokens[0]?.wipe();
  assert.match(text(tokens[1] as Token), /DBUser=app/);
  assert.deepEqual([manager.counters.mints, manager.counters.joined, manager.counters.reused], [1, 999, 0]);
});

test("mintToken() keeps targets apart", async () => {
  const { manager, source } = setUp();
  const targets = [
    TARGET,
    { ...TARGET, user: "b" },
    { ...TARGET, port: 3307 },
    { ...TARGET, host: "x" },
    { ...TARGET, region: undefined },
  ];
  for (const target of [...targets, ...targets]) await manager.mintToken(target);
  assert.equal(source.count, 5);
});

test("mintToken() reuses a token for 14 minutes of its 15", async () => {
  const { manager, source, clock } = setUp();
  assert.equal((await manager.mintToken(TARGET)).reused, false);
  clock.advance(14 * MINUTE - 1);
  assert.equal((await manager.mintToken(TARGET)).reused, true);
  clock.advance(1);
  assert.equal((await manager.mintToken(TARGET)).reused, false);
  assert.equal(source.count, 2);
});

test("mintToken() never goes past the end of the credentials behind the token", async () => {
  const { manager, source, clock } = setUp();
  source.credentialsExpireAtMs = clock.wall + 5 * MINUTE;
  assert.equal((await manager.mintToken(TARGET)).expiresAtMs, clock.wall + 5 * MINUTE);
  clock.advance(4 * MINUTE - 1);
  await manager.mintToken(TARGET);
  assert.equal(source.count, 1);
  clock.advance(1);
  await manager.mintToken(TARGET);
  assert.equal(source.count, 2);
});

test("a jump of the wall clock never resurrects or stretches a token", async () => {
  const { manager, source, clock } = setUp();
  await manager.mintToken(TARGET);
  clock.wall -= 365 * 24 * 60 * MINUTE;
  clock.monotonic += 14 * MINUTE;
  await manager.mintToken(TARGET);
  assert.equal(source.count, 2, "monotonic time ran out while the wall clock went back");
  clock.wall += 20 * MINUTE;
  await manager.mintToken(TARGET);
  assert.equal(source.count, 3, "the wall clock went past the end");
  clock.wall -= 20 * MINUTE;
  await manager.mintToken(TARGET);
  assert.equal(source.count, 3 + 1, "the token at hand has a date from the future now");
});

test("a token that does not say when it ends is used for one login", async () => {
  const { manager, source } = setUp();
  source.lifeSeconds = undefined;
  const tokens = await Promise.all(Array.from({ length: 5 }, () => manager.mintToken(TARGET)));
  assert.equal(new Set(tokens.map(text)).size, 5);
  assert.equal(source.count, 5);
  assert.ok(tokens.every((token) => !token.reused));
});

test("logins with tokens for one use do not wait for each other", async () => {
  const { manager, source } = setUp();
  source.lifeSeconds = undefined;
  await manager.mintToken(TARGET);
  const held = gate();
  source.gate = held.promise;
  const logins = [1, 2, 3].map(() => manager.mintToken(TARGET));
  await settle();
  assert.equal(source.running, 3);
  held.open();
  await Promise.all(logins);
});

test("a token ends by the monotonic clock while the wall clock stands still", async () => {
  const { manager, source, clock } = setUp();
  await manager.mintToken(TARGET);
  clock.monotonic += 14 * MINUTE;
  assert.equal((await manager.mintToken(TARGET)).reused, false);
  assert.equal(source.count, 2);
});

test("a token that ends within the margin is used for one login", async () => {
  const { manager, source } = setUp();
  source.lifeSeconds = 60;
  const tokens = [await manager.mintToken(TARGET), await manager.mintToken(TARGET)];
  assert.equal(source.count, 2);
  assert.notEqual(text(tokens[0] as Token), text(tokens[1] as Token));
});

test("mintToken() with forceFresh replaces a refused token, but not one just minted", async () => {
  const { manager, source, clock, reports } = setUp();
  const first = await manager.mintToken(TARGET);
  clock.advance(MINUTE);
  const fresh = await Promise.all(Array.from({ length: 50 }, () => manager.mintToken(TARGET, { forceFresh: true })));
  assert.equal(source.count, 2);
  assert.ok(fresh.every((token) => token.mintId !== first.mintId));
  assert.deepEqual(
    reports.map((report) => report.forced),
    [false, true],
  );
  clock.advance(4999);
  const again = await manager.mintToken(TARGET, { forceFresh: true });
  assert.equal(again.mintId, fresh[0]?.mintId);
  assert.equal(source.count, 2);
  clock.advance(1);
  await manager.mintToken(TARGET, { forceFresh: true });
  assert.equal(source.count, 3);
});

test("a failure is answered for five seconds without another try", async () => {
  const { manager, source, clock, reports } = setUp();
  source.failure = new TokenMintError("exit-status", "The token command ended with exit status 255", "no credentials");
  const codes = await Promise.all(Array.from({ length: 20 }, () => code(manager.mintToken(TARGET))));
  assert.deepEqual(new Set(codes), new Set(["QC_TOKEN_FAILED"]));
  assert.equal(source.count, 1);
  clock.advance(4999);
  assert.equal(await code(manager.mintToken(TARGET, { forceFresh: true })), "QC_TOKEN_FAILED");
  assert.equal(await code(manager.mintToken({ ...TARGET, user: "other" })), "QC_TOKEN_FAILED");
  assert.equal(source.count, 2, "other targets are tried");
  source.failure = undefined;
  clock.advance(1);
  assert.equal(await code(manager.mintToken(TARGET)), "ok");
  assert.deepEqual(
    reports.map((report) => report.failure),
    ["exit-status", "exit-status", undefined],
  );
});

test("a failure tells the client the reason and what to run, and nothing else", async () => {
  const { manager, source } = setUp();
  source.failure = new TokenMintError("not-found", "internal words", "CANARY");
  await assert.rejects(manager.mintToken(TARGET), (error) => {
    assert.ok(error instanceof QuerycopError);
    assert.match(error.clientMessage, /cannot mint a token .*\(not-found\), run "querycop doctor"/);
    assert.ok(!error.clientMessage.includes("internal") && !error.message.includes("CANARY"));
    return true;
  });
});

test("no more than four mints run at once, and the queue is bounded", async () => {
  const { manager, source } = setUp({ waitingMintsMax: 50 });
  const held = gate();
  source.gate = held.promise;
  const logins = Array.from({ length: 60 }, (_, i) => code(manager.mintToken({ ...TARGET, user: `u${i}` })));
  await settle();
  assert.deepEqual(manager.load, { minting: 4, waiting: 50 });
  held.open();
  const codes = await Promise.all(logins);
  assert.equal(codes.filter((each) => each === "ok").length, 54);
  assert.equal(codes.filter((each) => each === "QC_TOKEN_BUSY").length, 6);
  assert.equal(source.runningMax, 4);
  assert.deepEqual(manager.load, { minting: 0, waiting: 0 });
  assert.equal(
    await code(manager.mintToken({ ...TARGET, user: "u59" })),
    "ok",
    "being busy is not a failure to remember",
  );
});

test("managers that share slots share their limit", async () => {
  const slots = new Slots(2, 100);
  const [a, b] = [setUp({ slots }), setUp({ slots })];
  const held = gate();
  a.source.gate = held.promise;
  b.source.gate = held.promise;
  const logins = [1, 2, 3].flatMap((i) => [a, b].map(({ manager }) => manager.mintToken({ ...TARGET, user: `u${i}` })));
  await settle();
  assert.equal(a.source.running + b.source.running, 2);
  held.open();
  await Promise.all(logins);
});

test("a login that is given up leaves at once; a running mint goes on for the next one", async () => {
  const { manager, source } = setUp();
  const held = gate();
  source.gate = held.promise;
  const stop = new AbortController();
  const login = manager.mintToken(TARGET, { signal: stop.signal });
  await settle();
  stop.abort(new Error("client gone"));
  await assert.rejects(login, /client gone/);
  const next = manager.mintToken(TARGET);
  held.open();
  await next;
  assert.equal(source.count, 1);
  await assert.rejects(manager.mintToken(TARGET, { signal: stop.signal }), /client gone/);
});

test("a login that is given up leaves the queue", async () => {
  const { manager, source } = setUp({ mintsMax: 1 });
  const held = gate();
  source.gate = held.promise;
  const first = manager.mintToken(TARGET);
  const stop = new AbortController();
  const second = manager.mintToken({ ...TARGET, user: "b" }, { signal: stop.signal });
  await settle();
  assert.deepEqual(manager.load, { minting: 1, waiting: 1 });
  stop.abort(new Error("client gone"));
  await assert.rejects(second, /client gone/);
  assert.deepEqual(manager.load, { minting: 1, waiting: 0 });
  held.open();
  await first;
  assert.equal(source.count, 1);
  assert.equal(await code(manager.mintToken({ ...TARGET, user: "b" })), "ok");
});

test("a token is renewed in the background before it ends", async () => {
  const { manager, source, clock } = setUp({ refreshAheadMs: 2 * MINUTE });
  const first = await manager.mintToken(TARGET);
  clock.advance(12 * MINUTE - 1);
  await manager.mintToken(TARGET);
  await settle();
  assert.equal(source.count, 1, "not yet");
  clock.advance(MINUTE + 1);
  assert.equal((await manager.mintToken(TARGET)).mintId, first.mintId, "served at once from the old one");
  await settle();
  assert.equal(source.count, 2);
  assert.notEqual((await manager.mintToken(TARGET)).mintId, first.mintId);
});

test("a renewal that fails does no harm while the old token lasts", async () => {
  const { manager, source, clock } = setUp({ refreshAheadMs: 2 * MINUTE });
  await manager.mintToken(TARGET);
  clock.advance(13 * MINUTE);
  source.failure = new TokenMintError("timeout", "slow");
  for (let i = 0; i < 10; i++) {
    assert.equal(await code(manager.mintToken(TARGET)), "ok");
    await settle();
  }
  assert.equal(source.count, 2, "one try in five seconds");
});

test("logins are spread below the limit of the server, and waits are bounded", async () => {
  const { manager } = setUp({ loginsPerSecond: 1000, loginBurst: 10, loginWaitMsMax: 50 });
  const codes = await Promise.all(Array.from({ length: 100 }, () => code(manager.mintToken(TARGET))));
  assert.equal(codes.filter((each) => each === "ok").length, 60, "ten at once and fifty within 50 ms");
  assert.equal(codes.filter((each) => each === "QC_TOKEN_BUSY").length, 40);
  assert.equal(manager.counters.paced, 50);
  const { manager: aborted } = setUp({ loginsPerSecond: 1, loginBurst: 1 });
  await aborted.mintToken(TARGET);
  const stop = new AbortController();
  const waiting = aborted.mintToken(TARGET, { signal: stop.signal });
  await settle();
  stop.abort(new Error("client gone"));
  await assert.rejects(waiting, /client gone/);
});

test("the cache is bounded", async () => {
  const { manager, source } = setUp({ targetsMax: 10 });
  for (let i = 0; i < 30; i++) await manager.mintToken({ ...TARGET, user: `u${i}` });
  assert.equal(source.count, 30);
  for (let i = 20; i < 30; i++) await manager.mintToken({ ...TARGET, user: `u${i}` });
  assert.equal(source.count, 30, "the last ten are kept");
  await manager.mintToken({ ...TARGET, user: "u0" });
  assert.equal(source.count, 31);
});

test("close() stops mints and refuses logins", async () => {
  const { manager, source } = setUp();
  const held = gate();
  source.gate = held.promise;
  const login = code(manager.mintToken(TARGET));
  await settle();
  manager.close();
  held.open();
  assert.equal(await login, "QC_TOKEN_FAILED");
  assert.equal(source.stopped, 1);
  assert.equal(await code(manager.mintToken(TARGET)), "QC_SHUTDOWN");
});

function realManager(command: string, options: Partial<TokenManagerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", format: "text", write: (line) => lines.push(line) });
  const source = new CommandTokenSource({ command, environment: { PATH: process.env["PATH"] }, timeoutMs: 60_000 });
  return { lines, manager: new TokenManager({ source, logger, loginsPerSecond: 1e6, loginBurst: 1e6, ...options }) };
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-tokens-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const PRESIGNED = `echo "$QUERYCOP_BACKEND_HOST:3306/?Action=connect&DBUser=$QUERYCOP_BACKEND_USER&X-Amz-Date=$(date -u +%Y%m%dT%H%M%SZ)&X-Amz-Expires=900&X-Amz-Signature=CANARY$$"`;

test("a thousand logins run one command for one user, and four at a time for many", async () => {
  await withFolder(async (folder) => {
    const log = (word: string): string => `echo ${word} >> ${folder}/log`;
    // Ends when the log has so many lines: the first command at once, the others when four of them are running.
    const full = `while [ "$(wc -l < ${folder}/log)" -lt "$(cat ${folder}/lines)" ]; do sleep 0.02; done`;
    writeFileSync(`${folder}/lines`, "1\n");
    const { manager } = realManager(`${log("in")}; ${full}; ${PRESIGNED}; ${log("out")}`, { waitingMintsMax: 1000 });
    await Promise.all(Array.from({ length: 1000 }, () => manager.mintToken(TARGET)));
    assert.equal(readFileSync(`${folder}/log`, "utf8"), "in\nout\n");
    writeFileSync(`${folder}/lines`, "6\n");
    await Promise.all(Array.from({ length: 40 }, (_, i) => manager.mintToken({ ...TARGET, user: `u${i}` })));
    let running = 0;
    let most = 0;
    for (const word of readFileSync(`${folder}/log`, "utf8").split("\n")) {
      if (word === "in") running++;
      if (word === "out") running--;
      most = Math.max(most, running);
    }
    assert.equal(most, 4);
    assert.equal(manager.counters.mints, 41);
  });
});

test("no hostile user name ever starts the command", async () => {
  await withFolder(async (folder) => {
    const { manager, lines } = realManager(`touch ${folder}/ran; ${PRESIGNED}`);
    for (const user of HOSTILE_USERS) {
      assert.equal(await code(manager.mintToken({ ...TARGET, user })), "QC_USER_NOT_ALLOWED", user);
    }
    assert.equal(await code(manager.mintToken({ ...TARGET, user: "stranger" })), "ok");
    const { manager: listed } = realManager(`touch ${folder}/listed; ${PRESIGNED}`, { users: ["app", "ro_*"] });
    assert.equal(await code(listed.mintToken({ ...TARGET, user: "stranger" })), "QC_USER_NOT_ALLOWED");
    assert.deepEqual(readdirSync(folder), ["ran"]);
    assert.equal(manager.counters.refused, HOSTILE_USERS.length);
    assert.deepEqual(lines, []);
  });
});

test("a failed command is logged once with its reason, and no token shows anywhere", async () => {
  const { manager, lines } = realManager(`set -x; ${PRESIGNED}; echo "ExpiredToken: CANARY" >&2; exit 7`);
  const errors = await Promise.all(
    Array.from({ length: 10 }, () => manager.mintToken(TARGET).catch((error: unknown) => error)),
  );
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /warn.*backend token command failed.*reason=exit-status/i);
  assert.match(lines[0] ?? "", /ExpiredToken/);
  const shown = errors.map((error) => inspect(error, { depth: 9, showHidden: true })).join("\n");
  assert.match(shown, /exit-status/);
  for (const leak of ["X-Amz-Signature=CANARY", "Signature=C"]) assert.ok(!`${lines.join("")}${shown}`.includes(leak));
});

test("a token shows in no log line, report or printed object", async () => {
  const reports: MintReport[] = [];
  const { manager, lines } = realManager(PRESIGNED, { onMint: (report) => reports.push(report) });
  const token = await manager.mintToken(TARGET);
  assert.match(text(token), /CANARY/);
  const shown = [token, manager, reports, manager.counters, { nested: [token] }]
    .map((value) => `${inspect(value, { depth: 9, showHidden: true, getters: true })}\n${JSON.stringify(value)}`)
    .join("\n");
  assert.ok(!`${shown}${lines.join("")}`.includes("CANARY"));
  assert.equal(reports.length, 1);
});
