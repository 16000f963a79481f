/**
 * Records what real servers answer, for captured-responses.test.ts: `bun test/mysql/capture-responses.ts`.
 * Finds the end of a response by silence, not by the tracker that is tested with it.
 */
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import {
  type Capabilities,
  CLIENT_CONNECT_ATTRS,
  CLIENT_DEPRECATE_EOF,
  CLIENT_LOCAL_FILES,
  CLIENT_LONG_FLAG,
  CLIENT_LONG_PASSWORD,
  CLIENT_MULTI_RESULTS,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_PROTOCOL_41,
  CLIENT_PS_MULTI_RESULTS,
  CLIENT_QUERY_ATTRIBUTES,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SESSION_TRACK,
  CLIENT_TRANSACTIONS,
  MARIADB_CLIENT_CACHE_METADATA,
  MARIADB_CLIENT_EXTENDED_METADATA,
  MARIADB_CLIENT_PROGRESS,
} from "../../src/mysql/constants.ts";
import {
  canonicalHandshakeResponse,
  decodeHandshakeV10,
  encodeHandshakeResponse41,
} from "../../src/mysql/handshake.ts";
import { encodePacket, PacketReader } from "../../src/mysql/packet.ts";
import type { ResponseShape } from "../../src/mysql/response.ts";
import type { ServerKind } from "../support/accounts.ts";
import { hex, join, toHex } from "../support/hex.ts";
import { startServer } from "../support/servers.ts";

const SILENCE_MS = 120;

const BASE_FLAGS =
  CLIENT_LONG_FLAG |
  CLIENT_LOCAL_FILES |
  CLIENT_PROTOCOL_41 |
  CLIENT_TRANSACTIONS |
  CLIENT_SECURE_CONNECTION |
  CLIENT_MULTI_STATEMENTS |
  CLIENT_MULTI_RESULTS |
  CLIENT_PS_MULTI_RESULTS |
  CLIENT_PLUGIN_AUTH |
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;

interface Variant {
  readonly name: string;
  readonly flags: number;
  readonly mariadb: number;
}

const EOF = 0;
const VARIANTS: Readonly<Record<ServerKind, readonly Variant[]>> = {
  mysql: [
    { name: "classic", flags: CLIENT_LONG_PASSWORD | EOF, mariadb: 0 },
    {
      name: "deprecate-eof, session-track",
      flags: CLIENT_LONG_PASSWORD | CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK,
      mariadb: 0,
    },
    {
      name: "everything",
      flags:
        CLIENT_LONG_PASSWORD |
        CLIENT_DEPRECATE_EOF |
        CLIENT_SESSION_TRACK |
        CLIENT_OPTIONAL_RESULTSET_METADATA |
        CLIENT_QUERY_ATTRIBUTES,
      mariadb: 0,
    },
    {
      name: "classic, optional-metadata",
      flags: CLIENT_LONG_PASSWORD | CLIENT_SESSION_TRACK | CLIENT_OPTIONAL_RESULTSET_METADATA,
      mariadb: 0,
    },
  ],
  mariadb: [
    { name: "classic", flags: CLIENT_LONG_PASSWORD, mariadb: 0 },
    { name: "deprecate-eof, session-track", flags: CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK, mariadb: 0 },
    {
      name: "cache-metadata",
      flags: CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK,
      mariadb: MARIADB_CLIENT_CACHE_METADATA | MARIADB_CLIENT_EXTENDED_METADATA,
    },
    {
      name: "classic, cache-metadata, progress",
      flags: 0,
      mariadb: MARIADB_CLIENT_CACHE_METADATA | MARIADB_CLIENT_PROGRESS,
    },
  ],
  mariadb11: [
    {
      name: "cache-metadata",
      flags: CLIENT_DEPRECATE_EOF | CLIENT_SESSION_TRACK,
      mariadb: MARIADB_CLIENT_CACHE_METADATA | MARIADB_CLIENT_EXTENDED_METADATA,
    },
  ],
};

export interface Capture {
  readonly server: ServerKind;
  readonly variant: string;
  readonly capabilities: Capabilities;
  readonly label: string;
  readonly shape: ResponseShape;
  readonly command: string;
  readonly response: string;
  /** What the server says after a LOCAL INFILE request was answered with the empty packet. */
  readonly afterFile?: string;
}

class Connection {
  readonly #socket: Socket;
  #received: Uint8Array[] = [];
  #wake: () => void = () => {};
  capabilities: Capabilities = { flags: 0, mariadb: 0 };

  constructor(socketPath: string) {
    this.#socket = connect(socketPath);
    this.#socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#wake();
    });
    this.#socket.on("error", () => this.#wake());
  }

  /** Everything that comes until nothing has come for a while. */
  async collect(): Promise<Uint8Array> {
    for (;;) {
      const before = this.#received.length;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, SILENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (this.#received.length === before && before > 0) break;
    }
    const bytes = join(...this.#received);
    this.#received = [];
    return bytes;
  }

  async login(variant: Variant): Promise<Uint8Array> {
    const greeting = await this.collect();
    const reader = new PacketReader({ sender: "backend", payloadBytesMax: 1 << 20 });
    reader.push(greeting);
    const handshake = decodeHandshakeV10(reader.next()?.payload ?? new Uint8Array());
    const response = canonicalHandshakeResponse({
      capabilities: { flags: (BASE_FLAGS | variant.flags | CLIENT_CONNECT_ATTRS) >>> 0, mariadb: variant.mariadb },
      maxPacketSize: 1 << 24,
      characterSet: 45,
      user: "root",
      authResponse: new Uint8Array(),
      schema: "captures",
      authPluginName: handshake.authPluginName,
      connectAttributes: new Map([["program_name", "capture"]]),
    });
    this.capabilities = response.capabilities;
    this.#socket.write(encodePacket(encodeHandshakeResponse41(response), 1));
    await this.collect();
    return greeting;
  }

  async ask(payload: Uint8Array, sequenceId = 0): Promise<Uint8Array> {
    this.#socket.write(encodePacket(payload, sequenceId));
    return this.collect();
  }
  end(): void {
    this.#socket.destroy();
  }
}

const SETUP = `
create database captures; use captures;
create table t (id int primary key, name varchar(100), big longtext);
insert into t values (1, 'one', null), (2, 'two', ''), (3, 'three', repeat('x', 300));
create procedure results() begin select id from t; select name from t where id > 1; insert into t values (100, 'p', null); delete from t where id = 100; end;
create procedure outs(in a int, out b int, inout c varchar(20)) begin select a; set b = a + 1, c = concat(c, '!'); end;
create procedure fails() begin select 1; select * from absent; end;
`;

const query = (variant: Variant, sql: string): Uint8Array => {
  const hasAttributes = (variant.flags & CLIENT_QUERY_ATTRIBUTES) !== 0;
  return join(Uint8Array.of(3, ...(hasAttributes ? [0, 1] : [])), encodeUtf8(sql));
};

function execute(variant: Variant, id: number, flags: number, values: readonly number[]): Uint8Array {
  const head = Uint8Array.of(0x17, id, 0, 0, 0, flags, 1, 0, 0, 0);
  if (values.length === 0) return head;
  const hasAttributes = (variant.flags & CLIENT_QUERY_ATTRIBUTES) !== 0;
  const types = values.flatMap(() => (hasAttributes ? [3, 0, 0] : [3, 0]));
  const encoded = values.flatMap((value) => [value, 0, 0, 0]);
  return join(head, Uint8Array.from([...(hasAttributes ? [values.length] : []), 0, 1, ...types, ...encoded]));
}

async function captureVariant(kind: ServerKind, socketPath: string, variant: Variant): Promise<Capture[]> {
  const captures: Capture[] = [];
  const connection = new Connection(socketPath);
  await connection.login(variant);
  const { capabilities } = connection;
  const record = async (label: string, shape: ResponseShape, payload: Uint8Array): Promise<Uint8Array> => {
    const response = await connection.ask(payload);
    captures.push({
      server: kind,
      variant: variant.name,
      capabilities,
      label,
      shape,
      command: toHex(payload),
      response: toHex(response),
    });
    return response;
  };
  const ask = (label: string, sql: string) => record(label, "query", query(variant, sql));
  /** The statement id, which stands behind the packet header and the 0x00 of a COM_STMT_PREPARE_OK. */
  const prepareAs = async (label: string, sql: string): Promise<number> => {
    const response = await record(label, "prepare", join(Uint8Array.of(0x16), encodeUtf8(sql)));
    return response[5] ?? 0;
  };
  await ask("ok", "do 1");
  await ask("error", "select * from absent");
  await ask("syntax error", "selec");
  await ask("rows", "select id, name from t");
  await ask("no rows", "select id from t where id > 99");
  await ask("long and NULL values", "select * from t");
  await ask("update with info", "update t set name = 'uno' where id = 1");
  await ask("several results", "select 1; do 0; select 2, 3; update t set name = 'one' where id = 1");
  await ask("error in the second statement", "select 1; select * from absent; select 2");
  if (variant === VARIANTS[kind][0])
    await ask("251 columns", `select ${Array.from({ length: 251 }, (_, n) => n % 10).join(",")}`);
  await ask("set variables", "set session_track_schema=1, session_track_system_variables='*'");
  await ask("tracked sql_mode", "set sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'");
  await ask("tracked schema", "use captures");
  await ask("tracked transaction", "set session_track_transaction_info='CHARACTERISTICS'");
  await ask("begin", "start transaction with consistent snapshot");
  await ask("select in transaction", "select id from t limit 1");
  await ask("commit", "commit");
  await ask("call with results", "call results()");
  await ask("call that fails", "call fails()");
  await record("init db", "ok", join(Uint8Array.of(2), encodeUtf8("captures")));
  await record("init db error", "ok", join(Uint8Array.of(2), encodeUtf8("absent")));
  await record("ping", "ok", Uint8Array.of(0x0e));
  await record("statistics", "statistics", Uint8Array.of(0x09));
  await record("field list", "field-list", join(Uint8Array.of(4), encodeUtf8("t"), Uint8Array.of(0)));
  await record("field list error", "field-list", join(Uint8Array.of(4), encodeUtf8("absent"), Uint8Array.of(0)));
  await record("set option", "eof", Uint8Array.of(0x1b, 0, 0));
  const first = await prepareAs("prepare", "select id, name, ? from t where id > ?");
  await record("execute", "execute", execute(variant, first, 0, [7, 1]));
  await record("execute with cursor", "execute", execute(variant, first, 1, [7, 0]));
  await record("fetch some", "fetch", Uint8Array.of(0x1c, first, 0, 0, 0, 2, 0, 0, 0));
  await record("fetch the last", "fetch", Uint8Array.of(0x1c, first, 0, 0, 0, 9, 0, 0, 0));
  await record("fetch too much", "fetch", Uint8Array.of(0x1c, first, 0, 0, 0, 9, 0, 0, 0));
  await record("reset statement", "ok", Uint8Array.of(0x1a, first, 0, 0, 0));
  const second = await prepareAs("prepare without columns", "delete from t where id = ?");
  await record("execute without result set", "execute", execute(variant, second, 0, [55]));
  const third = await prepareAs("prepare without parameters", "select 1, 'two'");
  await record("execute without parameters", "execute", execute(variant, third, 0, []));
  await prepareAs("prepare without both", "do 1");
  await prepareAs("prepare error", "select * from absent");
  const call = await prepareAs("prepare a call", "call outs(?, ?, ?)");
  await record("execute a call with out parameters", "execute", execute(variant, call, 0, [7, 1, 2]));
  await record("execute an unknown statement", "execute", execute(variant, 99, 0, []));
  if ((variant.flags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0) {
    await ask("turn metadata off", "set resultset_metadata=none");
    await ask("rows without metadata", "select id, name from t");
    await record("execute without metadata", "execute", execute(variant, first, 0, [7, 1]));
    await prepareAs("prepare without metadata", "select id, ? from t");
    await record(
      "field list without metadata",
      "field-list",
      join(Uint8Array.of(4), encodeUtf8("t"), Uint8Array.of(0)),
    );
    await ask("turn metadata on", "set resultset_metadata=full");
  }
  await record("execute again", "execute", execute(variant, first, 0, [7, 2]));
  await ask("local infile request", "load data local infile 'a file' into table t");
  const request = captures.pop();
  if (request !== undefined) captures.push({ ...request, afterFile: toHex(await connection.ask(new Uint8Array(), 2)) });
  await record("reset connection", "ok", Uint8Array.of(0x1f));
  connection.end();
  return captures;
}

async function main(): Promise<void> {
  const captures: Capture[] = [];
  const greetings: Record<string, string> = {};
  for (const kind of ["mysql", "mariadb", "mariadb11"] as const) {
    const server = await startServer({ kind });
    try {
      const setup = new Connection(server.socketPath);
      greetings[kind] = toHex(await setup.login({ name: "", flags: CLIENT_LONG_PASSWORD, mariadb: 0 }));
      setup.end();
      await createObjects(server.socketPath);
      for (const variant of VARIANTS[kind]) captures.push(...(await captureVariant(kind, server.socketPath, variant)));
    } finally {
      await server.stop();
    }
  }
  const lines = captures.map((capture) => JSON.stringify(capture));
  const text = `{"greetings":${JSON.stringify(greetings)},\n"captures":[\n${lines.join(",\n")}\n]}\n`;
  writeFileSync(new URL("../golden/captured-responses.json", import.meta.url), text);
  console.log(`${captures.length} captures`);
}

async function createObjects(socketPath: string): Promise<void> {
  const connection = new Connection(socketPath);
  const greeting = await connection.collect();
  const reader = new PacketReader({ sender: "backend", payloadBytesMax: 1 << 20 });
  reader.push(greeting);
  const handshake = decodeHandshakeV10(reader.next()?.payload ?? hex(""));
  const response = canonicalHandshakeResponse({
    capabilities: { flags: (BASE_FLAGS | CLIENT_LONG_PASSWORD) >>> 0, mariadb: 0 },
    maxPacketSize: 1 << 24,
    characterSet: 45,
    user: "root",
    authResponse: new Uint8Array(),
    authPluginName: handshake.authPluginName,
  });
  await connection.ask(encodeHandshakeResponse41(response), 1);
  for (const statement of SETUP.split("\n")) {
    if (statement === "") continue;
    const answer = await connection.ask(join(Uint8Array.of(3), encodeUtf8(statement)));
    if (answer[4] === 0xff) throw new Error(`Cannot set up: ${Buffer.from(answer.subarray(13)).toString()}`);
  }
  connection.end();
}

if (import.meta.main) await main();
