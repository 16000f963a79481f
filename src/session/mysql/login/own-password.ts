/**
 * Answers what the backend asks in a login with a password that querycop holds. The client has no part in it.
 *
 * A scramble goes to whoever asks, as every client sends it. The password itself goes only to a server that is known to be
 * the right one: over TLS that is verified, or on this very host; or encrypted for a key that is pinned.
 */
import { QuerycopError } from "../../../base/errors.ts";
import {
  CACHING_SHA2_FAST_OK,
  CACHING_SHA2_FULL,
  encodeCachingSha2Scramble,
} from "../../../mysql/caching-sha2-password.ts";
import { signWithEd25519Password } from "../../../mysql/ed25519-password.ts";
import type { AuthSwitchRequest } from "../../../mysql/handshake.ts";
import { encodeNativePasswordScramble } from "../../../mysql/native-password.ts";
import { answerParsec } from "../../../mysql/parsec-password.ts";
import { encryptPassword } from "../../../mysql/rsa-password.ts";
import type { HeldPassword } from "../../../token/password.ts";
import { decodingFrom } from "../../malformed.ts";
import { keyOfBackend, LOGIN_PERMIT, type PasswordRoute } from "./password-exchange.ts";

export interface OwnPasswordRoute extends PasswordRoute {
  /** Whether the backend's certificate was verified, or need not be. */
  readonly backendIsVerified: boolean;
}

/** What can be answered before the backend has asked: a scramble of the plugin it greets with. */
export function firstScramble(
  password: HeldPassword,
  authPluginName: string,
  authPluginData: Uint8Array,
): Uint8Array | undefined {
  return decodingFrom("backend", () => {
    if (authPluginName === "mysql_native_password") return encodeNativePasswordScramble(password.value, authPluginData);
    if (authPluginName === "caching_sha2_password") return encodeCachingSha2Scramble(password.value, authPluginData);
    return undefined;
  });
}

export class OwnPasswordExchange {
  readonly tokenUsed = false;
  readonly #route: OwnPasswordRoute;
  readonly #password: HeldPassword;
  #request: AuthSwitchRequest;

  constructor(route: OwnPasswordRoute, password: HeldPassword, request: AuthSwitchRequest) {
    this.#route = route;
    this.#password = password;
    this.#request = request;
  }

  get authPluginName(): string {
    return this.#request.authPluginName;
  }

  async switchPlugin(request: AuthSwitchRequest): Promise<void> {
    this.#request = request;
    const { authPluginName, authPluginData } = request;
    const scramble = firstScramble(this.#password, authPluginName, authPluginData);
    if (scramble !== undefined) return this.#send(scramble);
    switch (authPluginName) {
      case "client_ed25519":
        return this.#send(decodingFrom("backend", () => signWithEd25519Password(this.#password.value, authPluginData)));
      case "parsec":
        // Nothing asks for the salt.
        return this.#send(NO_BYTES);
      case "sha256_password":
        return this.#isEmpty ? this.#send(NUL) : await this.#sendWhole();
      case "mysql_clear_password":
        return this.#sendClear();
      default:
        throw this.#refusal(`which querycop cannot answer with a password`);
    }
  }

  async moreData(data: Uint8Array): Promise<void> {
    if (this.authPluginName === "parsec") {
      return this.#send(await answerParsec(this.#password.value, this.#request.authPluginData, data));
    }
    if (this.authPluginName !== "caching_sha2_password" || data.length !== 1) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", `Unexpected data from the backend in ${this.authPluginName}`);
    }
    if (data[0] === CACHING_SHA2_FAST_OK) return;
    if (data[0] !== CACHING_SHA2_FULL) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", `Unexpected caching_sha2_password state ${data[0]}`);
    }
    await this.#sendWhole();
  }

  async nextFactor({ authPluginName }: AuthSwitchRequest): Promise<void> {
    throw new QuerycopError(
      "QC_AUTH_PLUGIN_REFUSED",
      `The backend asks for a second factor (${authPluginName}), and querycop holds a password alone`,
      { clientMessage: "querycop: the backend account needs a second factor, which querycop does not have" },
    );
  }

  get #isEmpty(): boolean {
    return this.#password.value.length === 0;
  }

  /** caching_sha2_password and sha256_password: in clear over TLS, else for the server's key. */
  async #sendWhole(): Promise<void> {
    const { backendIsSecure, backendIsLocal, pinnedKey } = this.#route;
    if (backendIsSecure) return this.#sendClear();
    if (pinnedKey === undefined && !backendIsLocal) throw this.#refusal(UNVERIFIED);
    const key = pinnedKey ?? (await keyOfBackend(this.#route, this.authPluginName));
    const clear = withNul(this.#password.value);
    try {
      const { authPluginData } = this.#request;
      this.#send(decodingFrom("backend", () => encryptPassword(key, clear, authPluginData)));
    } finally {
      clear.fill(0);
    }
  }

  #sendClear(): void {
    const { backendIsSecure, backendIsVerified, backendIsLocal } = this.#route;
    if (!backendIsSecure || !(backendIsVerified || backendIsLocal)) throw this.#refusal(UNVERIFIED);
    const clear = withNul(this.#password.value);
    this.#send(clear);
    clear.fill(0);
  }

  #send(answer: Uint8Array): void {
    this.#route.backend.sendPayload(LOGIN_PERMIT, answer);
  }

  #refusal(why: string): QuerycopError {
    return new QuerycopError("QC_AUTH_PLUGIN_REFUSED", `The backend asks for ${this.authPluginName}, ${why}`, {
      clientMessage: `querycop: cannot log in to the backend by ${this.authPluginName}, run querycop connections check`,
    });
  }
}

const NO_BYTES = new Uint8Array(0);
const NUL = new Uint8Array(1);

const UNVERIFIED =
  "which wants the password itself, and the server is not verified: set tls_mode verify-full, or public_key_file";

function withNul(password: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(password.length + 1);
  bytes.set(password);
  return bytes;
}
