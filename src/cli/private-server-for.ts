/** The private server of a command that goes through the gate itself, or starts a program that does. */
import { createLogger } from "../base/log.ts";
import type { Config } from "../config/schema.ts";
import { PrivateServer } from "../server/private-server.ts";
import type { CommandIo } from "./command-io.ts";
import type { ReachedConnection } from "./connection-choice.ts";

/** `aliases`: names by which clients may come besides that of the account. `whyNoApproval`: as PrivateServer's. */
export function privateServerFor(
  { listener, passwords }: Pick<ReachedConnection, "listener" | "passwords">,
  config: Config,
  io: CommandIo,
  aliases: readonly string[],
  whyNoApproval?: string,
): PrivateServer {
  const logger = createLogger({ level: "error", format: "text", write: io.log });
  const { version } = io.version;
  return new PrivateServer({
    config,
    listener,
    passwords,
    version,
    logger,
    aliases,
    ...(whyNoApproval === undefined ? {} : { whyNoApproval }),
  });
}
