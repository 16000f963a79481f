-- expect: block
CALL sys.execute_prepared_stmt('DROP TABLE pub')
-- expect: block
CALL `sys`.`execute_prepared_stmt`('SELECT word FROM secret')
-- expect: block pol.readonly
CALL touch_everything()
-- expect: block pol.readonly
SELECT touch_everything()
-- expect: block pol.readonly
SELECT qc_scratch.touch_everything(1)
-- expect: block pol.readonly
SELECT `touch_everything` (1)
-- expect: block pol.readonly
DO touch_everything()
-- expect: block pol.readonly
SET @a = touch_everything()
-- expect: block pol.readonly
SELECT name FROM pub ORDER BY touch_everything(id)
-- expect: block pol.readonly
SELECT name FROM pub WHERE EXISTS (SELECT touch_everything(id))
-- expect: block pol.readonly dialect=mariadb
SELECT NEXTVAL(numbers)
-- expect: block pol.readonly dialect=mariadb
SELECT NEXT VALUE FOR numbers
