import assert from "node:assert/strict";
import { test } from "node:test";
import { loadUsersFile } from "../../src/config/users-file.ts";
import { verifyCachingSha2Password } from "../../src/mysql/caching-sha2-password.ts";
import { inFolder, writeFile } from "../config/folder.ts";
import { assertGolden } from "../config/golden.ts";
import { run } from "./fake-io.ts";

const HOST = { GATEKEEPER_BACKEND_HOST: "db.example.com" };
const LOCAL = { GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_BACKEND_TLS_MODE: "disable" };

test("help is the same as committed", async () => {
  const texts: string[] = [];
  for (const argv of [
    ["--help"],
    ["serve", "--help"],
    ["config", "--help"],
    ["wait", "--help"],
    ["hash-password", "--help"],
    ["version", "--help"],
  ]) {
    const { code, stdout, stderr } = await run(argv);
    assert.equal(code, 0);
    assert.equal(stderr, "");
    texts.push(`$ querycop ${argv.join(" ")}\n${stdout}`);
  }
  assertGolden("help.txt", texts.join("\n"));
});

test("help can be asked for in several ways", async () => {
  const { stdout } = await run(["--help"]);
  for (const argv of [["-h"], ["help"]]) assert.equal((await run(argv)).stdout, stdout);
  assert.equal((await run(["help", "wait"])).stdout, (await run(["wait", "--help"])).stdout);
  assert.equal((await run(["wait", "--max", "-h"])).stdout, (await run(["wait", "--help"])).stdout);
});

test("querycop alone, with nothing configured, prints help on stderr and exits with 2", async () => {
  const { code, stdout, stderr, served } = await run([], { env: { PATH: "/bin", GATEKEEPER_BACKEND_HOST: "" } });
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.equal(stderr, (await run(["--help"])).stdout);
  assert.equal(served, undefined);
});

test("querycop alone serves as soon as anything is configured", async () => {
  const { code, served } = await run([], { env: HOST });
  assert.equal(code, 0);
  assert.equal(served?.listeners[0]?.backend.host, "db.example.com");
  const misspelt = await run([], { env: { GATEKEEPER_BACKEND_HOTS: "db.example.com" } });
  assert.equal(misspelt.code, 2);
  assert.match(misspelt.stderr, /did you mean GATEKEEPER_BACKEND_HOST\?/);
  const product = await run([], { env: { QUERYCOP_BACKEND_HOST: "db.example.com" } });
  assert.equal(product.code, 2);
  assert.match(product.stderr, /^error: QUERYCOP_BACKEND_HOST: is no setting: .* set GATEKEEPER_BACKEND_HOST$/m);
  assert.equal((await run([], { env: { ...HOST, QUERYCOP_BACKEND_HOST: "of my own" } })).code, 0);
});

test("options without a command belong to serve", async () => {
  const { served } = await run(["--backend-host", "db.example.com", "--listen-port=7"]);
  assert.equal(served?.listeners[0]?.listen.port, 7);
});

test("serve hands on the exit code of the proxy", async () => {
  assert.equal((await run(["serve"], { env: HOST, serve: async () => 1 })).code, 1);
});

test("serve logs each warning of the configuration before it starts", async () => {
  const { stderr, stdout } = await run(["serve"], { env: { ...HOST, GATEKEEPER_LOG_FORMAT: "json" } });
  assert.equal(stdout, "");
  const line = JSON.parse(stderr) as Record<string, unknown>;
  assert.equal(line["level"], "warn");
  assert.equal(line["setting"], "GATEKEEPER_BACKEND_TLS_MODE");
  assert.match(String(line["reason"]), /set verify-full/);
});

test("serve writes pretty lines to a terminal only", async () => {
  const env = { ...HOST, GATEKEEPER_LOG_FORMAT: "pretty" };
  const { stderr } = await run(["serve"], { env, isStderrTerminal: false });
  assert.match(stderr, /^time=\S+ level=warn event="configuration warning"/);
});

test("serve does not start with a wrong configuration and lists what is wrong", async () => {
  const { code, stdout, stderr, served } = await run(["serve", "--listen-port", "x"], {
    env: { ...HOST, GATEKEEPER_LISEN_HOST: "y" },
  });
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.equal(served, undefined);
  assert.match(stderr, /^error: GATEKEEPER_LISEN_HOST: unknown setting, did you mean GATEKEEPER_LISTEN_HOST\?$/m);
  assert.match(stderr, /^error: --listen-port: expected a whole number from 0 to 65535, got "x"$/m);
  assert.match(stderr, /^querycop: 2 problems in the configuration\n$/m);
});

test("a mistake in the command line is one line and a hint", async () => {
  const cases: Array<[string[], string]> = [
    [["serv"], "querycop: unknown command serv, did you mean serve?\nTry: querycop --help\n"],
    [["zzzzzzzz"], "querycop: unknown command zzzzzzzz\nTry: querycop --help\n"],
    [["help", "zzzzzzzz"], "querycop: unknown command zzzzzzzz\nTry: querycop --help\n"],
    [["serve", "now"], "querycop: serve: unexpected argument now\nTry: querycop serve --help\n"],
    [
      ["--lisen-port", "1"],
      "querycop: serve: unknown option --lisen-port, did you mean --listen-port?\nTry: querycop serve --help\n",
    ],
    [["config", "--json=1"], "querycop: config: --json takes no value\nTry: querycop config --help\n"],
    [["hash-password"], "querycop: hash-password: --user is required\nTry: querycop hash-password --help\n"],
    [
      ["wait", "--max", "soon"],
      'querycop: wait: --max: expected a duration such as 30s (units ms, s, m, h, d), got "soon"\nTry: querycop wait --help\n',
    ],
    [["version", "--verbose"], "querycop: version: unknown option --verbose\nTry: querycop version --help\n"],
  ];
  for (const [argv, expected] of cases) {
    const { code, stdout, stderr } = await run(argv);
    assert.deepEqual([code, stdout, stderr], [2, "", expected]);
  }
});

test("secrets cannot be options", async () => {
  const { code, stderr } = await run(["serve", "--admin-api-key", "hunter2hunter2"], { env: HOST });
  assert.equal(code, 2);
  assert.match(stderr, /unknown option --admin-api-key, did you mean --admin-api-key-file\?/);
  assert.equal(stderr.includes("hunter2"), false);
});

test("an unforeseen failure is one line without a stack, and exit code 1", async () => {
  const { code, stderr } = await run(["serve"], {
    env: LOCAL,
    serve: async () => {
      throw new Error("the sky fell");
    },
  });
  assert.equal(code, 1);
  assert.equal(stderr, "querycop: serve failed: the sky fell\n");
});

test("version names everything a report needs", async () => {
  assert.equal((await run(["version"])).stdout, "querycop 1.2.3 (commit abc, 2026-01-02, test 1)\n");
  assert.equal((await run(["--version"])).stdout, "querycop 1.2.3 (commit abc, 2026-01-02, test 1)\n");
  const { stdout } = await run(["version", "--json"]);
  assert.deepEqual(JSON.parse(stdout), {
    name: "querycop",
    version: "1.2.3",
    commit: "abc",
    date: "2026-01-02",
    runtime: "test 1",
  });
});

test("config shows every value with its origin", async () => {
  const file = writeFile("shown.yaml", "drain_timeout: 5s\nbackend:\n  token_cmd: |\n    echo a\n    echo b\n");
  const { code, stdout, stderr } = await run(["config", "--config", file, "--log-level=debug"], {
    env: { ...LOCAL, ADMIN_API_KEY: "hunter2hunter2hunter2", GATEKEEPER_BACKEND_TLS_MODE: "require" },
  });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^backend\.host +127\.0\.0\.1 +GATEKEEPER_BACKEND_HOST$/m);
  assert.match(stdout, /^log\.level +debug +--log-level$/m);
  assert.match(stdout, /^drain_timeout +5s +shown\.yaml:1 drain_timeout$/m);
  assert.match(stdout, /^listen\.port +15336 +default$/m);
  assert.match(stdout, /^audit\.file +- +unset$/m);
  assert.match(stdout, /^backend\.token_cmd +"echo a\\necho b\\n" +shown\.yaml:3 backend\.token_cmd$/m);
  assert.match(stdout, /^backend\.token_source +command +from backend\.token_cmd$/m);
  assert.match(stdout, /^admin_api_key +<set> +ADMIN_API_KEY$/m);
  assert.equal(stdout.includes("hunter2") || stderr.includes("hunter2"), false);
});

test("config --json prints the same as data, problems included", async () => {
  const fine = JSON.parse((await run(["config", "--json"], { env: HOST })).stdout);
  assert.equal(fine.ok, true);
  assert.equal(fine.settings.find((row: { key: string }) => row.key === "backend.host").value, "db.example.com");
  assert.equal(fine.warnings.length, 1);
  const { code, stdout, stderr } = await run(["config", "--json"]);
  assert.deepEqual([code, stderr], [2, ""]);
  const wrong = JSON.parse(stdout);
  assert.equal(wrong.ok, false);
  assert.match(wrong.problems[0], /^GATEKEEPER_BACKEND_HOST: missing/);
});

test("check-config says which listeners would start", async () => {
  const fine = await run(["check-config"], { env: HOST });
  assert.equal(fine.code, 0);
  assert.equal(fine.stdout, "ok: listener 127.0.0.1:15336 to db.example.com:3306, TLS prefer\n");
  assert.match(fine.stderr, /^warning: GATEKEEPER_BACKEND_TLS_MODE: prefer /);
  const wrong = await run(["check-config", "--config", inFolder("absent.yaml")], { env: HOST });
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  assert.match(
    wrong.stderr,
    /^error: cannot read .*absent\.yaml: no such file\nquerycop: 1 problem in the configuration\n$/,
  );
  const json = await run(["check-config", "--json"]);
  assert.equal(JSON.parse(json.stdout).ok, false);
});

test("hash-password makes a line that the users file takes and the password fits", async () => {
  for (const [plugin, kind] of [
    ["caching_sha2_password", "cachingSha2"],
    ["mysql_native_password", "native"],
  ] as const) {
    const { code, stdout } = await run(["hash-password", "--user", "app", "--plugin", plugin], { stdin: "pässword\n" });
    assert.equal(code, 0);
    const loaded = loadUsersFile(writeFile("hashed", stdout));
    assert.ok("users" in loaded);
    assert.ok(loaded.users.get("app")?.[kind]);
  }
  const { stdout } = await run(["hash-password", "--user", "app"], { stdin: "pw\r\n" });
  assert.ok(verifyCachingSha2Password(stdout.trimEnd().slice("app:".length), new TextEncoder().encode("pw")));
});

test("hash-password salts: the same password gives another line", async () => {
  const first = await run(["hash-password", "--user=a"], { stdin: "pw" });
  const second = await run(["hash-password", "--user=a"], { stdin: "pw" });
  assert.notEqual(first.stdout, second.stdout);
});

test("hash-password refuses terminals, nothing, too much, and bytes that no client can send", async () => {
  const cases: Array<[string | Uint8Array | undefined, RegExp]> = [
    [undefined, /is a terminal/],
    ["", /holds no password/],
    ["\n", /holds no password/],
    ["x".repeat(257), /longer than 256 bytes/],
    ["x".repeat(100_000), /longer than 256 bytes/],
    ["a\nb\n", /line break or NUL/],
    [Uint8Array.of(97, 0), /line break or NUL/],
  ];
  for (const [stdin, expected] of cases) {
    const { code, stdout, stderr } = await run(["hash-password", "--user", "a"], stdin === undefined ? {} : { stdin });
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, expected);
  }
  assert.equal((await run(["hash-password", "--user", "a"], { stdin: "x".repeat(256) })).code, 0);
  assert.equal((await run(["hash-password", "--user", "a:b"], { stdin: "x" })).code, 2);
  assert.equal((await run(["hash-password", "--user", "a", "--plugin", "md5"], { stdin: "x" })).code, 2);
});
