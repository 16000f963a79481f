-- expect: block pol.readonly
LOCK TABLES pub WRITE
-- expect: block pol.readonly
FLUSH TABLES WITH READ LOCK
-- expect: block pol.readonly
LOCK INSTANCE FOR BACKUP
-- expect: block pol.readonly
SET GLOBAL max_connections = 1
-- expect: block pol.readonly
SET @@global.read_only = 1
-- expect: block pol.readonly
SET PERSIST max_connections = 1
-- expect: block pol.readonly
SET @@persist_only.max_connections = 1
-- expect: block pol.readonly
SET autocommit = 1, GLOBAL max_connections = 1
-- expect: block pol.readonly
SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE
-- expect: block pol.readonly
KILL 1
-- expect: block adm.shutdown under=default
SHUTDOWN
-- expect: block adm.shutdown under=default
RESTART
-- expect: block adm.repl under=default
PURGE BINARY LOGS BEFORE '2026-01-01'
-- expect: block adm.repl under=default
RESET MASTER
-- expect: block adm.repl under=default
RESET BINARY LOGS AND GTIDS
-- expect: block adm.repl under=default
STOP REPLICA
-- expect: block adm.repl under=default
STOP SLAVE
-- expect: block adm.instance under=default
ALTER INSTANCE ROTATE INNODB MASTER KEY
-- expect: warn level=high under=default
SELECT name FROM pub WHERE id = BENCHMARK(100000000, MD5('x'))
-- expect: warn level=high under=default
SELECT name FROM pub WHERE id = 1 AND SLEEP(9)
-- expect: block priv.grant under=default
GRANT ALL ON *.* TO 'x'@'%'
-- expect: block ddl.dropdb under=default
DROP SCHEMA IF EXISTS qc_scratch
-- expect: block adm.setvar under=default level=high
SET sql_log_bin = 0, NAMES gbk
