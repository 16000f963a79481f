/** Commands that carry no statement: sent as they came, and their answer relayed. */
import { COMMANDS, type CommandName } from "../../mysql/command.ts";
import type { Packet } from "../../mysql/packet.ts";
import { type ResponseEnd, type ResponseShape, ResponseTracker } from "../../mysql/response.ts";
import type { CommandContext } from "./command-context.ts";
import { relayResponse } from "./relay.ts";

/** Sends a command that carries no statement and relays what comes back. */
export async function forwardCommand(context: CommandContext, packet: Packet, name: CommandName): Promise<ResponseEnd> {
  const shape = COMMANDS[packet.payload[0] ?? 0]?.response;
  if (shape === undefined || shape === "none" || shape === "login") throw new Error(`${name} cannot be forwarded`);
  context.dataGuard.beginResponse();
  if (RECORDED_COMMANDS.has(name)) await recordForwarded(context, name);
  context.backend.send({ kind: "command", name }, packet.wire);
  const end = await relayResponse(context, trackerFor(context, shape, packet.lastSequenceId), undefined);
  context.isInsideResponse = false;
  if (name === "COM_RESET_CONNECTION" && end.outcome === "ok") context.state.reset();
  context.state.afterResponse(end);
  return end;
}

/** Commands without a statement that change how later statements are read or what they find. */
const RECORDED_COMMANDS: ReadonlySet<CommandName> = new Set<CommandName>(["COM_SET_OPTION", "COM_RESET_CONNECTION"]);

async function recordForwarded(context: CommandContext, command: CommandName): Promise<void> {
  await context.record({
    type: "command",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    command,
    action: "forwarded",
  });
}

export function trackerFor(context: CommandContext, shape: ResponseShape, lastSequenceId: number): ResponseTracker {
  const sequenceId = (lastSequenceId + 1) & 0xff;
  return new ResponseTracker({ shape, capabilities: context.state.capabilities, sequenceId });
}
