-- expect: block pol.readonly
SELECT name FROM pub INTO OUTFILE '/tmp/qc_out'
-- expect: block pol.readonly
SELECT name INTO DUMPFILE '/tmp/qc_out' FROM pub
-- expect: block pol.readonly
SELECT LOAD_FILE('/etc/hostname')
-- expect: block pol.readonly
LOAD DATA INFILE '/tmp/x' INTO TABLE pub
-- expect: block pol.readonly
LOAD DATA LOCAL INFILE '/tmp/x' INTO TABLE pub
-- expect: block pol.readonly
LOAD XML INFILE '/tmp/x' INTO TABLE pub
-- expect: block pol.readonly
LOAD DATA FROM S3 's3-us-east-1://bucket/key' INTO TABLE pub
-- expect: block pol.readonly
SELECT * FROM pub INTO OUTFILE S3 's3-us-east-1://bucket/key'
-- expect: block pol.readonly
SELECT lambda_sync('arn:aws:lambda:us-east-1:1:function:f', '{}')
-- expect: block
CALL mysql.lambda_async('arn:aws:lambda:us-east-1:1:function:f', '{}')
-- expect: block
CALL mysql.rds_set_external_master('h', 3306, 'u', 'p', 'f', 4, 0)
-- expect: block aws.proc under=default
CALL mysql.rds_set_external_source('h', 3306, 'u', 'p', 'f', 4, 0)
-- expect: block adm.plugin under=default
INSTALL PLUGIN p SONAME 'p.so'
-- expect: block adm.plugin under=default
INSTALL COMPONENT 'file://component_x'
-- expect: block adm.udf under=default
CREATE FUNCTION sys_eval RETURNS STRING SONAME 'udf.so'
-- expect: block adm.udf under=default
CREATE AGGREGATE FUNCTION IF NOT EXISTS sys_eval RETURNS STRING SONAME 'udf.so'
-- expect: block adm.repl under=default
CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY 'p'
-- expect: block adm.repl under=default
CLONE LOCAL DATA DIRECTORY = '/tmp/clone'
-- expect: block pol.readonly
CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '192.0.2.1')
-- expect: block pol.readonly
CREATE TABLE remote (id INT) ENGINE=FEDERATED CONNECTION='mysql://u@192.0.2.1/d/t'
-- expect: block adm.repl under=default
CHANGE REPLICATION SOURCE TO SOURCE_HOST = '192.0.2.1'
-- expect: block adm.repl under=default
CHANGE MASTER TO MASTER_HOST = '192.0.2.1'
