-- The shape of BookStack: a tree that refers to itself.
CREATE TABLE `entities` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `slug` varchar(191) NOT NULL,
  `html` longtext NOT NULL,
  `parent_id` int unsigned DEFAULT NULL,
  `draft` tinyint(1) NOT NULL DEFAULT '0',
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `pages_slug_index` (`slug`),
  FULLTEXT KEY `search` (`slug`,`html`),
  CONSTRAINT `entities_parent` FOREIGN KEY (`parent_id`) REFERENCES `entities` (`id`) ON DELETE SET NULL
);
