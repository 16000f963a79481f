import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseDatabaseSecret } from "../../src/connections/secret-text.ts";

const text = (fields: Readonly<Record<string, unknown>>): string => JSON.stringify(fields);
const BOTH = { username: "app", password: "pass word" };

describe("parseDatabaseSecret()", () => {
  it("reads the shapes that Amazon RDS and its rotation functions write", () => {
    const password = Uint8Array.from(Buffer.from("pass word"));
    const read = (fields: Readonly<Record<string, unknown>>) => {
      const { password: bytes, ...rest } = parseDatabaseSecret(text(fields), "mysql");
      assert.deepEqual(Uint8Array.from(bytes), password);
      return rest;
    };
    assert.deepEqual(read(BOTH), { user: "app", remarks: [] });
    const whole = { ...BOTH, engine: "aurora-mysql", host: "db.example.com", port: "3307", dbname: "shop" };
    const said = { user: "app", host: "db.example.com", port: 3307, database: "shop", remarks: [] };
    assert.deepEqual(read(whole), said);
    assert.deepEqual(read({ ...whole, port: 3307, masterarn: "arn:…", dbInstanceIdentifier: "x", ssl: true }), said);
    assert.deepEqual(read({ ...BOTH, port: "", host: null }), { user: "app", remarks: [] });
    assert.match(read({ ...BOTH, ssl: "false" }).remarks.join(), /no effect/);
    assert.deepEqual(read({ password: "pass word" }), { remarks: [] });
  });

  it("takes the secrets of databases that speak the protocol of backend.engine, and no others", () => {
    for (const engine of ["postgres", "aurora-postgresql"]) {
      assert.equal(parseDatabaseSecret(text({ ...BOTH, engine }), "postgresql").user, BOTH.username);
      assert.throws(() => parseDatabaseSecret(text({ ...BOTH, engine }), "mysql"), /does not speak MySQL's/);
    }
    assert.throws(
      () => parseDatabaseSecret(text({ ...BOTH, engine: "aurora-mysql" }), "postgresql"),
      /"aurora-mysql" does not speak PostgreSQL's protocol, as backend.engine says/,
    );
  });

  it("says what is wrong without a word of what is secret", () => {
    const refused: readonly (readonly [secret: string, why: RegExp])[] = [
      ["hunter2", /no JSON/],
      ['["hunter2"]', /no JSON object/],
      [text({ username: "app" }), /no text under password/],
      [text({ ...BOTH, password: "" }), /empty/],
      [text({ ...BOTH, password: 7 }), /no text under password/],
      [text({ ...BOTH, password: "hunter2\0" }), /NUL/],
      [text({ ...BOTH, password: "hunter2".repeat(200) }), /more than 1024 bytes/],
      [text({ ...BOTH, engine: "postgres" }), /"postgres" does not speak MySQL/],
      [text({ ...BOTH, engine: 5 }), /engine does not speak/],
      [text({ ...BOTH, port: "99999" }), /port/],
      [text({ ...BOTH, port: 1.5 }), /port/],
      [text({ ...BOTH, host: 5 }), /host is no text/],
      [`"${"hunter2".repeat(10_000)}"`, /characters/],
    ];
    for (const [secret, why] of refused) {
      assert.throws(
        () => parseDatabaseSecret(secret, "mysql"),
        (error: Error) => why.test(error.message) && !error.message.includes("hunter2"),
        secret.slice(0, 60),
      );
    }
  });
});
