/**
 * What answers a backend's request for a password:
 *
 *                     cleartext        md5      SCRAM-SHA-256(-PLUS)
 *   a token           verified TLS     no       no
 *   a client's key    no               no       yes, with -PLUS where there is TLS
   a held password   verified TLS     yes      yes, with -PLUS where there is TLS
 *   the client        secure legs      yes      unless each leg has a TLS of its own and the client binds to its channel
 */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { encodeAuthentication } from "../../../postgres/backend-message.ts";
import { tlsServerEndPoint } from "../../../postgres/channel-binding.ts";
import { ClientMessageError } from "../../../postgres/error-states.ts";
import {
  decodePasswordMessage,
  decodeSaslInitialResponse,
  encodePasswordMessage,
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from "../../../postgres/login-message.ts";
import { encodeMd5Password } from "../../../postgres/md5-password.ts";
import { SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramClient, type ScramSecret } from "../../../postgres/scram.ts";
import type { LoginTokens } from "../../accounts/login-tokens.ts";
import type { BackendConnection } from "../backend-connection.ts";
import type { ClientLeg } from "../client-leg.ts";
import type { AuthenticationRequest, BackendMethod, Credentials } from "./backend-login.ts";

function refused(problem: string, remedy: string): QuerycopError {
  return new QuerycopError("QC_BACKEND_REFUSED", `Cannot log in to the backend: ${problem}`, {
    clientMessage: `querycop: login to the database failed: ${remedy}`,
  });
}

function unsupported(request: AuthenticationRequest): QuerycopError {
  const asked = request.kind === "unsupported" ? `with method ${request.code}` : `by ${request.kind}`;
  return refused(
    `it asks for the login ${asked}, which querycop does not speak`,
    "its pg_hba.conf asks for a method that querycop does not speak: use scram-sha-256, or IAM with a token source",
  );
}

/** A minted token is the password. */
export class TokenCredentials implements Credentials {
  readonly method: BackendMethod = "password";
  readonly #tokens: LoginTokens;
  readonly #isVerifying: boolean;

  constructor(tokens: LoginTokens, isVerifying: boolean) {
    this.#tokens = tokens;
    this.#isVerifying = isVerifying;
  }

  async answer(request: AuthenticationRequest, connection: BackendConnection): Promise<Uint8Array> {
    if (request.kind !== "cleartext") {
      if (request.kind === "unsupported") throw unsupported(request);
      throw refused(
        "it asks for a password hash, which no token answers",
        "this user does not log in with IAM there: GRANT rds_iam TO the user, or map it with AWS IAM GRANT on Aurora DSQL",
      );
    }
    requireVerified(connection, this.#isVerifying, "a token");
    const token = await this.#tokens.mint();
    try {
      return encodePasswordMessage(token.value);
    } finally {
      token.wipe();
    }
  }

  confirm(): void {}
}

export interface SecretOptions {
  readonly user: string;
  /** A password that querycop holds; or what a client's proof has given away, where the backend keeps our verifier. */
  readonly secret: ScramSecret;
  readonly isVerifying: boolean;
}

/** Logs in with a secret that is at hand. */
export class SecretCredentials implements Credentials {
  readonly #options: SecretOptions;
  #method: BackendMethod = "trust";
  #client: ScramClient | undefined;
  #isProved = false;

  constructor(options: SecretOptions) {
    this.#options = options;
  }

  get method(): BackendMethod {
    return this.#method;
  }

  async answer(request: AuthenticationRequest, connection: BackendConnection): Promise<Uint8Array | undefined> {
    switch (request.kind) {
      case "sasl":
        return this.#begin(request.mechanisms, connection);
      case "sasl-continue":
        if (this.#client === undefined) throw unsupported(request);
        return encodeSaslResponse(this.#client.final(request.data));
      case "sasl-final":
        this.#client?.checkServerFinal(request.data);
        this.#isProved = true;
        return undefined;
      case "md5":
        this.#method = "md5";
        return encodePasswordMessage(
          encodeUtf8(encodeMd5Password(this.#options.user, this.#password("md5"), request.salt)),
        );
      case "cleartext":
        this.#method = "password";
        requireVerified(connection, this.#options.isVerifying, "a password");
        return encodePasswordMessage(this.#password("cleartext"));
      default:
        throw unsupported(request);
    }
  }

  #begin(mechanisms: readonly string[], { tls }: BackendConnection): Uint8Array {
    if (this.#client !== undefined) throw refused("it began a second exchange", "it broke the protocol of its login");
    // A certificate whose end point has no name of its own binds nothing, on either side.
    const channelBinding = tls?.certificate === undefined ? undefined : tlsServerEndPoint(tls.certificate);
    this.#client = new ScramClient({ secret: this.#options.secret, mechanisms, channelBinding });
    this.#method = this.#client.mechanism;
    return encodeSaslInitialResponse({ mechanism: this.#client.mechanism, data: this.#client.first() });
  }

  #password(kind: string): Uint8Array {
    const { secret } = this.#options;
    if ("password" in secret) return secret.password;
    throw refused(
      `it asks for the password by ${kind}, and only a SCRAM key of the client is known`,
      "set the role's password to the verifier of the users file (querycop hash-password --engine postgresql), or use a token source",
    );
  }

  /** A backend that has begun the exchange and does not prove itself may be anybody. */
  confirm(): void {
    if (this.#isProved || this.#client === undefined) return;
    throw refused("it took the login without a proof of its own", "it did not prove that it knows the password");
  }
}

/** SAFETY: what logs in by itself goes to nobody who has not shown to be the backend. */
function requireVerified({ tls }: BackendConnection, isVerifying: boolean, what: string): void {
  if (tls !== undefined && isVerifying) return;
  throw refused(
    `${what} is not sent over a leg whose TLS is not verified`,
    `it asks for ${what} in clear: set GATEKEEPER_BACKEND_TLS_MODE=verify-full`,
  );
}

/** Asks the client what the backend asks, where its answer is worth the same on the other leg. */
export class RelayCredentials implements Credentials {
  #method: BackendMethod = "trust";
  readonly #client: ClientLeg;
  readonly #signal: AbortSignal;
  #isFirst = true;

  constructor(client: ClientLeg, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  get method(): BackendMethod {
    return this.#method;
  }

  async answer(request: AuthenticationRequest, connection: BackendConnection): Promise<Uint8Array | undefined> {
    const client = this.#client;
    switch (request.kind) {
      case "cleartext":
        this.#requireSecure(connection);
        this.#method = "password";
        client.send(encodeAuthentication(request));
        return encodePasswordMessage(decodePasswordMessage(await this.#clientAnswer()));
      case "md5":
        this.#method = "md5";
        client.send(encodeAuthentication(request));
        return encodePasswordMessage(decodePasswordMessage(await this.#clientAnswer()));
      case "sasl":
        return await this.#initialResponse(request.mechanisms, connection);
      case "sasl-continue":
        client.send(encodeAuthentication(request));
        return encodeSaslResponse(await this.#clientAnswer());
      case "sasl-final":
        client.send(encodeAuthentication(request));
        return undefined;
      default:
        throw unsupported(request);
    }
  }

  /** -PLUS binds to one TLS connection, and there are two: it is never shown. */
  async #initialResponse(mechanisms: readonly string[], connection: BackendConnection): Promise<Uint8Array> {
    const client = this.#client;
    if (!this.#isFirst || !mechanisms.includes(SCRAM_SHA_256)) {
      throw refused(
        `it offers ${mechanisms.join(", ")} and no ${SCRAM_SHA_256}`,
        "it wants channel binding or a method that cannot be passed on: use GATEKEEPER_CLIENT_AUTH=password",
      );
    }
    this.#isFirst = false;
    this.#method = SCRAM_SHA_256;
    client.send(encodeAuthentication({ kind: "sasl", mechanisms: [SCRAM_SHA_256] }));
    const answer = await this.#clientAnswer();
    const { mechanism, data } = decodeSaslInitialResponse(answer);
    if (mechanism !== SCRAM_SHA_256) {
      throw new ClientMessageError("QC_CLIENT_PROTOCOL", "08P01", "The client chose a mechanism that was not offered");
    }
    // The client could have bound to its channel. The server, which offers that, must take it for an attack.
    const isBinding = data?.[0] === BINDS_IF_OFFERED;
    if (isBinding && connection.tls !== undefined && mechanisms.includes(SCRAM_SHA_256_PLUS)) {
      throw new QuerycopError(
        "QC_AUTH_PLUGIN_REFUSED",
        "SCRAM with channel binding cannot be passed on between two TLS legs",
        {
          clientMessage:
            "querycop: SCRAM cannot be passed on between two TLS connections: set GATEKEEPER_CLIENT_AUTH=password with a users file (querycop hash-password --engine postgresql), or channel_binding=disable in the client",
        },
      );
    }
    return encodeSaslInitialResponse({ mechanism, data });
  }

  #requireSecure({ tls }: BackendConnection): void {
    if (this.#client.isSecure && tls !== undefined) return;
    throw new QuerycopError("QC_AUTH_PLUGIN_REFUSED", "A password in clear is passed on between TLS legs only", {
      clientMessage:
        "querycop: the database asks for the password in clear, which is only passed on over TLS on both legs",
    });
  }

  #clientAnswer(): Promise<Uint8Array> {
    return this.#client.nextLoginAnswer("waiting for its password", this.#signal);
  }

  confirm(): void {}
}

/** The flag `y` of a client that binds wherever the server can. */
const BINDS_IF_OFFERED = 0x79;
