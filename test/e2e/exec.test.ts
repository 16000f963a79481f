/** `querycop exec` and `querycop connect` through the executable, with real clients before real servers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type RunResult, run } from "../support/child.ts";
import { DRIVERS, runDriver } from "../support/drivers.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { installServerRoot } from "../support/install.ts";
import { cleanEnvironment, querycopBinary, startQuerycop } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const querycop = await querycopBinary();
const [mysql, mariadb, mariadb10] = await Promise.all([
  startServer({ kind: "mysql" }),
  startServer({ kind: "mariadb11" }),
  startServer({ kind: "mariadb" }),
]);
const folder = mkdtempSync(join(tmpdir(), "querycop-exec-"));
const runtime = join(folder, "run");
mkdirSync(runtime, { mode: 0o700 });
after(async () => {
  await Promise.all([mysql.stop(), mariadb.stop(), mariadb10.stop()]);
  rmSync(folder, { recursive: true });
});

/** Files in a home that send every client elsewhere. */
writeFileSync(join(folder, ".my.cnf"), "[client]\nhost=192.0.2.1\nuser=somebody\npassword=wrong\nsocket=/nowhere\n", {
  mode: 0o600,
});

function connection(name: string, server: TestServer, purpose: string): string {
  const { user, password } = server.account(purpose);
  const file = join(folder, `${name}.password`);
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  const keys = {
    host: "127.0.0.1",
    port: String(server.port),
    user,
    database: "appdb",
    tls_mode: "disable",
    password_file: file,
  };
  return `  ${name}:\n${Object.entries(keys)
    .map(([key, value]) => `    ${key}: ${value}\n`)
    .join("")}`;
}

const auditFile = join(folder, "audit", "audit.ndjson");
const config = join(folder, "querycop.yaml");
const CONNECTIONS = [
  connection("on-mysql", mysql, "admin"),
  connection("on-mariadb", mariadb, "parsec"),
  connection("on-mariadb10", mariadb10, "admin"),
  "  off:\n    enabled: off\n    host: 127.0.0.1\n    user: u\n    tls_mode: disable\n    password_file: none\n",
  "  broken:\n    host: 127.0.0.1\n    user: u\n    tls_mode: disable\n    password_file: /nowhere\n",
].join("");
writeFileSync(config, `audit: { file: ${auditFile} }\nconnections:\n${CONNECTIONS}`, { mode: 0o600 });

type Kind = "mysql" | "mariadb" | "mariadb11";

/** A folder of the client programs of a kind, for PATH. */
async function programsOf(kind: Kind): Promise<string> {
  const root = await installServerRoot(kind);
  const bin = join(folder, `bin-${kind}`);
  mkdirSync(bin);
  for (const name of readdirSync(root.path("usr/bin"))) {
    if (!/^(mysql|mariadb)/.test(name)) continue;
    const { command, args } = root.command(`usr/bin/${name}`, []);
    const words = [command, ...args].map((word) => `'${word}'`).join(" ");
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

const bins: Readonly<Record<Kind, string>> = {
  mysql: await programsOf("mysql"),
  mariadb: await programsOf("mariadb"),
  mariadb11: await programsOf("mariadb11"),
};

function environmentFor(kind: Kind) {
  const path = `${bins[kind]}:/usr/bin:/bin`;
  return cleanEnvironment({ PATH: path, HOME: folder, XDG_RUNTIME_DIR: runtime, GATEKEEPER_CONFIG: config });
}

async function exec(
  words: readonly string[],
  kind: Kind = "mysql",
  input = "",
  timeoutMs = 60_000,
): Promise<RunResult> {
  return await run(querycop, words, { env: environmentFor(kind), cwd: "/", timeoutMs, input });
}

e2e(
  "clients of every kind get through without an option, whatever their home says, and dumps come out whole",
  async () => {
    const query = ["--batch", "--connect-timeout=10", "-e", "SELECT CURRENT_USER(), DATABASE(), COUNT(*) FROM numbers"];
    const programs: readonly (readonly [Kind, ...string[]])[] = [
      ["mysql", "mysql", ...query],
      ["mariadb", "mariadb", ...query],
      ["mariadb11", "mariadb", ...query],
    ];
    for (const [name, server, purpose] of [
      ["on-mysql", mysql, "admin"],
      ["on-mariadb", mariadb, "parsec"],
    ] as const) {
      for (const [kind, ...words] of programs) {
        const { code, stdout, stderr } = await exec(["exec", name, "--", ...words], kind);
        assert.equal(code, 0, `${name} ${kind}: ${stderr}`);
        assert.match(stdout, new RegExp(`^${server.account(purpose).user}@%\tappdb\t300$`, "m"), `${name} ${kind}`);
      }
    }
    const dumps: readonly (readonly [name: string, Kind, ...string[]])[] = [
      ["on-mysql", "mysql", "mysqldump", "--no-tablespaces", "--set-gtid-purged=OFF", "appdb", "numbers"],
      ["on-mariadb", "mariadb11", "mariadb-dump", "appdb", "numbers"],
      ["on-mariadb", "mariadb", "mariadb-dump", "appdb", "numbers"],
    ];
    for (const [name, kind, ...words] of dumps) {
      const { code, stdout, stderr } = await exec(["exec", name, "--", ...words], kind);
      assert.equal(code, 0, `${words[0]}: ${stderr}`);
      assert.match(stdout, /INSERT INTO `numbers` VALUES[\s\S]*\(300\)/, words.join(" "));
    }
    const admin = await exec(["exec", "on-mysql", "--", "mysqladmin", "ping"]);
    assert.match(admin.stdout, /mysqld is alive/);
    const connected = await exec(["connect", "on-mysql", "--", "--batch"], "mysql", "SELECT 40 + 2 AS answer;\n");
    assert.equal(connected.stdout, "answer\n42\n", connected.stderr);
    const overTcp = await exec(["exec", "on-mysql", "--tcp", "--", "mysql", ...query]);
    assert.match(overTcp.stdout, /appdb\t300/, overTcp.stderr);
  },
);

/** Where on the servers of yesterday, too: a password that querycop holds opens each of them. */
const isEveryServer = process.env["QUERYCOP_TEST_EXECS"] !== undefined;

e2e("drivers of every language log in with what a program is told, for as long as the program lives", async () => {
  const script = 'echo "$QUERYCOP_PORT $QUERYCOP_USER $QUERYCOP_PASSWORD $QUERYCOP_DATABASE"; cat';
  for (const name of isEveryServer ? ["on-mysql", "on-mariadb", "on-mariadb10"] : ["on-mariadb10"]) {
    const child = spawn(querycop, ["exec", name, "--tcp", "--", "sh", "-c", script], {
      env: environmentFor("mysql"),
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    let told = "";
    child.stdout.on("data", (text: Buffer) => {
      told += text.toString("utf8");
    });
    try {
      await eventually("the program has been told", () => told.includes("\n"), 60_000);
      const [port = "", user = "", password = "", database = ""] = told.trim().split(" ");
      const target = { host: "127.0.0.1", port: Number(port), user, password, database };
      for (const driver of DRIVERS) {
        const [answer] = await runDriver(driver, target, [{ sql: "SELECT MAX(n) AS most FROM numbers", values: [] }]);
        assert.deepEqual(answer, { rows: [["300"]] }, `${name} ${driver}`);
      }
    } finally {
      child.stdin.end();
    }
    assert.equal((await ended)[0], 0);
  }
});

e2e("connections are listed without asking anybody, and checked to the end of a login", async () => {
  const listed = await exec(["connections", "list"]);
  assert.match(
    listed.stdout,
    new RegExp(`^on-mysql  127\\.0\\.0\\.1:${mysql.port}  admin  appdb  file  disable$`, "m"),
  );
  assert.match(listed.stdout, /^off {2}\(not enabled\)/m);
  const good = await exec(["connections", "check", "on-mysql"]);
  assert.equal(good.code, 0, good.stdout + good.stderr);
  assert.match(
    good.stdout,
    /ok +connection\.password[\s\S]*ok +backend\.login +admin logged in by caching_sha2_password/,
  );
  const broken = await exec(["connections", "check", "broken"]);
  assert.equal(broken.code, 1, broken.stderr);
  assert.match(broken.stdout, /FAIL +connection\.password +.*\/nowhere: no such file/);
});

e2e("a program ends through it as it ends alone", async () => {
  const script = join(folder, "not-executable");
  writeFileSync(script, "", { mode: 0o644 });
  const ends: readonly (readonly [words: readonly string[], code: number | null])[] = [
    [["true"], 0],
    [["false"], 1],
    [["sh", "-c", "exit 7"], 7],
    [["sh", "-c", "exit 255"], 255],
    [["no-such-program"], 127],
    [[script], 126],
  ];
  for (const [words, code] of ends) {
    assert.equal((await exec(["exec", "on-mysql", "--", ...words])).code, code, words.join(" "));
  }
  for (const signal of ["TERM", "HUP", "KILL", "INT", "USR1"]) {
    const child = spawn(querycop, ["exec", "on-mysql", "--", "sh", "-c", `kill -${signal} $$`], {
      env: environmentFor("mysql"),
      stdio: "ignore",
    });
    const ended = await new Promise((resolve) => child.once("exit", (_code, name) => resolve(name)));
    assert.equal(ended, `SIG${signal}`);
  }
  // No core of this process is left where a dumping signal ended the program.
  assert.equal((await exec(["exec", "on-mysql", "--", "sh", "-c", "kill -QUIT $$"])).code, 131);
  for (const name of ["broken", "off", "unknown"]) {
    const { code, stderr } = await exec(["exec", name, "--", "true"]);
    assert.equal(code, name === "broken" ? 125 : 2, stderr);
  }
});

e2e("standard streams are the program's own, to the last byte", async () => {
  const input = randomBytes(3_000_000).toString("base64");
  const { code, stdout } = await exec(["exec", "on-mysql", "--", "cat"], "mysql", input);
  assert.equal(code, 0);
  assert.ok(stdout === input, "what went in came out");
});

e2e("signals for querycop are passed on to the program", async () => {
  const ready = join(folder, "trapping");
  const trap = `trap 'echo got it >"${ready}.got"; exit 9' TERM; : >"${ready}"; while :; do sleep 0.1; done`;
  const child = spawn(querycop, ["exec", "on-mysql", "--", "sh", "-c", trap], {
    env: environmentFor("mysql"),
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  await eventually("the program runs", () => existsSync(ready), 60_000);
  child.kill("SIGTERM");
  assert.equal(await ended, 9);
  assert.ok(existsSync(`${ready}.got`));
});

/** What a person sees on a terminal and types into it, by util-linux's script. Resolves with the exit code. */
async function onTerminal(command: string, typed: readonly (readonly [seen: string, keys: string])[]): Promise<number> {
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...environmentFor("mysql"), TERM: "dumb", SHELL: "/bin/sh" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? -1)));
  let screen = "";
  child.stdout.on("data", (text: Buffer) => {
    screen += text.toString("utf8");
  });
  for (const [seen, keys] of typed) {
    await eventually(`${seen} on the terminal, which shows ${screen}`, () => screen.includes(seen), 60_000);
    child.stdin.write(keys);
  }
  return await ended;
}

e2e("on a terminal Ctrl-C is the program's: it ends by it or goes on, and querycop with it", async () => {
  const trapping = "trap 'echo got-it; exit 9' INT; echo rea''dy; while :; do sleep 0.1; done";
  const quoted = (script: string): string => `'${script.replaceAll("'", "'\\''")}'`;
  // A shell around it would be ended by the same Ctrl-C.
  const inside = (words: string): string => `exec ${querycop} exec on-mysql -- ${words}`;
  assert.equal(await onTerminal(inside(`sh -c ${quoted(trapping)}`), [["ready", "\x03"]]), 9);
  const plain = "echo rea''dy; exec sleep 60";
  assert.equal(await onTerminal(inside(`sh -c ${quoted(plain)}`), [["ready", "\x03"]]), 130, "128 and SIGINT");
  // The prompt of mysql survives a Ctrl-C in front of an empty line, and its answers come.
  const prompt = [
    ["mysql> ", "SELECT 40 + 2 AS 'ans''wer';\n"],
    ["ans'wer", "\x03"],
    ["^C", "exit\n"],
  ] as const;
  assert.equal(await onTerminal(`exec ${querycop} connect on-mysql`, prompt), 0);
  assert.deepEqual(readdirSync(runtime), [], "no socket is left");
});

e2e("the database's password is in no argument, environment or file of the program, nor on record", async () => {
  const { password } = mysql.account("admin");
  const look = "cat /proc/self/environ /proc/$PPID/cmdline /proc/self/cmdline | tr '\\0' '\\n'; ls -l /proc/self/fd";
  const templates = ["--env", "DATABASE_URL={url}", "--env", "DATABASE_USER={user} of {database}"];
  const { stdout } = await exec(["exec", "on-mysql", ...templates, "--", "sh", "-c", look]);
  assert.ok(!stdout.includes(password));
  assert.match(stdout, /^DATABASE_URL=mysql:\/\/admin:[0-9a-f]{64}@localhost\/appdb\?socket=/m);
  assert.match(stdout, /^DATABASE_USER=admin of appdb$/m);
  assert.match(stdout, /^QUERYCOP_CONNECTION=on-mysql$/m);
  assert.doesNotMatch(stdout, /GATEKEEPER_/);
  const pristine = await exec(["exec", "on-mysql", "--pristine", "--", "env"]);
  assert.doesNotMatch(pristine.stdout, /XDG_RUNTIME_DIR/);
  const dry = await exec(["exec", "on-mysql", "--dry-run", "--", "mysql", "-e", "SELECT 1"]);
  assert.match(dry.stdout, /--defaults-file=\/dev\/fd\/3/);
  const records = readdirSync(join(folder, "audit")).map((name) => readFileSync(join(folder, "audit", name), "utf8"));
  for (const text of [...records, dry.stdout]) assert.ok(!text.includes(password));
  assert.deepEqual(readdirSync(runtime), [], "no socket is left");
});

e2e("a querycop that is killed leaves neither socket nor login behind", async () => {
  const child = spawn(querycop, ["exec", "on-mysql", "--", "mysql", "--batch"], {
    env: environmentFor("mysql"),
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.stdin?.on("error", () => undefined);
  const logins = async (): Promise<number> => {
    const [row] = await mysql.rootQuery("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'admin'");
    return Number(row?.[0]);
  };
  try {
    await eventually("the program has logged in", async () => (await logins()) > 0, 60_000);
    child.kill("SIGKILL");
    await eventually("the folder is gone", () => readdirSync(runtime).length === 0, 30_000);
    await eventually("the login is gone", async () => (await logins()) === 0, 30_000);
  } finally {
    // What the program waits for outlives querycop.
    child.stdin?.end();
  }
});

/** A scale for a quiet machine: 200 and more. */
const PARALLEL = Number(process.env["QUERYCOP_TEST_EXECS"] ?? "12");

e2e(
  "many at once, beside a querycop that serves, leave one whole log",
  async () => {
    const serving = await startQuerycop({
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_PORT: String(mysql.port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
      GATEKEEPER_AUDIT_FILE: auditFile,
    });
    try {
      const one = (index: number): Promise<RunResult> =>
        exec(
          ["exec", "on-mysql", "--", "mysql", "--batch", "-N", "-e", `SELECT ${index}`],
          "mysql",
          "",
          PARALLEL * 5_000,
        );
      const results = await Promise.all(Array.from({ length: PARALLEL }, (_, index) => one(index)));
      for (const [index, { stdout, stderr }] of results.entries()) assert.equal(stdout, `${index}\n`, stderr);
    } finally {
      serving.signal("SIGTERM");
      await serving.exited;
      await serving.stop();
    }
    const used = await exec(["connections", "list", "--usage", auditFile, "--json"]);
    const rows = JSON.parse(used.stdout) as { name: string; usage: { logins: number; by: Record<string, number> } }[];
    assert.ok((rows.find(({ name }) => name === "on-mysql")?.usage.logins ?? 0) >= PARALLEL, used.stdout);
    assert.ok(
      (rows.find(({ name }) => name === "on-mysql")?.usage.by["mysql from unix"] ?? 0) >= PARALLEL,
      used.stdout,
    );
    assert.equal(rows.find(({ name }) => name === "off")?.usage.logins, 0);
    const verified = await exec(["audit", "verify", auditFile]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.match(verified.stdout, /whole/);
    assert.match(
      verified.stdout,
      /0 with unknown outcome|1 with unknown outcome/,
      "but the one whose querycop was killed",
    );
  },
  Math.max(120_000, PARALLEL * 5_000),
);
