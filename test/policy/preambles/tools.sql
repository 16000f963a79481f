SET CHARACTER SET utf8
SET NAMES utf8
SET SQL_SAFE_UPDATES=1
SHOW SESSION VARIABLES LIKE 'lower_case_table_names'
SHOW SESSION STATUS LIKE 'Ssl_cipher'
SHOW GLOBAL STATUS
SELECT current_user()
SELECT @@sql_mode, @@version_compile_os
/* ApplicationName=DBeaver 24.0.0 - Main */ SET autocommit=1
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SELECT DATABASE()
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW FULL TABLES FROM `shop`
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW PLUGINS
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW GLOBAL VARIABLES LIKE 'lower_case_table_names'
/* ApplicationName=DBeaver 24.0.0 - Main */ SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server
/* ApplicationName=DBeaver 24.0.0 - Main */ SHOW WARNINGS
/* ApplicationName=DataGrip 2024.1 */ select database()
/* ApplicationName=DataGrip 2024.1 */ select @@session.tx_read_only
/* ApplicationName=DataGrip 2024.1 */ select table_name from information_schema.tables where table_schema collate utf8_general_ci = 'information_schema' and table_name collate utf8_general_ci = 'parameters'
/* ApplicationName=DataGrip 2024.1 */ SET SQL_SELECT_LIMIT=501
/* ApplicationName=DataGrip 2024.1 */ SET net_write_timeout=600000
SELECT @@read_only
SHOW GLOBAL VARIABLES LIKE 'read_only'
SELECT @@global.innodb_read_only read_only
SELECT GET_LOCK('Flyway-1234567890', 10)
SELECT RELEASE_LOCK('Flyway-1234567890')
SELECT SUBSTRING_INDEX(USER(),'@',1)
SHOW VARIABLES LIKE 'pxc_strict_mode'
SELECT @@foreign_key_checks, @@sql_safe_updates
SELECT COUNT(*) FROM shop.DATABASECHANGELOGLOCK
SELECT `LOCKED` FROM shop.DATABASECHANGELOGLOCK WHERE ID=1
SET lock_wait_timeout=1
SET SESSION wait_timeout=300, SESSION interactive_timeout=300
SELECT COUNT(1) FROM information_schema.TABLES
