import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { releaseKeys, withReleaseKey } from "../../tools/release-keys.ts";
import { run } from "./fake-io.ts";

interface Release {
  readonly folder: string;
  readonly publicKey: string;
  readonly sums: string;
  /** A file of the release, under its own name. */
  readonly file: string;
}

/** A release of two files, with a signed list. */
async function withRelease(action: (release: Release) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-self-"));
  try {
    const { publicKey, sign } = releaseKeys({ QUERYCOP_SIGNING_KEY_FILE: newKey(folder, "own") });
    assert.ok(publicKey !== undefined && sign !== undefined);
    const lines = ["querycop-a", "querycop-b"].map((name) => {
      writeFileSync(join(folder, name), `program ${name}`);
      return `${createHash("sha256").update(`program ${name}`).digest("hex")}  ${name}\n`;
    });
    const sums = join(folder, "SHA256SUMS");
    writeFileSync(sums, lines.join(""));
    writeFileSync(`${sums}.minisig`, sign(Buffer.from(lines.join("")), "querycop 1.2.3"));
    await action({ folder, publicKey, sums, file: join(folder, "querycop-a") });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function newKey(folder: string, name: string): string {
  const file = join(folder, `${name}.pem`);
  writeFileSync(file, generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
  return file;
}

test("self verify names the file of the release, whatever an installed one is called", async () => {
  await withRelease(async ({ folder, publicKey, sums, file }) => {
    const options = ["--sums", sums, "--public-key", publicKey];
    const own = await run(["self", "verify", file, ...options]);
    assert.deepEqual([own.code, own.stdout], [0, `ok: ${file} is querycop-a, signed: querycop 1.2.3\n`]);
    const installed = join(folder, "querycop");
    writeFileSync(installed, "program querycop-b");
    const renamed = await run(["self", "verify", installed, ...options]);
    assert.deepEqual([renamed.code, renamed.stdout], [0, `ok: ${installed} is querycop-b, signed: querycop 1.2.3\n`]);
  });
});

test("self verify refuses a file that is not in the list, and one under the name of another", async () => {
  await withRelease(async ({ publicKey, sums, file }) => {
    for (const content of ["another program", "program querycop-b"]) {
      writeFileSync(file, content);
      const { code, stdout, stderr } = await run(["self", "verify", file, "--sums", sums, "--public-key", publicKey]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /querycop-a is not what .*SHA256SUMS lists: its SHA-256 is [0-9a-f]{64}\n$/);
    }
  });
});

test("self verify refuses a list, comment or signature that was changed, and one of another key", async () => {
  await withRelease(async ({ folder, publicKey, sums, file }) => {
    const signature = `${sums}.minisig`;
    const verify = () => run(["self", "verify", file, "--sums", sums, "--public-key", publicKey]);
    const [goodList, good] = [readFileSync(sums, "utf8"), readFileSync(signature, "utf8")];
    const lines = good.split("\n");
    const spoil = (index: number, change: (line: string) => string): string =>
      lines.map((line, at) => (at === index ? change(line) : line)).join("\n");
    const { sign } = releaseKeys({ QUERYCOP_SIGNING_KEY_FILE: newKey(folder, "other") });
    const foreign = sign?.(Buffer.from(goodList), "querycop 1.2.3") ?? "";
    const cases: readonly (readonly [list: string, signature: string, reason: RegExp])[] = [
      [`${goodList}\n`, good, /does not fit the file/],
      [goodList, spoil(2, (line) => line.replace("1.2.3", "1.2.4")), /trusted comment was changed/],
      [
        goodList,
        spoil(1, (line) => `${line.slice(0, 4)}${line[4] === "A" ? "B" : "A"}${line.slice(5)}`),
        /of another key/,
      ],
      [goodList, spoil(1, (line) => `RUQ${line.slice(3)}`), /of another kind/],
      [goodList, foreign, /of another key/],
      [goodList, spoil(1, (line) => line.slice(4)), /no minisign signature/],
      [goodList, `${good}more\n`, /no minisign signature/],
      [goodList, "", /no minisign signature/],
    ];
    for (const [list, text, reason] of cases) {
      writeFileSync(sums, list);
      writeFileSync(signature, text);
      const { code, stdout, stderr } = await verify();
      assert.deepEqual([code, stdout], [1, ""], String(reason));
      assert.match(stderr, reason);
    }
  });
});

test("self says what it needs, and where updates are done", async () => {
  for (const [argv, reason] of [
    [["verify"], /--sums is required/],
    [["verify", "--sums", "x"], /--public-key is required: this executable was built without a release key/],
    [["verify", "--sums", "x", "--public-key", "RWQ"], /--public-key: expected the 56 characters/],
    [["update"], /does not replace its own file: run install\.sh again/],
    [["uninstall"], /does not remove its own file/],
    [["toString"], /expected verify/],
  ] as const) {
    const { code, stderr } = await run(["self", ...argv]);
    assert.equal(code, 2);
    assert.match(stderr, reason);
  }
});

test("withReleaseKey() changes the one line of install.sh, and fails where it is missing", () => {
  assert.equal(withReleaseKey("a\n  release_key=''\n", "RWQx"), "a\n  release_key='RWQx'\n");
  assert.equal(withReleaseKey("release_key=''\n", undefined), "release_key=''\n");
  assert.throws(() => withReleaseKey("", "RWQx"), /expected one line/);
});

test("serve refuses systems it was not tried on, check-config only says so", async () => {
  const env = { GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_BACKEND_TLS_MODE: "disable" };
  for (const platform of ["darwin", "win32"]) {
    for (const argv of [["serve"], []]) {
      const { code, stderr, served } = await run(argv, { env, platform });
      assert.deepEqual([code, served], [2, undefined]);
      assert.match(stderr, new RegExp(`^querycop: serve: the proxy runs on Linux only, and this is ${platform}`));
    }
    const checked = await run(["check-config"], { env, platform });
    assert.equal(checked.code, 0);
    assert.match(checked.stderr, new RegExp(`note: the proxy runs on Linux only, and this is ${platform}`));
  }
});
