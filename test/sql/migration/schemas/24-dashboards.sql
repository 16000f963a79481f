-- The shape of Grafana.
CREATE TABLE `dashboard` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `version` int NOT NULL,
  `slug` varchar(189) NOT NULL,
  `data` mediumtext,
  `org_id` bigint NOT NULL,
  `is_folder` tinyint(1) NOT NULL DEFAULT '0',
  `uid` varchar(40) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `UQE_dashboard_org_id_uid` (`org_id`,`uid`),
  KEY `IDX_dashboard_title` (`slug`)
);
CREATE TABLE `user_auth_token` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `auth_token` varchar(100) NOT NULL,
  `client_ip` varchar(255) NOT NULL,
  `created_at` int NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `UQE_user_auth_token_auth_token` (`auth_token`)
);
