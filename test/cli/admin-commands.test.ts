import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ADMIN_KEY, type AdminFixture, startAdmin } from "../admin/admin-fixture.ts";
import { selfSigned } from "../config/self-signed.ts";
import { run } from "./fake-io.ts";

const SETTINGS = { GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_BACKEND_TLS_MODE: "disable" };

function environmentOf(admin: AdminFixture): Record<string, string> {
  return { ...SETTINGS, GATEKEEPER_API_PORT: String(admin.port), ADMIN_API_KEY: ADMIN_KEY };
}

test("status says whether clients are served, with a key and without", async () => {
  const admin = await startAdmin();
  const env = environmentOf(admin);
  const full = await run(["status"], { env });
  assert.equal(full.code, 0, full.stderr);
  assert.match(full.stdout, /^ready: version 1\.2\.3, up \d+ s, 1 session, policy 7\nok {3}a: b\n$/);
  const { ADMIN_API_KEY: _, ...keyless } = env;
  assert.equal((await run(["status"], { env: keyless })).stdout, "ready\nok   a: b\n");
  const json = JSON.parse((await run(["status", "--json"], { env })).stdout) as { isReady: boolean };
  assert.equal(json.isReady, true);
  await admin.close();
});

test("sessions are listed with names that cannot act on a terminal, and killed by id", async () => {
  const admin = await startAdmin();
  const env = environmentOf(admin);
  const list = await run(["sessions", "list"], { env });
  assert.equal(list.code, 0, list.stderr);
  assert.deepEqual(
    list.stdout.split("\n").map((line) =>
      line
        .split("  ")
        .filter((cell) => cell !== "")
        .map((cell) => cell.trim()),
    ),
    [
      ["ID", "USER", "CLIENT", "LISTENER", "STATE", "COMMANDS", "AGE", "SCHEMA", "STATEMENT"],
      [
        "run-1",
        "<b>app</b>",
        "192.0.2.1",
        "writer",
        "busy for 1 min 15 s",
        "3",
        "9 s",
        "shop",
        "SELECT * FROM `<img src=x>` WHERE `id` = ?",
      ],
      [],
    ],
  );
  assert.equal((await run(["sessions", "list", "--user", "nobody"], { env })).stdout.split("\n").length, 2);
  assert.deepEqual(await run(["sessions", "kill", "run-1"], { env }).then(({ code, stdout }) => [code, stdout]), [
    0,
    "ended run-1\n",
  ]);
  const unknown = await run(["sessions", "kill", "../policy/reload"], { env });
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /\(404\): there is no such session now/);
  assert.deepEqual(admin.done, ["kill run-1 by admin", "kill ../policy/reload by admin"]);
  assert.equal((await run(["sessions", "kill"], { env })).code, 2);
  await admin.close();
});

test("reload shows what became of each file, metrics come as they are", async () => {
  const admin = await startAdmin();
  const env = environmentOf(admin);
  assert.equal((await run(["reload"], { env })).stdout, "policy: replaced\npolicy in force: 7\n");
  assert.deepEqual(admin.done, ["reload admin"]);
  assert.ok((await run(["metrics"], { env })).stdout.startsWith("# HELP querycop_build_info "));
  await admin.close();
});

test("a wrong key, and an address where nobody answers, are failures that say so", async () => {
  const admin = await startAdmin();
  const env = { ...environmentOf(admin), ADMIN_API_KEY: "0123456789abcdef-wrong" };
  const wrong = await run(["metrics"], { env });
  assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
  assert.match(wrong.stderr, /\(401\): a valid key is needed/);
  assert.ok(!wrong.stderr.includes("0123456789abcdef-wrong"));
  await admin.close();
  const gone = await run(["status"], { env });
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /No answer from the admin API at 127\.0\.0\.1:\d+: ECONNREFUSED/);
  const chosen = await run(["status"], { env: { ...SETTINGS, GATEKEEPER_API_PORT: "0" } });
  assert.equal(chosen.code, 2);
});

test("every command for a running querycop takes an address and a key, and then reads no configuration", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-admin-cli-"));
  const keyFile = join(folder, "key");
  writeFileSync(keyFile, `${ADMIN_KEY}\n`);
  const admin = await startAdmin();
  const url = `http://127.0.0.1:${admin.port}`;
  const env = { GATEKEEPER_CONFIG: join(folder, "absent.yaml") };
  for (const words of [["status"], ["sessions", "list"], ["reload"], ["metrics"], ["approvals", "list"]]) {
    const { code, stderr } = await run([...words, "--url", url, "--key-file", keyFile], { env });
    assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
    const variable = await run([...words, "--url", url], { env: { ...env, ADMIN_API_KEY: `${ADMIN_KEY}\n` } });
    assert.equal(variable.code, 0, `${words.join(" ")}: ${variable.stderr}`);
    assert.equal((await run([...words, "--url", "http://db.example.com"], { env })).code, 2);
    assert.equal((await run([...words, "--url", `${url}/api`], { env })).code, 2);
  }
  assert.equal((await run(["status", "--url", url], { env })).stdout, "ready\nok   a: b\n", "health needs no key");
  assert.match((await run(["approvals", "list", "--url", url], { env })).stderr, /a key is needed/);
  await admin.close();
  rmSync(folder, { recursive: true });
});

test("commands for a running querycop ask for nothing but its address", async () => {
  const admin = await startAdmin();
  const options = ["--api-port", String(admin.port)];
  const { code, stderr } = await run(["status", ...options], { env: { ADMIN_API_KEY: ADMIN_KEY } });
  assert.equal(code, 0, stderr);
  const foreign = await run(["status", "--backend-host", "127.0.0.1", ...options]);
  assert.deepEqual([foreign.code, /unknown option --backend-host/.test(foreign.stderr)], [2, true]);
  const { stdout } = await run(["sessions", "--help"]);
  assert.match(stdout, /--api-port +Port of the admin API: whole number from 0 to 65535/);
  assert.doesNotMatch(stdout, /--backend/);
  await admin.close();
});

test("over HTTPS it talks to the holder of the configured certificate and to nobody else", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-admin-cli-"));
  const [ours, theirs] = [selfSigned("querycop.test"), selfSigned("querycop.test")];
  const files = { GATEKEEPER_API_TLS_CERT: join(folder, "api.crt"), GATEKEEPER_API_TLS_KEY: join(folder, "api.key") };
  writeFileSync(files.GATEKEEPER_API_TLS_CERT, ours.cert);
  writeFileSync(files.GATEKEEPER_API_TLS_KEY, ours.key);
  chmodSync(files.GATEKEEPER_API_TLS_KEY, 0o600);
  // Deno's node:https takes any certificate of the name for the one in `ca`; the executable is Bun's.
  const cases =
    "Deno" in globalThis
      ? ([[ours, 0]] as const)
      : ([
          [ours, 0],
          [theirs, 1],
        ] as const);
  for (const [certificate, code] of cases) {
    const admin = await startAdmin({ tls: certificate });
    const result = await run(["status"], { env: { ...environmentOf(admin), ...files } });
    assert.equal(result.code, code, result.stdout + result.stderr);
    assert.equal(admin.recorded.length, code === 0 ? 1 : 0);
    await admin.close();
  }
  rmSync(folder, { recursive: true });
});
