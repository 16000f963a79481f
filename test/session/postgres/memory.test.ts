/** What a session of PostgreSQL holds counts in the memory budget, and what either peer has begun has to be finished in time. */
import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeErrorResponse,
  encodeReadyForQuery,
} from "../../../src/postgres/backend-message.ts";
import { encodeFrontendMessage, type FrontendMessage } from "../../../src/postgres/frontend-message.ts";
import { encodeMessage } from "../../../src/postgres/message.ts";
import { MessageReader } from "../../../src/postgres/message-reader.ts";
import { encodeStartupMessage } from "../../../src/postgres/startup.ts";
import { eventually } from "../../support/eventually.ts";
import { type PostgresProxy, startPostgresProxy } from "../../support/postgres-proxy.ts";

const MIB = 1024 * 1024;
const GREETING = Buffer.concat([
  encodeAuthentication({ kind: "ok" }),
  encodeBackendKeyData({ processId: 7, secretKey: Uint8Array.of(1, 2, 3, 4) }),
  encodeReadyForQuery("I"),
]);
const DONE = Buffer.concat([
  encodeMessage("C", (body) => body.nulTerminatedBytes(encodeUtf8("SELECT 1"))),
  encodeReadyForQuery("I"),
]);

/** Of a row that never comes whole. */
const HALF_A_ROW = Buffer.from("D\0\0\0\x20\0\x01", "latin1");

const REFUSED = encodeErrorResponse({ severity: "ERROR", code: "42601", message: "syntax error" });

function answerTo(name: string, text: string, isRefused: boolean): Uint8Array {
  if (name === "S") return Buffer.concat([isRefused ? REFUSED : encodeMessage("1"), encodeReadyForQuery("I")]);
  if (text.startsWith("half")) return HALF_A_ROW;
  if (text.startsWith("never")) return new Uint8Array(0);
  if (text.startsWith("COPY")) return encodeMessage("G", (body) => body.uint8(0).zeros(2));
  return DONE;
}

/** Lets anybody in and answers every Query, CopyDone and Sync, the last of which stands behind a Parse, and tells the lengths of all but the last. */
function startServer(lengths: number[]): Promise<Server> {
  const server = createServer((socket) => {
    const reader = new MessageReader({ lengthMax: 1 << 30 });
    let isLoggedIn = false;
    let isRefused = false;
    let isSlow = false;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      if (!isLoggedIn) {
        isLoggedIn = true;
        socket.write(GREETING);
        return;
      }
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next()) {
        const name = String.fromCharCode(message.type);
        // What takes the place of a text that is refused is short, and no SQL.
        if (name === "P") isRefused = message.body.length < 1000;
        const text = Buffer.from(message.body.subarray(0, 20)).toString("latin1");
        if (!"QSc".includes(name)) continue;
        if (name !== "S") lengths.push(message.body.length);
        if (text.startsWith("COPY slow")) isSlow = true;
        if (name === "c" && isSlow) continue;
        socket.write(answerTo(name, text, isRefused));
      }
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

class Client {
  readonly socket: Socket;
  #received = "";
  isClosed = false;

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.#received += text;
    });
    this.socket.on("close", () => {
      this.isClosed = true;
    });
    this.socket.on("error", () => undefined);
    this.socket.write(encodeStartupMessage({ minor: 0, user: "app", database: "app", settings: new Map() }));
  }

  /** All that has come by then. */
  async expect(text: string, timeoutMs = 20_000): Promise<string> {
    await eventually(`${text} comes`, () => this.#received.includes(text), timeoutMs);
    const received = this.#received;
    this.#received = "";
    return received;
  }

  send(...messages: readonly FrontendMessage[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrontendMessage)));
  }

  begin(bytes: number, sentBytes: number): void {
    this.socket.write(queryOf(bytes).subarray(0, sentBytes));
  }
}

function queryOf(bytes: number): Uint8Array {
  return encodeFrontendMessage({ name: "Query", sql: Buffer.alloc(bytes, "x") });
}

const SYNC: FrontendMessage = { name: "Sync" };
const query = (text: string): FrontendMessage => ({ name: "Query", sql: Buffer.from(text) });

const READY = "Z\0\0\0\x05I";
let server: Server;
const lengths: number[] = [];

before(async () => {
  server = await startServer(lengths);
});
after(() => server.close());

async function withProxy(
  budgetBytes: number,
  work: (proxy: PostgresProxy, memory: MemoryBudget, client: () => Promise<Client>) => Promise<void>,
): Promise<void> {
  const address = server.address();
  const backendPort = typeof address === "object" && address !== null ? address.port : 0;
  const memory = new MemoryBudget(budgetBytes);
  const proxy = await startPostgresProxy({
    backendPort,
    services: { memory },
    listener: { packetTimeoutMs: 60_000 },
    backend: { responseTimeoutMs: 30_000, progressTimeoutMs: 60_000 },
  });
  const clients: Client[] = [];
  try {
    await work(proxy, memory, async () => {
      const client = new Client(proxy.port);
      clients.push(client);
      await client.expect(READY);
      return client;
    });
  } finally {
    for (const { socket } of clients) socket.destroy();
    await proxy.close();
  }
  assert.equal(memory.used, 0, "all is given back");
}

describe("a session of PostgreSQL in the memory budget", { timeout: 120_000 }, () => {
  it("counts what a client has begun to send, and a slow one ends when others need the room", async () => {
    await withProxy(8 * MIB, async (_proxy, memory, client) => {
      const [slow, other, small] = [await client(), await client(), await client()];
      slow.begin(5 * MIB, 3 * MIB);
      await eventually("its room is counted", () => memory.used >= 5 * MIB);
      other.begin(4 * MIB, 4 * MIB + 6);
      await eventually("the other one waits", () => memory.counts.waited > 0);
      small.begin(10, 16);
      await small.expect(READY);
      await slow.expect("GATEKEEPER_MEMORY_BUDGET");
      await other.expect(READY);
      assert.deepEqual(lengths.splice(0), [11, 4 * MIB + 1]);
      assert.equal(memory.counts.evicted, 1);
    });
  });

  it("refuses a message that can never fit before it has come", async () => {
    await withProxy(4 * MIB, async (_proxy, memory, client) => {
      const large = await client();
      large.begin(16 * MIB, 2 * MIB);
      await large.expect("GATEKEEPER_MEMORY_BUDGET");
      assert.equal(memory.counts.refused, 1);
    });
  });

  it("takes large messages of many one after the other, as they fit", async () => {
    await withProxy(16 * MIB, async (_proxy, memory, client) => {
      const clients = await Promise.all(Array.from({ length: 6 }, client));
      for (const { socket } of clients) socket.write(queryOf(3 * MIB));
      for (const each of clients) await each.expect(READY, 60_000);
      assert.deepEqual(lengths.splice(0), Array<number>(6).fill(3 * MIB + 1));
      assert.deepEqual([memory.counts.refused, memory.counts.evicted], [0, 0]);
    });
  });

  it("counts the data of a COPY under way", async () => {
    await withProxy(8 * MIB, async (_proxy, memory, client) => {
      const copying = await client();
      copying.send(query("COPY t FROM STDIN"));
      await copying.expect("G\0\0\0");
      const piece = encodeFrontendMessage({ name: "CopyData", data: Buffer.alloc(3 * MIB, "x") });
      copying.socket.write(piece.subarray(0, 2 * MIB));
      await eventually("its room is counted", () => memory.used >= 3 * MIB);
      copying.socket.write(piece.subarray(2 * MIB));
      await eventually("it is given back", () => memory.used === 0);
      copying.send({ name: "CopyDone" });
      await copying.expect(READY);
      lengths.splice(0);
    });
  });

  it("counts texts that are prepared, and refuses more of them where there is no room, but nothing else", async () => {
    await withProxy(MIB, async (_proxy, memory, client) => {
      const preparing = await client();
      const prepare = async (statement: string): Promise<string> => {
        preparing.send({ name: "Parse", statement, sql: Buffer.alloc(60_000, "x"), parameterTypes: [] }, SYNC);
        return await preparing.expect(READY);
      };
      let prepared = 0;
      while (!(await prepare(`s${prepared}`)).includes("GATEKEEPER_MEMORY_BUDGET")) prepared++;
      assert.ok(prepared > 10 && prepared < 18, `${prepared} texts of 60,000 bytes in 1 MiB`);
      assert.ok(memory.used >= prepared * 60_000, `${memory.used} bytes are counted`);
      assert.ok(!(await prepare("")).includes("GATEKEEPER_MEMORY_BUDGET"), "what has no name is not kept");
      preparing.send(query("SELECT 1"));
      await preparing.expect(READY);
      lengths.splice(0);
    });
  });

  it("ends a client that does not finish a message in time, and no other", async () => {
    await withProxy(8 * MIB, async (proxy, _memory, client) => {
      const [late, idle] = [await client(), await client()];
      late.begin(1000, 100);
      const endLate = (): void => {
        for (const session of proxy.sessions) session.endLatePacket(performance.now() + 100_000);
      };
      await eventually("it has begun", () => {
        endLate();
        return proxy.of("disconnect").length > 0;
      });
      await late.expect("GATEKEEPER_CLIENT_PACKET_TIMEOUT");
      endLate();
      idle.begin(10, 16);
      await idle.expect(READY);
      lengths.splice(0);
    });
  });

  const later = (proxy: PostgresProxy, ms: number): void => {
    for (const session of proxy.sessions) session.endLatePacket(performance.now() + ms);
  };

  for (const [what, sent, setting, limitMs] of [
    ["that does not come", "never", "GATEKEEPER_BACKEND_RESPONSE_TIMEOUT", 30_000],
    ["that stands still", "half", "GATEKEEPER_BACKEND_PROGRESS_TIMEOUT", 60_000],
  ] as const) {
    it(`gives up an answer ${what}, not before its time`, async () => {
      await withProxy(8 * MIB, async (proxy, _memory, client) => {
        const [waiting, idle] = [await client(), await client()];
        waiting.send(query(sent));
        await eventually("it has come to the server", () => lengths.splice(0).length > 0);
        if (sent === "half") await waiting.expect("D\0\0\0\x20");
        // The first look sees that nothing comes.
        later(proxy, 0);
        later(proxy, limitMs - 1000);
        assert.equal(waiting.isClosed, false);
        later(proxy, limitMs + 1000);
        await eventually("its connection ends", () => waiting.isClosed);
        await eventually("the log says why", () =>
          proxy.log.some(({ fields }) => String(fields["detail"] ?? JSON.stringify(fields)).includes(setting)),
        );
        idle.send(query("SELECT 1"));
        await idle.expect(READY);
        lengths.splice(0);
      });
    });
  }

  it("waits as long as it likes for a client in a COPY, or between a Parse and its Sync", async () => {
    await withProxy(8 * MIB, async (proxy, _memory, client) => {
      const [copying, preparing] = [await client(), await client()];
      copying.send(query("COPY slow FROM STDIN"));
      await copying.expect("G\0\0\0");
      preparing.send({ name: "Parse", statement: "", sql: Buffer.from("never"), parameterTypes: [] });
      await eventually("it is forwarded", () => [...proxy.sessions].every((session) => !session.isIdle));
      later(proxy, 0);
      later(proxy, 1_000_000);
      lengths.splice(0);
      copying.send({ name: "CopyDone" });
      await eventually("it has come to the server", () => lengths.splice(0).length > 0);
      // From now on an answer is owed.
      later(proxy, 1_000_000);
      later(proxy, 1_029_000);
      assert.deepEqual([copying.isClosed, preparing.isClosed], [false, false]);
      later(proxy, 1_061_000);
      await eventually("the time of the answer is over", () => copying.isClosed);
      assert.equal(preparing.isClosed, false);
    });
  });

  it("lets others come in between the messages of a client that has sent thousands", async () => {
    await withProxy(64 * MIB, async (_proxy, _memory, client) => {
      const [many, other] = [await client(), await client()];
      const sent = 5000;
      many.socket.write(Buffer.concat(Array.from({ length: sent }, () => queryOf(10))));
      await eventually("the first are answered", () => lengths.length > 0);
      other.send(query("SELECT 1"));
      await other.expect(READY);
      const before = lengths.length;
      await eventually("all are answered", () => lengths.length > sent);
      // Deno carries out all that it has read before it looks at another socket: the turns are given, and nobody takes them.
      if (!("Deno" in globalThis)) assert.ok(before < sent, `${before} were answered before the one`);
      lengths.splice(0);
    });
  });
});
