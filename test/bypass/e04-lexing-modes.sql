-- expect: block pol.deny.table mode=ANSI_QUOTES
SELECT "word" FROM "secret"
-- expect: block pol.deny.table mode=ANSI_QUOTES
SELECT name FROM pub WHERE name = '"' UNION SELECT word FROM "secret"
-- expect: block pol.deny.table mode=NO_BACKSLASH_ESCAPES
SELECT name FROM pub WHERE name = 'a\' UNION SELECT word FROM secret -- '
-- expect: block pol.deny.table
SELECT name FROM pub WHERE name = 'a\'' UNION SELECT word FROM secret -- '
-- expect: block pol.deny.table mode=unknown
SELECT name FROM pub WHERE name = 'a\' UNION SELECT word FROM secret -- '
-- expect: block mode=unknown
SELECT name FROM pub WHERE name = "a' UNION SELECT word FROM secret -- '"' UNION SELECT word FROM secret
-- expect: block pol.deny.table mode=IGNORE_SPACE
SELECT COUNT (*) FROM secret
-- expect: block pol.deny.table mode=PIPES_AS_CONCAT
SELECT name || (SELECT word FROM secret LIMIT 1) FROM pub
-- expect: allow adm.setvar under=default level=low
SET sql_mode = 'ANSI_QUOTES'
-- expect: allow adm.setvar under=default
SET @@session.sql_mode = CONCAT('NO_BACKSLASH', '_ESCAPES')
-- expect: allow adm.setvar under=default
SET SESSION sql_mode = 4
-- expect: allow adm.setvar under=default
SET autocommit = 1, sql_mode = 1048576
