-- The shape of phpBB.
CREATE TABLE phpbb_topics (
  topic_id int(10) UNSIGNED NOT NULL auto_increment,
  forum_id mediumint(8) UNSIGNED DEFAULT '0' NOT NULL,
  topic_title varchar(255) DEFAULT '' NOT NULL COLLATE utf8_unicode_ci,
  topic_time int(11) UNSIGNED DEFAULT '0' NOT NULL,
  topic_visibility tinyint(3) DEFAULT '0' NOT NULL,
  topic_reported tinyint(1) UNSIGNED DEFAULT '0' NOT NULL,
  PRIMARY KEY (topic_id),
  KEY forum_id (forum_id),
  KEY fid_time_moved (forum_id, topic_time)
) CHARACTER SET `utf8` COLLATE `utf8_bin`;
CREATE TABLE phpbb_posts (
  post_id int(10) UNSIGNED NOT NULL auto_increment,
  topic_id int(10) UNSIGNED DEFAULT '0' NOT NULL,
  poster_ip varchar(40) DEFAULT '' NOT NULL,
  post_text mediumtext NOT NULL,
  bbcode_bitfield varchar(255) DEFAULT '' NOT NULL,
  PRIMARY KEY (post_id),
  KEY topic_id (topic_id),
  FULLTEXT KEY post_text (post_text)
);
