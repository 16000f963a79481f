/**
 * `npm run demo`: a client without any cleartext plugin runs `select 1` as an IAM user of a real server, through the
 * compiled executable, and is refused a statement that would empty a table. Installs what is missing, uses loopback
 * only, and leaves nothing running behind.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { awsEnvironment, awsTokenCommand, iamSettings, TEST_REGION } from "../test/support/aws-token.ts";
import { type CertificateSet, CLUSTER_HOST, makeCertificates } from "../test/support/certificates.ts";
import { type RunResult, run, runChecked } from "../test/support/child.ts";
import { runClient } from "../test/support/clients.ts";
import { type Querycop, startQuerycop } from "../test/support/querycop.ts";
import { startServer, type TestServer } from "../test/support/servers.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const EXECUTABLE = join(PROJECT, "dist/querycop");
const STATEMENT = "select 1";
/** What the audit log has of it: literals stay out. */
const DIGEST = "SELECT ?";
const DESTRUCTIVE = "delete from shop.orders";
const POLICY = "version: 1\nrules:\n  dml.nowhere: block\n";

let steps = 0;
const step = (text: string): void => console.log(`\n${++steps}. ${text}`);
const show = (text: string): void => {
  for (const line of text.trimEnd().split("\n")) console.log(`     ${line}`);
};

/** The settings of querycop's page for Aurora MySQL with IAM; the host is loopback under the cluster's name. */
function settingsFor(server: TestServer, caFile: string, policyFile: string): Record<string, string | undefined> {
  return {
    ...awsEnvironment(),
    GATEKEEPER_BACKEND_HOST: server.host,
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: CLUSTER_HOST,
    GATEKEEPER_BACKEND_REGION: TEST_REGION,
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_POLICY_FILE: policyFile,
    GATEKEEPER_LOG_LEVEL: "info",
  };
}

/** Starts the executable, shows its settings and its log so far, and ends it behind `work`, whatever becomes of that. */
async function withQuerycop(
  settings: Readonly<Record<string, string | undefined>>,
  work: (querycop: Querycop) => Promise<void>,
): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith("GATEKEEPER_")) show(`${name}='${value}'`);
  }
  const querycop = await startQuerycop(settings);
  try {
    show(querycop.logText());
    await work(querycop);
  } finally {
    await querycop.stop();
  }
}

interface TokenSource {
  readonly title: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** The built-in signer always; the aws program too where it is installed, which the demo does not do by itself. */
async function tokenSources(server: TestServer): Promise<TokenSource[]> {
  const signer = { title: "the built-in signer", settings: { GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" } };
  const hasAws = await run("aws", ["--version"]).then(
    ({ code }) => code === 0,
    () => false,
  );
  if (!hasAws) return [signer];
  const command = awsTokenCommand(server.port);
  return [{ title: "the aws program", settings: { GATEKEEPER_BACKEND_TOKEN_CMD: command } }, signer];
}

/** A statement as iam_user through querycop. The client finds no plugin it could load, so it cannot send clear text. */
async function runStatement(port: number, pluginFolder: string, statement: string): Promise<RunResult> {
  const plugins = `--plugin-dir=${pluginFolder}`;
  show(`$ mariadb --host=127.0.0.1 --port=${port} --user=iam_user --skip-ssl ${plugins} -e "${statement}"`);
  const target = { host: "127.0.0.1", port, user: "iam_user", password: "" };
  const result = await runClient("mariadb", target, [statement], { args: ["--table", plugins] });
  show(result.stdout + result.stderr);
  return result;
}

function countInGeneralLog(server: TestServer, statement: string): number {
  return server.generalLog().filter((entry) => entry.argument === statement).length;
}

function showEvidence(server: TestServer, querycop: Querycop): void {
  const attempt = server.iamAttempts().at(-1);
  if (attempt?.accepted !== true) throw new Error(`The server accepted no token: ${JSON.stringify(attempt)}`);
  const { user, tokenBytes, endpoint, tls } = attempt;
  show(`server: ${user} logged in with a token of ${tokenBytes} bytes for ${endpoint}, tls=${tls}`);
  show(`server: its general log has the statement ${countInGeneralLog(server, STATEMENT)} time(s)`);
  const records = querycop.audit();
  const record = records.find((each) => each["text"] === DIGEST);
  if (record === undefined) throw new Error("The audit log has no record of the statement");
  const shown = ["seq", "type", "text", "decision", "hash"].map((name) => `${name}=${record[name]}`).join(" ");
  show(`audit:  ${records.length} chained records, that of the statement: ${shown}`);
}

/** Who demonstrates: a real server, its certificates, and an empty folder for the client to look for plugins. */
interface Stage {
  readonly folder: string;
  readonly policyFile: string;
  readonly certificates: CertificateSet;
  readonly server: TestServer;
}

async function demo(stage: Stage): Promise<void> {
  const { certificates, server } = stage;
  step("The server knows iam_user only by its AWS token, and only over TLS");
  const [created] = await server.rootQuery("SHOW CREATE USER 'iam_user'@'%'");
  show(created?.join(" ") ?? "");
  server.setIam(iamSettings(CLUSTER_HOST, server.port));

  step("Compile querycop into one executable");
  show(await runChecked(process.execPath, ["build.ts"], { cwd: PROJECT }).then(({ stdout }) => stdout));
  show((await runChecked(EXECUTABLE, ["--version"])).stdout);

  const settings = settingsFor(server, certificates.caFile, stage.policyFile);
  for (const source of await tokenSources(server)) {
    step(`Start it with a backend leg of verify-full and tokens from ${source.title}`);
    await withQuerycop({ ...settings, ...source.settings }, (querycop) => showLoginAndBlock(stage, querycop));
  }

  step("The same with an authority that did not sign the server's certificate: refused before any token is made");
  const attempts = server.iamAttempts().length;
  const mistrusting = {
    ...settings,
    GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.otherCaFile,
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  };
  await withQuerycop(mistrusting, async (querycop) => {
    const { code } = await runStatement(querycop.port, stage.folder, STATEMENT);
    show(`log:    ${querycop.logs().find(({ event }) => event === "session failed")?.["error"]}`);
    if (code === 0 || server.iamAttempts().length !== attempts)
      throw new Error("A server that cannot be verified got a login");
  });
}

async function showLoginAndBlock({ server, folder }: Stage, querycop: Querycop): Promise<void> {
  step("A plain client, without password, without TLS and without a cleartext plugin, runs its statement");
  const allowed = await runStatement(querycop.port, folder, STATEMENT);
  if (allowed.code !== 0) throw new Error(`The statement failed. querycop's log:\n${querycop.logText()}`);
  showEvidence(server, querycop);

  step("The same client tries to empty a table: refused with the reason, and the server never sees it");
  const refused = await runStatement(querycop.port, folder, DESTRUCTIVE);
  const seen = countInGeneralLog(server, DESTRUCTIVE);
  show(`server: its general log has the statement ${seen} time(s)`);
  if (refused.code === 0 || seen > 0) throw new Error("The statement was not refused");
}

const folder = mkdtempSync(join(tmpdir(), "querycop-demo-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let certificates: CertificateSet | undefined;
let server: TestServer | undefined;
try {
  step("Get a MariaDB server (Debian packages, unpacked into .cache/) and start it with TLS on loopback");
  certificates = await makeCertificates();
  server = await startServer({
    kind: "mariadb",
    certificate: { ...certificates.leaves.chain, clientCaFile: certificates.caFile },
  });
  const [version] = await server.rootQuery("SELECT VERSION()");
  show(`MariaDB ${version?.[0] ?? ""} on ${server.host}:${server.port}, its certificate is for ${CLUSTER_HOST}`);
  const policyFile = join(folder, "policy.yaml");
  writeFileSync(policyFile, POLICY);
  await demo({ folder, policyFile, certificates, server });
  console.log("\nThe demo worked. Next: README.md, section Quick start.");
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await server?.stop();
  certificates?.remove();
}
