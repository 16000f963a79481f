-- expect: block pol.deny.table escapes
SELECT 'a\x00b' AS a UNION SELECT word FROM secret
-- expect: block pol.deny.table escapes
SELECT name FROM pub /* \x00 */ UNION SELECT word FROM secret
-- expect: block pol.deny.table escapes
SELECT name FROM pub WHERE name = '\x00' UNION SELECT word FROM secret
-- expect: block pol.deny.table escapes
SELECT word FROM secret\x00
-- expect: block pol.readonly escapes
DELETE FROM pub\x00\x00
