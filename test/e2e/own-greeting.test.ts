/**
 * Clients of an address that is known for silent ones, in front of real servers: querycop greets them before it dials, and
 * they log in all the same.
 */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, afterEach, describe } from "node:test";
import type { ServerKind } from "../support/accounts.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { type ClientTarget, runClient } from "../support/clients.ts";
import { connectSilently } from "../support/crowd.ts";
import { connectStaged, endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import type { Querycop } from "../support/querycop.ts";
import { CAPABILITY, type RawClient, type RawLogin } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const PURPOSES: Readonly<Partial<Record<ServerKind, readonly string[]>>> = {
  mysql: ["admin", "empty", "caching_sha2"],
  mariadb: ["admin", "empty", "native"],
};
/** Ids that querycop gives by itself begin here. */
const OWN_ID_MIN = 0x40000000;

const silent: Socket[] = [];

afterEach(async () => {
  for (const socket of silent.splice(0)) socket.destroy();
  await endStage();
});

/** A querycop that has seen so many silent clients of this machine that it dials for none of them any more. */
async function startSuspicious(server: TestServer): Promise<Querycop> {
  const querycop = await startStaged({ ...plaintextBackend(server), GATEKEEPER_HANDSHAKE_TIMEOUT: "60s" });
  const first = await connectStaged(querycop.port);
  await first.login(server.account("admin"));
  (await greetedAlone(querycop)).reset();
  return querycop;
}

/** A client that was greeted without a server, by a querycop that is told of silent ones for as long as it takes. */
async function greetedAlone({ port }: Querycop): Promise<RawClient> {
  return await eventually(
    "querycop greets by itself",
    async () => {
      const client = await connectStaged(port);
      const { connectionId } = await client.readGreeting();
      if (connectionId >= OWN_ID_MIN) return client;
      client.reset();
      silent.push(connectSilently(port));
      return undefined;
    },
    60_000,
  );
}

async function logIn(querycop: Querycop, login: RawLogin): Promise<RawClient> {
  const client = await greetedAlone(querycop);
  await client.login(login);
  return client;
}

const ER_ACCESS_DENIED = 1045;
const ER_TOO_MANY_CONNECTIONS = 1040;

for (const [kind, purposes] of Object.entries(PURPOSES) as [ServerKind, readonly string[]][]) {
  describe(`greeted before ${kind} is dialled`, async () => {
    const server = await startServer({ kind });
    after(() => server.stop());

    e2e("every account logs in with its password and with no other, and changes its user", async () => {
      const querycop = await startSuspicious(server);
      for (const purpose of purposes) {
        const client = await logIn(querycop, server.account(purpose));
        const answer = await client.query("SELECT CURRENT_USER()");
        assert.ok(answer.some(({ payload }) => payload.includes(server.account(purpose).user)));
        await client.changeUser({ ...server.account("readOnly") });
        client.reset();
        const wrong = { ...server.account(purpose), password: "another" };
        await assert.rejects(logIn(querycop, wrong), { errorNumber: ER_ACCESS_DENIED });
      }
      const old = { ...server.account("admin"), withoutCapabilities: CAPABILITY.PLUGIN_AUTH };
      await assert.rejects(logIn(querycop, old), { errorNumber: ER_TOO_MANY_CONNECTIONS });
    });

    e2e("programs that others have written log in, and KILL by the greeting's id finds its statement", async () => {
      const querycop = await startSuspicious(server);
      const target: ClientTarget = { host: "127.0.0.1", port: querycop.port, ...server.account("admin") };
      for (const program of [kind === "mysql" ? "mysql" : "mariadb", "mysql2"] as const) {
        const { stdout, stderr } = await runClient(program, target, ["SELECT 'served'"]);
        assert.match(stdout, /served/, `${program}: ${stderr}`);
      }
      const busy = await logIn(querycop, server.account("admin"));
      const running = busy.query("SELECT SLEEP(60), 'killed'");
      await eventually("the statement runs", () =>
        server.generalLog().some(({ argument }) => argument.includes("'killed'")),
      );
      const other = await logIn(querycop, server.account("admin"));
      await other.query(`KILL QUERY ${busy.greeting?.connectionId}`);
      await running;
    });
  });
}
