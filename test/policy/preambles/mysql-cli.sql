select @@version_comment limit 1
select $$
SELECT DATABASE()
select USER()
show databases
show tables
SHOW WARNINGS
SHOW STATUS
use `shop`
