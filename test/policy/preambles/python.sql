SET NAMES utf8mb4
SET NAMES utf8mb4 COLLATE utf8mb4_general_ci
SET AUTOCOMMIT = 0
SET AUTOCOMMIT = 1
SELECT VERSION()
SHOW WARNINGS
SELECT DATABASE()
SELECT @@transaction_isolation
SELECT @@tx_isolation
SHOW VARIABLES LIKE 'sql_mode'
SHOW VARIABLES LIKE 'lower_case_table_names'
SELECT @@lower_case_table_names
SELECT @@sql_mode
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1
SELECT CAST('test unicode returns' AS CHAR(60)) AS anon_1
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1
SELECT 1
DESCRIBE `shop`.`orders`
SHOW CREATE TABLE `orders`
SHOW FULL TABLES FROM `shop`
ROLLBACK
COMMIT
SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SET SQL_AUTO_IS_NULL = 0
SELECT @@SQL_AUTO_IS_NULL
SET foreign_key_checks=0
SET foreign_key_checks=1
SELECT engine FROM information_schema.engines WHERE support = 'DEFAULT'
SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE()
SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`, c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c WHERE kc.table_schema = DATABASE() AND c.table_schema = kc.table_schema AND c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'auth_group' ORDER BY kc.`ordinal_position`
SHOW INDEX FROM `auth_group`
