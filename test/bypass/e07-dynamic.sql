-- expect: block pol.readonly
PREPARE s FROM 'DROP TABLE pub'
-- expect: block pol.readonly
PREPARE s FROM "DELETE FROM pub"
-- expect: block pol.deny.table
PREPARE s FROM 'SELECT word FROM secret'
-- expect: block pol.deny.table
PREPARE s FROM 'SELECT ''a'', word FROM secret'
-- expect: block pol.deny.table
PREPARE s FROM 'SELECT \'a\', word FROM secret'
-- expect: block pol.deny.table
PREPARE s FROM '/*!50000 SELECT word FROM secret */'
-- expect: block pol.readonly
PREPARE s FROM @text
-- expect: block pol.readonly
PREPARE s FROM @`text`
-- expect: block pol.readonly
PREPARE s FROM @'text'
-- expect: block dialect=mariadb
PREPARE s FROM CONCAT('DROP TABLE ', 'pub')
-- expect: block dialect=mariadb
EXECUTE IMMEDIATE 'DROP TABLE pub'
-- expect: block dialect=mariadb
EXECUTE IMMEDIATE CONCAT('DROP', ' TABLE pub')
-- expect: block dialect=mariadb
EXECUTE IMMEDIATE @text
-- expect: block pol.deny.table
SELECT word FROM secret INTO @text
-- expect: block pol.deny.table
SET @text = (SELECT word FROM secret LIMIT 1)
