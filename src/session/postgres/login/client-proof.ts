/** querycop as a server: finds out who a client is before any backend hears of it. */
import { randomBytes } from "node:crypto";
import { QuerycopError } from "../../../base/errors.ts";
import { encodeAuthentication } from "../../../postgres/backend-message.ts";
import { tlsServerEndPoint } from "../../../postgres/channel-binding.ts";
import { decodeSaslInitialResponse } from "../../../postgres/login-message.ts";
import {
  mockScramVerifier,
  offeredMechanisms,
  parseScramVerifier,
  ScramServer,
  type ScramVerifier,
} from "../../../postgres/scram.ts";
import { certificateObjection } from "../../accounts/certificate-names.ts";
import type { ListenerOptions } from "../../listener-options.ts";
import type { ClientLeg } from "../client-leg.ts";

/** A client that is who it says. */
export interface ProvedClient {
  /** What its proof gave away, where it gave one. */
  readonly scram: { readonly clientKey: Uint8Array; readonly verifier: ScramVerifier } | undefined;
  /** To be sent in front of AuthenticationOk. */
  readonly farewell: Uint8Array | undefined;
  /** Throws when the user was taken out, or its verifier changed, since it was proved. */
  readonly requireStill: () => void;
}

/** So that a name without a verifier has the same salt whenever it is tried, for as long as this process lives. */
const MOCK_SECRET = randomBytes(32);

type Options = Pick<ListenerOptions, "clientAuth" | "users" | "certificateUsers">;

/** Resolves when the client is who it says. Throws QC_AUTH_REFUSED (28P01, 28000) with the text that a server would use. */
export async function proveClient(
  client: ClientLeg,
  options: Options,
  user: string,
  signal: AbortSignal,
): Promise<ProvedClient> {
  if (options.clientAuth === "certificate") {
    const requireStill = (): void => requireCertificateFor(client, user, options.certificateUsers);
    requireStill();
    return { scram: undefined, farewell: undefined, requireStill };
  }
  return await proveByScram(client, options, user, signal);
}

async function proveByScram(
  client: ClientLeg,
  { users }: Options,
  user: string,
  signal: AbortSignal,
): Promise<ProvedClient> {
  if (users === undefined) throw new Error("client_auth=password without a users file");
  const entry = users.find(user);
  const kept = entry?.scram === undefined ? undefined : parseScramVerifier(entry.scram);
  const verifier = kept ?? mockScramVerifier(MOCK_SECRET, user);
  const channelBinding = client.tls === undefined ? undefined : tlsServerEndPoint(client.tls.ownCertificate);
  const server = new ScramServer({ verifier, channelBinding });
  client.send(encodeAuthentication({ kind: "sasl", mechanisms: offeredMechanisms(channelBinding) }));
  const first = decodeSaslInitialResponse(await client.nextLoginAnswer("waiting for its first SCRAM message", signal));
  const data = server.first(first.mechanism, first.data ?? new Uint8Array(0));
  client.send(encodeAuthentication({ kind: "sasl-continue", data }));
  const last = await client.nextLoginAnswer("waiting for its SCRAM proof", signal);
  const { clientKey, serverFinal } = provedBy(server, last, user);
  return {
    scram: { clientKey, verifier },
    farewell: encodeAuthentication({ kind: "sasl-final", data: serverFinal }),
    requireStill: () => {
      if (entry === undefined || !users.isStill(user, entry)) throw authenticationFailed(user);
    },
  };
}

function provedBy(server: ScramServer, proof: Uint8Array, user: string): ReturnType<ScramServer["final"]> {
  try {
    return server.final(proof);
  } catch (thrown) {
    const isWrong = thrown instanceof QuerycopError && thrown.message.endsWith("the password does not fit");
    throw isWrong ? authenticationFailed(user) : thrown;
  }
}

function authenticationFailed(user: string): QuerycopError {
  return new QuerycopError("QC_AUTH_REFUSED", `Password authentication failed for user "${user}"`, {
    clientMessage: `querycop: password authentication failed for user "${user}"`,
  });
}

function requireCertificateFor(
  client: ClientLeg,
  user: string,
  certificateUsers: ReadonlyMap<string, string> | undefined,
): void {
  const why = certificateObjection(client.tls, user, certificateUsers);
  if (why === undefined) return;
  throw new QuerycopError("QC_AUTH_REFUSED", why, {
    clientMessage: `querycop: certificate authentication failed for user "${user}": the client certificate does not name it`,
  });
}
