-- expect: block pol.readonly
CREATE PROCEDURE p() DELETE FROM pub
-- expect: block pol.readonly
CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN (SELECT MAX(id) FROM secret)
-- expect: block pol.readonly
CREATE TRIGGER t BEFORE INSERT ON pub FOR EACH ROW DELETE FROM secret
-- expect: block pol.readonly
CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM pub
-- expect: block pol.deny.table
CREATE VIEW v AS SELECT word FROM secret
-- expect: block pol.deny.table
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = CURRENT_USER SQL SECURITY DEFINER VIEW v AS SELECT * FROM secret
-- expect: block pol.readonly
ALTER EVENT e DO DROP TABLE pub
-- expect: block pol.deny.table
CREATE PROCEDURE p() BEGIN DECLARE i INT; SELECT word FROM secret; END
-- expect: block pol.deny.table
CREATE TABLE copy AS SELECT word FROM secret
-- expect: block pol.deny.table
CREATE TABLE copy SELECT word FROM secret
-- expect: block pol.deny.table
CREATE TABLE copy LIKE secret
-- expect: block pol.deny.table
CREATE TABLE copy (id INT, FOREIGN KEY (id) REFERENCES secret (id))
-- expect: block pol.deny.table
INSERT INTO pub SELECT id, word FROM secret
-- expect: block pol.deny.table
INSERT INTO pub VALUES (9, (SELECT word FROM secret LIMIT 1))
-- expect: block pol.deny.table
REPLACE INTO pub TABLE secret
-- expect: block pol.deny.table
UPDATE pub SET name = (SELECT word FROM secret LIMIT 1)
-- expect: block pol.deny.table
UPDATE pub, secret SET pub.name = secret.word
-- expect: block dyn.unknown under=default dialect=mariadb mode=ORACLE
CREATE PACKAGE BODY k AS PROCEDURE q AS BEGIN DELETE FROM secret; END; END
-- expect: block dyn.unknown under=default dialect=mariadb mode=ORACLE
CREATE OR REPLACE PACKAGE BODY k AS x INT := (SELECT COUNT(*) FROM secret); BEGIN x := 1; END
-- expect: block dyn.unknown under=default dialect=mariadb mode=ORACLE
CREATE PACKAGE BODY k AS PROCEDURE q AS BEGIN CASE 1 WHEN 1 THEN DELETE FROM secret; END CASE; FOR i IN 1 .. 2 LOOP NULL; END LOOP; END; END k
-- expect: block dyn.unknown under=default dialect=mariadb mode=ORACLE
CREATE PROCEDURE k AS x INT := 1; BEGIN DELETE FROM secret; END
-- expect: block pol.readonly dialect=mariadb mode=ORACLE
CREATE PACKAGE BODY k AS PROCEDURE q AS BEGIN DELETE FROM secret; END; END
