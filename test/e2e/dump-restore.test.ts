/** A dump of many short rows goes back through the executable while the built-in policy is in force. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { type ClientTarget, runClient, runDump } from "../support/clients.ts";
import { e2e } from "../support/e2e-test.ts";
import { startQuerycop } from "../support/querycop.ts";
import { startServer } from "../support/servers.ts";

const ROWS = 300_000;
/** Every row is short, and one column holds the same value in all of them. */
const FILL = [
  "CREATE TABLE many (id INT PRIMARY KEY, a TINYINT, b VARCHAR(8), c BOOL)",
  "CREATE TABLE digits (d INT)",
  "INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
  `INSERT INTO many SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d, a.d, 'x', NULL
   FROM digits a, digits b, digits c, digits d, digits e, digits f WHERE f.d < ${ROWS / 100_000}`,
];
const SUM = "SELECT COUNT(*), SUM(id), SUM(a), MIN(b), MAX(b), COUNT(c) FROM many";

const running: { stop(): Promise<void> }[] = [];

after(async () => {
  for (const one of running.reverse()) await one.stop();
});

for (const kind of ["mysql", "mariadb"] as const) {
  e2e(`a dump of ${ROWS} short rows is restored on ${kind}`, async () => {
    const server = await startServer({ kind });
    running.push(server);
    const proxy = await startQuerycop({
      ...plaintextBackend(server),
    });
    running.push(proxy);
    const { user, password } = server.account("admin");
    const direct: ClientTarget = {
      host: server.host,
      port: server.port,
      user,
      password,
      database: "appdb",
      cleartext: true,
    };
    const through: ClientTarget = { ...direct, host: "127.0.0.1", port: proxy.port };
    const filled = await runClient(kind, direct, [...FILL, SUM]);
    assert.equal(filled.stderr, "");
    const { database: _, ...anywhere } = through;
    // Nobody may set gtid_purged on a managed server, with querycop or without.
    const options = ["--no-tablespaces", ...(kind === "mysql" ? ["--set-gtid-purged=OFF"] : [])];
    const dump = await runDump(kind, anywhere, [...options, "appdb", "many"]);
    assert.match(dump.stdout, /Dump completed/, dump.stderr);
    // One INSERT is as long as net_buffer_length allows, which is what made them too many tokens.
    const longest = Math.max(...dump.stdout.split(";\n").map((statement) => statement.length));
    assert.ok(longest > 900_000, `${longest} bytes`);
    await runClient(kind, direct, ["DROP TABLE many"]);
    const restored = await runClient(kind, through, [dump.stdout, SUM]);
    assert.equal(restored.stderr, "");
    assert.equal(restored.stdout, filled.stdout);
  });
}
