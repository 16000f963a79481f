import assert from "node:assert/strict";
import { test } from "node:test";
import { isDsqlHost, regionOfHost } from "../../src/config/region.ts";

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

test("isDsqlHost() knows the endpoints of Aurora DSQL by their whole form", () => {
  for (const host of ["abc.dsql.eu-central-1.on.aws", "ABC.DSQL.US-EAST-1.ON.AWS.", "a.b.dsql.us-east-1.on.aws"]) {
    assert.equal(isDsqlHost(host), true, host);
  }
  assert.equal(isDsqlHost("abc.dsql-fnh4.us-east-1.on.aws"), true);
  assert.equal(regionOfHost("ABC.dsql.US-EAST-1.on.aws."), "us-east-1");
  assert.equal(regionOfHost("abc.dsql-fnh4.eu-central-1.on.aws"), "eu-central-1");
  for (const host of [
    "dsql.eu-central-1.on.aws",
    "abc.dsql.on.aws",
    "abc.dsqlx.eu-central-1.on.aws",
    "abc.dsql.eucentral1.on.aws",
    "abc.dsql.eu-central-1.on.aws.example.com",
    "abc.dsql.eu-central-1.rds.amazonaws.com",
    "",
  ]) {
    assert.equal(isDsqlHost(host), false, host);
  }
});
