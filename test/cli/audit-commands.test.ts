import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { intent, KEY, openLog, outcome, SESSION, withFolder } from "../audit/audit-fixture.ts";
import { run } from "./fake-io.ts";

/** Six statements of two users over several segments and two runs. */
async function writeLog(path: string): Promise<void> {
  for (const user of ["app", "report"]) {
    const log = openLog(path, { segmentBytesMax: 1500 });
    for (let i = 1; i <= 3; i++) {
      const session = { ...SESSION, id: `${log.run}-1`, user, userSent: user };
      log.append(intent(i, session));
      log.append(outcome(i, session));
    }
    log.append({ type: "stop", reason: "SIGTERM" });
    await log.close();
  }
}

const lines = (text: string): string[] => text.split("\n").slice(0, -1);

test("audit verify says that a log is whole, with what it holds, and exits with 0", async () => {
  await withFolder(async (folder, path) => {
    await writeLog(path);
    const { code, stdout } = await run(["audit", "verify", path]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /audit\.ndjson: whole\n/);
    assert.match(stdout, new RegExp(`signed with key ${KEY.keyId}`));
    assert.match(stdout, /6 statements, 0 with unknown outcome/);
    assert.match(stdout, /stopped in order, 0 records behind its last checkpoint/);
    const json = JSON.parse((await run(["audit", "verify", path, "--json"])).stdout) as { isWhole: boolean };
    assert.equal(json.isWhole, true);
    assert.equal(
      (await run(["audit", "verify"], { env: { GATEKEEPER_BACKEND_HOST: "db.test", GATEKEEPER_AUDIT_FILE: path } }))
        .code,
      0,
    );
    assert.equal((await run(["audit", "verify", folder])).code, 0, "a folder of segments");
  });
});

test("audit verify names the first broken record with file and line, and exits with 1", async () => {
  await withFolder(async (_folder, path) => {
    await writeLog(path);
    const text = readFileSync(path, "latin1");
    writeFileSync(path, text.replace('"reason":"SIGTERM"', '"reason":"SIGKILL"'));
    const { code, stdout } = await run(["audit", "verify", path]);
    assert.equal(code, 1);
    const line = lines(text).findIndex((record) => record.includes('"reason":"SIGTERM"')) + 1;
    assert.equal(lines(stdout)[0], `${path}:${line}: wrong-hash: the record was changed or damaged`);
    assert.match(stdout, /NOT whole, \d+ problem/);
  });
});

test("audit verify exits with 2 for what is not there and for wrong options", async () => {
  await withFolder(async (folder, path) => {
    assert.match((await run(["audit", "verify", path])).stderr, /no audit log at/);
    for (const args of [
      [path],
      [join(folder, "no", "such.ndjson")],
      [path, "--checkpoints", join(folder, "none")],
      [path, "--limitt", "3"],
    ]) {
      assert.equal((await run(["audit", "verify", ...args])).code, 2, args.join(" "));
    }
    const env = { GATEKEEPER_BACKEND_HOST: "db.test" };
    const { code, stderr } = await run(["audit", "tail"], { env });
    assert.equal(code, 2);
    assert.match(stderr, /no audit log is configured: name its file, or set audit\.file/);
    assert.equal((await run(["audit", "prove", path])).code, 2);
  });
});

test("audit verify finds a cut end by a kept checkpoint, and a strange signer by the trusted keys", async () => {
  await withFolder(async (folder, path) => {
    await writeLog(path);
    const kept = join(folder, "kept");
    const all = lines(readFileSync(path, "latin1"));
    writeFileSync(kept, `${all.at(-1)}\n`);
    assert.equal((await run(["audit", "verify", path, "--checkpoints", kept])).code, 0);
    assert.equal((await run(["audit", "verify", path, "--trusted-keys", KEY.keyId])).code, 0);
    const strange = await run(["audit", "verify", path, "--trusted-keys", "0123456789abcdef"]);
    assert.equal(strange.code, 1);
    assert.match(strange.stdout, /unknown-key/);
    writeFileSync(path, `${all.slice(0, -2).join("\n")}\n`);
    assert.equal((await run(["audit", "verify", path])).code, 0, "the cut alone cannot be seen");
    const cut = await run(["audit", "verify", path, "--checkpoints", kept]);
    assert.equal(cut.code, 1);
    assert.match(cut.stdout, /missing-checkpoint/);
  });
});

test("audit verify reads a folder of segments that others have renamed", async () => {
  await withFolder(async (folder, path) => {
    await writeLog(path);
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    renameSync(path, join(elsewhere, "audit.ndjson.1"));
    assert.equal((await run(["audit", "verify", elsewhere])).code, 0);
    unlinkSync(join(elsewhere, "audit.ndjson.1"));
    assert.equal((await run(["audit", "verify", elsewhere])).code, 2);
  });
});

test("audit tail prints the last records that match, for people or as JSON", async () => {
  await withFolder(async (_folder, path) => {
    await writeLog(path);
    const { code, stdout } = await run(["audit", "tail", path, "--type", "statement-intent", "--limit", "4"]);
    assert.equal(code, 0);
    assert.equal(lines(stdout).length, 4);
    assert.match(lines(stdout)[0] ?? "", /Z statement-intent {2}app@127\.0\.0\.1:50001 ordinal=3 .*text="SELECT \?"/);
    const json = await run(["audit", "tail", path, "--json", "--user", "report", "--type", "statement-intent"]);
    assert.deepEqual(
      lines(json.stdout).map((line) => (JSON.parse(line) as { ordinal: number }).ordinal),
      [1, 2, 3],
    );
  });
});

test("audit tail prints no character that a terminal would act on", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append({ ...SESSION, type: "connect", session: { ...SESSION, user: "a\u001b[2J\u202eb\nc" } });
    await log.close();
    const { stdout } = await run(["audit", "tail", path, "--type", "connect"]);
    assert.match(stdout, /a\\u001b\[2J\\u202eb\\u000ac@/);
    assert.ok([...stdout].every((character) => character === "\n" || (character >= " " && character <= "~")));
  });
});

test("audit export gives every matching record over all segments, as NDJSON or CSV", async () => {
  await withFolder(async (_folder, path) => {
    await writeLog(path);
    const all = await run(["audit", "export", path, "--type", "statement-intent,statement-outcome"]);
    assert.equal(lines(all.stdout).length, 12);
    const csv = await run([
      "audit",
      "export",
      path,
      "--format",
      "csv",
      "--user",
      "app",
      "--columns",
      "type,session.user,ordinal",
    ]);
    assert.equal(csv.stdout.split("\r\n")[0], "type,session.user,ordinal");
    assert.equal(csv.stdout.split("\r\n").length, 1 + 6 + 1);
    assert.equal(lines((await run(["audit", "export", path, "--limit", "5"])).stdout).length, 5);
    assert.equal(lines((await run(["audit", "export", path, "--until", "2020-01-01"])).stdout).length, 0);
    assert.ok(lines((await run(["audit", "export", path, "--since", "1h"])).stdout).length > 12);
  });
});

test("the filters refuse what they do not know", async () => {
  await withFolder(async (_folder, path) => {
    await writeLog(path);
    const refusal = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await run(["audit", "export", path, ...args]);
      assert.equal(code, 2, args.join(" "));
      return stderr;
    };
    assert.match(await refusal("--type", "statement-intend"), /did you mean statement-intent\?/);
    assert.match(await refusal("--since", "yesterday"), /expected a time such as/);
    assert.match(await refusal("--limit", "0"), /expected a number from 1/);
    assert.match(await refusal("--format", "xml"), /--format: expected one of ndjson, csv, got "xml"/);
    assert.match(await refusal("--decision", "blocked"), /expected one of allow, warn, block, .*did you mean block\?/);
    assert.match(await refusal("--outcome", "failed"), /expected one of ok, error, unknown/);
    assert.match(await refusal("--columns", "seq"), /goes with --format csv/);
  });
});
