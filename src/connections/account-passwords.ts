/** The account of a connection → where its password comes from. */
import type { Logger } from "../base/log.ts";
import type { AccountConfig, BackendEngine } from "../config/schema.ts";
import type { TokenTarget } from "../token/token.ts";
import { HeldPasswords } from "./held-passwords.ts";
import { PasswordCommandReader, PasswordFileReader } from "./local-passwords.ts";
import { ParameterStoreReader } from "./parameter-store.ts";
import type { SecretReader } from "./secret-reader.ts";
import { SecretsManagerReader } from "./secrets-manager.ts";

/** The server that the connection leads to. */
export interface AccountServer {
  readonly engine: BackendEngine;
  readonly host: string;
  readonly port: number;
  /** Of the host, where it names one. */
  readonly region?: string;
}

/** Undefined for iam, where there is no password but a token. */
export function accountPasswords(
  account: AccountConfig,
  server: AccountServer,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): HeldPasswords | undefined {
  const reader = readerOf(account, server, environment);
  if (reader === undefined) return undefined;
  return new HeldPasswords({ connection: account.connection, reader, user: account.user, logger });
}

function readerOf(
  { connection, password, timeoutMs, user = "", region = undefined }: AccountConfig,
  server: AccountServer,
  environment: Readonly<Record<string, string | undefined>>,
): SecretReader | undefined {
  const awsRegion = region ?? server.region;
  switch (password.source) {
    case "iam":
      return undefined;
    case "secret":
      return new SecretsManagerReader({
        id: password.id,
        format: password.format,
        engine: server.engine,
        region: awsRegion,
        timeoutMs,
      });
    case "parameter":
      return new ParameterStoreReader({ parameter: password.name, region: awsRegion, timeoutMs });
    case "command": {
      const target: TokenTarget = { host: server.host, port: server.port, region: awsRegion, user };
      return new PasswordCommandReader({ connection, command: password.command, timeoutMs, target, environment });
    }
    case "file":
      return new PasswordFileReader(password.path);
  }
}
