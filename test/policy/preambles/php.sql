set names 'utf8mb4' collate 'utf8mb4_unicode_ci'
set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci', SESSION sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'
use `shop`;
set time_zone='+00:00'
select table_name as `name` from information_schema.tables where table_schema = 'shop' and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name
select exists (select 1 from information_schema.tables where table_schema = 'shop' and table_name = 'migrations' and table_type in ('BASE TABLE', 'SYSTEM VERSIONED')) as `exists`
SET NAMES utf8mb4 COLLATE utf8mb4_general_ci
SET sql_mode = 'ANSI,TRADITIONAL'
SET SESSION sql_mode = 'ANSI,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO'
SELECT @@SESSION.sql_mode
SET SESSION sql_mode='NO_ZERO_IN_DATE'
SHOW FULL COLUMNS FROM `wp_options`
SHOW TABLES LIKE 'wp\_%'
SELECT option_name, option_value FROM wp_options WHERE autoload IN ( 'yes', 'on', 'auto-on', 'auto' )
SELECT @@version, @@version_comment
SET lc_messages = 'en_US'
SELECT CURRENT_USER()
SHOW SESSION VARIABLES LIKE 'FOREIGN_KEY_CHECKS'
SELECT 1 FROM DUAL
