/** The command as an operator runs it, against set-ups that are broken for real. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import type { CheckResult } from "../../src/doctor/report.ts";
import { run } from "../cli/fake-io.ts";
import { inFolder, withoutFolder, writeFile } from "../config/folder.ts";
import { assertGolden } from "../config/golden.ts";
import { awsEnvironment, signToken } from "../support/aws-token.ts";
import { type CertificateSet, makeCertificates } from "../support/certificates.ts";
import { errPayload, startFakeBackend } from "../support/fake-peers.ts";
import { ACCESS_DENIED, type DoctorBackend, type DoctorBackendOptions, startDoctorBackend } from "./doctor-backend.ts";

const CANARY = "CanarySecret0123456789abcdefCanarySecret";
const REGION = "eu-central-1";

let certificates: CertificateSet;
const outputs: string[] = [];

before(async () => {
  certificates = await makeCertificates();
});
after(() => {
  certificates.remove();
});

interface DoctorRun {
  readonly code: number;
  readonly stdout: string;
  readonly checks: readonly CheckResult[];
  readonly check: (id: string) => CheckResult;
}

async function doctor(env: Readonly<Record<string, string>>, ...args: string[]): Promise<DoctorRun> {
  const surroundings = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    ADMIN_API_KEY: CANARY,
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_LISTEN_PORT: "0",
    GATEKEEPER_BACKEND_CONNECT_TIMEOUT: "2s",
    GATEKEEPER_BACKEND_LOGIN_TIMEOUT: "2s",
    ...env,
  };
  const { code, stdout, stderr } = await run(["doctor", "--json", ...args], { env: surroundings });
  outputs.push(stdout, stderr);
  const { checks } = JSON.parse(stdout) as { checks: CheckResult[] };
  const check = (id: string): CheckResult => {
    const found = checks.find((candidate) => candidate.id === id);
    assert.ok(found, `no check ${id} in the report`);
    return found;
  };
  return { code, stdout, checks, check };
}

async function withBackend(
  options: DoctorBackendOptions,
  use: (backend: DoctorBackend, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  const backend = await startDoctorBackend(options);
  try {
    await use(backend, { GATEKEEPER_BACKEND_PORT: String(backend.port), GATEKEEPER_BACKEND_TLS_MODE: "disable" });
  } finally {
    await backend.close();
  }
}

/** A token for the server that ends with the canary: nothing of it may ever be shown. */
function tokenFor(port: number, changes: Partial<Parameters<typeof signToken>[0]> = {}): string {
  return signToken({ host: "localhost", port, user: "app", region: REGION, sessionToken: CANARY, ...changes });
}

function tokenEnv(port: number, token: string, extra: Record<string, string> = {}): Record<string, string> {
  return {
    GATEKEEPER_BACKEND_PORT: String(port),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: "localhost",
    GATEKEEPER_BACKEND_REGION: REGION,
    GATEKEEPER_BACKEND_TOKEN_CMD: `cat ${writeFile(`token-${port}`, `${token}\n`)}`,
    GATEKEEPER_CLIENT_AUTH: "trust",
    ...extra,
  };
}

function statusOf(result: CheckResult): string {
  return `${result.status}: ${result.detail}`;
}

/** What differs from run to run and from machine to machine. */
function stable(text: string, port: number): string {
  return withoutFolder(text)
    .replaceAll(certificates.folder, "<certificates>")
    .replaceAll(String(port), "<port>")
    .replaceAll(/TLS_(AES|CHACHA)[A-Z0-9_]+/g, "<cipher>")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/\b\d+ ms\b/g, "<n> ms")
    .replaceAll(/\b\d+ characters\b/g, "<n> characters")
    .replaceAll(/\b\d+ days\b/g, "<n> days")
    .replaceAll(/\ballows \d+ connections\b/g, "allows <n> connections")
    .replaceAll(/hold \d+ MiB together; [a-z0-9' ]+ is \d+ MiB/g, "hold <n> MiB together; <limit> is <n> MiB")
    .replaceAll(/(\/usr)?\/bin\/cat\b/g, "<cat>");
}

describe("the whole report", () => {
  it("of a set-up in order is the same as committed, as text and as JSON", async () => {
    const seen: string[] = [];
    const login = (user: string, password: string): Uint8Array => {
      seen.push(`${user} ${password.includes("X-Amz-Signature=")}`);
      return Buffer.from([0, 0, 0, 2, 0, 0, 0]);
    };
    const backend = await startDoctorBackend({ certificate: certificates.leaves.goodEc, login });
    try {
      const env = tokenEnv(backend.port, tokenFor(backend.port), { GATEKEEPER_MAX_CONNECTIONS: "100" });
      const json = await doctor(env, "--user", "app");
      assertGolden("doctor-good.json", stable(json.stdout, backend.port));
      assert.equal(json.code, 0);
      const base = {
        PATH: process.env["PATH"] ?? "/bin",
        GATEKEEPER_BACKEND_HOST: "127.0.0.1",
        GATEKEEPER_LISTEN_PORT: "0",
      };
      const { code, stdout } = await run(["doctor", "--user", "app"], { env: { ...base, ...env } });
      outputs.push(stdout);
      assertGolden("doctor-good.txt", stable(stdout, backend.port));
      assert.equal(code, 0);
      assert.deepEqual([...new Set(seen)], ["app true"]);
      assert.equal(backend.abandoned(), 0, "every probe must end with a login, or the server blocks this host");
    } finally {
      await backend.close();
    }
  });

  it("of a broken set-up is the same as committed", async () => {
    const backend = await startDoctorBackend({ certificate: certificates.leaves.otherCa });
    try {
      const env = tokenEnv(backend.port, "short", { GATEKEEPER_MAX_CONNECTIONS: "100" });
      const { code, stdout } = await run(["doctor"], {
        env: { PATH: "/usr/bin:/bin", GATEKEEPER_BACKEND_HOST: "127.0.0.1", GATEKEEPER_LISTEN_PORT: "0", ...env },
      });
      outputs.push(stdout);
      assertGolden("doctor-broken.txt", stable(stdout, backend.port));
      assert.equal(code, 1);
    } finally {
      await backend.close();
    }
  });

  it("of a configuration that does not load names every problem, skips the rest and exits with 2", async () => {
    const { code, checks, check } = await doctor({
      GATEKEEPER_LISTEN_PORT: "x",
      GATEKEEPER_LISEN_HOST: "y",
    });
    assert.equal(code, 2);
    assert.equal(check("config.load").status, "fail");
    assert.match(check("config.load").detail, /GATEKEEPER_LISTEN_PORT: expected a whole number/);
    assert.match(check("config.load").detail, /GATEKEEPER_LISEN_HOST: unknown setting/);
    assert.ok(checks.every(({ id, detail }) => id === "config.load" || detail === "needs config.load"));
  });

  it("has warnings that --strict turns into exit code 1", async () => {
    await withBackend({ certificate: certificates.leaves.goodEc }, async (_, env) => {
      const prefer = { ...env, GATEKEEPER_BACKEND_TLS_MODE: "prefer" };
      const lax = await doctor(prefer);
      assert.equal(lax.code, 0);
      assert.match(statusOf(lax.check("backend.tls")), /^warn: .*prefer verifies nothing/);
      assert.equal((await doctor(prefer, "--strict")).code, 1);
    });
  });
});

describe("the way to the server", () => {
  it("a closed port fails backend.tcp, and what needs it is skipped", async () => {
    const port = await closedPort();
    const { code, check } = await doctor({
      GATEKEEPER_BACKEND_PORT: String(port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
    });
    assert.equal(code, 1);
    assert.equal(statusOf(check("backend.tcp")), `fail: 127.0.0.1:${port} ECONNREFUSED`);
    for (const id of ["backend.greeting", "backend.tls", "backend.login", "server.settings"]) {
      assert.equal(statusOf(check(id)), "skip: needs backend.tcp");
    }
  });

  it("a name nobody knows fails backend.dns", async () => {
    const { check } = await doctor({ GATEKEEPER_BACKEND_HOST: "db.invalid", GATEKEEPER_BACKEND_TLS_MODE: "disable" });
    assert.match(statusOf(check("backend.dns")), /^fail: db\.invalid cannot be looked up: E/);
    assert.equal(statusOf(check("backend.tcp")), "skip: needs backend.dns");
  });

  for (const [errorNumber, advice] of [
    [1040, /no free connection/],
    [1129, /blocked this host/],
    [1130, /No account/],
  ] as const) {
    it(`error ${errorNumber} in place of a greeting is explained`, async () => {
      const backend = await startFakeBackend(async (peer) => {
        peer.write(errPayload({ errorNumber, message: "no" }), 0);
        peer.socket.end();
      });
      const { check } = await doctor({
        GATEKEEPER_BACKEND_PORT: String(backend.port),
        GATEKEEPER_BACKEND_TLS_MODE: "disable",
      });
      await backend.close();
      const greeting = check("backend.greeting");
      assert.equal(statusOf(greeting), `fail: error ${errorNumber} in place of a greeting: no`);
      assert.match(greeting.remedy?.text ?? "", advice);
    });
  }

  it("a server that speaks another protocol fails backend.greeting", async () => {
    const backend = await startFakeBackend(async (peer) => {
      peer.socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const { check } = await doctor({
      GATEKEEPER_BACKEND_PORT: String(backend.port),
      GATEKEEPER_BACKEND_TLS_MODE: "disable",
    });
    await backend.close();
    assert.equal(check("backend.greeting").status, "fail");
    assert.match(check("backend.greeting").remedy?.text ?? "", /lead to a MySQL server/);
  });
});

describe("TLS with the server", () => {
  const verifyFull = (port: number, caFile: string): Record<string, string> => ({
    GATEKEEPER_BACKEND_PORT: String(port),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: "localhost",
  });

  it("a wrong CA, an expired certificate, one of the future and another name each get their own remedy", async () => {
    const { leaves, caFile } = certificates;
    const cases = [
      [leaves.otherCa, "fail", /issued by .*Unrelated CA/, /PEM file of the CA/],
      [leaves.expired, "fail", /expired \d+ days ago/, /Renew/],
      [leaves.notYetValid, "fail", /not yet valid/, /clock/],
      [leaves.wrongHost, "fail", /for elsewhere\.example\.com/, /name in the certificate/],
    ] as const;
    for (const [certificate, status, detail, advice] of cases) {
      await withBackend({ certificate }, async (backend) => {
        const { check } = await doctor(verifyFull(backend.port, caFile), "--only", "backend.tls");
        const tls = check("backend.tls");
        assert.equal(tls.status, status, tls.detail);
        assert.match(tls.detail, detail);
        assert.match(tls.remedy?.text ?? "", advice);
        const bundle = await doctor(verifyFull(backend.port, caFile), "--only", "backend.ca-bundle");
        assert.equal(statusOf(bundle.check("backend.ca-bundle")), "skip: needs backend.tls", "one cause, one finding");
        assert.equal(/root\.pem: 1 certificate, 0 expired/.test(tls.detail), certificate === leaves.otherCa);
      });
    }
  });

  it("a name from the certificate becomes part of the command only when it is a name", async () => {
    await withBackend({ certificate: certificates.leaves.wrongHost }, async (backend) => {
      const { check } = await doctor(verifyFull(backend.port, certificates.caFile), "--only", "backend.tls");
      assert.deepEqual(check("backend.tls").remedy?.commands, [
        "export GATEKEEPER_BACKEND_TLS_SERVER_NAME=elsewhere.example.com",
      ]);
    });
  });

  it("a server without TLS fails where TLS is demanded and is a warning where it is preferred", async () => {
    await withBackend({}, async (backend, env) => {
      const demanded = await doctor(verifyFull(backend.port, certificates.caFile));
      assert.match(statusOf(demanded.check("backend.tls")), /^fail: the server offers no TLS/);
      assert.match(statusOf(demanded.check("backend.ca-bundle")), /^skip: needs backend\.tls$/);
      const preferred = await doctor({ ...env, GATEKEEPER_BACKEND_TLS_MODE: "prefer" });
      assert.match(statusOf(preferred.check("backend.tls")), /^warn: the server offers no TLS/);
    });
  });

  it("the bundle is held against the server's chain whatever the mode", async () => {
    await withBackend({ certificate: certificates.leaves.chain }, async (_, env) => {
      const inMode = async (caFile: string): Promise<string> => {
        const mode = { GATEKEEPER_BACKEND_TLS_MODE: "require", GATEKEEPER_BACKEND_TLS_CA_FILE: caFile };
        return statusOf((await doctor({ ...env, ...mode }, "--only", "backend.ca-bundle")).check("backend.ca-bundle"));
      };
      assert.match(await inMode(certificates.bundleFile), /^ok: 2 certificates, 0 expired, .*; it covers the server$/);
      assert.match(await inMode(certificates.bundleWithoutRightFile), /^warn: .*it does not cover the server/);
      const full = await doctor({
        ...env,
        ...verifyFull(0, certificates.bundleWithoutRightFile),
        GATEKEEPER_BACKEND_PORT: env["GATEKEEPER_BACKEND_PORT"] ?? "",
      });
      assert.match(
        statusOf(full.check("backend.tls")),
        /^fail: .*issued by .*us-east-1 Subordinate CA.*: 1 certificate, /s,
      );
      assert.equal(statusOf(full.check("backend.ca-bundle")), "skip: needs backend.tls");
    });
  });
});

describe("the token command", () => {
  const tokenCheck = async (command: string, extra: Record<string, string> = {}): Promise<CheckResult> => {
    const env = tokenEnv(3306, "unused", { GATEKEEPER_BACKEND_TOKEN_CMD: command, ...extra });
    return (await doctor(env, "--only", "token.command")).check("token.command");
  };
  const printing = (token: string): string => `cat ${writeFile("printed-token", `${token}\n`)}`;

  it("that is not found, fails, is slow, or prints nothing, too much or no token is told apart", async () => {
    const cases = [
      ["no-such-program-at-all --x", {}, /not found in PATH/],
      [`echo oops-${CANARY} >&2; exit 3`, {}, /ended with exit status 3/],
      ["sleep 30", { GATEKEEPER_BACKEND_TOKEN_TIMEOUT: "200ms" }, /longer than 200 ms/],
      ["true", {}, /printed nothing/],
      ["head -c 9000 /dev/zero | tr '\\0' x", {}, /9000 bytes/],
      ["echo '<html>not a token but a page</html>'", {}, /no token/],
    ] as const;
    for (const [command, extra, expected] of cases) {
      const result = await tokenCheck(command, extra);
      assert.equal(result.status, "fail", command);
      assert.match(result.detail, expected);
      assert.notEqual(result.remedy, undefined);
    }
  });

  it("that makes a good token is ok, and the token is described but not shown", async () => {
    const result = await tokenCheck(printing(tokenFor(3306, { user: "querycop_doctor" })));
    assert.match(
      statusOf(result),
      /^ok: \/\S+cat in \d+ ms: \d+ characters, for localhost:3306, region eu-central-1, user querycop_doctor, signed \S+, 15 min left, static credentials of an IAM user$/,
    );
  });

  it("that makes a token for another server, region or user is refused with what is wrong", async () => {
    const user = "querycop_doctor";
    const cases = [
      [{ host: "other.example.com", user }, /another host than localhost/],
      [{ user, port: 13306 }, /another port than 3306/],
      [{ user, region: "us-east-1" }, /another region than eu-central-1/],
      [{ user: `root:x:0:0:${CANARY}` }, /user \(not shown\).*\n.*another user than querycop_doctor/],
      [{ user, signedAt: new Date(Date.now() - 3_600_000) }, /has expired, by this clock/],
      [{ user, signedAt: new Date(Date.now() + 3_600_000) }, /s ahead of this clock/],
      [{ user, accessKeyId: "ASIAIOSFODNN7EXAMPLE", sessionToken: undefined }, /no X-Amz-Security-Token/],
    ] as const;
    for (const [changes, expected] of cases) {
      const { sessionToken = CANARY, ...rest } = changes as { sessionToken?: string };
      const session = "sessionToken" in changes ? {} : { sessionToken };
      const request = { host: "localhost", port: 3306, user, region: REGION, ...session, ...rest };
      const result = await tokenCheck(printing(signToken(request)));
      assert.equal(result.status, "fail", result.detail);
      assert.match(result.detail, expected);
    }
  });

  it("whose token is cut off is told so", async () => {
    const result = await tokenCheck(printing(tokenFor(3306, { user: "querycop_doctor" }).slice(0, -20)));
    assert.match(statusOf(result), /^fail: [\s\S]*it is cut off/);
  });

  it("whose clock is off by more than a minute is a warning", async () => {
    const signedAt = new Date(Date.now() - 120_000);
    const result = await tokenCheck(printing(tokenFor(3306, { user: "querycop_doctor", signedAt })));
    assert.match(statusOf(result), /^warn: [\s\S]*its date is 12\d s behind this clock/);
  });

  it("that hands the client's name to a program which expands file:// is a warning", async () => {
    const aws = `: || aws --username "$QUERYCOP_BACKEND_USER"; ${printing(tokenFor(3306, { user: "querycop_doctor" }))}`;
    const result = await tokenCheck(aws);
    assert.match(statusOf(result), /^warn: [\s\S]*reads file:\/\/ values/);
  });

  it("whose token is no RDS token is judged by its shape only", async () => {
    const result = await tokenCheck(printing(`vault-${CANARY}`));
    assert.match(statusOf(result), /^ok: .*not a token signed by AWS, so only its shape was checked/);
  });

  it("is run for the user of --user, which iam_users must allow", async () => {
    const env = tokenEnv(3306, "unused", { GATEKEEPER_IAM_USERS: "app_*" });
    const { check } = await doctor(env, "--only", "token.command", "--user", "root");
    assert.match(statusOf(check("token.command")), /^fail: .*not in the list/);
  });

  it("needs a permission whose ARN is spelt out", async () => {
    const env = tokenEnv(3306, "unused", { GATEKEEPER_IAM_USERS: "app,reports" });
    const { check } = await doctor(env, "--only", "token.policy");
    assert.match(
      statusOf(check("token.policy")),
      /^ok: arn:aws:rds-db:eu-central-1:ACCOUNT:dbuser:RESOURCE_ID\/app\n\{"Version":"2012-10-17"/,
    );
  });
});

describe("the built-in signer", () => {
  const signerCheck = async (aws: Readonly<Record<string, string | undefined>>): Promise<CheckResult> => {
    const { GATEKEEPER_BACKEND_TOKEN_CMD: _, ...env } = tokenEnv(3306, "unused");
    const before = Object.fromEntries(Object.keys(aws).map((name) => [name, process.env[name]]));
    const apply = (values: Readonly<Record<string, string | undefined>>): void => {
      for (const [name, value] of Object.entries(values)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    };
    apply(aws);
    try {
      const signer = { ...env, GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer" };
      return (await doctor(signer, "--only", "token.signer")).check("token.signer");
    } finally {
      apply(before);
    }
  };

  it("signs with the credentials it finds", async () => {
    const result = await signerCheck(awsEnvironment({ sessionToken: CANARY }));
    assert.match(
      statusOf(result),
      /^ok: signed in \d+ ms: .*region eu-central-1, user querycop_doctor, .*static credentials/,
    );
  });

  it("without credentials says where to get some", async () => {
    const result = await signerCheck({
      ...awsEnvironment(),
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
    });
    assert.match(statusOf(result), /^fail: No AWS credentials are found/);
    assert.deepEqual(result.remedy?.commands, ["aws sts get-caller-identity"]);
  });
});

describe("the login", () => {
  const withLogin = async (
    options: DoctorBackendOptions,
    use: (result: DoctorRun) => void,
    extra: Record<string, string> = {},
  ): Promise<void> => {
    await withBackend({ certificate: certificates.leaves.goodEc, ...options }, async ({ port }) => {
      use(
        await doctor(tokenEnv(port, tokenFor(port), { GATEKEEPER_MAX_CONNECTIONS: "100", ...extra }), "--user", "app"),
      );
    });
  };

  it("that is refused names what may be wrong", async () => {
    await withLogin({ login: () => ACCESS_DENIED }, ({ check }) => {
      assert.match(statusOf(check("backend.login")), /^fail: The backend refused the login: 1045/);
      assert.match(check("backend.login").remedy?.text ?? "", /account is missing.*permission/);
      assert.equal(statusOf(check("server.settings")), "skip: needs backend.login");
    });
  });

  it("to an account with a password plugin says how to change it", async () => {
    const request = Buffer.concat([
      Buffer.from([0xfe]),
      Buffer.from("caching_sha2_password\0"),
      Buffer.alloc(20, 65),
      Buffer.from([0]),
    ]);
    await withLogin({ login: (user) => (user === "app" ? request : ACCESS_DENIED) }, ({ check }) => {
      assert.match(statusOf(check("backend.login")), /^fail: .*not made for tokens/);
      assert.match(check("backend.login").remedy?.commands[0] ?? "", /ALTER USER 'app'@'%' IDENTIFIED WITH AWS/);
    });
  });

  it("without --user is skipped with how to", async () => {
    await withBackend({ certificate: certificates.leaves.goodEc }, async ({ port }) => {
      const { check } = await doctor(tokenEnv(port, tokenFor(port, { user: "querycop_doctor" })));
      assert.equal(statusOf(check("backend.login")), "skip: name a user to log in as: querycop doctor --user NAME");
      assert.equal(check("server.settings").status, "skip");
    });
  });

  it("leads to settings that are remarked on, and password hashes stay on the server", async () => {
    const settings = ["ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "SET @a = 1", "1", "50", "1", "0", "8.0.36", "1000000000"];
    const createUser = `CREATE USER \`app\`@\`%\` IDENTIFIED WITH 'mysql_native_password' AS '*${CANARY}'`;
    const extra = { GATEKEEPER_BACKEND_ROLE: "writer", GATEKEEPER_LOCAL_INFILE: "on" };
    await withLogin(
      { settings, createUser },
      ({ check }) => {
        const { status, detail } = check("server.settings");
        assert.equal(status, "warn");
        for (const expected of [
          /sql_mode ANSI_QUOTES,NO_BACKSLASH_ESCAPES changes/,
          /init_connect is set/,
          /local_infile is on here/,
          /max_connections is 100 here and 50 at the server, of which 12 are in use, .*: 38 are free/,
          /backend\.role is writer, but the server is read-only/,
          /plugin is mysql_native_password, which is not for tokens/,
          /this clock is \d+ s ahead of the server's/,
        ]) {
          assert.match(detail, expected);
        }
      },
      extra,
    );
  });
});

describe("the host", () => {
  const base = { GATEKEEPER_BACKEND_PORT: "1", GATEKEEPER_BACKEND_TLS_MODE: "disable" };

  it("a port that something else holds fails, one that greets as MySQL does not", async () => {
    const silent = await listening((socket) => socket.end("hello"));
    const taken = await doctor({ ...base, GATEKEEPER_LISTEN_PORT: String(silent.port) }, "--only", "listener.*");
    silent.server.close();
    assert.match(statusOf(taken.check("listener.port")), /^fail: .*does not greet as MySQL/);
    await withBackend({}, async ({ port }) => {
      const running = await doctor({ ...base, GATEKEEPER_LISTEN_PORT: String(port) }, "--only", "listener.*");
      assert.match(statusOf(running.check("listener.port")), /^ok: .*greets as 8\.0\.36: querycop seems to be running/);
    });
  });

  it("an audit file that cannot be written fails audit.disk", async () => {
    const blocked = inFolder("audit-is-a-folder");
    mkdirSync(blocked, { recursive: true });
    const broken = await doctor({ ...base, GATEKEEPER_AUDIT_FILE: blocked }, "--only", "audit.disk");
    assert.match(statusOf(broken.check("audit.disk")), /^fail: cannot write /);
    const fine = await doctor({ ...base, GATEKEEPER_AUDIT_FILE: inFolder("audit.ndjson") }, "--only", "audit.disk");
    assert.notEqual(fine.check("audit.disk").status, "skip");
  });

  it("a certificate for clients that is self-signed or expired is found before a client finds it", async () => {
    const { leaves, caFile, folder } = certificates;
    const client = async (cert: string, key: string): Promise<string> => {
      const env = { ...base, GATEKEEPER_PROXY_TLS_CERT: cert, GATEKEEPER_PROXY_TLS_KEY: key };
      return statusOf((await doctor(env, "--only", "client.certificate")).check("client.certificate"));
    };
    assert.match(await client(leaves.goodEc.certFile, leaves.goodEc.keyFile), /^ok: for mydb/);
    assert.match(await client(leaves.expired.certFile, leaves.expired.keyFile), /^fail: .*expired \d+ days ago/);
    assert.match(await client(caFile, `${folder}/root.key`), /^warn: .*ERROR 2026/);
  });

  it("a policy that does not load fails policy.lint", async () => {
    const policy = writeFile("broken-policy.yaml", "nonsense: [\n");
    const { check } = await doctor({ ...base, GATEKEEPER_POLICY_FILE: policy }, "--only", "policy.lint");
    assert.match(statusOf(check("policy.lint")), /^fail: .*is refused/);
  });
});

describe("several listeners", () => {
  it("are checked one by one, and the failure of one is not the other's", async () => {
    await withBackend({}, async (backend) => {
      const closed = await closedPort();
      const config = writeFile(
        "two.yaml",
        `backend: { host: 127.0.0.1, tls_mode: disable }
listeners:
  - { name: writer, listen: { port: 0 }, backend: { port: ${backend.port} } }
  - { name: reader, listen: { port: 0 }, backend: { port: ${closed} } }
`,
      );
      const env = { PATH: process.env["PATH"] ?? "/bin" };
      const { code, stdout } = await run(["doctor", "--only", "backend.tls", "--config", config], { env });
      assert.equal(code, 1);
      const text = stdout.replaceAll(String(closed), "<port>");
      assert.match(text, /\n\nlistener writer\nok +backend\.tls .*\n\nlistener reader\nFAIL +backend\.tcp /);
      assert.match(text, /skip +backend\.tls +needs backend\.tcp\n\n1 failed, 0 warnings, 1 ok, 1 skipped\n$/);
    });
  });
});

describe("the command line", () => {
  it("refuses a pattern that fits nothing", async () => {
    const { code, stderr } = await run(["doctor", "--only", "nothing.*"], { env: {} });
    assert.equal(code, 2);
    assert.match(stderr, /no check fits "nothing\.\*", see querycop doctor --list/);
  });

  it("lists all checks without a configuration", async () => {
    const { code, stdout } = await run(["doctor", "--list"]);
    assert.equal(code, 0);
    assert.match(stdout, /^backend\.tls +TLS with the backend holds$/m);
  });

  it("prints snippets for this very configuration and connects to nothing", async () => {
    const env = { GATEKEEPER_BACKEND_HOST: "db.invalid", GATEKEEPER_BACKEND_TLS_MODE: "disable" };
    const { code, stdout } = await run(["doctor", "--snippets", "--user", "app"], { env });
    assert.equal(code, 0);
    assertGolden("doctor-snippets.txt", stdout);
  });

  it("shows what a chosen check needs when that fails", async () => {
    const port = await closedPort();
    const env = { GATEKEEPER_BACKEND_PORT: String(port), GATEKEEPER_BACKEND_TLS_MODE: "disable" };
    const { code, checks } = await doctor(env, "--only", "backend.tls");
    assert.equal(code, 1);
    assert.deepEqual(
      checks.map(({ id, status }) => [id, status]),
      [
        ["backend.tcp", "fail"],
        ["backend.tls", "skip"],
      ],
    );
  });
});

describe("all of the above", () => {
  it("has shown no token, no signature, no key and nothing a token command wrote", () => {
    assert.ok(outputs.length > 100);
    for (const output of outputs) {
      assert.equal(output.includes("CanarySecret"), false);
      assert.equal(output.includes("X-Amz-Signature="), false);
    }
  });
});

async function listening(onConnection: Parameters<typeof createServer>[1]): Promise<{ server: Server; port: number }> {
  const server = createServer(onConnection as () => void);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, port: address.port };
}

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const { server, port } = await listening(() => undefined);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
