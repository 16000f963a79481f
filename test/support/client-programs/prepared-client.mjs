// Runs prepared statements with a MySQL driver from npm. Standard input: { driver, options, steps }. A JSON line per step.
import { readFileSync } from "node:fs";

const request = JSON.parse(readFileSync(0, "utf8"));
const { driver, options, steps } = request;

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const textual = (rows) => rows.map((row) => row.map((value) => (value === null ? null : String(value))));

/** Rows of one result, or of several; what is no row says how a change went. */
function rowsOf(result) {
  if (!Array.isArray(result)) return [];
  if (result.length > 0 && Array.isArray(result[0]) && Array.isArray(result[0][0])) return result.flatMap(rowsOf);
  return textual(result.filter((row) => Array.isArray(row)));
}

async function connectMysql2() {
  const { createConnection } = await import("mysql2/promise");
  const connection = await createConnection({ ...options, rowsAsArray: true, dateStrings: true });
  return {
    run: async ({ sql, values }) => rowsOf((await connection.execute(sql, values))[0]),
    changeUser: (user, password) => connection.changeUser({ user, password }),
    end: () => connection.end(),
  };
}

async function connectMariadb() {
  const { default: mariadb } = await import("mariadb");
  const connection = await mariadb.createConnection({
    ...options,
    rowsAsArray: true,
    dateStrings: true,
    allowPublicKeyRetrieval: true,
  });
  return {
    run: async ({ sql, values, batch = 0 }) => {
      if (batch > 0) {
        await connection.batch(
          sql,
          Array.from({ length: batch }, () => values),
        );
        return [];
      }
      return rowsOf(await connection.execute(sql, values));
    },
    changeUser: (user, password) => connection.changeUser({ user, password }),
    end: () => connection.end(),
  };
}

const connection = await (driver === "mysql2" ? connectMysql2 : connectMariadb)();
for (const step of steps) {
  try {
    if (step.changeUser !== undefined) {
      await connection.changeUser(step.changeUser.user, step.changeUser.password);
      print({ rows: [] });
    } else print({ rows: await connection.run(step) });
  } catch (error) {
    const { errno, code, sqlMessage, message } = error;
    print({ error: code ?? error.name, number: errno, message: sqlMessage ?? message });
  }
}
await connection.end();
