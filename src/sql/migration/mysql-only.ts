/** What a MySQL statement has that PostgreSQL and Aurora DSQL have not, told by the words of its digest. */

export interface MysqlOnly {
  readonly id: string;
  /** On the digest in lower case, with single blanks. */
  readonly pattern: RegExp;
  readonly why: string;
}

/** Every pattern is a few words in a row or near each other: none goes back over more than a statement's words once. */
export const MYSQL_ONLY: readonly MysqlOnly[] = [
  { id: "on-duplicate-key", pattern: /\bon duplicate key update\b/, why: "INSERT … ON CONFLICT (key) DO UPDATE SET" },
  { id: "replace", pattern: /^replace\b/, why: "INSERT … ON CONFLICT (key) DO UPDATE SET all columns" },
  {
    id: "insert-ignore",
    pattern: /^(?:insert|update|delete) (?:low_priority |delayed |high_priority |quick )?ignore\b/,
    why: "INSERT … ON CONFLICT DO NOTHING; other errors are not ignored",
  },
  { id: "insert-set", pattern: /^insert (?:into )?[^ ]+ set\b/, why: "INSERT INTO t (columns) VALUES (…)" },
  { id: "limit-comma", pattern: /\blimit (?:\?|\d+) ?, ?(?:\?|\d+)/, why: "LIMIT n OFFSET m" },
  { id: "update-limit", pattern: /^(?:update|delete)\b.*\blimit (?:\?|\d+)/, why: "WHERE id IN (SELECT id … LIMIT n)" },
  { id: "update-join", pattern: /^update [^=]*\bjoin\b/, why: "UPDATE t SET … FROM other WHERE …" },
  {
    id: "delete-join",
    pattern: /^delete (?!from )[^ ]+ from\b|^delete from [^ ]+ using\b/,
    why: "DELETE FROM t USING other WHERE …",
  },
  { id: "call", pattern: /^call\b/, why: "there are no procedures: run the statements from the application" },
  {
    id: "show",
    pattern: /^(?:show (?!transaction)|describe\b|desc )/,
    why: "information_schema, or SHOW of a setting",
  },
  {
    id: "set-variable",
    pattern: /^set (?!transaction|application_name|client_encoding|datestyle|timezone|search_path|role)/,
    why: "most settings cannot be set",
  },
  { id: "system-variable", pattern: /@@/, why: "SHOW name, or current_setting('name')" },
  {
    id: "user-variable",
    pattern: /(?:^|[^@\w])@[a-z_`]/,
    why: "there are no user variables: keep values in the application",
  },
  {
    id: "savepoint",
    pattern: /^(?:savepoint|release savepoint|rollback to)\b/,
    why: "there are no savepoints: run the whole transaction again",
  },
  { id: "lock-share", pattern: /\block in share mode\b|\bfor share\b/, why: "FOR UPDATE, or FOR KEY SHARE" },
  {
    id: "skip-locked",
    pattern: /\b(?:skip locked|nowait)\b/,
    why: "nothing waits for a lock there: conflicts are found at COMMIT",
  },
  { id: "lock-tables", pattern: /^(?:lock|unlock) tables?\b/, why: "SELECT … FOR UPDATE on the rows" },
  {
    id: "named-lock",
    pattern: /\b(?:get_lock|release_lock|is_free_lock)\b/,
    why: "a row of a table as the lock, with FOR UPDATE",
  },
  { id: "truncate", pattern: /^truncate\b/, why: "DELETE in batches of less than 3,000 rows" },
  { id: "load-data", pattern: /^load data\b/, why: "COPY … FROM STDIN in transactions of less than 3,000 rows" },
  { id: "temporary-table", pattern: /^create temporary\b/, why: "WITH, or a table of its own" },
  {
    id: "table-options",
    pattern: /^create table\b.*\b(?:engine|auto_increment|charset)\b/,
    why: "querycop dsql migrate writes the schema",
  },
  { id: "xa", pattern: /^xa\b/, why: "there are no transactions in two phases" },
  { id: "handler", pattern: /^handler\b/, why: "SELECT" },
  { id: "index-hint", pattern: /\b(?:use|force|ignore) (?:index|key)\b/, why: "leave it out" },
  { id: "straight-join", pattern: /\bstraight_join\b/, why: "JOIN" },
  { id: "found-rows", pattern: /\b(?:sql_calc_found_rows|found_rows)\b/, why: "a second SELECT count(*)" },
  { id: "fulltext", pattern: /\bmatch ?\([^)]*\) against\b/, why: "there is no text search: use a search service" },
  { id: "regexp", pattern: /\b(?:regexp|rlike)\b/, why: "~ or ~*" },
  { id: "div-xor", pattern: /\b(?:div|xor)\b|<=>|&&|\|\|/, why: "integer division with /, IS DISTINCT FROM, AND, OR" },
  {
    id: "interval-unit",
    pattern: /\binterval [^ ]+ (?:second|minute|hour|day|week|month|quarter|year)\b/,
    why: "interval '1 day', or make_interval()",
  },
  {
    id: "function",
    pattern:
      /\b(?:ifnull|if|group_concat|date_format|str_to_date|unix_timestamp|from_unixtime|date_add|date_sub|datediff|timestampdiff|curdate|curtime|utc_timestamp|last_insert_id|uuid_short|uuid_to_bin|bin_to_uuid|find_in_set|field|elt|json_extract|json_unquote|json_contains|json_object|json_arrayagg|json_set|inet_aton|inet_ntoa|sysdate|rand|isnull|convert|crc32|sha1|sha2|aes_encrypt|aes_decrypt|row_count|connection_id|any_value|std|substring_index) ?\(/,
    why: "the function has another name there, or none: coalesce, string_agg, to_char, extract, RETURNING, ->>",
  },
];
