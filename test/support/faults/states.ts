/** Where a session is when a fault comes, and what its client does then. */
import { eventually } from "../eventually.ts";
import { CAPABILITY, type RawClient, type WirePacket } from "../raw-client.ts";
import type { Stage } from "./stage.ts";

export interface State {
  readonly name: string;
  /** Up to the moment of the fault. Undefined where the client comes only then. */
  readonly before?: (client: RawClient, stage: Stage) => Promise<void>;
  /** What the client does from then on; resolves with the last packet that it is told. */
  readonly after: (client: RawClient, stage: Stage) => Promise<WirePacket | undefined>;
}

const COM_QUERY = 0x03;
const COM_STMT_EXECUTE = 0x17;
const COM_STMT_FETCH = 0x1c;
/** More than all that lies between server and client. */
const ROWS = "SELECT a.n, REPEAT('x', 10000) FROM numbers a JOIN numbers b ON b.n <= 2";
const FILE_PIECE = Buffer.from("1,some text of a row\n".repeat(20_000));
const HELD = "REPLACE INTO scratch (id, text) VALUES (77, 'held')";
const SLEEP_S = 2;

const last = async (answer: Promise<readonly WirePacket[]>): Promise<WirePacket | undefined> => (await answer).at(-1);

/** Throws where the server refuses what a test takes for granted. */
async function must(client: RawClient, sql: string): Promise<void> {
  const { payload } = (await last(client.query(sql))) as WirePacket;
  if (payload[0] === 0xff) throw new Error(`${sql}: ${payload.subarray(3).toString("latin1")}`);
}

/** The end of rows, or the error that comes instead. */
async function endOfRows(client: RawClient): Promise<WirePacket> {
  for (;;) {
    const packet = await client.readPacket();
    if ((packet.payload[0] ?? 0) >= 0xfe) return packet;
  }
}

function fetchRows(client: RawClient, statementId: Uint8Array, count: number): Promise<WirePacket> {
  client.writeCommand(COM_STMT_FETCH, Buffer.concat([statementId, Buffer.from([count, 0, 0, 0])]));
  return endOfRows(client);
}

export async function logIn(client: RawClient, stage: Stage): Promise<void> {
  const { user, password } = stage.server.account("admin");
  const login = { user, password, database: "appdb", moreCapabilities: CAPABILITY.LOCAL_FILES };
  await client.login(login, { rejectUnauthorized: false });
}

export const STATES: readonly State[] = [
  {
    name: "login",
    after: async (client, stage) => {
      await logIn(client, stage);
      return last(client.query("SELECT 1"));
    },
  },
  { name: "idle", before: () => Promise.resolve(), after: (client) => last(client.query("SELECT 1")) },
  {
    name: "transaction",
    before: async (client, stage) => {
      await must(client, "START TRANSACTION");
      await must(client, `INSERT INTO scratch (id, text) VALUES (${stage.rowId}, 'in doubt')`);
    },
    after: (client) => last(client.query("COMMIT")),
  },
  {
    name: "rows",
    before: async (client) => {
      client.writeCommand(COM_QUERY, ROWS);
      // How many columns, two of them, and a row.
      for (let packet = 0; packet < 4; packet++) await client.readPacket();
      client.pause();
    },
    after: (client) => {
      client.resume();
      return endOfRows(client);
    },
  },
  {
    name: "held",
    before: async (client, stage) => {
      client.writeCommand(COM_QUERY, HELD);
      await eventually("it is held", () => stage.audit().some(({ type }) => type === "hold"), 60_000);
    },
    after: async (client, stage) => {
      await stage.approveAll();
      return await client.readPacket();
    },
  },
  {
    name: "file",
    before: async (client) => {
      client.writeCommand(COM_QUERY, "LOAD DATA LOCAL INFILE 'f' INTO TABLE appdb.loaded FIELDS TERMINATED BY ','");
      const { payload } = await client.readPacket();
      if (payload[0] !== 0xfb) throw new Error(`no file was asked for: ${payload.toString("latin1")}`);
      client.writePayload(FILE_PIECE);
    },
    after: (client) => {
      client.writePayload(FILE_PIECE);
      client.writePayload(Buffer.alloc(0));
      return client.readPacket();
    },
  },
  {
    name: "cursor",
    before: async (client, stage) => {
      const [head] = await client.prepare("SELECT n, REPEAT('y', 100) FROM numbers");
      const statementId = head?.payload.subarray(1, 5) ?? Buffer.alloc(4);
      // With a cursor, once; no parameters.
      await client.ask(COM_STMT_EXECUTE, Buffer.concat([statementId, Buffer.from([1, 1, 0, 0, 0])]));
      const { payload } = await fetchRows(client, statementId, 10);
      if (payload[0] === 0xff) throw new Error(`no rows of a cursor: ${payload.subarray(3).toString("latin1")}`);
      stage.cursor = statementId;
    },
    after: (client, { cursor }) => fetchRows(client, cursor, 200),
  },
  // The last to be brought there, so that it still runs when the fault comes.
  {
    name: "statement",
    before: (client) => {
      client.writeCommand(COM_QUERY, `SELECT SLEEP(${SLEEP_S})`);
      return Promise.resolve();
    },
    after: (client) => last(client.readAnswer()),
  },
];
