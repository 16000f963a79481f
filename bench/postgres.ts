/**
 * Transactions per second of pgbench through querycop beside no proxy, HAProxy in TCP mode and PgBouncer, in one run.
 *
 *   bun bench/postgres.ts [--rounds 5] [--seconds 4] [--clients 1,8,16] [--modes simple,prepared] [--workload -S]
 *                         [--audit] [--policy <file>] [--beside <another querycop executable>] [--only <part of a name>]
 *
 * pgbench asks for one row by its key. querycop judges every statement under a policy; `--audit` adds a second one that
 * records them too. Targets are measured in turn, in another order each round; quoted is the median over the rounds of the
 * ratio to the direct connection of the same round.
 */
import { parseArgs } from "node:util";
import { run } from "../test/support/child.ts";
import { installServerRoot } from "../test/support/install.ts";
import { POSTGRES_ACCOUNTS, startPostgres } from "../test/support/postgres-server.ts";
import { startQuerycop } from "../test/support/querycop.ts";
import { pickPort } from "../test/support/servers.ts";
import { BenchStage, median, processorUs, type Target } from "./targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    clients: { type: "string", default: "1,8,16" },
    modes: { type: "string", default: "simple,prepared" },
    workload: { type: "string", default: "-S" },
    audit: { type: "boolean", default: false },
    policy: { type: "string", default: "" },
    beside: { type: "string", default: "" },
    only: { type: "string", default: "" },
  },
});

/** What an application's policy looks like: nothing of it concerns what pgbench sends. */
const POLICY = [
  "version: 1",
  "mode: enforce",
  "deny: { tables: [public.payroll], functions: [pg_sleep] }",
  "require_where: [public.pgbench_accounts]",
];

const PROGRAMS = "usr/lib/postgresql/15/bin";
const { user } = POSTGRES_ACCOUNTS.trust;
/** `nobody`: PgBouncer does not run as root. */
const AS_OTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

const stage = new BenchStage();
const postgresql = await installServerRoot("postgresql");
const server = await startPostgres();
stage.onEnd(() => server.stop());

async function pgBouncer(backendPort: number): Promise<Target> {
  const root = await installServerRoot("pgbouncer");
  const port = await pickPort();
  const users = stage.file("users.txt", [`"${user}" ""`]);
  const config = stage.file("pgbouncer.ini", [
    "[databases]",
    `* = host=127.0.0.1 port=${backendPort}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = trust",
    `auth_file = ${users}`,
    "pool_mode = session",
    "max_client_conn = 200",
    "default_pool_size = 100",
    "client_tls_sslmode = disable",
    "server_tls_sslmode = disable",
    "log_connections = 0",
    "log_disconnections = 0",
  ]);
  await run("chown", ["-R", "65534:65534", stage.folder]);
  const launcher = process.getuid?.() === 0 ? AS_OTHER : [];
  const name = "pgbouncer (session)";
  return await stage.start({ name, port, root, program: "usr/sbin/pgbouncer", args: ["-q", config], launcher });
}

async function querycop(backendPort: number, isAudited: boolean, executable?: string): Promise<Target> {
  const settings = {
    GATEKEEPER_BACKEND_ENGINE: "postgresql",
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(backendPort),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_PROXY_TLS_MODE: "off",
    GATEKEEPER_LOG_LEVEL: "info",
    GATEKEEPER_POLICY_FILE: values.policy === "" ? stage.file("policy.yaml", POLICY) : values.policy,
    ...(isAudited ? {} : { GATEKEEPER_AUDIT_FILE: undefined }),
  };
  const proxy = await startQuerycop(settings, executable === undefined ? {} : { executable });
  stage.onEnd(() => proxy.stop());
  const name = `${executable === undefined ? "querycop" : "the other querycop"}${isAudited ? ", audit" : ""}`;
  return { name, port: proxy.port, pid: proxy.pid() };
}

async function pgbench(port: number, options: readonly string[]): Promise<string> {
  const target = ["-h", "127.0.0.1", "-p", String(port), "-U", user];
  const { command, args } = postgresql.command(`${PROGRAMS}/pgbench`, [...target, ...options, "postgres"]);
  const result = await run(command, args, { cwd: stage.folder });
  if (result.code !== 0) throw new Error(`pgbench on port ${port}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Transactions per second, of which each is one statement. */
async function rate(port: number, mode: string, clients: number): Promise<number> {
  const threads = String(Math.min(2, clients));
  const load = ["-n", values.workload, "-M", mode, "-c", String(clients), "-j", threads, "-T", values.seconds];
  const text = await pgbench(port, load);
  return Number(/^tps = ([0-9.]+)/m.exec(text)?.[1] ?? Number.NaN);
}

class Figures {
  readonly #lists = new Map<string, number[]>();

  add(name: string, figure: number): void {
    this.#lists.set(name, [...this.of(name), figure]);
  }

  of(name: string): readonly number[] {
    return this.#lists.get(name) ?? [];
  }

  get names(): readonly string[] {
    return [...this.#lists.keys()];
  }
}

async function measure(targets: readonly Target[], mode: string, clients: number): Promise<void> {
  const ratios = new Figures();
  const costs = new Figures();
  const absolute: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const first = round % targets.length;
    const base = await rate(server.port, mode, clients);
    absolute.push(base);
    for (const target of [...targets.slice(first), ...targets.slice(0, first)]) {
      const usedUs = target.pid === undefined ? 0 : processorUs(target.pid);
      const reached = await rate(target.port, mode, clients);
      ratios.add(target.name, reached / base);
      if (target.pid !== undefined) {
        costs.add(target.name, (processorUs(target.pid) - usedUs) / (reached * Number(values.seconds)));
      }
    }
  }
  console.log(`\npgbench ${values.workload} -M ${mode}, ${clients} clients, direct ${median(absolute).toFixed(0)}/s`);
  const [reference = ""] = ratios.names.filter((name) => name === "haproxy");
  for (const name of ratios.names) {
    const list = ratios.of(name);
    const beside = list.map((ratio, index) => ratio / (ratios.of(reference)[index] ?? Number.NaN));
    const cost = costs.of(name).length === 0 ? "" : `  ${median(costs.of(name)).toFixed(1)} µs of processor time each`;
    const spread = `(${Math.min(...list).toFixed(2)}–${Math.max(...list).toFixed(2)})`;
    console.log(
      `  ${name.padEnd(22)} ${median(list).toFixed(2)} × direct ${spread}  ${median(beside).toFixed(2)} × haproxy${cost}`,
    );
  }
}

try {
  const { port } = server;
  await pgbench(port, ["-i", "-q", "-s", "1"]);
  const all = [await stage.haproxy("haproxy", port), await pgBouncer(port), await querycop(port, false)];
  if (values.audit) all.push(await querycop(port, true));
  if (values.beside !== "") all.push(await querycop(port, false, values.beside));
  const targets = all.filter(({ name }) => name.includes(values.only));
  for (const mode of values.modes.split(",")) {
    for (const clients of values.clients.split(",").map(Number)) await measure(targets, mode, clients);
  }
} finally {
  await stage.end();
}
