-- expect: block pol.deny.table
SELECT name FROM pub /*! UNION SELECT word FROM secret */
-- expect: block pol.deny.table
SELECT name FROM pub /*!UNION SELECT word FROM secret*/
-- expect: block pol.deny.table
SELECT name FROM pub /*!50000 UNION SELECT word FROM secret */
-- expect: block pol.deny.table
SELECT name FROM pub /*!50000UNION SELECT word FROM secret*/
-- expect: block pol.deny.table
SELECT name FROM pub /*!00000 UNION SELECT word FROM secret */
-- expect: block pol.deny.table dialect=mysql
SELECT name FROM pub /*!080000 UNION SELECT word FROM secret */
-- expect: block pol.deny.table dialect=mysql
SELECT name FROM pub /*!90000 UNION SELECT word FROM secret */
-- expect: block pol.deny.table dialect=mariadb
SELECT name FROM pub /*!100100 UNION SELECT word FROM secret */
-- expect: block pol.deny.table dialect=mariadb
SELECT name FROM pub /*M! UNION SELECT word FROM secret */
-- expect: block pol.deny.table dialect=mariadb
SELECT name FROM pub /*M!100100 UNION SELECT word FROM secret */
-- expect: block pol.deny.table
SELECT name FROM pub /*!50000 UNION /* inner */ SELECT word FROM secret */
-- expect: block pol.deny.table
SELECT name FROM pub /*!99999 , */ /*! , secret */
-- expect: block pol.deny.table
SELECT pub.name FROM pub /*!, secret*/
-- expect: block pol.deny.table
SELECT /*!50000 word FROM secret -- */
, name FROM pub */
-- expect: block pol.deny.table
/*!50000 SELECT word FROM secret */
-- expect: block pol.readonly
/*!50000 DROP TABLE pub */
-- expect: block pol.readonly
/*!DELETE*/ FROM pub WHERE id = 1
-- expect: block pol.readonly
DELETE/*! */FROM pub
-- expect: block pol.readonly
/* harmless */ /*!40000 DELETE FROM */ pub WHERE id = 1
-- expect: block pol.deny.table
SELECT name FROM pub WHERE id = 1 /*!50000 OR EXISTS (SELECT 1 FROM secret) */
-- expect: block pol.deny.table
SELECT name FROM /*!50000 secret*/ /*!99999 pub*/
-- expect: block pol.deny.table
SELECT * FROM /*!99999 pub -- */ secret
-- expect: block pol.deny.table
SELECT id, /*!50000 (SELECT word FROM secret LIMIT 1) AS*/ name FROM pub
-- expect: block pol.deny.table
SELECT name FROM pub /*!50000*/ UNION SELECT word FROM secret
