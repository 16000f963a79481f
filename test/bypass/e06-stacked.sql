-- expect: block pol.readonly
SELECT 1; RENAME TABLE pub TO pub2
-- expect: block pol.readonly
SELECT 1;DROP TABLE pub
-- expect: block pol.readonly
SELECT ';' ; DELETE FROM pub
-- expect: block pol.readonly
SELECT 1 /* ; */ ; UPDATE pub SET name = 'x'
-- expect: block pol.readonly
;DROP TABLE pub
-- expect: block pol.readonly
SELECT 1;;DROP TABLE pub
-- expect: block pol.deny.table
SELECT 1; SELECT word FROM secret
-- expect: block pol.readonly
SET @a = 1; INSERT INTO pub VALUES (9, 'x')
-- expect: block pol.readonly
SELECT 1 -- ;
; TRUNCATE pub
-- expect: block inj.stacked under=default
SELECT name FROM pub WHERE id = 1; DROP TABLE pub
-- expect: block pol.readonly
BEGIN; DELETE FROM pub; COMMIT
