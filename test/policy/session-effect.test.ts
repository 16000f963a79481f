import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionEffectOf } from "../../src/policy/session-effect.ts";
import { contextFor } from "../../src/policy/tool-context.ts";
import { analyze } from "../../src/sql/analyze.ts";

for (const [sql, effect] of [
  ["SELECT 1", "none"],
  ["INSERT INTO t VALUES (1)", "none"],
  ["SELECT @a := 'session_track_schema'", "none"],
  ["SET @session_track_schema = 1", "sets"],
  ["SET autocommit = 0", "sets"],
  ["SET NAMES utf8mb4", "sets"],
  ["SELECT 1; SET sql_mode = ''", "sets"],
  [`${"DO 0;".repeat(100)} SET sql_mode = 'ANSI_QUOTES'`, "sets"],
  ["SELECT 1 /*!99999 ; SET sql_mode = '' */", "sets"],
  [
    "set autocommit=1, session_track_schema=1,session_track_system_variables='auto_increment_increment'",
    "replaces-tracking",
  ],
  ["SET SESSION session_track_system_variables = DEFAULT", "replaces-tracking"],
  ["SET @@session.`session_track_system_variables` = ''", "replaces-tracking"],
  ["SET @@LOCAL.SESSION_TRACK_SYSTEM_VARIABLES := ''", "replaces-tracking"],
  ["SELECT 1 /*!99999 ; SET session_track_system_variables = '' */", "replaces-tracking"],
  ["PREPARE s FROM 'SET session_track_system_variables = \\'\\''", "none"],
  ["EXECUTE s", "opaque"],
  ["EXECUTE IMMEDIATE 'SELECT 1'", "opaque"],
  ["CALL p()", "opaque"],
  ["SELECT 1; CALL p()", "opaque"],
  ["CREATE PROCEDURE p() BEGIN SET session_track_system_variables = ''; CALL q(); END", "none"],
  ["FROBNICATE", "opaque"],
] as const) {
  test(`sessionEffectOf() says ${effect}: ${sql.slice(0, 100)}`, () => {
    const { readings } = analyze(new TextEncoder().encode(sql), contextFor({}));
    assert.equal(sessionEffectOf(readings), effect);
  });
}
