SELECT VERSION() AS `version`
SELECT VERSION() as `version`
SELECT 1+1 AS result
SELECT DATABASE() AS `db_name`
SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE `TABLE_SCHEMA` = 'shop' AND `TABLE_NAME` = 'typeorm_metadata'
SHOW FULL TABLES FROM `shop`
SHOW INDEX FROM `users`
START TRANSACTION
START TRANSACTION;
SET autocommit = 1;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
COMMIT;
ROLLBACK;
SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME = 'users' AND TABLE_SCHEMA = 'shop'
select * from information_schema.tables where table_name = 'knex_migrations' and table_schema = database()
SELECT GET_LOCK('72707369', 10000)
select version()
SELECT @@GLOBAL.lower_case_table_names
SELECT table_name AS table_name, create_options AS create_options, table_comment AS table_comment FROM information_schema.tables WHERE table_schema = 'shop' AND table_type = 'BASE TABLE' ORDER BY BINARY table_name
SELECT @@sql_mode
SET @@session.sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'
set session sort_buffer_size = 2097152
