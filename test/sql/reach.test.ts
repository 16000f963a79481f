import assert from "node:assert/strict";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";

const analyzed = (sql: string) => analyze(new TextEncoder().encode(sql), contextFor({}));

for (const [sql, ...expected] of [
  ["SELECT LOAD_FILE('/etc/hostname')", "load-file /etc/hostname"],
  ["SELECT LOAD_FILE(CONCAT('/etc/', name)) FROM t", "load-file"],
  ["INSERT INTO t SELECT load_file('/a') UNION SELECT LOAD_FILE('/b')", "load-file /a", "load-file /b"],
  ["PREPARE s FROM 'SELECT LOAD_FILE(''/c'')'", "load-file /c"],
  ["SELECT lambda_sync('arn:aws:lambda:us-east-1:1:function:f', '{}')", "lambda arn:aws:lambda:us-east-1:1:function:f"],
  ["SELECT mysql.lambda_async(@arn, '{}')", "lambda"],
  ["CALL mysql.lambda_async('arn:f', '{}')", "lambda arn:f"],
  ["CALL mysql.lambda_async(CONCAT('arn:', 'f'), '{}')", "lambda"],
  ["SELECT aws_sagemaker_invoke_endpoint('scorer', a) FROM t", "remote-service scorer"],
  ["SELECT aws_comprehend_detect_sentiment('private words', 'en')", "remote-service"],
  ["CALL mysql.rds_set_external_source('db.example', 3306, 'u', 'secret', 'f', 4, 0)", "remote-server db.example"],
  ["SELECT a FROM t INTO OUTFILE '/tmp/f'", "outfile /tmp/f"],
  ["SELECT a FROM t INTO OUTFILE S3 's3://bucket/key'", "s3-write s3://bucket/key"],
  ["SELECT * INTO OUTFILE S3 's3-us-west-2://b/k' FORMAT CSV HEADER MANIFEST ON FROM t", "s3-write s3-us-west-2://b/k"],
  ["LOAD DATA FROM S3 's3://bucket/key' INTO TABLE t", "s3-read s3://bucket/key"],
  ["LOAD DATA FROM S3 PREFIX 's3://bucket/p' INTO TABLE t", "s3-read-prefix s3://bucket/p"],
  ["LOAD XML FROM S3 's3://bucket/x' INTO TABLE t", "s3-read s3://bucket/x"],
  ["CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:secret@h:33/d/t'", "remote-server mysql://h:33/d/t"],
  ["CREATE TABLE t (a INT) CONNECTION='mysql://u:p@ss@h/d/t' ENGINE=FEDERATED", "remote-server mysql://h/d/t"],
  ["CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='link'", "remote-server link"],
  ["CREATE TABLE t (a INT) ENGINE=SPIDER", "remote-server"],
  ["CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'p', HOST 'h')", "remote-server h"],
  ["CREATE TABLE t (connection INT, engine INT, KEY connection (engine)) COMMENT='x'"],
] as const) {
  test(`analyze() says what it reaches: ${sql}`, () => {
    const { statements, understood } = analyzed(sql);
    const found = statements.flatMap(({ reach }) =>
      reach.map(({ type, target }) => (target === undefined ? type : `${type} ${target}`)),
    );
    assert.deepEqual(found, expected);
    assert.equal(understood, true);
  });
}

test("analyze() takes no option of a partition for a condition", () => {
  const partition = "PARTITION p VALUES LESS THAN (1) COMMENT = 'x' DATA DIRECTORY = '/d'";
  const { findings } = analyzed(`CREATE TABLE t (a INT) PARTITION BY RANGE (a) (${partition})`);
  assert.deepEqual(findings, []);
});

test("analyze() still reads the conditions of a table made from a query", () => {
  const { findings } = analyzed("CREATE TABLE t AS SELECT a FROM u WHERE a = 1 OR 1 = 1");
  assert.ok(findings.some(({ what }) => what === "or-constant-comparison"));
});
