/** Numbers of the MySQL and MariaDB client/server protocol, under the manual's own names. */

/** Largest payload of one packet; a payload of this size says that another packet continues it. */
export const PACKET_PAYLOAD_MAX = 0xffffff;
export const PACKET_HEADER_BYTES = 4;

// First bytes of a response payload. 0x00 and 0xfe mean different things in different states.
export const OK_HEADER = 0x00;
export const AUTH_MORE_DATA_HEADER = 0x01;
export const AUTH_NEXT_FACTOR_HEADER = 0x02;
export const LOCAL_INFILE_HEADER = 0xfb;
export const EOF_HEADER = 0xfe;
export const ERR_HEADER = 0xff;

// Commands (page_protocol_command_phase; enum_server_command in my_command.h). The prose of the manual
// prints two of them wrong: COM_SET_OPTION is 0x1b and COM_STATISTICS is 0x09.
export const COM_SLEEP = 0x00;
export const COM_QUIT = 0x01;
export const COM_INIT_DB = 0x02;
export const COM_QUERY = 0x03;
export const COM_FIELD_LIST = 0x04;
export const COM_CREATE_DB = 0x05;
export const COM_DROP_DB = 0x06;
export const COM_REFRESH = 0x07;
export const COM_SHUTDOWN = 0x08;
export const COM_STATISTICS = 0x09;
export const COM_PROCESS_INFO = 0x0a;
export const COM_CONNECT = 0x0b;
export const COM_PROCESS_KILL = 0x0c;
export const COM_DEBUG = 0x0d;
export const COM_PING = 0x0e;
export const COM_TIME = 0x0f;
export const COM_DELAYED_INSERT = 0x10;
export const COM_CHANGE_USER = 0x11;
export const COM_BINLOG_DUMP = 0x12;
export const COM_TABLE_DUMP = 0x13;
export const COM_CONNECT_OUT = 0x14;
export const COM_REGISTER_SLAVE = 0x15;
export const COM_STMT_PREPARE = 0x16;
export const COM_STMT_EXECUTE = 0x17;
export const COM_STMT_SEND_LONG_DATA = 0x18;
export const COM_STMT_CLOSE = 0x19;
export const COM_STMT_RESET = 0x1a;
export const COM_SET_OPTION = 0x1b;
export const COM_STMT_FETCH = 0x1c;
export const COM_DAEMON = 0x1d;
export const COM_BINLOG_DUMP_GTID = 0x1e;
export const COM_RESET_CONNECTION = 0x1f;
export const COM_CLONE = 0x20;
export const COM_SUBSCRIBE_GROUP_REPLICATION_STREAM = 0x21;
/** MariaDB only. */
export const COM_STMT_BULK_EXECUTE = 0xfa;

// Capability flags (group__group__cs__capabilities__flags). Bit 0 is CLIENT_LONG_PASSWORD for MySQL; MariaDB
// calls it CLIENT_MYSQL and clears it to say that the last four reserved bytes hold its extended flags.
export const CLIENT_LONG_PASSWORD = 0x00000001;
export const CLIENT_FOUND_ROWS = 0x00000002;
export const CLIENT_LONG_FLAG = 0x00000004;
export const CLIENT_CONNECT_WITH_DB = 0x00000008;
export const CLIENT_NO_SCHEMA = 0x00000010;
export const CLIENT_COMPRESS = 0x00000020;
export const CLIENT_ODBC = 0x00000040;
export const CLIENT_LOCAL_FILES = 0x00000080;
export const CLIENT_IGNORE_SPACE = 0x00000100;
export const CLIENT_PROTOCOL_41 = 0x00000200;
export const CLIENT_INTERACTIVE = 0x00000400;
export const CLIENT_SSL = 0x00000800;
export const CLIENT_IGNORE_SIGPIPE = 0x00001000;
export const CLIENT_TRANSACTIONS = 0x00002000;
export const CLIENT_RESERVED = 0x00004000;
/** The manual's newer name is CLIENT_RESERVED2: 4.1 authentication with 20 bytes of authPluginData. */
export const CLIENT_SECURE_CONNECTION = 0x00008000;
export const CLIENT_MULTI_STATEMENTS = 0x00010000;
export const CLIENT_MULTI_RESULTS = 0x00020000;
export const CLIENT_PS_MULTI_RESULTS = 0x00040000;
export const CLIENT_PLUGIN_AUTH = 0x00080000;
export const CLIENT_CONNECT_ATTRS = 0x00100000;
export const CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA = 0x00200000;
export const CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS = 0x00400000;
export const CLIENT_SESSION_TRACK = 0x00800000;
export const CLIENT_DEPRECATE_EOF = 0x01000000;
export const CLIENT_OPTIONAL_RESULTSET_METADATA = 0x02000000;
export const CLIENT_ZSTD_COMPRESSION_ALGORITHM = 0x04000000;
export const CLIENT_QUERY_ATTRIBUTES = 0x08000000;
export const CLIENT_MULTI_FACTOR_AUTHENTICATION = 0x10000000;
/** MySQL reserves this bit; old MariaDB versions used it for progress reports. */
export const CLIENT_CAPABILITY_EXTENSION = 0x20000000;
export const CLIENT_SSL_VERIFY_SERVER_CERT = 0x40000000;
export const CLIENT_REMEMBER_OPTIONS = 0x80000000;

// MariaDB's extended capability flags, bits 32 and up of its 64-bit value, here counted from 0.
export const MARIADB_CLIENT_PROGRESS = 0x01;
export const MARIADB_CLIENT_COM_MULTI = 0x02;
export const MARIADB_CLIENT_STMT_BULK_OPERATIONS = 0x04;
export const MARIADB_CLIENT_EXTENDED_METADATA = 0x08;
export const MARIADB_CLIENT_CACHE_METADATA = 0x10;
export const MARIADB_CLIENT_BULK_UNIT_RESULTS = 0x20;

// Status flags (SERVER_STATUS_flags_enum in mysql_com.h).
export const SERVER_STATUS_IN_TRANS = 0x0001;
export const SERVER_STATUS_AUTOCOMMIT = 0x0002;
export const SERVER_MORE_RESULTS_EXISTS = 0x0008;
export const SERVER_QUERY_NO_GOOD_INDEX_USED = 0x0010;
export const SERVER_QUERY_NO_INDEX_USED = 0x0020;
export const SERVER_STATUS_CURSOR_EXISTS = 0x0040;
export const SERVER_STATUS_LAST_ROW_SENT = 0x0080;
export const SERVER_STATUS_DB_DROPPED = 0x0100;
export const SERVER_STATUS_NO_BACKSLASH_ESCAPES = 0x0200;
export const SERVER_STATUS_METADATA_CHANGED = 0x0400;
export const SERVER_QUERY_WAS_SLOW = 0x0800;
export const SERVER_PS_OUT_PARAMS = 0x1000;
export const SERVER_STATUS_IN_TRANS_READONLY = 0x2000;
export const SERVER_SESSION_STATE_CHANGED = 0x4000;
/** MariaDB only: ANSI_QUOTES is part of the sql_mode. */
export const SERVER_STATUS_ANSI_QUOTES = 0x8000;

// Kinds of session state in an OK_Packet (enum_session_state_type in mysql_com.h).
export const SESSION_TRACK_SYSTEM_VARIABLES = 0;
export const SESSION_TRACK_SCHEMA = 1;
export const SESSION_TRACK_STATE_CHANGE = 2;
export const SESSION_TRACK_GTIDS = 3;
export const SESSION_TRACK_TRANSACTION_CHARACTERISTICS = 4;
export const SESSION_TRACK_TRANSACTION_STATE = 5;

// Column and parameter types (field_types.h).
export const MYSQL_TYPE_DECIMAL = 0;
export const MYSQL_TYPE_TINY = 1;
export const MYSQL_TYPE_SHORT = 2;
export const MYSQL_TYPE_LONG = 3;
export const MYSQL_TYPE_FLOAT = 4;
export const MYSQL_TYPE_DOUBLE = 5;
export const MYSQL_TYPE_NULL = 6;
export const MYSQL_TYPE_TIMESTAMP = 7;
export const MYSQL_TYPE_LONGLONG = 8;
export const MYSQL_TYPE_INT24 = 9;
export const MYSQL_TYPE_DATE = 10;
export const MYSQL_TYPE_TIME = 11;
export const MYSQL_TYPE_DATETIME = 12;
export const MYSQL_TYPE_YEAR = 13;
export const MYSQL_TYPE_VARCHAR = 15;
export const MYSQL_TYPE_BIT = 16;
export const MYSQL_TYPE_VECTOR = 242;
export const MYSQL_TYPE_BOOL = 244;
export const MYSQL_TYPE_JSON = 245;
export const MYSQL_TYPE_NEWDECIMAL = 246;
export const MYSQL_TYPE_ENUM = 247;
export const MYSQL_TYPE_SET = 248;
export const MYSQL_TYPE_TINY_BLOB = 249;
export const MYSQL_TYPE_MEDIUM_BLOB = 250;
export const MYSQL_TYPE_LONG_BLOB = 251;
export const MYSQL_TYPE_BLOB = 252;
export const MYSQL_TYPE_VAR_STRING = 253;
export const MYSQL_TYPE_STRING = 254;
export const MYSQL_TYPE_GEOMETRY = 255;

/** Bytes of authPluginData that the built-in password plugins use: SCRAMBLE_LENGTH in mysql_com.h. */
export const AUTH_PLUGIN_DATA_BYTES = 20;

/** What servers cut a user name to: 32 characters of 3 bytes (USERNAME_LENGTH in mysql_com.h). */
export const USER_BYTES_MAX = 96;
/** 64 characters of up to 4 bytes. */
export const SCHEMA_BYTES_MAX = 256;
/** Servers refuse more (CONNECT_ATTRS in sql_authentication.cc). */
export const CONNECT_ATTRIBUTES_BYTES_MAX = 65535;

/** What a server answers to a wrong name or password. */
export const ER_ACCESS_DENIED_ERROR = 1045;
export const ER_PARSE_ERROR = 1064;
export const ER_OPTION_PREVENTS_STATEMENT = 1290;
export const ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION = 1792;
export const ER_READ_ONLY_MODE = 1836;
/** Of MySQL's group replication. */
export const ER_RUN_HOOK_ERROR = 3100;

/** Both capability words of a leg: the classic 32 flags, and MariaDB's extended ones (0 for everyone else). */
export interface Capabilities {
  readonly flags: number;
  readonly mariadb: number;
}
