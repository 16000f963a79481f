-- Tenants, keys of two columns, names that are words of SQL.
CREATE TABLE `order` (
  `tenant_id` varchar(36) NOT NULL,
  `id` int NOT NULL,
  `user` varchar(80) NOT NULL,
  `group` int DEFAULT NULL,
  `table` smallint DEFAULT NULL,
  `when` datetime NOT NULL,
  `CamelCase` int NOT NULL DEFAULT '1',
  `mit Leerzeichen` text,
  PRIMARY KEY (`tenant_id`,`id`),
  KEY `user` (`user`)
);
CREATE TABLE `order_line` (
  `tenant_id` varchar(36) NOT NULL,
  `order_id` int NOT NULL,
  `line` smallint unsigned NOT NULL,
  `qty` tinyint unsigned NOT NULL DEFAULT '1',
  PRIMARY KEY (`tenant_id`,`order_id`,`line`),
  KEY `user` (`line`),
  FOREIGN KEY (`tenant_id`,`order_id`) REFERENCES `order` (`tenant_id`,`id`) ON DELETE CASCADE
);
