/** LOAD DATA LOCAL INFILE: the server asks for a file and the client streams it, packet by packet, to an empty one. */
import { createHash } from "node:crypto";
import { QuerycopError } from "../base/errors.ts";
import { CLIENT_LOCAL_FILES } from "../mysql/constants.ts";
import type { ResponseEnd } from "../mysql/response.ts";
import type { CommandContext } from "./command-context.ts";
import type { Judgement } from "./statement-judge.ts";

/**
 * SAFETY: a rogue server can ask for a file in answer to any statement (manual 8.1.6), and clients obey. The request
 * reaches the client only if both legs have agreed on CLIENT_LOCAL_FILES and the statement that was judged names that
 * very file. Without a policy nobody knows what a statement names: then the client's own settings decide.
 */
export function requireJudgedFile(context: CommandContext, end: ResponseEnd, judgement: Judgement | undefined): void {
  const isAgreed = (context.state.capabilities.flags & CLIENT_LOCAL_FILES) !== 0;
  const wanted = Buffer.from(end.fileName ?? []).toString("utf8");
  const files = judgement?.localFiles;
  if (isAgreed && judgement !== undefined && (files === undefined || files.includes(wanted))) return;
  throw new QuerycopError(
    "QC_BACKEND_PROTOCOL",
    "The backend asked for a client file that the statement does not name",
    {
      clientMessage: "querycop: the server asked for a file which the statement does not name, refused",
    },
  );
}

/** Relays the client's data up to its empty packet; returns the sequence id of that packet. */
export async function relayLocalInfile(
  context: CommandContext,
  end: ResponseEnd,
  judgement: Judgement | undefined,
): Promise<number> {
  const { leg } = context.client;
  const permit = { kind: "local-infile", decisionId: judgement?.decisionId ?? "" } as const;
  const hash = createHash("sha256");
  let expected = (end.lastSequenceId + 1) & 0xff;
  let bytes = 0;
  for (;;) {
    const packet =
      leg.takePacket() ?? (await context.backend.whileAlive("the client sent it a file", leg.readPacket()));
    if (packet === undefined) throw new QuerycopError("QC_CLIENT_CLOSED", "The client closed while it sent a file");
    if (packet.sequenceId !== expected) {
      const text = `Packets out of order in a file: expected sequence id ${expected}, got ${packet.sequenceId}`;
      throw new QuerycopError("QC_CLIENT_SEQUENCE", text);
    }
    if (!context.backend.send(permit, packet.wire)) {
      await context.backend.drainedWithin(context.services.options.backend.writeTimeoutMs);
    }
    if (packet.payload.length === 0) break;
    bytes += packet.payload.length;
    hash.update(packet.payload);
    expected = (packet.lastSequenceId + 1) & 0xff;
  }
  const pending = context.record({
    type: "local-infile",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    fileName: Buffer.from(end.fileName ?? []).toString("utf8"),
    action: "sent",
    bytes,
    contentHash: hash.digest("hex"),
  });
  if (pending instanceof Promise) await pending;
  return expected;
}
