/** Tokens as a login sees them: which user and server they are for, and whether a fresh one could help. */
import { QuerycopError } from "../../base/errors.ts";
import type { Token, TokenTarget } from "../../token/token.ts";
import type { TokenManager } from "../../token/token-manager.ts";
import type { SessionServices } from "../session-services.ts";

export class LoginTokens {
  readonly #tokens: TokenManager;
  readonly #target: TokenTarget;
  readonly #signal: AbortSignal;
  #last: Token | undefined;
  #isForced = false;

  constructor(tokens: TokenManager, target: TokenTarget, signal: AbortSignal) {
    this.#tokens = tokens;
    this.#target = target;
    this.#signal = signal;
  }

  /** The password for one login. The caller wipes it once it is sent. */
  async mint(): Promise<Token> {
    const before = this.#last?.mintId;
    const token = await this.#tokens.mintToken(this.#target, { forceFresh: this.#isForced, signal: this.#signal });
    this.#last = token;
    // The same token would be refused again.
    if (token.mintId === before)
      throw new QuerycopError("QC_AUTH_REFUSED", "The backend refused a token minted just now");
    return token;
  }

  /** True when the backend was given a token minted for an earlier login: only then can a fresh one help. */
  get canRetry(): boolean {
    return this.#last?.reused === true && !this.#isForced;
  }

  forceFresh(): void {
    this.#isForced = true;
  }
}

/** The tokens for a user's login, or undefined when the listener has no token source. */
export function tokensFor(services: SessionServices, user: string, signal: AbortSignal): LoginTokens | undefined {
  const { tokens, options } = services;
  if (tokens === undefined) return undefined;
  const { token, region } = options.backend;
  return new LoginTokens(tokens, { ...token, region, user }, signal);
}

/** Whether querycop can log in without its client: with a token, or with a password that it holds. */
export function logsInAlone({ tokens, passwords }: Pick<SessionServices, "tokens" | "passwords">): boolean {
  return tokens !== undefined || passwords !== undefined;
}

/** The password as mysql_clear_password sends it: a C string. Wipes the token it copies. */
export function withNul(token: Token): Uint8Array {
  const bytes = new Uint8Array(token.value.length + 1);
  bytes.set(token.value);
  token.wipe();
  return bytes;
}
