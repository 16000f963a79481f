import assert from "node:assert/strict";
import { it } from "node:test";
import type { ListenerConfig } from "../../src/config/schema.ts";
import { connectionSnippets } from "../../src/doctor/snippets.ts";

function snippetsOf(listen: object, tlsMode: string, tlsCert?: string, engine = "mysql"): Map<string, string> {
  const listener = { listen, proxy: { tlsMode, tlsCert }, backend: { engine } } as unknown as ListenerConfig;
  return new Map(connectionSnippets(listener, "app").map(({ driver, text }) => [driver, text]));
}

it("connectionSnippets() verifies where the listener has a certificate that can be", () => {
  const snippets = snippetsOf({ host: "0.0.0.0", port: 15_336 }, "require", "/etc/querycop/proxy.crt");
  assert.match(snippets.get("mysql") ?? "", /--host=QUERYCOP_HOST --port=15336 .*--ssl-mode=VERIFY_IDENTITY --ssl-ca=/);
  assert.match(snippets.get("JDBC") ?? "", /sslMode=VERIFY_IDENTITY/);
  for (const driver of ["mysql2", "PyMySQL", "PHP", "Ruby"]) assert.match(snippets.get(driver) ?? "", /ca-of-querycop/);
  assert.match(snippets.get("Go") ?? "", /\?tls=true/);
});

it("connectionSnippets() asks for TLS without verifying where the certificate is made at start", () => {
  const snippets = snippetsOf({ host: "10.0.0.1", port: 15_336 }, "allow");
  assert.match(snippets.get("mysql") ?? "", /-p --ssl-mode=REQUIRED$/);
  assert.match(snippets.get("mariadb") ?? "", /-p --ssl --disable-ssl-verify-server-cert$/);
  assert.match(snippets.get("JDBC") ?? "", /&sslMode=REQUIRED$/);
  for (const text of snippets.values()) assert.doesNotMatch(text, /ca-of-querycop/);
});

it("connectionSnippets() lets clients have the key that a password without TLS needs", () => {
  const snippets = snippetsOf({ host: "127.0.0.1", port: 15_336 }, "off");
  assert.match(snippets.get("mysql") ?? "", /--ssl-mode=DISABLED --get-server-public-key$/);
  assert.match(snippets.get("mariadb") ?? "", /--skip-ssl$/);
  assert.match(snippets.get("JDBC") ?? "", /sslMode=DISABLED&allowPublicKeyRetrieval=true$/);
});

it("connectionSnippets() names the unix socket where there is one, and says who cannot use it", () => {
  const snippets = snippetsOf({ host: "127.0.0.1", port: 0, socket: "/run/querycop/mysql.sock" }, "require");
  for (const driver of ["mysql", "mysql2", "PyMySQL", "Go", "PHP", "Ruby"]) {
    assert.match(snippets.get(driver) ?? "", /\/run\/querycop\/mysql\.sock/, driver);
    assert.doesNotMatch(snippets.get(driver) ?? "", /ca-of-querycop/, driver);
  }
  assert.match(snippets.get("JDBC") ?? "", /no unix sockets/);
});

it("connectionSnippets() brackets an IPv6 address where a port follows it", () => {
  const snippets = snippetsOf({ host: "fd00::1", port: 3306 }, "off");
  assert.match(snippets.get("JDBC") ?? "", /\/\/\[fd00::1\]:3306\//);
  assert.match(snippets.get("Go") ?? "", /tcp\(\[fd00::1\]:3306\)/);
});

it("connectionSnippets() names the drivers of PostgreSQL for a backend that speaks it, and no MySQL client", () => {
  const certificate = snippetsOf({ host: "0.0.0.0", port: 15_432 }, "require", "/etc/querycop/proxy.crt", "postgresql");
  assert.deepEqual([...certificate.keys()], ["psql", "JDBC", "pg", "psycopg", "pgx"]);
  for (const driver of ["psql", "psycopg", "pgx"]) {
    assert.match(
      certificate.get(driver) ?? "",
      /"host=QUERYCOP_HOST port=15432 user=app sslmode=verify-full sslrootcert=\S+ dbname=DATABASE/,
    );
  }
  assert.match(certificate.get("JDBC") ?? "", /^jdbc:postgresql:.*&sslmode=verify-full&sslrootcert=/);
  assert.match(certificate.get("pg") ?? "", /ssl: \{ ca: /);
  const selfMade = snippetsOf({ host: "fd00::1", port: 15_432 }, "allow", undefined, "postgresql");
  assert.match(selfMade.get("psql") ?? "", /^psql "host=fd00::1 port=15432 .*sslmode=require /);
  assert.match(selfMade.get("JDBC") ?? "", /\/\/\[fd00::1\]:15432\/.*sslmode=require$/);
  const off = snippetsOf({ host: "127.0.0.1", port: 15_432 }, "off", undefined, "postgresql");
  assert.match(off.get("psql") ?? "", /sslmode=disable/);
  const socket = { host: "127.0.0.1", port: 0, socket: "/run/querycop/.s.PGSQL.5432" };
  assert.match(
    snippetsOf(socket, "off", undefined, "postgresql").get("psql") ?? "",
    /host=\/run\/querycop port=5432 user=app dbname/,
  );
});
