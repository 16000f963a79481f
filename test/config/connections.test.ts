/** `connections:` in the file: what is taken, what is refused, and what a listener makes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { load, writeFile } from "./folder.ts";
import { selfSigned } from "./self-signed.ts";

const bundle = writeFile("connections-ca.pem", selfSigned("connections").cert);
const RDS = "mydb.cluster-abcdefghijkl.eu-central-1.rds.amazonaws.com";

async function loadConnections(yaml: string) {
  const file = writeFile("connections.yaml", yaml);
  return await loadConfig({ env: {}, flags: new Map(), file, use: "connections" });
}

const indent = (text: string): string => text.replaceAll(/^/gm, "    ");
const oneOf = (entry: string): string => `connections:\n  reporting:\n${indent(entry)}\n`;

async function problemsOf(entry: string): Promise<string> {
  const result = await loadConnections(oneOf(entry));
  assert.ok(!result.ok, "it is refused");
  return result.problems.join("\n");
}

test("a connection needs no listener, verifies the server, and takes a token where nothing is said of a password", async () => {
  const result = await loadConnections(oneOf(`host: ${RDS}\nuser: report\ntls_ca_file: ${bundle}`));
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.config.listeners, []);
  const [connection] = result.config.connections;
  assert.deepEqual(connection?.account.password, { source: "iam" });
  assert.equal(connection?.listener.backend.tokenSource, "rds-signer");
  assert.equal(connection?.listener.backend.tlsMode, "verify-full");
  assert.equal(connection?.listener.backend.region, "eu-central-1");
});

test("a secret may be all that a connection says", async () => {
  const result = await loadConnections(oneOf(`secret_id: prod/ingest\ntls_ca_file: ${bundle}`));
  assert.ok(result.ok, JSON.stringify(result));
  const [connection] = result.config.connections;
  assert.deepEqual(connection?.account.password, { source: "secret", id: "prod/ingest", format: "json" });
  assert.equal(connection?.hostFromSecret, true);
});

test("what all listeners share holds for connections, but not what is for the listeners' clients", async () => {
  const shared = `max_response_mb: 7\nclient_auth: password\nusers_file: none\nlisten: { port: 4000 }\nbackend: { host: other }\n`;
  const entry = `host: ${RDS}\nuser: report\ntls_ca_file: ${bundle}`;
  const result = await loadConnections(shared + oneOf(entry));
  assert.ok(result.ok, JSON.stringify(result));
  const [connection] = result.config.connections;
  assert.equal(connection?.listener.responseBytesMax, 7_000_000);
  assert.equal(connection?.listener.backend.host, RDS);
});

test("a password in the file is refused, and the five places for it are named", async () => {
  const told = await problemsOf(`host: ${RDS}\nuser: report\npassword: hunter2\ntls_ca_file: ${bundle}`);
  assert.match(told, /connections\.yaml:5 connections\.reporting\.password: .*iam, secret, parameter, command or file/);
  assert.doesNotMatch(told, /hunter2/);
});

test("what makes no sense in a connection is told by its own keys", async () => {
  const file = "password_file: /run/nothing";
  const cases: readonly (readonly [entry: string, told: RegExp])[] = [
    [`host: ${RDS}\ntls_ca_file: ${bundle}`, /reporting\.user: missing: a password from iam/],
    [`user: u\ntls_ca_file: ${bundle}\n${file}`, /reporting\.host: missing: a password from file/],
    [`host: db\nuser: u\n${file}`, /reporting\.tls_ca_file: verify-full needs it/],
    [`host: db\nuser: u\n${file}\ntls_mode: require`, /reporting\.tls_mode: require does not verify the server/],
    [`host: db\nuser: u\n${file}\ntls_mode: disable`, /reporting\.tls_mode: disable does not verify the server/],
    [`host: ${RDS}\nuser: u\ntls_mode: disable`, /reporting\.tls_mode: disable could send a login token in plaintext/],
    [`host: db\nuser: u\npassword_source: secret`, /reporting\.password_source: secret needs secret_id/],
    [
      `host: db\nuser: u\n${file}\npassword_cmd: x\ntls_ca_file: ${bundle}`,
      /password_file: has no effect beside command/,
    ],
    [`host: db\nuser: u\nusr: x`, /reporting\.usr: unknown key, did you mean user\?/],
  ];
  for (const [entry, told] of cases) assert.match(await problemsOf(entry), told, entry);
  const local = await loadConnections(oneOf(`host: 127.0.0.1\nuser: u\n${file}\ntls_mode: disable`));
  assert.ok(local.ok, "on this machine nobody stands between");
  const name = await loadConnections(`connections:\n  Bad Name:\n    host: x\n`);
  assert.match(name.ok ? "" : name.problems.join(), /connections\.Bad Name: expected a name of/);
});

test("a listener leads to a connection, which its own backend must not be set beside", async () => {
  const entry = oneOf(`host: ${RDS}\nuser: report\ntls_ca_file: ${bundle}\npassword_file: /run/nothing`);
  const good = await load({ yaml: `${entry}connection: reporting\n` });
  assert.ok(good.ok, JSON.stringify(good));
  const [listener] = good.config.listeners;
  assert.equal(listener?.backend.host, RDS);
  assert.equal(listener?.backend.tokenSource, "password");
  assert.equal(listener?.clientAuth, "trust");
  assert.ok(good.warnings.some((text) => text.includes("client_auth")));
  const open = await load({ yaml: `${entry}connection: reporting\nlisten: { host: 0.0.0.0 }\n` });
  assert.match(open.ok ? "" : open.problems.join("\n"), /client_auth: must be chosen/);
  const both = await load({ yaml: `${entry}connection: reporting\nbackend: { host: other }\n` });
  assert.match(both.ok ? "" : both.problems.join("\n"), /backend\.host: has no effect beside connection/);
  const unknown = await load({ yaml: `${entry}connection: reportin\n` });
  assert.match(
    unknown.ok ? "" : unknown.problems.join("\n"),
    /connection: no connection is named .*did you mean reporting/,
  );
  const secret = oneOf(`secret_id: s\ntls_ca_file: ${bundle}`);
  const hostless = await load({ yaml: `${secret}connection: reporting\n` });
  assert.match(hostless.ok ? "" : hostless.problems.join("\n"), /set host of connection reporting/);
  const off = await load({ yaml: `${entry.replace("user:", "enabled: off\n    user:")}connection: reporting\n` });
  assert.match(off.ok ? "" : off.problems.join("\n"), /reporting is not enabled/);
});
