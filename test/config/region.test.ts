import assert from "node:assert/strict";
import { test } from "node:test";
import { regionOfHost } from "../../src/config/region.ts";

test("regionOfHost() reads every kind of RDS endpoint", () => {
  const cases: Array<[string, string]> = [
    ["mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com", "us-east-1"],
    ["mydb.cluster-ro-abcdefghijkl.eu-central-1.rds.amazonaws.com", "eu-central-1"],
    ["mydb.cluster-custom-abcdefghijkl.eu-central-1.rds.amazonaws.com", "eu-central-1"],
    ["mydb-instance-1.abcdefghijkl.ap-southeast-2.rds.amazonaws.com", "ap-southeast-2"],
    ["pool.proxy-abcdefghijkl.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"],
    ["mydb.abcdefghijkl.cn-north-1.rds.amazonaws.com.cn", "cn-north-1"],
    ["MyDB.ABCDEFGHIJKL.US-EAST-1.RDS.AMAZONAWS.COM.", "us-east-1"],
  ];
  for (const [host, region] of cases) assert.equal(regionOfHost(host), region);
});

test("regionOfHost() reads nothing from other names", () => {
  const hosts = [
    "db.internal.example.com",
    "rds.amazonaws.com",
    ".rds.amazonaws.com",
    "us-east-1.rds.amazonaws.com",
    "mydb.abc.useast1.rds.amazonaws.com",
    "mydb.abc.us-east-.rds.amazonaws.com",
    "mydb.abc.us-east-1.rds.amazonaws.com.example.com",
    "mydb.abc.us-east-1.notrds.amazonaws.com",
    "10.0.0.1",
    "",
  ];
  for (const host of hosts) assert.equal(regionOfHost(host), undefined, host);
});
