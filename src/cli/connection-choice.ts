/** The connection that a command names, with what its secret says of it. */
import { createLogger } from "../base/log.ts";
import { unknownConnection } from "../config/connections.ts";
import type { Config, ConnectionConfig } from "../config/schema.ts";
import { accountPasswords } from "../connections/account-passwords.ts";
import type { HeldPasswords } from "../connections/held-passwords.ts";
import { type ResolvedConnection, resolveConnection } from "../connections/resolve-connection.ts";
import type { SecretReading } from "../connections/secret-reader.ts";
import { type CommandIo, UsageError } from "./command-io.ts";
import { loadForRunning, reportFindings } from "./settings-command.ts";

/** Undefined where the configuration does not load, which has been reported then. */
export async function loadConnections(
  args: Readonly<Record<string, unknown>>,
  io: CommandIo,
): Promise<Config | undefined> {
  const loaded = await loadForRunning(args, io, "connections");
  if (loaded.ok) return loaded.config;
  reportFindings(loaded, io);
  return undefined;
}

/** Throws UsageError for a name that no connection has, and for one that is switched off. */
export function connectionOf(config: Config, name: string): ConnectionConfig {
  const names = config.connections.map((connection) => connection.name);
  const found = config.connections.find((connection) => connection.name === name);
  if (found === undefined) throw new UsageError(unknownConnection(name, names));
  if (!found.enabled) throw new UsageError(`connection ${name} is not enabled: set enabled on to use it`);
  return found;
}

/** Whom Aurora DSQL gives everything, by a permission of its own. */
const DSQL_ADMIN = "admin";

/**
 * The connection as its user, or as Aurora DSQL's admin where that was asked for. Throws UsageError for an admin that was not
 * asked for, and where there is none.
 */
export function inRole(connection: ConnectionConfig, isAdmin: boolean): ConnectionConfig {
  const { name, account, listener } = connection;
  if (listener.backend.engine !== "dsql") {
    if (isAdmin)
      throw new UsageError(`--admin is for Aurora DSQL, and connection ${name} leads to ${listener.backend.engine}`);
    return connection;
  }
  if (!isAdmin) {
    if (account.user !== DSQL_ADMIN) return connection;
    throw new UsageError(`connection ${name} logs in as admin: say --admin, or set its user to a role of its own`);
  }
  if (account.user === DSQL_ADMIN) return connection;
  if (account.password.source !== "iam") {
    throw new UsageError(
      `--admin needs a token, and connection ${name} has a password from ${account.password.source}`,
    );
  }
  const admin = { ...account, user: DSQL_ADMIN };
  return { ...connection, account: admin, listener: { ...listener, account: admin } };
}

export interface ReachedConnection extends ResolvedConnection {
  readonly reading: SecretReading | undefined;
  /** Where it came from, to be closed by the caller; undefined for tokens. */
  readonly passwords: HeldPasswords | undefined;
}

/** Reads the password's place once. Rejects where that cannot be, or leaves the host unknown. */
export async function reachConnection(connection: ConnectionConfig, io: CommandIo): Promise<ReachedConnection> {
  const logger = createLogger({ level: "error", format: "text", write: io.log });
  const { account, listener } = connection;
  const passwords = accountPasswords(account, listener.backend, logger, io.env);
  try {
    const reading = await passwords?.reading(new AbortController().signal);
    return { ...resolveConnection(connection, reading), reading, passwords };
  } catch (thrown) {
    passwords?.close();
    throw thrown;
  }
}
