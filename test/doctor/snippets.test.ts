import assert from "node:assert/strict";
import { it } from "node:test";
import type { ListenerConfig } from "../../src/config/schema.ts";
import { connectionSnippets } from "../../src/doctor/snippets.ts";

function snippetsOf(listen: object, tlsMode: string): Map<string, string> {
  const listener = { listen, proxy: { tlsMode } } as unknown as ListenerConfig;
  return new Map(connectionSnippets(listener, "app").map(({ driver, text }) => [driver, text]));
}

it("connectionSnippets() verifies where the listener has TLS", () => {
  const snippets = snippetsOf({ host: "0.0.0.0", port: 15_336 }, "require");
  assert.match(snippets.get("mysql") ?? "", /--host=QUERYCOP_HOST --port=15336 .*--ssl-mode=VERIFY_IDENTITY --ssl-ca=/);
  assert.match(snippets.get("JDBC") ?? "", /sslMode=VERIFY_IDENTITY/);
  for (const driver of ["mysql2", "PyMySQL", "PHP", "Ruby"]) assert.match(snippets.get(driver) ?? "", /ca-of-querycop/);
  assert.match(snippets.get("Go") ?? "", /\?tls=true/);
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
