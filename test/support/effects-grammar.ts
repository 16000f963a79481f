/** Statements of every kind over the scratch schemas of effects-scratch.ts, most of which a server can run. */
import type { ServerKind } from "./accounts.ts";
import type { Dice } from "./digest-oracle.ts";
import { type Grammar, readGrammar, spell } from "./sentences.ts";

/*
 * Left out because they would end or spoil the server for what follows: SHUTDOWN, RESTART, KILL, CLONE, INSTALL and
 * UNINSTALL, BINLOG, CHANGE, START and STOP of replication and PURGE. LOCK INSTANCE, FLUSH … WITH READ LOCK and the
 * like end with the connection that ran them.
 */
const COMMON = `
<statement> = <query> | <query> | <query> | <insert> | <insert> | <update> | <delete> | <delete> | <set> | <set> | <ddl> | <ddl>
  | <show> | <explain> | <session> | <program> | <account> | <admin> | <transaction> | <file> | <extra> | <extra> | <extra> ;

<query> = <select> | <select> | <with> <select> | <select> <setop> <select> <order> <limit> | ( <select> ) <setop> ( <select> ) <limit>
  | ( <select> ) <limit> | <table-query> | <select> <setop> ( <select> <setop> <select> ) | <with> ( <select> ) <setop> <select> | ( ( <select> ) ) ;
<setop> = UNION | UNION ALL | UNION DISTINCT | INTERSECT | EXCEPT ;
<table-query> = VALUES ROW( 1 , 2 ) , ROW( 3 , 4 ) | TABLE <real> | TABLE <real> ORDER BY a LIMIT 1 | TABLE t1 UNION TABLE t2 ;
<select> = SELECT <modifiers> <items> <from> <where> <group> <order> <limit> <locking> | SELECT <items> <from> <where> | SELECT <expr> | SELECT <items> INTO @v1 , @v2 FROM <tables> <where> LIMIT 1
  | SELECT <items> <from> <where> | SELECT <expr> INTO @v1 | SELECT a , <expr> <from> <where> <window> | SELECT <items> <from> LIMIT 1 INTO @v3 , @v4 ;
<modifiers> = | | | DISTINCT | ALL | STRAIGHT_JOIN | SQL_NO_CACHE | SQL_CALC_FOUND_ROWS | HIGH_PRIORITY | SQL_BIG_RESULT | <hint> ;
<hint> = /*+ NO_INDEX_MERGE(t1) */ | /*+ SET_VAR(sort_buffer_size = 40000) */ | /*+ QB_NAME(q1) */ | /*+ MAX_EXECUTION_TIME(1000) */ ;
<items> = a , b | * | <expr> , <expr> | <expr> AS <alias> , b | x . a , x . b | COUNT( * ) , 1 | a <alias> , b AS 'z' ;
<from> = FROM <tables> | FROM <tables> | FROM <tables> | FROM DUAL | ;
<tables> = <factor> | <factor> | <factor> , <factor> | <factor> <join> | <factor> <join> <join> | ( <factor> , <factor> ) | ( <factor> <join> ) | { OJ <factor> LEFT JOIN <factor> ON 1 }
  | <factor> LEFT JOIN ( <factor> , <factor> ) ON TRUE | ( ( <factor> ) ) | <factor> , LATERAL ( <select> ) AS l1 | <factor> JOIN ( <factor> JOIN <factor> ON 1 ) ON 1 | <factor> , ( <factor> , ( <factor> ) ) ;
<join> = JOIN <factor> ON <cond> | LEFT JOIN <factor> ON <cond> | RIGHT OUTER JOIN <factor> ON <cond> | CROSS JOIN <factor> | NATURAL JOIN <factor> | INNER JOIN <factor> USING ( a )
  | STRAIGHT_JOIN <factor> ON <cond> | , <factor> | NATURAL LEFT OUTER JOIN <factor> | JOIN <factor> | STRAIGHT_JOIN <factor> ;
<factor> = <real> | <real> | <real> AS <alias> | <real> <alias> | <real> <alias> | ( <query> ) AS <alias> | ( <query> ) <alias> | <real> PARTITION ( p0 ) | part1 PARTITION ( p0 , p1 ) AS <alias> | <real> <alias> USE INDEX ( PRIMARY )
  | <real> FORCE INDEX FOR JOIN ( PRIMARY ) | JSON_TABLE( '[1,2]' , '$[*]' COLUMNS ( a INT PATH '$' , b FOR ORDINALITY ) ) AS <alias> | <real> IGNORE KEY FOR ORDER BY ( PRIMARY ) | ( <real> )
  | JSON_TABLE( ( SELECT c FROM <real> LIMIT 1 ) , '$' COLUMNS ( a INT PATH '$' DEFAULT '0' ON EMPTY ERROR ON ERROR , NESTED PATH '$' COLUMNS ( b INT PATH '$' ) ) ) AS <alias> | c1 | <information> ;
<information> = information_schema . schemata | INFORMATION_SCHEMA . tables <alias> ;
<real> = <plain> | <plain> | <plain> | qc1 . <plain> | qc2 . t1 | qc2 . t4 | <worded> | qc1 . <any-word> | v1 | v2 | qc2 . v1 | m1 | part1 | t3 ;
<plain> = t1 | t2 | t3 | log1 ;
<worded> = offset | value | status | begin | end | user | any | date | \`select\` | \`order\` ;
<any-word> = offset | value | status | begin | end | user | any | date | select | order ;
<writable> = <plain> | <plain> | qc1 . <plain> | qc2 . t1 | <worded> | m1 | part1 | v1 | qc1 . v1 | qc2 . v1 | parent1 | child1 | qc1 . <any-word> ;
<alias> = x | y | z | <alias-word> | \`from\` | \`a b\` ;
<alias-word> = offset | value | duplicate | begin | quick | temporary | action | user | flush | hash | format | handler | role | share | skip | t1 | names | open | date | execute | data | signed | comment | end | truncate | status | any | cache ;
<where> = WHERE <cond> | WHERE <cond> | ;
<cond> = a = 1 | <expr> = <expr> | a IN ( <query> ) | EXISTS ( <query> ) | NOT EXISTS ( <query> ) | a > ANY ( <query> ) | a = ALL ( SELECT a FROM <real> ) | <cond> AND <cond> | <cond> OR NOT <cond> | b BETWEEN <expr> AND <expr> | c LIKE 'x%' ESCAPE '|' | a IS NOT NULL
  | ( <cond> ) | c REGEXP 'x' | a IN ( 1 , 2 , <expr> ) | NOT a <=> 2 | TRUE | a IN ( TABLE <real> ) | ( a , b ) IN ( SELECT a , b FROM <real> ) | ( a , b ) = ( SELECT 1 , 2 ) | MATCH ( c ) AGAINST ( 'x' ) | a MEMBER OF ( '[1]' ) | c SOUNDS LIKE 'x' | a NOT IN ( SELECT b FROM <real> WHERE <cond> ) ;
<expr> = a | b | c | x . a | 1 | 'x' | NULL | @v1 | @@sql_mode | @@session.autocommit | @@global . max_connections | <expr> + <expr> | - <expr> | ( <expr> ) | ( <query> ) | <call> | <call> | CASE WHEN <cond> THEN <expr> ELSE <expr> END | CASE a WHEN 1 THEN <expr> END
  | @v2 := <expr> | ( @v3 := a ) | <expr> || <expr> | DATE '2020-01-01' | INTERVAL 1 DAY + '2020-01-01' | _utf8mb4 'x' | x'41' | 0x41 | N'x' | 'a' 'b' | <expr> COLLATE utf8mb4_bin | BINARY 'x' | <expr> DIV 2 | ! a | ~ a | NOT a | <expr> XOR <expr> | { d '2020-01-01' } | c ->> '$.a' | ROW( 1 , 2 ) = ROW( 1 , 2 ) | a % 2 | b MOD 3 | EXISTS ( <query> ) | @\`v5\` := <expr> | @'v 6' := 7 ;
<call> = f1( <expr> ) | qc1 . f1( <expr> ) | f2() | qc1 . f2 ( ) | \`f1\` ( 1 ) | CONCAT( <expr> , <expr> ) | COUNT( * ) | MAX( a ) | SUM( DISTINCT b ) | IF( <cond> , <expr> , <expr> ) | COALESCE( <expr> , 1 ) | GET_LOCK( 'qcl' , 0 ) | SLEEP( 0.01 ) | CAST( <expr> AS CHAR ( 3 ) ) | CONVERT( <expr> USING utf8mb4 ) | CONVERT( <expr> , SIGNED )
  | SUBSTRING( c FROM 1 FOR 2 ) | TRIM( LEADING 'x' FROM c ) | EXTRACT( DAY FROM '2020-01-01' ) | POSITION( 'x' IN c ) | GROUP_CONCAT( DISTINCT a ORDER BY b DESC SEPARATOR '-' ) | CHAR( 65 USING utf8mb4 ) | LEFT( c , 1 ) | REPLACE( c , 'x' , 'y' ) | INSERT( c , 1 , 1 , 'y' ) | VALUES( a ) | USER() | CURRENT_USER | DATABASE() | TRUNCATE( 1.5 , 0 ) | REPEAT( 'x' , 2 ) | JSON_OBJECT( 'a' , <expr> ) | DATE_ADD( NOW() , INTERVAL <expr> DAY ) | TIMESTAMPDIFF( DAY , NOW() , NOW() ) | ROW_NUMBER() OVER ( ORDER BY a ) | SUM( a ) OVER ( PARTITION BY b ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW ) | MIN( ( SELECT a FROM <real> LIMIT 1 ) ) | RANK() OVER w1 | LAST_INSERT_ID( 5 ) | SLEEP ( 0 ) | LOAD_FILE( '/nowhere' ) | DEFAULT( b ) | IFNULL( f2() , f1( 2 ) ) ;
<group> = | | GROUP BY a | GROUP BY a , b WITH ROLLUP | GROUP BY a HAVING <cond> | HAVING <cond> | GROUP BY ( <query> ) ;
<window> = WINDOW w1 AS ( ORDER BY a ) | ;
<order> = | | ORDER BY a | ORDER BY <expr> DESC , 1 | ORDER BY ( <query> ) | ORDER BY FIELD( a , 1 , 2 ) ;
<limit> = | | LIMIT 2 | LIMIT 1 , 2 | LIMIT 2 OFFSET 1 ;
<locking> = | | | FOR UPDATE | LOCK IN SHARE MODE | FOR UPDATE SKIP LOCKED | FOR UPDATE NOWAIT ;
<with> = WITH c1 AS ( <query> ) | WITH c1 ( a , b ) AS ( <query> ) , c2 AS ( SELECT * FROM c1 ) | WITH RECURSIVE c1 ( a , b ) AS ( SELECT 1 , 2 UNION ALL SELECT a + 1 , b FROM c1 WHERE a < 3 ) | WITH t1 AS ( SELECT * FROM t1 ) | WITH c1 AS ( WITH c2 AS ( <query> ) SELECT * FROM c2 ) | WITH t2 AS ( <query> ) , c1 AS ( SELECT * FROM t2 ) ;

<insert> = INSERT <insert-modifiers> <into> <writable> <insert-body> <on-duplicate> | REPLACE <into> <writable> <insert-body> | REPLACE LOW_PRIORITY <writable> <insert-body> | INSERT INTO <writable> <insert-body> | INSERT <writable> <insert-body> <on-duplicate> ;
<insert-modifiers> = | IGNORE | LOW_PRIORITY | HIGH_PRIORITY IGNORE ;
<into> = INTO | INTO | ;
<insert-body> = VALUES ( 3 , <expr> , 'z' ) | ( a , b ) VALUES ( 4 , <expr> ) , ( 5 , DEFAULT ) | VALUE ( 6 , 1 , <expr> ) | SET a = 7 , b = <expr> | SELECT a + 100 , b , c FROM <tables> | ( SELECT a + 200 , b , c FROM <real> ) | ( a , b , c ) SELECT 50 , 1 , c FROM <real> | ( a ) ( SELECT 60 ) | VALUES ( ) | ( ) VALUES ( ) | PARTITION ( p0 ) VALUES ( 9 , 9 , 'p' )
  | TABLE <real> | WITH c1 AS ( SELECT 70 , 1 , 'w' FROM <real> ) SELECT * FROM c1 | ( a , b , c ) TABLE <real> | ( a , b , c ) WITH c1 AS ( SELECT * FROM <real> ) SELECT * FROM c1 | SELECT 80 , ( SELECT COUNT( * ) FROM <real> ) , 'q' | VALUES ( ( SELECT MAX( a ) + 1 FROM <real> <alias> ) , 1 , 'z' ) | SELECT 81 , 1 , 'u' UNION SELECT * FROM <real> | SET a = ( SELECT 90 + COUNT( * ) FROM <real> ) | ( a , b , c ) VALUES ROW( 91 , 1 , 'r' ) ;
<on-duplicate> = | | ON DUPLICATE KEY UPDATE b = <expr> | ON DUPLICATE KEY UPDATE b = VALUES( b ) , c = ( SELECT MAX( c ) FROM <real> <alias> ) | AS n ON DUPLICATE KEY UPDATE b = n . b | AS n ( p , q , r ) ON DUPLICATE KEY UPDATE b = n . q ;

<update> = UPDATE <update-modifiers> <writable> SET <assignments> <where> <order> <limit> | UPDATE <tables> SET <assignments> <where> | <with> UPDATE <writable> SET b = 2 WHERE a IN ( SELECT a FROM c1 ) | UPDATE <writable> <alias> SET b = 3 | UPDATE <writable> AS <alias> SET b = ( <query> ) | UPDATE <writable> x JOIN <factor> SET x . b = 4
  | UPDATE <writable> x , <factor> SET x . b = 5 , x . c = <expr> WHERE x . a = 1 | UPDATE <writable> x LEFT JOIN <real> y ON x . a = y . a SET y . b = 5 | UPDATE ( <real> x , <real> y ) SET x . b = 1 , y . b = 2 | UPDATE ( SELECT a FROM <real> ) x , <writable> y SET y . b = 6 | UPDATE t1 , qc2 . t1 SET qc2 . t1 . b = 7 | <with> UPDATE c1 , <writable> y SET y . b = 1 | UPDATE <writable> PARTITION ( p0 ) SET b = 1 | UPDATE qc1 . t1 , t2 SET qc1 . t1 . b = 1 ;
<update-modifiers> = | | LOW_PRIORITY | IGNORE | LOW_PRIORITY IGNORE ;
<assignments> = b = <expr> | b = <expr> , c = 'u' | x . b = 1 | b = DEFAULT | t1 . b = 9 | b = b + 1 , b = ( SELECT COUNT( * ) FROM <real> <alias> ) ;

<delete> = DELETE FROM <writable> <where> <order> <limit> | DELETE <delete-modifiers> FROM <writable> <where> | DELETE x FROM <real> x JOIN <factor> | DELETE FROM x USING <writable> x , <factor> | DELETE <writable> FROM <writable> , <factor> | DELETE x , y FROM <real> AS x , <real> AS y WHERE x . a = y . a | DELETE x . * , y . * FROM <real> x , <real> y
  | DELETE t1 . * FROM t1 , t2 | DELETE qc1 . t1 . * FROM qc1 . t1 JOIN qc2 . t1 | DELETE FROM qc1 . t1 . * USING t1 JOIN t2 | <with> DELETE FROM <writable> WHERE a IN ( SELECT a FROM c1 ) | DELETE FROM <writable> AS <alias> WHERE a = 1 | DELETE FROM <writable> <alias> WHERE a = 1 | DELETE QUICK x FROM <real> x LEFT JOIN ( <query> ) z ON 1 | DELETE <any-word> FROM qc1 . <any-word> , t1 | <with> DELETE x FROM <real> x , c1 | DELETE FROM <writable> PARTITION ( p0 ) WHERE <cond> | DELETE t1 , t2 FROM t1 , t2 , t3 | DELETE x FROM ( <real> x , <real> y ) | DELETE FROM t1 , t2 USING t1 JOIN t2 JOIN qc2 . t4 WHERE <cond> | DELETE t2 FROM t1 t2 , t2 t1 | DELETE offset FROM t1 offset , value ;
<delete-modifiers> = LOW_PRIORITY | QUICK | IGNORE | LOW_PRIORITY QUICK IGNORE | ;

<set> = SET <set-item> | SET <set-item> , <set-item> | SET <set-item> , <set-item> , <set-item> | SET NAMES utf8mb4 | SET NAMES 'latin1' COLLATE 'latin1_bin' | SET CHARACTER SET utf8mb4 | SET CHARSET 'latin1' | SET NAMES DEFAULT | SET TRANSACTION ISOLATION LEVEL READ COMMITTED | SET SESSION TRANSACTION READ ONLY | SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE | SET LOCAL TRANSACTION READ WRITE , ISOLATION LEVEL REPEATABLE READ
  | SET ROLE NONE | SET ROLE DEFAULT | SET DEFAULT ROLE NONE TO qcu1 | SET PASSWORD FOR qcu1 = 'New:Passw0rd' ;
<set-item> = @v1 = <expr> | @v2 := <expr> | @\`v 3\` = 1 | @'v4' = 2 | <system-variable> | SESSION <system-variable> | LOCAL <system-variable> | @@ <system-variable> | @@session. <system-variable> | @@local . <system-variable> | GLOBAL <global-variable> | @@global. <global-variable> | @@global . <global-variable> | NAMES latin1 | @v7 = ( <query> ) | CHARACTER SET latin1 | autocommit = 0 | @@ session . <system-variable> ;
<system-variable> = sort_buffer_size = 40000 | sort_buffer_size := 50000 | sql_mode = 'ANSI_QUOTES' | sql_mode = CONCAT( @@sql_mode , ',ANSI' ) | \`foreign_key_checks\` = 0 | unique_checks = OFF | sql_safe_updates = 1 | max_join_size = DEFAULT | time_zone = '+01:00' | character_set_client = latin1 | collation_connection = 'utf8mb4_bin' | div_precision_increment = 5 | autocommit = 0 | lc_time_names = de_DE | group_concat_max_len = ( SELECT 1000 + COUNT( * ) FROM <real> ) | tmp_table_size = 20000 + 1 | big_tables = 1 | default_storage_engine = MyISAM | transaction_isolation = 'SERIALIZABLE' | sql_select_limit = 100000 ;
<global-variable> = max_connections = 99 | sort_buffer_size = 50000 | max_connect_errors = 50 | wait_timeout = 100 | local_infile = 0 | general_log = 0 | key_buffer_size = 9000000 | max_allowed_packet = 33554432 ;

<ddl> = CREATE <temporary> TABLE <if-not-exists> <new-table> <table-body> | CREATE <temporary> TABLE <new-table> LIKE <real> | CREATE <temporary> TABLE <new-table> ( LIKE <real> ) | CREATE TABLE <new-table> <as> <query> | CREATE <temporary> TABLE <new-table> ( a INT PRIMARY KEY ) <as> <query> | ALTER TABLE <changed> <alteration> | ALTER TABLE <changed> <alteration> , <alteration> | DROP TABLE <if-exists> <dropped> | DROP TABLE <if-exists> <dropped> , <dropped> RESTRICT | DROP TABLES <dropped> | DROP TEMPORARY TABLE IF EXISTS <dropped> | RENAME TABLE <changed> TO <new-table> | RENAME TABLE t1 TO q1 , t2 TO t1 , q1 TO t2 | TRUNCATE TABLE <changed> | TRUNCATE <changed> | CREATE <or-replace> <algorithm> VIEW <new-view> <view-columns> AS <query> <check> | ALTER <algorithm> VIEW v1 AS <query> | DROP VIEW <if-exists> v1 , v2 | DROP VIEW qc2 . v1
  | CREATE <index-type> INDEX i1 ON <changed> ( b ) | CREATE INDEX i2 USING BTREE ON <changed> ( b DESC , c ( 3 ) ) ALGORITHM = INPLACE | DROP INDEX i1 ON <changed> | DROP INDEX \`PRIMARY\` ON <changed> | CREATE DATABASE <if-not-exists> qc3 | CREATE SCHEMA qc3 CHARACTER SET latin1 | DROP DATABASE IF EXISTS qc3 | DROP SCHEMA qc2 | ALTER DATABASE qc2 CHARACTER SET latin1 | ALTER SCHEMA DEFAULT COLLATE = utf8mb4_bin | CREATE SERVER qcs1 FOREIGN DATA WRAPPER mysql OPTIONS ( HOST '127.0.0.1' , PORT 1 ) | ALTER SERVER qcs1 OPTIONS ( USER 'u' ) | DROP SERVER IF EXISTS qcs1 ;
<temporary> = | | TEMPORARY ;
<if-not-exists> = | IF NOT EXISTS ;
<if-exists> = | IF EXISTS ;
<as> = AS | | IGNORE AS | REPLACE ;
<or-replace> = | OR REPLACE ;
<algorithm> = | ALGORITHM = MERGE | DEFINER = CURRENT_USER | SQL SECURITY INVOKER | ALGORITHM = TEMPTABLE DEFINER = 'qcu1' @ '%' SQL SECURITY DEFINER | DEFINER = qcu1 ;
<view-columns> = | | ( p , q ) ;
<check> = | | WITH CHECK OPTION | WITH LOCAL CHECK OPTION ;
<new-table> = q1 | q2 | qc2 . q3 | \`table\` | qc1 . table | data | comment | if ;
<new-view> = w1 | qc2 . w2 | v1 | view ;
<changed> = t1 | t2 | qc2 . t1 | m1 | part1 | part2 | <worded> | child1 | log1 ;
<dropped> = t1 | log1 | qc2 . t4 | child1 | q1 | <worded> | nothere | qc1 . nothere | v1 ;
<index-type> = | UNIQUE | FULLTEXT ;
<table-body> = ( a INT ) | ( a INT NOT NULL PRIMARY KEY , b VARCHAR(9) DEFAULT 'x' COMMENT 'c' , KEY ( b ) ) ENGINE = InnoDB COMMENT = 'select' | ( a INT , b INT GENERATED ALWAYS AS ( a + 1 ) VIRTUAL , CHECK ( a > 0 ) ) | ( a INT , FOREIGN KEY ( a ) REFERENCES parent1 ( a ) ON DELETE SET NULL ) | ( a INT ) PARTITION BY LIST ( a ) ( PARTITION p0 VALUES IN ( 1 , 2 ) ) | ( a INT DEFAULT ( 1 + 2 ) , CONSTRAINT k1 UNIQUE ( a ) ) | ( a INT REFERENCES parent1 ( a ) ) | ( a INT ) ENGINE = MERGE UNION = ( m1 ) | ( a INT AUTO_INCREMENT PRIMARY KEY ) AUTO_INCREMENT = 7 SELECT b FROM t1 | ( a INT ) ENGINE = MRG_MyISAM UNION ( m1 , m1 ) INSERT_METHOD = LAST ;
<alteration> = ADD COLUMN d INT | ADD d INT FIRST | ADD ( d INT , e INT ) | DROP COLUMN c | DROP c | MODIFY b BIGINT AFTER c | CHANGE b bb INT | CHANGE COLUMN c c TEXT | RENAME COLUMN b TO bb | RENAME q1 | RENAME TO qc2 . q2 | RENAME AS q2 | ADD INDEX i1 ( b ) | ADD CONSTRAINT k1 FOREIGN KEY ( b ) REFERENCES parent1 ( a ) | DROP PRIMARY KEY | ENGINE = MyISAM | COMMENT 'x' | CONVERT TO CHARACTER SET utf8mb4 | ORDER BY b | ALTER COLUMN b SET DEFAULT 5 | ADD CHECK ( b > 0 ) | DISABLE KEYS | FORCE | ALGORITHM = COPY | AUTO_INCREMENT = 5 | ADD PARTITION PARTITIONS 2 | EXCHANGE PARTITION p0 WITH TABLE t2 | EXCHANGE PARTITION pa WITH TABLE t2 WITHOUT VALIDATION | TRUNCATE PARTITION ALL | DROP PARTITION pa | REMOVE PARTITIONING | COALESCE PARTITION 1 | REORGANIZE PARTITION | ANALYZE PARTITION ALL | DISCARD TABLESPACE | PARTITION BY KEY ( a ) PARTITIONS 2 | UNION = ( m1 , qc1 . m1 ) | RENAME INDEX i1 TO i2 | DROP KEY i1 | REBUILD PARTITION p0 ;

<show> = SHOW TABLES | SHOW FULL TABLES FROM qc2 LIKE 't%' | SHOW COLUMNS FROM <real> | SHOW FULL COLUMNS FROM t1 FROM qc2 | SHOW FIELDS IN t1 IN qc2 | SHOW INDEX FROM <real> | SHOW KEYS FROM t1 IN qc2 WHERE Key_name = ( SELECT MAX( c ) FROM <real> ) | SHOW CREATE TABLE <real> | SHOW CREATE VIEW v1 | SHOW CREATE PROCEDURE p1 | SHOW CREATE FUNCTION qc1 . f1 | SHOW CREATE TRIGGER tr1 | SHOW CREATE EVENT e1 | SHOW CREATE DATABASE qc1 | SHOW DATABASES WHERE EXISTS ( <query> ) | SHOW VARIABLES LIKE 'sql%' | SHOW GLOBAL VARIABLES WHERE Variable_name IN ( SELECT c FROM <real> ) | SHOW STATUS LIKE 'Com_select' | SHOW PROCESSLIST | SHOW FULL PROCESSLIST | SHOW GRANTS | SHOW GRANTS FOR qcu1 | SHOW GRANTS FOR CURRENT_USER | SHOW WARNINGS | SHOW ERRORS LIMIT 1 | SHOW COUNT( * ) WARNINGS | SHOW TABLE STATUS FROM qc2 | SHOW TRIGGERS | SHOW EVENTS | SHOW ENGINES | SHOW ENGINE INNODB STATUS | SHOW PLUGINS | SHOW PRIVILEGES | SHOW COLLATION | SHOW CHARACTER SET | SHOW OPEN TABLES | SHOW PROCEDURE STATUS WHERE f1( 1 ) | SHOW FUNCTION STATUS | SHOW CREATE USER qcu1 | SHOW PROFILES | SHOW PROFILE ALL | SHOW BINARY LOGS | SHOW COLUMNS FROM t1 WHERE SLEEP( 0.01 ) = 0 OR f2() ;
<explain> = <explain-word> <query> | <explain-word> FORMAT = JSON <query> | <explain-word> <insert> | <explain-word> <update> | <explain-word> <delete> | DESC <real> | DESCRIBE <real> b | EXPLAIN <real> 'a%' | EXPLAIN FORMAT = TRADITIONAL <query> ;
<explain-word> = EXPLAIN | DESC | DESCRIBE | EXPLAIN EXTENDED ;

<session> = USE qc2 | USE qc1 | DO <expr> | DO <call> , <call> | PREPARE s1 FROM 'SELECT * FROM t1' | PREPARE s1 FROM 'DELETE FROM t2 WHERE a = ?' | PREPARE \`s 2\` FROM @v1 | PREPARE s1 FROM 'UPDATE t1 SET b = 1' ; EXECUTE s1 | PREPARE s1 FROM 'DO ?' ; SET @v1 = 1 ; EXECUTE s1 USING @v1 | DEALLOCATE PREPARE s1 | DROP PREPARE s1 | HANDLER <writable> OPEN | HANDLER t1 OPEN AS h1 ; HANDLER h1 READ FIRST | HANDLER qc1 . t2 OPEN h2 ; HANDLER h2 READ \`PRIMARY\` = ( 1 ) WHERE b = f1( 1 ) LIMIT 2 ; HANDLER h2 CLOSE | HANDLER t1 OPEN ; HANDLER t1 READ NEXT | LOCK TABLES <real> READ , <writable> AS x WRITE | LOCK TABLE <real> <alias> READ LOCAL | LOCK TABLES t1 WRITE , t2 LOW_PRIORITY WRITE | UNLOCK TABLES | UNLOCK TABLE | HELP 'select' | GET DIAGNOSTICS @v1 = NUMBER | GET CURRENT DIAGNOSTICS CONDITION 1 @v2 = MESSAGE_TEXT , @v3 = MYSQL_ERRNO | SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm' | RESIGNAL | CALL p1 | CALL p1() | CALL qc1 . p2( <expr> , @v1 ) | CALL p2 ( ( <query> ) , @v9 ) | CALL \`p1\` ( ) ;
<transaction> = BEGIN | BEGIN WORK ; INSERT INTO t1 VALUES ( 30 , 1 , 'w' ) ; COMMIT | START TRANSACTION | START TRANSACTION READ ONLY | START TRANSACTION WITH CONSISTENT SNAPSHOT , READ WRITE | COMMIT AND CHAIN NO RELEASE | ROLLBACK WORK | BEGIN ; SAVEPOINT p ; ROLLBACK TO SAVEPOINT p ; RELEASE SAVEPOINT p | XA START 'q' ; DELETE FROM t2 ; XA END 'q' ; XA ROLLBACK 'q' | XA BEGIN 'q' , 'r' , 1 | XA RECOVER | XA RECOVER CONVERT XID | BEGIN ; UPDATE t1 SET b = 5 ; ROLLBACK TO p ;

<program> = <run> | <run> | CREATE <definer> PROCEDURE <if-not-exists> <new-routine> ( <parameters> ) <characteristics> <body> | CREATE <definer> FUNCTION <new-routine> ( x INT ) RETURNS INT <data-access> <function-body> | CREATE <definer> TRIGGER <new-routine> <when> <happens> ON <changed> FOR EACH ROW <trigger-order> <trigger-body> | CREATE <definer> EVENT <if-not-exists> <new-routine> ON SCHEDULE <schedule> <event-options> DO <body> | ALTER EVENT e1 DO <simple-body> | ALTER EVENT e1 ENABLE | ALTER EVENT e1 RENAME TO qc2 . e2 | ALTER EVENT qc1 . e1 ON SCHEDULE EVERY 2 YEAR COMMENT 'x' DO <body> | ALTER PROCEDURE p1 COMMENT 'x' SQL SECURITY INVOKER | ALTER FUNCTION qc1 . f1 COMMENT 'x' | DROP PROCEDURE <if-exists> p1 | DROP FUNCTION <if-exists> qc1 . f1 | DROP FUNCTION f2 | DROP TRIGGER <if-exists> tr1 | DROP TRIGGER qc1 . tr1 | DROP EVENT <if-exists> qc1 . e1 | DROP PROCEDURE qc1 . p2 ;
<run> = CREATE PROCEDURE <new-routine-1> ( ) <characteristics> <body> ; CALL <new-routine-1> ( ) | CREATE PROCEDURE qc2 . g2 ( ) <body> ; CALL qc2 . g2 ( ) | CREATE PROCEDURE g1 ( ) <body> ; CALL g1 | CREATE FUNCTION g1 ( x INT ) RETURNS INT <data-access> <function-body> ; SELECT g1( 1 )
  | CREATE TRIGGER g1 <when> UPDATE ON t1 FOR EACH ROW <trigger-body> ; UPDATE t1 SET b = 77 | CREATE TRIGGER qc2 . g2 <when> DELETE ON t1 FOR EACH ROW <trigger-body> ; DELETE FROM qc2 . t1 | CREATE VIEW w1 AS <query> ; SELECT * FROM w1 | CREATE VIEW qc2 . w2 AS <query> ; SELECT * FROM qc2 . w2 , t1 | PREPARE s1 FROM <text> ; EXECUTE s1 | PREPARE s1 FROM <text> ; USE qc2 ; EXECUTE s1 | USE qc2 ; <query> ; <update> | USE qc2 ; PREPARE s1 FROM <text> ; EXECUTE s1 | USE qc2 ; <ddl> ;
<new-routine-1> = g1 ;
<text> = 'SELECT * FROM t1' | 'DELETE FROM t1' | 'INSERT INTO t4 SELECT * FROM t1 ON DUPLICATE KEY UPDATE b = 1' | 'UPDATE t1, qc1.t2 SET t1.b = 4' | 'SELECT NOW() INTO @v1' ;
<definer> = | | DEFINER = qcu1 | DEFINER = CURRENT_USER() | DEFINER = 'qcu1' @ '%' ;
<new-routine> = g1 | qc2 . g2 | \`begin\` | qc1 . end ;
<parameters> = | IN x INT , OUT y VARCHAR(5) | x INT | INOUT \`begin\` INT ;
<characteristics> = | COMMENT 'c' | LANGUAGE SQL NOT DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER ;
<data-access> = NO SQL | READS SQL DATA | DETERMINISTIC | MODIFIES SQL DATA COMMENT 'x' ;
<function-body> = RETURN <expr> | BEGIN <declare> <body-list> RETURN 1 ; END | RETURN ( <query> ) | IF x THEN RETURN 1 ; ELSE RETURN f1( 2 ) ; END IF ;
<trigger-body> = SET NEW . b = 5 | SET @v1 = NEW . a , NEW . c = 'x' | <simple-body> | BEGIN <body-list> END | IF NEW . a > 1 THEN <body-list> END IF ;
<when> = BEFORE | AFTER ;
<happens> = INSERT | UPDATE | DELETE ;
<trigger-order> = | | FOLLOWS tr1 ;
<schedule> = AT '2038-01-01 00:00:00' | EVERY 1 HOUR | EVERY '1:1' HOUR_MINUTE STARTS CURRENT_TIMESTAMP + INTERVAL 1 DAY ENDS '2038-01-01' | AT CURRENT_TIMESTAMP + INTERVAL ( SELECT 1 ) YEAR ;
<event-options> = | ON COMPLETION NOT PRESERVE | ON COMPLETION PRESERVE DISABLE COMMENT 'do' ;
<body> = <simple-body> | BEGIN <declare> <body-list> END | l1 : BEGIN <body-list> END l1 | BEGIN END | IF <cond> THEN <body-list> ELSEIF <cond> THEN <body-list> ELSE <body-list> END IF | WHILE ( <cond> ) AND 0 DO <body-list> END WHILE | l1 : LOOP <body-list> LEAVE l1 ; END LOOP | REPEAT <body-list> UNTIL ( <cond> ) OR 1 END REPEAT | CASE <expr> WHEN 1 THEN <body-list> ELSE <body-list> END CASE | CASE WHEN <cond> THEN <body-list> END CASE ;
<body-list> = <body> \\; | <simple-body> \\; <simple-body> \\; | <simple-body> \\; ;
<declare> = | DECLARE v1 , v2 INT DEFAULT ( SELECT 1 ) \\; | DECLARE v1 INT \\; DECLARE cur CURSOR FOR <query> \\; DECLARE CONTINUE HANDLER FOR NOT FOUND <simple-body> \\; OPEN cur \\; FETCH NEXT FROM cur INTO v1 \\; CLOSE cur \\; | DECLARE oops CONDITION FOR 1146 \\; DECLARE EXIT HANDLER FOR oops , SQLEXCEPTION BEGIN END \\; ;
<simple-body> = <insert> | <update> | <delete> | SELECT a INTO @v1 FROM <real> LIMIT 1 | SET @v1 = <expr> | CALL p1() | DO <call> | TRUNCATE t1 | DROP TABLE t2 | SET GLOBAL max_connections = 9 | PREPARE s1 FROM 'DELETE FROM t1' | GRANT SELECT ON t1 TO qcu1 ;

<account> = CREATE USER <if-not-exists> <new-user> <identified> <user-options> | CREATE USER qcn1 , qcn2 @ '%' | CREATE ROLE <if-not-exists> qcr2 | ALTER USER <if-exists> <known-user> <identified> <user-options> | ALTER USER <known-user> ACCOUNT LOCK | DROP USER <if-exists> <known-user> | DROP USER qcu1 , qcu2 | DROP ROLE qcr1 | RENAME USER qcu1 TO qcn1 , qcu2 TO qcn2 @ localhost | GRANT <privileges> ON <grant-target> TO <known-user> <grant-option> | GRANT qcr1 TO qcu1 , qcu2 | GRANT qcr1 TO qcu1 WITH ADMIN OPTION | REVOKE qcr1 FROM qcu1 | REVOKE <privileges> ON <grant-target> FROM <known-user> | REVOKE ALL PRIVILEGES , GRANT OPTION FROM qcu1 | REVOKE ALL , GRANT OPTION FROM qcu1 , qcu2 | SET PASSWORD FOR qcu1 @ '%' = 'x:Passw0rd' | SET DEFAULT ROLE ALL TO qcu1 | GRANT PROXY ON qcu1 TO qcu2 | GRANT EXECUTE ON PROCEDURE qc1 . p1 TO qcu1 | GRANT EXECUTE ON FUNCTION f1 TO qcu1 ;
<new-user> = qcn1 | 'qcn1' @ 'localhost' | qcn1 @ \`%\` | "qcn3" | \`qcn4\` @ localhost ;
<known-user> = qcu1 | 'qcu1' | qcu1 @ '%' | \`qcu2\` @ \`%\` | qcu1 @ % | 'qcu2' @ "%" ;
<identified> = | IDENTIFIED BY 'x:Passw0rd' ;
<user-options> = | REQUIRE SSL | WITH MAX_QUERIES_PER_HOUR 5 | PASSWORD EXPIRE | ACCOUNT LOCK | REQUIRE NONE WITH MAX_USER_CONNECTIONS 2 ;
<privileges> = SELECT | SELECT , INSERT | ALL | ALL PRIVILEGES | CREATE USER , RELOAD | SELECT ( a ) , UPDATE ( b , c ) | EXECUTE | DROP , TRIGGER | USAGE | GRANT OPTION | CREATE TEMPORARY TABLES , LOCK TABLES | FILE , PROCESS ;
<grant-target> = * . * | qc1 . * | t1 | qc2 . t1 | TABLE t1 | * | \`qc%\` . * | qc1 . t2 ;
<grant-option> = | | WITH GRANT OPTION ;

<admin> = ANALYZE TABLE <real> | ANALYZE NO_WRITE_TO_BINLOG TABLE <changed> , <changed> | CHECK TABLE <real> FOR UPGRADE | CHECK TABLE <changed> , t2 EXTENDED | CHECKSUM TABLE <changed> , qc2 . t4 EXTENDED | CHECKSUM TABLE t1 QUICK | OPTIMIZE LOCAL TABLE <changed> | OPTIMIZE TABLE m1 , t1 | REPAIR TABLE m1 QUICK | REPAIR TABLE <changed> USE_FRM | CACHE INDEX m1 IN DEFAULT | CACHE INDEX m1 KEY ( PRIMARY ) IN default | LOAD INDEX INTO CACHE m1 IGNORE LEAVES | FLUSH TABLES | FLUSH TABLE t1 , qc2 . t4 | FLUSH TABLES t1 WITH READ LOCK | FLUSH TABLES t1 FOR EXPORT | FLUSH TABLES WITH READ LOCK | FLUSH PRIVILEGES | FLUSH LOCAL STATUS | FLUSH LOGS | FLUSH BINARY LOGS , ERROR LOGS | FLUSH NO_WRITE_TO_BINLOG USER_RESOURCES | RESET MASTER ;

<file> = SELECT * INTO OUTFILE '<out>' FROM <tables> | SELECT a , b FROM <real> INTO OUTFILE '<out>' FIELDS TERMINATED BY ',' | SELECT 'x' INTO DUMPFILE '<out>' | SELECT <expr> FROM <real> LIMIT 1 INTO DUMPFILE '<out>' | SELECT 1 INTO OUTFILE '<out>' UNION SELECT 2 | SELECT 1 UNION SELECT a FROM <real> INTO OUTFILE '<out>' CHARACTER SET utf8mb4 LINES TERMINATED BY ';' | TABLE <real> INTO OUTFILE '<out>' | ( SELECT 1 ) INTO OUTFILE '<out>' | VALUES ROW( 1 , 2 ) INTO DUMPFILE '<out>' | WITH c1 AS ( <query> ) SELECT 1 INTO OUTFILE '<out>' | LOAD DATA INFILE '<in>' <load-mode> INTO TABLE <writable> <load-rest> | LOAD DATA CONCURRENT INFILE '<in>' INTO TABLE qc1 . t1 FIELDS TERMINATED BY ',' ( a , @v1 ) SET b = @v1 , c = ( SELECT MAX( c ) FROM <real> <alias> ) | LOAD XML INFILE '<in>' INTO TABLE <writable> | LOAD DATA LOW_PRIORITY INFILE '<in>' INTO TABLE part1 PARTITION ( p0 ) ;
<load-mode> = | REPLACE | IGNORE ;
<load-rest> = | ( a ) | CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' IGNORE 1 LINES ( a , b ) | COLUMNS TERMINATED BY ',' LINES TERMINATED BY '\\n' ( a , b , @v1 ) SET c = f1( 3 ) ;
`;

const MYSQL = `
<extra> = SELECT * FROM <real> FOR SHARE | SELECT * FROM <real> x , <real> y FOR UPDATE OF x FOR SHARE OF y SKIP LOCKED | EXPLAIN ANALYZE <query> | EXPLAIN FORMAT = TREE <update> | EXPLAIN INTO @v1 FORMAT = JSON <query> | EXPLAIN FOR SCHEMA qc2 <query> | SET PERSIST <global-variable> | SET @@persist. <global-variable> | SET PERSIST_ONLY max_connections = 88 | RESET PERSIST | RESET PERSIST IF EXISTS max_connections | SET RESOURCE GROUP USR_default
  | CREATE RESOURCE GROUP qcg TYPE = USER | DROP RESOURCE GROUP qcg | CREATE SPATIAL REFERENCE SYSTEM 777 NAME 'q' DEFINITION '' | LOCK INSTANCE FOR BACKUP | UNLOCK INSTANCE | ALTER TABLE <changed> ALTER INDEX i1 INVISIBLE , ALGORITHM = INSTANT | ALTER TABLE <changed> SECONDARY_ENGINE = NULL | ALTER USER qcu1 DEFAULT ROLE NONE | ALTER USER USER() IDENTIFIED BY 'y:Passw0rd' | CREATE USER qcn9 DEFAULT ROLE qcr1 COMMENT 'x' ATTRIBUTE '{"a": 1}' | GRANT SYSTEM_VARIABLES_ADMIN ON * . * TO qcu1 | GRANT SELECT ON qc1 . t1 TO qcu1 AS qcu2 WITH ROLE NONE | REVOKE IF EXISTS SELECT ON qc1 . t1 FROM qcu1 IGNORE UNKNOWN USER
  | ANALYZE TABLE t1 UPDATE HISTOGRAM ON b WITH 4 BUCKETS | ANALYZE TABLE t1 DROP HISTOGRAM ON b | IMPORT TABLE FROM '/nowhere/x.sdi' | CREATE TABLESPACE qct ADD DATAFILE 'qct.ibd' | DROP TABLESPACE qct | SHOW REPLICA STATUS | SHOW BINARY LOG STATUS | SHOW EXTENDED COLUMNS FROM <real> | SHOW EXTENDED FULL TABLES | FLUSH OPTIMIZER_COSTS | ALTER SCHEMA qc2 READ ONLY = 1 | XA COMMIT 'q' ONE PHASE | INSERT INTO t1 ( a , b ) SELECT * FROM ( VALUES ROW( 40 , 1 ) ) AS z ( a , b ) ON DUPLICATE KEY UPDATE b = z . b | SELECT * FROM ( TABLE t1 ) AS z ( p , q , r ) | SELECT a FROM t1 QUALIFY 1 | DESC FORMAT = JSON <query> | SHOW CREATE SCHEMA IF NOT EXISTS qc2 ;
`;

const MARIADB = `
<extra> = INSERT INTO <writable> <insert-body> RETURNING a , ( SELECT COUNT( * ) FROM <real> ) | REPLACE INTO <writable> VALUES ( 3 , 4 , 'r' ) RETURNING * | DELETE FROM <writable> <where> RETURNING a , f1( 1 ) | SELECT NEXTVAL( s1 ) | SELECT NEXT VALUE FOR s1 | SELECT NEXT VALUE FOR qc1 . s1 , LASTVAL( s1 ) | SELECT PREVIOUS VALUE FOR s1 | SELECT SETVAL( s1 , 50 ) | DO NEXTVAL( qc1 . s1 ) | INSERT INTO t1 ( a ) VALUES ( NEXT VALUE FOR s1 ) | CREATE SEQUENCE s2 START WITH 5 | CREATE OR REPLACE SEQUENCE s1 | ALTER SEQUENCE s1 RESTART 3 | DROP SEQUENCE IF EXISTS s1 | CREATE TABLE q7 ( a INT DEFAULT ( NEXT VALUE FOR s1 ) ) | RENAME TABLE s1 TO s9
  | BEGIN NOT ATOMIC <body-list> END | EXECUTE IMMEDIATE 'DELETE FROM t1' | EXECUTE IMMEDIATE 'SELECT ?' USING 1 | EXECUTE IMMEDIATE CONCAT( 'SEL' , 'ECT 1' ) | IF <cond> THEN <body-list> END IF | WHILE 0 DO <body-list> END WHILE | FOR i IN 1 .. 2 DO <body-list> END FOR | FOR i IN ( <query> ) DO <body-list> END FOR | REPEAT <body-list> UNTIL 1 END REPEAT | l2 : LOOP <body-list> LEAVE l2 \\; END LOOP | CASE 1 WHEN 1 THEN <body-list> END CASE | l1 : LOOP <body-list> LEAVE l1 \\; END LOOP
  | SELECT * FROM h1 FOR SYSTEM_TIME ALL | SELECT * FROM h1 FOR SYSTEM_TIME AS OF NOW() x , <real> | SELECT * FROM h1 FOR SYSTEM_TIME BETWEEN '2020-01-01' AND NOW() AS x JOIN t1 ON 1 | DELETE HISTORY FROM h1 | DELETE HISTORY FROM h1 BEFORE SYSTEM_TIME NOW() | ALTER TABLE h1 DROP SYSTEM VERSIONING | CREATE TABLE q8 ( a INT ) WITH SYSTEM VERSIONING | SET STATEMENT sort_buffer_size = 40000 FOR <query> | SET STATEMENT max_statement_time = 1 , sort_buffer_size = 40000 FOR <update> | SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR DELETE FROM "t1" | ANALYZE <query> | ANALYZE FORMAT = JSON <delete> | ANALYZE <insert> | ANALYZE TABLE t1 PERSISTENT FOR ALL | EXPLAIN EXTENDED <delete> | SHOW ANALYZE FOR 1 | SHOW EXPLAIN FOR 1
  | CREATE OR REPLACE TABLE t1 ( a INT ) | CREATE OR REPLACE TABLE t2 AS SELECT * FROM t1 | CREATE OR REPLACE PROCEDURE p1 ( ) <body> | CREATE OR REPLACE FUNCTION f1 ( x INT ) RETURNS INT RETURN 1 | CREATE OR REPLACE TRIGGER tr1 AFTER DELETE ON t3 FOR EACH ROW <simple-body> | CREATE OR REPLACE EVENT e1 ON SCHEDULE EVERY 1 DAY DO <body> | CREATE OR REPLACE USER qcu1 | CREATE OR REPLACE ROLE qcr1 WITH ADMIN CURRENT_USER | CREATE OR REPLACE SERVER qcs1 FOREIGN DATA WRAPPER mysql OPTIONS ( HOST 'h' ) | CREATE OR REPLACE DATABASE qc3 | CREATE AGGREGATE FUNCTION g1 ( x INT ) RETURNS INT BEGIN FETCH GROUP NEXT ROW \\; RETURN 1 \\; END | DROP TABLE t1 WAIT 1 , t2 | DROP TABLE IF EXISTS t1 , t2 NOWAIT | ALTER TABLE t1 NOWAIT ADD d INT | LOCK TABLES t1 WRITE CONCURRENT WAIT 1 | RENAME TABLE IF EXISTS t1 NOWAIT TO q1 | RENAME TABLES t1 WAIT 1 TO q1 | TRUNCATE t1 NOWAIT | ALTER IGNORE TABLE t1 DROP c | ALTER TABLE IF EXISTS t1 DROP COLUMN IF EXISTS c | ALTER TABLE part2 CONVERT PARTITION pa TO TABLE q1 | ALTER TABLE part2 CONVERT TABLE t1 TO PARTITION pc VALUES LESS THAN ( 900 ) | CREATE INDEX IF NOT EXISTS i1 ON t1 NOWAIT ( b )
  | BACKUP STAGE START | BACKUP LOCK t1 | BACKUP UNLOCK | FLUSH USER_STATISTICS | FLUSH QUERY CACHE | FLUSH SSL | FLUSH TABLES t1 , t2 FOR EXPORT | SET PASSWORD FOR qcu1 = PASSWORD( 'z' ) | SET DEFAULT ROLE qcr1 FOR qcu1 | GRANT SELECT ON t1 TO PUBLIC | GRANT qcr1 TO CURRENT_USER | GRANT SELECT ON t1 TO qcu1 IDENTIFIED BY 'w' REQUIRE SSL | REVOKE ADMIN OPTION FOR qcr1 FROM qcu1 | CREATE USER qcn5 IDENTIFIED VIA mysql_native_password USING PASSWORD( 'x' ) OR unix_socket | ALTER USER CURRENT_USER() ACCOUNT UNLOCK | SHOW CREATE SEQUENCE s1 | SHOW CREATE PACKAGE qc1 . pk | SHOW ALL SLAVES STATUS | SHOW AUTHORS | SHOW USER_STATISTICS | SELECT * FROM t1 LIMIT 1 ROWS EXAMINED 100 | SELECT * FROM t1 ORDER BY a OFFSET 1 ROW FETCH FIRST 1 ROWS WITH TIES | VALUES ( 1 , 2 ) , ( 3 , 4 ) | INSERT INTO t1 VALUES ( 33 , 1 , 'x' ) ON DUPLICATE KEY UPDATE b = VALUE( b ) RETURNING b | INSERT DELAYED INTO m1 VALUES ( 77 , 1 , 'd' ) | SELECT 1 PROCEDURE ANALYSE( ) | SELECT * FROM t1 PROCEDURE ANALYSE( 1 , 2 ) | KILL QUERY ID 0 | SELECT a INTO v9 FROM t1 | UPDATE t1 FOR PORTION OF p FROM 1 TO 2 SET b = 1 | WITH c1 AS ( SELECT 1 AS a ) CYCLE a RESTRICT SELECT * FROM c1 | SELECT * FROM SEQ_1_TO_3 | CREATE PACKAGE qc1 . pk IS PROCEDURE p ( ) \\; END | UPDATE t1 SET b = 1 ORDER BY a LIMIT 1 | HANDLER s1 OPEN | XA START 'q' ; DELETE FROM t2 ; XA END 'q' ; XA PREPARE 'q' ; XA COMMIT 'q' | GET DIAGNOSTICS CONDITION 1 @v1 = ROW_NUMBER | DO RELEASE_ALL_LOCKS() , GET_LOCK( 'z' , 0 ) ;
`;

export function effectsGrammar(kind: ServerKind): Grammar {
  return readGrammar(`${COMMON}${kind === "mysql" ? MYSQL : MARIADB}`);
}

/** The tokens of a sentence with what it is to read and write files by. */
function withFiles(tokens: readonly string[], inFile: string, outFile: string): string[] {
  return tokens.map((token) => {
    if (token === "'<out>'") return `'${outFile}'`;
    if (token === "'<in>'") return `'${inFile}'`;
    return token === "\\;" ? ";" : token;
  });
}

export interface TextOptions {
  readonly mode: string;
  readonly oddity: number;
  readonly depth: number;
  readonly inFile: string;
  readonly outFile: string;
}

const STACKED_SHARE = 8;

/** One text of a grammar whose start is `<statement>`, or `<start>` where the server's own has it. */
export function makeText(dice: Dice, grammar: Grammar, { mode, oddity, depth, inFile, outFile }: TextOptions): string {
  const start = grammar.rules.has("<start>") ? "<start>" : "<statement>";
  const spelling = { ansiQuotes: mode.includes("ANSI"), oddity };
  const one = (): string => spell(dice, withFiles(grammar.sentence(dice, start, depth), inFile, outFile), spelling);
  const texts = [one()];
  while (dice.below(STACKED_SHARE) === 0) texts.push(one());
  return texts.join(";");
}
