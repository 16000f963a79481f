import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { decideText } from "./policy-fixture.ts";

const FOLDER = new URL("./preambles/", import.meta.url);

const POLICIES: readonly [name: string, policy: string][] = [
  ["the built-in policy", ""],
  ["a read-only policy", "read_only: true"],
  ["a policy that allows select only", "allow: { statements: [select] }"],
  ["a policy that names one schema", "schemas: [shop]"],
];

/** Sent by tools that are told to, and by migrations: a read-only user has no use for them. */
const NOT_READ_ONLY = /^(?:KILL|SELECT GET_LOCK\()/;

for (const file of readdirSync(FOLDER).sort()) {
  const statements = readFileSync(new URL(file, FOLDER), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  for (const [name, policy] of POLICIES) {
    test(`${name} lets through what ${file} holds`, () => {
      for (const sql of statements) {
        if (policy !== "" && NOT_READ_ONLY.test(sql)) continue;
        for (const context of [{}, { dialect: "mariadb", serverVersion: 101119 }] as const) {
          const decision = decideText(sql, { policy, context });
          assert.equal(
            decision.enforcedAction,
            "allow",
            `${sql}: ${decision.reason} ${JSON.stringify(decision.rules)}`,
          );
        }
      }
    });
  }
}
