/** Pools of others through the executable: they take a connection for lost when, and only when, they do so without it. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { plaintextBackend } from "../support/backend-settings.ts";
import { runSqlAlchemy } from "../support/clients.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot } from "../support/install.ts";
import { startServer, type TestServer } from "../support/servers.ts";

// Ahead of the tests: a first start on a machine downloads and initialises, which takes as long as it takes.
await installServerRoot("sqlalchemy");
const servers: readonly TestServer[] = await Promise.all(
  (["mysql", "mariadb"] as const).map((kind) => startServer({ kind })),
);

after(async () => {
  await endStage();
  await Promise.all(servers.map((server) => server.stop()));
});

describe("SQLAlchemy with PyMySQL", () => {
  for (const server of servers) {
    e2e(
      `takes a connection that ${server.kind} has killed for lost, idle and at work, and makes a new one`,
      async () => {
        const querycop = await startStaged(plaintextBackend(server));
        const { user, password } = server.account("admin");
        for (const port of [server.port, querycop.port]) {
          const answers = await runSqlAlchemy({ port, killer: server.port, user, password });
          const wanted = [
            { case: "idle", isLost: true, isReplaced: true },
            { case: "running", isLost: true, isReplaced: true },
          ];
          assert.deepEqual(answers, wanted, port === server.port ? "direct" : "through querycop");
        }
      },
    );
  }
});
