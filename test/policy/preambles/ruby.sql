SET NAMES utf8mb4,  @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483647
SET  @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483
SELECT VERSION()
SELECT DATABASE() as db
SELECT GET_LOCK('4152467821123456789', 0)
SELECT RELEASE_LOCK('4152467821123456789')
SHOW FULL FIELDS FROM `users`
SHOW KEYS FROM `users`
SHOW CREATE TABLE `users`
SHOW VARIABLES LIKE 'collation_database'
SELECT table_name FROM (SELECT * FROM information_schema.tables WHERE table_schema = DATABASE()) _subquery WHERE _subquery.table_type = 'BASE TABLE'
SELECT fk.referenced_table_name AS 'to_table', fk.referenced_column_name AS 'primary_key', fk.column_name AS 'column', fk.constraint_name AS 'name', fk.ordinal_position AS 'position', rc.update_rule AS 'on_update', rc.delete_rule AS 'on_delete' FROM information_schema.referential_constraints rc JOIN information_schema.key_column_usage fk USING (constraint_schema, constraint_name) WHERE fk.referenced_column_name IS NOT NULL AND fk.table_schema = database() AND fk.table_name = 'users' AND rc.constraint_schema = database() AND rc.table_name = 'users'
SELECT 1
