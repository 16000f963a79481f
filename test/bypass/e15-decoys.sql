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
