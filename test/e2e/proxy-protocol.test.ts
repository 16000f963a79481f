/** Clients behind a real load balancer that says who they are: HAProxy in front of the executable. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, afterEach, describe } from "node:test";
import { createConnection } from "mysql2/promise";
import { plaintextBackend, plaintextPostgres } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { type Haproxy, startHaproxy } from "../support/haproxy.ts";
import { pickPort, startServer } from "../support/servers.ts";

const server = await startServer({ kind: "mariadb" });
const balancers: Haproxy[] = [];
afterEach(async () => {
  for (const balancer of balancers.splice(0)) balancer.stop();
  await endStage();
});
after(() => server.stop());

const CLIENT = "127.0.0.9";
const TRUSTING = { GATEKEEPER_LISTEN_PROXY_PROTOCOL: "127.0.0.1" };

/** All that comes until the other side ends. */
async function saidTo(port: number, bytes: string, localAddress = "127.0.0.1"): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.write(bytes, "latin1");
  await once(socket, "end");
  socket.destroy();
  return text;
}

describe("a listener behind a load balancer", () => {
  for (const header of ["send-proxy", "send-proxy-v2"] as const) {
    e2e(`knows a MySQL client by the address in HAProxy's ${header}`, async () => {
      const querycop = await startStaged({ ...plaintextBackend(server), ...TRUSTING });
      const balancer = await startHaproxy([querycop.port], header);
      balancers.push(balancer);
      const port = balancer.ports[0] as number;
      const { user, password } = server.account("admin");
      const stream = () => connect({ host: "127.0.0.1", port, localAddress: CLIENT });
      const connection = await createConnection({ user, password, stream });
      try {
        const [rows] = await connection.query({ sql: "SELECT 7 AS n", rowsAsArray: true });
        assert.deepEqual(rows, [[7]]);
      } finally {
        connection.destroy();
      }
      const told = (type: string) => querycop.audit().filter((record) => record.type === type);
      const sessions = [...told("login"), ...told("statement")].map(
        ({ session }) => session as { clientAddress: string },
      );
      assert.ok(sessions.length > 0);
      for (const { clientAddress } of sessions) assert.equal(clientAddress, CLIENT);
    });
  }

  e2e("knows a PostgreSQL client the same way", async () => {
    const nobody = await pickPort();
    const querycop = await startStaged({ ...plaintextPostgres({ host: "127.0.0.1", port: nobody }), ...TRUSTING });
    const balancer = await startHaproxy([querycop.port], "send-proxy-v2");
    balancers.push(balancer);
    const socket = connect({ host: "127.0.0.1", port: balancer.ports[0] as number, localAddress: CLIENT });
    try {
      await eventually("its connection is on record", () =>
        querycop
          .audit()
          .some(
            ({ type, session }) =>
              type === "connect" && (session as { clientAddress: string }).clientAddress === CLIENT,
          ),
      );
    } finally {
      socket.destroy();
    }
  });

  e2e("refuses a broken header, and an address that may not send one, with an error that says so", async () => {
    const querycop = await startStaged({ ...plaintextBackend(server), ...TRUSTING });
    const setting = /GATEKEEPER_LISTEN_PROXY_PROTOCOL/;
    const broken = await saidTo(querycop.port, "PROXY TCP4 here there 1 2\r\n");
    assert.match(broken, /its PROXY header is broken: an address that is not of TCP4/);
    assert.match(broken, setting);
    const stranger = await saidTo(querycop.port, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", CLIENT);
    assert.match(stranger, /its address is not in listen\.proxy_protocol/);
    assert.match(stranger, setting);
    assert.equal(querycop.audit().filter(({ type }) => type === "connect").length, 0);
  });
});
