// Runs statements with a MySQL driver from npm, in a Node process of its own, as an application would.
// Standard input: { driver, options, statements, prepared }. Standard output: one JSON line per statement.
import { readFileSync } from "node:fs";

const request = JSON.parse(readFileSync(0, "utf8"));

function printable(_key, value) {
  if (typeof value === "bigint") return `${value}n`;
  if (value?.type === "Buffer") return { hex: Buffer.from(value.data).toString("hex") };
  return value;
}

function tlsOptions(ssl) {
  if (ssl === undefined) return {};
  const { caFile, certFile, keyFile, ...rest } = ssl;
  return {
    ssl: {
      ...rest,
      ...(caFile ? { ca: readFileSync(caFile) } : {}),
      ...(certFile ? { cert: readFileSync(certFile), key: readFileSync(keyFile) } : {}),
    },
  };
}

const print = (value) => process.stdout.write(`${JSON.stringify(value, printable)}\n`);

async function connectMysql2(options) {
  const { ssl, cleartext, ...address } = options;
  const { createConnection } = await import("mysql2/promise");
  const { mysql_clear_password: clear } = (await import("mysql2")).default.authPlugins;
  const connection = await createConnection({
    ...address,
    ...tlsOptions(ssl),
    rowsAsArray: true,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    ...(cleartext ? { authPlugins: { mysql_clear_password: clear({ password: options.password }) } } : {}),
  });
  const method = request.prepared ? "execute" : "query";
  return { run: async (sql) => (await connection[method](sql))[0], end: () => connection.end() };
}

async function connectMariadb(options) {
  const { default: mariadb } = await import("mariadb");
  const { ssl, cleartext, ...address } = options;
  const connection = await mariadb.createConnection({
    ...address,
    ...tlsOptions(ssl),
    rowsAsArray: true,
    dateStrings: true,
    bigIntAsNumber: false,
    allowPublicKeyRetrieval: true,
    // Of a second by default: less than a busy machine takes for a process that begins.
    connectTimeout: 30_000,
  });
  const run = request.prepared ? (sql) => connection.execute(sql) : (sql) => connection.query(sql);
  return { run, end: () => connection.end() };
}

try {
  const connect = request.driver === "mysql2" ? connectMysql2 : connectMariadb;
  const connection = await connect(request.options);
  for (const sql of request.statements) print(await connection.run(sql));
  await connection.end();
} catch (error) {
  process.stderr.write(`ERROR ${error.errno ?? error.code} (${error.sqlState ?? "?"}): ${error.message}\n`);
  // The rows before the error may not have left yet.
  process.stdout.write("", () => process.exit(1));
}
