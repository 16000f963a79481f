import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionEffectOf } from "../../../src/policy/mysql/reading-effect.ts";
import { contextFor } from "../../../src/policy/tools/tool-context.ts";
import { analyze } from "../../../src/sql/mysql/analyze.ts";

for (const [sql, effect, dialect] of [
  ["SELECT 1", "none"],
  ["INSERT INTO t VALUES (1)", "none"],
  ["SELECT @a := 'session_track_schema'", "none"],
  ["SET @session_track_schema = 1", "none"],
  ["SET autocommit = 0", "none"],
  ["SET GLOBAL sql_mode = ''", "none"],
  ["USE app", "none"],
  ["PREPARE s FROM 'SET session_track_system_variables = \\'\\''", "none"],
  ["CREATE PROCEDURE p() BEGIN SET session_track_system_variables = ''; CALL q(); END", "none"],
  ["SET NAMES utf8mb4", "sets charset connection"],
  ["SET character_set_client = latin1, autocommit = 1", "sets charset"],
  ["SET @@collation_connection = utf8mb4_bin", "sets connection"],
  ["SELECT 1; SET sql_mode = ''", "sets sql_mode"],
  [`${"DO 0;".repeat(100)} SET sql_mode = 'ANSI_QUOTES'`, "sets sql_mode"],
  ["SELECT 1 /*!99999 ; SET sql_mode = '' */", "sets sql_mode"],
  ["EXECUTE IMMEDIATE 'SET sql_mode = 4'", "sets sql_mode", "mariadb"],
  ["EXECUTE IMMEDIATE 'SELECT 1'", "none", "mariadb"],
  ["SET sql_mode = ''; SET @@sql_mode = 4", "opaque"],
  ["SELECT 1; USE app", "opaque"],
  ["DROP DATABASE app", "opaque"],
  ["EXECUTE IMMEDIATE 'USE app'", "opaque", "mariadb"],
  ["EXECUTE IMMEDIATE @s", "opaque", "mariadb"],
  ["set autocommit=1, session_track_schema=1,session_track_system_variables='auto_increment_increment'", "opaque"],
  ["SET SESSION session_track_system_variables = DEFAULT", "opaque"],
  ["SET @@session.`session_track_system_variables` = ''", "opaque"],
  ["SET @@LOCAL.SESSION_TRACK_SYSTEM_VARIABLES := ''", "opaque"],
  ["SET session_tr\u00e4ck_schema = OFF", "opaque"],
  ["SET sql_m\u00f6de = 4", "sets sql_mode"],
  ["SELECT 1 /*!99999 ; SET session_track_system_variables = '' */", "opaque"],
  ["SET STATEMENT session_track_schema=OFF FOR USE qc", "opaque", "mariadb"],
  ["SET STATEMENT sql_mode='ANSI_QUOTES' FOR DO 1", "opaque", "mariadb"],
  ["EXECUTE s", "opaque"],
  ["CALL p()", "opaque"],
  ["SELECT 1; CALL p()", "opaque"],
  ["SELECT f()", "opaque"],
  ["SELECT app.abs(1)", "opaque"],
  ["INSERT INTO t VALUES (f())", "opaque"],
  ["SET @a = (SELECT f())", "opaque"],
  ["EXPLAIN SELECT f()", "opaque"],
  ["FROBNICATE", "opaque"],
] as const) {
  test(`sessionEffectOf() says ${effect}: ${sql.slice(0, 100)}`, () => {
    const analysis = analyze(new TextEncoder().encode(sql), contextFor({ dialect }));
    assert.equal(sessionEffectOf(analysis), effect);
  });
}
