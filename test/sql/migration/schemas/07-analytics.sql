-- The shape of Matomo.
CREATE TABLE matomo_log_visit (
  idvisit BIGINT(10) UNSIGNED NOT NULL AUTO_INCREMENT,
  idsite INTEGER(10) UNSIGNED NOT NULL,
  idvisitor BINARY(8) NOT NULL,
  visit_last_action_time DATETIME NOT NULL,
  config_id BINARY(8) NOT NULL,
  location_ip VARBINARY(16) NOT NULL,
  location_latitude DECIMAL(9,6) NULL,
  visitor_days_since_last SMALLINT(5) UNSIGNED NULL,
  custom_var_k1 VARCHAR(200) DEFAULT NULL,
  PRIMARY KEY(idvisit),
  INDEX index_idsite_config_datetime (idsite, config_id, visit_last_action_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
PARTITION BY RANGE (idvisit) (PARTITION p0 VALUES LESS THAN (1000000), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE matomo_archive_blob (
  idarchive INTEGER UNSIGNED NOT NULL,
  name VARCHAR(190) NOT NULL,
  date1 DATE NULL,
  ts_archived DATETIME NULL,
  value MEDIUMBLOB NULL,
  PRIMARY KEY(idarchive, name),
  KEY index_period_archived (date1, ts_archived)
);
