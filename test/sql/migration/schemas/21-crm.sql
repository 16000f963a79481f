-- The shape of SuiteCRM: keys are texts.
CREATE TABLE `accounts` (
  `id` char(36) NOT NULL,
  `name` varchar(150) DEFAULT NULL,
  `date_entered` datetime DEFAULT NULL,
  `deleted` tinyint(1) DEFAULT 0,
  `annual_revenue` varchar(100) DEFAULT NULL,
  `jjwg_maps_lat_c` float(10,8) DEFAULT 0.00000000,
  PRIMARY KEY (`id`),
  KEY `idx_accnt_id_del` (`id`,`deleted`),
  KEY `idx_accnt_name_del` (`name`,`deleted`)
);
CREATE TABLE `email_addr_bean_rel` (
  `id` char(36) NOT NULL DEFAULT (uuid()),
  `bean_id` char(36) NOT NULL,
  `bean_module` varchar(100) NOT NULL,
  `primary_address` tinyint(1) DEFAULT 0,
  `data` json DEFAULT NULL,
  PRIMARY KEY (`id`)
);
