/** LOAD DATA LOCAL INFILE: the server asks for a file and the client streams it, packet by packet, to an empty one. */
import { createHash } from "node:crypto";
import type { AuditEventOf } from "../../audit/audit-event.ts";
import { QuerycopError } from "../../base/errors.ts";
import { CLIENT_LOCAL_FILES } from "../../mysql/constants.ts";
import type { Packet } from "../../mysql/packet.ts";
import type { ResponseEnd } from "../../mysql/response.ts";
import type { Judgement } from "../statement/statement-judge.ts";
import type { CommandContext } from "./command-context.ts";

/**
 * SAFETY: a rogue server can ask for a file in answer to any statement (manual 8.1.6), and clients obey. The request
 * reaches the client only if both legs have agreed on CLIENT_LOCAL_FILES and the statement that was judged names that
 * very file.
 */
export function requireJudgedFile(context: CommandContext, end: ResponseEnd, judgement: Judgement | undefined): void {
  const isAgreed = (context.state.capabilities.flags & CLIENT_LOCAL_FILES) !== 0;
  if (isAgreed && judgement?.localFiles.includes(fileNameOf(end)) === true) return;
  const recorded = record(context, end, { action: "refused" });
  if (recorded instanceof Promise) recorded.catch(() => undefined);
  throw new QuerycopError(
    "QC_BACKEND_PROTOCOL",
    "The backend asked for a client file that the statement does not name",
  );
}

/** ER_CLIENT_LOCAL_FILES_DISABLED of MySQL, and MariaDB's own number for the same: what a server says that may not ask. */
const LOCAL_FILES_DISABLED = { mysql: 3948, vitess: 3948, mariadb: 4166 } as const;

/**
 * How a statement is refused that loads a file of the client's where this listener has the capability switched off. The
 * server would refuse it as well, in words that look like a setting of its own. Undefined for any other statement, and
 * among several statements: those before it would run.
 */
export function withheldFile(
  { state, services }: CommandContext,
  { localFiles, statementKind }: Judgement,
): Pick<Judgement, "action" | "errorNumber" | "sqlState" | "clientMessage"> | undefined {
  if (localFiles.length === 0 || services.options.allowsLocalInfile) return undefined;
  if (statementKind !== "load-data" && statementKind !== "load-xml") return undefined;
  return {
    action: "block",
    errorNumber: LOCAL_FILES_DISABLED[state.dialect],
    sqlState: "42000",
    clientMessage:
      "querycop: LOAD DATA LOCAL is switched off here, whatever the server allows; " +
      "GATEKEEPER_LOCAL_INFILE=on lets clients load files of theirs",
  };
}

/** Relays the client's data up to its empty packet; returns the sequence id of that packet. */
export async function relayLocalInfile(
  context: CommandContext,
  end: ResponseEnd,
  judgement: Judgement | undefined,
): Promise<number> {
  const permit = { kind: "local-infile", decisionId: judgement?.decisionId ?? "" } as const;
  const { localInfileBytesMax, backend } = context.services.options;
  const hash = createHash("sha256");
  const file = new ClientFile(context, end);
  let bytes = 0;
  for (;;) {
    const packet =
      file.takePacket() ?? (await context.backend.whileAlive("the client sent it a file", file.nextPacket()));
    if (localInfileBytesMax > 0 && bytes + packet.payload.length > localInfileBytesMax) {
      // The hash of what the server got: not of the whole file.
      await record(context, end, { action: "cut-off", bytes, contentHash: hash.digest("hex") });
      throw await refuseFile(context, file, localInfileBytesMax);
    }
    if (!context.backend.send(permit, packet.wire)) await context.backend.drainedWithin(backend.writeTimeoutMs);
    if (packet.payload.length === 0) break;
    bytes += packet.payload.length;
    hash.update(packet.payload);
  }
  await record(context, end, { action: "sent", bytes, contentHash: hash.digest("hex") });
  return (file.expected - 1) & 0xff;
}

/** The packets of one file, in order. */
class ClientFile {
  readonly #context: CommandContext;
  expected: number;

  constructor(context: CommandContext, end: ResponseEnd) {
    this.#context = context;
    this.expected = (end.lastSequenceId + 1) & 0xff;
  }

  /** What has come already. */
  takePacket(): Packet | undefined {
    const packet = this.#context.client.leg.takePacket();
    return packet === undefined ? undefined : this.#inOrder(packet);
  }

  async nextPacket(): Promise<Packet> {
    const { client, services } = this.#context;
    const { progressTimeoutMs } = services.options.backend;
    return this.#inOrder(await client.leg.expectPacket("it sent a file", progressTimeoutMs));
  }

  #inOrder(packet: Packet): Packet {
    if (packet.sequenceId !== this.expected) {
      const text = `Packets out of order in a file: expected sequence id ${this.expected}, got ${packet.sequenceId}`;
      throw new QuerycopError("QC_CLIENT_SEQUENCE", text);
    }
    this.expected = (packet.lastSequenceId + 1) & 0xff;
    return packet;
  }
}

/**
 * Closing the backend's connection is what makes the statement fail there: an empty packet would end the file, and what
 * came so far would be loaded. The client reads no answer before it has sent all of its file, so that is thrown away.
 */
async function refuseFile(context: CommandContext, file: ClientFile, bytesMax: number): Promise<QuerycopError> {
  const { leg } = context.client;
  const { discardTimeoutMs, discardBytesMax } = context.dataGuard.limits;
  context.services.dataGuardCounts.connectionsEnded++;
  context.backend.destroy();
  const timer = setTimeout(() => leg.destroy(), discardTimeoutMs);
  try {
    let bytes = 0;
    for (let packet = await file.nextPacket(); packet.payload.length > 0; packet = await file.nextPacket()) {
      bytes += packet.payload.length;
      if (bytes > discardBytesMax) break;
    }
  } finally {
    clearTimeout(timer);
  }
  leg.nextSequenceId = file.expected;
  context.isInsideResponse = false;
  const limit = `${bytesMax / 1_000_000} MB (GATEKEEPER_LOCAL_INFILE_MAX_MB)`;
  return new QuerycopError(
    "QC_DATA_GUARD",
    `querycop: data guard: the file of LOAD DATA LOCAL exceeds ${limit}, nothing of it was loaded: send it in parts`,
  );
}

type FileRecord = Pick<AuditEventOf<"local-infile">, "action" | "bytes" | "contentHash">;

function record(context: CommandContext, end: ResponseEnd, file: FileRecord): void | Promise<void> {
  return context.record({
    type: "local-infile",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    fileName: fileNameOf(end),
    ...file,
  });
}

function fileNameOf(end: ResponseEnd): string {
  return Buffer.from(end.fileName ?? []).toString("utf8");
}
