-- expect: block pol.deny.table dialect=vitess
SELECT 1 // '
UNION SELECT word FROM secret -- '
-- expect: block pol.deny.table dialect=vitess
SELECT name FROM pub // comment
UNION SELECT word FROM secret
-- expect: block dialect=vitess
SELECT.5,word FROM secret
