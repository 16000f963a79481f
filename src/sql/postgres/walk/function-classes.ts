/**
 * Functions that do more than to compute, by their last name, in whatever schema an extension put them. Data: the dossier of
 * PostgreSQL 15 to 18's catalog and of the extensions that managed services offer.
 */
import type { FindingName } from "../../facts.ts";

interface FunctionClass {
  readonly finding: FindingName;
  readonly names: string;
}

const CLASSES: readonly FunctionClass[] = [
  {
    finding: "server-file-read",
    names:
      "pg_read_file pg_read_binary_file pg_read_file_old pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir " +
      "pg_ls_archive_statusdir pg_ls_replslotdir pg_ls_logicalsnapdir pg_ls_logicalmapdir pg_ls_summariesdir pg_file_read " +
      "pg_file_length pg_logdir_ls pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings lo_import " +
      "pg_current_logfile pg_get_loaded_modules pg_read_server_files pg_wal_summary_contents " +
      "pg_available_wal_summaries pg_get_wal_records_info pg_get_wal_block_info " +
      "get_raw_page table_import_from_s3",
  },
  {
    finding: "server-file-write",
    names: "lo_export pg_file_write pg_file_rename pg_file_unlink pg_file_sync query_export_to_s3",
  },
  {
    finding: "large-object",
    names:
      "lo_close lo_creat lo_create lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64 lo_truncate " +
      "lo_truncate64 lo_unlink loread lowrite lo_manage lo_oid",
  },
  {
    finding: "other-server",
    names:
      "dblink dblink_connect dblink_connect_u dblink_exec dblink_open dblink_fetch dblink_close dblink_send_query " +
      "dblink_get_result dblink_disconnect dblink_get_pkey dblink_build_sql_insert dblink_build_sql_update " +
      "dblink_build_sql_delete postgres_fdw_get_connections postgres_fdw_disconnect postgres_fdw_disconnect_all " +
      "http http_get http_post http_put http_delete http_patch http_head http_set_curlopt urlencode_http " +
      "invoke_model invoke_model_get_embeddings detect_sentiment aws_lambda_invoke invoke",
  },
  {
    finding: "server-control",
    names:
      "pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote pg_switch_wal pg_switch_xlog " +
      "pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_wal_replay_pause " +
      "pg_wal_replay_resume pg_create_physical_replication_slot pg_create_logical_replication_slot " +
      "pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_drop_replication_slot " +
      "pg_replication_slot_advance pg_sync_replication_slots pg_logical_slot_get_changes pg_logical_slot_peek_changes " +
      "pg_logical_slot_get_binary_changes pg_logical_slot_peek_binary_changes pg_logical_emit_message " +
      "pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_advance " +
      "pg_replication_origin_session_setup pg_replication_origin_session_reset pg_replication_origin_xact_setup " +
      "pg_replication_origin_xact_reset pg_stat_reset pg_stat_reset_shared pg_stat_reset_slru " +
      "pg_stat_reset_single_table_counters pg_stat_reset_single_function_counters pg_stat_reset_replication_slot " +
      "pg_stat_reset_subscription_stats pg_stat_reset_backend_stats pg_stat_statements_reset pg_import_system_collations " +
      "pg_log_backend_memory_contexts pg_log_standby_snapshot pg_extension_config_dump pg_nextoid pg_stop_making_pinned_objects " +
      "gin_clean_pending_list brin_summarize_new_values brin_summarize_range brin_desummarize_range " +
      "pg_restore_relation_stats pg_restore_attribute_stats pg_clear_relation_stats pg_clear_attribute_stats pg_prewarm " +
      "pg_truncate_visibility_map heap_force_kill heap_force_freeze pg_resume_wal pg_replication_origin_session_is_setup " +
      "unschedule alter_job set_attribute_stats",
  },
  { finding: "backend-signal", names: "pg_terminate_backend pg_cancel_backend" },
  {
    finding: "advisory-lock",
    names:
      "pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock " +
      "pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_advisory_unlock " +
      "pg_advisory_unlock_all pg_advisory_unlock_shared",
  },
  { finding: "notify-channel", names: "pg_notify" },
];

const BY_NAME: ReadonlyMap<string, FindingName> = new Map(
  CLASSES.flatMap(({ finding, names }) => names.split(" ").map((name) => [name, finding] as const)),
);

/** What calling a function of that name is. */
export function classOf(name: string): FindingName | undefined {
  const known = BY_NAME.get(name);
  if (known !== undefined) return known;
  return name.startsWith("binary_upgrade_") ? "server-control" : undefined;
}

/** Functions that run SQL which one of their arguments holds: its position. */
export const SQL_ARGUMENTS: ReadonlyMap<string, number> = new Map([
  ["query_to_xml", 0],
  ["query_to_xmlschema", 0],
  ["query_to_xml_and_xmlschema", 0],
  ["ts_stat", 0],
  ["crosstab", 0],
  ["crosstab2", 0],
  ["crosstab3", 0],
  ["crosstab4", 0],
  ["crosstabn", 0],
  ["crosstab_hash", 0],
  ["query_export_to_s3", 0],
  ["schedule", 1],
  ["schedule_in_database", 2],
  ["plv8_execute", 0],
  ["dblink_exec_local", 0],
]);

/** Functions that read all of what an argument names: a table, a schema, a cursor, or the whole database. */
export const NAMED_ARGUMENTS: ReadonlyMap<string, "table" | "everything"> = new Map([
  ["table_to_xml", "table"],
  ["table_to_xmlschema", "table"],
  ["table_to_xml_and_xmlschema", "table"],
  ["cursor_to_xml", "everything"],
  ["cursor_to_xmlschema", "everything"],
  ["schema_to_xml", "everything"],
  ["schema_to_xmlschema", "everything"],
  ["schema_to_xml_and_xmlschema", "everything"],
  ["database_to_xml", "everything"],
  ["database_to_xmlschema", "everything"],
  ["database_to_xml_and_xmlschema", "everything"],
  ["connectby", "everything"],
  ["xpath_table", "everything"],
]);

/** Functions of which nobody can tell what a second argument makes them run. */
export const REWRITES_BY_QUERY = "ts_rewrite";

/** Tables and views of the catalog with secrets, or with values and statements of others. */
export const SECRET_RELATIONS: ReadonlySet<string> = new Set(
  (
    "pg_authid pg_shadow pg_user_mapping pg_user_mappings pg_subscription pg_hba_file_rules pg_ident_file_mappings " +
    "pg_file_settings pg_stat_statements pg_largeobject pg_statistic pg_stats pg_stats_ext pg_stats_ext_exprs " +
    "pg_statistic_ext_data pg_stat_activity pg_foreign_server pg_cursors pg_prepared_statements _pg_user_mappings " +
    "user_mapping_options user_mappings foreign_server_options"
  ).split(" "),
);
