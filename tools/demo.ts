/**
 * `npm run demo`: a client without any cleartext plugin runs `select 1` as an IAM user of a real server, through the
 * compiled executable. Installs what is missing, uses loopback only, and leaves nothing running behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { awsEnvironment, awsTokenCommand, iamSettings, TEST_REGION } from "../test/support/aws-token.ts";
import { type CertificateSet, CLUSTER_HOST, makeCertificates } from "../test/support/certificates.ts";
import { environment, keepTrack, run, runChecked } from "../test/support/child.ts";
import { runClient } from "../test/support/clients.ts";
import { pickPort, startServer, type TestServer } from "../test/support/servers.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const EXECUTABLE = join(PROJECT, "dist/querycop");
const START_TIMEOUT_MS = 20_000;
const STATEMENT = "select 1";

let steps = 0;
const step = (text: string): void => console.log(`\n${++steps}. ${text}`);
const show = (text: string): void => {
  for (const line of text.trimEnd().split("\n")) console.log(`     ${line}`);
};

interface Running {
  readonly child: ChildProcess;
  readonly log: string[];
}

/** Starts the executable with settings as environment variables and resolves when it listens. */
async function startQuerycop(settings: Readonly<Record<string, string>>): Promise<Running> {
  const child = spawn(EXECUTABLE, ["serve"], {
    env: environment({ ...awsEnvironment(), ...settings }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  keepTrack(child);
  const log: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`querycop did not start:\n${log.join("\n")}`)), START_TIMEOUT_MS);
    const onLine = (line: string): void => {
      log.push(line);
      if (!line.includes("querycop listening")) return;
      clearTimeout(timer);
      resolve();
    };
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`querycop ended with ${code}:\n${log.join("\n")}`));
    });
  });
  return { child, log };
}

async function stopQuerycop({ child }: Running): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}

/** The settings of querycop's page for Aurora MySQL with IAM; the host is loopback under the cluster's name. */
function settingsFor(server: TestServer, caFile: string, listenPort: number, folder: string) {
  return {
    GATEKEEPER_BACKEND_HOST: server.host,
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: CLUSTER_HOST,
    GATEKEEPER_BACKEND_REGION: TEST_REGION,
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_LISTEN_PORT: String(listenPort),
    GATEKEEPER_AUDIT_FILE: join(folder, `audit-${listenPort}.ndjson`),
  };
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

/** `select 1` as iam_user through querycop. The empty plugin folder leaves the client no cleartext plugin to load. */
async function runStatement(
  listenPort: number,
  folder: string,
): Promise<{ readonly ok: boolean; readonly text: string }> {
  const noPlugins = join(folder, "no-plugins");
  mkdirSync(noPlugins, { recursive: true });
  show(
    `$ mariadb --host=127.0.0.1 --port=${listenPort} --user=iam_user --skip-ssl --plugin-dir=${noPlugins} -e "${STATEMENT}"`,
  );
  const target = { host: "127.0.0.1", port: listenPort, user: "iam_user", password: "" };
  const result = await runClient("mariadb", target, [STATEMENT], { args: ["--table", `--plugin-dir=${noPlugins}`] });
  show(result.stdout + result.stderr);
  return { ok: result.code === 0, text: result.stdout + result.stderr };
}

function showEvidence(server: TestServer, auditFile: string): void {
  const attempt = server.iamAttempts().at(-1);
  if (attempt?.accepted !== true) throw new Error(`The server accepted no token: ${JSON.stringify(attempt)}`);
  show(
    `server: ${attempt.user} logged in with a token of ${attempt.tokenBytes} bytes for ${attempt.endpoint}, tls=${attempt.tls}`,
  );
  const asked = server.generalLog().filter((entry) => entry.argument === STATEMENT);
  show(`server: its general log has the statement ${asked.length} time(s): ${asked.at(-1)?.argument ?? "-"}`);
  const records = readFileSync(auditFile, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { seq, type, text, decision, hash } = records.find((record) => record.text === STATEMENT) ?? {};
  show(
    `audit:  ${records.length} records in a hash chain, of the statement: ${JSON.stringify({ seq, type, text, decision, hash })}`,
  );
}

async function demo(folder: string, certificates: CertificateSet, server: TestServer): Promise<void> {
  step("The server knows iam_user only by its AWS token, and only over TLS");
  const [created] = await server.rootQuery("SHOW CREATE USER 'iam_user'@'%'");
  show(created?.join(" ") ?? "");
  server.setIam(iamSettings(CLUSTER_HOST, server.port));

  step("Compile querycop into one executable");
  show(await runChecked(process.execPath, ["build.ts"], { cwd: PROJECT }).then(({ stdout }) => stdout));
  show((await runChecked(EXECUTABLE, ["--version"])).stdout);

  for (const source of await tokenSources(server)) {
    const listenPort = await pickPort();
    step(`Start it with a backend leg of verify-full and tokens from ${source.title}`);
    const settings = { ...settingsFor(server, certificates.caFile, listenPort, folder), ...source.settings };
    show(
      Object.entries(settings)
        .map(([name, value]) => `${name}='${value}'`)
        .join("\n"),
    );
    const querycop = await startQuerycop(settings);
    show(querycop.log.join("\n"));

    step("A plain client, without password, without TLS and without a cleartext plugin, runs its statement");
    const { ok } = await runStatement(listenPort, folder);
    if (!ok) throw new Error(`The statement failed. querycop's log:\n${querycop.log.join("\n")}`);
    showEvidence(server, settings.GATEKEEPER_AUDIT_FILE);
    await stopQuerycop(querycop);
  }

  step("The same with an authority that did not sign the server's certificate: refused before any token is made");
  const attempts = server.iamAttempts().length;
  const listenPort = await pickPort();
  const querycop = await startQuerycop({
    ...settingsFor(server, certificates.otherCaFile, listenPort, folder),
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
  });
  const { ok } = await runStatement(listenPort, folder);
  await stopQuerycop(querycop);
  show(querycop.log.slice(1).join("\n"));
  if (ok || server.iamAttempts().length !== attempts) throw new Error("A server that cannot be verified got a login");
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
  await demo(folder, certificates, server);
  console.log("\nThe demo worked. Next: README.md, section Quick start.");
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await server?.stop();
  certificates?.remove();
}
