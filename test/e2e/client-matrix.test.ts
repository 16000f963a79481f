/** Real clients through the executable to real servers: what they print must be what they print without it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { awsEnvironment, iamSettings, signToken } from "../support/aws-token.ts";
import { CLUSTER_HOST, makeCertificates } from "../support/certificates.ts";
import type { RunResult } from "../support/child.ts";
import {
  CLIENT_NAMES,
  type ClientName,
  type ClientOptions,
  type ClientTarget,
  runClient,
  runDump,
} from "../support/clients.ts";
import { e2e } from "../support/e2e-test.ts";
import { type Querycop, startQuerycop } from "../support/querycop.ts";
import { assertSamePackets, RawClient, type WirePacket } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const KINDS: readonly ServerKind[] = ["mariadb", "mariadb11", "mysql"];
type Leg = "plaintext" | "TLS";
const LEGS: readonly Leg[] = ["plaintext", "TLS"];

/** One server with a querycop for each kind of backend leg, both of which also offer TLS to clients. */
interface Setup {
  readonly server: TestServer;
  readonly proxies: Readonly<Record<Leg, Querycop>>;
}

const certificates = await makeCertificates();
const { goodRsa } = certificates.leaves;

async function setUp(kind: ServerKind): Promise<Setup> {
  const server = await startServer({ kind, certificate: { ...goodRsa, clientCaFile: certificates.caFile } });
  const common = {
    GATEKEEPER_BACKEND_HOST: server.host,
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_PROXY_TLS_CERT: goodRsa.certFile,
    GATEKEEPER_PROXY_TLS_KEY: goodRsa.keyFile,
  };
  const TLS = await startQuerycop({
    ...common,
    ...awsEnvironment(),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: CLUSTER_HOST,
    GATEKEEPER_BACKEND_TOKEN_SOURCE: "rds-signer",
    GATEKEEPER_CLIENT_AUTH: "trust",
    GATEKEEPER_IAM_USERS: "iam_user",
  });
  // Tokens are for the name in the certificate: the address is how it is reached, as through a CNAME or a tunnel.
  server.setIam(iamSettings(CLUSTER_HOST, server.port));
  return {
    server,
    proxies: { plaintext: await startQuerycop({ ...common, GATEKEEPER_BACKEND_TLS_MODE: "disable" }), TLS },
  };
}

const setups = new Map<ServerKind, Setup>();
for (const kind of KINDS) setups.set(kind, await setUp(kind));

after(async () => {
  for (const { server, proxies } of setups.values()) {
    await Promise.all([server.stop(), proxies.plaintext.stop(), proxies.TLS.stop()]);
  }
  certificates.remove();
});

function setupOf(kind: ServerKind): Setup {
  const setup = setups.get(kind);
  assert.ok(setup);
  return setup;
}

/** Something of every kind of answer: no rows, NULLs, all types, several results, warnings, errors in the middle. */
const STATEMENTS: readonly string[] = [
  "SELECT USER(), CURRENT_USER(), DATABASE(), @@character_set_client",
  "SELECT * FROM items ORDER BY id",
  "SELECT n, REPEAT(CHAR(65 + n % 26 USING utf8mb4), n) AS padded FROM numbers ORDER BY n",
  "SELECT * FROM items WHERE id < 0",
  "CREATE TEMPORARY TABLE kept (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(10))",
  "INSERT INTO kept (v) VALUES ('a'), ('b'), ('c')",
  "SELECT LAST_INSERT_ID(), ROW_COUNT()",
  "UPDATE kept SET v = 'changed' WHERE id > 1",
  "START TRANSACTION",
  "DELETE FROM kept WHERE id = 1",
  "ROLLBACK",
  "SELECT * FROM kept ORDER BY id",
  "SELECT 1 / 0, CAST('12x' AS SIGNED)",
  "SHOW WARNINGS",
  "SET @a = 21, NAMES utf8mb4",
  "CALL two_results()",
  "CALL with_out(@a, @b)",
  "SELECT @b, twice(4)",
  "USE otherdb",
  "SELECT DATABASE()",
  "SELECT COUNT(*) FROM no_such_table",
  "SELECT 'not reached by clients that stop at an error'",
];

function accountTarget(kind: ServerKind, purpose: string, client: Leg, port: number): ClientTarget {
  const account = setupOf(kind).server.accounts[purpose];
  assert.ok(account, `${kind} has an account for ${purpose}`);
  return {
    host: "127.0.0.1",
    port,
    user: account.user,
    password: account.password,
    database: "appdb",
    ...(client === "TLS" ? { tls: { mode: "verify-full", caFile: certificates.caFile } } : {}),
  };
}

/** Drivers put the connection id into their error texts. */
const withoutConnectionId = (stderr: string): string => stderr.replace(/conn:\d+/g, "conn:N");

/** Fails with the first line that differs, not with megabytes. */
function assertSameOutput(through: RunResult, direct: RunResult, legs: string): void {
  assert.deepEqual(
    [through.code, withoutConnectionId(through.stderr)],
    [direct.code, withoutConnectionId(direct.stderr)],
    legs,
  );
  if (through.stdoutBytes.equals(direct.stdoutBytes)) return;
  const expected = direct.stdout.split("\n");
  const index = through.stdout.split("\n").findIndex((line, at) => line !== expected[at]);
  assert.equal(through.stdout.split("\n")[index], expected[index], `${legs}, line ${index + 1}`);
  assert.fail(`${legs}: ${through.stdoutBytes.length} bytes instead of ${direct.stdoutBytes.length}`);
}

function plugins(kind: ServerKind): string[] {
  if (kind === "mysql") return ["caching_sha2", "sha256", "empty"];
  return kind === "mariadb" ? ["native", "ed25519", "empty"] : ["native", "ed25519", "parsec", "empty"];
}

for (const kind of KINDS) {
  describe(`clients of ${kind} through querycop`, () => {
    for (const name of CLIENT_NAMES) {
      for (const purpose of plugins(kind)) {
        e2e(`regression 33: ${name} with ${purpose} gets the very same, on each pair of legs`, async () => {
          for (const client of LEGS) {
            const { server, proxies } = setupOf(kind);
            const direct = await runClient(name, accountTarget(kind, purpose, client, server.port), STATEMENTS);
            for (const backend of LEGS) {
              const legs = `client ${client}, backend ${backend}`;
              const through = await runClient(
                name,
                accountTarget(kind, purpose, client, proxies[backend].port),
                STATEMENTS,
              );
              assertSameOutput(through, direct, legs);
            }
          }
        });
      }

      e2e(`${name} logs in with IAM and no password, on plaintext and TLS`, async () => {
        const { server, proxies } = setupOf(kind);
        const token = signToken({ host: CLUSTER_HOST, port: server.port, user: "iam_user" });
        const directly = { ...accountTarget(kind, "iam", "TLS", server.port), password: token, cleartext: true };
        const direct = await runClient(name, directly, STATEMENTS);
        assert.ok(direct.stdout.includes("iam_user@%"), direct.stderr);
        for (const client of LEGS) {
          const through = await runClient(name, accountTarget(kind, "iam", client, proxies.TLS.port), STATEMENTS);
          assertSameOutput(through, direct, `client ${client}`);
        }
        assert.ok(server.iamAttempts().every(({ accepted, tls }) => accepted && tls));
      });
    }

    for (const driver of ["mysql2", "mariadb-connector"] as const) {
      e2e(`${driver} gets the very same from prepared statements`, async () => {
        const statements = STATEMENTS.filter((sql) => !/^(USE|CALL|SHOW|START|ROLLBACK|SELECT COUNT)/.test(sql));
        const { server, proxies } = setupOf(kind);
        const purpose = kind === "mysql" ? "caching_sha2" : "native";
        for (const client of LEGS) {
          const direct = await runClient(driver, accountTarget(kind, purpose, client, server.port), statements, {
            prepared: true,
          });
          assert.equal(direct.code, 0, direct.stderr);
          for (const backend of LEGS) {
            const target = accountTarget(kind, purpose, client, proxies[backend].port);
            const through = await runClient(driver, target, statements, { prepared: true });
            assertSameOutput(through, direct, `client ${client}, backend ${backend}`);
          }
        }
      });
    }

    e2e("P16 and regression 26: clients that ask for compression work without it", async () => {
      const { proxies } = setupOf(kind);
      const target = accountTarget(
        kind,
        kind === "mysql" ? "caching_sha2" : "native",
        "plaintext",
        proxies.plaintext.port,
      );
      const statements = ["SHOW STATUS LIKE 'Compression'", "SELECT REPEAT('a', 5) AS repeated"];
      const asking: readonly [ClientName, ClientOptions][] = [
        ["mysql", { args: ["--compress"] }],
        ["mysql", { args: ["--compression-algorithms=zlib,uncompressed"] }],
        ["mysql", { args: ["--compression-algorithms=zstd,uncompressed"] }],
        ["mariadb", { args: ["--compress"] }],
        ["mariadb11", { args: ["--compress"] }],
        ["mysql2", { compress: true }],
        ["mariadb-connector", { compress: true }],
      ];
      for (const [name, options] of asking) {
        const { stdout, stderr } = await runClient(name, target, statements, options);
        assert.match(stdout, /aaaaa/, `${name}: ${stderr}`);
        assert.match(stdout, /Compression\W+OFF/, name);
      }
      // A client that insists is told by itself that it cannot have it.
      const insisting = await runClient("mysql", target, statements, { args: ["--compression-algorithms=zstd"] });
      assert.match(insisting.stderr, /ERROR 2066/);
    });

    e2e("mysqldump and mariadb-dump write the very same", async () => {
      for (const name of ["mysql", "mariadb", "mariadb11"] as const) {
        const { server, proxies } = setupOf(kind);
        const args = ["--routines", "--triggers", "--single-transaction", "--no-tablespaces", "appdb"];
        const dump = async (port: number, client: Leg): Promise<RunResult> => {
          const { database: _, ...target } = accountTarget(kind, "admin", client, port);
          return await runDump(name, target, args);
        };
        const direct = await dump(server.port, "TLS");
        assert.match(direct.stdout, /Dump completed/, direct.stderr);
        for (const client of LEGS) {
          for (const backend of LEGS) {
            const through = await dump(proxies[backend].port, client);
            assertSameOutput(through, direct, `${name}, client ${client}, backend ${backend}`);
          }
        }
      }
    });
  });
}

const FRAGMENT = 2 ** 24 - 1;
/** Payloads around the length at which one packet no longer holds them. */
const PAYLOAD_SIZES = [FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 2 * FRAGMENT];

describe("packet sizes through querycop", () => {
  async function connectRaw(kind: ServerKind, port: number, client: Leg): Promise<RawClient> {
    const { user, password } = accountTarget(kind, kind === "mysql" ? "caching_sha2" : "native", client, port);
    const raw = await RawClient.connect("127.0.0.1", port);
    const tls = { ca: readFileSync(certificates.caFile), servername: "localhost" };
    await raw.login({ user, password: password ?? "", database: "appdb" }, client === "TLS" ? tls : undefined);
    return raw;
  }

  /** The same exchange directly and through both proxies; every packet must be equal, numbering included. */
  async function compare(
    kind: ServerKind,
    client: Leg,
    exchange: (raw: RawClient) => Promise<WirePacket[]>,
  ): Promise<WirePacket[]> {
    const { server, proxies } = setupOf(kind);
    const recordings: WirePacket[][] = [];
    for (const port of [server.port, proxies.plaintext.port, proxies.TLS.port]) {
      const raw = await connectRaw(kind, port, client);
      recordings.push(await exchange(raw));
      raw.quit();
    }
    const [direct = [], ...through] = recordings;
    for (const packets of through) assertSamePackets(packets, direct);
    return direct;
  }

  const combinations: readonly (readonly [ServerKind, Leg, readonly number[]])[] = [
    ["mysql", "plaintext", PAYLOAD_SIZES],
    ["mysql", "TLS", PAYLOAD_SIZES],
    ["mariadb", "plaintext", [FRAGMENT]],
    ["mariadb11", "TLS", [FRAGMENT]],
  ];
  for (const [kind, client, sizes] of combinations) {
    e2e(`${kind}, client ${client}: rows of 0, 1 and around 2^24 bytes arrive packet for packet`, async () => {
      for (const size of sizes) {
        const prefixBytes = size - 4 < 2 ** 24 ? 4 : 9;
        const packets = await compare(kind, client, (raw) => raw.query(`SELECT REPEAT('x', ${size - prefixBytes})`));
        const row = packets.slice(2, -1);
        assert.equal(
          row.reduce((sum, { payload }) => sum + payload.length, 0),
          size,
        );
        assert.equal(row.length, Math.floor(size / FRAGMENT) + 1);
      }
      await compare(kind, client, (raw) => raw.query("SELECT ''"));
      await compare(kind, client, (raw) => raw.query("SELECT 'x'"));
    });

    e2e(`${kind}, client ${client}: statements of 0, 1 and around 2^24 bytes arrive whole`, async () => {
      for (const size of sizes) {
        const empty = "SELECT LENGTH('')".length + 1;
        const sql = `SELECT LENGTH('${"x".repeat(size - empty)}')`;
        const packets = await compare(kind, client, (raw) => raw.query(sql));
        const row = packets[2]?.payload.toString("latin1", 1);
        assert.equal(row, String(size - empty));
      }
      const noText = await compare(kind, client, (raw) => raw.query(""));
      assert.equal(noText[0]?.payload.readUInt16LE(1), 1065, "COM_QUERY without text");
    });
  }
});
