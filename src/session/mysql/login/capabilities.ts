/** Which capabilities querycop lets the two legs agree on. Both legs use the same set, so responses pass unchanged. */
import {
  type Capabilities,
  CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS,
  CLIENT_CONNECT_ATTRS,
  CLIENT_CONNECT_WITH_DB,
  CLIENT_DEPRECATE_EOF,
  CLIENT_FOUND_ROWS,
  CLIENT_IGNORE_SIGPIPE,
  CLIENT_IGNORE_SPACE,
  CLIENT_INTERACTIVE,
  CLIENT_LOCAL_FILES,
  CLIENT_LONG_FLAG,
  CLIENT_LONG_PASSWORD,
  CLIENT_MULTI_FACTOR_AUTHENTICATION,
  CLIENT_MULTI_RESULTS,
  CLIENT_MULTI_STATEMENTS,
  CLIENT_NO_SCHEMA,
  CLIENT_ODBC,
  CLIENT_OPTIONAL_RESULTSET_METADATA,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_PROTOCOL_41,
  CLIENT_PS_MULTI_RESULTS,
  CLIENT_QUERY_ATTRIBUTES,
  CLIENT_RESERVED,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SESSION_TRACK,
  CLIENT_SSL,
  CLIENT_TRANSACTIONS,
  MARIADB_CLIENT_BULK_UNIT_RESULTS,
  MARIADB_CLIENT_CACHE_METADATA,
  MARIADB_CLIENT_EXTENDED_METADATA,
  MARIADB_CLIENT_STMT_BULK_OPERATIONS,
} from "../../../mysql/constants.ts";

/**
 * Every flag whose consequences querycop implements. Left out: compression (its frames would hide the packets),
 * CLIENT_CAPABILITY_EXTENSION, and what only a client knows about itself.
 */
const PROXY_FLAGS =
  (CLIENT_LONG_PASSWORD |
    CLIENT_FOUND_ROWS |
    CLIENT_LONG_FLAG |
    CLIENT_CONNECT_WITH_DB |
    CLIENT_NO_SCHEMA |
    CLIENT_ODBC |
    CLIENT_LOCAL_FILES |
    CLIENT_IGNORE_SPACE |
    CLIENT_PROTOCOL_41 |
    CLIENT_INTERACTIVE |
    CLIENT_IGNORE_SIGPIPE |
    CLIENT_TRANSACTIONS |
    CLIENT_RESERVED |
    CLIENT_SECURE_CONNECTION |
    CLIENT_MULTI_STATEMENTS |
    CLIENT_MULTI_RESULTS |
    CLIENT_PS_MULTI_RESULTS |
    CLIENT_PLUGIN_AUTH |
    CLIENT_CONNECT_ATTRS |
    CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA |
    CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS |
    CLIENT_SESSION_TRACK |
    CLIENT_DEPRECATE_EOF |
    CLIENT_OPTIONAL_RESULTSET_METADATA |
    CLIENT_QUERY_ATTRIBUTES |
    CLIENT_MULTI_FACTOR_AUTHENTICATION) >>>
  0;

/** Progress reports are left out: they stand between the packets of a response. */
const PROXY_MARIADB_FLAGS =
  MARIADB_CLIENT_EXTENDED_METADATA |
  MARIADB_CLIENT_CACHE_METADATA |
  MARIADB_CLIENT_STMT_BULK_OPERATIONS |
  MARIADB_CLIENT_BULK_UNIT_RESULTS;

/** What the client is offered: the backend's capabilities as far as we implement them, TLS by this leg's own setting. */
export function offeredCapabilities(
  backend: Capabilities,
  own: { readonly offersTls: boolean; readonly allowsLocalInfile: boolean },
): Capabilities {
  let flags = (backend.flags & PROXY_FLAGS) >>> 0;
  if (!own.allowsLocalInfile) flags = (flags & ~CLIENT_LOCAL_FILES) >>> 0;
  if (own.offersTls) flags = (flags | CLIENT_SSL) >>> 0;
  return { flags, mariadb: backend.mariadb & PROXY_MARIADB_FLAGS };
}

/** What both legs use from here on: what was offered and taken. CLIENT_SSL is of each leg alone and is not in it. */
export function agreedCapabilities(offered: Capabilities, client: Capabilities): Capabilities {
  return {
    flags: (offered.flags & client.flags & ~CLIENT_SSL) >>> 0,
    // A MariaDB client says that its extended flags are meant by leaving bit 0 clear.
    mariadb: (client.flags & CLIENT_LONG_PASSWORD) === 0 ? offered.mariadb & client.mariadb : 0,
  };
}
