-- The shape of Piwigo.
CREATE TABLE `piwigo_images` (
  `id` mediumint(8) unsigned NOT NULL auto_increment,
  `file` varchar(255) binary NOT NULL default '',
  `date_available` datetime NOT NULL default '1970-01-01 00:00:00',
  `hit` int(10) unsigned NOT NULL default '0',
  `rating_score` float(5,2) unsigned default NULL,
  `rotation` tinyint unsigned DEFAULT NULL,
  `latitude` double(8,6) default NULL,
  `lastmodified` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`),
  KEY `images_i2` (`date_available`)
) ENGINE=MyISAM;
CREATE TABLE `piwigo_user_infos` (
  `user_id` mediumint(8) unsigned NOT NULL default '0',
  `status` enum('webmaster','admin','normal','generic','guest') NOT NULL default 'guest',
  `show_nb_hits` enum('true','false') NOT NULL default 'false',
  `language` varchar(50) NOT NULL default 'en_UK',
  PRIMARY KEY (`user_id`)
);
