-- expect: block
CALL sys.execute_prepared_stmt('DROP TABLE pub')
-- expect: block
CALL `sys`.`execute_prepared_stmt`('SELECT word FROM secret')
-- expect: block pol.readonly
CALL touch_everything()
-- expect: block pol.readonly
SELECT touch_everything()
-- expect: block pol.readonly
SELECT qc_scratch.touch_everything(1)
-- expect: block pol.readonly
SELECT `touch_everything` (1)
-- expect: block pol.readonly
DO touch_everything()
-- expect: block pol.readonly
SET @a = touch_everything()
-- expect: block pol.readonly
SELECT name FROM pub ORDER BY touch_everything(id)
-- expect: block pol.readonly
SELECT name FROM pub WHERE EXISTS (SELECT touch_everything(id))
-- expect: block pol.readonly dialect=mariadb
SELECT NEXTVAL(numbers)
-- expect: block pol.readonly dialect=mariadb
SELECT NEXT VALUE FOR numbers
-- expect: block
CALL sys.create_synonym_db('secret_schema', 'harmless')
-- expect: block file.out under=default
CALL sys.ps_trace_thread(25, '/tmp/trace.dot', 60, 0.1, TRUE, TRUE, TRUE)
-- expect: block pol.readonly
CALL mysql.rds_kill(42)
-- expect: block pol.readonly
CALL mysql.rds_kill_query(42)
-- expect: block under=default
CALL mysql.rds_kill(@id)
-- expect: block under=default
CALL mysql.rds_set_configuration('binlog retention hours', 0)
-- expect: block under=default
CALL mysql.rds_set_external_source('h', 3306, 'u', 'p', 'f', 4, 0)
-- expect: block under=default
CALL sys.execute_prepared_stmt(CONCAT('DROP', ' DATABASE qc_scratch'))
