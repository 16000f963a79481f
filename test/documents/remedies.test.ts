/**
 * What the sources and pages advise is taken: settings they name exist, values they name are accepted, and commands run.
 * Those that need a database server are run by test/e2e/remedies.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { SETTINGS, type Setting } from "../../src/config/settings.ts";
import { CHECKS } from "../../src/doctor/checks.ts";
import { run } from "../cli/fake-io.ts";
import { inFolder, writeFile } from "../config/folder.ts";
import { selfSigned } from "../config/self-signed.ts";
import { run as runProgram } from "../support/child.ts";
import { documents, PROJECT } from "../support/document-commands.ts";
import { remedyCommands, type SourceText, sourceTexts } from "../support/remedies.ts";

const BY_ENV = new Map(
  SETTINGS.flatMap((setting) => (setting.metadata.env === undefined ? [] : [[setting.metadata.env, setting] as const])),
);
const BY_KEY = new Map(SETTINGS.map((setting) => [setting.key, setting]));
const CHECK_IDS: ReadonlySet<string> = new Set(CHECKS.map(({ id }) => id));
const PAGES: readonly SourceText[] = documents()
  .filter((file) => file !== "CONTRIBUTING.md")
  .map((file) => ({ where: file, text: readFileSync(join(PROJECT, file), "utf8") }));
const TEXTS: readonly SourceText[] = [...sourceTexts("src"), ...PAGES];

test("every setting that a text names in its own group exists", () => {
  const groups = new Set(SETTINGS.map(({ key }) => key.split(".")[0] ?? "").filter((group) => !BY_KEY.has(group)));
  // Policies have keys of their own.
  const others = sourceTexts("src").filter(({ where }) => !/^src\/(?:policy|sql)\//.test(where));
  for (const { where, text } of others) {
    const words = text.replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "X");
    for (const [name, group = ""] of words.matchAll(/(?<![\w./{`-])([a-z]+)\.[a-z]+(?:_[a-z]+)*\b(?![.(/\w-])/g)) {
      if (!groups.has(group) || FILE_NAME.test(name)) continue;
      assert.ok(BY_KEY.has(name) || CHECK_IDS.has(name), `${where}: ${name} is no setting: ${text}`);
    }
  }
});

const FILE_NAME = /\.(?:yaml|ts|ndjson|json|pem|txt|md)$/;

test("every value that a text tells to set is accepted", () => {
  let seen = 0;
  const check = (where: string, setting: Setting | undefined, value: string): void => {
    assert.ok(setting !== undefined, `${where}: a setting for ${value}`);
    const parsed = setting.metadata.kind.parse(value);
    assert.ok(!("problem" in parsed), `${where}: ${setting.key}: ${"problem" in parsed ? parsed.problem : ""}`);
    seen++;
  };
  for (const { where, text } of TEXTS) {
    for (const [, name = "", value = ""] of text.matchAll(/\b(GATEKEEPER_[A-Z_]+)=(['"]?[^\s'"`${}),;]+)/g)) {
      if (!value.startsWith("'") && !value.startsWith('"')) check(where, BY_ENV.get(name), value);
    }
    for (const [, key = "", value = ""] of text.matchAll(
      /\b[Ss]et `?([a-z_]+(?:\.[a-z_]+)?)`? to `?([a-z0-9][a-z0-9-]*)/g,
    )) {
      const setting = BY_KEY.get(key);
      if (setting !== undefined && !ARTICLES.has(value)) check(where, setting, value);
    }
  }
  assert.ok(seen > 20, `${seen} values are named`);
});

/** What begins a description in place of a value. */
const ARTICLES: ReadonlySet<string> = new Set(["a", "an", "another", "the", "what", "its", "your"]);

/** Why a command of a remedy is not run here, by its first word. */
const NOT_RUN: Readonly<Record<string, string>> = {
  aws: "needs AWS",
  curl: "needs the internet",
  mysql: "needs a database server: test/e2e/remedies.test.ts",
  psql: "needs a database server: test/e2e/postgres-doctor.test.ts",
  nc: "says what it finds by its exit code",
  sysctl: "changes the machine",
  systemctl: "needs systemd",
  "systemd-run": "needs systemd",
  timedatectl: "needs systemd",
};
/** Of the machine, and not on every one. */
const MAY_LACK: ReadonlySet<string> = new Set(["ss", "ip", "openssl"]);

const CA = selfSigned("mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com");
const CA_FILE = writeFile("file", CA.cert);
const POLICY = writeFile(
  "policy.yaml",
  "version: 1\nprofiles:\n  - name: app\n    match: { users: [app] }\n    read_only: true\n",
);
const BASE = {
  GATEKEEPER_BACKEND_HOST: "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com",
  GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
  GATEKEEPER_BACKEND_TLS_CA_FILE: CA_FILE,
  GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  GATEKEEPER_CLIENT_AUTH: "trust",
  // Where a machine has no bundle of its own.
  SSL_CERT_FILE: CA_FILE,
};

const COMMANDS = remedyCommands();

test("every command of a remedy is one that a shell reads", async () => {
  assert.ok(COMMANDS.length > 40, `${COMMANDS.length}`);
  const script = COMMANDS.map(({ text }) => `${text}\n`).join("");
  const { code, stderr } = await runProgram("bash", ["-n", "-c", script]);
  assert.equal(code, 0, stderr);
});

for (const text of new Set(COMMANDS.map((command) => command.text))) {
  const where = COMMANDS.find((command) => command.text === text)?.where ?? "";
  const [program = "", ...words] = text.split(" ");
  if (program in NOT_RUN) continue;
  test(`the command of a remedy runs: ${text} (${where})`, async () => {
    if (program === "export") await checkExport(words.join(" "));
    else if (program === "querycop") await checkQuerycop(words);
    else await checkShell(program, text);
  });
}

test("what is not run is advised somewhere", () => {
  for (const program of Object.keys(NOT_RUN)) {
    assert.ok(
      COMMANDS.some(({ text }) => text.startsWith(`${program} `)),
      `${program} is advised nowhere: leave it out`,
    );
  }
});

async function checkExport(assignment: string): Promise<void> {
  const [name = "", value = ""] = assignment.split("=");
  const { code, stderr } = await run(["check-config"], { env: { ...BASE, [name]: value } });
  assert.equal(code, 0, stderr);
}

async function checkQuerycop(words: readonly string[]): Promise<void> {
  const args = words.map((word) => (word === "policy.yaml" ? POLICY : word));
  const { code, stdout, stderr } = await run(args, { env: BASE });
  assert.equal(code, 0, stdout + stderr);
}

async function checkShell(program: string, text: string): Promise<void> {
  const { code: absent } = await runProgram("bash", ["-c", `command -v ${program}`]);
  if (absent !== 0) {
    assert.ok(MAY_LACK.has(program), `${program} is on every machine`);
    return;
  }
  // A client needs somebody to talk to: only its options are looked at.
  const isClient = text.includes("s_client");
  const { code, stderr } = await runProgram("bash", ["-c", text], { cwd: dirname(inFolder("file")), env: { ...ENV } });
  if (isClient) assert.doesNotMatch(stderr, /unknown option|Use -help/i);
  else assert.equal(code, 0, stderr);
}

const ENV = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
