/** MySQL's and MariaDB's SQL, as the judge asks for it. */

import type { MysqlContext } from "../../sql/facts.ts";
import { analyze, lexForCache, type MysqlAnalysis } from "../../sql/mysql/analyze.ts";
import { maskDigest } from "../../sql/mysql/digest/digest-mask.ts";
import { primarySerial } from "../../sql/mysql/lexing/readings.ts";
import { NO_KEYS } from "../keys-written.ts";
import type { SqlEngine } from "../sql-engine.ts";
import { MysqlPreparedText } from "./prepared-text.ts";
import { sessionEffectOf } from "./reading-effect.ts";

export const MYSQL_ENGINE: SqlEngine<MysqlContext> = {
  analyze,
  keyOf: (sql, context) => lexForCache(sql, context).key,
  readingKeyOf: (context) => String(primarySerial(context)),
  takesOpinions: true,
  sessionEffectOf: (analysis) => sessionEffectOf(analysis as MysqlAnalysis),
  // Sessions of Aurora DSQL alone ask for them.
  keysWrittenBy: () => NO_KEYS,
  maskDigest,
  prepare: (sql, context, parameters) => new MysqlPreparedText(sql, context, parameters),
};
