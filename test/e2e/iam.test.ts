/** IAM logins through the executable: tokens by command and by rds-signer, every way that fails, and what must not leak. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { awsEnvironment, awsTokenCommand, iamSettings, signToken } from "../support/aws-token.ts";
import { clusterBackend } from "../support/backend-settings.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import type { RunResult } from "../support/child.ts";
import { CLIENT_NAMES, type ClientTarget, runClient } from "../support/clients.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { requireTool } from "../support/install.ts";
import { type LogLine, type Querycop, type QuerycopOptions, runQuerycop, type Settings } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { pickPort, startServer } from "../support/servers.ts";
import { isProcessAlive, TokenCommand } from "../support/token-command.ts";

await requireTool("aws");
const certificates = await makeCertificates();
const folder = mkdtempSync(join(tmpdir(), "querycop-iam-"));
const server = await startServer({
  kind: "mysql",
  certificate: { ...certificates.leaves.chain, clientCaFile: certificates.caFile },
  options: ["--max-connections=2000"],
});
const endpoint = { host: CLUSTER_HOST, port: server.port, user: "iam_user" };
const goodToken = (): string => signToken(endpoint);

const commands: TokenCommand[] = [];
beforeEach(() => server.setIam(iamSettings(CLUSTER_HOST, server.port)));
afterEach(async () => {
  await endStage();
  for (const command of commands.splice(0)) command.remove();
});
after(async () => {
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The address stands in for DNS; the name is what is verified and what tokens are for. */
const BACKEND = {
  ...clusterBackend(server, certificates),
  GATEKEEPER_CLIENT_AUTH: "trust",
};

async function start(settings: Settings, options: QuerycopOptions = {}): Promise<Querycop> {
  return await startStaged({ ...awsEnvironment(), ...BACKEND, ...settings }, options);
}

function tokenCommand(token = goodToken()): TokenCommand {
  const command = new TokenCommand(token);
  commands.push(command);
  return command;
}

const withCommand = (command: string): Settings => ({ GATEKEEPER_BACKEND_TOKEN_CMD: command });

function target(querycop: Querycop, changes: Partial<ClientTarget> = {}): ClientTarget {
  return { host: "127.0.0.1", port: querycop.port, user: "iam_user", password: "", ...changes };
}

async function ask(querycop: Querycop, changes: Partial<ClientTarget> = {}): Promise<RunResult> {
  return await runClient("mysql", target(querycop, changes), ["SELECT CURRENT_USER() AS who"]);
}

/** The token manager's limit, and a little. */
const FORCE_FRESH_AGE_MS = 5_100;
const OK = "who\niam_user@%\n";
const DENIED_BY_SERVER = "ERROR 1045 (28000): Access denied for user 'iam_user'@'127.0.0.1' (using password: YES)\n";

async function tokenWarning(querycop: Querycop): Promise<LogLine> {
  const warnings = (): LogLine[] => querycop.logs().filter(({ event }) => event === "backend token command failed");
  return await eventually("the failure of the token command is logged", () => warnings().at(-1));
}

describe("the recipe of the RDS page", () => {
  e2e("works to the letter: host name from DNS, aws command, verify-full, any client password", async () => {
    server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), endpoints: [`${CLUSTER_HOST}:3306`] });
    const hosts = join(folder, "hosts");
    writeFileSync(hosts, `127.0.0.1 localhost ${CLUSTER_HOST}\n`);
    const settings = {
      GATEKEEPER_BACKEND_HOST: CLUSTER_HOST,
      GATEKEEPER_BACKEND_TLS_SERVER_NAME: undefined,
      ...withCommand(awsTokenCommand(3306)),
      GATEKEEPER_CLIENT_AUTH: "trust",
      ADMIN_API_KEY: "0123456789abcdef0123456789abcdef",
    };
    // A mount namespace in which /etc/hosts answers for the name, as DNS would.
    const launcher = ["unshare", "--mount", "sh", "-c", `mount --bind ${hosts} /etc/hosts && exec "$@"`, "sh"];
    const querycop = await start(settings, { launcher });
    const smoke = { password: "ignored", cleartext: true, database: "appdb" };
    const { stdout, stderr } = await runClient("mysql", target(querycop, smoke), ["select 1"]);
    assert.equal(stdout, "1\n1\n", stderr);
    assert.deepEqual(server.iamAttempts().at(-1)?.accepted, true);
    assert.equal(server.iamAttempts().at(-1)?.endpoint, `${CLUSTER_HOST}:3306`);
  });

  e2e("works without the cleartext switch, so that error 2059 is gone", async () => {
    const querycop = await start(withCommand(tokenCommand().commandLine()));
    for (const cleartext of [false, true]) {
      for (const password of ["", "ignored"]) {
        assert.equal((await ask(querycop, { cleartext, password })).stdout, OK);
      }
    }
  });

  e2e("still tells error 2059 when querycop has no token source", async () => {
    const querycop = await start({
      GATEKEEPER_CLIENT_AUTH: undefined,
      GATEKEEPER_PROXY_TLS_CERT: certificates.leaves.goodEc.certFile,
      GATEKEEPER_PROXY_TLS_KEY: certificates.leaves.goodEc.keyFile,
    });
    const tls = { mode: "required" } as const;
    const { stderr } = await ask(querycop, { tls, password: goodToken() });
    assert.match(stderr, /^ERROR 2059 \(HY000\): Authentication plugin 'mysql_clear_password' cannot be loaded/);
    assert.equal((await ask(querycop, { tls, cleartext: true, password: goodToken() })).stdout, OK);
  });

  e2e("error 1045: a token the server refuses gives the server's own words", async () => {
    const wrong = signToken({ ...endpoint, secretAccessKey: "a principal without rds-db:connect" });
    const querycop = await start(withCommand(tokenCommand(wrong).commandLine()));
    assert.equal((await ask(querycop)).stderr, DENIED_BY_SERVER);
    assert.equal(server.iamAttempts().at(-1)?.reason, "wrong signature");
  });

  e2e(
    "error 2003 from the client when querycop is down, 2013 when the server is, and the log has the reason",
    async () => {
      const port = await pickPort();
      const nobody = await runClient("mysql", { host: "127.0.0.1", port, user: "iam_user" }, ["select 1"]);
      assert.match(nobody.stderr, /^ERROR 2003 \(HY000\): Can't connect to MySQL server on '127\.0\.0\.1:\d+' \(111\)/);
      const querycop = await start({
        ...withCommand(tokenCommand().commandLine()),
        GATEKEEPER_BACKEND_PORT: String(port),
      });
      assert.match((await ask(querycop)).stderr, /^ERROR 2013 \(HY000\): Lost connection/);
      const failed = await eventually("it is logged", () =>
        querycop.logs().find(({ event }) => event === "session failed"),
      );
      assert.match(
        String(failed["error"]),
        new RegExp(`Cannot connect to backend 127\\.0\\.0\\.1:${port}: .*ECONNREFUSED`),
      );
    },
  );

  e2e(
    "error 2026: from a client that wants TLS where it is switched off, 1429 when the server's certificate fails",
    async () => {
      const settings = withCommand(tokenCommand().commandLine());
      const wanting = await ask(await start({ ...settings, GATEKEEPER_PROXY_TLS_MODE: "off" }), {
        tls: { mode: "required" },
      });
      assert.match(wanting.stderr, /^ERROR 2026 \(HY000\): SSL connection error/);
      const stale = await start({ ...settings, GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.bundleWithoutRightFile });
      assert.match((await ask(stale)).stderr, /^ERROR 1429 \(HY000\): querycop: TLS with the backend failed/);
    },
  );

  e2e("no token is minted or sent before the server's certificate is verified", async () => {
    const command = tokenCommand();
    const attempts = server.iamAttempts().length;
    for (const change of [
      { GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.otherCaFile },
      { GATEKEEPER_BACKEND_TLS_SERVER_NAME: "another.cluster.us-east-1.rds.amazonaws.com" },
    ]) {
      assert.match((await ask(await start({ ...withCommand(command.commandLine()), ...change }))).stderr, /ERROR 1429/);
    }
    assert.deepEqual([command.runs().length, server.iamAttempts().length], [0, attempts]);
  });
});

describe("tokens by rds-signer", () => {
  const rdsSigner = { GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" };

  e2e("log every client in, and one token serves them all", async () => {
    const querycop = await start(rdsSigner);
    const before = server.iamAttempts().length;
    for (const name of CLIENT_NAMES) {
      const { stdout, stderr } = await runClient(name, target(querycop), ["SELECT CURRENT_USER() AS who"]);
      assert.ok(stdout.includes("iam_user@%"), `${name}: ${stderr}`);
    }
    const attempts = server.iamAttempts().slice(before);
    assert.ok(attempts.every(({ accepted, tls }) => accepted && tls));
    assert.equal(new Set(attempts.map(({ tokenSha256 }) => tokenSha256)).size, 1);
    assert.equal(querycop.audit().filter(({ type }) => type === "token-mint").length, 1);
  });

  e2e("carry the session token of temporary credentials", async () => {
    const sessionToken = "FwoGZXIvYXdzEBYaDFNlc3Npb24=";
    server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), sessionToken });
    const querycop = await start({ ...rdsSigner, AWS_SESSION_TOKEN: sessionToken });
    assert.equal((await ask(querycop)).stdout, OK);
  });

  e2e("are refused in plain words when there are no credentials", async () => {
    const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
    const querycop = await start({ ...rdsSigner, ...none });
    const { stderr } = await ask(querycop);
    assert.match(stderr, /^ERROR 1045 \(28000\): querycop: /);
    assert.match(stderr, /no-credentials/);
    const warning = await tokenWarning(querycop);
    assert.deepEqual([warning["source"], warning["reason"]], ["rds-signer", "no-credentials"]);
  });
});

describe("keys that are replaced and tunnels", () => {
  const rdsSigner = { GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" };

  e2e("new keys in the credentials file are used without a restart", async () => {
    const file = join(folder, "credentials");
    const write = (id: string, secret: string): void =>
      writeFileSync(file, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`);
    const settings = iamSettings(CLUSTER_HOST, server.port);
    write(settings.accessKeyId, settings.secretAccessKey);
    const querycop = await start({
      ...rdsSigner,
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_SHARED_CREDENTIALS_FILE: file,
    });
    assert.equal((await ask(querycop)).stdout, OK);
    for (const name of ["SECOND", "THIRD"]) {
      const rotated = {
        accessKeyId: `AKIA${name.padEnd(16, "X")}`,
        secretAccessKey: `${name} secret`.replace(" ", "/"),
      };
      write(rotated.accessKeyId, rotated.secretAccessKey);
      server.setIam({ ...settings, ...rotated });
      await delay(FORCE_FRESH_AGE_MS);
      assert.equal((await ask(querycop)).stdout, OK, name);
    }
  });

  e2e("a token behind a tunnel is for the endpoint that is named, and doctor says which", async () => {
    const endpointSettings = { GATEKEEPER_BACKEND_TOKEN_ENDPOINT: `${CLUSTER_HOST}:3306` };
    server.setIam(iamSettings(CLUSTER_HOST, 3306));
    const querycop = await start({ ...rdsSigner, ...endpointSettings });
    assert.equal((await ask(querycop)).stdout, OK);
    const environment = { ...awsEnvironment(), ...BACKEND, ...rdsSigner };
    const without = await runQuerycop(["doctor", "--only", "token.signer"], environment);
    assert.match(without.stdout, /warn +token\.signer/);
    const advice = /GATEKEEPER_BACKEND_TOKEN_ENDPOINT=(\S+)/.exec(without.stdout)?.[1];
    assert.equal(advice, `${CLUSTER_HOST}:3306`);
    const followed = { ...environment, GATEKEEPER_BACKEND_TOKEN_ENDPOINT: advice };
    const named = await runQuerycop(["doctor", "--only", "token.signer"], followed);
    assert.match(named.stdout, new RegExp(`ok +token\\.signer .*for ${CLUSTER_HOST.replaceAll(".", "\\.")}:3306`));
  });

  e2e("doctor refuses a token that asks for longer than RDS gives", async () => {
    const command = tokenCommand(signToken({ ...endpoint, expiresS: 3600 }));
    const environment = { ...awsEnvironment(), ...BACKEND, ...withCommand(command.commandLine()) };
    const { stdout } = await runQuerycop(["doctor", "--only", "token.command"], environment);
    assert.match(stdout, /FAIL +token\.command/);
    assert.match(stdout, /X-Amz-Expires is 3600: RDS takes 900 at most/);
  });
});

describe("many logins at once", () => {
  e2e("share one run of the command: 1000 connections, at most 4 children", async () => {
    const command = tokenCommand();
    const querycop = await start({
      ...withCommand(command.commandLine("sleep 0.5")),
      GATEKEEPER_TOKEN_LOGINS_PER_SECOND_MAX: "off",
      GATEKEEPER_MAX_CONNECTIONS: "2000",
      GATEKEEPER_HANDSHAKE_TIMEOUT: "60s",
      GATEKEEPER_BACKEND_LOGIN_TIMEOUT: "60s",
      GATEKEEPER_LOG_LEVEL: "info",
    });
    const before = server.iamAttempts().length;
    const clients = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const raw = await RawClient.connect("127.0.0.1", querycop.port);
        await raw.login({ user: "iam_user", password: "" });
        return raw;
      }),
    );
    for (const raw of clients) raw.quit();
    const runs = command.runs().length;
    assert.ok(runs >= 1 && runs <= 4, `${runs} runs`);
    assert.equal(
      server
        .iamAttempts()
        .slice(before)
        .filter(({ accepted }) => accepted).length,
      1000,
    );
  });

  e2e("are paced", async () => {
    const querycop = await start({
      ...withCommand(tokenCommand().commandLine()),
      GATEKEEPER_TOKEN_LOGINS_PER_SECOND_MAX: "10",
    });
    const login = async (): Promise<void> => {
      const raw = await RawClient.connect("127.0.0.1", querycop.port);
      await raw.login({ user: "iam_user", password: "" });
      raw.quit();
    };
    const beganMs = performance.now();
    await Promise.all(Array.from({ length: 60 }, login));
    const tookMs = performance.now() - beganMs;
    // A burst of 40 may come at once, the other 20 take their time.
    assert.ok(tookMs > 1_500, `60 logins at 10 a second took only ${Math.round(tookMs)} ms`);
  });

  e2e("of a failing command run it once in its failure time", async () => {
    const command = tokenCommand();
    const querycop = await start({
      ...withCommand(command.commandLine("exit 3")),
      GATEKEEPER_TOKEN_FAILURE_CACHE: "1m",
    });
    const results = await Promise.all(Array.from({ length: 20 }, () => ask(querycop)));
    for (const { stderr } of results) assert.match(stderr, /^ERROR 1045 \(28000\): querycop: /);
    assert.equal(command.runs().length, 1);
  });
});

describe("a token that has aged", () => {
  e2e("is kept while it is fresh, and replaced once when the server refuses it, unseen by the client", async () => {
    const command = tokenCommand();
    const querycop = await start(withCommand(command.commandLine()));
    assert.equal((await ask(querycop)).stdout, OK);
    assert.equal((await ask(querycop)).stdout, OK);
    assert.equal(command.runs().length, 1);

    // A token that is younger than this is not worth another try.
    await delay(FORCE_FRESH_AGE_MS);
    const rotated = { secretAccessKey: "rotated/secret" };
    server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), ...rotated });
    command.setToken(signToken({ ...endpoint, ...rotated }));
    const before = server.iamAttempts().length;
    assert.equal((await ask(querycop)).stdout, OK);
    assert.equal(command.runs().length, 2);
    const outcomes = server.iamAttempts().slice(before);
    assert.deepEqual(
      outcomes.map(({ accepted }) => accepted),
      [false, true],
    );

    server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), secretAccessKey: "nobody knows" });
    assert.equal((await ask(querycop)).stderr, DENIED_BY_SERVER);
    assert.equal(command.runs().length, 2);
  });

  e2e("is not kept when it is about to end", async () => {
    const command = tokenCommand(signToken({ ...endpoint, expiresS: 30 }));
    const querycop = await start(withCommand(command.commandLine()));
    for (let login = 1; login <= 3; login += 1) {
      assert.equal((await ask(querycop)).stdout, OK);
      assert.equal(command.runs().length, login);
    }
  });

  e2e("is minted anew for COM_CHANGE_USER to another user", async () => {
    await server.rootQuery(
      "CREATE USER second_iam@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL; GRANT SELECT ON appdb.* TO second_iam@'%'",
    );
    const second = join(folder, "second-token");
    writeFileSync(second, signToken({ ...endpoint, user: "second_iam" }));
    const command = tokenCommand();
    const choose = `[ "$QUERYCOP_BACKEND_USER" = iam_user ] || { cat ${second}; exit 0; }`;
    const querycop = await start(withCommand(command.commandLine(choose)));
    const raw = await RawClient.connect("127.0.0.1", querycop.port);
    await raw.login({ user: "iam_user", password: "" });
    await raw.changeUser({ user: "second_iam", password: "" });
    const rows = await raw.query("SELECT CURRENT_USER()");
    assert.match(rows[2]?.payload.toString("latin1") ?? "", /second_iam@%/);
    raw.quit();
    assert.deepEqual(
      command.runs().map(({ user }) => user),
      ["iam_user", "second_iam"],
    );
  });
});

describe("a client that has left", () => {
  for (const how of ["FIN", "RST"] as const) {
    e2e(`by ${how}, in a statement that waits for nothing of it: the server stops the statement`, async () => {
      const querycop = await start({
        ...withCommand(tokenCommand().commandLine()),
        GATEKEEPER_CLIENT_LEFT_TIMEOUT: "1s",
      });
      const raw = await RawClient.connect("127.0.0.1", querycop.port);
      await raw.login({ user: "iam_user", password: "" });
      // Unlike SLEEP() this goes on when the server's own client has left, be it by FIN or by RST.
      raw.writeCommand(0x03, `SELECT BENCHMARK(4000000000, 1 + 1) /* ${how} */`);
      const running = async (): Promise<boolean> => {
        const rows = await server.rootQuery("SELECT info FROM information_schema.processlist WHERE user = 'iam_user'");
        return rows.some(([info = ""]) => info.includes("BENCHMARK"));
      };
      await eventually("it runs", running);
      if (how === "RST") raw.reset();
      else raw.end();
      await eventually("it is stopped", async () => !(await running()), 30_000);
      const outcome = await eventually("it is recorded", () =>
        querycop.audit().find(({ type }) => type === "statement-outcome"),
      );
      // The server has said how it ended, killed or cut short, and that is known.
      assert.ok(["error", "ok"].includes(String(outcome["outcome"])), String(outcome["outcome"]));
      await eventually("the session has ended", () => querycop.audit().some(({ type }) => type === "disconnect"));
    });
  }
});

describe("a token command that misbehaves", () => {
  interface Misbehaviour {
    readonly title: string;
    /** The whole command line; {folder} is the command's folder. */
    readonly command: string;
    readonly reason: string;
  }
  const misbehaviours: readonly Misbehaviour[] = [
    { title: "fails", command: "echo oops >&2; exit 3", reason: "exit-status" },
    { title: "is not there", command: "/no/such/program", reason: "not-found" },
    { title: "is killed", command: "kill -KILL $$", reason: "killed" },
    { title: "prints nothing", command: "true", reason: "empty" },
    { title: "prints a blank line", command: "echo", reason: "empty" },
    {
      title: "prints an error instead of a token",
      command: "echo 'Unable to locate credentials'",
      reason: "bad-shape",
    },
    {
      title: "prints control characters",
      command: "printf 'token\\033[31mtoken-token-token-token\\n'",
      reason: "bad-shape",
    },
    { title: "prints 2 MB", command: "head -c 2000000 /dev/zero | tr '\\0' x", reason: "too-long" },
    { title: "prints without end", command: "yes tokentokentokentoken", reason: "too-long" },
    { title: "hangs", command: "sleep 600", reason: "timeout" },
    { title: "hangs in a child", command: "sleep 600 & sleep 601; wait", reason: "timeout" },
    { title: "hangs and ignores SIGTERM", command: "trap '' TERM HUP INT; sleep 600; sleep 601", reason: "timeout" },
  ];
  for (const { title, command: misbehaviour, reason } of misbehaviours) {
    e2e(`${title}: the client is refused in time, the log says why, no process stays`, async () => {
      const command = tokenCommand();
      const count = `echo "$$ $QUERYCOP_BACKEND_USER" >> ${command.folder}/runs; `;
      const querycop = await start({
        ...withCommand(count + misbehaviour),
        GATEKEEPER_BACKEND_TOKEN_TIMEOUT: "1s",
      });
      const beganMs = performance.now();
      const { stderr } = await ask(querycop);
      assert.ok(performance.now() - beganMs < 5_000, "in time");
      assert.match(stderr, /^ERROR 1045 \(28000\): querycop: /);
      const warning = await tokenWarning(querycop);
      assert.deepEqual([warning.level, warning["reason"], warning["user"]], ["warn", reason, "iam_user"]);
      const [run] = command.runs();
      assert.ok(run !== undefined);
      await eventually("its process group is gone", () => !isGroupAlive(run.pid));
    });
  }

  e2e("leaves a process behind: the token counts at once, the process does not stay", async () => {
    const command = tokenCommand();
    const querycop = await start(withCommand(command.commandLine("sleep 600 & :")));
    const beganMs = performance.now();
    assert.equal((await ask(querycop)).stdout, OK);
    assert.ok(performance.now() - beganMs < 5_000, "in time");
    const [run] = command.runs();
    assert.ok(run !== undefined);
    await eventually("its process group is gone", () => !isGroupAlive(run.pid));
  });

  e2e("does not stop other logins", async () => {
    const command = tokenCommand();
    const slowFor = `[ "$QUERYCOP_BACKEND_USER" = iam_user ] || sleep 600`;
    const querycop = await start({
      ...withCommand(command.commandLine(slowFor)),
      GATEKEEPER_BACKEND_TOKEN_TIMEOUT: "30s",
    });
    const stuck = await RawClient.connect("127.0.0.1", querycop.port);
    const refused = stuck.login({ user: "iam_nossl", password: "" }).catch((error: unknown) => error);
    await eventually("the slow command runs", () => command.runs().length === 1);
    assert.equal((await ask(querycop)).stdout, OK);
    stuck.reset();
    await refused;
  });
});

/** Whether any process of the group is left; the command's shell leads its own. */
function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return isProcessAlive(pid);
  }
}

describe("names that a client may not choose", () => {
  const hostile = [
    "file:///etc/hostname",
    "http://127.0.0.1/latest",
    "--debug",
    "-h",
    "iam_user;id",
    "$(id)",
    "`id`",
    "iam user",
    "iam_user'",
    "'iam_user'",
    "iam_user\n",
    "../../etc/passwd",
    "ïam_user",
    "x".repeat(200),
  ];

  e2e("never reach the token command", async () => {
    const command = tokenCommand();
    const querycop = await start(withCommand(command.commandLine()));
    for (const user of hostile) {
      const raw = await RawClient.connect("127.0.0.1", querycop.port);
      await assert.rejects(raw.login({ user, password: "" }), Error, JSON.stringify(user));
    }
    assert.deepEqual(command.runs(), []);
    assert.equal((await ask(querycop)).stdout, OK);
  });

  e2e("are refused when they are not among the IAM users, before anything is minted", async () => {
    const command = tokenCommand();
    const querycop = await start({ ...withCommand(command.commandLine()), GATEKEEPER_IAM_USERS: "app_*,iam_user" });
    const { stderr } = await ask(querycop, { user: "iam_nossl" });
    assert.match(stderr, /^ERROR 1045 \(28000\)/);
    assert.deepEqual(command.runs(), []);
    assert.equal((await ask(querycop)).stdout, OK);
  });
});

describe("secrets", () => {
  /** Parts of a token that give it away, as they would stand in a log. */
  const tracesOf = (token: string): string[] => [token, token.slice(-64), token.slice(token.indexOf("/?"), 200)];

  e2e("tokens and passwords never stand in the log or the audit", async () => {
    const canary = "canary-password-4711";
    const token = goodToken();
    const command = tokenCommand(token);
    const settings = { ...withCommand(command.commandLine()), ADMIN_API_KEY: "canary-admin-key-0815-0815" };
    const querycop = await start(settings);
    assert.equal((await ask(querycop, { password: canary, cleartext: true })).stdout, OK);
    const wrong = signToken({ ...endpoint, secretAccessKey: "wrong" });
    command.setToken(wrong);
    server.setIam({ ...iamSettings(CLUSTER_HOST, server.port), secretAccessKey: "rotated" });
    assert.equal((await ask(querycop, { password: canary })).stderr, DENIED_BY_SERVER);
    await eventually("the refusal is in the audit", () => querycop.audit().find(({ type }) => type === "refuse"));
    const written = querycop.logText() + querycop.auditText();
    assert.ok(written.length > 1000);
    for (const secret of [...tracesOf(token), ...tracesOf(wrong), canary, settings.ADMIN_API_KEY, "X-Amz-Signature"]) {
      assert.ok(!written.includes(secret), `found ${secret.slice(0, 20)}…`);
    }
  });

  e2e("a token the command writes to stderr is redacted", async () => {
    const token = goodToken();
    const command = tokenCommand(token);
    const querycop = await start(withCommand(command.commandLine(`cat ${command.folder}/token >&2; exit 1`)));
    await ask(querycop);
    const warning = await tokenWarning(querycop);
    assert.ok(String(warning["stderr"]).length > 0);
    for (const secret of tracesOf(token)) assert.ok(!querycop.logText().includes(secret));
  });

  e2e("the command sees the backend's name and none of querycop's settings", async () => {
    const command = tokenCommand();
    const querycop = await start({
      ...withCommand(command.commandLine(`env > ${command.folder}/environment`)),
      ADMIN_API_KEY: "canary-admin-key-0815-0815",
      AWS_PROFILE: "handed-on",
    });
    await ask(querycop);
    const environment = readFileSync(join(command.folder, "environment"), "utf8");
    for (const line of [
      `QUERYCOP_BACKEND_HOST=${CLUSTER_HOST}`,
      `QUERYCOP_BACKEND_PORT=${server.port}`,
      "QUERYCOP_BACKEND_USER=iam_user",
      "QUERYCOP_BACKEND_REGION=us-east-1",
      "AWS_PROFILE=handed-on",
    ]) {
      assert.ok(environment.split("\n").includes(line), line);
    }
    assert.doesNotMatch(environment, /GATEKEEPER_|ADMIN_API_KEY|canary/);
  });

  e2e("an impostor without TLS gets no token, and none is minted for it", async () => {
    const received: Buffer[] = [];
    const impostor = createServer((socket) => {
      socket.on("data", (chunk: Buffer) => received.push(chunk));
      socket.on("error", () => socket.destroy());
      socket.write(PLAINTEXT_GREETING);
    });
    await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
    const address = impostor.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const command = tokenCommand();
    const querycop = await start({
      ...withCommand(command.commandLine()),
      GATEKEEPER_BACKEND_PORT: String(port),
      GATEKEEPER_BACKEND_TLS_MODE: "require",
      GATEKEEPER_BACKEND_TLS_CA_FILE: undefined,
    });
    assert.match((await ask(querycop)).stderr, /^ERROR 1429 \(HY000\): querycop: the backend offers no TLS/);
    impostor.close();
    assert.ok(!Buffer.concat(received).includes("X-Amz"));
    assert.deepEqual(command.runs(), []);
  });
});

/** HandshakeV10 of a server that offers no TLS. */
const PLAINTEXT_GREETING = ((): Buffer => {
  const body = Buffer.concat([
    Buffer.from("\x0a9.7.0\0", "latin1"),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from("abcdefgh\0", "latin1"),
    Buffer.from([0xff, 0xf7, 0x2d, 0x02, 0x00, 0xff, 0x11, 21]),
    Buffer.alloc(10),
    Buffer.from("ijklmnopqrst\0caching_sha2_password\0", "latin1"),
  ]);
  return Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body]);
})();

describe("who may connect when the token is the password", () => {
  const appUser = { user: "iam_user", password: "the user's own pass phrase" };

  async function usersFile(plugin: string): Promise<string> {
    const { stdout, stderr, code } = await runQuerycop(
      ["hash-password", `--user=${appUser.user}`, `--plugin=${plugin}`],
      {},
      `${appUser.password}\n`,
    );
    assert.equal(code, 0, stderr);
    assert.ok(!stdout.includes(appUser.password));
    const file = join(folder, `users-${plugin}`);
    writeFileSync(file, stdout, { mode: 0o600 });
    return file;
  }

  for (const plugin of ["caching_sha2_password", "mysql_native_password"]) {
    e2e(`password: querycop checks ${plugin} hashes itself, before it talks to the server as that user`, async () => {
      const command = tokenCommand();
      const querycop = await start({
        ...withCommand(command.commandLine()),
        GATEKEEPER_CLIENT_AUTH: "password",
        GATEKEEPER_USERS_FILE: await usersFile(plugin),
        GATEKEEPER_PROXY_TLS_CERT: certificates.leaves.goodEc.certFile,
        GATEKEEPER_PROXY_TLS_KEY: certificates.leaves.goodEc.keyFile,
      });
      const attempts = server.iamAttempts().length;
      for (const tls of [undefined, { mode: "required" } as const]) {
        for (const wrong of [
          { password: "wrong" },
          { password: "" },
          { user: "iam_nossl", password: appUser.password },
        ]) {
          const { stderr } = await ask(querycop, { ...appUser, tls, ...wrong });
          assert.match(stderr, /^ERROR 1045 \(28000\): /, JSON.stringify(wrong));
        }
      }
      assert.deepEqual([command.runs().length, server.iamAttempts().length], [0, attempts]);
      for (const name of CLIENT_NAMES) {
        for (const tls of [undefined, { mode: "required" } as const]) {
          const result = await runClient(name, target(querycop, { ...appUser, tls }), ["SELECT CURRENT_USER() AS who"]);
          assert.ok(result.stdout.includes("iam_user@%"), `${name} ${tls?.mode}: ${result.stderr}`);
        }
      }
      assert.ok(!(querycop.logText() + querycop.auditText()).includes(appUser.password));
    });
  }

  e2e("certificate: the name in the client's certificate is the only user it may be", async () => {
    const command = tokenCommand();
    const { leaves, caFile } = certificates;
    const querycop = await start({
      ...withCommand(command.commandLine()),
      GATEKEEPER_CLIENT_AUTH: "certificate",
      GATEKEEPER_PROXY_TLS_CERT: leaves.goodEc.certFile,
      GATEKEEPER_PROXY_TLS_KEY: leaves.goodEc.keyFile,
      GATEKEEPER_PROXY_TLS_CLIENT_CA: caFile,
    });
    const as = (leaf: "client" | "clientOtherUser" | "clientOtherCa"): ClientTarget["tls"] => ({
      mode: "required",
      ...leaves[leaf],
    });
    const refusals: readonly Partial<ClientTarget>[] = [
      { tls: as("clientOtherUser") },
      { tls: as("clientOtherCa") },
      { tls: { mode: "required" } },
      { tls: as("client"), user: "iam_nossl" },
      {},
    ];
    for (const changes of refusals) assert.equal((await ask(querycop, changes)).code, 1, JSON.stringify(changes));
    assert.deepEqual(command.runs(), []);
    assert.equal((await ask(querycop, { tls: as("client") })).stdout, OK);
  });

  e2e("trust: reached over a unix socket", async () => {
    const socket = join(folder, "querycop.sock");
    const settings = {
      ...withCommand(tokenCommand().commandLine()),
      GATEKEEPER_LISTEN_SOCKET: socket,
      GATEKEEPER_LISTEN_PORT: undefined,
    };
    const querycop = await start(settings);
    assert.equal((await ask(querycop, { socketPath: socket })).stdout, OK);
  });
});

describe("start-up refuses what would give tokens away", () => {
  const command = withCommand("echo token");
  const refusals: readonly (readonly [string, Settings, RegExp])[] = [
    [
      "a token with TLS mode disable",
      { GATEKEEPER_BACKEND_TLS_MODE: "disable" },
      /GATEKEEPER_BACKEND_TLS_MODE.*disable could send a login token in plaintext/,
    ],
    [
      "a token with TLS mode prefer",
      { GATEKEEPER_BACKEND_TLS_MODE: "prefer" },
      /GATEKEEPER_BACKEND_TLS_MODE.*prefer could send a login token in plaintext/,
    ],
    [
      "a token with no TLS mode at all",
      { GATEKEEPER_BACKEND_TLS_MODE: undefined },
      /GATEKEEPER_BACKEND_TLS_MODE.*prefer could send/,
    ],
    [
      "a token on a listener for other machines without a client_auth choice",
      { GATEKEEPER_LISTEN_HOST: "0.0.0.0", GATEKEEPER_CLIENT_AUTH: undefined },
      /GATEKEEPER_CLIENT_AUTH/,
    ],
  ];
  for (const [title, settings, text] of refusals) {
    e2e(title, async () => {
      const { code, stderr } = await runQuerycop(["serve"], { ...BACKEND, ...command, ...settings });
      assert.equal(code, 2, stderr);
      assert.match(stderr, text);
    });
  }
});
