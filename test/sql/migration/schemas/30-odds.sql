-- What else there is.
# a comment of the mysql program
CREATE TEMPORARY TABLE IF NOT EXISTS scratch LIKE users;
CREATE TABLE IF NOT EXISTS `shop`.`everything` (
  s SERIAL,
  r REAL NOT NULL DEFAULT 1e3,
  n NUMERIC UNSIGNED ZEROFILL,
  nc NATIONAL VARCHAR(10) DEFAULT _utf8mb4'x',
  t TINYTEXT, b TINYBLOB,
  y YEAR(4) NOT NULL DEFAULT 2000,
  i6 INET6, u UUID DEFAULT (uuid()),
  v VARCHAR(20) DEFAULT 'it''s a \'quote\' -- no comment',
  neg INT NOT NULL DEFAULT -7,
  yes BOOLEAN DEFAULT TRUE,
  poly POLYGON,
  when_made DATETIME DEFAULT NOW() COMMENT 'now; then',
  INDEX (v(5)),
  UNIQUE INDEX u_lower ((lower(v)))
) COMMENT = 'all, of; it' ;
LOCK TABLES `everything` WRITE;
UNLOCK TABLES;
