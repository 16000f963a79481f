-- expect: block pol.deny.table
SELECT(word)FROM(secret)
-- expect: block pol.deny.table
SELECT`word`FROM`secret`
-- expect: block pol.deny.table
SELECT+id,word FROM secret
-- expect: block pol.deny.table
SELECT-id,word FROM secret
-- expect: block pol.deny.table
SELECT!id,word FROM secret
-- expect: block pol.deny.table
SELECT~id,word FROM secret
-- expect: block pol.deny.table
SELECT@a:=word FROM secret
-- expect: block pol.deny.table
SELECT"x",word FROM secret
-- expect: block
SELECT.5,word FROM secret
-- expect: block pol.deny.table
SELECT 1e1,word from secret
-- expect: block pol.deny.table
SELECT 1e1from secret
-- expect: block pol.deny.table
SELECT 1.FROM secret
-- expect: block pol.deny.table
SELECT/**/word/**/FROM/**/secret
-- expect: block pol.deny.table
SELECT/*x*/word/*-- */FROM/*#*/secret
-- expect: block pol.deny.table escapes
SELECT\x0bword\x0cFROM\x0dsecret
-- expect: block pol.deny.table escapes
SELECT\x09word\x0aFROM\x0asecret
-- expect: block pol.deny.table
SELECT name FROM pub -- the rest
UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub --	tab
UNION SELECT word FROM secret
-- expect: block pol.deny.table escapes
SELECT name FROM pub --\x01 control
UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub #comment
UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id=1--1 UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id=1--(1)UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT 1--1 AS n UNION SELECT word FROM secret
-- expect: block pol.deny.table escapes
SELECT name FROM pub #\x0dcarriage return is no end of line
UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = 1.0UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = 1e0UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = .1UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE name = 'a'UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = (1)UNION(SELECT word FROM secret)
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = 0x1 UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = \N UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE (id)=(1)union distinct select all word from secret
-- expect: block pol.deny.table
SeLeCt WoRd FrOm SeCrEt
-- expect: block pol.deny.table
SELECT {x word} FROM {oj secret LEFT JOIN pub ON pub.id = secret.id}
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = {x 1} UNION SELECT word FROM secret
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id IN (SELECT id FROM secret)
-- expect: block pol.deny.table
SELECT name FROM pub, (secret)
-- expect: block pol.deny.table
SELECT name FROM pub JOIN (secret, pub p2) ON 1
-- expect: block pol.deny.table
SELECT name FROM pub LEFT JOIN (pub a JOIN secret b ON 1) ON 1
-- expect: block pol.deny.table
SELECT name FROM pub NATURAL JOIN secret
-- expect: block pol.deny.table
SELECT name FROM pub STRAIGHT_JOIN secret
-- expect: block pol.deny.table
WITH pub AS (SELECT word AS name FROM secret) SELECT name FROM pub
-- expect: block pol.deny.table
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, secret WHERE n < 2) SELECT n FROM r
-- expect: block pol.deny.table
WITH secret2 AS (SELECT id FROM pub) SELECT word FROM secret
-- expect: block pol.deny.table
SELECT (WITH secret AS (SELECT 1 AS word) SELECT word FROM secret) AS w, word FROM secret
-- expect: block pol.deny.table
SELECT * FROM (SELECT * FROM (SELECT word FROM secret) AS a) AS b
-- expect: block pol.deny.table
SELECT name FROM pub ORDER BY (SELECT word FROM secret LIMIT 1)
-- expect: block pol.deny.table
SELECT name FROM pub GROUP BY name HAVING (SELECT COUNT(*) FROM secret) > 0
-- expect: block pol.deny.table
SELECT MAX(id) OVER (ORDER BY (SELECT id FROM secret LIMIT 1)) FROM pub
-- expect: block pol.deny.table
SELECT name FROM pub LIMIT 0 UNION SELECT word FROM secret
-- expect: block pol.deny.table
(SELECT name FROM pub LIMIT 0) UNION (SELECT word FROM secret)
-- expect: block pol.deny.table
SELECT id FROM pub EXCEPT SELECT id FROM secret
-- expect: block pol.deny.table
SELECT id FROM pub INTERSECT SELECT id FROM secret
