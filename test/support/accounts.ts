/** The accounts, tables and routines that every test server has. */

export type ServerKind = "mariadb" | "mysql" | "mariadb11";

export interface Account {
  readonly user: string;
  readonly password: string;
  /** The server's authentication plugin, which is also the one a client needs, save for IAM. */
  readonly plugin: string;
  readonly requires: "nothing" | "ssl" | "x509";
}

const account = (user: string, plugin: string, requires: Account["requires"] = "nothing"): Account => ({
  user,
  password: plugin === "AWSAuthenticationPlugin" ? "" : `${user}:Passw0rd`,
  plugin,
  requires,
});

const DEFAULT_PLUGIN: Readonly<Record<ServerKind, string>> = {
  mariadb: "mysql_native_password",
  mariadb11: "mysql_native_password",
  mysql: "caching_sha2_password",
};

/** 32 characters, the longest name MySQL stores, of 3 bytes each: 96 bytes, the longest it accepts on the wire. */
const LONG_NAME = "名".repeat(32);

const IAM_PLUGIN = "AWSAuthenticationPlugin";

function pluginAccounts(kind: ServerKind): Record<string, Account> {
  if (kind === "mysql") {
    return {
      caching_sha2: account("caching_user", "caching_sha2_password"),
      sha256: account("sha256_user", "sha256_password"),
    };
  }
  const common = {
    native: account("native_user", "mysql_native_password"),
    ed25519: account("ed25519_user", "ed25519"),
  };
  return kind === "mariadb11" ? { ...common, parsec: account("parsec_user", "parsec") } : common;
}

/** The accounts of a server by purpose; those that a server's plugins do not allow are missing. */
export function accountsOf(kind: ServerKind): Readonly<Record<string, Account>> {
  const plugin = DEFAULT_PLUGIN[kind];
  return {
    ...pluginAccounts(kind),
    admin: account("admin", plugin),
    empty: { user: "empty_user", password: "", plugin, requires: "nothing" },
    ssl: account("ssl_user", plugin, "ssl"),
    x509: account("x509_user", plugin, "x509"),
    readOnly: account("readonly_user", plugin),
    expired: account("expired_user", plugin),
    longName: account(LONG_NAME, plugin),
    iam: account("iam_user", IAM_PLUGIN, "ssl"),
    iamNoSsl: account("iam_nossl", IAM_PLUGIN),
    ...(kind === "mysql" ? { mfa: account("mfa_user", plugin, "ssl") } : {}),
  };
}

function identifiedBy(kind: ServerKind, { plugin, password }: Account): string {
  if (plugin === IAM_PLUGIN) return `IDENTIFIED WITH ${plugin} AS 'RDS'`;
  if (kind === "mysql") return `IDENTIFIED WITH ${plugin} BY '${password}'`;
  if (password === "") return "IDENTIFIED BY ''";
  return `IDENTIFIED VIA ${plugin} USING PASSWORD('${password}')`;
}

const REQUIREMENT: Readonly<Record<Account["requires"], string>> = {
  nothing: "",
  ssl: " REQUIRE SSL",
  x509: " REQUIRE X509",
};

/** MySQL compares only half of so long a name with those that a schema's rights are for, hence `*.*`. */
const RIGHTS: Readonly<Record<string, string>> = {
  admin: "ALL ON *.*",
  readOnly: "SELECT ON appdb.*",
  longName: "SELECT ON *.*",
};

function accountStatements(kind: ServerKind): string[] {
  const statements: string[] = [];
  for (const [purpose, each] of Object.entries(accountsOf(kind))) {
    const secondFactor = purpose === "mfa" ? ` AND IDENTIFIED WITH ${IAM_PLUGIN} AS 'RDS'` : "";
    statements.push(
      `CREATE USER '${each.user}'@'%' ${identifiedBy(kind, each)}${secondFactor}${REQUIREMENT[each.requires]}`,
    );
    statements.push(
      `GRANT ${RIGHTS[purpose] ?? "ALL ON appdb.*"} TO '${each.user}'@'%'${purpose === "admin" ? " WITH GRANT OPTION" : ""}`,
    );
  }
  statements.push("ALTER USER 'expired_user'@'%' PASSWORD EXPIRE");
  if (kind !== "mysql") {
    // An account with a choice of plugins: the client learns the second only after the first failed.
    const choice =
      "ed25519 USING PASSWORD('multi_user:Ed25519') OR mysql_native_password USING PASSWORD('multi_user:Passw0rd')";
    statements.push(
      `CREATE USER 'multi_user'@'%' IDENTIFIED VIA ${choice}`,
      "GRANT ALL ON appdb.* TO 'multi_user'@'%'",
    );
  }
  return statements;
}

const DATA = `
CREATE DATABASE appdb CHARACTER SET utf8mb4;
CREATE DATABASE otherdb CHARACTER SET utf8mb4;
USE appdb;
CREATE TABLE items (
  id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100), price DECIMAL(10,2), made DATETIME(6), note TEXT, picture BLOB,
  big BIGINT UNSIGNED, ratio DOUBLE, flag BIT(1)
);
INSERT INTO items (name, price, made, note, picture, big, ratio, flag) VALUES
  ('apple', 1.50, '2026-01-02 03:04:05.678901', 'plain', x'00FF10', 18446744073709551615, 0.1, b'1'),
  ('grüße 名 😀', -2.25, NULL, '', x'', 0, -1e308, b'0'),
  (NULL, NULL, '1000-01-01 00:00:00', 'tab\\tnewline\\nquote\\'', NULL, NULL, NULL, NULL);
CREATE TABLE numbers (n INT PRIMARY KEY);
INSERT INTO numbers WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 300) SELECT n FROM r;
CREATE TABLE scratch (id INT PRIMARY KEY AUTO_INCREMENT, text LONGTEXT, bytes LONGBLOB);
CREATE PROCEDURE two_results() BEGIN SELECT 1 AS one; SELECT 2 AS two, 'b' AS letter; END;
CREATE PROCEDURE with_out(IN a INT, OUT b INT) SET b = a * 2;
CREATE FUNCTION twice(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a * 2;
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 2;
`;

/** Everything that is run once, as root, on a fresh server. */
export function setupSql(kind: ServerKind): string {
  const data = DATA.trim().split(/;\n/);
  return `DELIMITER //\n${[...data, ...accountStatements(kind)].map((sql) => `${sql}//`).join("\n")}\n`;
}
