import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lavaConnections } from "../../src/connections/lava-import.ts";

const AURORA = {
  conn_id: { S: "Prod/Reporting" },
  type: { S: "mysql-aurora" },
  enabled: { BOOL: true },
  host: { S: "db.example.com" },
  port: { N: "3306" },
  user: { S: "report" },
  database: { S: "shop" },
  ssl: { BOOL: true },
  ca_cert: { S: "/etc/rds.pem" },
  preserve_case: { BOOL: true },
};

describe("lavaConnections()", () => {
  it("takes what DynamoDB prints and exports, and says what it renames", () => {
    const forms = [
      JSON.stringify({ Items: [AURORA], Count: 1 }),
      JSON.stringify({ Item: AURORA }),
      `${JSON.stringify({ Item: AURORA })}\n`,
      JSON.stringify([{ ...AURORA }]),
    ];
    for (const text of forms) {
      const result = lavaConnections(text);
      assert.ok("yaml" in result);
      assert.match(result.yaml, /^connections:\n {2}prod-reporting:\n/);
      for (const line of ['host: "db.example.com"', 'port: "3306"', 'user: "report"', 'tls_ca_file: "/etc/rds.pem"'])
        assert.ok(result.yaml.includes(`    ${line}\n`), line);
      assert.doesNotMatch(result.yaml, /enabled|ssl|preserve_case/);
      assert.match(result.notes.join("\n"), /Prod\/Reporting: is named prod-reporting here/);
    }
  });

  it("keeps a password's parameter, a secret, and that a connection is switched off as lava has it by default", () => {
    const plain = [
      { conn_id: "a", type: "mysql", password: "/lava/prod/a", user: "u", host: "h", enabled: true },
      { conn_id: "b", type: "mariadb-rds", secret_id: "prod/b" },
      { conn_id: "c", type: "postgres", host: "h" },
    ];
    const result = lavaConnections(JSON.stringify(plain));
    assert.ok("yaml" in result);
    assert.match(result.yaml, /a:\n[\s\S]*password_parameter: "\/lava\/prod\/a"/);
    assert.match(result.yaml, /b:\n {4}secret_id: "prod\/b"\n {4}enabled: off/);
    assert.doesNotMatch(result.yaml, /^ {2}c:/m);
    assert.match(result.notes.join("\n"), /c: left out, its type postgres/);
  });

  it("refuses what is none of lava's", () => {
    for (const text of ["", "nothing", "7", '["a"]']) assert.ok("problem" in lavaConnections(text), text);
  });
});
