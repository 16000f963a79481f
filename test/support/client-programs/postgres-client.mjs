// Runs statements with a PostgreSQL driver from npm. Standard input: { driver, options, steps }. A JSON line per step.
import { readFileSync } from "node:fs";

const { driver, options, steps } = JSON.parse(readFileSync(0, "utf8"));
const { sslMode, database, user, ...address } = options;
// A certificate that nobody has vouched for, as by `sslmode=require`.
const ssl = sslMode === "require" ? { rejectUnauthorized: false } : false;

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const textual = (rows) => rows.map((row) => row.map((value) => (value === null ? null : String(value))));

async function connectPg() {
  const { Client } = (await import("pg")).default;
  const client = new Client({ ...address, user, database, ssl });
  await client.connect();
  let count = 0;
  const run = async ({ sql, values, batch = 0, isPlain = false }) => {
    const query = { text: sql, values, rowMode: "array" };
    if (values.length > 0 && !isPlain) query.name = `statement ${count++}`;
    if (batch > 0) {
      await Promise.all(Array.from({ length: batch }, () => client.query(query)));
      return [];
    }
    const result = await client.query(query);
    return textual((Array.isArray(result) ? result : [result]).flatMap(({ rows }) => rows));
  };
  return { run, end: () => client.end() };
}

async function connectPostgres() {
  const { default: postgres } = await import("postgres");
  const sql = postgres({ ...address, username: user, database, ssl, max: 1, onnotice: () => {} });
  const run = async ({ sql: text, values, batch = 0, cursor = false, copy }) => {
    if (copy !== undefined) {
      const writable = await sql.unsafe(text).writable();
      await new Promise((resolve, reject) => {
        writable.once("error", reject).once("finish", resolve);
        writable.end(copy);
      });
      return [];
    }
    if (batch > 0) {
      await Promise.all(Array.from({ length: batch }, () => sql.unsafe(text, values, { prepare: true })));
      return [];
    }
    const query = sql.unsafe(text, values, { prepare: values.length > 0 });
    if (!cursor) return textual(await query.values());
    const rows = [];
    for await (const some of query.cursor(2)) rows.push(...some.map((row) => Object.values(row)));
    return textual(rows);
  };
  return { run, end: () => sql.end() };
}

const connection = await (driver === "pg" ? connectPg : connectPostgres)();
for (const step of steps) {
  try {
    print({ rows: await connection.run(step) });
  } catch (error) {
    print({ error: error.name, code: error.code, message: error.message });
  }
}
await connection.end();
