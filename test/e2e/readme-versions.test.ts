/** README's table of what querycop was tried with, against what the tests unpack and install. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../support/document-commands.ts";
import { DRIVERS } from "../support/drivers.ts";
import { e2e } from "../support/e2e-test.ts";
import { installServerRoot, type RootName } from "../support/install.ts";

const README = readFileSync(join(PROJECT, "README.md"), "utf8");
const row = (name: string): string => new RegExp(`^\\| ${name} \\| (.*) \\|$`, "m").exec(README)?.[1] ?? "";

/** `10.11.19` of mariadb-server_1%3a10.11.19-0+deb12u1_amd64.deb, to its first two parts. */
async function versionOf(root: RootName, packageName: string): Promise<string> {
  const files = readFileSync((await installServerRoot(root)).path("versions"), "utf8").split("\n");
  const file = files.find((name) => name.startsWith(`${packageName}_`)) ?? "";
  const version = /_(?:\d+%3a)?(\d+\.\d+)/.exec(file)?.[1];
  assert.ok(version !== undefined, `${root} has ${packageName}: ${file}`);
  return version;
}

function npmVersionOf(packageName: string): string {
  const { devDependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  return (devDependencies[packageName] ?? "").split(".").slice(0, 2).join(".");
}

e2e("the servers and programs of README's table are those the tests use", async () => {
  const [mysql, mariadb, newer] = await Promise.all([
    versionOf("mysql", "mysql-server-core"),
    versionOf("mariadb", "mariadb-server-core"),
    versionOf("mariadb11", "mariadb-server-core"),
  ]);
  assert.ok(row("servers").startsWith(`MySQL ${mysql}, MariaDB ${mariadb} and ${newer},`), row("servers"));
  assert.ok(row("command line").startsWith(`mysql ${mysql}, mariadb ${mariadb} and ${newer},`), row("command line"));
});

e2e("the drivers of README's table are those of the driver matrix, in their versions", async () => {
  const php = await versionOf("drivers", "php8.2-mysql");
  const told: Readonly<Record<(typeof DRIVERS)[number], string>> = {
    mysql2: `mysql2 ${npmVersionOf("mysql2")}`,
    "mariadb-connector": `mariadb ${npmVersionOf("mariadb")}`,
    pymysql: `PyMySQL ${await versionOf("clients", "python3-pymysql")}`,
    mysqlclient: `mysqlclient ${await versionOf("drivers", "python3-mysqldb")}`,
    mysqli: `mysqli and PDO of PHP ${php}`,
    pdo: `mysqli and PDO of PHP ${php}`,
    jdbc: `MariaDB Connector/J ${await versionOf("drivers", "libmariadb-java")}`,
    go: `go-sql-driver/mysql ${await versionOf("go", "golang-github-go-sql-driver-mysql-dev")}`,
  };
  for (const driver of DRIVERS) assert.ok(row("drivers").includes(told[driver]), `${driver}: ${told[driver]}`);
});
