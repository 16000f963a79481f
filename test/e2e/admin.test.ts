/** The admin API, reload and drain of the executable in front of real servers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { connect as connectTls } from "node:tls";
import type { SessionView } from "../../src/session/session-view.ts";
import { awsEnvironment, iamSettings } from "../support/aws-token.ts";
import { clusterBackend, plaintextBackend } from "../support/backend-settings.ts";
import { type CertificateSet, CLUSTER_HOST, type LeafName, makeCertificates } from "../support/certificates.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Querycop, querycopBinary, runQuerycop, type Settings, startQuerycop } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KEY = randomBytes(16).toString("hex");
const RANDOM_USERS = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 10_000 : 200;
const AT_ONCE = 20;

const certificates: CertificateSet = await makeCertificates();
const folder = mkdtempSync(join(tmpdir(), "querycop-admin-"));
const server = await startServer({ kind: "mariadb" });
const running: { stop(): Promise<void> }[] = [];
const open: RawClient[] = [];

afterEach(async () => {
  for (const raw of open.splice(0)) raw.reset();
  for (const one of running.splice(0).reverse()) await one.stop();
});
after(async () => {
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

class Admin {
  readonly querycop: Querycop;
  readonly port: number;

  constructor(querycop: Querycop, port: number) {
    this.querycop = querycop;
    this.port = port;
  }

  call(method: string, path: string, key: string | undefined = KEY): Promise<Answer> {
    const headers: Record<string, string> = key === undefined ? {} : { Authorization: `Bearer ${key}` };
    return new Promise((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port: this.port, method, path, headers, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => {
          text += piece;
        });
        response.on("end", () => {
          const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
          resolve({ status: response.statusCode ?? 0, text, json });
        });
      });
      sent.on("error", reject);
      sent.end();
    });
  }

  /** The value of a series; undefined when there is none. */
  async metric(series: string): Promise<number | undefined> {
    const { text } = await this.call("GET", "/metrics");
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }

  /** Why it is not ready, or "ready". */
  async readiness(): Promise<string> {
    const { status, json } = await this.call("GET", "/readyz", undefined);
    if (status === 200) return String(json["status"]);
    assert.equal(status, 503);
    return String(json["reason"]);
  }
}

async function startAdmin(backend: TestServer, settings: Settings = {}): Promise<Admin> {
  const querycop = await startQuerycop({
    ...plaintextBackend(backend),
    ADMIN_API_KEY: KEY,
    ...settings,
  });
  running.push(querycop);
  const line = await eventually("the admin API listens", () =>
    querycop.logs().find(({ event }) => event === "admin API listening"),
  );
  return new Admin(querycop, Number(String(line["address"]).split(":").at(-1)));
}

async function logIn(querycop: Querycop, backend: TestServer = server): Promise<RawClient> {
  const raw = await RawClient.connect("127.0.0.1", querycop.port);
  open.push(raw);
  const { user, password } = backend.account("admin");
  await raw.login({ user, password, database: "appdb" });
  return raw;
}

const leafOf = (name: LeafName): { certFile: string; keyFile: string } => certificates.leaves[name];

const serverCertificate = (name: LeafName): Parameters<typeof startServer>[0]["certificate"] => ({
  ...leafOf(name),
  clientCaFile: certificates.caFile,
});

describe("readiness", () => {
  e2e("follows the backend through silence, stop, a wrong certificate and a new CA bundle", async () => {
    const ca = join(folder, "backend-ca.pem");
    copyFileSync(certificates.caFile, ca);
    const first = await startServer({ kind: "mariadb", certificate: serverCertificate("goodRsa") });
    running.push(first);
    const admin = await startAdmin(first, {
      GATEKEEPER_BACKEND_HOST: "localhost",
      GATEKEEPER_BACKEND_ADDRESS_FAMILY: "ipv4",
      GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
      GATEKEEPER_BACKEND_TLS_CA_FILE: ca,
    });
    const { querycop } = admin;
    assert.equal((await admin.call("GET", "/healthz", undefined)).text, '{"status":"ok"}');
    assert.equal(await admin.readiness(), "ready");
    first.signal("SIGSTOP");
    await eventually("silence is noticed", async () => (await admin.readiness()) === "backend does not answer", 30_000);
    first.signal("SIGCONT");
    await eventually("it is ready again", async () => (await admin.readiness()) === "ready", 30_000);
    await first.stop();
    // A client that cannot be served is news: nobody waits for the answer to grow old.
    const turnedAway = await RawClient.connect("127.0.0.1", querycop.port);
    await assert.rejects(turnedAway.login({ user: "any", password: "any" }));
    await eventually("the stop is noticed", async () => (await admin.readiness()) === "backend unreachable", 30_000);
    assert.equal(await admin.metric("querycop_ready"), 0);
    assert.equal((await admin.call("GET", "/livez", undefined)).status, 200);
    const second = await startServer({
      kind: "mariadb",
      certificate: serverCertificate("otherCa"),
      options: [`--port=${first.port}`],
    });
    running.push(second);
    await eventually(
      "its certificate is refused",
      async () => (await admin.readiness()) === "backend TLS fails",
      30_000,
    );
    const end = await admin.metric('querycop_tls_certificate_not_after_timestamp_seconds{leg="backend_ca"}');
    assert.ok(end !== undefined && end > Date.now() / 1000);
    writeFileSync(
      `${ca}.new`,
      readFileSync(certificates.caFile, "utf8") + readFileSync(certificates.otherCaFile, "utf8"),
    );
    renameSync(`${ca}.new`, ca);
    await eventually("the bundle is read again by itself", async () => (await admin.readiness()) === "ready", 30_000);
    assert.equal(await admin.metric("querycop_ready"), 1);
    await logIn(querycop, second);
  });

  e2e("of many at once costs the backend one connection", async () => {
    const admin = await startAdmin(server);
    const threads = (): Set<number> => new Set(server.generalLog().map(({ threadId }) => threadId));
    const before = threads().size;
    const answers = await Promise.all(Array.from({ length: 40 }, () => admin.readiness()));
    assert.ok(answers.every((answer) => answer === "ready"));
    await eventually("the server has seen it leave", () => threads().size > before);
    assert.equal(threads().size - before, 1);
    assert.equal(await admin.metric("querycop_backend_connect_duration_seconds_count"), 1);
  });
});

describe("sessions over HTTP", () => {
  e2e("are shown while they last, and end when they are killed", async () => {
    const admin = await startAdmin(server);
    const { querycop } = admin;
    const [kept, killed] = [await logIn(querycop), await logIn(querycop)];
    await kept.query("SELECT 1");
    await killed.query("BEGIN");
    const { json } = await admin.call("GET", "/sessions");
    const sessions = json["sessions"] as { id: string; user: string; state: string; isInTransaction: boolean }[];
    assert.equal(json["total"], 2);
    assert.deepEqual(
      sessions.map(({ user, state, isInTransaction }) => [user, state, isInTransaction]),
      [
        ["admin", "idle", false],
        ["admin", "idle", true],
      ],
    );
    const id = sessions[1]?.id ?? "";
    assert.equal((await admin.call("DELETE", `/sessions/${id}`, "a wrong key")).status, 401);
    assert.equal((await admin.call("DELETE", `/sessions/${id}`)).status, 200);
    await readFarewell(killed, 0, id);
    assert.equal((await kept.query("SELECT 1")).length > 0, true);
    await eventually("it is gone", async () => (await admin.call("GET", `/sessions/${id}`)).status === 404);
    assert.equal(await admin.metric('querycop_session_closed_total{reason="killed"}'), 1);
    const calls = querycop.audit().filter(({ type, method }) => type === "admin-call" && method === "DELETE");
    assert.deepEqual(
      calls.map(({ principal, status, target }) => [principal, status, target]),
      [
        [undefined, 401, undefined],
        ["admin", 200, id],
      ],
    );
    const records = (await admin.call("GET", "/audit?type=disconnect&limit=5")).json["records"] as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      records.map(({ reason, by }) => [reason, by]),
      [["killed", "admin"]],
    );
    const line = querycop.logs().find(({ event }) => event === "session killed");
    assert.deepEqual([line?.["session"], line?.["by"], line?.["user"]], [id, "admin", "admin"]);
  });

  e2e("show the statement that runs, without its values, and since when", async () => {
    const admin = await startAdmin(server);
    const raw = await logIn(admin.querycop);
    raw.writeCommand(0x03, "SELECT SLEEP(600), 'a secret value'");
    const shown = async () => ((await admin.call("GET", "/sessions")).json["sessions"] as SessionView[])[0];
    const session = await eventually("it runs", async () => {
      const found = await shown();
      return found?.statement === undefined ? undefined : found;
    });
    const { statement } = session;
    assert.deepEqual([session.state, statement?.command, statement?.kind], ["busy", "COM_QUERY", "select"]);
    assert.deepEqual([statement?.text, statement?.textForm], ["SELECT `SLEEP` (?) , ?", "digest"]);
    assert.ok(Math.abs(Date.now() - Date.parse(statement?.since ?? "")) < 600_000);
    const ids = admin.querycop.audit().map(({ decisionId }) => decisionId);
    assert.ok(ids.includes(statement?.decisionId));
    const target = ["--url", `http://127.0.0.1:${admin.port}`];
    const { stdout } = await runQuerycop(["sessions", "list", ...target], { ADMIN_API_KEY: KEY });
    assert.match(stdout, /^\S+ +admin .* busy for \d+ \w+.* appdb +SELECT `SLEEP` \(\?\) , \?$/m);
    // In place of the answer, as there is no token to stop the statement with.
    const killed = await runQuerycop(["sessions", "kill", session.id, ...target], { ADMIN_API_KEY: KEY });
    assert.deepEqual([killed.code, killed.stdout], [0, `ended ${session.id}\n`]);
    await readFarewell(raw, 1, session.id);
    await eventually("its end is on record", () =>
      admin.querycop
        .audit()
        .some(({ type, errorCode, by }) => type === "disconnect" && errorCode === "QC_KILLED" && by === "admin"),
    );
  });

  e2e("end with a statement that waits for an approval, which its client is told", async () => {
    const policy = join(folder, "held.yaml");
    writeFileSync(policy, "version: 1\nrules: { dml.nowhere: require-approval }\n", { mode: 0o600 });
    const admin = await startAdmin(server, { GATEKEEPER_POLICY_FILE: policy });
    const raw = await logIn(admin.querycop);
    raw.writeCommand(0x03, "DELETE FROM numbers");
    const session = await eventually("it is held", async () =>
      ((await admin.call("GET", "/sessions")).json["sessions"] as SessionView[]).find(({ state }) => state === "held"),
    );
    assert.equal((await admin.call("DELETE", `/sessions/${session.id}`)).status, 200);
    const { payload } = await raw.readPacket();
    assert.deepEqual([payload[0], payload.readUInt16LE(1)], [0xff, 1317]);
    assert.match(payload.toString("utf8"), /interrupted while the statement waited for approval; it has not run/);
    await readFarewell(raw, 0, session.id);
  });
});

/** The error that ends a killed session, then the end of the connection. */
async function readFarewell(raw: RawClient, sequenceId: number, session: string): Promise<void> {
  const packet = await raw.readPacket();
  assert.equal(packet.sequenceId, sequenceId);
  assert.deepEqual([packet.payload[0], packet.payload.readUInt16LE(1)], [0xff, 1927]);
  const text = `#70100querycop: This session was ended by an operator (admin) [session ${session}]`;
  assert.equal(packet.payload.toString("utf8", 3), text);
  await raw.readEnd();
  raw.reset();
}

describe("querycop top", () => {
  e2e("draws on a terminal what runs, ends with q and with SIGTERM, and leaves the terminal as it was", async () => {
    const admin = await startAdmin(server);
    const raw = await logIn(admin.querycop);
    raw.writeCommand(0x03, "SELECT 'ring', SLEEP(60)");
    const keyFile = join(folder, "top-key");
    writeFileSync(keyFile, KEY, { mode: 0o600 });
    const program = await querycopBinary();
    const command = `exec ${program} top --url http://127.0.0.1:${admin.port} --key-file ${keyFile} --interval 500ms`;
    for (const ending of ["q", "SIGTERM"]) {
      const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
        env: { PATH: process.env["PATH"], TERM: "xterm", SHELL: "/bin/sh" },
        stdio: ["pipe", "pipe", "ignore"],
      });
      const ended = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? -1)));
      let screen = "";
      child.stdout.on("data", (text: Buffer) => {
        screen += text.toString("utf8");
      });
      await eventually("the statement is on the screen", () => /busy.*SELECT \? , `SLEEP`/.test(screen), 60_000);
      assert.ok(!screen.includes("ring"), "values are not shown");
      if (ending === "q") child.stdin.write("q");
      else process.kill(childOf(child.pid ?? 0), "SIGTERM");
      assert.equal(await ended, 0, ending);
      assert.ok(screen.trimEnd().endsWith("\x1b[?7h\x1b[?25h\x1b[?1049l"), JSON.stringify(screen.slice(-80)));
    }
  });
});

/** The one program that this one has started. */
function childOf(pid: number): number {
  const [child = ""] = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ");
  return Number(child);
}

describe("a session that is killed while its statement runs", () => {
  e2e("takes the statement with it, where there is a token to stop it with", async () => {
    const backend = await startServer({ kind: "mariadb", certificate: serverCertificate("chain") });
    running.push(backend);
    backend.setIam(iamSettings(CLUSTER_HOST, backend.port));
    const admin = await startAdmin(backend, {
      ...awsEnvironment(),
      ...clusterBackend(backend, certificates),
      GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
      GATEKEEPER_CLIENT_AUTH: "trust",
    });
    const raw = await RawClient.connect("127.0.0.1", admin.querycop.port);
    open.push(raw);
    await raw.login({ user: "iam_user", password: "" });
    raw.writeCommand(0x03, "SELECT SLEEP(600), 'killed'");
    const isRunning = (): Promise<string[][]> =>
      backend.rootQuery("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600)%'");
    await eventually("it runs", async () => (await isRunning()).length === 1);
    const { json } = await admin.call("GET", "/sessions");
    const [session] = json["sessions"] as { id: string; state: string }[];
    assert.equal(session?.state, "busy");
    assert.equal((await admin.call("DELETE", `/sessions/${session?.id}`)).status, 200);
    await eventually("it runs no more", async () => (await isRunning()).length === 0);
    // Behind what the server makes of a statement that was stopped.
    let packet = await raw.readPacket();
    while (packet.payload[0] !== 0xff || packet.payload.readUInt16LE(1) !== 1927) packet = await raw.readPacket();
    assert.equal(packet.sequenceId, 0);
    await raw.readEnd();
    await eventually("its end is on record", () =>
      admin.querycop.audit().some(({ type, reason }) => type === "disconnect" && reason === "killed"),
    );
  });
});

const seriesIn = (text: string): number =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;

describe("/metrics", () => {
  e2e("counts what clients do", async () => {
    const admin = await startAdmin(server);
    const { querycop } = admin;
    const client = await logIn(querycop);
    for (let i = 0; i < 3; i++) await client.query("SELECT n FROM numbers LIMIT 5");
    await client.query("DROP DATABASE nothing");
    assert.equal(await admin.metric('querycop_commands_total{command="COM_QUERY"}'), 4);
    assert.equal(await admin.metric('querycop_decisions_total{action="allow",rule="none"}'), 3);
    assert.equal(await admin.metric("querycop_response_rows_total"), 15);
    assert.equal(await admin.metric("querycop_client_connections"), 1);
    const text = (await admin.call("GET", "/metrics")).text;
    assert.match(text, /^querycop_decisions_total\{action="block",rule="[a-z.]+"\} 1$/m);
  });

  const name = `gets no series from ${RANDOM_USERS} names of users`;
  const getsNoSeries = async (): Promise<void> => {
    const admin = await startAdmin(server, { GATEKEEPER_LOG_LEVEL: "info" });
    const { querycop } = admin;
    const refuse = async (): Promise<void> => {
      const raw = await RawClient.connect("127.0.0.1", querycop.port);
      await assert.rejects(raw.login({ user: randomBytes(12).toString("hex"), password: "x" }));
      raw.reset();
    };
    await refuse();
    // The first look is counted as well, and shows from the second on.
    await admin.call("GET", "/metrics");
    const before = (await admin.call("GET", "/metrics")).text;
    for (let i = 1; i < RANDOM_USERS; i += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, RANDOM_USERS - i) }, refuse));
    }
    const grown = (await admin.call("GET", "/metrics")).text;
    assert.equal(seriesIn(grown), seriesIn(before));
    await eventually("all of them are counted", async () => {
      return (await admin.metric('querycop_session_closed_total{reason="auth-refused"}')) === RANDOM_USERS;
    });
  };
  e2e(name, getsNoSeries, 600_000);
});

describe("callers of the API that are slow", () => {
  e2e("are left, with half a header and with half a body", async () => {
    const admin = await startAdmin(server);
    const head = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    const ends = ["", head, `${head}Content-Length: 10\r\n\r\n{`].map(async (text) => {
      const socket = connect(admin.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.resume();
      if (text !== "") socket.write(text);
      await once(socket, "close");
    });
    await Promise.all(ends);
    assert.equal((await admin.call("GET", "/livez", undefined)).status, 200);
  });
});

describe("limits on connections", () => {
  e2e(
    "of one user count who is logged in, under whatever name, and of an address and of all who is connected",
    async () => {
      const admin = await startAdmin(server, {
        GATEKEEPER_CONNECTIONS_PER_USER: "2",
        GATEKEEPER_CONNECTIONS_PER_ADDRESS: "5",
        GATEKEEPER_MAX_CONNECTIONS: "1000",
      });
      const { querycop } = admin;
      const other = server.accounts["readOnly"] ?? { user: "", password: "" };
      const logInAs = async (account: { user: string; password: string }): Promise<RawClient> => {
        const raw = await RawClient.connect("127.0.0.1", querycop.port);
        open.push(raw);
        try {
          await raw.login({ user: account.user, password: account.password });
        } catch (refusal) {
          raw.reset();
          throw refusal;
        }
        return raw;
      };
      const self = server.account("admin");
      // Who only claims a name takes no place of its owner's.
      await assert.rejects(logInAs({ ...self, password: "wrong" }), { errorNumber: 1045 });
      const [first, second] = [await logInAs(self), await logInAs(self)];
      await assert.rejects(logInAs(self), { errorNumber: 1203, sqlState: "42000" });
      const third = await logInAs(other);
      await assert.rejects(third.changeUser(self), { errorNumber: 1203 });
      third.reset();
      await second.changeUser(other);
      const fourth = await logInAs(self);
      await assert.rejects(logInAs(self), { errorNumber: 1203 });
      first.reset();
      const fifth = await eventually("its place is free", () => logInAs(self).catch(() => undefined));
      assert.equal(await admin.metric('querycop_connections_refused_total{limit="user"}'), 3);
      const sixth = await logInAs(other);
      await eventually(
        "only these four are left",
        async () => (await admin.metric("querycop_client_connections")) === 4,
      );
      const silent = await RawClient.connect("127.0.0.1", querycop.port);
      open.push(silent);
      await silent.readGreeting();
      // Who is silent in its login makes room; who has logged in does not.
      const seventh = await eventually("the silent one makes room", () =>
        logInAs(server.account("empty")).catch(() => undefined),
      );
      await assert.rejects(logInAs(server.account("empty")), { errorNumber: 1040 });
      assert.ok(Number(await admin.metric('querycop_connections_refused_total{limit="address"}')) >= 1);
      for (const raw of [second, fourth, fifth, sixth, seventh]) assert.ok((await raw.query("SELECT 1")).length > 0);
    },
  );
});

describe("a drain", () => {
  e2e("ends what rests, lets transactions go on to their end, and is not ready from its first moment", async () => {
    const admin = await startAdmin(server);
    const { querycop } = admin;
    await server.rootQuery("CREATE TABLE appdb.drained (n INT)");
    const [resting, inside] = [await logIn(querycop), await logIn(querycop)];
    await inside.query("BEGIN");
    await inside.query("INSERT INTO drained VALUES (1)");
    querycop.signal("SIGTERM");
    assert.equal(
      await eventually("it drains", async () => {
        const reason = await admin.readiness();
        return reason === "shutting down" ? reason : undefined;
      }),
      "shutting down",
    );
    await resting.readEnd();
    // Two sweeps later it is still there.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await inside.query("INSERT INTO drained VALUES (2)");
    await inside.query("COMMIT");
    await inside.readEnd();
    assert.equal(await querycop.exited, 0);
    assert.deepEqual(await server.rootQuery("SELECT n FROM appdb.drained ORDER BY n"), [["1"], ["2"]]);
    await server.rootQuery("DROP TABLE appdb.drained");
  });
});

/** Whether new clients are shown a certificate of this name. */
async function isShownFor(querycop: Querycop, servername: string): Promise<boolean> {
  const raw = await RawClient.connect("127.0.0.1", querycop.port);
  open.push(raw);
  const { user, password } = server.account("admin");
  const tls = { ca: readFileSync(certificates.caFile), servername };
  return await raw.login({ user, password }, tls).then(
    () => true,
    () => false,
  );
}

describe("files that change", () => {
  e2e("of the admin API itself and of its settings are read again by SIGHUP", async () => {
    const cert = join(folder, "admin.crt");
    const key = join(folder, "admin.key");
    const config = join(folder, "settings.yaml");
    const use = (leaf: LeafName): void => {
      copyFileSync(leafOf(leaf).certFile, cert);
      copyFileSync(leafOf(leaf).keyFile, key);
    };
    use("goodEc");
    writeFileSync(config, "log: { level: info }\n", { mode: 0o600 });
    const { querycop } = await startAdmin(server, {
      GATEKEEPER_CONFIG: config,
      GATEKEEPER_LOG_LEVEL: undefined,
      GATEKEEPER_API_TLS_CERT: cert,
      GATEKEEPER_API_TLS_KEY: key,
    });
    const listening = querycop.logs().find(({ event }) => event === "admin API listening");
    const port = Number(String(listening?.["address"]).split(":").at(-1));
    const nameShown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
          resolve(String(socket.getPeerCertificate().subjectaltname));
          socket.destroy();
        });
        socket.on("error", reject);
        // Whoever is taken by a listener on its way out may never be greeted.
        socket.setTimeout(2_000, () => socket.destroy(new Error("no handshake")));
      });
    const debugLines = (): number => querycop.logs().filter(({ level }) => level === "debug").length;
    assert.match(await nameShown(), /DNS:localhost/);
    use("wrongHost");
    writeFileSync(config, "log: { level: debug }\nmax_connections: 7\n");
    assert.equal(debugLines(), 0);
    querycop.signal("SIGHUP");
    // Between two listeners the address is nobody's for a moment.
    await eventually("the new certificate is shown", async () =>
      (await nameShown().catch(() => "")).includes("elsewhere.example.com"),
    );
    (await logIn(querycop)).quit();
    await eventually("debug lines are written", () => debugLines() > 0);
    const waiting = querycop.logs().find(({ event }) => event === "settings changed that need a restart");
    assert.equal(waiting?.["settings"], "max_connections");

    writeFileSync(config, "log: { level: loud }\n");
    querycop.signal("SIGHUP");
    const refused = await eventually("a wrong file is refused", () =>
      querycop.logs().find(({ event }) => event === "change refused, what was before stays in force"),
    );
    assert.match(String(refused["problems"]), /log\.level/);
  });

  e2e("are in force for new sessions when they are good, and kept out with an alarm when they are not", async () => {
    const cert = join(folder, "client.crt");
    const key = join(folder, "client.key");
    const policy = join(folder, "policy.yaml");
    const use = (leaf: LeafName): void => {
      copyFileSync(leafOf(leaf).certFile, cert);
      copyFileSync(leafOf(leaf).keyFile, key);
    };
    use("goodEc");
    writeFileSync(policy, "version: 1\n", { mode: 0o600 });
    const admin = await startAdmin(server, {
      GATEKEEPER_PROXY_TLS_CERT: cert,
      GATEKEEPER_PROXY_TLS_KEY: key,
      GATEKEEPER_POLICY_FILE: policy,
    });
    const { querycop } = admin;
    const old = await logIn(querycop);
    assert.equal(await isShownFor(querycop, "localhost"), true);
    use("wrongHost");
    querycop.signal("SIGHUP");
    await eventually("the new certificate is shown", () => isShownFor(querycop, "elsewhere.example.com"));
    assert.equal(await isShownFor(querycop, "localhost"), false);
    assert.equal((await old.query("SELECT 1")).length > 0, true);
    assert.equal(await admin.metric("querycop_config_last_reload_successful"), 1);

    copyFileSync(leafOf("goodEc").keyFile, key);
    writeFileSync(policy, "version: 1\nno_such_key: 1\n");
    const refused = await admin.call("POST", "/policy/reload");
    assert.equal(refused.status, 409);
    const outcomes = refused.json["reloaded"] as { what: string; outcome: string; problems?: string }[];
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ["refused", "refused"],
    );
    assert.match(outcomes[0]?.problems ?? "", /policy\.yaml:2: /);
    assert.match(outcomes[1]?.problems ?? "", /client\.key is not the key of the first certificate/);
    assert.equal(await admin.metric("querycop_config_last_reload_successful"), 0);
    assert.equal(await isShownFor(querycop, "elsewhere.example.com"), true);
    assert.equal(await admin.readiness(), "ready");

    use("goodEc");
    writeFileSync(policy, "version: 1\n");
    await eventually("the change is seen by itself", async () => {
      return (await admin.metric("querycop_config_last_reload_successful")) === 1;
    });
    assert.equal(await isShownFor(querycop, "localhost"), true);
    const loads = querycop.audit().filter(({ type, file }) => type === "config-load" && String(file).includes(cert));
    assert.deepEqual(
      loads.map(({ outcome }) => outcome),
      ["ok", "error", "ok"],
    );
  });
});
