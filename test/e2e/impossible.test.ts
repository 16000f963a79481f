/** Conditions that no row fulfils, by querycop's reading: the server finds none either, in every sql_mode that changes it. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import type { ServerKind } from "../support/accounts.ts";
import { e2e } from "../support/e2e-test.ts";
import { randomFrom } from "../support/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/servers.ts";

/** More of them find more: QUERYCOP_CONDITIONS=20000. */
const CONDITIONS = Number(process.env["QUERYCOP_CONDITIONS"] ?? "600");

const servers: TestServer[] = [];
after(async () => {
  for (const server of servers) await server.stop();
});

const random = randomFrom(20261130);
const pick = (from: readonly string[]): string => from[Math.floor(random() * from.length)] ?? "";

const ATOMS = [
  "0",
  "1",
  "2",
  "NULL",
  "FALSE",
  "TRUE",
  "'a'",
  "'0'",
  "0.0",
  "n",
  "id",
  "-1",
  "9007199254740993",
  "(0)",
  "'00'",
  "1 - 1",
  "2 * 0",
];
const COMPARISONS = ["=", "<>", "!=", "<", "<=", ">", ">=", "<=>"];
const JOINERS = ["AND", "AND", "AND", "OR", "OR", "XOR", "&&", "||"];

function term(depth: number): string {
  const roll = random();
  if (roll < 0.25) return pick(ATOMS);
  if (roll < 0.55) return `${pick(ATOMS)} ${pick(COMPARISONS)} ${pick(ATOMS)}`;
  if (roll < 0.75 && depth > 0) return `(${condition(depth - 1)})`;
  if (roll < 0.8) return `${pick(["NOT", "!", "-", "NOT NOT"])} ${random() < 0.5 ? pick(ATOMS) : `(${condition(0)})`}`;
  if (roll < 0.85) return `${pick(ATOMS)} ${pick(["IS NULL", "IS NOT NULL", "IS TRUE", "IS FALSE"])}`;
  if (roll < 0.9) return `${pick(ATOMS)} ${pick(["", "NOT "])}BETWEEN ${pick(ATOMS)} AND ${pick(ATOMS)}`;
  if (roll < 0.93) return `${pick(ATOMS)} ${pick(["", "NOT "])}IN (${pick(ATOMS)}, ${pick(ATOMS)})`;
  if (roll < 0.96) return `CASE WHEN ${condition(0)} THEN ${pick(ATOMS)} ELSE ${pick(ATOMS)} END`;
  return `(SELECT ${pick(ATOMS)}${pick([" WHERE 0", " UNION ALL SELECT 1 AND 0", ""])} LIMIT 1)`;
}

function condition(depth: number): string {
  let text = term(depth);
  while (random() < 0.5) text += ` ${pick(JOINERS)} ${term(depth)}`;
  return text;
}

/** The conditions that querycop takes for impossible, as long as there is one reading in which they are. */
function impossibleOnes(kind: ServerKind): string[] {
  const dialect = kind === "mysql" ? "mysql" : "mariadb";
  const said = { engine: "mysql", charset: "utf8mb4", sqlMode: "unknown", multiStatements: false } as const;
  const context = { ...said, dialect, serverVersion: undefined, schema: undefined } as const;
  const found = new Set<string>();
  for (let attempt = 0; found.size < CONDITIONS && attempt < CONDITIONS * 200; attempt++) {
    const where = condition(2);
    const { readings } = analyze(Buffer.from(`DELETE FROM numbers WHERE ${where}`), context);
    if (readings.some(({ statements }) => statements[0]?.where === "never")) found.add(where);
  }
  return [...found];
}

for (const kind of ["mysql", "mariadb", "mariadb11"] as const) {
  describe(`conditions that no row fulfils on ${kind}`, () => {
    e2e("find no row", async () => {
      const server = await startServer({ kind });
      servers.push(server);
      await server.rootQuery(
        "CREATE TABLE appdb.rows_there (id INT, n INT); INSERT INTO appdb.rows_there VALUES (0, 1), (1, 0), (2, NULL)",
      );
      const conditions = impossibleOnes(kind);
      assert.equal(conditions.length, CONDITIONS);
      const { user, password } = server.account("admin");
      const client = await RawClient.connect(server.host, server.port);
      await client.login({ user, password, database: "appdb" });
      let parsed = 0;
      for (const mode of ["", "HIGH_NOT_PRECEDENCE,PIPES_AS_CONCAT"]) {
        await client.query(`SET sql_mode = '${mode}'`);
        for (const where of conditions) {
          const answer = await client.query(`SELECT COUNT(*) FROM rows_there WHERE ${where}`);
          // Not every mode parses all of them.
          if (answer.length === 1) continue;
          parsed++;
          assert.equal(answer.at(-2)?.payload.toString("latin1"), "\u00010", `${mode}: ${where}`);
        }
      }
      assert.ok(parsed > CONDITIONS);
      client.end();
    });
  });
}
