-- expect: block dialect=mariadb
BEGIN NOT ATOMIC DELETE FROM pub; END
-- expect: block dialect=mariadb
SET STATEMENT max_statement_time = 1 FOR DELETE FROM pub
-- expect: block pol.deny.table dialect=mariadb
SET STATEMENT max_statement_time = 1 FOR SELECT word FROM secret
-- expect: block pol.readonly
WITH a AS (SELECT 1) DELETE FROM pub WHERE id IN (SELECT * FROM a)
-- expect: block pol.readonly
WITH a AS (SELECT 1 AS id) UPDATE pub, a SET name = 'x' WHERE pub.id = a.id
-- expect: block pol.deny.table
EXPLAIN ANALYZE SELECT word FROM secret
-- expect: block pol.readonly
EXPLAIN ANALYZE SELECT touch_everything()
-- expect: block dialect=mariadb
ANALYZE DELETE FROM pub
-- expect: block dialect=mariadb
ANALYZE FORMAT=JSON UPDATE pub SET name = 'x'
-- expect: block pol.deny.table
TABLE secret
-- expect: block pol.deny.table
(TABLE secret)
-- expect: block pol.deny.table
TABLE pub UNION TABLE secret
-- expect: block pol.deny.table
VALUES ROW((SELECT word FROM secret LIMIT 1))
-- expect: block pol.deny.table
(((SELECT word FROM secret)))
-- expect: block pol.deny.table
((SELECT name FROM pub) UNION (SELECT word FROM secret))
-- expect: block pol.deny.table
DO (SELECT word FROM secret LIMIT 1)
-- expect: block pol.deny.table
HANDLER secret OPEN
-- expect: block pol.deny.table
HANDLER secret READ FIRST
-- expect: block pol.deny.table
SELECT * FROM secret PROCEDURE ANALYSE()
-- expect: block pol.deny.table
DESC secret
-- expect: block pol.deny.table
SHOW CREATE TABLE secret
-- expect: block pol.deny.table
SHOW COLUMNS FROM secret
-- expect: block pol.deny.table
SHOW FULL FIELDS IN secret FROM qc_scratch
-- expect: block pol.deny.table
SHOW INDEX FROM secret
-- expect: block pol.deny.table
CHECKSUM TABLE secret
-- expect: block pol.readonly
LOAD INDEX INTO CACHE pub
-- expect: block pol.readonly
ANALYZE TABLE pub
-- expect: block pol.readonly
FLUSH TABLES
-- expect: block pol.readonly
XA COMMIT 'x'
-- expect: block dyn.unknown
FROBNICATE TABLE secret
-- expect: block pol.readonly
DELETE pub FROM pub JOIN pub p2 USING (id)
-- expect: block pol.readonly
DELETE FROM a USING pub AS a
-- expect: block pol.readonly
INSERT IGNORE pub VALUES (9, 'x')
-- expect: block pol.readonly
INSERT pub SET id = 9
-- expect: block pol.readonly
REPLACE pub VALUES (1, 'x')
-- expect: block pol.readonly
REPLACE DELAYED INTO pub VALUES (1, 'x')
-- expect: block pol.readonly
CREATE TEMPORARY TABLE pub (id INT)
-- expect: block pol.readonly
IMPORT TABLE FROM '/tmp/pub.sdi'
-- expect: block pol.deny.table
SELECT JSON_ARRAYAGG(word) FROM secret
-- expect: block pol.deny.table
SELECT j.w FROM pub, JSON_TABLE((SELECT JSON_ARRAY(word) FROM secret LIMIT 1), '$[*]' COLUMNS (w TEXT PATH '$')) AS j
