/** The commands of the documents that are marked to be run, page by page, with the executable and a real MariaDB. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { makeCertificates } from "../support/certificates.ts";
import { run } from "../support/child.ts";
import { codeBlocks, documents, PROJECT } from "../support/document-commands.ts";
import { installServerRoot } from "../support/install.ts";
import { pickPort, startServer, type TestServer } from "../support/servers.ts";

const PAGES = documents()
  .map((file) => ({ file, blocks: codeBlocks(file).filter(({ marker }) => marker === "run") }))
  .filter(({ blocks }) => blocks.length > 0);

const certificates = await makeCertificates();
let folder: string;
let server: TestServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "querycop-documents-"));
  const certificate = { ...certificates.leaves.goodRsa, clientCaFile: certificates.caFile };
  server = await startServer({ kind: "mariadb", certificate });
  await server.rootQuery(`
    CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); CREATE TABLE shop.salaries (id INT);
    INSERT INTO shop.orders VALUES (1), (2);
    CREATE USER app IDENTIFIED BY 'correct-horse'; GRANT ALL ON shop.* TO app`);
  mkdirSync(join(folder, "bin"));
  // What a page starts ends by itself, even if this process cannot see to it.
  program("querycop", `exec timeout 100 ${join(PROJECT, "dist/querycop")} "$@"`);
  const root = await installServerRoot("mariadb");
  const client = root.command("usr/bin/mariadb", []);
  program("mariadb", `exec ${client.command} ${client.args.join(" ")} --no-defaults --skip-ssl "$@"`);
});

after(async () => {
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

function program(name: string, body: string): void {
  const file = join(folder, "bin", name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

/** The places that are different here. */
async function atHome(text: string): Promise<string> {
  const [listenPort, second] = [await pickPort(), await pickPort()];
  return text
    .replaceAll("mariadb.example.com", "localhost")
    .replaceAll("port: 3306", `port: ${server.port}`)
    .replaceAll("15336", String(listenPort))
    .replaceAll("15337", String(second))
    .replaceAll(/\/etc\/ssl\/[a-z/-]+\.(pem|crt)/g, certificates.caFile);
}

test("there are commands to run on several pages", () => {
  assert.ok(PAGES.length >= 5, PAGES.map(({ file }) => file).join(" "));
});

for (const { file, blocks } of PAGES) {
  test(`the commands of ${file} do what they should`, { timeout: 120_000 }, async () => {
    const home = mkdtempSync(join(folder, "page-"));
    const script = await atHome(blocks.map(({ text }) => text).join("\n"));
    // What a page leaves running ends with it.
    const whole = `set -eu; umask 077; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${script}\n`;
    const env = {
      PATH: `${folder}/bin:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
      HOME: home,
      GATEKEEPER_API_PORT: "0",
      GATEKEEPER_LISTEN_PORT: blocks.some(({ text }) => text.includes("15336")) ? undefined : "0",
    };
    const port = /--port=(\d+)/.exec(script)?.[1];
    const listening = port === undefined ? {} : { GATEKEEPER_LISTEN_PORT: port };
    const { code, stdout, stderr } = await run("bash", ["-c", whole], { cwd: home, env: { ...env, ...listening } });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    if (file === "docs/cookbook-mariadb.md") checkMariadbPage(stdout, stderr);
  });
}

function checkMariadbPage(stdout: string, stderr: string): void {
  assert.match(stdout, /^1$/m);
  assert.equal(stdout.split("\n").filter((line) => line === "refused").length, 2);
  assert.match(stderr, /ERROR 1148 .*dml\.nowhere/);
  assert.match(stderr, /ERROR 1148 .*pol\.deny/);
}
