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

const NAMES: readonly (readonly [classes: number, names: string])[] = [
  [
    FN_DETERMINISTIC,
    "ABS ACOS ASIN ATAN ATAN2 CEIL CEILING COS COT CRC32 DEGREES LN LOG LOG10 LOG2 MOD PI RADIANS ROUND SIGN SIN SQRT TAN " +
      "TRUNCATE GREATEST LEAST CONCAT_WS FORMAT LOWER UPPER LCASE UCASE REPEAT REPLACE REVERSE SPACE TRIM LTRIM RTRIM LPAD " +
      "RPAD QUOTE MD5 SHA SHA1 SHA2 COMPRESS UNCOMPRESS TO_BASE64 FROM_BASE64 CAST CONVERT BINARY DATE_FORMAT DATE " +
      "INET_ATON INET_NTOA FIELD EXPORT_SET ISNULL ROW SOUNDEX CHARSET COLLATION COERCIBILITY BIT_COUNT INTERVAL STRCMP",
  ],
  [
    FN_DETERMINISTIC | FN_PIECE,
    "ASCII ORD SUBSTR SUBSTRING MID LEFT RIGHT HEX BIN OCT UNHEX CONV LENGTH CHAR_LENGTH CHARACTER_LENGTH BIT_LENGTH " +
      "OCTET_LENGTH LOCATE POSITION INSTR SUBSTRING_INDEX FIND_IN_SET REGEXP_LIKE REGEXP_SUBSTR REGEXP_INSTR INSERT " +
      "WEIGHT_STRING",
  ],
  [FN_DETERMINISTIC | FN_CHOICE, "IF ELT MAKE_SET IFNULL NULLIF COALESCE"],
  [FN_SESSION, "VERSION USER CURRENT_USER SESSION_USER SYSTEM_USER CURRENT_ROLE"],
  [FN_SESSION | FN_SCHEMA, "DATABASE SCHEMA"],
  [FN_ERROR, "EXTRACTVALUE UPDATEXML GTID_SUBSET GTID_SUBTRACT NAME_CONST"],
  [FN_ERROR, "ST_LATFROMGEOHASH ST_LONGFROMGEOHASH ST_POINTFROMGEOHASH"],
  [
    FN_ERROR_NESTED,
    "JSON_KEYS POLYGON MULTIPOINT MULTIPOLYGON LINESTRING MULTILINESTRING GEOMETRYCOLLECTION GEOMCOLLECTION UUID_TO_BIN " +
      "BIN_TO_UUID ROW_COUNT JSON_VALID JSON_EXTRACT ST_GEOMFROMTEXT ST_GEOMFROMGEOJSON",
  ],
  [FN_DETERMINISTIC | FN_OVERFLOW, "EXP POW POWER"],
  [FN_SLEEP, "SLEEP"],
  [FN_BENCHMARK, "BENCHMARK"],
  [FN_LOCK, "GET_LOCK"],
  [FN_DETERMINISTIC | FN_CHAR, "CHAR CHR"],
  [FN_DETERMINISTIC | FN_CONCAT, "CONCAT"],
  [FN_CONCAT, "GROUP_CONCAT"],
  [FN_RAND, "RAND"],
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
