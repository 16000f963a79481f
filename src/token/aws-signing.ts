/**
 * Signing in this process with the standard AWS credential chain: environment, profile, web identity (IRSA), container,
 * instance. What is signed is the caller's; its library is loaded with the first mint, so that nobody else pays for it.
 */
import { Buffer } from "node:buffer";
import { redactSecrets } from "../base/redact.ts";
import { type CredentialProvider, credentialChain, METADATA_ADVICE } from "./aws-credentials.ts";
import { type MintedToken, TokenMintError } from "./token.ts";

export interface AwsSigningOptions {
  readonly timeoutMs?: number;
  /** In place of the standard chain; for tests and for callers that hold credentials. */
  readonly credentials?: CredentialProvider;
}

export class AwsSigning {
  readonly #timeoutMs: number;
  readonly #given: CredentialProvider | undefined;
  /** Shared by all mints while its credentials last: a chain of its own for each would ask the metadata service each time. */
  #chain: CredentialProvider | undefined;
  /** Until when credentials without an end of their own are taken for good. */
  #staticUntilMs = 0;

  constructor(options: AwsSigningOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#given = options.credentials;
  }

  /** Rejects with TokenMintError, also when `signal` aborts. `sign` is handed where credentials come from. */
  async mint(
    sign: (credentials: CredentialProvider) => Promise<string>,
    signal: AbortSignal,
    isForced: boolean,
  ): Promise<MintedToken> {
    // A token was refused, or the keys may have been replaced since: the files are read again.
    if (isForced || performance.now() >= this.#staticUntilMs) this.#chain = undefined;
    // The chain may wait on an instance metadata service that does not answer; it cannot be stopped, only left.
    return await bounded(this.#sign(sign), this.#timeoutMs, signal);
  }

  async #sign(sign: (credentials: CredentialProvider) => Promise<string>): Promise<MintedToken> {
    try {
      let expiration: Date | undefined;
      const token = await sign(async (properties) => {
        const chain = this.#given ?? (await this.#chainOf());
        const credentials = await chain(properties);
        expiration = credentials.expiration;
        return credentials;
      });
      // Those with an end are renewed by the chain itself.
      this.#staticUntilMs = expiration === undefined ? performance.now() + STATIC_KEYS_MS : Number.POSITIVE_INFINITY;
      return { value: Buffer.from(token, "latin1"), credentialsExpireAtMs: expiration?.getTime() };
    } catch (error) {
      this.#chain = undefined;
      throw mintErrorOf(error);
    }
  }

  async #chainOf(): Promise<CredentialProvider> {
    if (this.#chain !== undefined) return this.#chain;
    this.#chain = await credentialChain();
    return this.#chain;
  }
}

/** Keys in files and variables do not say when they are replaced: they are read again after that. */
const STATIC_KEYS_MS = 10_000;

function mintErrorOf(error: unknown): TokenMintError {
  if (error instanceof TokenMintError) return error;
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  const detail = redactSecrets(message.slice(0, 1024));
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    const text =
      "No AWS credentials are found in the standard places (environment, files, web identity, metadata service)";
    return new TokenMintError("no-credentials", text, `${detail}\n${METADATA_ADVICE}`.trim());
  }
  if (message.includes("Region is missing")) {
    return new TokenMintError("no-region", "The AWS region is not known, set backend.region", detail);
  }
  return new TokenMintError("signer", `The token cannot be signed: ${name}`, detail);
}

function bounded<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(new TokenMintError("stopped", "The signing was stopped"));
    const timer = setTimeout(
      () => reject(new TokenMintError("timeout", `The AWS credentials took longer than ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    });
  });
}
