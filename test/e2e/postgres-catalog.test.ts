/**
 * What real servers have in their catalogs, against what is known of them: every function that writes, reads files, waits or talks
 * to others is refused to a read-only profile, those that it may call do nothing of the kind, and no name of the server's own is
 * taken for somebody else's. QUERYCOP_TEST_SCALE=full asks PostgreSQL 17 as well.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe } from "node:test";
import { decide } from "../../src/policy/decide.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import type { PostgresqlContext } from "../../src/sql/facts.ts";
import { isHarmlessCall } from "../../src/sql/postgres/certainty.ts";
import { KEYWORDS } from "../../src/sql/postgres/lexing/keywords.ts";
import {
  BUILT_IN_OPERATORS,
  BUILT_IN_TYPES,
  CATALOG_RELATIONS,
  SUPERUSER_SETTINGS,
} from "../../src/sql/postgres/walk/built-in-names.ts";
import { policyFrom, SUBJECT } from "../policy/policy-fixture.ts";
import { e2e } from "../support/e2e-test.ts";
import { PostgresClient } from "../support/postgres-client.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";
import { LISTS_SETUP, STATE_QUERY } from "../support/postgres-lists.ts";
import { type PostgresServer, type PostgresVersion, startPostgres } from "../support/postgres-server.ts";

const VERSIONS: readonly PostgresVersion[] = process.env["QUERYCOP_TEST_SCALE"] === "full" ? [15, 17, 18] : [15, 18];

/** As a session of a server before 18 is: it does not tell its search_path. */
const CONTEXT: PostgresqlContext = { ...POSTGRES_CONTEXT, searchPath: "unknown" };

/** Literals that values of these types may have, so that functions do their work and do not only refuse NULL. */
const VALUES: Readonly<Record<string, string>> = {
  text: "a",
  cstring: "a",
  name: "a",
  character: "a",
  "character varying": "a",
  '"char"': "a",
  refcursor: "a",
  integer: "1",
  bigint: "1",
  smallint: "1",
  oid: "1259",
  xid: "3",
  xid8: "3",
  cid: "0",
  tid: "(0,1)",
  pg_lsn: "0/0",
  real: "1",
  "double precision": "1",
  numeric: "1",
  money: "1",
  boolean: "true",
  bytea: "a",
  bit: "1",
  "bit varying": "1",
  json: "{}",
  jsonb: "{}",
  jsonpath: "$",
  xml: "<a/>",
  uuid: "00000000-0000-0000-0000-000000000001",
  date: "2026-01-01",
  "time without time zone": "12:00",
  "time with time zone": "12:00+00",
  "timestamp without time zone": "2026-01-01",
  "timestamp with time zone": "2026-01-01",
  interval: "1 second",
  inet: "127.0.0.1",
  cidr: "127.0.0.0/8",
  macaddr: "08:00:2b:01:02:03",
  macaddr8: "08:00:2b:01:02:03:04:05",
  point: "(0,0)",
  lseg: "[(0,0),(1,1)]",
  line: "{1,-1,0}",
  box: "(1,1),(0,0)",
  path: "[(0,0),(1,1)]",
  polygon: "((0,0),(1,1),(1,0))",
  circle: "<(0,0),1>",
  tsvector: "a",
  tsquery: "a",
  oidvector: "1",
  int2vector: "1",
  regclass: "book",
  regproc: "now",
  regprocedure: "now()",
  regoper: "!!",
  regoperator: "+(int4,int4)",
  regtype: "int4",
  regrole: "postgres",
  regnamespace: "public",
  regconfig: "simple",
  regdictionary: "simple",
  regcollation: '"C"',
  aclitem: "postgres=r/postgres",
  txid_snapshot: "10:20:10",
  pg_snapshot: "10:20:10",
};

const POLYMORPHIC: Readonly<Record<string, string>> = {
  anyelement: "1",
  anynonarray: "1",
  anycompatible: "1",
  anycompatiblenonarray: "1",
  '"any"': "1",
  anyarray: "ARRAY[1]",
  anycompatiblearray: "ARRAY[1]",
  anyrange: "int4range(1, 2)",
  anycompatiblerange: "int4range(1, 2)",
  anymultirange: "int4multirange(int4range(1, 2))",
  anycompatiblemultirange: "int4multirange(int4range(1, 2))",
};

function argumentOf(type: string): string {
  const polymorphic = POLYMORPHIC[type];
  if (polymorphic !== undefined) return polymorphic;
  if (type.endsWith("[]")) return `'{}'::${type}`;
  const literal =
    VALUES[type] ?? (/(?:multi)?range$/.test(type) ? (type.includes("multi") ? "{}" : "empty") : undefined);
  return literal === undefined ? `NULL::${type}` : `'${literal}'::${type}`;
}

/** Volatile or not for everybody, and harmless: random numbers, clocks, sizes, states. */
const LOOKED_AT: ReadonlySet<string> = new Set(
  (
    "random random_normal setseed gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle clock_timestamp timeofday currval " +
    "lastval pg_is_in_recovery pg_database_size pg_indexes_size pg_relation_size pg_table_size pg_tablespace_size " +
    "pg_total_relation_size txid_status pg_xact_status pg_current_wal_lsn pg_current_wal_flush_lsn pg_current_wal_insert_lsn " +
    "pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp " +
    "pg_safe_snapshot_blocking_pids pg_blocking_pids pg_jit_available pg_partition_tree pg_partition_ancestors " +
    "pg_notification_queue_usage pg_get_wal_replay_pause_state pg_isolation_test_session_is_blocked pg_lock_status " +
    "pg_stat_clear_snapshot pg_stat_force_next_flush pg_xact_commit_timestamp pg_xact_commit_timestamp_origin " +
    "pg_is_wal_replay_paused pg_sequence_last_value pg_collation_actual_version pg_database_collation_actual_version " +
    "pg_get_multixact_members current_query pg_prepared_xact pg_stat_have_stats pg_replication_origin_oid"
  ).split(" "),
);

const NO_CALL = {
  start: 0,
  end: 0,
  spelling: "plain",
  clause: "select",
  block: 0,
  arguments: 0,
  hasSubquery: false,
  firstLiteral: undefined,
} as const;

const encoder = new TextEncoder();
const policy = policyFrom("read_only: true");

function isBlocked(sql: string): boolean {
  const analysis = POSTGRES_ENGINE.analyze(encoder.encode(sql), CONTEXT);
  return decide(analysis, SUBJECT, policy, { wallMs: 0 }).action === "block";
}

/** Bytes and calls by which the server's process has read and written files; its sockets are not among them. */
function fileTraffic(pid: string): string {
  return readFileSync(`/proc/${pid}/io`, "latin1").split("\n").slice(0, 4).join(" ");
}

for (const version of VERSIONS) {
  describe(`the catalog of PostgreSQL ${version}`, () => {
    let server: PostgresServer;
    let client: PostgresClient;

    after(async () => {
      client?.close();
      await server?.stop();
    });

    const all = async (sql: string): Promise<string[]> => (await client.query(sql)).map(([value]) => value ?? "");

    /** Whatever comes of it. */
    async function tried(sql: string): Promise<void> {
      client.send({ name: "Query", sql: encoder.encode(sql) });
      const pieces = await client.untilReady();
      assert.equal(pieces.at(-1)?.type, 0x5a, `the server ended the session: ${sql}`);
    }

    e2e("the server starts", async () => {
      await readyToParse();
      server = await startPostgres(undefined, "", version);
      client = await PostgresClient.logIn({ port: server.port, user: "postgres" });
      await client.query(LISTS_SETUP);
      // What it logs would be a file that it writes.
      await client.query("SET log_min_messages = panic");
    });

    e2e("its types, operators, tables, keywords and superusers' settings are known", async () => {
      const unknown = async (names: ReadonlySet<string>, sql: string): Promise<string[]> =>
        (await all(sql)).filter((name) => !names.has(name));
      const own = (column: string): string => `${column} = 'pg_catalog'::regnamespace`;
      const types = `SELECT typname FROM pg_type WHERE ${own("typnamespace")} AND typrelid = 0 AND typname !~ '^_'`;
      assert.deepEqual(await unknown(BUILT_IN_TYPES, types), []);
      assert.deepEqual(await unknown(KEYWORDS, "SELECT word FROM pg_get_keywords()"), []);
      const operators = `SELECT DISTINCT oprname FROM pg_operator WHERE ${own("oprnamespace")}`;
      assert.deepEqual(await unknown(BUILT_IN_OPERATORS, operators), []);
      const relations = `SELECT relname FROM pg_class WHERE ${own("relnamespace")} AND relkind IN ('r', 'v')`;
      assert.deepEqual(await unknown(CATALOG_RELATIONS, relations), []);
      const settings = "SELECT name FROM pg_settings WHERE context IN ('superuser', 'superuser-backend')";
      assert.deepEqual(await unknown(SUPERUSER_SETTINGS, settings), []);
    });

    e2e(
      "functions that write, read files, wait or are not for everybody are refused to a read-only profile",
      async () => {
        const names = await all(
          `SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND
           (provolatile = 'v' OR prorettype = 'void'::regtype OR NOT has_function_privilege('trust_user', oid, 'EXECUTE'))
         ORDER BY 1`,
        );
        assert.ok(names.length > 250, String(names.length));
        const open = names.filter((name) => !LOOKED_AT.has(name) && !name.startsWith("pg_stat_get_xact_"));
        assert.deepEqual(
          open.filter((name) => !isBlocked(`SELECT pg_catalog."${name}"()`)),
          [],
          "nobody has looked at these",
        );
      },
    );

    e2e(
      "functions that it may call write nothing, read no file, draw no transaction number and take no lock",
      async () => {
        const rows = (await client.query(
          `SELECT proname, coalesce((SELECT string_agg(format_type(type, NULL), '|' ORDER BY at)
                  FROM unnest(proargtypes) WITH ORDINALITY AS given (type, at)), '')
         FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a') ORDER BY 1, 2`,
        )) as string[][];
        const calls: string[] = [];
        for (const [name = "", types = ""] of rows) {
          const call = { ...NO_CALL, name: name.toUpperCase(), schema: "pg_catalog" };
          if (name !== name.toLowerCase() || !isHarmlessCall(call, CONTEXT) || types.includes("internal")) continue;
          const values = types === "" ? [] : types.split("|").map(argumentOf);
          calls.push(`SELECT pg_catalog."${name}"(${values.join(", ")})`);
        }
        assert.ok(calls.length > 1_900, String(calls.length));
        const clean = JSON.stringify(await client.query(STATE_QUERY));
        const [pid = ""] = await all("SELECT pg_backend_pid()");
        const traces =
          "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NULL AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND (locktype = 'advisory' OR mode IN ('ExclusiveLock', 'AccessExclusiveLock') AND locktype <> 'virtualxid'))";
        const readers: string[] = [];
        for (const call of calls) {
          // A savepoint would draw a number: what fails ends the transaction, and with it all that it has taken.
          await tried(`BEGIN; ${call}`);
          const [isClean] = await all(traces).catch(() => ["t"]);
          assert.equal(isClean, "t", call);
          await tried("ROLLBACK");
          // By now all that it looks up in the catalog is in memory.
          const before = fileTraffic(pid);
          await tried(call);
          if (fileTraffic(pid) !== before) readers.push(call);
        }
        assert.equal(JSON.stringify(await client.query(STATE_QUERY)), clean);
        // It lists the files of the time zones that the server came with.
        assert.deepEqual(readers, ['SELECT pg_catalog."pg_timezone_names"()']);
      },
    );
  });
}
