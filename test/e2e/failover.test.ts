/** A failover between two real servers under pools of others: DNS and read_only change, the pools know nothing of it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe } from "node:test";
import { createPool as createMariadbPool } from "mariadb";
import { createPool as createMysql2Pool } from "mysql2/promise";
import { makeCertificates } from "../support/certificates.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop, QuerycopOptions, Settings } from "../support/querycop.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const NAME = "db.querycop.example";
const USER = "pool_user";
const PASSWORD = "pool_user:Passw0rd";
const CONNECTIONS = 4;

const folder = mkdtempSync(join(tmpdir(), "querycop-failover-"));
const hosts = join(folder, "hosts");
const passwordFile = join(folder, "password");
writeFileSync(passwordFile, PASSWORD, { mode: 0o600 });

const certificates = await makeCertificates();
const certificate = { ...certificates.leaves.chain, clientCaFile: certificates.caFile };
// The same port on two addresses, as the instances of a cluster have it.
const first = await startServer({ kind: "mariadb", certificate, options: ["--server-id=1"] });
const second = await startServer({
  kind: "mariadb",
  certificate,
  options: ["--server-id=2", "--bind-address=127.0.0.2", `--port=${first.port}`],
});
const ADDRESSES: readonly (readonly [TestServer, string])[] = [
  [first, "127.0.0.1"],
  [second, "127.0.0.2"],
];
for (const [server] of ADDRESSES) {
  await server.rootQuery(
    `CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON appdb.* TO '${USER}'@'%'`,
  );
}

afterEach(endStage);
after(async () => {
  await Promise.all([first.stop(), second.stop()]);
  certificates.remove();
  rmSync(folder, { recursive: true });
});

/** What the name leads to, for programs within the mount namespace. */
function point(server: TestServer): void {
  const address = ADDRESSES.find(([each]) => each === server)?.[1];
  writeFileSync(hosts, `127.0.0.1 localhost\n${address} ${NAME}\n`);
}

async function setWriter(server: TestServer): Promise<void> {
  // The old writer ends first.
  for (const [each] of ADDRESSES) if (each !== server) await each.rootQuery("SET GLOBAL read_only = 1");
  await server.rootQuery("SET GLOBAL read_only = 0");
}

const RELAYING = {
  GATEKEEPER_BACKEND_HOST: NAME,
  GATEKEEPER_BACKEND_PORT: String(first.port),
  GATEKEEPER_BACKEND_TLS_MODE: "disable",
  GATEKEEPER_BACKEND_ROLE: "writer",
};

async function start(settings: Settings, options: QuerycopOptions = {}): Promise<Querycop> {
  const launcher = ["unshare", "--mount", "sh", "-c", `mount --bind ${hosts} /etc/hosts && exec "$@"`, "sh"];
  return await startStaged(settings, { ...options, launcher });
}

/** A write, and the id of the server that took it. */
type Write = () => Promise<number>;

interface Pool {
  readonly write: Write;
  end(): Promise<void>;
}

const WRITE = "INSERT INTO appdb.scratch (text) VALUES ('x') RETURNING @@server_id AS id";

function mysql2Pool(port: number): Pool {
  const options = { host: "127.0.0.1", port, user: USER, password: PASSWORD, connectionLimit: CONNECTIONS };
  const pool = createMysql2Pool(options);
  return {
    write: async () => ((await pool.query(WRITE))[0] as unknown as { id: number }[])[0]?.id ?? 0,
    end: () => pool.end(),
  };
}

function mariadbPool(port: number): Pool {
  // Without a check at every taking, as pools of other languages are by default.
  const options = { host: "127.0.0.1", port, user: USER, password: PASSWORD, connectionLimit: CONNECTIONS };
  const pool = createMariadbPool({ ...options, minDelayValidation: 60_000, acquireTimeout: 30_000 });
  return {
    write: async () => Number(((await pool.query(WRITE)) as { id: number }[])[0]?.id),
    end: () => pool.end(),
  };
}

const POOLS = { mysql2: mysql2Pool, mariadb: mariadbPool };

/** What as many writes at once as the pool has connections come to: ids of servers, and undefined for those refused. */
async function round({ write }: Pool): Promise<(number | undefined)[]> {
  const all = await Promise.allSettled(Array.from({ length: CONNECTIONS }, write));
  return all.map((each) => (each.status === "fulfilled" ? each.value : undefined));
}

const all = (id: number | undefined) => Array.from({ length: CONNECTIONS }, () => id);

async function untilAllWrite(pool: Pool, id: number): Promise<number> {
  let refused = 0;
  await eventually(`all write to server ${id}`, async () => {
    const ids = await round(pool);
    refused += ids.filter((each) => each === undefined).length;
    return ids.every((each) => each === id);
  });
  return refused;
}

describe("a failover under a pool", () => {
  for (const [name, openPool] of Object.entries(POOLS)) {
    e2e(
      `${name}: each of its connections ends with its first refused write, and the next one is the writer's`,
      async () => {
        point(first);
        await setWriter(first);
        const querycop = await start(RELAYING);
        const pool = openPool(querycop.port);
        try {
          await untilAllWrite(pool, 1);
          await setWriter(second);
          point(second);
          const beganMs = performance.now();
          const refused = await untilAllWrite(pool, 2);
          const took = `${Math.round(performance.now() - beganMs)} ms, ${refused} writes refused`;
          console.log(`failover under ${name}: ${took}`);
          // Those at work when it was noticed, and the ones a pool begins before it has heard of the end of a connection.
          assert.ok(refused >= 1, took);
          await eventually("they ended for that", () =>
            querycop.audit().some(({ type, reason }) => type === "disconnect" && reason === "not-writer"),
          );
          const [told] = querycop.logs().filter(({ event }) => event === "backend is a reader");
          assert.equal(told?.["backend"], "127.0.0.1");
        } finally {
          await pool.end();
        }
      },
    );
  }

  e2e("mariadb: without the role its connections stay with the reader", async () => {
    point(first);
    await setWriter(first);
    const querycop = await start({ ...RELAYING, GATEKEEPER_BACKEND_FAILOVER_WAIT: "off" });
    const pool = mariadbPool(querycop.port);
    try {
      await untilAllWrite(pool, 1);
      await setWriter(second);
      point(second);
      for (let times = 0; times < 10; times++) assert.deepEqual(await round(pool), all(undefined));
    } finally {
      await pool.end();
    }
  });
});

describe("a login while the name still leads to the reader", () => {
  /** querycop knows the password, so that it can log in again. */
  const held = (failoverWait: string): QuerycopOptions => ({
    configYaml: [
      "connections:",
      "  app:",
      `    { host: ${NAME}, port: ${first.port}, tls_mode: verify-ca, tls_ca_file: ${certificates.caFile}, user: ${USER},`,
      `      password_file: ${passwordFile}, role: writer, failover_wait: ${failoverWait} }`,
      "client_auth: trust",
      "listeners:",
      "  - { name: app, connection: app, listen: { port: 0 } }",
      "",
    ].join("\n"),
  });

  e2e("waits for the writer where querycop has the password", async () => {
    point(first);
    await setWriter(second);
    const querycop = await start({}, held("60s"));
    const pool = mysql2Pool(querycop.port);
    try {
      const writing = round(pool);
      await eventually("a login has met the reader", () =>
        querycop.logs().some(({ event }) => event === "backend is a reader"),
      );
      point(second);
      assert.deepEqual(await writing, all(2));
    } finally {
      await pool.end();
    }
  });

  e2e("ends when the time is over, and says in the record why", async () => {
    point(first);
    await setWriter(second);
    const querycop = await start({}, held("200ms"));
    const pool = mysql2Pool(querycop.port);
    try {
      assert.deepEqual(await round(pool), all(undefined));
      const codes = querycop.audit().flatMap(({ type, errorCode }) => (type === "refuse" ? [errorCode] : []));
      assert.deepEqual(
        codes,
        Array.from({ length: CONNECTIONS }, () => "QC_BACKEND_NOT_WRITER"),
      );
    } finally {
      await pool.end();
    }
  });

  e2e("waits ungreeted where the client has the password, save for the one that asks", async () => {
    point(first);
    await setWriter(second);
    const querycop = await start({ ...RELAYING, GATEKEEPER_BACKEND_FAILOVER_WAIT: "60s" });
    const pool = mysql2Pool(querycop.port);
    try {
      const ids = await round(pool);
      assert.ok(ids.includes(undefined), "the one that asks is not let in");
      const writing = round(pool);
      point(second);
      const later = await writing;
      assert.ok(later.every((id) => id === 2 || id === undefined));
      await untilAllWrite(pool, 2);
    } finally {
      await pool.end();
    }
  });
});

describe("a transaction on a server that becomes a reader", () => {
  e2e("is let come to its end, and its connection ends behind it; read only sessions of a writer stay", async () => {
    point(first);
    await setWriter(first);
    const querycop = await start(RELAYING);
    const options = { host: "127.0.0.1", port: querycop.port, user: USER, password: PASSWORD, connectionLimit: 1 };
    const pool = createMysql2Pool(options);
    try {
      const connection = await pool.getConnection();
      let hasEnded = false;
      connection.on("end", () => {
        hasEnded = true;
      });
      const errno = (work: Promise<unknown>): Promise<unknown> =>
        work.then(
          () => "done",
          (error: { errno?: number }) => error.errno,
        );
      await connection.query("SET SESSION TRANSACTION READ ONLY");
      assert.equal(await errno(connection.query(WRITE)), 1792);
      await connection.query("SET SESSION TRANSACTION READ WRITE");
      assert.equal(await errno(connection.query(WRITE)), "done");
      await connection.beginTransaction();
      await connection.query("SELECT COUNT(*) FROM appdb.scratch");
      await setWriter(second);
      assert.equal(await errno(connection.query(WRITE)), 1290);
      assert.equal(await errno(connection.query("SELECT 1")), "done");
      assert.equal(hasEnded, false);
      await connection.query("ROLLBACK");
      await eventually("its connection ends", () => hasEnded);
    } finally {
      await pool.end();
    }
  });
});
