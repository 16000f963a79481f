/** `querycop approvals` against the admin API in this process; test/e2e/approvals.test.ts has the executables. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ADMIN_KEY, type AdminFixture, APPROVER_KEY, startAdmin } from "../admin/admin-fixture.ts";
import { run } from "./fake-io.ts";

const folder = mkdtempSync(join(tmpdir(), "querycop-approvals-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const keyFile = join(folder, "key");
writeFileSync(keyFile, `${APPROVER_KEY}\nnot the key\n`);

async function withAdmin(work: (admin: AdminFixture, url: string) => Promise<void>): Promise<void> {
  const admin = await startAdmin();
  try {
    await work(admin, `http://127.0.0.1:${admin.port}`);
  } finally {
    await admin.close();
  }
}

test("approvals list prints a line for each request, and with --json what the API said", async () => {
  await withAdmin(async (_admin, url) => {
    const { code, stdout } = await run(["approvals", "list", "--url", url, "--key-file", keyFile]);
    assert.equal(code, 0);
    assert.equal(stdout, "run-1 pending 0s <b>app</b>@192.0.2.1 risk 60 DELETE FROM `<img src=x>`\n");
    const json = await run(["approvals", "list", "--url", url, "--key-file", keyFile, "--json"]);
    const { approvals } = JSON.parse(json.stdout) as { approvals: { id: string }[] };
    assert.deepEqual(
      approvals.map(({ id }) => id),
      ["run-1"],
    );
  });
});

test("approvals show prints everything an approver may know", async () => {
  await withAdmin(async (_admin, url) => {
    const { code, stdout } = await run(["approvals", "show", "run-1", "--url", url, "--key-file", keyFile]);
    assert.equal(code, 0);
    for (const line of [
      "statement       DELETE FROM `<img src=x>`",
      "writes          <img src=x>",
      "estimated rows  12",
      "risk            60 (high)",
      "because of      dml.nowhere (60): DELETE without WHERE",
      "in transaction  no",
    ]) {
      assert.ok(stdout.split("\n").includes(line), `${line}\n${stdout}`);
    }
    const unknown = await run(["approvals", "show", "apr-x-1", "--url", url, "--key-file", keyFile]);
    assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);
    assert.match(unknown.stderr, /there is no such request, or no longer \(HTTP 404\)/);
  });
});

test("approvals approve and deny answer under the name of the key", async () => {
  await withAdmin(async (admin, url) => {
    assert.equal((await run(["approvals", "approve", "run-1", "--url", url, "--key-file", keyFile])).code, 0);
    const denied = ["approvals", "deny", "run-1", "--reason", "not on a Friday", "--url", url, "--key-file", keyFile];
    assert.equal((await run(denied)).code, 0);
    assert.deepEqual(admin.done, ["approve run-1 as ann", "deny run-1 as ann: not on a Friday"]);
  });
});

test("approvals finds API and key in the configuration, whose key needs --as", async () => {
  await withAdmin(async (admin) => {
    const env = {
      GATEKEEPER_BACKEND_HOST: "127.0.0.1",
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
      GATEKEEPER_API_PORT: String(admin.port),
      ADMIN_API_KEY: ADMIN_KEY,
    };
    const nameless = await run(["approvals", "approve", "run-1"], { env });
    assert.equal(nameless.code, 1);
    assert.match(nameless.stderr, /say who answers/);
    assert.equal((await run(["approvals", "approve", "run-1", "--as", "carol"], { env })).code, 0);
    assert.deepEqual(admin.done, ["approve run-1 as carol"]);
  });
});

test("approvals says that nobody answers, and exits with 1", async () => {
  const { code, stderr } = await run(["approvals", "list", "--url", "http://127.0.0.1:1", "--key-file", keyFile]);
  assert.equal(code, 1);
  assert.match(stderr, /No answer from the admin API at 127\.0\.0\.1:1: /);
});

const USAGE: readonly [name: string, args: readonly string[], message: RegExp][] = [
  ["no verb", [], /verb|list, show, approve, deny/],
  ["another verb", ["grant"], /expected one of list, show, approve, deny/],
  ["no id", ["approve", "--url", "http://127.0.0.1:1", "--key-file", keyFile], /ID is required/],
  ["a denial without reason", ["deny", "a", "--url", "http://127.0.0.1:1", "--key-file", keyFile], /--reason/],
  ["no key", ["list", "--url", "http://127.0.0.1:1"], /a key is needed/],
  ["a key over a plaintext network", ["list", "--url", "http://db.example:1", "--key-file", keyFile], /in plaintext/],
  ["another scheme", ["list", "--url", "ftp://127.0.0.1", "--key-file", keyFile], /expected http/],
  ["a key file that is not there", ["list", "--url", "http://127.0.0.1:1", "--key-file", "/none"], /ENOENT/],
];

for (const [name, args, message] of USAGE) {
  test(`approvals with ${name} exits with 2`, async () => {
    const { code, stderr } = await run(["approvals", ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  });
}
