-- Devices and measurements, with wide indexes and events.
CREATE TABLE readings (
  device_id BIGINT UNSIGNED NOT NULL,
  at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  a INT, b INT, c INT, d INT, e INT, f INT, g INT, h INT, i INT,
  took TIME(2) DEFAULT '00:00:01.50',
  raw VARBINARY(2048),
  KEY wide (a,b,c,d,e,f,g,h,i),
  PRIMARY KEY (device_id, at)
) PARTITION BY HASH(device_id) PARTITIONS 8;
CREATE EVENT purge ON SCHEDULE EVERY 1 DAY DO DELETE FROM readings WHERE at < NOW() - INTERVAL 90 DAY;
CREATE FUNCTION half(x INT) RETURNS INT DETERMINISTIC RETURN x / 2;
