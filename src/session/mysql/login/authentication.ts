/**
 * The backend's half of a login: reads what the backend asks, answers it or has the client answer it, until the
 * backend says OK or ERR.
 *
 *   HandshakeResponse41 / COM_CHANGE_USER sent
 *     └─► AwaitBackendVerdict ─┬─ OK  ──► done
 *            ▲                 ├─ ERR ──► BackendRefusal
 *            │                 ├─ AuthSwitchRequest mysql_clear_password, token source set ──► MintToken ─┐
 *            │                 ├─ AuthSwitchRequest, AuthMoreData, AuthNextFactor ──► AwaitClientAuthData ─┤
 *            └─────────────────┴──────────────────────────────────────────────────────────────────────────┘
 */
import { isLoopbackAddress } from "../../../base/address.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { CACHING_SHA2_FAST_OK, CACHING_SHA2_FULL } from "../../../mysql/caching-sha2-password.ts";
import { CLIENT_PLUGIN_AUTH } from "../../../mysql/constants.ts";
import type { ErrPacket, OkPacket } from "../../../mysql/generic-response.ts";
import { type AuthSwitchRequest, decodeAuthPacket, encodeAuthMoreData } from "../../../mysql/handshake.ts";
import type { Packet } from "../../../mysql/packet.ts";
import type { HeldPassword } from "../../../token/password.ts";
import { type LoginTokens, withNul } from "../../accounts/login-tokens.ts";
import { decodingFrom } from "../../malformed.ts";
import type { SessionServices } from "../../session-services.ts";
import { OwnPasswordExchange } from "./own-password.ts";
import { isKeyRequest, LOGIN_PERMIT, type PasswordRoute, translatePasswordReply } from "./password-exchange.ts";

/** The backend refused the login. What the client is told is the backend's own error. */
export class BackendRefusal extends QuerycopError {
  readonly errPacket: ErrPacket;

  constructor(errPacket: ErrPacket, during: string) {
    super("QC_BACKEND_REFUSED", `The backend refused ${during}: ${errPacket.errorNumber} ${errPacket.message}`, {
      clientMessage: errPacket.message,
    });
    this.errPacket = errPacket;
  }
}

export interface AuthenticationContext extends PasswordRoute {
  readonly capabilityFlags: number;
  /** Where the password for mysql_clear_password comes from; undefined where no token source is configured. */
  readonly tokens: LoginTokens | undefined;
  /** The password that querycop logs in with; undefined where it is the client's, or a token. */
  readonly password: HeldPassword | undefined;
  /** Whether the backend's certificate was verified. */
  readonly backendIsVerified: boolean;
  /** False when querycop verified the client by itself: the client holds no answer to the backend's questions. */
  readonly clientCanAnswer: boolean;
  readonly user: string;
}

/** What is the same for every login through a listener, and what is given of this one. */
export function authenticationFor(
  { options }: SessionServices,
  given: Omit<AuthenticationContext, "backendIsLocal" | "backendIsVerified" | "pinnedKey">,
): AuthenticationContext {
  return {
    ...given,
    backendIsLocal: isLoopbackAddress(given.backend.remoteAddress),
    backendIsVerified: given.backendIsSecure && options.backend.tls.isVerifying,
    pinnedKey: options.backend.publicKey,
  };
}

/** Rounds of questions after which a login is given up: no plugin needs more than a handful. */
const ROUNDS_MAX = 32;

/** Plugins that send the secret itself. `dialog` is MariaDB's PAM conversation. */
const CLEAR_TEXT_PLUGINS: ReadonlySet<string> = new Set([
  "mysql_clear_password",
  "dialog",
  "authentication_openid_connect_client",
]);

const FULL_PASSWORD_PLUGINS: ReadonlySet<string> = new Set(["caching_sha2_password", "sha256_password"]);

export interface AuthenticationResult {
  readonly ok: OkPacket;
  /** The OK_Packet as the backend sent it: the client gets this one. */
  readonly okPayload: Uint8Array;
  readonly authPluginName: string;
  readonly tokenUsed: boolean;
}

/** Runs the exchange to its end. Throws BackendRefusal with the backend's ERR, or our own refusal. */
export async function authenticate(
  context: AuthenticationContext,
  authPluginName: string,
  authPluginData: Uint8Array,
): Promise<AuthenticationResult> {
  const request = { authPluginName, authPluginData };
  const { password } = context;
  const exchange =
    password === undefined ? new Exchange(context, request) : new OwnPasswordExchange(context, password, request);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const { backend, signal } = context;
    const { payload } = await backend.expectLoginPacket("waiting for the login result", signal);
    const packet = decodingFrom("backend", () => decodeAuthPacket(payload, context.capabilityFlags));
    switch (packet.kind) {
      case "OK_Packet":
        return {
          ok: packet.ok,
          okPayload: payload,
          authPluginName: exchange.authPluginName,
          tokenUsed: exchange.tokenUsed,
        };
      case "ERR_Packet":
        throw new BackendRefusal(packet.err, "the login");
      case "AuthSwitchRequest":
        await exchange.switchPlugin(packet, payload);
        break;
      case "AuthMoreData":
        await exchange.moreData(packet.data);
        break;
      case "AuthNextFactor":
        await exchange.nextFactor(packet, payload);
        break;
    }
  }
  throw new QuerycopError("QC_BACKEND_PROTOCOL", `The login took more than ${ROUNDS_MAX} rounds`);
}

class Exchange {
  readonly #context: AuthenticationContext;
  #request: AuthSwitchRequest;
  tokenUsed = false;
  /** Set once the backend has asked for the whole password instead of its scramble. */
  #isFullExchange = false;

  constructor(context: AuthenticationContext, request: AuthSwitchRequest) {
    this.#context = context;
    this.#request = request;
  }

  get authPluginName(): string {
    return this.#request.authPluginName;
  }

  async switchPlugin(request: AuthSwitchRequest, payload: Uint8Array): Promise<void> {
    if (request.authPluginName === "mysql_old_password") {
      throw new QuerycopError(
        "QC_AUTH_PLUGIN_REFUSED",
        "The backend asked for mysql_old_password, which is not secure",
      );
    }
    this.#request = request;
    this.#isFullExchange = false;
    if (request.authPluginName === "mysql_clear_password" && this.#context.tokens !== undefined) {
      return this.#sendToken(this.#context.tokens);
    }
    this.#requireClientAnswer();
    this.#context.client.sendPayload(payload);
    await this.#relayReply();
  }

  /** A token is never an answer to a second factor: the client has to give it. */
  async nextFactor(request: AuthSwitchRequest, payload: Uint8Array): Promise<void> {
    this.#request = request;
    this.#isFullExchange = false;
    this.#requireClientAnswer();
    this.#context.client.sendPayload(payload);
    await this.#relayReply();
  }

  async moreData(data: Uint8Array): Promise<void> {
    this.#requireClientAnswer();
    const { client, backend } = this.#context;
    if (this.authPluginName === "caching_sha2_password" && data.length === 1) {
      client.sendPayload(encodeAuthMoreData(data));
      if (data[0] === CACHING_SHA2_FAST_OK) return;
      if (data[0] !== CACHING_SHA2_FULL) {
        throw new QuerycopError("QC_BACKEND_PROTOCOL", `Unexpected caching_sha2_password state ${data[0]}`);
      }
      this.#isFullExchange = true;
      return this.#relayReply();
    }
    if (FULL_PASSWORD_PLUGINS.has(this.authPluginName)) return this.#relayPublicKey(data);
    client.sendPayload(encodeAuthMoreData(data));
    // A plugin we do not know: only the peers know whose turn it is. Whoever speaks first is listened to.
    await backend.eitherSpeaks(client, `authenticating with ${this.authPluginName}`);
    if (!backend.hasUnread && !backend.isEnded && !backend.isDead) await this.#relayReply();
  }

  /** The backend's public key, asked for by the client: only reached when the backend leg is plaintext. */
  async #relayPublicKey(pem: Uint8Array): Promise<void> {
    const pinned = this.#context.pinnedKey?.export({ type: "spki", format: "pem" }).toString().trim();
    if (pinned !== undefined && Buffer.from(pem).toString("latin1").trim() !== pinned) {
      throw new QuerycopError(
        "QC_AUTH_PLUGIN_REFUSED",
        "The backend sent another public key than the one in GATEKEEPER_BACKEND_PUBLIC_KEY_FILE",
        { clientMessage: "querycop: the backend's public key is not the pinned one" },
      );
    }
    this.#context.client.sendPayload(encodeAuthMoreData(pem));
    const reply = await this.#clientReply("waiting for the encrypted password");
    this.#context.backend.sendPayload(LOGIN_PERMIT, reply.payload);
  }

  async #relayReply(): Promise<void> {
    const { backend } = this.#context;
    const { payload } = await this.#clientReply(`waiting for the answer to ${this.authPluginName}`);
    const reply = this.#carriesPassword(payload)
      ? await translatePasswordReply(this.#context, this.authPluginName, payload, this.#request.authPluginData)
      : payload;
    backend.sendPayload(LOGIN_PERMIT, reply);
  }

  #clientReply(awaiting: string): Promise<Packet> {
    return this.#context.backend.whileAlive(awaiting, this.#context.client.expectLoginPacket(awaiting));
  }

  /** caching_sha2_password begins with a scramble of 32 bytes; everything else these plugins send is the password. */
  #carriesPassword(reply: Uint8Array): boolean {
    if (!FULL_PASSWORD_PLUGINS.has(this.authPluginName)) return false;
    const isScramble = this.authPluginName === "caching_sha2_password" && !this.#isFullExchange;
    return !isScramble || isKeyRequest(this.authPluginName, reply);
  }

  async #sendToken(tokens: LoginTokens): Promise<void> {
    if (this.tokenUsed) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend asked for the password twice in one login");
    }
    // SAFETY: start-up refuses a token source with a TLS mode that may end in plaintext; this holds even if that fails.
    if (!this.#context.backendIsSecure) {
      throw new QuerycopError("QC_BACKEND_TLS_NOT_OFFERED", "Refused to send a token over a plaintext backend leg");
    }
    this.tokenUsed = true;
    const answer = withNul(await tokens.mint());
    this.#context.backend.sendPayload(LOGIN_PERMIT, answer);
    answer.fill(0);
  }

  #requireClientAnswer(): void {
    const { client, backendIsSecure, capabilityFlags, clientCanAnswer, user } = this.#context;
    if (!clientCanAnswer) {
      throw new QuerycopError(
        "QC_AUTH_PLUGIN_REFUSED",
        `The backend asks user "${user}" for ${this.authPluginName}: the account is not made for tokens. ` +
          "Create it with IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS', or use GATEKEEPER_CLIENT_AUTH=relay",
        { clientMessage: `querycop: the backend account is not IDENTIFIED WITH AWSAuthenticationPlugin` },
      );
    }
    if ((capabilityFlags & CLIENT_PLUGIN_AUTH) === 0 && this.authPluginName !== "mysql_native_password") {
      throw new QuerycopError(
        "QC_CLIENT_OLD_AUTH",
        `The account of "${user}" needs ${this.authPluginName}, which a client without CLIENT_PLUGIN_AUTH cannot do: upgrade its driver`,
      );
    }
    if (CLEAR_TEXT_PLUGINS.has(this.authPluginName) && !(client.isSecure && backendIsSecure)) {
      const leg = client.isSecure ? "backend" : "client";
      throw new QuerycopError(
        "QC_AUTH_PLUGIN_REFUSED",
        `The backend asks for ${this.authPluginName}, which sends the password in clear, but the ${leg} leg has no TLS`,
        { clientMessage: `querycop: ${this.authPluginName} needs TLS on both legs; the ${leg} leg has none` },
      );
    }
  }
}
