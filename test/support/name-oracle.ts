/** What real servers take for one name, and which characters they read in the bytes of a name: asked by effect. */
import type { RawClient } from "./raw-client.ts";

/** One answer to COM_QUERY: the last of its results. */
export interface Reply {
  /** 0: no error. */
  readonly errorNumber: number;
  /** The name of the first column. */
  readonly column: Buffer;
  /** The first cell of each row. */
  readonly cells: readonly string[];
}

/** Statements on their way at once: enough to keep the server busy, few enough to fit the socket's buffers. */
const BATCH = 200;
const MORE_RESULTS = 8;

/** Sends each statement as COM_QUERY and reads one reply for each. The session must have DEPRECATE_EOF. */
export async function askAll(client: RawClient, statements: readonly (string | Uint8Array)[]): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (let at = 0; at < statements.length; at += BATCH) {
    const batch = statements.slice(at, at + BATCH);
    for (const statement of batch) client.writeCommand(0x03, statement);
    for (let read = 0; read < batch.length; read++) replies.push(await readReply(client));
  }
  return replies;
}

async function readReply(client: RawClient): Promise<Reply> {
  for (;;) {
    const { payload } = await client.readPacket();
    if (payload[0] === 0xff) return failed(payload);
    if (payload[0] === 0x00) {
      if ((statusOf(payload) & MORE_RESULTS) === 0) return { errorNumber: 0, column: Buffer.alloc(0), cells: [] };
      continue;
    }
    const { reply, hasMore } = await readRows(client, payload[0] ?? 0);
    if (!hasMore) return reply;
  }
}

const failed = (payload: Buffer): Reply => ({
  errorNumber: payload.readUInt16LE(1),
  column: Buffer.alloc(0),
  cells: [],
});

async function readRows(client: RawClient, columns: number): Promise<{ reply: Reply; hasMore: boolean }> {
  const definitions: Buffer[] = [];
  while (definitions.length < columns) definitions.push((await client.readPacket()).payload);
  const cells: string[] = [];
  for (;;) {
    const { payload } = await client.readPacket();
    if (payload[0] === 0xff) return { reply: failed(payload), hasMore: false };
    // A row of one short cell is shorter than the OK packet that ends the rows.
    if (payload[0] === 0xfe) {
      const column = textAt(definitions[0] ?? Buffer.alloc(0), 4);
      return { reply: { errorNumber: 0, column, cells }, hasMore: (statusOf(payload) & MORE_RESULTS) !== 0 };
    }
    cells.push(payload[0] === 0xfb ? "NULL" : textAt(payload, 0).toString());
  }
}

/** The length-encoded text with that index. */
function textAt(payload: Buffer, index: number): Buffer {
  let at = 0;
  for (let skipped = 0; ; skipped++) {
    let length = payload[at++] ?? 0;
    if (length === 0xfc) {
      length = payload.readUInt16LE(at);
      at += 2;
    }
    if (skipped === index) return payload.subarray(at, at + length);
    at += length;
  }
}

/** Of an OK packet: affected rows and last insert id come first. */
function statusOf(payload: Buffer): number {
  let at = 1;
  for (let skipped = 0; skipped < 2; skipped++) {
    const first = payload[at] ?? 0;
    at += first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9;
  }
  return payload.readUInt16LE(at);
}

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``;

/** Statements of which the last one that asks answers `mark` where the server finds under `asked` what `named` names. */
export type NameQuestion = (named: string, asked: string, mark: number) => readonly string[];

/** Where `NameQuestion`s for routines and tables put theirs. */
export const NAMES_SCHEMA = "name_oracle";

/** Names that anybody can give. The last statement is the one that asks. */
export const GIVEN_NAMES: Readonly<Record<string, NameQuestion>> = {
  "user variable": (named, asked, mark) => [
    `SET @${quoted(`q${named}${mark}`)} = ${mark}`,
    `SELECT @${quoted(`q${asked}${mark}`)}`,
  ],
  "prepared statement": (named, asked, mark) => [
    `PREPARE ${quoted(`p${named}`)} FROM 'SELECT ${mark}'`,
    `EXECUTE ${quoted(`p${asked}`)}`,
  ],
  column: (named, asked, mark) => [`SELECT ${quoted(asked)} FROM (SELECT ${mark} AS ${quoted(named)}) q`],
  "table alias": (named, asked, mark) => [`SELECT ${quoted(asked)}.q FROM (SELECT ${mark} AS q) ${quoted(named)}`],
  "common table expression": (named, asked, mark) => [
    `WITH ${quoted(named)} AS (SELECT ${mark}) SELECT * FROM ${quoted(asked)}`,
  ],
  routine: (named, asked, mark) => [
    `CREATE FUNCTION ${NAMES_SCHEMA}.${quoted(`q${named}${mark}`)}() RETURNS INT DETERMINISTIC RETURN ${mark}`,
    `SELECT ${NAMES_SCHEMA}.${quoted(`q${asked}${mark}`)}()`,
  ],
  table: (named, asked, mark) => [
    `CREATE TABLE ${NAMES_SCHEMA}.${quoted(`t${named}${mark}`)} AS SELECT ${mark} AS q`,
    `SELECT q FROM ${NAMES_SCHEMA}.${quoted(`t${asked}${mark}`)}`,
  ],
};

/** A name that the server has, whose letter can be spelled otherwise: the statement answers without an error then. */
export const OWN_NAMES: Readonly<Record<string, (letter: string, spelled: string) => string | undefined>> = {
  "system variable": (letter, spelled) => respelled(SYSTEM_VARIABLES, letter, spelled, (name) => `SELECT @@${name}`),
  "native function": (letter, spelled) => respelled(FUNCTIONS, letter, spelled, (name) => `SELECT ${name}('1')`),
  "routine of sys": (letter, spelled) => respelled(ROUTINES, letter, spelled, (name) => `CALL sys.${name}('SELECT 1')`),
  "catalog table": (letter, spelled) =>
    respelled(CATALOG_TABLES, letter, spelled, (name) => `SELECT 1 FROM information_schema.${name} LIMIT 0`),
  "catalog schema": (letter, spelled) =>
    respelled(["information_schema"], letter, spelled, (name) => `SELECT 1 FROM ${name}.schemata LIMIT 0`),
};

/** Every letter, digit and the underscore stands in one of them. */
const SYSTEM_VARIABLES = [
  "character_set_client",
  "autocommit",
  "key_buffer_size",
  "sql_log_bin",
  "query_alloc_block_size",
  "max_join_size",
  "version",
  "tx_or_wait_timeout",
  "wait_timeout",
];
const FUNCTIONS = ["sqrt", "hex", "quote", "from_base64", "sha1", "crc32", "soundex", "oct", "is_ipv4", "md5"];
const ROUTINES = ["execute_prepared_stmt"];
const CATALOG_TABLES = ["schemata", "check_constraints", "key_column_usage", "processlist", "views", "files"];

function respelled(
  names: readonly string[],
  letter: string,
  spelled: string,
  statement: (name: string) => string,
): string | undefined {
  const name = names.find((candidate) => candidate.includes(letter));
  return name === undefined ? undefined : statement(quoted(name.replace(letter, spelled)));
}
