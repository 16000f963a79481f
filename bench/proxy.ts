/**
 * Queries per second through querycop beside no proxy, HAProxy in TCP mode and MySQL Router, in one run.
 *
 *   bun bench/proxy.ts [--rounds 5] [--seconds 5] [--threads 8,16] [--tls] [--audit [--durability durable]]
 *                      [--workload oltp_point_select] [--beside <another querycop executable>]
 *
 * Targets are measured in turn, in another order each round; quoted is the median over the rounds of the ratio to the
 * direct connection of the same round. Absolute figures say more about the machine than about the programs.
 */
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeCertificates } from "../test/support/certificates.ts";
import { run } from "../test/support/child.ts";
import { installServerRoot } from "../test/support/install.ts";
import { startQuerycop } from "../test/support/querycop.ts";
import { pickPort, startServer } from "../test/support/servers.ts";
import { BenchStage, median, processorUs, type Target } from "./targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "5" },
    threads: { type: "string", default: "8,16" },
    workload: { type: "string", default: "oltp_point_select" },
    "ps-mode": { type: "string", default: "disable" },
    server: { type: "string", default: "mariadb" },
    tls: { type: "boolean", default: false },
    audit: { type: "boolean", default: false },
    durability: { type: "string", default: "kernel" },
    policy: { type: "string", default: "" },
    beside: { type: "string", default: "" },
  },
});

const certificates = await makeCertificates();
const { goodEc } = certificates.leaves;
const stage = new BenchStage();
const { folder } = stage;
const bench = await installServerRoot("bench");
const user = "admin";

async function router(backendPort: number): Promise<Target> {
  const root = await installServerRoot("mysql");
  const port = await pickPort();
  const config = stage.file("router.conf", [
    "[DEFAULT]",
    `logging_folder=${folder}`,
    `plugin_folder=${root.path("usr/lib/mysqlrouter/plugin")}`,
    `runtime_folder=${folder}`,
    `data_folder=${folder}`,
    "[logger]",
    "level=ERROR",
    "[routing:bench]",
    `bind_address=127.0.0.1:${port}`,
    `destinations=127.0.0.1:${backendPort}`,
    "routing_strategy=first-available",
    "protocol=classic",
    `client_ssl_mode=${values.tls ? "REQUIRED" : "DISABLED"}`,
    `server_ssl_mode=${values.tls ? "REQUIRED" : "DISABLED"}`,
    `client_ssl_cert=${goodEc.certFile}`,
    `client_ssl_key=${goodEc.keyFile}`,
  ]);
  const name = values.tls ? "mysql router (TLS terminated)" : "mysql router";
  return await stage.start({ name, port, root, program: "usr/bin/mysqlrouter", args: ["-c", config] });
}

async function querycop(backendPort: number, isAudited: boolean, executable?: string): Promise<Target> {
  const settings = {
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(backendPort),
    GATEKEEPER_LOG_LEVEL: "info",
    GATEKEEPER_BACKEND_TLS_MODE: values.tls ? "verify-ca" : "disable",
    ...(isAudited ? { GATEKEEPER_AUDIT_DURABILITY: values.durability } : { GATEKEEPER_AUDIT_FILE: undefined }),
    ...(values.policy === "" ? {} : { GATEKEEPER_POLICY_FILE: values.policy }),
    ...(values.tls
      ? {
          GATEKEEPER_BACKEND_TLS_CA_FILE: certificates.caFile,
          GATEKEEPER_PROXY_TLS_CERT: goodEc.certFile,
          GATEKEEPER_PROXY_TLS_KEY: goodEc.keyFile,
          GATEKEEPER_PROXY_TLS_MODE: "require",
        }
      : {}),
  };
  const proxy = await startQuerycop(settings, executable === undefined ? {} : { executable });
  stage.onEnd(() => proxy.stop());
  const name = `${executable === undefined ? "querycop" : "the other querycop"}${isAudited ? `, audit ${values.durability}` : ""}`;
  return { name: values.tls ? `${name} (TLS terminated, both legs)` : name, port: proxy.port, pid: proxy.pid() };
}

async function sysbench(port: number, threads: number, seconds: number, command: string): Promise<number> {
  const scripts = bench.path("usr/share/sysbench");
  const { command: program, args } = bench.command("usr/bin/sysbench", [
    join(scripts, `${values.workload}.lua`),
    "--db-driver=mysql",
    "--mysql-host=127.0.0.1",
    `--mysql-port=${port}`,
    `--mysql-user=${user}`,
    `--mysql-password=${password}`,
    "--mysql-db=otherdb",
    `--mysql-ssl=${values.tls ? "on" : "off"}`,
    "--tables=2",
    "--table-size=10000",
    `--threads=${threads}`,
    `--time=${seconds}`,
    `--db-ps-mode=${values["ps-mode"]}`,
    command,
  ]);
  const result = await run(program, args, { cwd: folder, env: { LUA_PATH: `${scripts}/?.lua` } });
  if (result.code !== 0)
    throw new Error(`sysbench ${command} on port ${port} (direct is ${server.port}): ${result.stdout}${result.stderr}`);
  const line = result.stdout.split("\n").find((text) => text.includes("queries:"));
  return Number(line?.slice(line.indexOf("(") + 1, line.indexOf(" per sec")) ?? Number.NaN);
}

const server = await startServer({
  kind: values.server === "mysql" ? "mysql" : "mariadb",
  certificate: { ...goodEc, clientCaFile: certificates.caFile },
  options: ["--general-log=0", "--max-connections=500"],
});
stage.onEnd(() => server.stop());
stage.onEnd(() => certificates.remove());
const password = server.accounts["admin"]?.password ?? "";
// sysbench 1.0 reads these names from its working directory.
symlinkSync(certificates.caFile, join(folder, "cacert.pem"));
symlinkSync(certificates.leaves.client.certFile, join(folder, "client-cert.pem"));
symlinkSync(certificates.leaves.client.keyFile, join(folder, "client-key.pem"));

try {
  await sysbench(server.port, 1, 1, "prepare");
  const direct: Target = { name: "direct", port: server.port };
  const haproxy = values.tls ? "haproxy (TLS passed through)" : "haproxy";
  const others = [await stage.haproxy(haproxy, server.port), await querycop(server.port, false)];
  if (values.audit) others.push(await querycop(server.port, true));
  if (values.beside !== "") others.push(await querycop(server.port, false, values.beside));
  try {
    const candidate = await router(server.port);
    await sysbench(candidate.port, 1, 1, "run");
    others.push(candidate);
  } catch (thrown) {
    console.log(`mysql router left out: ${thrown instanceof Error ? thrown.message.slice(-200) : thrown}`);
  }
  for (const threads of values.threads.split(",").map(Number)) {
    const ratios = new Map<string, number[]>();
    const costs = new Map<string, number[]>();
    const absolute: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const order = [...others.slice(round % others.length), ...others.slice(0, round % others.length)];
      const base = await sysbench(direct.port, threads, Number(values.seconds), "run");
      absolute.push(base);
      for (const target of order) {
        const usedUs = target.pid === undefined ? 0 : processorUs(target.pid);
        const rate = await sysbench(target.port, threads, Number(values.seconds), "run");
        if (target.pid !== undefined) {
          const costUs = (processorUs(target.pid) - usedUs) / (rate * Number(values.seconds));
          costs.set(target.name, [...(costs.get(target.name) ?? []), costUs]);
        }
        ratios.set(target.name, [...(ratios.get(target.name) ?? []), rate / base]);
      }
    }
    const legs = values.tls ? "TLS" : "plaintext";
    console.log(`\n${values.workload}, ${threads} threads, ${legs}, direct ${median(absolute).toFixed(0)} queries/s`);
    for (const [name, list] of ratios) {
      const [low, high] = [Math.min(...list), Math.max(...list)];
      console.log(`  ${name.padEnd(38)} ${median(list).toFixed(2)} × direct   (${low.toFixed(2)}–${high.toFixed(2)})`);
    }
    for (const [name, list] of costs) {
      console.log(`  ${name.padEnd(38)} ${median(list).toFixed(1)} µs of processor time a query`);
    }
    const reference = [...ratios].find(([name]) => name.startsWith("haproxy"))?.[1] ?? [];
    const ours = [...ratios].find(([name]) => name.startsWith("querycop"))?.[1] ?? [];
    const perRound = ours.map((ratio, index) => ratio / (reference[index] ?? Number.NaN));
    console.log(`  querycop ÷ haproxy, median of rounds: ${median(perRound).toFixed(2)}`);
    const other = [...ratios].find(([name]) => name.startsWith("the other"))?.[1] ?? [];
    const besideOther = ours.map((ratio, index) => ratio / (other[index] ?? Number.NaN));
    if (values.beside !== "")
      console.log(`  querycop ÷ the other, median of rounds: ${median(besideOther).toFixed(3)}`);
    const audited = [...ratios].find(([name]) => name.startsWith("querycop, audit"))?.[1] ?? [];
    const withAudit = audited.map((ratio, index) => ratio / (ours[index] ?? Number.NaN));
    if (values.audit) console.log(`  with audit ÷ without, median of rounds: ${median(withAudit).toFixed(3)}`);
  }
} finally {
  await stage.end();
}
