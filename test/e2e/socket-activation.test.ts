/** Restarts behind listening sockets that a service manager holds: nobody is refused, and no transaction is cut. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { type ActivatedProcess, type Activator, type ActivatorOptions, startActivator } from "../support/activator.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { makeCertificates } from "../support/certificates.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Settings, startQuerycop } from "../support/querycop.ts";
import { RawClient } from "../support/raw-client.ts";
import { pickPort, startServer } from "../support/servers.ts";
import { installSystemd } from "../support/systemd.ts";

const IS_FULL = process.env["QUERYCOP_TEST_SCALE"] === "full";
const RESTARTS = IS_FULL ? 20 : 4;
const CONNECTS = IS_FULL ? 50_000 : 2_000;
const WORKERS = 8;

const folder = mkdtempSync(join(tmpdir(), "querycop-activation-"));
const certificates = await makeCertificates();
const server = await startServer({
  kind: "mariadb",
  certificate: { ...certificates.leaves.chain, clientCaFile: certificates.caFile },
  options: ["--max-connections=500", "--general-log=0"],
});
const systemd = await installSystemd();
const DESCRIPTOR_3 = "handed over as descriptor 3";
const started: Activator[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((activator) => activator.stop()));
});
after(async () => {
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

const SETTINGS: Settings = {
  ...plaintextBackend(server),
  GATEKEEPER_AUDIT_FILE: join(folder, "audit.ndjson"),
};

async function activator(options: Partial<ActivatorOptions> = {}): Promise<Activator> {
  const made = await startActivator({ names: ["default"], ...options, settings: { ...SETTINGS, ...options.settings } });
  started.push(made);
  return made;
}

/** Starts one more process and waits until it serves the sockets. */
async function startListening(made: Activator, listeners = 1): Promise<ActivatedProcess> {
  const count = (): number => made.logs().filter(({ event }) => event === "querycop listening").length;
  const before = count();
  const process_ = await made.start();
  await eventually("it listens", () => count() >= before + listeners);
  return process_;
}

async function drain(process_: ActivatedProcess): Promise<void> {
  process_.signal("SIGTERM");
  await eventually("it ends", () => process_.exitCode() !== undefined, 60_000);
  assert.equal(process_.exitCode(), 0);
}

const account = server.account("admin");

async function logIn(port: number): Promise<RawClient> {
  const client = await RawClient.connect("127.0.0.1", port);
  await client.login({ ...account, database: "appdb" } as Parameters<RawClient["login"]>[0]);
  return client;
}

class Load {
  connected = 0;
  /** A session between two commands may end in a drain; its client connects anew. */
  endedAtRest = 0;
  readonly failures: string[] = [];
  #isOver = false;
  readonly #workers: Promise<void>[];

  constructor(port: number) {
    this.#workers = Array.from({ length: WORKERS }, () => this.#work(port));
  }

  async #work(port: number): Promise<void> {
    while (!this.#isOver) {
      let client: RawClient;
      try {
        client = await logIn(port);
        this.connected++;
      } catch (error) {
        this.failures.push(String(error));
        continue;
      }
      try {
        await client.query("SELECT 1");
      } catch {
        this.endedAtRest++;
      }
      client.quit();
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
  }
}

describe("a listening socket of the service manager", () => {
  e2e(`outlives restarts: nobody who connects is refused`, async () => {
    const made = await activator();
    let current = await startListening(made);
    const load = new Load(made.ports[0] ?? 0);
    for (let restart = 1; restart <= RESTARTS; restart++) {
      await eventually("the load goes on", () => load.connected >= (CONNECTS * restart) / (RESTARTS + 1), 300_000);
      // By turns as `systemctl restart` does it, and with the new one beside the old one.
      const isOverlapping = restart % 2 === 0;
      const next = isOverlapping ? await startListening(made) : undefined;
      await drain(current);
      current = next ?? (await startListening(made));
    }
    await eventually("the load goes on", () => load.connected >= CONNECTS, 300_000);
    await load.stop();
    await drain(current);
    assert.deepEqual(load.failures, []);
    if (IS_FULL) {
      console.log(`${RESTARTS} restarts: ${load.connected} connected, 0 failed, ${load.endedAtRest} ended at rest`);
    }
  });

  e2e("outlives a restart in a transaction, which commits", async () => {
    await server.rootQuery("CREATE OR REPLACE TABLE appdb.restarted (id INT PRIMARY KEY)");
    const made = await activator();
    const old = await startListening(made);
    const client = await logIn(made.ports[0] ?? 0);
    await client.query("START TRANSACTION");
    await client.query("INSERT INTO restarted VALUES (1)");
    old.signal("SIGTERM");
    await eventually("it drains", () => made.logs().some(({ event }) => event === "draining"));
    const fresh = await startListening(made);
    const other = await logIn(made.ports[0] ?? 0);
    await other.query("INSERT INTO restarted VALUES (2)");
    assert.equal(old.exitCode(), undefined);
    await client.query("INSERT INTO restarted VALUES (3)");
    const [commit] = await client.query("COMMIT");
    assert.equal(commit?.payload[0], 0);
    await eventually("the old one ends", () => old.exitCode() === 0);
    await assert.rejects(client.query("SELECT 1"));
    assert.deepEqual(await server.rootQuery("SELECT id FROM appdb.restarted ORDER BY id"), [["1"], ["2"], ["3"]]);
    other.quit();
    await drain(fresh);
  });

  e2e("goes to the listener of its name", async () => {
    const config = join(folder, "two.yaml");
    const backend = `backend: { host: 127.0.0.1, port: ${server.port}, tls_mode: disable }`;
    writeFileSync(
      config,
      `${backend}\nlisteners:\n  - { name: writer, listen: { port: 0 } }\n  - { name: reader, listen: { port: 0 }, client_auth: trust }\n`,
      { mode: 0o600 },
    );
    const settings = {
      GATEKEEPER_CONFIG: config,
      GATEKEEPER_BACKEND_HOST: undefined,
      GATEKEEPER_BACKEND_PORT: undefined,
      GATEKEEPER_BACKEND_TLS_MODE: undefined,
    };
    const made = await activator({ names: ["reader", "writer"], settings });
    await startListening(made, 2);
    const address = (name: string): unknown => made.logs().find(({ listener }) => listener === name)?.["address"];
    assert.equal(address("writer"), "handed over as descriptor 4");
    assert.equal(address("reader"), DESCRIPTOR_3);
    for (const port of made.ports) (await logIn(port)).quit();
    const surplus = await activator({ names: ["a", "b", "c"], settings });
    const refused = await surplus.start();
    await eventually("it ends", () => refused.exitCode() !== undefined);
    assert.equal(refused.exitCode(), 2);
    assert.match(String(surplus.logs().at(-1)?.["error"]), /no listener is left for "c"/);
  });

  e2e("may be one of several of the same listener", async () => {
    const made = await activator({ names: ["querycop.socket", "querycop.socket"] });
    const process_ = await startListening(made);
    for (const port of made.ports) (await logIn(port)).quit();
    await drain(process_);
  });

  e2e("is nothing a token command hears of", async () => {
    const made = await activator({
      notifySocket: join(folder, "token.notify"),
      settings: {
        GATEKEEPER_BACKEND_TLS_MODE: "require",
        GATEKEEPER_BACKEND_TOKEN_CMD: `env > ${folder}/environment; ls -l /proc/self/fd > ${folder}/descriptors; echo token`,
        GATEKEEPER_BACKEND_REGION: "us-east-1",
        GATEKEEPER_CLIENT_AUTH: "trust",
      },
    });
    const { pid } = await startListening(made);
    const client = await RawClient.connect("127.0.0.1", made.ports[0] ?? 0);
    await assert.rejects(client.login({ user: "iam_user", password: "", plugin: "mysql_native_password" }), /1045/);
    await eventually("the command has run", () => existsSync(join(folder, "descriptors")));
    assert.doesNotMatch(readFileSync(join(folder, "environment"), "utf8"), /LISTEN_|NOTIFY_SOCKET/);
    assert.match(readFileSync(join(folder, "environment"), "utf8"), /QUERYCOP_BACKEND_USER/);
    const listening = readlinkSync(`/proc/${pid}/fd/3`);
    assert.match(listening, /^socket:/);
    assert.equal(readFileSync(join(folder, "descriptors"), "utf8").includes(listening), false);
  });

  e2e("comes from systemd-socket-activate as well", async () => {
    const { command, args } = systemd.command("usr/bin/systemd-socket-activate", []);
    const port = await pickPort();
    // It waits for the first connection, and becomes querycop then.
    const passed = ["GATEKEEPER_LOG_FORMAT", ...Object.keys(SETTINGS)].map((name) => `--setenv=${name}`);
    const launcher = [command, ...args, `--listen=127.0.0.1:${port}`, "--fdname=default", ...passed];
    const patience = eventually("somebody connects", () => logIn(port).catch(() => undefined));
    const querycop = await startQuerycop(SETTINGS, { launcher });
    (await patience).quit();
    assert.equal(querycop.logs().find(({ event }) => event === "querycop listening")?.["address"], DESCRIPTOR_3);
    await querycop.stop();
  });
});

describe("the service manager", () => {
  e2e("is told when querycop is ready, reloads and stops", async () => {
    const { command, args } = systemd.command("bin/systemd-notify", ['"$@"']);
    writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\nexec ${command} ${args.join(" ")}\n`, { mode: 0o755 });
    const made = await activator({
      notifySocket: join(folder, "notify"),
      settings: { PATH: `${folder}:${process.env["PATH"] ?? "/usr/bin:/bin"}` },
    });
    const process_ = await startListening(made);
    const hears = (count: number): Promise<unknown> =>
      eventually("it is told", () => made.notifications().length >= count);
    await hears(1);
    process_.signal("SIGHUP");
    await hears(3);
    await drain(process_);
    await hears(4);
    const [ready, reloading, again, stopping] = made.notifications();
    assert.equal(ready, "READY=1 STATUS=serving 127.0.0.1:15336");
    assert.match(reloading ?? "", /^RELOADING=1 MONOTONIC_USEC=\d+$/);
    assert.equal(again, ready);
    assert.equal(stopping, "STOPPING=1 STATUS=draining 0 sessions");
  });

  e2e("that cannot be told is no reason not to serve", async () => {
    const made = await activator({ notifySocket: join(folder, "unheard"), settings: { PATH: `${folder}/none` } });
    const process_ = await startListening(made);
    (await logIn(made.ports[0] ?? 0)).quit();
    await drain(process_);
    const warnings = made.logs().filter(({ event }) => event === "service manager not told");
    assert.equal(warnings.length, 1);
  });
});
