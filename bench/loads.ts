/**
 * A large object of S3 through `querycop load`, beside LOAD DATA LOCAL of the same rows from a local file by the server's own
 * client: bun bench/loads.ts [--megabytes 200] [--rounds 2] [--noise]. With noise the rows can hardly be packed. S3 is a file server here that knows no signatures.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import { runChecked } from "../test/support/child.ts";
import { installServerRoot } from "../test/support/install.ts";
import { cleanEnvironment, querycopBinary } from "../test/support/querycop.ts";
import { startServer } from "../test/support/servers.ts";

const { values } = parseArgs({
  options: { megabytes: { type: "string" }, rounds: { type: "string" }, noise: { type: "boolean" } },
});
const bytesWanted = Number(values.megabytes ?? 200) * 1_000_000;
const rounds = Number(values.rounds ?? 2);

const querycop = await querycopBinary();
const server = await startServer({ kind: "mysql", options: ["--general-log=0", "--innodb-buffer-pool-size=512M"] });
const folder = mkdtempSync(join(tmpdir(), "querycop-bench-loads-"));
const [plain, packed] = [join(folder, "rows.tsv"), join(folder, "rows.tsv.gz")];

async function writeRows(): Promise<number> {
  const file = createWriteStream(plain);
  let id = 0;
  for (let bytes = 0; bytes < bytesWanted; ) {
    let block = "";
    for (let row = 0; row < 5000; row++) {
      block += `${++id}\t${(id * 2654435761) % 1_000_003}\tcustomer ${id % 9973} of the northern region\t${values.noise === true ? randomBytes(60).toString("base64") : "abcdefghij".repeat(8 + (id % 9))}\n`;
    }
    bytes += block.length;
    if (!file.write(block)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
  await pipeline(createReadStream(plain), createGzip({ level: 6 }), createWriteStream(packed));
  return id;
}

const rows = await writeRows();
const { size } = statSync(packed);
const s3 = createServer((request, response) => {
  const [, from = "0", to = String(size - 1)] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const length = Number(to) - Number(from) + 1;
  const headers = { etag: '"bench"', "content-length": String(length), "content-range": `bytes ${from}-${to}/${size}` };
  response.writeHead(request.headers.range === undefined ? 200 : 206, headers);
  if (request.method === "HEAD") response.end();
  else createReadStream(packed, { start: Number(from), end: Number(to) }).pipe(response);
});
s3.listen(0, "127.0.0.1");
await once(s3, "listening");
const address = s3.address();
const s3Port = typeof address === "object" && address !== null ? address.port : 0;

const { user, password } = server.account("admin");
writeFileSync(join(folder, "password"), `${password}\n`, { mode: 0o600 });
const config = join(folder, "querycop.yaml");
writeFileSync(
  config,
  `audit: { file: ${join(folder, "audit.ndjson")} }
connections:
  bench:
    host: 127.0.0.1
    port: ${server.port}
    user: ${user}
    tls_mode: disable
    password_file: ${join(folder, "password")}
    loads: [{ from: s3://bench/*, into: appdb.loaded }]
`,
  { mode: 0o600 },
);

async function fresh(): Promise<void> {
  await server.rootQuery(
    "DROP TABLE IF EXISTS appdb.loaded; CREATE TABLE appdb.loaded (id INT PRIMARY KEY, n INT, who VARCHAR(60), what VARCHAR(200)) CHARACTER SET utf8mb4",
  );
}

async function count(): Promise<void> {
  const [row] = await server.rootQuery("SELECT COUNT(*) FROM appdb.loaded");
  if (Number(row?.[0]) !== rows) throw new Error(`${row?.[0]} of ${rows} rows`);
}

/** Seconds, and the most memory it has had, in MiB. */
async function loadByQuerycop(): Promise<readonly [seconds: number, peakMib: number]> {
  await fresh();
  const beganMs = performance.now();
  const child = spawn(querycop, ["load", "s3://bench/rows.tsv.gz", "bench", "appdb.loaded"], {
    env: cleanEnvironment({
      GATEKEEPER_CONFIG: config,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${s3Port}`,
      AWS_REGION: "eu-central-1",
      AWS_ACCESS_KEY_ID: "bench",
      AWS_SECRET_ACCESS_KEY: "bench",
    }),
    stdio: ["ignore", "ignore", "inherit"],
  });
  let peakKib = 0;
  const look = setInterval(() => {
    try {
      peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? peakKib);
    } catch {
      // It has ended.
    }
  }, 50);
  const [code] = await once(child, "exit");
  clearInterval(look);
  const seconds = (performance.now() - beganMs) / 1000;
  if (code !== 0) throw new Error(`querycop load ended with ${code}`);
  await count();
  return [seconds, peakKib / 1024];
}

async function loadByClient(): Promise<number> {
  await fresh();
  const root = await installServerRoot("mysql");
  const options = [`--user=${user}`, `--password=${password}`, "--host=127.0.0.1", `--port=${server.port}`];
  const { command, args } = root.command("usr/bin/mysql", [
    "--no-defaults",
    ...options,
    "--local-infile=1",
    "--get-server-public-key",
  ]);
  const beganMs = performance.now();
  const sql = `LOAD DATA LOCAL INFILE '${plain}' INTO TABLE appdb.loaded CHARACTER SET utf8mb4;`;
  await runChecked(command, args, { input: sql, timeoutMs: 600_000 });
  const seconds = (performance.now() - beganMs) / 1000;
  await count();
  return seconds;
}

try {
  process.stdout.write(`${rows} rows, ${statSync(plain).size} bytes, packed ${size}\n`);
  for (let round = 0; round < rounds; round++) {
    const own = await loadByClient();
    const [seconds, peakMib] = await loadByQuerycop();
    process.stdout.write(
      `client ${own.toFixed(1)} s, querycop load ${seconds.toFixed(1)} s: ${(own / seconds).toFixed(2)} of its rate, at most ${peakMib.toFixed(0)} MiB\n`,
    );
  }
} finally {
  s3.close();
  await server.stop();
  rmSync(folder, { recursive: true });
}
