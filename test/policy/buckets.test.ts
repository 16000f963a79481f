import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionLoads } from "../../src/base/load-rule.ts";
import { loadRulesKind } from "../../src/config/load-rules.ts";
import type { Subject } from "../../src/policy/policy.ts";
import { decideText } from "./policy-fixture.ts";

function loadsOf(...entries: readonly Readonly<Record<string, string>>[]): ConnectionLoads {
  const parsed = loadRulesKind.parse(JSON.stringify(entries));
  if ("problem" in parsed) throw new Error(parsed.problem);
  return parsed.value;
}

const LOADS = loadsOf(
  { from: "s3://ingest/sales/*", into: "shop.sales, shop.Other" },
  { from: "s3://ingest/one.csv", into: "stock.*" },
  { from: "s3://ingest/measured/*", into: "shop.sales", max_bytes: "1MiB" },
  { from: "s3://ingest/swapped/*", into: "shop.sales", modes: "replace" },
  { from: "shop.sales", into: "s3://exports/nightly/*" },
);
const AURORA: Partial<Subject> = { loads: LOADS, saysAurora: true, schema: "shop" };

/** What file.s3 says of it; "listed" where neither this rule nor file.load or file.out has anything against it. */
function said(sql: string, subject: Partial<Subject> = AURORA): string {
  const { rules, enforcedAction } = decideText(sql, { subject });
  const hit = rules.find(({ id }) => id === "file.s3");
  if (hit !== undefined) {
    assert.equal(enforcedAction, "block", sql);
    return hit.reason;
  }
  return rules.some(({ id }) => id.startsWith("file.")) ? "unlisted" : "listed";
}

const into = (address: string, table = "shop.sales"): string => `LOAD DATA FROM S3 ${address} INTO TABLE ${table}`;

for (const sql of [
  into("'s3://ingest/sales/a.csv'"),
  into("'s3://ingest/sales/a.csv'", "sales"),
  into("'s3-eu-central-1://ingest/sales/a.csv'"),
  into('"s3://ingest/sales/it\'s.csv"'),
  into("FILE 's3://ingest/sales/a.csv'"),
  into("PREFIX 's3://ingest/sales/2026/'"),
  into("PREFIX 's3://ingest/sales/'"),
  into("'s3://ingest/one.csv'", "stock.anything"),
  "load data s3 's3://ingest/sales/a.csv' replace into table shop.sales fields terminated by ',' ignore 1 lines",
  "LOAD XML FROM S3 's3://ingest/sales/a.xml' IGNORE INTO TABLE shop.Other",
  "LOAD DATA FROM /*!S3*/ 's3://ingest/sales/a.csv' INTO TABLE shop.sales",
  "SELECT id FROM shop.sales INTO OUTFILE S3 's3://exports/nightly/1'",
  "SELECT id FROM sales WHERE id = 1 INTO OUTFILE S3 's3://exports/nightly/1' FORMAT CSV HEADER OVERWRITE ON",
]) {
  test(`an object that the connection's loads list may be asked of an Aurora: ${sql}`, () => {
    assert.equal(said(sql), "listed");
    assert.match(said(sql, { ...AURORA, saysAurora: false }), /has not said that it is an Aurora/);
    assert.match(said(sql, { ...AURORA, loads: [] }), /list no (reading|writing) there/);
    const unasked = { schema: "shop", saysAurora: true };
    assert.equal(said(sql, unasked), "unlisted", "where nobody has written a list, the points stay as they are");
  });
}

for (const [sql, why] of [
  [into("'s3://ingest/other/a.csv'"), /list no reading there/],
  [into("'s3://ingest2/sales/a.csv'"), /list no reading there/],
  [into("'s3://ingest/one.csv.gz'", "stock.t"), /list no reading there/],
  [into("'S3://ingest/sales/a.csv'"), /its address is not/],
  [into("'s3://ingest/sales/../secret.csv'"), /its address is not/],
  [into("'s3://ingest/sales/a\\nb'"), /its address is not/],
  [into("'/etc/passwd'"), /its address is not/],
  [into("''"), /its address is not/],
  [into("PREFIX 's3://ingest/sales'"), /list no reading there/],
  [into("PREFIX 's3://ingest/one.csv'", "stock.t"), /list no reading there/],
  [into("PREFIX 's3://ingest/'"), /list no reading there/],
  [into("MANIFEST 's3://ingest/sales/a.manifest'"), /is not in its text/],
  [into("'s3://ingest/sales/a' COUNT 3"), /is not in its text/],
  ["LOAD DATA FROM URL 's3://ingest/sales/a' INTO TABLE shop.sales", /is not in its text/],
  ["LOAD DATA LOCAL FROM S3 's3://ingest/sales/a' INTO TABLE shop.sales", /is not in its text/],
  [into("'s3://ingest/sales/a.csv'", "shop.other"), /list no table/],
  [into("'s3://ingest/sales/a.csv'", "stock.sales"), /list no table/],
  [into("'s3://ingest/measured/a.csv'"), /to querycop load alone/],
  [into("'s3://ingest/swapped/a.csv'"), /to querycop load alone/],
  ["PREPARE s FROM 'LOAD DATA FROM S3 ''s3://elsewhere/y'' INTO TABLE shop.sales'", /list no reading there/],
  ["SELECT id FROM shop.sales INTO OUTFILE S3 's3://ingest/sales/x'", /list no writing there/],
  ["SELECT id FROM shop.member INTO OUTFILE S3 's3://exports/nightly/1'", /list no table/],
  ["SELECT id FROM shop.sales JOIN shop.member USING (id) INTO OUTFILE S3 's3://exports/nightly/1'", /list no table/],
  ["SELECT id FROM shop.sales INTO OUTFILE S3 's3://exports/nightly'", /list no writing there/],
  ["CREATE PROCEDURE p() SELECT id FROM shop.sales INTO OUTFILE S3 's3://elsewhere/y'", /list no writing there/],
] as const) {
  test(`whatever an Aurora, what the connection's loads do not list is refused: ${sql}`, () => {
    assert.match(said(sql), why);
  });
}

test("a table without a schema is no table of the list where no schema is known", () => {
  assert.match(said(into("'s3://ingest/sales/a.csv'", "sales"), { loads: LOADS, saysAurora: true }), /list no table/);
});

test("a verdict about an object is not remembered for another one", () => {
  const { isCacheable } = decideText(into("'s3://ingest/sales/a.csv'"), { subject: AURORA });
  assert.equal(isCacheable, false);
});

test("loads: entries lead into tables or out of them, and say what does not fit", () => {
  const problem = (entry: Readonly<Record<string, string>>): string => {
    const parsed = loadRulesKind.parse(JSON.stringify([entry]));
    return "problem" in parsed ? parsed.problem : "";
  };
  assert.match(problem({ from: "shop.sales", into: "s3://exports/nightly" }), /several objects/);
  assert.match(problem({ from: "shop.sales", into: "s3://exports/*", modes: "append" }), /modes has no effect/);
  assert.match(problem({ from: "sales", into: "s3://exports/*" }), /expected from as schema.table/);
  assert.match(problem({ from: "s3://a-bucket/*", into: "s3://exports/*" }), /expected into as schema.table/);
  assert.match(problem({ from: "shop.sales", into: "shop.other" }), /expected from as s3:/);
});
