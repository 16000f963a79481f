-- expect: block adm.setvar under=default
SET NAMES gbk
-- expect: block adm.setvar under=default
SET NAMES 'sjis'
-- expect: block adm.setvar under=default
SET NAMES "big5"
-- expect: block adm.setvar under=default
SET CHARACTER SET cp932
-- expect: block adm.setvar under=default
SET CHARSET gb18030
-- expect: block adm.setvar under=default
SET character_set_client = gbk
-- expect: block adm.setvar under=default
SET @@session.character_set_client = 'gbk'
-- expect: block adm.setvar under=default
SET autocommit = 1, @@local.character_set_client = gb18030
-- expect: block adm.setvar under=default
SET NAMES /*!40000 gbk */
