/**
 * Every keyword as the name of a table, a column and an alias: what a real server parses must be understood, or an
 * application that has such a table could not use it through querycop.
 */
import assert from "node:assert/strict";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { KEYWORD_ROWS } from "../../src/sql/mysql/lexing/keywords.ts";
import { e2e } from "../support/e2e-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";

const VERSIONS: Readonly<Record<"mysql" | "mariadb", number>> = { mysql: 90704, mariadb: 101119 };
/** Questions on their way at once. */
const AHEAD = 64;
const ER_PARSE_ERROR = 1064;
const COM_QUERY = 0x03;

const PLACES: readonly ((word: string) => string)[] = [
  (word) => `SELECT * FROM ${word} WHERE id = 3`,
  (word) => `SELECT ${word} FROM t WHERE id = 3`,
  (word) => `SELECT id FROM t ${word} WHERE id = 3`,
  (word) => `SELECT id FROM t AS ${word} WHERE id = 3`,
  (word) => `SELECT id ${word} FROM t`,
  (word) => `SELECT id AS ${word} FROM t`,
  (word) => `SELECT t.${word} FROM t`,
  (word) => `SELECT * FROM s.${word} WHERE id = 1`,
  (word) => `INSERT INTO t (${word}) VALUES (1)`,
  (word) => `UPDATE t SET ${word} = 1 WHERE id = 3`,
  (word) => `SELECT id FROM t ORDER BY ${word}`,
  (word) => `SELECT id FROM t WHERE ${word} = 1 GROUP BY ${word}`,
  (word) => `DELETE FROM ${word} WHERE id = 1`,
  (word) => `SELECT id FROM t JOIN ${word} ON t.id = ${word}.id`,
  (word) => `SELECT id FROM t ${word} JOIN u ON 1=1`,
  (word) => `SELECT id FROM a, ${word}, b`,
];

/** Sends questions ahead of the answers; whether the server could parse each of them. */
async function parsed(client: RawClient, texts: readonly string[]): Promise<readonly boolean[]> {
  const results: boolean[] = [];
  for (let at = 0; at < texts.length; at += AHEAD) {
    const batch = texts.slice(at, at + AHEAD);
    // A table that is not there is an error behind the parser's; no statement runs.
    for (const text of batch) client.writeCommand(COM_QUERY, `EXPLAIN ${text}`);
    for (const text of batch) {
      const { payload } = await client.readPacket();
      assert.equal(payload[0], 0xff, `EXPLAIN ${text} has found its tables`);
      results.push(payload.readUInt16LE(1) !== ER_PARSE_ERROR);
    }
  }
  return results;
}

for (const kind of ["mysql", "mariadb"] as const) {
  e2e(`whatever ${kind} takes for a name is understood`, async () => {
    const server = await startServer({ kind });
    try {
      await server.rootQuery("CREATE DATABASE nothing_here");
      const client = await RawClient.connect(server.host, server.port);
      await client.login(server.account("admin"));
      await client.query("USE nothing_here");
      const words = KEYWORD_ROWS.map((row) => row.split(" ", 1)[0] ?? "");
      // DUAL is the one table that is always there.
      const texts = words.filter((word) => word !== "DUAL").flatMap((word) => PLACES.map((place) => place(word)));
      const isParsed = await parsed(client, texts);
      const context = {
        engine: "mysql",
        dialect: kind,
        serverVersion: VERSIONS[kind],
        sqlMode: 0,
        charset: "utf8mb4",
      } as const;
      const missed = texts.filter(
        (text, index) =>
          isParsed[index] === true &&
          !analyze(encodeUtf8(text), { ...context, schema: "shop", multiStatements: false }).understood,
      );
      assert.deepEqual(missed, []);
      assert.ok(isParsed.filter((is) => is).length > 5000);
      client.quit();
    } finally {
      await server.stop();
    }
  });
}
