set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')
set autocommit=1, session_track_schema=1,session_track_system_variables='auto_increment_increment'
SELECT @@max_allowed_packet,@@wait_timeout
SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment
SET NAMES utf8mb4
SET max_statement_time=30
SET SESSION session_track_schema = 1
SELECT @@innodb_read_only
select @@read_only
SELECT DATABASE()
