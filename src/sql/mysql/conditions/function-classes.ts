/** What the condition scan has to know about functions, found by the bytes of their name without making a string. */

/** The same result for the same arguments, whatever the row, session or time. */
export const FN_DETERMINISTIC = 1;
/** Cuts, codes or measures text: what reads a value out piece by piece. */
export const FN_PIECE = 2;
/** Chooses between values by a condition. */
export const FN_CHOICE = 4;
/** Tells something about server or session. */
export const FN_SESSION = 8;
/** Puts its argument into the error message. */
export const FN_ERROR = 16;
/** The same, but with ordinary uses too: only a subquery inside is odd. */
export const FN_ERROR_NESTED = 32;
/** Overflows for large arguments. */
export const FN_OVERFLOW = 64;
export const FN_SLEEP = 128;
export const FN_BENCHMARK = 256;
export const FN_LOCK = 512;
export const FN_CHAR = 1024;
export const FN_CONCAT = 2048;
export const FN_RAND = 4096;
export const FN_FLOOR = 8192;
/** Names the current schema: ordinary in conditions on the catalog. */
export const FN_SCHEMA = 16384;
export const FN_COUNT = 32768;
/** Makes other text or another number of a text: what a value is compared through. */
export const FN_TEXT = 65536;
export const FN_IF = 131072;
/** The time, a random number, the connection: no row's, yet another at every call. */
export const FN_MOMENT = 262144;
/** Cuts text out of a text. */
export const FN_CUT = 524288;
/** The code of a character, or of several. */
export const FN_CODE = 1048576;
/** Chooses by a number that the first argument is. */
export const FN_INDEX = 2097152;

const NAMES: readonly (readonly [classes: number, names: string])[] = [
  [
    FN_DETERMINISTIC,
    "ABS ACOS ASIN ATAN ATAN2 CEIL CEILING COS DEGREES LN LOG LOG10 LOG2 MOD PI RADIANS ROUND SIGN SIN SQRT TAN " +
      "TRUNCATE GREATEST LEAST FORMAT SPACE CAST BINARY DATE_FORMAT DATE INET_ATON INET_NTOA INET6_ATON INET6_NTOA " +
      "EXPORT_SET ISNULL ROW CHARSET COLLATION COERCIBILITY BIT_COUNT INTERVAL ADDDATE ADDTIME DATEDIFF DATE_ADD " +
      "DATE_SUB DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR EXTRACT FROM_DAYS FROM_UNIXTIME HOUR IS_IPV4 IS_IPV6 IS_UUID " +
      "LAST_DAY MAKEDATE MAKETIME MICROSECOND MINUTE MONTH MONTHNAME PERIOD_ADD PERIOD_DIFF QUARTER SECOND SEC_TO_TIME " +
      "STR_TO_DATE SUBDATE SUBTIME TIMEDIFF TIMESTAMPADD TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_DAYS TO_SECONDS WEEK " +
      "WEEKDAY WEEKOFYEAR YEAR YEARWEEK JSON_ARRAY JSON_OBJECT JSON_DEPTH JSON_QUOTE JSON_CONTAINS_PATH JSON_OVERLAPS " +
      "JSON_EXTRACT JSON_PRETTY JSON_STORAGE_SIZE POINT ST_X ST_Y ST_ASTEXT ST_AREA ST_DISTANCE ST_LENGTH ST_SRID " +
      "VALIDATE_PASSWORD_STRENGTH STATEMENT_DIGEST AES_DECRYPT AES_ENCRYPT GET_FORMAT FORMAT_BYTES ANY_VALUE ENCODE DECODE " +
      "PASSWORD OLD_PASSWORD",
  ],
  [
    FN_DETERMINISTIC | FN_TEXT,
    "CONCAT_WS LOWER UPPER LCASE UCASE REPEAT REPLACE REVERSE TRIM LTRIM RTRIM LPAD RPAD QUOTE MD5 SHA SHA1 SHA2 CRC32 " +
      "COMPRESS UNCOMPRESS TO_BASE64 FROM_BASE64 CONVERT SOUNDEX STRCMP FIELD REGEXP_REPLACE JSON_UNQUOTE JSON_VALUE " +
      "JSON_SEARCH JSON_SET JSON_TYPE JSON_LENGTH JSON_CONTAINS JSON_MERGE_PATCH STATEMENT_DIGEST_TEXT CONVERT_TZ",
  ],
  [FN_DETERMINISTIC | FN_PIECE | FN_CODE, "ASCII ORD HEX BIN"],
  [FN_DETERMINISTIC | FN_PIECE | FN_CUT, "SUBSTR SUBSTRING MID LEFT RIGHT"],
  [
    FN_DETERMINISTIC | FN_PIECE,
    "OCT UNHEX CONV LENGTH CHAR_LENGTH CHARACTER_LENGTH BIT_LENGTH OCTET_LENGTH LOCATE POSITION INSTR " +
      "SUBSTRING_INDEX FIND_IN_SET REGEXP_LIKE REGEXP_SUBSTR REGEXP_INSTR INSERT WEIGHT_STRING",
  ],
  [FN_DETERMINISTIC | FN_CHOICE | FN_IF, "IF"],
  [FN_DETERMINISTIC | FN_CHOICE | FN_INDEX, "ELT MAKE_SET"],
  [FN_DETERMINISTIC | FN_CHOICE, "IFNULL NULLIF COALESCE"],
  [FN_SESSION, "VERSION USER CURRENT_USER SESSION_USER SYSTEM_USER CURRENT_ROLE"],
  [FN_SESSION | FN_SCHEMA, "DATABASE SCHEMA"],
  [FN_DETERMINISTIC | FN_ERROR, "EXTRACTVALUE UPDATEXML GTID_SUBSET GTID_SUBTRACT NAME_CONST"],
  [FN_ERROR, "ST_LATFROMGEOHASH ST_LONGFROMGEOHASH ST_POINTFROMGEOHASH"],
  [
    FN_ERROR_NESTED,
    "POLYGON MULTIPOINT MULTIPOLYGON LINESTRING MULTILINESTRING GEOMETRYCOLLECTION GEOMCOLLECTION UUID_TO_BIN " +
      "BIN_TO_UUID ST_GEOMFROMTEXT ST_GEOMFROMGEOJSON ST_POINTFROMTEXT ST_GEOMFROMWKB",
  ],
  [FN_DETERMINISTIC | FN_ERROR_NESTED, "JSON_KEYS JSON_VALID"],
  [FN_DETERMINISTIC | FN_OVERFLOW, "EXP POW POWER COT"],
  [FN_SLEEP, "SLEEP"],
  [FN_BENCHMARK, "BENCHMARK"],
  [FN_LOCK, "GET_LOCK"],
  [FN_DETERMINISTIC | FN_CHAR, "CHAR CHR"],
  [FN_DETERMINISTIC | FN_CONCAT, "CONCAT"],
  [FN_CONCAT, "GROUP_CONCAT"],
  [FN_RAND | FN_MOMENT, "RAND"],
  [
    FN_MOMENT,
    "NOW SYSDATE CURDATE CURTIME CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP UTC_DATE UTC_TIME " +
      "UTC_TIMESTAMP UNIX_TIMESTAMP CONNECTION_ID LAST_INSERT_ID FOUND_ROWS ROW_COUNT UUID UUID_SHORT ICU_VERSION " +
      "PS_CURRENT_THREAD_ID RANDOM_BYTES RELEASE_LOCK IS_FREE_LOCK IS_USED_LOCK",
  ],
  [FN_DETERMINISTIC | FN_FLOOR, "FLOOR"],
  [FN_COUNT, "COUNT"],
];

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const LOWER = 0x20;

function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ (byte | LOWER), FNV_PRIME);
}

const CLASSES_BY_HASH: ReadonlyMap<number, number> = buildTable();

/** Two names of the table with one hash would be a fault of the table; it is found when the module loads. */
function buildTable(): Map<number, number> {
  const table = new Map<number, number>();
  const count = NAMES.reduce((sum, [, names]) => sum + names.split(" ").length, 0);
  for (const [classes, names] of NAMES) {
    for (const name of names.split(" ")) {
      let hash = FNV_OFFSET;
      for (let index = 0; index < name.length; index++) hash = hashStep(hash, name.charCodeAt(index));
      table.set(hash, classes);
    }
  }
  if (table.size !== count) throw new Error(`${count} function names have ${table.size} hashes`);
  return table;
}

/**
 * Classes of the function whose name stands at [start, end), 0 for any other. A name outside of the table with the same
 * hash as one in it would get that one's classes; no verdict gets milder by it.
 */
export function functionClasses(sql: Uint8Array, start: number, end: number): number {
  if (end - start > 24) return 0;
  let hash = FNV_OFFSET;
  for (let at = start; at < end; at++) hash = hashStep(hash, sql[at] as number);
  return CLASSES_BY_HASH.get(hash) ?? 0;
}
