/**
 * What a client begins with, up to its StartupMessage:
 *
 *   (GSSENCRequest → N) (SSLRequest → S, TLS | N) | TLS at once
 *     → StartupMessage | CancelRequest
 */
import { QuerycopError } from "../../../base/errors.ts";
import type { BackendKeyData } from "../../../postgres/backend-message.ts";
import { ClientMessageError } from "../../../postgres/error-states.ts";
import {
  asksForReplication,
  checkBehindSslRequest,
  encodeEncryptionAnswer,
  encodeUnframedError,
  type StartupMessage,
  type StartupPacket,
  StartupReader,
} from "../../../postgres/startup.ts";
import type { ListenerOptions } from "../../listener-options.ts";
import type { ClientLeg } from "../client-leg.ts";

type TlsOptions = Pick<ListenerOptions, "clientTls" | "clientTlsMode">;

/** As IANA has registered it. Clients that begin with TLS insist on it, others offer it. */
const APPLICATION_PROTOCOL = "postgresql";
const AWAITING = "waiting for a startup message";

/** Reads the client's beginning. What came behind the StartupMessage is left to the client's reader of messages. */
export async function readStartup(
  client: ClientLeg,
  options: TlsOptions,
): Promise<StartupMessage | ({ readonly kind: "CancelRequest" } & BackendKeyData)> {
  const reader = new StartupReader();
  reader.push(await client.nextChunk(AWAITING));
  if (reader.isDirectTls) {
    if (!offersTls(options))
      throw new QuerycopError("QC_CLIENT_TLS", "The client began with TLS, which is not offered");
    await startTls(client, options, reader.takeRest());
    // SAFETY: what is not asked for may be another protocol's conversation, turned here by whoever stands between.
    if (client.tls?.applicationProtocol !== APPLICATION_PROTOCOL)
      throw new QuerycopError("QC_CLIENT_TLS", "The client began with TLS and does not ask for PostgreSQL by ALPN");
  }
  for (;;) {
    // What is malformed is answered in the words of the protocol, as whoever sent it may speak it all the same.
    client.mayBeTold = true;
    const packet = reader.next();
    client.mayBeTold = false;
    if (packet === undefined) {
      reader.push(await client.nextChunk(AWAITING));
      continue;
    }
    const end = await answerPacket(client, options, reader, packet);
    if (end === undefined) continue;
    const rest = reader.takeRest();
    if (end.kind === "StartupMessage") {
      client.messages.push(rest);
      return end;
    }
    return end;
  }
}

async function answerPacket(
  client: ClientLeg,
  options: TlsOptions,
  reader: StartupReader,
  packet: StartupPacket,
): Promise<StartupMessage | ({ readonly kind: "CancelRequest" } & BackendKeyData) | undefined> {
  switch (packet.kind) {
    case "GSSENCRequest":
      requireNothingBehind(reader, "a GSSENCRequest");
      client.send(encodeEncryptionAnswer(false));
      return undefined;
    case "SSLRequest": {
      if (client.tls !== undefined) throw violation("an SSLRequest within TLS");
      if (!offersTls(options)) {
        requireNothingBehind(reader, "an SSLRequest");
        client.send(encodeEncryptionAnswer(false));
        return undefined;
      }
      const rest = reader.takeRest();
      checkBehindSslRequest(rest);
      client.send(encodeEncryptionAnswer(true));
      await startTls(client, options, rest);
      return undefined;
    }
    case "unsupported-version":
      return refuseVersion(client, packet.major, packet.minor);
    default:
      client.mayBeTold = true;
      return packet;
  }
}

function offersTls({ clientTls, clientTlsMode }: TlsOptions): boolean {
  return clientTls !== undefined && clientTlsMode !== "off";
}

async function startTls(client: ClientLeg, { clientTls }: TlsOptions, taken: Uint8Array): Promise<void> {
  if (clientTls === undefined) return;
  const how = { taken, applicationProtocol: APPLICATION_PROTOCOL };
  client.tls = await client.budget.spend((timeoutMs) => clientTls.upgrade(client.leg, timeoutMs, how));
}

/** Answered with a byte that the client has not waited for, what it has sent already would be read as something else. */
function requireNothingBehind(reader: StartupReader, what: string): void {
  if (reader.bufferedBytes > 0) throw violation(`${reader.bufferedBytes} bytes behind ${what}`);
}

function violation(found: string): ClientMessageError {
  return new ClientMessageError("QC_CLIENT_PROTOCOL", "08P01", `Cannot begin a connection with ${found}`);
}

function refuseVersion(client: ClientLeg, major: number, minor: number): never {
  const text = `Unsupported frontend protocol ${major}.${minor}: querycop speaks 3.0 and 3.2`;
  // Clients of version 2 read another form, and would take ours for garbage.
  if (major < 3) client.send(encodeUnframedError(`FATAL:  querycop: ${text}\n`));
  client.mayBeTold = major >= 3;
  throw new ClientMessageError("QC_CLIENT_PROTOCOL", "0A000", text);
}

/** Throws for what no session may begin with here. */
export function checkStartup(client: ClientLeg, options: TlsOptions, message: StartupMessage): void {
  if (options.clientTlsMode === "require" && !client.isSecure) {
    const text = `Refused user "${message.user}" without TLS on the client leg`;
    throw new QuerycopError("QC_CLIENT_TLS_REQUIRED", text, {
      clientMessage:
        "querycop: connections must use TLS here (GATEKEEPER_PROXY_TLS_MODE=require): set sslmode=require or stricter",
    });
  }
  if (asksForReplication(message)) {
    const text = "Replication connections are not served: they read the whole cluster past every rule";
    throw new ClientMessageError("QC_CLIENT_PROTOCOL", "0A000", text);
  }
}
