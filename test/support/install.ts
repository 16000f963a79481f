/**
 * Gets the real servers, clients and tools that tests and benchmarks want.
 * Run it ahead of the tests to separate download time from test time: `bun test/support/install.ts all`.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { run, runChecked } from "./child.ts";
import { type DebianRoot, installRoot, type RootRecipe, SERVERS_CACHE } from "./debian-root.ts";
import { withLock } from "./lock.ts";

export type RootName =
  | "mariadb"
  | "mysql"
  | "mariadb11"
  | "postgresql"
  | "postgresql17"
  | "postgresql18"
  | "psql"
  | "psql18"
  | "libpq-dev"
  | "clients"
  | "moto"
  | "sqlalchemy"
  | "drivers"
  | "go"
  | "postgresql-drivers"
  | "postgresql-go"
  | "bench"
  | "pgbouncer";

/** `alone`: the packages that hold server plugins, the dump programs and PostgreSQL's server. */
const RECIPES: Readonly<Record<RootName, RootRecipe>> = {
  mariadb: {
    name: "mariadb",
    suite: "bookworm",
    packages: ["mariadb-server-core", "mariadb-client-core"],
    alone: ["mariadb-server", "mariadb-client"],
  },
  mysql: {
    name: "mysql",
    suite: "sid",
    packages: ["mysql-server-core", "mysql-client-core", "mysql-router"],
    alone: [],
  },
  mariadb11: {
    name: "mariadb11",
    suite: "trixie",
    packages: ["mariadb-server-core", "mariadb-client-core"],
    alone: ["mariadb-server", "mariadb-client"],
  },
  // The server alone with the libraries it is linked with: not the compiler that it loads for large queries.
  postgresql: {
    name: "postgresql",
    suite: "bookworm",
    packages: [
      ...["libpq5", "libssl3", "libxml2", "libicu72", "libldap-2.5-0", "libgssapi-krb5-2", "libpam0g", "liblz4-1"],
      ...["libzstd1", "libselinux1", "libsystemd0", "libuuid1", "libstdc++6", "zlib1g"],
    ],
    alone: ["postgresql-15"],
  },
  postgresql17: {
    name: "postgresql17",
    suite: "trixie",
    packages: [
      ...["libpq5", "libssl3t64", "libxml2", "libicu76", "libldap2", "libgssapi-krb5-2", "libpam0g", "liblz4-1"],
      ...["libzstd1", "libselinux1", "libsystemd0", "libuuid1", "libstdc++6", "zlib1g"],
    ],
    alone: ["postgresql-17"],
  },
  postgresql18: {
    name: "postgresql18",
    suite: "sid",
    packages: [
      ...["libpq5", "libssl3t64", "libxml2-16", "libicu78", "libldap2", "libgssapi-krb5-2", "libpam0g", "liblz4-1"],
      ...["libzstd1", "libselinux1", "libsystemd0", "libuuid1", "libstdc++6", "zlib1g", "libnuma1", "liburing2"],
    ],
    alone: ["postgresql-18"],
  },
  psql: {
    name: "psql",
    suite: "bookworm",
    packages: ["libpq5", "libreadline8", "libssl3", "zlib1g", "liblz4-1", "libzstd1"],
    alone: ["postgresql-client-15"],
  },
  psql18: {
    name: "psql18",
    suite: "sid",
    packages: ["libpq5", "libreadline8t64", "libssl3t64", "zlib1g", "liblz4-1", "libzstd1"],
    alone: ["postgresql-client-18"],
  },
  // Headers, and what PostgreSQL's own programs are linked with besides libpq.
  "libpq-dev": {
    name: "libpq-dev",
    suite: "bookworm",
    packages: [],
    alone: ["libpq-dev", "postgresql-server-dev-15"],
  },
  clients: {
    name: "clients",
    suite: "bookworm",
    packages: ["python3", "python3-pymysql", "python3-cryptography"],
    alone: [],
  },
  // AWS as far as secrets, parameters and roles go. The last one is no dependency of it, but it is imported.
  moto: {
    name: "moto",
    suite: "trixie",
    packages: ["python3-moto", "python3-flask-cors"],
    alone: [],
  },
  sqlalchemy: {
    name: "sqlalchemy",
    suite: "bookworm",
    packages: ["python3", "python3-sqlalchemy", "python3-pymysql", "python3-cryptography"],
    alone: [],
  },
  drivers: {
    name: "drivers",
    suite: "bookworm",
    packages: [
      "python3-mysqldb",
      "php8.2-cli",
      "php8.2-mysql",
      "php8.2-common",
      "openjdk-17-jre-headless",
      "libmariadb-java",
      "libecj-java",
    ],
    alone: [],
  },
  go: {
    name: "go",
    suite: "bookworm",
    packages: ["golang-1.19-go", "golang-1.19-src", "golang-github-go-sql-driver-mysql-dev"],
    alone: [],
  },
  // Java is that of the other drivers, and Go likewise: what they need of it has no dependencies that count.
  "postgresql-drivers": {
    name: "postgresql-drivers",
    suite: "bookworm",
    packages: [
      ...["python3", "python3-psycopg2", "python3-psycopg", "python3-asyncpg", "python3-sqlalchemy"],
      ...["php8.2-cli", "php8.2-pgsql", "php8.2-common"],
    ],
    alone: ["libpostgresql-jdbc-java"],
  },
  "postgresql-go": {
    name: "postgresql-go",
    suite: "bookworm",
    packages: [],
    alone: [
      ...["pgx-v4", "pgconn", "pgtype", "pgio", "pgproto3-v2", "pgpassfile", "pgservicefile", "chunkreader-v2"].map(
        (name) => `golang-github-jackc-${name}-dev`,
      ),
      ...["golang-github-lib-pq-dev", "golang-golang-x-crypto-dev", "golang-golang-x-text-dev"],
    ],
  },
  bench: {
    name: "bench",
    suite: "bookworm",
    packages: ["haproxy", "sysbench"],
    alone: [],
  },
  pgbouncer: {
    name: "pgbouncer",
    suite: "bookworm",
    packages: ["libc-ares2", "libevent-2.1-7", "libpam0g", "libssl3", "libsystemd0"],
    alone: ["pgbouncer"],
  },
};

/** Programs that must be on the PATH, with the Debian packages that bring them. */
const TOOLS = {
  gcc: { versionArgument: "--version", packages: ["gcc", "libc6-dev"] },
  openssl: { versionArgument: "version", packages: ["openssl"] },
  aws: { versionArgument: "--version", packages: ["awscli"] },
  ip: { versionArgument: "-Version", packages: ["iproute2"] },
} as const;

type ToolName = keyof typeof TOOLS;

const APT_TIMEOUT_MS = 10 * 60_000;

export async function installServerRoot(name: RootName): Promise<DebianRoot> {
  return await installRoot(RECIPES[name]);
}

async function works(tool: ToolName): Promise<boolean> {
  return await run(tool, [TOOLS[tool].versionArgument]).then(
    (result) => result.code === 0,
    () => false,
  );
}

/** Makes sure that a program is on the PATH: installs its Debian packages when root, else says what to install. */
export async function requireTool(tool: ToolName): Promise<void> {
  if (await works(tool)) return;
  const { packages } = TOOLS[tool];
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    throw new Error(`Looking for ${tool} on the PATH: it is missing. Run as root: ${command}`);
  }
  mkdirSync(SERVERS_CACHE, { recursive: true });
  await withLock(join(SERVERS_CACHE, "system-apt.lock"), APT_TIMEOUT_MS, async () => {
    if (await works(tool)) return;
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await runChecked("sh", ["-c", command], { env, timeoutMs: APT_TIMEOUT_MS });
  });
  if (!(await works(tool))) throw new Error(`Installing ${packages.join(" ")}: done, but ${tool} is still not usable.`);
}

function isRootName(name: string): name is RootName {
  return name in RECIPES;
}

async function main(args: readonly string[]): Promise<void> {
  const names = args.includes("all") || args.length === 0 ? Object.keys(RECIPES) : args;
  for (const name of names) {
    if (!isRootName(name)) throw new Error(`Unknown part "${name}". Known: ${Object.keys(RECIPES).join(", ")}, all.`);
    const root = await installServerRoot(name);
    process.stdout.write(`${name}: ${root.folder}\n`);
  }
  for (const tool of ["gcc", "openssl", "aws"] as const) await requireTool(tool);
}

if (import.meta.main) await main(process.argv.slice(2));
