/** Answers querycop gives by itself, always well-formed and with the sequence id the client expects. */
import { QuerycopError } from "../../base/errors.ts";
import type { CommandRow } from "../../mysql/command.ts";
import type { ErrPacket } from "../../mysql/generic-response.ts";
import type { CommandContext } from "./command-context.ts";

/** The MySQL error a QuerycopError is told as. The product's name comes first, so that nobody blames the server. */
export function errPacketOf(failure: QuerycopError): ErrPacket {
  const text = failure.clientMessage;
  return {
    errorNumber: failure.errorNumber,
    sqlState: failure.sqlState,
    message: text.startsWith("querycop") ? text : `querycop: ${text}`,
  };
}

/** Answers the command just read with an error; connection and transaction stay as they are. */
export function sendErr(context: CommandContext, failure: QuerycopError): void {
  context.client.sendErr(errPacketOf(failure));
}

/** Error 1047, as a server says it for commands it does not know. A command without response ends the connection. */
export function refuseCommand(context: CommandContext, byte: number, row: CommandRow | undefined): "continue" {
  const name = row?.name ?? `0x${byte.toString(16).padStart(2, "0")}`;
  const failure = new QuerycopError("QC_CLIENT_UNKNOWN_COMMAND", `Command ${name} is not allowed through querycop`);
  context.services.logger.debug("command refused", { client: context.clientAddress, command: name });
  const recorded = context.record({
    type: "command",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    command: name,
    action: "refused",
    errorNumber: failure.errorNumber,
  });
  if (recorded instanceof Promise) recorded.catch(() => undefined);
  sendErr(context, failure);
  return "continue";
}
