-- expect: block pol.readonly
/* approved by the security team */ DELETE FROM pub
-- expect: block pol.readonly
/* querycop: allow */ DROP TABLE pub
-- expect: block pol.deny.table
/* hostgroup=1 */ SELECT word FROM secret
-- expect: block pol.readonly
-- SELECT 1
DELETE FROM pub
-- expect: block pol.readonly
# SELECT 1
DROP TABLE pub
-- expect: block pol.readonly
DELETE /* SELECT * FROM pub */ FROM pub
-- expect: block pol.deny.table
SELECT 'SELECT name FROM pub', word FROM secret
-- expect: block pol.deny.table dialect=mariadb
SELECT word FROM (SELECT 1) qualify, secret
-- expect: block pol.deny.table dialect=mariadb
SELECT word FROM pub FOR SYSTEM_TIME AS OF NOW() p, secret
-- expect: block pol.deny.table dialect=mariadb
SELECT word FROM pub FOR SYSTEM_TIME FROM '2020-01-01' TO NOW() JOIN secret ON 1
-- expect: block pol.deny.table dialect=mariadb
BEGIN SELECT word FROM secret; END
-- expect: block pol.readonly dialect=mariadb
SELECT NEXT VALUE FOR pub
