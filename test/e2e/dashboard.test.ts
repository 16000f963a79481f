/** The dashboard in Debian's Chromium, in front of the executable and a real server. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { adminUrlOf } from "../support/admin-url.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { startBrowser } from "../support/browser.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop } from "../support/querycop.ts";
import type { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const ADMIN_KEY = "the-key-of-the-admin-0123456789";
const ALICE = "the-key-of-alice-0123456789";
const BOB = "the-key-of-bob-012345678901";
const PAGES = ["now", "approvals", "sessions", "statements", "audit", "policy", "health", "access"] as const;
/** Where it writes a picture of each page: docs/images, when that is asked for. */
const PICTURES = process.env["QUERYCOP_DASHBOARD_PICTURES"];

const folder = mkdtempSync(join(tmpdir(), "querycop-dashboard-"));
const inFolder = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};
/** Functions for the page are texts: its types are not those of the tests. */
const TELL_VIOLATIONS = `document.addEventListener("securitypolicyviolation", (event) => {
  console.error("Content Security Policy: " + event.violatedDirective + " " + event.blockedURI);
});`;
const EXCESS_WIDTH = "document.documentElement.scrollWidth - innerWidth";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const approversFile = inFolder("approvers", `alice:${sha256(ALICE)}\nbob:${sha256(BOB)}\n`);
const policyFile = inFolder(
  "policy.yaml",
  "version: 1\ndeny: { statements: [{ match: replace, action: require-approval }] }\nrules: { dml.nowhere: block }\n",
);

let server: TestServer;
let browser: Browser;
const contexts: BrowserContext[] = [];
/** What no page may cause: reports of the Content-Security-Policy, errors of the script. */
const complaints: string[] = [];

before(async () => {
  [server, browser] = await Promise.all([startServer({ kind: "mariadb" }), startBrowser()]);
});
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  await endStage();
  assert.deepEqual(complaints.splice(0), []);
});
after(async () => {
  await browser.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Stage {
  readonly querycop: Querycop;
  readonly url: string;
}

async function start(settings: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const querycop = await startStaged({
    ...plaintextBackend(server),
    ADMIN_API_KEY: ADMIN_KEY,
    GATEKEEPER_POLICY_FILE: policyFile,
    GATEKEEPER_API_APPROVERS_FILE: approversFile,
    ...settings,
  });
  return { querycop, url: `${await adminUrlOf(querycop)}${settings["GATEKEEPER_API_BASE_PATH"] ?? ""}/` };
}

async function client(querycop: Querycop): Promise<RawClient> {
  const raw = await connectStaged(querycop.port);
  const { user, password } = server.account("admin");
  await raw.login({ user, password, database: "appdb" });
  return raw;
}

async function newPage(options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  contexts.push(context);
  const page = await context.newPage();
  await page.addInitScript(TELL_VIOLATIONS);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy|TrustedHTML|Trusted Type/i.test(message.text())) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => undefined);
  });
  return page;
}

async function logIn(page: Page, url: string, key: string, at = ""): Promise<void> {
  await page.goto(`${url}${at}`);
  await page.locator("#key").fill(key);
  await page.keyboard.press("Enter");
  await page.locator("nav.side").waitFor();
}

const HELD = "REPLACE INTO scratch (id, text) VALUES (78, 'held')";

async function effects(): Promise<number> {
  const [[count] = []] = await server.rootQuery("SELECT COUNT(*) FROM appdb.scratch WHERE id = 78");
  return Number(count);
}

describe("the dashboard", () => {
  e2e("shows a held statement within a second, and approved by keyboard alone its client goes on", async () => {
    const { querycop, url } = await start();
    const page = await newPage();
    await logIn(page, url, ALICE);
    await page.locator(".live-live").waitFor();
    await page.getByText("Nobody waits").waitFor();
    await server.rootQuery("DELETE FROM appdb.scratch WHERE id = 78");
    const raw = await client(querycop);
    const sentMs = performance.now();
    raw.writeCommand(0x03, HELD);
    const row = page.locator(".waiting-row");
    await row.waitFor();
    const shownMs = performance.now() - sentMs;
    assert.equal(await row.count(), 1);
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.locator(".sql-block").waitFor();
    const digest = "REPLACE INTO `scratch` ( `id` , TEXT ) VALUES (...)";
    assert.equal(await page.locator(".sql-block").textContent(), digest);
    assert.equal(await effects(), 0);
    await page.keyboard.press("a");
    await page.getByRole("button", { name: "Approve, once" }).waitFor();
    assert.equal(await effects(), 0);
    await page.keyboard.press("Enter");
    assert.equal((await raw.readPacket()).payload[0], 0);
    assert.equal(await effects(), 1);
    await page.getByText("by alice").waitFor();
    // Told by the event: by itself the list would be asked for again after fifteen seconds.
    assert.ok(shownMs < 12_000, `shown after ${shownMs} ms`);
    if (process.env["QUERYCOP_DASHBOARD_TIMES"] !== undefined) console.log(`held statement shown after ${shownMs} ms`);
  });

  e2e("denies with a reason that the client reads, and shows it to another browser as it happens", async () => {
    const { querycop, url } = await start();
    const [alice, bob] = [await newPage(), await newPage()];
    await logIn(alice, url, ALICE);
    await logIn(bob, url, BOB);
    const raw = await client(querycop);
    raw.writeCommand(0x03, HELD);
    for (const page of [alice, bob]) await page.locator(".waiting-row").click();
    await bob.getByRole("button", { name: "Deny" }).waitFor();
    await alice.keyboard.press("d");
    await alice.locator("input[name=reason]").fill("not on a Friday");
    await alice.keyboard.press("Enter");
    assert.match((await raw.readPacket()).payload.toString("latin1"), /denied by alice: not on a Friday/);
    await bob.getByText("by alice").waitFor();
    assert.equal(await bob.getByRole("button", { name: "Deny" }).count(), 0);
  });

  e2e("asks to log in again when the session is over, and goes on where it was", async () => {
    const { querycop, url } = await start();
    const page = await newPage();
    await logIn(page, url, ADMIN_KEY, "#/audit?user=nobody");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"]);
    // Keys that change end every session.
    writeFileSync(approversFile, `${readFileSync(approversFile, "utf8")}\n`);
    querycop.signal("SIGHUP");
    await page.getByText("Your session has ended").waitFor();
    await page.locator("#key").fill(ADMIN_KEY);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Audit" }).waitFor();
    assert.match(page.url(), /#\/audit\?user=nobody$/);
  });

  e2e("shows what is hostile as harmless text, and has nothing serious for a reader who does not see", async () => {
    const { querycop, url } = await start({ GATEKEEPER_API_BASE_PATH: "/some/where" });
    const raw = await client(querycop);
    const hostile = "`<img src=x onerror=alert(1)>`";
    await raw.query(`CREATE TABLE IF NOT EXISTS ${hostile} (\`a\u202eb\` INT, \`\u{1f4a3}\` INT)`);
    await raw.query(`SELECT \`a\u202eb\`, \`\u{1f4a3}\` FROM ${hostile}`);
    await raw.query(
      `SELECT 1 /* ${"x".repeat(1_000_000)} */ FROM ${hostile} WHERE \`a\u202eb\` IN (${"1,".repeat(20_000)}1)`,
    );
    await raw.query("DELETE FROM scratch");
    raw.writeCommand(0x03, `REPLACE INTO ${hostile} (\`\u{1f4a3}\`) VALUES (1)`);
    await eventually("a statement is held", () => querycop.audit().find(({ type }) => type === "hold"));
    const page = await newPage();
    await page.addInitScript({ path: createRequire(import.meta.url).resolve("axe-core/axe.min.js") });
    await logIn(page, url, ADMIN_KEY);
    for (const name of PAGES) {
      await visit(page, url, name);
      await inspect(page, name);
      const link = page.locator("main .row-link").first();
      if ((await link.count()) === 0 || name === "now" || name === "access" || name === "policy") continue;
      await link.click();
      await page.locator("main h1 .back").waitFor();
      await settled(page);
      await inspect(page, `${name}, one of them`);
    }
    assert.doesNotMatch((await page.locator("main").textContent()) ?? "", /\u202e/);
    assert.equal(await page.locator("img").count(), 0);
  });

  e2e("fits a page of 320 pixels, and one at twice the size", async () => {
    const { querycop, url } = await start();
    const raw = await client(querycop);
    for (let i = 0; i < 5; i++) await raw.query(`SELECT id, text FROM scratch WHERE id = ${i} ORDER BY id`);
    // Twice the size leaves half the pixels to the style.
    for (const viewport of [
      { width: 320, height: 640 },
      { width: 640, height: 430 },
    ]) {
      const page = await newPage({ viewport });
      await logIn(page, url, ADMIN_KEY);
      for (const name of PAGES) {
        await visit(page, url, name);
        const excess = await page.evaluate<number>(EXCESS_WIDTH);
        assert.ok(excess <= 0, `${name} is ${excess} pixels wider than ${viewport.width}`);
      }
    }
  });
});

async function visit(page: Page, url: string, name: string): Promise<void> {
  await page.goto(`${url}#/${name}`);
  await page.locator("main h1").waitFor();
  await settled(page);
}

/** Everything that was asked for has come. */
async function settled(page: Page): Promise<void> {
  const open = page.locator("main [aria-busy=true], main .loading");
  while ((await open.count()) > 0) await open.first().waitFor({ state: "detached" });
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { html: string }[];
  }[];
}

async function inspect(page: Page, where: string): Promise<void> {
  if (PICTURES !== undefined) {
    mkdirSync(PICTURES, { recursive: true });
    await page.screenshot({ path: join(PICTURES, `${where.replaceAll(/\W+/g, "-")}.png`) });
  }
  const { violations } = await page.evaluate<AxeResult>("axe.run()");
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(
    serious.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0]?.html}`),
    [],
  );
}
